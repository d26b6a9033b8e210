/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A controller's advertising sets, as its host configures them by legacy or extended commands. Legacy commands have one
 * set of their own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "controller.h"

#include "advertiser.h"

#define ADV_SETS_MAX    16
#define ADV_HANDLE_MAX  0xef
#define ADV_HANDLE_NONE 0xff /* of the legacy set */

/* A payload that comes in pieces (Vol 4, Part E, 7.8.54). */
struct adv_pieces {
	uint8_t *data;
	uint16_t len;
	bool begun;
};

struct adv_set {
	struct advertiser adv;
	struct controller *ctl;
	bool used;
	uint8_t handle, own_type, policy;
	bool tell_requests; /* LE Scan Request Received */
	struct addr
		peer; /* an identity: the target of directed advertising, and whose entry gives our RPA */
	bool has_random_addr;
	struct addr random_addr; /* extended sets have their own each */
	struct adv_pieces data_pieces, rsp_pieces;
};

struct ctl_adv {
	struct controller *ctl;
	struct adv_set legacy;
	struct adv_set sets[ADV_SETS_MAX]; /* as many as the profile says */
};

static inline struct adv_set *adv_set_of(struct advertiser *adv)
{
	return (struct adv_set *)adv->data;
}

static inline bool adv_set_is_legacy(const struct adv_set *set)
{
	return set->handle == ADV_HANDLE_NONE;
}

int ctl_adv_new(struct controller *ctl, struct ctl_adv **ret);
struct ctl_adv *ctl_adv_free(struct ctl_adv *a);
void ctl_adv_reset(struct ctl_adv *a);

/** ctl_adv_legacy_on() - is the set of the legacy commands advertising? */
bool ctl_adv_legacy_on(const struct ctl_adv *a);

/** ctl_adv_filters() - does a set that is advertising ask the accept list? */
bool ctl_adv_filters(const struct ctl_adv *a);

/** adv_set_find() - the set with a handle, or NULL */
struct adv_set *adv_set_find(struct ctl_adv *a, uint8_t handle);

/** adv_set_clear() - off, and as if it had never been */
void adv_set_clear(struct adv_set *set);

/** adv_set_refresh() - its address and target of now. Return: 0, or -ENOENT without the random address it needs. */
int adv_set_refresh(struct adv_set *set);
