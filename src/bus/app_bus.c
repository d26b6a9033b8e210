/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * org.aioble.Application1 and Adapter1.RegisterServices. A registration is made in an order in which each step can be taken
 * back and the engine's comes last but one: what replaces another must not fail once the other is gone. What follows it,
 * the reply, needs no more than memory.
 */
#include "app_bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "app_defs.h"
#include "bus_opts.h"
#include "client.h"
#include "conn_bus.h"
#include "local_bus.h"
#include "notify_stream.h"
#include "tree.h"

#define APPLICATION_INTERFACE "org.aioble.Application1"

#define NAME_BYTES_MAX     255
#define GAP_NAME_BYTES_MAX 248 /* Core 5.4, Vol 3, Part C, 12.1 */
#define APPEARANCE_STAYS   UINT32_MAX
#define ENTRY_COST         96 /* of an attribute in the reply, about */

enum { P_SUBSCRIBERS };

static const char *const property_names[] = {"Subscribers", NULL};

/* --- the end --- */

void app_bus_free(struct app_bus *app)
{
	struct notify_stream *n;

	if (app->app)
		gatt_server_remove(steal(&app->app));
	scope_fail(&app->calls, -ECANCELED);
	local_sends_cancel(app);
	while ((n = notify_stream_first(app)))
		notify_stream_free(n);
	app_questions_free(app);
	local_props_free(app);
	sink_deinit(&app->sink);
	holder_deinit(&app->holder);
	props_deinit(&app->props);
	list_del(&app->link);
	free(app->name);
	free(app->owner);
	free(app);
}

void app_bus_end(struct app_bus *app, const char *reason, const struct bus_error *error)
{
	struct bus *bus = app->adapter->bus;
	struct notify_stream *n;

	log_debug(adapter_name(app->adapter->adapter), "application %s: %s", app->path, reason);
	if (app->app) /* readers get their fallback, indications that wait their end */
		gatt_server_remove(steal(&app->app));
	app_questions_free(app);
	sink_flush_now(&app->sink);
	scope_fail(&app->calls, -ECANCELED);
	local_sends_cancel(app);
	while ((n = notify_stream_first(app)))
		notify_stream_end(n, 0, reason);
	holder_tell_finished(&app->holder, app->path, APPLICATION_INTERFACE, false, reason, error);
	sink_end(&app->sink, 0, reason);
	bus_withdraw(bus, app->path, APPLICATION_INTERFACE);
	app_bus_free(app);
}

static void end_plainly(struct app_bus *app, const char *reason)
{
	app_bus_end(app, reason, &(struct bus_error){.res = 0});
}

static void on_released(struct holder *h)
{
	end_plainly(container_of(h, struct app_bus, holder), "released");
}

/* One that lingers is in use while somebody has a descriptor of it. */
static bool on_busy(struct holder *h)
{
	struct app_bus *app = container_of(h, struct app_bus, holder);

	return app->sink.stream || !list_empty(&app->streams);
}

bool app_bus_let_go(struct app_bus *app, struct client *client)
{
	if (!holder_has(&app->holder, client))
		return false;
	if (holder_other(&app->holder, client)) {
		(void)holder_remove(&app->holder, client); /* it holds it: see above */
		return false;
	}
	end_plainly(app, "released");
	return true;
}

void app_bus_flush(struct adapter_bus *a)
{
	struct app_bus *app;

	list_for_each (app, &a->apps, link)
		if (app->sink.queued)
			sink_flush_now(&app->sink);
}

/* --- Adapter1.RegisterServices --- */

struct register_options {
	const char *name;
	uint32_t queue;
	bool signals;
	int lifetime;
};

static int read_register(sd_bus_message *m, struct app_defs *defs, struct register_options *o,
                         struct bus_error *err)
{
	static const struct opt table[] = {
		OPT("name", struct register_options, name, OPT_TEXT, .max = NAME_BYTES_MAX),
		OPT("queue", struct register_options, queue, OPT_U32, .min = 1,
	            .max = SINK_QUEUE_MAX),
		OPT("signals", struct register_options, signals, OPT_BOOL),
		OPT("lifetime", struct register_options, lifetime, OPT_ENUM,
	            .names = lifetime_names),
	};
	int r = app_defs_read(m, defs, err);

	*o = (struct register_options){
		.name = "", .queue = APP_QUEUE_DEFAULT, .lifetime = LIFETIME_LINGER};
	return r < 0 ? r : bus_opts_read(m, table, ARRAY_SIZE(table), o, err);
}

/* One that others took over: @client let it go, and they hold it. */
static bool is_others(const struct app_bus *app, const struct client *client)
{
	return !holder_has(&app->holder, client) && !holder_alone(&app->holder);
}

/* Without a name it is the client's own earlier one, as long as that is not somebody else's by now. */
static struct app_bus *find_named(struct adapter_bus *a, const char *name,
                                  const struct client *client)
{
	struct app_bus *app;

	list_for_each (app, &a->apps, link) {
		if (strcmp(app->name, name) != 0)
			continue;
		if (*name || (strcmp(app->owner, client->name) == 0 && !is_others(app, client)))
			return app;
	}
	return NULL;
}

/* What the new application is going to replace: NULL: nothing. Return: 0, -EBUSY with @err. */
static int find_old(struct adapter_bus *a, struct client *client, const char *name,
                    struct app_bus **ret, struct bus_error *err)
{
	struct app_bus *old = find_named(a, name, client);

	if (old && is_others(old, client)) {
		*err = (struct bus_error){.res = -EBUSY,
		                          .text = "somebody else's application has this name",
		                          .holder = holder_other(&old->holder, client)};
		return -EBUSY;
	}
	*ret = old;
	return 0;
}

static struct app_bus *app_bus_new(struct adapter_bus *a, const struct client *client,
                                   const struct register_options *o)
{
	struct app_bus *app = calloc(1, sizeof(*app));

	if (!app)
		return NULL;
	app->adapter = a;
	app->id = a->bus->next_app++;
	(void)snprintf(app->path, sizeof(app->path), BUS_ROOT "/%s/app/%llu",
	               adapter_name(a->adapter), (unsigned long long)app->id);
	holder_init(&app->holder, a->bus, QUOTA_APPLICATIONS, o->lifetime, on_released);
	app->holder.busy = on_busy;
	sink_init(&app->sink, a->bus, &app_sink_events, o->queue);
	app->sink.burst = SINK_QUEUE_DEFAULT;
	props_init(&app->props, a->bus, app->path, APPLICATION_INTERFACE, property_names);
	list_init(&app->link);
	list_init(&app->calls);
	list_init(&app->questions);
	list_init(&app->sends);
	list_init(&app->streams);
	app->name = strdup(o->name);
	app->owner = strdup(client->name);
	if (app->name && app->owner)
		return app;
	app_bus_free(app);
	return NULL;
}

/* The place of the old one, which is about to go, counts for the new one. */
static int hold_instead(struct app_bus *app, struct app_bus *old, struct client *client,
                        struct bus_error *err)
{
	bool moves = old && holder_has(&old->holder, client);
	int r;

	if (moves)
		client->used[QUOTA_APPLICATIONS]--;
	r = holder_add(&app->holder, client, err);
	if (moves)
		client->used[QUOTA_APPLICATIONS]++;
	return r;
}

/* Everything but the reply. Return: 0, or < 0 with @err and nothing changed. */
static int app_bus_start(struct app_bus *app, struct app_bus *old, struct client *client,
                         struct app_defs *defs, bool signals, struct bus_error *err)
{
	struct gatt_def_error e = {.service = -1, .characteristic = -1, .descriptor = -1};
	int r = hold_instead(app, old, client, err);

	if (r < 0)
		return r;
	r = local_props_new(app, defs);
	if (r == 0)
		r = gatt_server_add(adapter_gatt_server(app->adapter->adapter), defs->services,
		                    defs->n, old ? old->app : NULL, &app_events, app, &app->app,
		                    &e);
	if (r < 0)
		return app_defs_error(defs, r, &e, err);
	local_props_bind(app);
	if (signals)
		sink_set_signals(&app->sink, client, false);
	if (old) {
		old->app = NULL;
		end_plainly(old, "replaced");
	}
	list_add_tail(&app->adapter->apps, &app->link);
	return 0;
}

static int reply_registered(struct app_bus *app, struct client *client, sd_bus_message *m)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = sd_bus_message_new_method_return(m, &reply);

	if (r >= 0)
		r = sd_bus_message_append_basic(reply, 'o', app->path);
	if (r >= 0)
		r = local_append_services(reply, app);
	if (r < 0)
		return r;
	client_charge_reply(client, app_bus_attributes(app) * ENTRY_COST);
	return sd_bus_send(NULL, reply, NULL);
}

static int app_bus_publish(struct app_bus *app, struct client *client, sd_bus_message *m)
{
	int r;

	bus_announce(app->adapter->bus, app->path, APPLICATION_INTERFACE);
	r = reply_registered(app, client, m);
	if (r < 0) { /* its caller will never know its name */
		log_error(adapter_name(app->adapter->adapter), "reply: %s", strerror(-r));
		end_plainly(app, "released");
		return bus_fail_res(m, r);
	}
	sink_uncork(&app->sink);
	return 1;
}

int app_bus_register(struct adapter_bus *a, sd_bus_message *m)
{
	_cleanup_(app_defs_deinit) struct app_defs defs = {0};
	struct bus_error err = {.res = -ENOMEM};
	struct app_bus *app, *old = NULL;
	struct register_options o;
	struct client *client;

	if (a->bus->stopping)
		return bus_fail_res(m, -ECANCELED);
	if (read_register(m, &defs, &o, &err) < 0 || client_of(a->bus, m, &client) < 0 ||
	    find_old(a, client, o.name, &old, &err) < 0)
		return bus_fail(m, &err);
	app = app_bus_new(a, client, &o);
	if (!app)
		return bus_fail_res(m, -ENOMEM);
	if (app_bus_start(app, old, client, &defs, o.signals, &err) < 0) {
		app_bus_free(app);
		return bus_fail(m, &err);
	}
	return app_bus_publish(app, client, m);
}

/* --- Adapter1.Configure --- */

struct gap_options {
	const char *name;
	uint32_t appearance; /* APPEARANCE_STAYS: not given */
};

int app_bus_configure(struct adapter_bus *a, sd_bus_message *m)
{
	static const struct opt table[] = {
		OPT("gap_name", struct gap_options, name, OPT_TEXT, .max = GAP_NAME_BYTES_MAX),
		OPT("appearance", struct gap_options, appearance, OPT_U32, .min = 0, .max = 0xffff),
	};
	struct gap_options o = {.appearance = APPEARANCE_STAYS};
	struct bus_error err;
	int r;

	if (bus_opts_read(m, table, ARRAY_SIZE(table), &o, &err) < 0)
		return bus_fail(m, &err);
	r = gatt_server_set_gap(adapter_gatt_server(a->adapter), o.name,
	                        o.appearance == APPEARANCE_STAYS ? -1 : (int)o.appearance);
	return r < 0 ? bus_fail_res(m, r) : sd_bus_reply_method_return(m, NULL);
}

/* --- Hold, Release, Unregister --- */

static int method_hold(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct bus_error err = {.res = -ENOMEM};
	struct app_bus *app = data;
	struct client *client;

	if (bus_opts_read(m, NULL, 0, NULL, &err) < 0 ||
	    client_of(app->adapter->bus, m, &client) < 0 ||
	    holder_add(&app->holder, client, &err) < 0)
		return bus_fail(m, &err);
	return sd_bus_reply_method_return(m, NULL);
}

static int method_release(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct bus_error err = {.res = -ENOMEM};
	struct app_bus *app = data;
	struct client *client;

	if (bus_opts_read(m, NULL, 0, NULL, &err) < 0 ||
	    client_of(app->adapter->bus, m, &client) < 0)
		return bus_fail(m, &err);
	if (holder_remove(&app->holder, client) < 0)
		return bus_fail(m, &(struct bus_error){.res = -ENOENT,
		                                       .text = "you do not hold this application"});
	return sd_bus_reply_method_return(m, NULL);
}

static int method_unregister(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct bus_error err;

	if (bus_opts_read(m, NULL, 0, NULL, &err) < 0)
		return bus_fail(m, &err);
	end_plainly(data, "unregistered");
	return sd_bus_reply_method_return(m, NULL);
}

/* --- properties --- */

size_t app_bus_attributes(const struct app_bus *app)
{
	struct gatt_local_service *service;
	struct gatt_local *chr, *d;
	size_t n = 0;

	list_for_each (service, &app->app->services, link) {
		n++;
		list_for_each (chr, &service->characteristics, link) {
			n++;
			list_for_each (d, &chr->descriptors, link)
				n++;
		}
	}
	return n;
}

#define GETTER(name, type, expression)                                                             \
	static int get_##name(sd_bus *sd, const char *path, const char *interface,                 \
	                      const char *property, sd_bus_message *m, void *data,                 \
	                      sd_bus_error *error)                                                 \
	{                                                                                          \
		const struct app_bus *app = data;                                                  \
                                                                                                   \
		return sd_bus_message_append(m, type, expression);                                 \
	}

GETTER(name, "s", app->name)
GETTER(adapter, "o", app->adapter->path)
GETTER(queue, "u", app->sink.max)
GETTER(received, "t", app->sink.seq)
GETTER(dropped, "t", app->sink.dropped)
GETTER(collapsed, "t", app->collapsed)
GETTER(queued, "u", app->sink.queued)
GETTER(lifetime, "s", lifetime_names[app->holder.lifetime])
GETTER(expires, "t", holder_expires_us(&app->holder))

static int get_services(sd_bus *sd, const char *path, const char *interface, const char *property,
                        sd_bus_message *m, void *data, sd_bus_error *error)
{
	return local_append_services(m, data);
}

static int get_subscribers(sd_bus *sd, const char *path, const char *interface,
                           const char *property, sd_bus_message *m, void *data, sd_bus_error *error)
{
	return local_append_subscribers(m, data);
}

static int get_holders(sd_bus *sd, const char *path, const char *interface, const char *property,
                       sd_bus_message *m, void *data, sd_bus_error *error)
{
	return holder_append(&((struct app_bus *)data)->holder, m);
}

static int find(_unused_ sd_bus *sd, const char *path, _unused_ const char *interface, void *data,
                void **ret, _unused_ sd_bus_error *error)
{
	struct tree_node t;

	if (tree_resolve(data, path, &t) != TREE_APPLICATION)
		return 0;
	*ret = t.app;
	return 1;
}

#define CONST SD_BUS_VTABLE_PROPERTY_CONST

static const sd_bus_vtable application_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Name", "s", get_name, 0, CONST),
	SD_BUS_PROPERTY("Adapter", "o", get_adapter, 0, CONST),
	SD_BUS_PROPERTY("Services", "a(osqqba(osqqqya(osq)))", get_services, 0, CONST),
	SD_BUS_PROPERTY("Subscribers", "a(oobb)", get_subscribers, 0,
                        SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("Queue", "u", get_queue, 0, CONST),
	SD_BUS_PROPERTY("Received", "t", get_received, 0, 0),
	SD_BUS_PROPERTY("Dropped", "t", get_dropped, 0, 0),
	SD_BUS_PROPERTY("Collapsed", "t", get_collapsed, 0, 0),
	SD_BUS_PROPERTY("Queued", "u", get_queued, 0, 0),
	SD_BUS_PROPERTY("Holders", "as", get_holders, 0, 0),
	SD_BUS_PROPERTY("Lifetime", "s", get_lifetime, 0, CONST),
	SD_BUS_PROPERTY("ExpiresUs", "t", get_expires, 0, 0),
	SD_BUS_METHOD_WITH_ARGS("Next", SD_BUS_ARGS("a{sv}", options),
                                SD_BUS_RESULT("s", event, "o", attribute, "o", connection, "ay",
                                              value, "a{sv}", details),
                                app_bus_next, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Open", SD_BUS_ARGS("a{sv}", options), SD_BUS_RESULT("h", fd),
                                app_bus_open, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("AnswerRead", SD_BUS_ARGS("u", token, "y", code, "a{sv}", options),
                                SD_BUS_NO_RESULT, app_bus_answer_read, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Hold", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                method_hold, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Release", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                method_release, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD_WITH_ARGS("Unregister", SD_BUS_ARGS("a{sv}", options), SD_BUS_NO_RESULT,
                                method_unregister, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL_WITH_ARGS(
		"Written",
		SD_BUS_ARGS("o", attribute, "o", connection, "ay", value, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Subscribed",
                                SD_BUS_ARGS("o", attribute, "o", connection, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS(
		"ReadRequested",
		SD_BUS_ARGS("o", attribute, "o", connection, "u", token, "a{sv}", details), 0),
	SD_BUS_SIGNAL_WITH_ARGS("Finished", SD_BUS_ARGS("s", reason, "a{sv}", details), 0),
	SD_BUS_VTABLE_END,
};

int bus_add_application(struct bus *bus)
{
	return bus_export(bus, APPLICATION_INTERFACE, application_vtable, find);
}
