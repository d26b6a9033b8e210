/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A pending method call: the message it will answer, the client that made it, and the wait it stands on, which the typed
 * call embeds. It ends exactly once: by an answer, or silently when its client has left. A call is allocated by
 * bus_call_new() with the size of the type that embeds it as its first member.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "aiobled/list.h"
#include "aiobled/op.h"

#include "bus_result.h"

struct bus;
struct client;

struct bus_call {
	struct list link;  /* in client->calls */
	struct list scope; /* in the list of calls of the object it works on */
	struct bus *bus;
	struct client *client;
	sd_bus_message *message;
	uint64_t deadline_us; /* 0: none */
	struct op *op;        /* what it waits on now; inside the typed call */
	/* ends what the call has begun beyond its op; runs before the memory goes, in every case */
	void (*release)(struct bus_call *call);
};

/**
 * bus_call_new() - keep @m for a later answer
 * @size:       of the typed call, >= sizeof(struct bus_call)
 * @scope:      list of the calls of an object, or NULL
 * @timeout_ms: of the whole call; 0: none
 * @ret:        void **, for the typed call
 *
 * On failure @m has been answered with the error.
 *
 * Return: 0; 1 when @m was answered (what the handler returns); < 0 when not even that was possible.
 */
int bus_call_new(struct bus *bus, sd_bus_message *m, size_t size, struct list *scope,
                 uint32_t timeout_ms, void *ret);

/** bus_call_left_ms() - what is left of the call's time, at least 1 when it has a deadline; 0: no deadline */
uint32_t bus_call_left_ms(const struct bus_call *call);

/** bus_call_reply() - start the answer, or NULL (logged; then bus_call_fail() with -ENOMEM) */
sd_bus_message *bus_call_reply(struct bus_call *call);

/** bus_call_send() - send @reply, which is taken; @bytes: about how large it is. The call is gone. */
void bus_call_send(struct bus_call *call, sd_bus_message *reply, size_t bytes);

/** bus_call_done() - answer with nothing or with the arguments of @types. The call is gone. */
void bus_call_done(struct bus_call *call, const char *types, ...);

/** bus_call_fail() - answer with an error. The call is gone. */
void bus_call_fail(struct bus_call *call, const struct bus_error *e);
void bus_call_fail_res(struct bus_call *call, int res);

/**
 * bus_call_started() - what a handler returns after a starting call
 * @r: its result: 0, the call waits; else the call is answered with it
 */
int bus_call_started(struct bus_call *call, int r);

/** calls_drop(), calls_fail() - of one client; scope_fail() - of one object: through the done() of what they wait on */
void calls_drop(struct client *client);
void calls_fail(struct client *client, int res);
void scope_fail(struct list *scope, int res);
