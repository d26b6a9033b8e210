/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program as a whole: an air and everything that takes part in it. What main.c starts by options, the control socket
 * may start and stop later.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "air.h"
#include "profile.h"
#include "vhci.h"

#define RADIO_CONTROLLERS_MAX 32
#define RADIO_LISTENERS_MAX   16

struct radio_options {
	unsigned int controllers;
	struct profile profile;
	uint64_t seed;
	unsigned int speed;
};

struct world; /* radio.c */

int world_new(struct loop *loop, const struct radio_options *options, struct world **ret);
struct world *world_free(struct world *world);

/** world_empty() - unplug and close everything; the air stays, for those who watch it to leave in their turn. Takes NULL. */
void world_empty(struct world *world);
struct loop *world_loop(struct world *world);
struct air *world_air(struct world *world);

/**
 * world_plug() - one more controller at this machine's kernel
 * @name: of its radio; NULL: "kernelN" with the first N that is free
 * @profile: NULL: that of the options
 * @public_addr: NULL: one of the radio's own, the same for the same N
 */
int world_plug(struct world *world, const char *name, const struct profile *profile,
               const struct addr *public_addr);

/** world_unplug() - Return: 0, or -ENOENT when no controller at the kernel has that name */
int world_unplug(struct world *world, const char *name);

/** world_listen(), world_pty() - @profile NULL: that of the options */
int world_listen(struct world *world, const char *path, const struct profile *profile);
int world_pty(struct world *world, const char *path, const struct profile *profile);

/** world_close() - a socket with all its hosts, or a terminal. Return: 0, or -ENOENT when there is none at @path. */
int world_close(struct world *world, const char *path);

/** world_cut() - end the connection of a socket's client. Return: 0, or -ENOENT when @ctl is none's. */
int world_cut(struct world *world, const struct controller *ctl);

/** world_ready() - does the kernel list all controllers that were plugged in? */
bool world_ready(const struct world *world);

/**
 * world_on_ready() - @fn runs once, later, when world_ready(); -ETIMEDOUT when the kernel does not manage
 *
 * One waits at a time: a new one replaces the old.
 */
void world_on_ready(struct world *world, void (*fn)(void *data, int err), void *data);

/** world_ready_line() - "ready hci0 hci1", indexes in the order of plugging in, without newline. Return: @buf. */
const char *world_ready_line(const struct world *world, char *buf, size_t size);

/**
 * world_name() - a name no radio has, @kind and a number, and the public address that goes with it
 *
 * The number is the smallest that is free, so that the third kernel controller has the same address in every run.
 */
struct addr world_name(struct world *world, const char *kind, char ret_name[AIR_RADIO_NAME_MAX]);
