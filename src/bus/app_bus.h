/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.aioble.Application1: the services one client registered, and what peers do with them. What stands below it
 * (local_bus.h) is looked up in the adapter's table at each call, as a peer's attributes are; an application owns its
 * events, the questions its readers wait for, and its OpenNotify descriptors.
 */
#pragma once

#include "aiobled/gatt_server.h"

#include "adapter_bus.h"
#include "bus_call.h"
#include "holder.h"
#include "sink.h"

#define APP_QUEUE_DEFAULT 10
#define APP_PATH_MAX      (BUS_PATH_MAX + 8)

struct app_defs;
struct conn_bus;

/* PropertiesChanged of a characteristic that has subscribers, or may have. gatt_local.data. */
struct local_props {
	struct props props;
	char path[APP_PATH_MAX];
};

struct app_bus {
	struct list link; /* in adapter->apps */
	struct adapter_bus *adapter;
	uint64_t id;
	char path[BUS_PATH_MAX];
	char *name;           /* "": none */
	char *owner;          /* unique name of who registered it */
	struct gatt_app *app; /* NULL: not registered yet, or replaced */
	struct holder holder;
	struct sink sink;
	struct props props;
	struct list calls;     /* struct bus_call that wait for its events */
	struct list questions; /* struct question: readers that wait */
	struct list sends;     /* struct send_call: Notify and Indicate that wait */
	struct list streams;   /* struct notify_stream */
	uint64_t collapsed;
	struct local_props *locals; /* of each characteristic with a CCCD */
	size_t n_locals;
};

/* --- app_bus.c --- */

/** app_bus_register() - Adapter1.RegisterServices */
int app_bus_register(struct adapter_bus *a, sd_bus_message *m);

/** app_bus_configure() - Adapter1.Configure */
int app_bus_configure(struct adapter_bus *a, sd_bus_message *m);

/** app_bus_end() - its services go, whoever waits is answered, its holders are told why; frees it */
void app_bus_end(struct app_bus *app, const char *reason, const struct bus_error *error);

/** app_bus_free() - silently */
void app_bus_free(struct app_bus *app);

/** app_bus_let_go() - @client lets go, and the services go now when nobody else holds them. Return: true: @app is gone. */
bool app_bus_let_go(struct app_bus *app, struct client *client);

/** app_bus_flush() - before a link's Disconnected: what was told of it goes out, as far as may be */
void app_bus_flush(struct adapter_bus *a);

/** app_bus_attributes() - how many objects it is, itself not counted */
size_t app_bus_attributes(const struct app_bus *app);

/* --- app_event_bus.c --- */

extern const struct gatt_app_events app_events;
extern const struct sink_events app_sink_events;

/** app_questions_free() - nobody will answer them here any more */
void app_questions_free(struct app_bus *app);

int app_bus_next(sd_bus_message *m, void *app, sd_bus_error *error);
int app_bus_open(sd_bus_message *m, void *app, sd_bus_error *error);
int app_bus_answer_read(sd_bus_message *m, void *app, sd_bus_error *error);

/* --- local_bus.c --- */

/** local_path() - "APPLICATION/hXXXX". Return: @buf. */
const char *local_path(const struct app_bus *app, uint16_t handle, char buf[APP_PATH_MAX]);

/** local_append_services() - a(osqqba(osqqqya(osq))) */
int local_append_services(sd_bus_message *m, const struct app_bus *app);

/** local_append_subscribers() - a(oobb) */
int local_append_subscribers(sd_bus_message *m, const struct app_bus *app);

/** local_known() - is there an object of @interface at @handle? */
bool local_known(const struct app_bus *app, uint16_t handle, const char *interface);

/** local_props_new() - for the characteristics of @defs, before they are registered. Return: 0, -ENOMEM. */
int local_props_new(struct app_bus *app, const struct app_defs *defs);

/** local_props_bind() - they are registered: from now on local_changed() works */
void local_props_bind(struct app_bus *app);

/** local_props_free() - the characteristics may be there, or gone */
void local_props_free(struct app_bus *app);

/** local_changed() - the subscribers of @local are others now */
void local_changed(const struct gatt_local *local);
