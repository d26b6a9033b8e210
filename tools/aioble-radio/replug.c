/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "replug.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/log.h"

#include "controller.h"
#include "radio.h"
#include "scene.h"

struct away {
	struct list link;
	struct replugs *replugs;
	struct air_timer timer;
	char name[AIR_RADIO_NAME_MAX];
	struct profile profile;
	struct addr addr;
};

struct replugs {
	struct scene *scene;
	struct list away;
	size_t n;
};

static void away_free(struct away *a)
{
	air_timer_stop(&a->timer);
	list_del(&a->link);
	a->replugs->n--;
	free(a);
}

static void on_back(struct air_timer *t)
{
	struct away *a = container_of(t, struct away, timer);
	int r = world_plug(a->replugs->scene->world, a->name, &a->profile, &a->addr);

	if (r < 0)
		log_error(a->name, "cannot be plugged in again: %s", strerror(-r));
	away_free(a);
}

static int away_new(struct replugs *r, const struct controller *ctl, struct away **ret)
{
	struct away *a;

	if (r->n == RADIO_CONTROLLERS_MAX)
		return -ENOBUFS;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->replugs = r;
	memcpy(a->name, ctl->radio.name, sizeof(a->name));
	a->profile = ctl->profile;
	a->addr = ctl->public_addr;
	air_timer_init(&a->timer, r->scene->air, on_back);
	list_init(&a->link);
	list_add_tail(&r->away, &a->link);
	r->n++;
	*ret = a;
	return 0;
}

int replugs_unplug(struct replugs *r, const struct controller *ctl, uint64_t for_us)
{
	struct away *a;
	int res = away_new(r, ctl, &a);

	if (res < 0)
		return res;
	res = world_unplug(r->scene->world, a->name);
	if (res < 0 || !for_us)
		away_free(a);
	else
		air_timer_start(&a->timer, for_us);
	return res;
}

int replugs_new(struct scene *scene, struct replugs **ret)
{
	struct replugs *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->scene = scene;
	list_init(&r->away);
	*ret = r;
	return 0;
}

struct replugs *replugs_free(struct replugs *r)
{
	struct away *a, *tmp;

	if (!r)
		return NULL;
	list_for_each_safe (a, tmp, &r->away, link)
		away_free(a);
	free(r);
	return NULL;
}
