/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One timer moves all of them. */
#include "walks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "air.h"

struct one {
	struct list link;
	char from[AIR_RADIO_NAME_MAX], to[AIR_RADIO_NAME_MAX]; /* to "": everybody */
	struct walk walk;
	struct walk_state state;
	uint64_t start_us;
};

struct walks {
	struct air *air;
	struct list list;
	size_t n;
	struct air_timer tick;
};

static void move(struct walks *w, struct one *o)
{
	uint64_t elapsed = air_now_us(w->air) - o->start_us;
	int db = walk_db(&o->walk, &o->state, w->air, elapsed);
	struct radio *from = radio_find(w->air, o->from);
	struct radio *to = *o->to ? radio_find(w->air, o->to) : NULL;

	if (from && to)
		(void)radio_set_loss(from, to, db); /* without memory the loss stays as it was */
	else if (from && !*o->to)
		from->loss_db = (int16_t)db;
}

static void on_tick(struct air_timer *t)
{
	struct walks *w = container_of(t, struct walks, tick);
	struct one *o;

	list_for_each (o, &w->list, link)
		move(w, o);
	if (w->n)
		air_timer_start(t, WALKS_TICK_MS * 1000);
}

static struct one *find(const struct walks *w, const char *from, const char *to)
{
	struct one *o;

	if (!to)
		to = "";
	list_for_each (o, &w->list, link) {
		if (strcmp(o->from, from) == 0 && strcmp(o->to, to) == 0)
			return o;
		if (*to && strcmp(o->from, to) == 0 && strcmp(o->to, from) == 0)
			return o;
	}
	return NULL;
}

static void one_free(struct walks *w, struct one *o)
{
	list_del(&o->link);
	w->n--;
	walk_clear(&o->walk);
	free(o);
}

int walks_start(struct walks *w, const char *from, const char *to, struct walk *walk)
{
	struct one *o;

	(void)walks_stop(w, from, to);
	if (w->n == WALKS_MAX)
		return -ENOBUFS;
	o = calloc(1, sizeof(*o));
	if (!o)
		return -ENOMEM;
	(void)snprintf(o->from, sizeof(o->from), "%s", from);
	(void)snprintf(o->to, sizeof(o->to), "%s", to ? to : "");
	o->walk = *walk;
	*walk = (struct walk){0};
	o->start_us = air_now_us(w->air);
	list_init(&o->link);
	list_add_tail(&w->list, &o->link);
	w->n++;
	move(w, o);
	if (!w->tick.armed)
		air_timer_start(&w->tick, WALKS_TICK_MS * 1000);
	return 0;
}

bool walks_stop(struct walks *w, const char *from, const char *to)
{
	struct one *o = find(w, from, to);

	if (o)
		one_free(w, o);
	return o;
}

bool walks_goes(const struct walks *w, const char *from, const char *to)
{
	return find(w, from, to);
}

int walks_new(struct air *air, struct walks **ret)
{
	struct walks *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->air = air;
	list_init(&w->list);
	air_timer_init(&w->tick, air, on_tick);
	*ret = w;
	return 0;
}

struct walks *walks_free(struct walks *w)
{
	struct one *o, *tmp;

	if (!w)
		return NULL;
	air_timer_stop(&w->tick);
	list_for_each_safe (o, tmp, &w->list, link)
		one_free(w, o);
	free(w);
	return NULL;
}
