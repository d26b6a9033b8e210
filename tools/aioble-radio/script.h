/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scripted advertisers: devices without a host or a controller, many of them from one description. Each has a radio of its
 * own (its name is the group's, with ".N" when there are several), an address, and data and strength that change with time.
 *
 * An advertising event of one costs a timer and the rendering of its data in place: no allocation.
 */
#pragma once

#include "aiobled/addr.h"

#include "advertiser.h"
#include "payload.h"
#include "walk.h"

#define SCRIPT_NAME_MAX     (AIR_RADIO_NAME_MAX - 6) /* with room for ".19999" */
#define SCRIPT_TAGS_MAX     20000                    /* advertisers in all */
#define SCRIPT_ROWS_MAX     5000                     /* in one command */
#define SCRIPT_PAYLOADS_MAX 64

struct script;

struct script_spec {
	char name[SCRIPT_NAME_MAX];
	unsigned int count;
	struct addr addr, target; /* the N-th has @addr plus N */
	uint16_t props;
	uint8_t channels, primary_phy, secondary_phy, sid;
	int8_t tx_dbm;
	uint64_t interval_us;
	uint64_t start_us, for_us; /* from the command on; for_us 0: until stopped */
	uint32_t events;           /* 0: any number */
	struct payload *payloads;  /* one after the other */
	size_t n_payloads;
	uint64_t cycle_us; /* each so long; 0: one event */
	uint64_t every_us; /* placeholders change that often; 0: with every event */
	struct payload response;
	bool walks;
	int rssi_dbm; /* at a receiver that has the default loss */
	struct walk walk;
	uint64_t rotate_us; /* a new private address that often; 0: never */
	bool has_irk;
	uint8_t irk[16]; /* most significant octet first; without it: non-resolvable */
};

void script_spec_clear(struct script_spec *spec);

/** script_read() - keys of the command "advert". Return: 0, -EINVAL with *@c filled in, -ENOMEM. */
int script_read(json_object *o, struct script_spec *ret, struct complaint *c);

int script_new(struct air *air, struct script **ret);
struct script *script_free(struct script *s);

/** script_add() - @spec is taken on success. Return: 0, -EEXIST (the name, or one of the radios'), -ENOBUFS, -ENOMEM. */
int script_add(struct script *s, struct script_spec *spec);

enum script_do {
	SCRIPT_START, /* from the beginning; those that are on go on */
	SCRIPT_STOP,
	SCRIPT_REMOVE,
};

/** script_do() - to all groups whose name fits @pattern (* and ?). Return: how many. */
size_t script_do(struct script *s, const char *pattern, enum script_do what);

/** script_set_rssi() - a fixed strength from now on. Return: how many groups. */
size_t script_set_rssi(struct script *s, const char *pattern, int rssi_dbm);

/** script_list() - groups from number @first on, @count at most; NULL without memory */
json_object *script_list(struct script *s, size_t first, size_t count);

/** script_count() - groups and advertisers */
size_t script_count(const struct script *s, size_t *ret_tags);
