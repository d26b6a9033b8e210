/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: a unix stream socket on which each line is a command in JSON and gets one line of JSON as its answer, in
 * order. A client that has asked for events gets them between the answers; it tells them apart by their key "event".
 */
#pragma once

#include "scene.h"

#define CONTROL_CLIENTS_MAX 16
#define CONTROL_LINE_MAX    (256 * 1024) /* a longer line gets an error and ends the client */
#define CONTROL_OUT_HIGH                                                                           \
	(1024 * 1024) /* with so much unread, no further commands are taken, and events dropped */
#define CONTROL_OUT_MAX (8 * 1024 * 1024) /* an answer that goes beyond it ends the client */

struct control;

struct control_stats {
	unsigned int clients;
	uint64_t commands, errors;
	uint64_t events_dropped; /* their clients did not read fast enough */
	uint64_t refused;        /* clients over CONTROL_CLIENTS_MAX */
};

/** control_new() - an old socket file at @path is replaced. Return: 0 or -errno. */
int control_new(struct scene *scene, const char *path, struct control **ret);

/** control_free() - answers that nobody has read are lost; the socket file is removed. Takes NULL; returns NULL. */
struct control *control_free(struct control *c);

struct control_stats control_stats(const struct control *c);
