/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * connect and disconnect. A link outlives the command (lifetime linger) unless --wait holds it:
 * then it lives exactly as long as the command, so that a script that is killed leaves nothing on
 * the air.
 */
#include "ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "peer.h"
#include "text.h"

struct waiting {
	struct ctl *c;
	const char *path; /* NULL until there is a link */
	const char *name;
};

enum {
	OPT_INTERVAL = 0x100,
	OPT_LATENCY,
	OPT_MTU,
	OPT_PERSISTENT,
	OPT_SUPERVISION,
	OPT_WAIT,
};

struct connecting {
	struct peer_connect how;
	const char *peer;
	bool wait, persistent;
	long mtu; /* 0: leave it */
};

/* ---- --wait ---- */

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct waiting *w = userdata;
	uint8_t reason = 0;

	if (!w->path || strcmp(sd_bus_message_get_path(m), w->path) != 0)
		return 0;
	(void)sd_bus_message_read(m, "y", &reason); /* no reason is a reason without words */
	ctl_done(w->c, ctl_fail_reason(w->c, CTL_ERROR "Disconnected", reason, w->name));
	return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *name, *before, *after;
	struct waiting *w = userdata;

	if (sd_bus_message_read(m, "sss", &name, &before, &after) > 0 &&
	    strcmp(name, CTL_SERVICE) == 0 && *before)
		ctl_done(w->c, ctl_fail(w->c, CTL_UNREACHABLE, "Unreachable", NULL,
		                        "%s: the daemon went away", w->name));
	return 0;
}

static int on_bus_gone(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct waiting *w = userdata;

	ctl_done(w->c, ctl_fail(w->c, CTL_UNREACHABLE, "Unreachable", NULL, "%s: the bus is gone",
	                        w->name));
	return 0;
}

/* In place before the link is asked for, so that no end of it can be missed */
static int listen_for_end(struct waiting *w)
{
	sd_bus *bus = w->c->bus;
	int r = sd_bus_match_signal_async(bus, NULL, CTL_SERVICE, NULL, CTL_SERVICE ".Connection1",
	                                  "Disconnected", on_disconnected, NULL, w);

	if (r >= 0)
		r = sd_bus_add_match_async(
			bus, NULL,
			"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
			"arg0='" CTL_SERVICE "'",
			on_owner, NULL, w);
	if (r >= 0)
		r = sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus.Local",
		                        "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
		                        "Disconnected", on_bus_gone, w);
	return r < 0 ? ctl_fail(w->c, CTL_UNREACHABLE, "Unreachable", NULL,
	                        "cannot listen on the bus: %s", strerror(-r))
	             : 0;
}

static int wait_for_end(struct ctl *c, struct waiting *w)
{
	ctl_run(c);
	return c->stop == STOP_DONE ? c->result : CTL_OK;
}

/* ---- connect ---- */

static int exchange_mtu(struct ctl *c, const struct peer *p, long mtu)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
		call_new(c, p->path, "Connection1", "ExchangeMtu");
	_cleanup_(text_free) struct text culprit = {0};

	call_options_open(m);
	call_option_timeout(c, m);
	ctl_must(sd_bus_message_append(m, "{sv}", "mtu", "q", (int)mtu));
	call_options_close(m);
	text_addf(&culprit, "exchange the MTU with %s", p->name);
	return ctl_call(c, steal(&m), text_str(&culprit), NULL);
}

static int print_connection(struct ctl *c, const struct peer *p)
{
	_cleanup_(json_putp) json_object *properties = NULL, *o = NULL;
	int r;

	if (c->json == JSON_OFF) {
		if (!c->quiet)
			puts(p->path);
		return 0;
	}
	r = ctl_properties(c, p->path, "Connection1", p->name, &properties);
	if (r)
		return r;
	o = json_snake(properties);
	json_object_object_add(o, "path", json_object_new_string(p->path));
	json_object_object_add(o, "fresh", json_object_new_boolean(p->fresh));
	out_document(c, o);
	return 0;
}

static int run(struct ctl *c, struct connecting *o, struct waiting *w)
{
	_cleanup_(peer_free) struct peer p = {0};
	int r = peer_open(c, o->peer, &o->how, &p);

	if (r)
		return r;
	w->path = p.path;
	if (o->persistent)
		r = peer_persist(c, &p);
	if (!r && o->wait)
		r = peer_hold(c, &p);
	if (!r && o->mtu)
		r = exchange_mtu(c, &p, o->mtu);
	if (!r && c->stop == STOP_NONE)
		r = print_connection(c, &p);
	if (!r && o->wait) {
		out_flush(c);
		r = wait_for_end(c, w);
	}
	w->path = NULL;
	return r;
}

static int set_interval(struct ctl *c, const char *text, struct peer_connect *how)
{
	_cleanup_(freep) char *copy = strdup(text);
	uint64_t min, max;
	char *colon;
	int r;

	ctl_must(copy ? 0 : -ENOMEM);
	colon = strchr(copy, ':');
	if (colon)
		*colon++ = 0;
	r = opt_milli(c, "--interval", copy, "ms", 4000000, &min);
	if (!r)
		r = opt_milli(c, "--interval", colon ? colon : copy, "ms", 4000000, &max);
	if (!r && (min < 7500 || min > max))
		r = ctl_usage(c, "--interval %s: not MIN[:MAX] from 7.5 to 4000 ms", text);
	if (r)
		return r;
	how->min_interval_us = (long)min;
	how->max_interval_us = (long)max;
	return 0;
}

static int set_supervision(struct ctl *c, const char *text, struct peer_connect *how)
{
	uint64_t ms;
	int r = opt_milli(c, "--supervision-timeout", text, "seconds", 32000, &ms);

	if (!r && ms < 100)
		r = ctl_usage(c, "--supervision-timeout %s: below 0.1 s", text);
	if (!r)
		how->supervision_ms = (long)ms;
	return r;
}

static int set_option(struct ctl *c, struct connecting *o, int opt)
{
	switch (opt) {
	case PEER_OPT_TYPE:
		return peer_type(c, optarg, &o->how);
	case OPT_INTERVAL:
		return set_interval(c, optarg, &o->how);
	case OPT_LATENCY:
		return opt_number(c, "--latency", optarg, 0, 499, &o->how.latency);
	case OPT_MTU:
		return opt_number(c, "--mtu", optarg, 23, 517, &o->mtu);
	case OPT_SUPERVISION:
		return set_supervision(c, optarg, &o->how);
	case OPT_PERSISTENT:
		o->persistent = true;
		return 0;
	case OPT_WAIT:
		o->wait = true;
		return 0;
	default:
		return CTL_USAGE;
	}
}

static int parse(struct ctl *c, int argc, char **argv, struct connecting *o)
{
	static const struct option options[] = {
		PEER_OPTIONS,
		{"interval", required_argument, NULL, OPT_INTERVAL},
		{"latency", required_argument, NULL, OPT_LATENCY},
		{"mtu", required_argument, NULL, OPT_MTU},
		{"persistent", no_argument, NULL, OPT_PERSISTENT},
		{"supervision-timeout", required_argument, NULL, OPT_SUPERVISION},
		{"wait", no_argument, NULL, OPT_WAIT},
		CTL_GLOBAL_OPTIONS,
	};
	int opt, r = 0;

	while (!r && (opt = ctl_getopt(c, argc, argv, options)) != OPT_END)
		r = set_option(c, o, opt);
	if (!r && argc - optind != 1)
		r = ctl_usage(c, argc == optind ? "which peer?" : "one peer at a time");
	if (r)
		return r;
	o->peer = argv[optind];
	o->how.lifetime = o->persistent ? "persistent" : o->wait ? "caller" : NULL;
	return 0;
}

int cmd_connect(struct ctl *c, int argc, char **argv)
{
	struct connecting o = {.how = PEER_CONNECT_INIT};
	struct waiting w = {.c = c};
	int r = parse(c, argc, argv, &o);

	w.name = o.peer;
	if (!r && o.wait) {
		r = ctl_connect_bus(c);
		if (!r)
			r = ctl_watch(c, false);
		if (!r)
			r = listen_for_end(&w);
	}
	return r ? r : run(c, &o, &w);
}

/* ---- disconnect ---- */

int cmd_disconnect(struct ctl *c, int argc, char **argv)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_(text_free) struct text culprit = {0};
	_cleanup_(peer_free) struct peer p = {0};
	int r = ctl_no_options(c, argc, argv);

	if (!r && argc - optind != 1)
		r = ctl_usage(c, argc == optind ? "which peer?" : "one peer at a time");
	if (!r)
		r = peer_open(c, argv[optind], NULL, &p);
	if (r)
		return r;
	m = call_new(c, p.path, "Connection1", "Disconnect");
	call_options_open(m);
	call_option_timeout(c, m);
	call_options_close(m);
	text_addf(&culprit, "disconnect %s", p.name);
	return ctl_call(c, steal(&m), text_str(&culprit), NULL);
}
