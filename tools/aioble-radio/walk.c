/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Walks through points and at random. */
#include "walk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "air.h"

#define STEPS_MAX 10000 /* made up for at a time, after a long silence */

static int read_point(json_object *v, const struct key *keys, struct walk *w, struct complaint *c)
{
	struct walk_point *p = &w->points[w->n];

	if (keys_check(v, keys, c) < 0)
		return -EINVAL;
	p->at_us = keys_ms(v, "at_ms", 0);
	p->value = keys_num(v, keys[1].name, 0);
	if (w->n && p->at_us <= p[-1].at_us)
		return complain(c, "at_ms", "is not later than that of the point before");
	w->n++;
	return 0;
}

static int read_points(json_object *list, const char *unit, double least, double most,
                       struct walk *w, struct complaint *c)
{
	const struct key keys[] = {
		{"at_ms", KEY_NUMBER, true, .min = 0, .max = 1e12},
		{unit, KEY_NUMBER, true, .min = least, .max = most},
		{0},
	};
	size_t n = json_object_array_length(list);
	char where[24];

	if (n == 0 || n > WALK_POINTS_MAX)
		return complain(c, "", "has not 1 to %d points", WALK_POINTS_MAX);
	w->points = calloc(n, sizeof(*w->points));
	if (!w->points)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (read_point(json_object_array_get_idx(list, i), keys, w, c) < 0) {
			(void)snprintf(where, sizeof(where), "%zu", i);
			return complain_in(c, where);
		}
	}
	return 0;
}

static int read_repeated(json_object *v, const char *unit, double least, double most,
                         struct walk *w, struct complaint *c)
{
	static const struct key keys[] = {
		{"points", KEY_ARRAY, .required = true},
		{"repeat_ms", KEY_NUMBER, .min = 1, .max = 1e12},
		{0},
	};
	int r;

	if (keys_check(v, keys, c) < 0)
		return -EINVAL;
	w->repeat_us = keys_ms(v, "repeat_ms", 0);
	r = read_points(keys_get(v, "points"), unit, least, most, w, c);
	return r == -EINVAL ? complain_in(c, "points") : r;
}

static int read_random(json_object *v, const char *unit, double least, double most, struct walk *w,
                       struct complaint *c)
{
	char min[16], max[16];
	const struct key keys[] = {
		{min, KEY_NUMBER, true, .min = least, .max = most},
		{max, KEY_NUMBER, true, .min = least, .max = most},
		{"step_db", KEY_NUMBER, .min = 0, .max = 100},
		{"every_ms", KEY_NUMBER, .min = 1, .max = 1e9},
		{0},
	};

	(void)snprintf(min, sizeof(min), "min_%s", unit);
	(void)snprintf(max, sizeof(max), "max_%s", unit);
	if (keys_check(v, keys, c) < 0)
		return -EINVAL;
	w->min = keys_num(v, min, 0);
	w->max = keys_num(v, max, 0);
	w->step = keys_num(v, "step_db", 1);
	w->every_us = keys_ms(v, "every_ms", 100000);
	return w->max >= w->min ? 0 : complain(c, max, "is less than %s", min);
}

int walk_read(json_object *v, const char *unit, double least, double most, struct walk *ret,
              struct complaint *c)
{
	struct walk w = {0};
	int r;

	if (json_object_is_type(v, json_type_array))
		r = read_points(v, unit, least, most, &w, c);
	else if (!json_object_is_type(v, json_type_object))
		r = complain(c, "", "is neither a list of points nor an object");
	else if (keys_has(v, "points"))
		r = read_repeated(v, unit, least, most, &w, c);
	else
		r = read_random(v, unit, least, most, &w, c);
	if (r < 0)
		walk_clear(&w);
	else
		*ret = w;
	return r;
}

void walk_clear(struct walk *w)
{
	free(w->points);
	*w = (struct walk){0};
}

static double between(const struct walk_point *a, const struct walk_point *b, uint64_t at_us)
{
	double part = (double)(at_us - a->at_us) / (double)(b->at_us - a->at_us);

	return a->value + (b->value - a->value) * part;
}

static double through_points(const struct walk *w, uint64_t at_us)
{
	size_t low = 0, high = w->n;

	if (w->repeat_us)
		at_us %= w->repeat_us;
	if (at_us <= w->points[0].at_us)
		return w->points[0].value;
	while (high - low > 1) { /* points[low] is not after at_us, points[high] is */
		size_t mid = (low + high) / 2;

		if (w->points[mid].at_us <= at_us)
			low = mid;
		else
			high = mid;
	}
	return high == w->n ? w->points[low].value
	                    : between(&w->points[low], &w->points[high], at_us);
}

static double random_between(struct air *air, double min, double max)
{
	return min + (max - min) * (air_rand(air) / (double)UINT32_MAX);
}

double walk_at(const struct walk *w, struct walk_state *state, struct air *air, uint64_t elapsed_us)
{
	uint64_t steps;

	if (w->points)
		return through_points(w, elapsed_us);
	if (!state->begun) {
		state->begun = true;
		state->value = random_between(air, w->min, w->max);
	}
	steps = elapsed_us / w->every_us;
	if (steps - state->steps > STEPS_MAX)
		state->steps = steps - STEPS_MAX;
	for (; state->steps < steps; state->steps++) {
		state->value += random_between(air, -w->step, w->step);
		state->value = MAX(w->min, MIN(state->value, w->max));
	}
	return state->value;
}

int walk_db(const struct walk *w, struct walk_state *state, struct air *air, uint64_t elapsed_us)
{
	double v = walk_at(w, state, air, elapsed_us);

	return (int)(v < 0 ? v - 0.5 : v + 0.5);
}
