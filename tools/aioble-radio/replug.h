/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Controllers of the kernel that are unplugged, and those of them that come back. */
#pragma once

#include <stdint.h>

struct controller;
struct replugs;
struct scene;

int replugs_new(struct scene *scene, struct replugs **ret);

/** replugs_free() - what was to come back stays away. Takes NULL; returns NULL. */
struct replugs *replugs_free(struct replugs *r);

/**
 * replugs_unplug() - @ctl goes; after @for_us of air time one comes with its name, profile and address
 * @for_us: 0: it stays away
 *
 * Return: 0, -ENOENT (not plugged in at the kernel), -ENOBUFS, -ENOMEM.
 */
int replugs_unplug(struct replugs *r, const struct controller *ctl, uint64_t for_us);
