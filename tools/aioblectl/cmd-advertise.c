/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * advertise: be found, and print the centrals that connect. What it advertises goes off the air with the command, unless it is
 * persistent; the links that were made stay for the commands that follow, as those of connect do.
 */
#include "ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/adv.h"
#include "aiobled/uuid.h"
#include "output.h"
#include "sig.h"
#include "text.h"
#include "value.h"

#define UUIDS_MAX   32
#define RECORDS_MAX 16
#define INTERVAL_US 100000

enum {
	OPT_ADV_DATA = 0x100,
	OPT_APPEARANCE,
	OPT_COUNT,
	OPT_DURATION,
	OPT_EXTENDED,
	OPT_INTERVAL,
	OPT_KEEP,
	OPT_LIMITED,
	OPT_MANUFACTURER,
	OPT_NAME,
	OPT_NON_CONNECTABLE,
	OPT_PERSISTENT,
	OPT_PHY,
	OPT_RESP_DATA,
	OPT_SERVICE_DATA,
	OPT_STOP,
	OPT_TX_POWER,
	OPT_UUID,
};

struct record_arg {
	uint16_t company;
	char uuid[UUID_STR_MAX];
	struct text data;
};

struct advertise {
	struct ctl *c;
	/* what was asked for */
	const char *name, *phy, *stop;
	char uuids[UUIDS_MAX][UUID_STR_MAX];
	struct record_arg manufacturer[RECORDS_MAX], service_data[RECORDS_MAX];
	size_t n_uuids, n_manufacturer, n_service_data;
	struct text adv_data, resp_data;
	long appearance, tx_power, count;
	bool has_tx_power, non_connectable, limited, keep, extended, persistent;
	uint64_t interval_us, duration_ms;
	/* what became of it */
	char *path;
	sd_bus_slot *next;
	sd_bus_message *event; /* the answer to it */
	uint64_t connections;
	bool over;
};

static void advertise_free(struct advertise *a)
{
	for (size_t i = 0; i < RECORDS_MAX; i++) {
		text_free(&a->manufacturer[i].data);
		text_free(&a->service_data[i].data);
	}
	text_free(&a->adv_data);
	text_free(&a->resp_data);
	a->next = sd_bus_slot_unref(a->next);
	a->event = sd_bus_message_unref(a->event);
	free(a->path);
}

/* ---- what happens ---- */

/* A link may be gone before we have looked at it: then its path is all there is to tell. */
static void print_connection(struct advertise *a, const char *path)
{
	_cleanup_(json_putp) json_object *props = NULL, *o = NULL;
	_cleanup_(table_free) struct table t = {0};
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
		call_new(a->c, path, "org.freedesktop.DBus.Properties", "GetAll");
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;

	ctl_must(sd_bus_message_append(m, "s", CTL_SERVICE ".Connection1"));
	if (ctl_call_raw(a->c, steal(&m), "look at the connection", &reply) == 0 &&
	    !sd_bus_message_is_method_error(reply, NULL))
		props = message_json(reply);
	if (a->c->json != JSON_OFF) {
		o = props ? json_snake(props) : json_object_new_object();
		json_object_object_add(o, "path", json_object_new_string(path));
		out_line(a->c, o);
		return;
	}
	table_init(&t, 3, "ADDRESS", "TYPE", "PATH");
	table_row(&t, json_str(props, "Address"), json_str(props, "AddressType"), path);
	table_tabs(&t);
	out_flush(a->c);
}

static void on_connected(struct advertise *a, const char *path)
{
	a->connections++;
	print_connection(a, path);
	if (a->count && a->connections >= (uint64_t)a->count)
		ctl_done(a->c, CTL_OK);
}

static void on_finished(struct advertise *a, sd_bus_message *m)
{
	_cleanup_(json_putp) json_object *details = message_json(m);
	const char *reason = json_str(details, "reason");

	a->over = true;
	if (strcmp(reason, "connected") == 0 || strcmp(reason, "timeout") == 0)
		ctl_done(a->c, CTL_OK);
	else if (strcmp(reason, "stopped") == 0 || strcmp(reason, "released") == 0)
		ctl_done(a->c, ctl_fail(a->c, CTL_FAILED, "Canceled", NULL,
		                        "advertise: somebody stopped it"));
	else if (strcmp(reason, CTL_ERROR "Canceled") == 0) /* how a daemon says that it stops */
		ctl_done(a->c, ctl_fail(a->c, CTL_UNREACHABLE, "Unreachable", NULL,
		                        "advertise: the daemon went away"));
	else
		ctl_done(a->c, ctl_on_adapter(ctl_fail_reason(a->c, reason, 0, "advertise")));
}

/* Only kept: calls cannot be made from here. */
static int on_next(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct advertise *a = userdata;

	a->event = sd_bus_message_ref(m);
	return 0;
}

static void ask_next(struct advertise *a)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
		call_new(a->c, a->path, "Advertiser1", "Next");
	int r;

	call_options_open(m);
	call_option_u32(m, "timeout_ms", 0);
	call_options_close(m);
	r = sd_bus_call_async(a->c->bus, &a->next, m, on_next, a, UINT64_MAX);
	if (r < 0)
		ctl_done(a->c, ctl_fail(a->c, CTL_UNREACHABLE, "Unreachable", NULL,
		                        "advertise: the bus is gone: %s", strerror(-r)));
}

static void take_event(struct advertise *a, sd_bus_message *m)
{
	const char *event, *path;

	if (sd_bus_message_is_method_error(m, NULL)) {
		a->over = true;
		ctl_done(a->c, ctl_fail_message(a->c, m, "advertise"));
	} else if (sd_bus_message_read(m, "so", &event, &path) <= 0) {
		ctl_done(a->c, ctl_bad_reply(a->c));
	} else if (strcmp(event, "connected") == 0) {
		on_connected(a, path);
	} else if (strcmp(event, "finished") == 0) {
		on_finished(a, m);
	}
}

static void take_events(struct advertise *a)
{
	ask_next(a);
	while (a->c->stop == STOP_NONE) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
		int r = sd_event_run(a->c->event, UINT64_MAX);

		if (r < 0)
			ctl_done(a->c, ctl_fail(a->c, CTL_UNREACHABLE, "Unreachable", NULL,
			                        "the bus is gone: %s", strerror(-r)));
		m = steal(&a->event);
		if (!m || a->c->stop != STOP_NONE)
			continue;
		a->next = sd_bus_slot_unref(a->next);
		take_event(a, m);
		if (a->c->stop == STOP_NONE)
			ask_next(a);
	}
}

/* ---- the request ---- */

static void append_services(struct advertise *a, sd_bus_message *m)
{
	if (!a->n_uuids)
		return;
	ctl_must(sd_bus_message_open_container(m, 'e', "sv"));
	ctl_must(sd_bus_message_append(m, "s", "services"));
	ctl_must(sd_bus_message_open_container(m, 'v', "as"));
	ctl_must(sd_bus_message_open_container(m, 'a', "s"));
	for (size_t i = 0; i < a->n_uuids; i++)
		ctl_must(sd_bus_message_append(m, "s", a->uuids[i]));
	for (int i = 0; i < 3; i++)
		ctl_must(sd_bus_message_close_container(m));
}

/* A record of manufacturer data when @type is 'q', of service data when it is 's' */
static void append_record(sd_bus_message *m, char type, const struct record_arg *r)
{
	ctl_must(sd_bus_message_open_container(m, 'r', type == 'q' ? "qay" : "say"));
	if (type == 'q')
		ctl_must(sd_bus_message_append(m, "q", r->company));
	else
		ctl_must(sd_bus_message_append(m, "s", r->uuid));
	ctl_must(sd_bus_message_append_array(m, 'y', text_str(&r->data), r->data.len));
	ctl_must(sd_bus_message_close_container(m));
}

static void append_records(sd_bus_message *m, const char *key, char type,
                           const struct record_arg *records, size_t n)
{
	if (!n)
		return;
	ctl_must(sd_bus_message_open_container(m, 'e', "sv"));
	ctl_must(sd_bus_message_append(m, "s", key));
	ctl_must(sd_bus_message_open_container(m, 'v', type == 'q' ? "a(qay)" : "a(say)"));
	ctl_must(sd_bus_message_open_container(m, 'a', type == 'q' ? "(qay)" : "(say)"));
	for (size_t i = 0; i < n; i++)
		append_record(m, type, &records[i]);
	for (int i = 0; i < 3; i++)
		ctl_must(sd_bus_message_close_container(m));
}

static void append_bytes(sd_bus_message *m, const char *key, const struct text *data)
{
	if (!data->len)
		return;
	ctl_must(sd_bus_message_open_container(m, 'e', "sv"));
	ctl_must(sd_bus_message_append(m, "s", key));
	ctl_must(sd_bus_message_open_container(m, 'v', "ay"));
	ctl_must(sd_bus_message_append_array(m, 'y', text_str(data), data->len));
	ctl_must(sd_bus_message_close_container(m));
	ctl_must(sd_bus_message_close_container(m));
}

static void append_options(struct advertise *a, sd_bus_message *m)
{
	call_options_open(m);
	if (a->name)
		call_option_str(m, "name", a->name);
	append_services(a, m);
	if (a->appearance)
		ctl_must(sd_bus_message_append(m, "{sv}", "appearance", "q", (int)a->appearance));
	append_records(m, "manufacturer", 'q', a->manufacturer, a->n_manufacturer);
	append_records(m, "service_data", 's', a->service_data, a->n_service_data);
	if (a->has_tx_power)
		ctl_must(sd_bus_message_append(m, "{sv}", "tx_power", "n", (int)a->tx_power));
	append_bytes(m, "adv_data", &a->adv_data);
	append_bytes(m, "resp_data", &a->resp_data);
	if (a->limited)
		call_option_bool(m, "limited_disc", true);
	call_option_bool(m, "connectable", !a->non_connectable);
	call_option_bool(m, "keep", a->keep);
	if (a->extended)
		call_option_bool(m, "extended", true);
	if (a->phy)
		call_option_str(m, "secondary_phy", a->phy);
	if (a->duration_ms)
		call_option_u32(m, "timeout_ms", (uint32_t)a->duration_ms);
	call_option_str(m, "lifetime", a->persistent ? "persistent" : "linger");
	call_options_close(m);
}

static int start(struct advertise *a)
{
	_cleanup_(freep) char *adapter = NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;
	const char *path;
	int r = ctl_find_adapter(a->c, &adapter);

	if (r)
		return r;
	m = call_new(a->c, adapter, "Adapter1", "Advertise");
	ctl_must(sd_bus_message_append(m, "t", a->interval_us));
	append_options(a, m);
	r = ctl_on_adapter(ctl_call(a->c, steal(&m), "advertise", &reply));
	if (!r)
		r = ctl_read(a->c, reply, "o", &path);
	if (r)
		return r;
	a->path = strdup(path);
	ctl_must(a->path ? 0 : -ENOMEM);
	return 0;
}

/* ---- the end ---- */

/* Off the air before we are gone; another signal cuts that short, and the daemon notices anyway. */
static void stop(struct advertise *a)
{
	enum ctl_stop why = a->c->stop;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL, *m = NULL;

	a->next = sd_bus_slot_unref(a->next);
	if (a->over)
		return;
	a->c->stop = STOP_NONE;
	m = call_new(a->c, a->path, "Advertiser1", "Stop");
	call_no_options(m);
	(void)ctl_call_raw(a->c, steal(&m), "stop advertising", &reply); /* it may be over by now */
	a->c->stop = why;
}

static bool waits_for_centrals(const struct advertise *a)
{
	return a->count || (!a->non_connectable && !a->keep);
}

static bool has_what_it_waited_for(const struct advertise *a)
{
	return a->connections && (!a->count || a->connections >= (uint64_t)a->count);
}

static int finish(struct advertise *a)
{
	switch (a->c->stop) {
	case STOP_DONE:
		if (a->c->result == CTL_OK && a->count && !has_what_it_waited_for(a))
			return ctl_fail(a->c, CTL_TIMEOUT, "Timeout", NULL,
			                "advertise: %llu of %ld centrals came in time",
			                (unsigned long long)a->connections, a->count);
		return a->c->result;
	case STOP_TIMEOUT:
		return ctl_fail(a->c, CTL_TIMEOUT, "Timeout", NULL, "advertise: --timeout passed");
	case STOP_SIGNAL:
		return waits_for_centrals(a) && !has_what_it_waited_for(a) ? CTL_INTERRUPTED
		                                                           : CTL_OK;
	case STOP_NONE:
	case STOP_READER:
		break;
	}
	return CTL_OK;
}

static int print_path(struct advertise *a)
{
	json_object *o;

	if (a->c->json != JSON_OFF) {
		o = json_object_new_object();
		json_object_object_add(o, "path", json_object_new_string(a->path));
		out_document(a->c, o);
	} else if (!a->c->quiet) {
		puts(a->path);
	}
	return CTL_OK;
}

static int run(struct advertise *a)
{
	int r = ctl_connect_bus(a->c);

	if (!r && !a->persistent)
		r = ctl_watch(a->c, true);
	if (!r)
		r = start(a);
	if (r)
		return r;
	if (a->persistent)
		return print_path(a);
	take_events(a);
	stop(a);
	return finish(a);
}

static int run_stop(struct advertise *a)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_(text_free) struct text culprit = {0};
	int r = ctl_connect_bus(a->c);

	if (r)
		return r;
	if (!sd_bus_object_path_is_valid(a->stop))
		return ctl_usage(a->c, "--stop %s: not a path of an advertiser", a->stop);
	m = call_new(a->c, a->stop, "Advertiser1", "Stop");
	call_no_options(m);
	text_addf(&culprit, "stop %s", a->stop);
	return ctl_call(a->c, steal(&m), text_str(&culprit), NULL);
}

/* ---- the command line ---- */

static int set_bytes(struct ctl *c, const char *option, const char *text, size_t max,
                     struct text *ret)
{
	const struct value_format hex = {.fields = {{.kind = VALUE_HEX}}, .count = 1};
	_cleanup_(text_free) struct text why = {0};
	size_t field = 0;

	text_free(ret);
	if (value_parse(&hex, &field, text, strlen(text), ret, &why) < 0)
		return ctl_usage(c, "%s %s: %s", option, text, text_str(&why));
	if (ret->len > max)
		return ctl_usage(c, "%s: %zu bytes are more than %zu", option, ret->len, max);
	return 0;
}

/* A UUID, or the name of a service */
static int parse_uuid(struct ctl *c, const char *option, const char *text, char ret[UUID_STR_MAX])
{
	struct uuid u;
	uint16_t n;

	if (uuid_parse(text, &u) < 0) {
		if (!sig_name_known(text, &n) || !n)
			return ctl_usage(c, "%s %s: not a UUID or the name of a service", option,
			                 text);
		u = uuid_from16(n);
	}
	(void)uuid_format(&u, ret); /* Return: ret */
	return 0;
}

static int add_uuid(struct advertise *a, const char *text)
{
	if (a->n_uuids == UUIDS_MAX)
		return ctl_usage(a->c, "--uuid: more than %d times", UUIDS_MAX);
	return parse_uuid(a->c, "--uuid", text, a->uuids[a->n_uuids++]);
}

/* KEY:HEX; @type as in append_record() */
static int add_record(struct advertise *a, const char *option, char type, const char *text,
                      struct record_arg *list, size_t *n)
{
	const char *colon = strchr(text, ':');
	_cleanup_(text_free) struct text key = {0};
	struct record_arg *r = &list[*n];
	long id;
	int e;

	if (!colon || colon == text)
		return ctl_usage(a->c, "%s %s: not %s:HEX", option, text,
		                 type == 'q' ? "COMPANY" : "UUID");
	if (*n == RECORDS_MAX)
		return ctl_usage(a->c, "%s: more than %d times", option, RECORDS_MAX);
	text_add(&key, text, (size_t)(colon - text));
	if (type == 'q') {
		e = opt_number(a->c, option, text_str(&key), 0, 0xffff, &id);
		if (!e)
			r->company = (uint16_t)id;
	} else {
		e = parse_uuid(a->c, option, text_str(&key), r->uuid);
	}
	if (!e)
		e = set_bytes(a->c, option, colon + 1, ADV_DATA_MAX, &r->data);
	if (!e)
		(*n)++;
	return e;
}

static int set_interval(struct advertise *a, const char *text)
{
	int r = opt_milli(a->c, "--interval", text, "ms", ADV_INTERVAL_US_MAX, &a->interval_us);

	if (!r && a->interval_us < ADV_INTERVAL_US_MIN)
		r = ctl_usage(a->c, "--interval %s: below 20 ms", text);
	return r;
}

static int set_name(struct advertise *a, const char *text)
{
	if (!*text || !utf8_for_bus(text, strlen(text)))
		return ctl_usage(a->c, "--name: empty, or not UTF-8 that can be sent");
	a->name = text;
	return 0;
}

static int set_phy(struct advertise *a, const char *text)
{
	if (strcmp(text, "1M") != 0 && strcmp(text, "2M") != 0 && strcmp(text, "coded") != 0)
		return ctl_usage(a->c, "--phy %s: not 1M, 2M or coded", text);
	a->phy = text;
	a->extended = true;
	return 0;
}

static int set_payload(struct advertise *a, int o)
{
	switch (o) {
	case OPT_ADV_DATA:
		return set_bytes(a->c, "--adv-data", optarg, ADV_DATA_MAX, &a->adv_data);
	case OPT_RESP_DATA:
		return set_bytes(a->c, "--resp-data", optarg, ADV_DATA_MAX, &a->resp_data);
	case OPT_APPEARANCE:
		return opt_number(a->c, "--appearance", optarg, 0, 0xffff, &a->appearance);
	case OPT_MANUFACTURER:
		return add_record(a, "--manufacturer", 'q', optarg, a->manufacturer,
		                  &a->n_manufacturer);
	case OPT_SERVICE_DATA:
		return add_record(a, "--service-data", 's', optarg, a->service_data,
		                  &a->n_service_data);
	case OPT_NAME:
		return set_name(a, optarg);
	case OPT_TX_POWER:
		a->has_tx_power = true;
		return opt_number(a->c, "--tx-power", optarg, -127, 20, &a->tx_power);
	case OPT_UUID:
		return add_uuid(a, optarg);
	default:
		return CTL_USAGE;
	}
}

static int set_option(struct advertise *a, int o)
{
	switch (o) {
	case OPT_COUNT:
		a->keep = true;
		return opt_number(a->c, "--count", optarg, 1, INT32_MAX, &a->count);
	case OPT_DURATION:
		return opt_milli(a->c, "--duration", optarg, "seconds", UINT32_MAX,
		                 &a->duration_ms);
	case OPT_EXTENDED:
		a->extended = true;
		return 0;
	case OPT_INTERVAL:
		return set_interval(a, optarg);
	case OPT_KEEP:
		a->keep = true;
		return 0;
	case OPT_LIMITED:
		a->limited = true;
		return 0;
	case OPT_NON_CONNECTABLE:
		a->non_connectable = true;
		return 0;
	case OPT_PERSISTENT:
		a->persistent = true;
		return 0;
	case OPT_PHY:
		return set_phy(a, optarg);
	case OPT_STOP:
		a->stop = optarg;
		return 0;
	default:
		return set_payload(a, o);
	}
}

static int check(struct advertise *a, int argc, char **argv)
{
	if (optind < argc)
		return ctl_usage(a->c, "'%s' is too much", argv[optind]);
	if (a->count && a->non_connectable)
		return ctl_usage(a->c, "--count: nobody connects to what is not connectable");
	if (a->count && a->persistent)
		return ctl_usage(a->c, "--count: a persistent advertiser is not waited for");
	return 0;
}

static int parse(struct advertise *a, int argc, char **argv)
{
	static const struct option options[] = {
		{"adv-data", required_argument, NULL, OPT_ADV_DATA},
		{"appearance", required_argument, NULL, OPT_APPEARANCE},
		{"count", required_argument, NULL, OPT_COUNT},
		{"duration", required_argument, NULL, OPT_DURATION},
		{"extended", no_argument, NULL, OPT_EXTENDED},
		{"interval", required_argument, NULL, OPT_INTERVAL},
		{"keep", no_argument, NULL, OPT_KEEP},
		{"limited", no_argument, NULL, OPT_LIMITED},
		{"manufacturer", required_argument, NULL, OPT_MANUFACTURER},
		{"name", required_argument, NULL, OPT_NAME},
		{"non-connectable", no_argument, NULL, OPT_NON_CONNECTABLE},
		{"persistent", no_argument, NULL, OPT_PERSISTENT},
		{"phy", required_argument, NULL, OPT_PHY},
		{"resp-data", required_argument, NULL, OPT_RESP_DATA},
		{"service-data", required_argument, NULL, OPT_SERVICE_DATA},
		{"stop", required_argument, NULL, OPT_STOP},
		{"tx-power", required_argument, NULL, OPT_TX_POWER},
		{"uuid", required_argument, NULL, OPT_UUID},
		CTL_GLOBAL_OPTIONS,
	};
	int o, r = 0;

	while (!r && (o = ctl_getopt(a->c, argc, argv, options)) != OPT_END)
		r = set_option(a, o);
	return r ? r : check(a, argc, argv);
}

int cmd_advertise(struct ctl *c, int argc, char **argv)
{
	_cleanup_(advertise_free) struct advertise a = {.c = c, .interval_us = INTERVAL_US};
	int r = parse(&a, argc, argv);

	if (r)
		return r;
	return a.stop ? run_stop(&a) : run(&a);
}
