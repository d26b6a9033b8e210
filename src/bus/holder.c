/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Holders and lifetimes. released() may free the object, and with it the holder: it is always the last thing done.
 */
#include "holder.h"

#include <errno.h>
#include <stdlib.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "bus_priv.h"

const char *const lifetime_names[] = {"caller", "linger", "persistent", NULL};

struct holding {
	struct list link;        /* in holder->holdings */
	struct list client_link; /* in client->holdings */
	struct holder *holder;
	struct client *client;
};

static void on_expiry(struct timer *t)
{
	struct holder *h = container_of(t, struct holder, expiry);

	if (h->busy && h->busy(h))
		timer_start_ms(&h->expiry, h->bus->config.linger_ms);
	else
		h->released(h);
}

void holder_init(struct holder *h, struct bus *bus, enum client_quota quota, enum lifetime lifetime,
                 void (*released)(struct holder *h))
{
	*h = (struct holder){
		.bus = bus, .quota = quota, .lifetime = lifetime, .released = released};
	list_init(&h->holdings);
	timer_init(&h->expiry, bus->loop, on_expiry);
	timer_start_ms(&h->expiry, bus->config.linger_ms);
}

static void holding_free(struct holding *g)
{
	list_del(&g->link);
	list_del(&g->client_link);
	client_give(g->client, g->holder->quota);
	free(g);
}

void holder_deinit(struct holder *h)
{
	struct holding *g;

	while ((g = list_first(&h->holdings, struct holding, link)))
		holding_free(g);
	timer_stop(&h->expiry);
}

static struct holding *find(const struct holder *h, const struct client *client)
{
	struct holding *g;

	list_for_each (g, &h->holdings, link)
		if (g->client == client)
			return g;
	return NULL;
}

bool holder_has(const struct holder *h, const struct client *client)
{
	return find(h, client);
}

int holder_add(struct holder *h, struct client *client, struct bus_error *err)
{
	struct holding *g;

	if (find(h, client))
		return 0;
	if (client_take(client, h->quota, err) < 0)
		return -ENOBUFS;
	g = calloc(1, sizeof(*g));
	if (!g) {
		client_give(client, h->quota);
		*err = (struct bus_error){.res = -ENOMEM};
		return -ENOMEM;
	}
	g->holder = h;
	g->client = client;
	list_add_tail(&h->holdings, &g->link);
	list_add_tail(&client->holdings, &g->client_link);
	timer_stop(&h->expiry);
	return 0;
}

/* The last holder is gone. */
static void holder_abandoned(struct holder *h)
{
	switch (h->lifetime) {
	case LIFETIME_CALLER:
		h->released(h);
		return;
	case LIFETIME_LINGER:
		if (!timer_armed(&h->expiry)) /* else it is over already: holder_expire() */
			timer_start_ms(&h->expiry, h->bus->config.linger_ms);
		return;
	case LIFETIME_PERSISTENT:
		return;
	}
}

int holder_remove(struct holder *h, struct client *client)
{
	struct holding *g = find(h, client);

	if (!g)
		return -ENOENT;
	holding_free(g);
	if (holder_alone(h))
		holder_abandoned(h);
	return 0;
}

void holder_extend(struct holder *h, enum lifetime lifetime)
{
	h->lifetime = MAX(h->lifetime, lifetime);
	h->kept = h->kept && lifetime != LIFETIME_PERSISTENT;
}

void holder_keep(struct holder *h)
{
	h->lifetime = LIFETIME_PERSISTENT;
	h->kept = true;
	timer_stop(&h->expiry);
}

void holder_inherit(struct holder *h, const struct holder *from, const char *what)
{
	bool was_alone = holder_alone(h), passed = false;
	struct bus_error err;
	struct holding *g;

	list_for_each (g, &from->holdings, link) {
		if (holder_add(h, g->client, &err) == 0)
			continue;
		passed = true;
		log_debug(what, "%s cannot hold it, its quota is used up", g->client->name);
	}
	if (!was_alone) {
		holder_extend(h, from->lifetime);
	} else if (!holder_alone(h) || !passed) {
		h->lifetime = from->lifetime;
		h->kept = from->kept;
	}
	if (holder_alone(h) && h->lifetime == LIFETIME_LINGER)
		timer_start_ms(&h->expiry, h->bus->config.linger_ms);
}

void holder_touch(struct holder *h)
{
	if (timer_armed(&h->expiry))
		timer_start_ms(&h->expiry, h->bus->config.linger_ms);
}

void holder_expire(struct holder *h)
{
	h->busy = NULL;
	timer_start_ms(&h->expiry, h->bus->config.linger_ms);
}

const char *holder_other(const struct holder *h, const struct client *client)
{
	struct holding *g;

	list_for_each (g, &h->holdings, link)
		if (g->client != client)
			return g->client->name;
	return NULL;
}

static void send_finished(sd_bus_message *m, struct bus *bus, const char *reason,
                          const struct bus_error *error)
{
	int r;

	if (!m)
		return;
	r = sd_bus_message_append_basic(m, 's', reason);
	if (r >= 0)
		r = bus_error_append(m, error);
	if (r >= 0)
		bus_send(bus, m);
	else
		sd_bus_message_unref(m);
}

void holder_tell_finished(const struct holder *h, const char *path, const char *interface,
                          bool broadcast, const char *reason, const struct bus_error *error)
{
	struct holding *g;

	if (broadcast) {
		send_finished(bus_signal(h->bus, path, interface, "Finished", NULL), h->bus, reason,
		              error);
		return;
	}
	list_for_each (g, &h->holdings, link)
		send_finished(bus_signal(h->bus, path, interface, "Finished", g->client->name),
		              h->bus, reason, error);
}

static void send_object(sd_bus_message *m, struct bus *bus, const char *object)
{
	if (!m)
		return;
	if (sd_bus_message_append_basic(m, 'o', object) >= 0)
		bus_send(bus, m);
	else
		sd_bus_message_unref(m);
}

void holder_tell_object(const struct holder *h, const char *path, const char *interface, bool broadcast,
                        const char *member, const char *object)
{
	struct holding *g;

	if (broadcast) {
		send_object(bus_signal(h->bus, path, interface, member, NULL), h->bus, object);
		return;
	}
	list_for_each (g, &h->holdings, link)
		send_object(bus_signal(h->bus, path, interface, member, g->client->name), h->bus, object);
}

uint64_t holder_expires_us(const struct holder *h)
{
	return timer_armed(&h->expiry) ? h->expiry.due_us : 0;
}

int holder_append(const struct holder *h, sd_bus_message *m)
{
	struct holding *g;
	int r = sd_bus_message_open_container(m, 'a', "s");

	list_for_each (g, &h->holdings, link)
		if (r >= 0)
			r = sd_bus_message_append_basic(m, 's', g->client->name);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

void holdings_drop(struct client *client)
{
	struct holding *g;

	while ((g = list_first(&client->holdings, struct holding, client_link)))
		(void)holder_remove(g->holder, client); /* -ENOENT cannot be */
}
