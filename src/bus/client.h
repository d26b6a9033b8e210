/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client of the bus, by its unique name, from its first call that is of consequence until it leaves. Everything that it
 * waits for or holds hangs here, so that its end is one walk; its quotas are counted here, and so is how much it was sent
 * that it has not shown to have read.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "aiobled/list.h"
#include "aiobled/loop.h"

struct bus;
struct bus_error;

enum client_quota {
	QUOTA_CALLS,
	QUOTA_SCANNERS,
	QUOTA_CONNECTIONS,
	QUOTA_SUBSCRIPTIONS,
	QUOTA_STREAMS,
	QUOTA_COUNT
};

/*
 * Credit. What we send to a client that does not read stays in the bus's memory on our account, until the bus stops
 * taking anything from us, for all clients. So after CREDIT_PROBE_* the client is sent a Ping, which every D-Bus library
 * answers when it reads, and beyond CREDIT_STOP_* nothing more until the answer. Replies are counted too: beyond
 * CREDIT_REFUSE_BYTES calls of the client are not answered any more.
 */
#define CREDIT_PROBE_MESSAGES 64
#define CREDIT_PROBE_BYTES    (64 * 1024)
#define CREDIT_STOP_MESSAGES  256
#define CREDIT_STOP_BYTES     (256 * 1024)
#define CREDIT_REFUSE_BYTES   (4 * 1024 * 1024)
/* Where the bus does not let us ask: so much a second is taken for read. */
#define CREDIT_PACE_MS       1000
#define CREDIT_PACE_MESSAGES 64
#define CREDIT_PACE_BYTES    (16 * 1024)

struct credit {
	uint64_t messages, bytes;             /* sent */
	uint64_t acked_messages, acked_bytes; /* of these, read for sure */
	uint64_t probe_messages, probe_bytes; /* sent when the ping under way left */
	sd_bus_slot *ping;
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

/** client_refused() - it reads nothing at all any more */
bool client_refused(const struct client *client);

/** client_charge() - a message of about @bytes went to it */
void client_charge(struct client *client, size_t bytes);

/** clients_cancel_calls() - answer every waiting call with Canceled */
void clients_cancel_calls(struct bus *bus);

/** clients_free() - forget everybody, silently */
void clients_free(struct bus *bus);
