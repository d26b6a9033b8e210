/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bridge between sd-bus and the loop. sd-bus wants its descriptor's events and its absolute timeout asked before each
 * poll and itself processed until idle after each; both happen in the loop's idle hook, so that everything any callback
 * sent in the pass is covered. Messages are processed in portions, because the radio comes first.
 *
 * What would break first: a synchronous call anywhere. It moves incoming messages into sd-bus's own queue, where no
 * descriptor tells of them, and it stops the radio.
 */
#include "bus_priv.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "adapter_bus.h"
#include "client.h"
#include "sink.h"
#include "stream.h"

#define FLUSH_AT_EXIT_MS 1000

static void bus_lost(struct bus *bus, int err)
{
	if (bus->lost)
		return;
	bus->lost = true;
	(void)loop_io_set(&bus->io, 0); /* a dead descriptor would wake the loop for ever */
	bus->events->lost(err, bus->data);
}

static void bus_flush(struct bus *bus)
{
	struct props *p;

	sinks_flush(bus);
	while ((p = list_first(&bus->dirty, struct props, link)))
		props_flush(p);
}

/* Return: true when there is more to process */
static bool bus_process(struct bus *bus)
{
	for (int i = 0; i < BUS_MESSAGES_PER_PASS; i++) {
		int r = sd_bus_process(bus->sd, NULL);

		if (r < 0)
			bus_lost(bus, r);
		if (r <= 0) {
			bus->readable = false;
			return false;
		}
	}
	return true;
}

static int bus_rearm(struct bus *bus)
{
	int events = sd_bus_get_events(bus->sd);

	if (events < 0)
		return events;
	return loop_io_set(&bus->io,
	                   (events & POLLIN ? LOOP_READ : 0) | (events & POLLOUT ? LOOP_WRITE : 0));
}

static uint64_t bus_idle(void *data)
{
	struct bus *bus = data;
	uint64_t due_us = UINT64_MAX;
	bool more = false;
	int r;

	if (bus->lost)
		return UINT64_MAX;
	bus_flush(bus);
	r = sd_bus_get_timeout(bus->sd, &due_us);
	if (r >= 0 && (bus->readable || due_us <= loop_now_us(bus->loop))) {
		more = bus_process(bus);
		bus_flush(bus);
	}
	if (bus->lost)
		return UINT64_MAX;
	r = bus_rearm(bus);
	if (r >= 0)
		r = sd_bus_get_timeout(bus->sd, &due_us);
	if (r < 0) {
		bus_lost(bus, r);
		return UINT64_MAX;
	}
	if (more || (!list_empty(&bus->flush) && !bus_congested(bus)))
		return 0;
	return due_us;
}

static void on_ready(struct loop_io *io, _unused_ int ready)
{
	container_of(io, struct bus, io)->readable = true;
}

/* --- sending --- */

bool bus_congested(struct bus *bus)
{
	uint64_t n = 0;

	return sd_bus_get_n_queued_write(bus->sd, &n) >= 0 && n > BUS_WRITE_HIGH;
}

sd_bus_message *bus_signal(struct bus *bus, const char *path, const char *interface,
                           const char *member, const char *destination)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int r = sd_bus_message_new_signal(bus->sd, &m, path, interface, member);

	if (r >= 0 && destination)
		r = sd_bus_message_set_destination(m, destination);
	if (r < 0) {
		log_error(NULL, "signal %s: %s", member, strerror(-r));
		return NULL;
	}
	return steal(&m);
}

void bus_send(struct bus *bus, sd_bus_message *m)
{
	int r = sd_bus_send(bus->sd, m, NULL);

	if (r < 0 && !bus->lost)
		log_error(NULL, "sending to the bus: %s", strerror(-r));
	sd_bus_message_unref(m);
}

void bus_announce(struct bus *bus, const char *path, const char *interface)
{
	int r = bus->named ? sd_bus_emit_interfaces_added(bus->sd, path, interface, NULL) : 0;

	if (r < 0 && !bus->lost)
		log_error(NULL, "announcing %s: %s", path, strerror(-r));
}

void bus_withdraw(struct bus *bus, const char *path, const char *interface)
{
	int r = bus->named ? sd_bus_emit_interfaces_removed(bus->sd, path, interface, NULL) : 0;

	if (r < 0 && !bus->lost)
		log_error(NULL, "withdrawing %s: %s", path, strerror(-r));
}

/* --- changed properties --- */

void props_init(struct props *p, struct bus *bus, const char *path, const char *interface,
                const char *const *names)
{
	*p = (struct props){.bus = bus, .path = path, .interface = interface, .names = names};
	list_init(&p->link);
}

void props_deinit(struct props *p)
{
	list_del(&p->link);
	p->dirty = 0;
}

void props_dirty(struct props *p, uint32_t mask)
{
	p->dirty |= mask;
	if (mask && !list_linked(&p->link))
		list_add_tail(&p->bus->dirty, &p->link);
}

void props_flush(struct props *p)
{
	char *names[33];
	size_t n = 0;
	int r;

	for (unsigned int i = 0; p->names[i]; i++)
		if (p->dirty & 1u << i)
			names[n++] =
				(char *)p->names[i]; /* sd-bus takes a strv it does not change */
	names[n] = NULL;
	list_del(&p->link);
	p->dirty = 0;
	if (n == 0 || !p->bus->named)
		return;
	r = sd_bus_emit_properties_changed_strv(p->bus->sd, p->path, p->interface, names);
	if (r < 0 && !p->bus->lost)
		log_error(NULL, "properties of %s: %s", p->path, strerror(-r));
}

/* --- life --- */

void bus_keep_slot(struct bus *bus, sd_bus_slot *slot)
{
	assert(bus->n_slots < BUS_SLOTS_MAX);
	bus->slots[bus->n_slots++] = slot;
}

int bus_export(struct bus *bus, const char *interface, const sd_bus_vtable *vtable,
               sd_bus_object_find_t find)
{
	sd_bus_slot *slot;
	int r = sd_bus_add_fallback_vtable(bus->sd, &slot, BUS_ROOT, interface, vtable, find, bus);

	if (r >= 0)
		bus_keep_slot(bus, slot);
	return r;
}

static int bus_open(const char *address, sd_bus **ret)
{
	_cleanup_(sd_bus_unrefp) sd_bus *sd = NULL;
	int r;

	if (strcmp(address, "system") == 0)
		return sd_bus_open_system_with_description(ret, "aiobled");
	if (strcmp(address, "user") == 0)
		return sd_bus_open_user_with_description(ret, "aiobled");
	r = sd_bus_new(&sd);
	if (r >= 0)
		r = sd_bus_set_address(sd, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(sd, true);
	if (r >= 0)
		r = sd_bus_negotiate_fds(sd, true);
	if (r >= 0)
		r = sd_bus_start(sd);
	if (r < 0)
		return r;
	*ret = steal(&sd);
	return 0;
}

static int bus_connect(struct bus *bus)
{
	int r = bus_open(bus->config.address, &bus->sd);

	if (r < 0)
		return r;
	r = sd_bus_set_exit_on_disconnect(bus->sd, false);
	if (r < 0)
		return r;
	r = sd_bus_get_fd(bus->sd);
	if (r < 0)
		return r;
	r = loop_io_init(&bus->io, bus->loop, r, on_ready);
	if (r < 0)
		return r;
	bus->readable = true;
	return bus_rearm(bus);
}

static int bus_add_objects(struct bus *bus)
{
	static int (*const add[])(struct bus *) = {
		bus_add_tree,        bus_add_manager,    bus_add_adapter, bus_add_scanner,
		bus_add_advertiser,  bus_add_connection, bus_add_gatt,    bus_add_subscription,
		bus_add_application, bus_add_local,
	};

	for (size_t i = 0; i < ARRAY_SIZE(add); i++) {
		int r = add[i](bus);

		if (r < 0)
			return r;
	}
	return 0;
}

int bus_new(struct loop *loop, struct manager *manager, const struct bus_config *config,
            const struct bus_events *events, void *data, struct bus **ret)
{
	static const char *const none[] = {NULL};
	_cleanup_(bus_freep) struct bus *bus = calloc(1, sizeof(*bus));
	int r;

	if (!bus)
		return -ENOMEM;
	bus->loop = loop;
	bus->manager = manager;
	bus->config = *config;
	bus->events = events;
	bus->data = data;
	bus->warnings = none;
	bus->io.fd = -1;
	bus->next_conn = bus->next_scan = bus->next_adv = bus->next_sub = bus->next_app = 1;
	list_init(&bus->adapters);
	list_init(&bus->dirty);
	list_init(&bus->flush);
	list_init(&bus->streams);
	for (size_t i = 0; i < BUS_CLIENT_BUCKETS; i++)
		list_init(&bus->clients[i]);
	r = bus_connect(bus);
	if (r >= 0)
		r = bus_add_objects(bus);
	if (r < 0)
		return r;
	loop_set_idle(loop, bus_idle, bus);
	*ret = steal(&bus);
	return 0;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* The only place that waits for the bus: what is queued gets a bounded time to leave, after the loop has ended. */
static void bus_drain(sd_bus *sd)
{
	uint64_t end_ms = now_ms() + FLUSH_AT_EXIT_MS, n = 0;

	while (sd_bus_get_n_queued_write(sd, &n) >= 0 && n > 0) {
		struct pollfd pfd = {.fd = sd_bus_get_fd(sd), .events = POLLOUT};
		uint64_t now = now_ms();

		if (now >= end_ms || poll(&pfd, 1, (int)(end_ms - now)) <= 0 ||
		    sd_bus_process(sd, NULL) < 0)
			return;
	}
}

struct bus *bus_free(struct bus *bus)
{
	if (!bus)
		return NULL;
	bus->stopping = true;
	loop_set_idle(bus->loop, NULL, NULL);
	while (!list_empty(&bus->adapters))
		adapter_bus_free(list_first(&bus->adapters, struct adapter_bus, link));
	streams_free(bus);
	clients_free(bus);
	assert(list_empty(&bus->dirty));
	assert(list_empty(&bus->flush));
	sd_bus_slot_unref(bus->name_call);
	for (size_t i = 0; i < bus->n_slots; i++)
		sd_bus_slot_unref(bus->slots[i]);
	loop_io_deinit(&bus->io);
	if (bus->sd && !bus->lost)
		bus_drain(bus->sd);
	sd_bus_close_unref(bus->sd);
	free(bus);
	return NULL;
}

/* --- the name --- */

static int on_name_reply(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct bus *bus = data;
	uint32_t code = 0;
	int r;

	bus->name_call = sd_bus_slot_unref(bus->name_call);
	if (sd_bus_message_is_method_error(m, NULL)) {
		r = -sd_bus_message_get_errno(m);
		if (r == -EACCES)
			r = -EPERM;
	} else {
		r = sd_bus_message_read(m, "u", &code);
	}
	if (r >= 0)
		r = code == 1 || code == 4 ? 0 : -EEXIST; /* primary owner, already owner */
	bus->named = r >= 0;
	bus->events->name(r, bus->data);
	return 0;
}

int bus_request_name(struct bus *bus)
{
	return sd_bus_request_name_async(bus->sd, &bus->name_call, BUS_NAME, 0, on_name_reply, bus);
}

void bus_cancel_calls(struct bus *bus)
{
	bus->stopping = true;
	clients_cancel_calls(bus);
}

sd_bus *bus_sd(struct bus *bus)
{
	return bus->sd;
}
