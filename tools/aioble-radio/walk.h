/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A number that changes with time as somebody described it: through points, straight between them, or at random between
 * bounds. Used for signal strengths and path losses.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keys.h"

struct air;

#define WALK_POINTS_MAX 1000

struct walk_point {
	uint64_t at_us;
	double value;
};

struct walk {
	struct walk_point *points; /* NULL: at random */
	size_t n;
	uint64_t repeat_us; /* after so long it begins anew; 0: the last value stays */
	double min, max, step;
	uint64_t every_us;
};

/* Where one that walks at random is; others need none. */
struct walk_state {
	uint64_t steps;
	double value;
	bool begun;
};

/**
 * walk_read() - [{"at_ms": T, UNIT: V}, ...] or {"min_UNIT": V, "max_UNIT": V, "step_db": V, "every_ms": T}
 * @unit: "dbm" or "db"; values lie between @least and @most
 *
 * Points may be an object too, {"points": [...], "repeat_ms": T}: then the walk begins anew after T.
 *
 * Return: 0, -EINVAL with *@c filled in, -ENOMEM.
 */
int walk_read(json_object *v, const char *unit, double least, double most, struct walk *ret,
              struct complaint *c);
void walk_clear(struct walk *w);

/** walk_db() - the same as the nearest whole number */
int walk_db(const struct walk *w, struct walk_state *state, struct air *air, uint64_t elapsed_us);

/** walk_at() - the value @elapsed_us after the start; never asked for an earlier time than before */
double walk_at(const struct walk *w, struct walk_state *state, struct air *air,
               uint64_t elapsed_us);
