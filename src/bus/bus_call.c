/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Pending calls. The order in bus_call_free() matters: the op is dropped first, so that no engine points here any more,
 * then what the call had begun is ended, then the memory goes.
 */
#include "bus_call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "bus_priv.h"
#include "client.h"

static void bus_call_free(struct bus_call *call)
{
	list_del(&call->link);
	list_del(&call->scope);
	if (call->op)
		op_drop(call->op);
	if (call->release)
		call->release(call);
	client_give(call->client, QUOTA_CALLS);
	sd_bus_message_unref(call->message);
	free(call);
}

int bus_call_new(struct bus *bus, sd_bus_message *m, size_t size, struct list *scope,
                 uint32_t timeout_ms, void *ret)
{
	struct bus_error err = {.res = -ENOMEM};
	struct client *client;
	struct bus_call *call;

	if (bus->stopping)
		return bus_fail_res(m, -ECANCELED);
	if (client_of(bus, m, &client) < 0)
		return bus_fail(m, &err);
	if (client_take(client, QUOTA_CALLS, &err) < 0)
		return bus_fail(m, &err);
	call = calloc(1, size);
	if (!call) {
		client_give(client, QUOTA_CALLS);
		return bus_fail(m, &err);
	}
	call->bus = bus;
	call->client = client;
	call->message = sd_bus_message_ref(m);
	call->deadline_us = timeout_ms ? loop_now_us(bus->loop) + (uint64_t)timeout_ms * 1000 : 0;
	list_init(&call->scope);
	list_add_tail(&client->calls, &call->link);
	if (scope)
		list_add_tail(scope, &call->scope);
	*(struct bus_call **)ret = call;
	return 0;
}

uint32_t bus_call_left_ms(const struct bus_call *call)
{
	uint64_t now_us = loop_now_us(call->bus->loop);

	if (!call->deadline_us)
		return 0;
	if (call->deadline_us <= now_us + 1000)
		return 1;
	return (uint32_t)((call->deadline_us - now_us) / 1000);
}

sd_bus_message *bus_call_reply(struct bus_call *call)
{
	sd_bus_message *reply = NULL;
	int r = sd_bus_message_new_method_return(call->message, &reply);

	if (r < 0) {
		log_error(NULL, "reply: %s", strerror(-r));
		return NULL;
	}
	return reply;
}

void bus_call_send(struct bus_call *call, sd_bus_message *reply, size_t bytes)
{
	if (bytes)
		client_charge_reply(call->client, bytes); /* on top of what the call itself was charged */
	bus_send(call->bus, reply);
	bus_call_free(call);
}

void bus_call_done(struct bus_call *call, const char *types, ...)
{
	sd_bus_message *reply = bus_call_reply(call);
	va_list ap;
	int r = reply ? 0 : -ENOMEM;

	if (r == 0 && types) {
		va_start(ap, types);
		r = sd_bus_message_appendv(reply, types, ap);
		va_end(ap);
	}
	if (r >= 0) {
		bus_call_send(call, reply, 0);
		return;
	}
	sd_bus_message_unref(reply);
	bus_call_fail_res(call, r);
}

void bus_call_fail(struct bus_call *call, const struct bus_error *e)
{
	if (bus_fail(call->message, e) < 0 && !call->bus->lost)
		log_error(NULL, "an error could not be sent");
	bus_call_free(call);
}

void bus_call_fail_res(struct bus_call *call, int res)
{
	bus_call_fail(call, &(struct bus_error){.res = res});
}

int bus_call_started(struct bus_call *call, int r)
{
	if (r != 0)
		bus_call_fail_res(call, r);
	return 1;
}

void calls_drop(struct client *client)
{
	struct bus_call *call;

	while ((call = list_first(&client->calls, struct bus_call, link)))
		bus_call_free(call);
}

/* Through the op, so that the call's own done() words the error; a call between two ops has none. */
static void bus_call_end(struct bus_call *call, int res)
{
	if (call->op && op_live(call->op))
		op_fail(call->op, res);
	else
		bus_call_fail_res(call, res);
}

void calls_fail(struct client *client, int res)
{
	struct list ending;
	struct bus_call *call;

	list_init(&ending);
	list_move_all(&client->calls, &ending);
	while ((call = list_first(&ending, struct bus_call, link)))
		bus_call_end(call, res);
}

void scope_fail(struct list *scope, int res)
{
	struct list ending;
	struct bus_call *call;

	list_init(&ending);
	list_move_all(scope, &ending);
	while ((call = list_first(&ending, struct bus_call, scope)))
		bus_call_end(call, res);
}
