/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A controller's advertising sets, as its host configures them by legacy or extended commands. Legacy commands use one
 * set of their own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "advertiser.h"

struct controller;
struct ctl_adv;

#define ADV_SETS_MAX    16
#define ADV_HANDLE_NONE 0xff

/* One set. The handle that legacy commands use is ADV_HANDLE_NONE. */
struct adv_set {
	struct advertiser adv;
	struct controller *ctl;
	bool used;
	uint8_t handle, own_type, policy;
	bool tell_requests; /* LE Scan Request Received events */
	struct addr peer;   /* identity: for directed advertising and own RPAs */
	bool has_random_addr;
	struct addr random_addr;
	uint16_t frag_len; /* bytes of data that came in fragments and wait for the last */
	uint16_t rsp_frag_len;
	uint8_t *frag, *rsp_frag;
};

static inline struct adv_set *adv_set_of(struct advertiser *adv)
{
	return (struct adv_set *)adv->data;
}

int ctl_adv_new(struct controller *ctl, struct ctl_adv **ret);
struct ctl_adv *ctl_adv_free(struct ctl_adv *a);
void ctl_adv_reset(struct ctl_adv *a);

/** ctl_adv_legacy_on() - is the set of the legacy commands advertising? */
bool ctl_adv_legacy_on(const struct ctl_adv *a);

/** ctl_adv_filters() - does a set that is advertising ask the accept list? */
bool ctl_adv_filters(const struct ctl_adv *a);
