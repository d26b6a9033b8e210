/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who holds an object, and how long it outlives the last of them: the part that connections, scanners and subscriptions
 * share. An object starts with nobody and its clock running, so one that nobody ever comes to hold goes like the others.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "aiobled/list.h"
#include "aiobled/loop.h"

#include "client.h"

enum lifetime { LIFETIME_CALLER, LIFETIME_LINGER, LIFETIME_PERSISTENT };

extern const char *const lifetime_names[]; /* for OPT_ENUM */

struct holder {
	struct bus *bus;
	enum client_quota quota; /* what a holding counts as */
	enum lifetime lifetime;
	bool kept;            /* persistent, but no client wished that */
	struct list holdings; /* struct holding */
	struct timer expiry;
	/* nobody holds it any more and its time is over: end it; may free the holder */
	void (*released)(struct holder *holder);
	/* asked before released() of one that lingers: true starts the clock again; may be NULL */
	bool (*busy)(struct holder *holder);
};

void holder_init(struct holder *h, struct bus *bus, enum client_quota quota, enum lifetime lifetime,
                 void (*released)(struct holder *h));

/** holder_deinit() - forget the holders, silently */
void holder_deinit(struct holder *h);

/** holder_add() - @client holds it, once. Return: 0, -ENOMEM, -ENOBUFS with @ret_error. */
int holder_add(struct holder *h, struct client *client, struct bus_error *ret_error);

/** holder_remove() - @client lets go; may end in released(). Return: 0, -ENOENT. */
int holder_remove(struct holder *h, struct client *client);

/** holder_extend() - a second wish for its lifetime: the longer one counts */
void holder_extend(struct holder *h, enum lifetime lifetime);

/** holder_keep() - without holders it stays: persistent, until holder_inherit() says otherwise */
void holder_keep(struct holder *h);

/**
 * holder_inherit() - the holders of @from hold @h, too, and how long it outlives them is what counts there
 *
 * For a kept one that nobody holds; in one that is held already the longer lifetime counts. A client whose quota is used up is
 * passed over, with a debug line that names @what; when that leaves nobody, @h stays kept.
 */
void holder_inherit(struct holder *h, const struct holder *from, const char *what);

/** holder_touch() - somebody called it: a clock that runs starts again */
void holder_touch(struct holder *h);

/** holder_expire() - the object is over: it goes when its clock has run down, whoever holds it and whatever its lifetime */
void holder_expire(struct holder *h);

bool holder_has(const struct holder *h, const struct client *client);
static inline bool holder_alone(const struct holder *h)
{
	return list_empty(&h->holdings);
}

/** holder_other() - a holder that is not @client: its name, or NULL */
const char *holder_other(const struct holder *h, const struct client *client);

/** holder_tell_finished() - the signal Finished of the object, to each holder or (@broadcast) to everybody */
void holder_tell_finished(const struct holder *h, const char *path, const char *interface,
                          bool broadcast, const char *reason, const struct bus_error *error);

/** holder_tell_object() - a signal whose only argument is the path of an object, to the same */
void holder_tell_object(const struct holder *h, const char *path, const char *interface, bool broadcast,
                        const char *member, const char *object);

/** holder_expires_us() - when the clock runs down; 0: it does not run */
uint64_t holder_expires_us(const struct holder *h);

/** holder_append() - property Holders, as */
int holder_append(const struct holder *h, sd_bus_message *m);

/** holdings_drop() - @client has left */
void holdings_drop(struct client *client);
