/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Walking the remote database. A discovery is a row of phases; a phase asks for a range of handles
 * again and again, each time from behind the last handle it was told, until the range is dry.
 *
 * What ends every walk, whatever the peer says, is that handles must rise: discover_advance() is
 * the only place that moves a range, and a list whose handles do not rise, leave the range or end
 * before they start is -EBADMSG. Structs of the database are looked up by handle in each step,
 * never kept over one: another discovery may have swept them away.
 */
#pragma once

#include "gatt_priv.h"

/* An included service; the UUID of a long one has to be read from its declaration. */
struct found {
	struct att_range range;
	struct uuid uuid;
	bool has_uuid;
};

struct discover {
	struct gatt_proc p;
	uint32_t gen;
	const struct phase *phase;
	struct att_range range; /* still to be asked for */
	bool dry;               /* nothing is left of it */

	struct uuid type; /* group type of the services asked for */
	struct uuid uuid; /* with @filter: only services or characteristics of this one */
	bool filter;
	bool first_only; /* the first characteristic that matches is enough */
	bool stop_at_cccd;
	bool exact;     /* one attribute is asked for: that it is not found ends no range */
	uint16_t owner; /* declaration of the service or characteristic whose inside is walked */
	uint16_t open;  /* declaration of the characteristic whose end is not known yet; 0: none */
	struct att_range stray; /* declarations outside of all known services; start 0: none */
	int none; /* besides Attribute Not Found, what says that the range is dry; 0: nothing */

	struct found *found; /* in p.buf */
	size_t n_found, i_found;
};

struct phase {
	void (*ask)(struct discover *d, struct wr *w);
	/*
	 * an answer to it; calls discover_advance(). Return: 0 or an error that ends the discovery.
	 */
	int (*take)(struct discover *d, const uint8_t *pdu, size_t len);
	/*
	 * the range is dry: find the next thing to ask for. Return: 1 to go on, 0 at the end, or an
	 * error.
	 */
	int (*dry)(struct discover *d);
};

/**
 * discover_new() - with the checks of every starting call; the caller sets it up and calls
 * discover_start()
 */
int discover_new(struct gatt_client *gc, struct gatt_op *g, const struct phase *phase,
                 struct discover **ret);

/** discover_start() - takes @d, also on failure; one with nothing to ask for ends well */
int discover_start(struct discover *d, uint32_t timeout_ms);

void discover_set_range(struct discover *d, uint16_t start, uint16_t end);

/** discover_advance() - everything up to @last is known now */
void discover_advance(struct discover *d, uint16_t last);
bool discover_in_range(const struct discover *d, uint16_t handle);

void discover_ask_services(struct discover *d, struct wr *w);
int discover_take_services(struct discover *d, const uint8_t *pdu, size_t len);

/* after the services of gatt_discover_all() */
extern const struct phase phase_all_characteristics;
