/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of the bus, shared by the files of src/bus. One thread, one connection; no call to the bus ever waits for
 * its answer. The rule a reader would break first: whatever is sent because of radio traffic goes through a sink or
 * through struct props, which are emptied once a pass in bus_flush(), never from inside an engine's callback.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#include "aiobled/bus.h"
#include "aiobled/list.h"
#include "aiobled/loop.h"

#include "bus_result.h"

#define BUS_NAME              "org.aioble"
#define BUS_ROOT              "/org/aioble"
#define BUS_IFACE_PREFIX      "org.aioble."
#define BUS_PATH_MAX          64 /* of adapters, scanners and connections: name and a number fit */
#define BUS_MESSAGES_PER_PASS 32 /* then the radio has its turn */
#define BUS_WRITE_HIGH                                                                             \
	256 /* messages waiting for the bus itself; above it sinks keep what they have */
#define BUS_CLIENT_BUCKETS 64
#define BUS_SLOTS_MAX      32

struct adapter_bus;
struct adv_bus;
struct app_bus;
struct conn_bus;
struct scan_bus;
struct sub_bus;

/* One remote attribute as a path names it; valid until the next lookup. */
struct attr_ref {
	struct conn_bus *conn;
	struct gatt_service *service;
	struct gatt_characteristic *characteristic;
	struct gatt_descriptor *descriptor;
};

/* One of our own attributes, likewise. */
struct local_ref {
	struct app_bus *app;
	struct gatt_local_service *service;
	struct gatt_local *local; /* NULL: the service itself */
};

struct bus {
	struct loop *loop;
	sd_bus *sd;
	struct manager *manager;
	struct bus_config config;
	const struct bus_events *events;
	void *data;
	const char *const *warnings;

	struct loop_io io;
	bool readable; /* the descriptor was ready, and not everything was processed since */
	bool lost;     /* told already */
	bool named;    /* before that nobody knows us, and nothing is announced: who finds the name looks around */
	bool stopping; /* new work is refused */
	sd_bus_slot *slots[BUS_SLOTS_MAX];
	size_t n_slots;
	sd_bus_slot *name_call;

	struct list adapters; /* struct adapter_bus */
	struct list dirty;    /* struct props with something to tell */
	struct list flush;    /* struct sink with something to send */
	struct list
		streams; /* struct stream that still has something to say after its source ended */
	uint64_t next_conn, next_scan, next_adv, next_sub,
		next_app; /* numbers of paths, never used again */
	struct attr_ref attr;
	struct local_ref local;

	struct list clients[BUS_CLIENT_BUCKETS]; /* struct client */
	size_t n_clients;
	sd_bus_slot *leave_match;
	bool leave_matched; /* the bus has confirmed it */
};

/* Changed properties of one interface of one object, told once a pass. */
struct props {
	struct list link;
	struct bus *bus;
	const char *path, *interface; /* borrowed */
	const char *const *names;     /* NULL-terminated; bit i of the masks is names[i] */
	uint32_t dirty;
};

void props_init(struct props *p, struct bus *bus, const char *path, const char *interface,
                const char *const *names);
void props_deinit(struct props *p);

/** props_dirty() - the properties of @mask have changed */
void props_dirty(struct props *p, uint32_t mask);

/** props_flush() - tell it now, not at the end of the pass: before a signal that must come after it */
void props_flush(struct props *p);

/** bus_keep_slot() - @slot lives as long as the bus */
void bus_keep_slot(struct bus *bus, sd_bus_slot *slot);

/** bus_export() - a fallback vtable below BUS_ROOT */
int bus_export(struct bus *bus, const char *interface, const sd_bus_vtable *vtable,
               sd_bus_object_find_t find);

/** bus_add_*() - the interfaces of each file; called once by bus_new() */
int bus_add_manager(struct bus *bus);
int bus_add_tree(struct bus *bus);
int bus_add_adapter(struct bus *bus);
int bus_add_scanner(struct bus *bus);
int bus_add_advertiser(struct bus *bus);
int bus_add_connection(struct bus *bus);
int bus_add_gatt(struct bus *bus);
int bus_add_subscription(struct bus *bus);
int bus_add_application(struct bus *bus);
int bus_add_local(struct bus *bus);

/** bus_announce(), bus_withdraw() - InterfacesAdded and InterfacesRemoved */
void bus_announce(struct bus *bus, const char *path, const char *interface);
void bus_withdraw(struct bus *bus, const char *path, const char *interface);

/** bus_signal() - start a signal; @destination: unique name, or NULL for everybody. Return: the message, or NULL (logged). */
sd_bus_message *bus_signal(struct bus *bus, const char *path, const char *interface,
                           const char *member, const char *destination);

/** bus_send() - send and forget; failures are logged. Takes the reference. */
void bus_send(struct bus *bus, sd_bus_message *m);

/** bus_congested() - the bus takes less than we have for it */
bool bus_congested(struct bus *bus);
