/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what the user calls a peer to a connection object: an address (any live link to it, else a
 * new one), the number of a connection, or its object path.
 */
#pragma once

#include "ctl.h"

struct peer {
	char *path;
	char *name;           /* for messages: the address, else as given */
	json_object *objects; /* of the daemon, NULL when the link was made just now */
	bool fresh;           /* this call made the link */
};

/** struct peer_connect - how to make a link; start from PEER_CONNECT_INIT, which leaves all to the
 * daemon */
struct peer_connect {
	const char *type;     /* NULL: any for a link that exists, public for a new one */
	const char *lifetime; /* NULL: the daemon's default */
	long min_interval_us, max_interval_us, supervision_ms; /* 0: the daemon's default */
	long latency;                                          /* -1: the daemon's default */
};

#define PEER_CONNECT_INIT                                                                          \
	{                                                                                          \
		.latency = -1                                                                      \
	}

#define PEER_OPTIONS                                                                               \
	{                                                                                          \
		"type", required_argument, NULL, 't' + 0x100                                       \
	}
#define PEER_OPT_TYPE ('t' + 0x100)

/** peer_type() - check an address type. Return: 0 or an exit code. */
int peer_type(struct ctl *c, const char *text, struct peer_connect *how);

/**
 * peer_open() - find or make the link
 * @how: NULL when only a link that exists will do
 *
 * Return: 0 or an exit code. @ret belongs to the caller: peer_free().
 */
int peer_open(struct ctl *c, const char *text, const struct peer_connect *how, struct peer *ret);

/** peer_hold() - keep a link that others made from going while we use it. Return: 0 or an exit
 * code. */
int peer_hold(struct ctl *c, const struct peer *p);

/** peer_persist() - make a link that others made one that stays when nobody holds it. Return: 0 or
 * an exit code. */
int peer_persist(struct ctl *c, const struct peer *p);

static inline void peer_free(struct peer *p)
{
	free(p->path);
	free(p->name);
	p->objects = json_put(p->objects);
}

/** conn_number() - the number that a connection path ends in, or "" */
const char *conn_number(const char *path);
