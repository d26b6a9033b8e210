/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Path losses that change with time, of a pair of radios or of one radio towards all. They go by names: a radio that is
 * unplugged and comes back is found again.
 */
#pragma once

#include "walk.h"

#define WALKS_MAX     64
#define WALKS_TICK_MS 50 /* air time between two changes */

struct walks;

int walks_new(struct air *air, struct walks **ret);
struct walks *walks_free(struct walks *w);

/**
 * walks_start() - from now on
 * @to: NULL: @from's own part of all its losses
 * @walk: taken on success
 *
 * Takes the place of what was going on for the same pair. Return: 0, -ENOBUFS or -ENOMEM.
 */
int walks_start(struct walks *w, const char *from, const char *to, struct walk *walk);

/** walks_stop() - the loss stays as it is now. Return: was there one? */
bool walks_stop(struct walks *w, const char *from, const char *to);

/** walks_goes() - is it changing? */
bool walks_goes(const struct walks *w, const char *from, const char *to);
