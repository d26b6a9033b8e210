/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients. Their leaving is heard through one match rule for every name that leaves the bus, which stands while there is
 * any client: no rule and no question for each (the bus allows 512 rules), and nobody wakes an idle daemon. What came
 * before the rule was confirmed is asked for by name, since its leaving may have been missed.
 */
#include "client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "bus_call.h"
#include "bus_priv.h"
#include "holder.h"
#include "sink.h"
#include "stream.h"

const char *quota_name(enum client_quota quota)
{
	static const char *const names[QUOTA_COUNT] = {
		[QUOTA_CALLS] = "calls",
		[QUOTA_SCANNERS] = "scanners",
		[QUOTA_ADVERTISERS] = "advertisers",
		[QUOTA_CONNECTIONS] = "connections",
		[QUOTA_SUBSCRIPTIONS] = "subscriptions",
		[QUOTA_STREAMS] = "streams",
		[QUOTA_APPLICATIONS] = "applications",
	};

	return names[quota];
}

uint32_t quota_limit(const struct bus *bus, enum client_quota quota)
{
	const struct bus_config *c = &bus->config;

	switch (quota) {
	case QUOTA_CALLS:
		return c->calls;
	case QUOTA_SCANNERS:
		return c->scanners;
	case QUOTA_ADVERTISERS:
		return c->advertisers;
	case QUOTA_CONNECTIONS:
		return c->connections;
	case QUOTA_SUBSCRIPTIONS:
		return c->subscriptions;
	case QUOTA_STREAMS:
		return c->streams;
	case QUOTA_APPLICATIONS:
		return c->applications;
	case QUOTA_COUNT:
		break;
	}
	return 0;
}

int client_take(struct client *client, enum client_quota quota, struct bus_error *err)
{
	uint32_t limit = quota_limit(client->bus, quota);

	if (client->used[quota] >= limit) {
		*err = (struct bus_error){.res = -ENOBUFS,
		                          .text = "the quota of one client is used up",
		                          .what = quota_name(quota),
		                          .limit = limit};
		return -ENOBUFS;
	}
	client->used[quota]++;
	return 0;
}

void client_give(struct client *client, enum client_quota quota)
{
	if (client)
		client->used[quota]--;
}

/* --- credit --- */

static struct sent unread(const struct client *client)
{
	const struct credit *c = &client->credit;

	return (struct sent){
		.messages = c->sent.messages - c->read.messages,
		.bytes = c->sent.bytes - c->read.bytes,
		.reply_bytes = c->sent.reply_bytes - c->read.reply_bytes,
	};
}

static void credit_read(struct client *client, const struct sent *read)
{
	struct credit *c = &client->credit;

	c->read.messages = MIN(MAX(read->messages, c->read.messages), c->sent.messages);
	c->read.bytes = MIN(MAX(read->bytes, c->read.bytes), c->sent.bytes);
	c->read.reply_bytes = MIN(MAX(read->reply_bytes, c->read.reply_bytes), c->sent.reply_bytes);
	if (client_may_send(client))
		sinks_unblock(client);
}

static void credit_probe(struct client *client);

/* The client itself has answered, with whatever; or the bus has, in its place. */
static int on_pong(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct client *client = data;
	struct credit *c = &client->credit;
	const char *sender = sd_bus_message_get_sender(m);

	c->ping = sd_bus_slot_unref(c->ping);
	c->forbidden = !sender || strcmp(sender, client->name) != 0;
	if (c->forbidden) {
		log_debug(NULL, "%s cannot be asked whether it reads: paced", client->name);
		timer_start_ms(&c->pace, CREDIT_PACE_MS);
		return 0;
	}
	timer_stop(&c->pace);
	credit_read(client, &c->probed);
	credit_probe(client);
	return 0;
}

static void on_pace(struct timer *t)
{
	struct client *client = container_of(t, struct client, credit.pace);
	struct credit *c = &client->credit;
	struct sent read = c->read;

	read.reply_bytes += REPLIES_PACE_BYTES;
	if (!c->ping) {
		read.messages += CREDIT_PACE_MESSAGES;
		read.bytes += CREDIT_PACE_BYTES;
	}
	credit_read(client, &read);
	if (c->ping || memcmp(&c->read, &c->sent, sizeof(c->sent)) != 0)
		timer_start_ms(t, CREDIT_PACE_MS);
}

static void credit_probe(struct client *client)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	struct credit *c = &client->credit;
	struct sent u = unread(client);
	int r;

	if (c->ping || (c->forbidden && timer_armed(&c->pace)))
		return;
	if (u.messages < CREDIT_PROBE_MESSAGES && u.bytes < CREDIT_PROBE_BYTES &&
	    u.reply_bytes < REPLIES_PROBE_BYTES)
		return;
	c->probed = c->sent;
	timer_start_ms(&c->pace, CREDIT_PACE_MS);
	r = sd_bus_message_new_method_call(client->bus->sd, &m, client->name, "/",
	                                   "org.freedesktop.DBus.Peer", "Ping");
	if (r >= 0)
		r = sd_bus_message_set_auto_start(m, false);
	if (r >= 0)
		r = sd_bus_call_async(client->bus->sd, &c->ping, m, on_pong, client, UINT64_MAX);
	if (r < 0)
		log_debug(NULL, "%s: ping: %s", client->name, strerror(-r));
}

bool client_may_send(const struct client *client)
{
	struct sent u = unread(client);

	return u.messages < CREDIT_STOP_MESSAGES && u.bytes < CREDIT_STOP_BYTES;
}

void client_charge(struct client *client, size_t bytes)
{
	client->credit.sent.messages++;
	client->credit.sent.bytes += bytes;
	credit_probe(client);
}

void client_charge_reply(struct client *client, size_t bytes)
{
	client->credit.sent.reply_bytes += bytes;
	credit_probe(client);
}

int client_refuse(struct client *client, sd_bus_message *m)
{
	struct sent u = unread(client);

	if (u.reply_bytes < REPLIES_REFUSE_BYTES)
		return 0;
	if (u.reply_bytes < REPLIES_MUTE_BYTES) {
		client_charge_reply(client, CLIENT_REPLY_BYTES);
		(void)bus_fail(m,
		               &(struct bus_error){.res = -ENOBUFS,
		                                   .text = "read your replies, and answer Ping",
		                                   .what = "replies"}); /* it would not read it */
	}
	return 1;
}

/* --- coming and going --- */

static struct list *bucket(struct bus *bus, const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a */

	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * 16777619u;
	return &bus->clients[h % BUS_CLIENT_BUCKETS];
}

struct client *client_find(struct bus *bus, const char *name)
{
	struct list *b = bucket(bus, name);
	struct client *c;

	list_for_each (c, b, link)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static void client_free(struct client *client)
{
	struct bus *bus = client->bus;

	list_del(&client->link);
	bus->n_clients--;
	calls_drop(client);
	holdings_drop(client);
	sinks_orphan(client);
	streams_orphan(client);
	timer_stop(&client->credit.pace);
	sd_bus_slot_unref(client->credit.ping);
	sd_bus_slot_unref(client->ask);
	free(client->name);
	free(client);
	if (bus->n_clients == 0) {
		bus->leave_match = sd_bus_slot_unref(bus->leave_match);
		bus->leave_matched = false;
	}
}

static void client_left(struct client *client)
{
	log_debug(NULL, "%s has left the bus", client->name);
	client_free(client);
}

static int on_leave(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	const char *name, *before, *now;
	struct client *client;

	if (sd_bus_message_read(m, "sss", &name, &before, &now) < 0 || *now)
		return 0;
	client = client_find(data, name);
	if (client)
		client_left(client);
	return 0;
}

static int on_leave_matched(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct bus *bus = data;

	if (sd_bus_message_is_method_error(m, NULL))
		log_error(NULL, "the bus does not tell who leaves: %s",
		          sd_bus_message_get_error(m)->message);
	bus->leave_matched = true;
	return 0;
}

static int on_there(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct client *client = data;
	int there = 1;

	client->ask = sd_bus_slot_unref(client->ask);
	if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "b", &there) < 0)
		return 0;
	if (!there)
		client_left(client);
	return 0;
}

static int watch_leaving(struct bus *bus)
{
	if (bus->leave_match)
		return 0;
	return sd_bus_add_match_async(
		bus->sd, &bus->leave_match,
		"type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
		"interface='org.freedesktop.DBus',member='NameOwnerChanged',arg2=''",
		on_leave, on_leave_matched, bus);
}

static int ask_there(struct client *client)
{
	if (client->bus->leave_matched)
		return 0;
	return sd_bus_call_method_async(client->bus->sd, &client->ask, "org.freedesktop.DBus",
	                                "/org/freedesktop/DBus", "org.freedesktop.DBus",
	                                "NameHasOwner", on_there, client, "s", client->name);
}

static int client_new(struct bus *bus, const char *name, struct client **ret)
{
	struct client *client = calloc(1, sizeof(*client));
	int r;

	if (!client)
		return -ENOMEM;
	client->bus = bus;
	list_init(&client->calls);
	list_init(&client->holdings);
	list_init(&client->sinks);
	list_init(&client->blocked);
	list_init(&client->streams);
	timer_init(&client->credit.pace, bus->loop, on_pace);
	list_add_tail(bucket(bus, name), &client->link);
	bus->n_clients++;
	client->name = strdup(name);
	r = client->name ? watch_leaving(bus) : -ENOMEM;
	if (r >= 0)
		r = ask_there(client);
	if (r < 0) {
		client_free(client);
		return r;
	}
	*ret = client;
	return 0;
}

int client_of(struct bus *bus, sd_bus_message *m, struct client **ret)
{
	const char *name = sd_bus_message_get_sender(m);

	if (!name)
		return -EINVAL; /* cannot be: the bus stamps every message */
	*ret = client_find(bus, name);
	return *ret ? 0 : client_new(bus, name, ret);
}

void clients_cancel_calls(struct bus *bus)
{
	struct client *client;

	for (size_t i = 0; i < BUS_CLIENT_BUCKETS; i++)
		list_for_each (client, &bus->clients[i], link)
			calls_fail(client, -ECANCELED);
}

void clients_free(struct bus *bus)
{
	for (size_t i = 0; i < BUS_CLIENT_BUCKETS; i++)
		while (!list_empty(&bus->clients[i]))
			client_free(list_first(&bus->clients[i], struct client, link));
}
