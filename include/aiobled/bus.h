/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.aioble on a bus: the bridge between sd-bus and the loop, and the objects below /org/aioble.
 */
#pragma once

#include <stdint.h>

#include "aiobled/cleanup.h"
#include "aiobled/loop.h"

struct adapter;
struct bus;
struct manager;
typedef struct sd_bus sd_bus;

struct bus_config {
	const char *address; /* "system", "user", or a D-Bus address */
	const char *version; /* Manager1.Version; borrowed */
	uint32_t linger_ms;
	uint32_t calls, scanners, advertisers, connections, subscriptions, streams, applications; /* quotas of one client */
};

struct bus_events {
	/* answer to bus_request_name(): 0, or -EEXIST (somebody owns it), -EPERM (the bus policy forbids it), -errno */
	void (*name)(int res, void *data);
	/* the connection broke: no client can be reached any more */
	void (*lost)(int err, void *data);
};

/**
 * bus_new() - connect and export /org/aioble; adapters follow by bus_adapter_added()
 * @manager, @events: borrowed; @config is copied, its strings are borrowed
 *
 * Becomes the loop's idle hook. Connecting does not wait for the bus: authentication goes on in the loop.
 *
 * Return: 0, -errno (no such bus, bad address), -ENOMEM.
 */
int bus_new(struct loop *loop, struct manager *manager, const struct bus_config *config, const struct bus_events *events,
	    void *data, struct bus **ret);

/** bus_free() - objects and clients go; what is queued is flushed for at most a second's time. Takes NULL. */
struct bus *bus_free(struct bus *bus);
DEFINE_CLEANUP(struct bus *, bus_free)

/** bus_request_name() - ask for org.aioble; bus_events.name() answers */
int bus_request_name(struct bus *bus);

/** bus_adapter_added(), bus_adapter_removed() - from the manager's events of the same names */
void bus_adapter_added(struct bus *bus, struct adapter *adapter);
void bus_adapter_removed(struct bus *bus, struct adapter *adapter);

/** bus_set_warnings() - sentences for Manager1.Warnings (borrowed, NULL-terminated) */
void bus_set_warnings(struct bus *bus, const char *const *warnings);

/** bus_cancel_calls() - answer every waiting call with Canceled, and refuse new work: the daemon is stopping */
void bus_cancel_calls(struct bus *bus);

/** bus_sd() - the connection, for asynchronous calls of our own; borrowed */
sd_bus *bus_sd(struct bus *bus);
