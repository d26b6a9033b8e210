/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of the bus, by its unique name, from its first call that is of consequence until it leaves. Everything that it
 * waits for or holds hangs here, so that its end is one walk; its quotas are counted here, and so is how much it was sent
 * that it has not shown to have read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "aiobled/list.h"
#include "aiobled/loop.h"

struct bus;
struct bus_error;

enum client_quota {
	QUOTA_CALLS,
	QUOTA_SCANNERS,
	QUOTA_ADVERTISERS,
	QUOTA_CONNECTIONS,
	QUOTA_SUBSCRIPTIONS,
	QUOTA_STREAMS,
	QUOTA_APPLICATIONS,
	QUOTA_COUNT
};

/*
 * Credit. What we send to a client that does not read stays in the bus's memory on our account, until the bus stops
 * taking anything from us, for all clients. So now and then a client is sent a Ping, which every D-Bus library answers
 * when it reads. Beyond CREDIT_STOP_* it is sent no more signals until it has answered.
 *
 * Replies are another matter: a program that only ever calls and waits reads its replies and yet answers no Ping. It
 * gets REPLIES_REFUSE_BYTES of them, then errors, and beyond REPLIES_MUTE_BYTES nothing; the bus itself stops us at 127 MiB.
 */
#define CREDIT_PROBE_MESSAGES 64
#define CREDIT_PROBE_BYTES    (64 * 1024)
#define CREDIT_STOP_MESSAGES  256
#define CREDIT_STOP_BYTES     (256 * 1024)
#define REPLIES_PROBE_BYTES   (256 * 1024)
#define REPLIES_REFUSE_BYTES  (64ull * 1024 * 1024)
#define REPLIES_MUTE_BYTES    (80ull * 1024 * 1024)
/* While an answer is owed, or where the bus does not let us ask: so much a second is taken for read. */
#define CREDIT_PACE_MS       1000
#define CREDIT_PACE_MESSAGES 64
#define CREDIT_PACE_BYTES    (16 * 1024)
#define REPLIES_PACE_BYTES   (64 * 1024)

#define CLIENT_REPLY_BYTES 256 /* a reply without its payload, about */

/* What was sent, ever growing. */
struct sent {
	uint64_t messages, bytes; /* signals */
	uint64_t reply_bytes;
};

struct credit {
	struct sent sent;
	struct sent read;   /* of that, for sure */
	struct sent probed; /* when the ping under way left */
	sd_bus_slot *ping;
	bool forbidden; /* the bus did not let the last one through */
	struct timer pace;
};

struct client {
	struct list link; /* in its bucket */
	struct bus *bus;
	char *name;
	struct list calls;    /* struct bus_call */
	struct list holdings; /* struct holding */
	struct list sinks;    /* struct sink that sends signals to it */
	struct list blocked;  /* of these, those that wait for credit */
	struct list streams;  /* struct stream it opened */
	unsigned int used[QUOTA_COUNT];
	struct credit credit;
	sd_bus_slot *ask; /* whether it is there at all */
};

/** client_of() - the sender of @m, made when it is new. Return: 0, -ENOMEM, or what sd-bus says. */
int client_of(struct bus *bus, sd_bus_message *m, struct client **ret);

/** client_find() - by unique name, or NULL */
struct client *client_find(struct bus *bus, const char *name);

/** client_take() - one more of @quota. Return: 0, or -ENOBUFS with @ret_error saying so. */
int client_take(struct client *client, enum client_quota quota, struct bus_error *ret_error);
void client_give(struct client *client, enum client_quota quota);

/** quota_name(), quota_limit() - "calls"; how many one client may have */
const char *quota_name(enum client_quota quota);
uint32_t quota_limit(const struct bus *bus, enum client_quota quota);

/** client_may_send() - has it credit for a signal? */
bool client_may_send(const struct client *client);

/** client_charge() - a signal of about @bytes went to it */
void client_charge(struct client *client, size_t bytes);

/** client_charge_reply() - a reply of about @bytes went to it */
void client_charge_reply(struct client *client, size_t bytes);

/**
 * client_refuse() - is it too far behind with reading for another call?
 *
 * Return: 0: no; 1: the call @m needs no more attention.
 */
int client_refuse(struct client *client, sd_bus_message *m);

/** clients_cancel_calls() - answer every waiting call with Canceled */
void clients_cancel_calls(struct bus *bus);

/** clients_free() - forget everybody, silently */
void clients_free(struct bus *bus);
