/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events of serve. They are shown with the address of the peer, which has to be asked for when a link is seen for the first
 * time; what happens meanwhile waits, so that the order of the lines is that of the events.
 */
#include "serve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "output.h"

#define ASK_LIMIT_US (2 * 1000000ULL)

/* ---- output ---- */

static json_object *event_json(struct serve *s, const struct serve_event *e, int64_t us)
{
	json_object *o = json_object_new_object();
	_cleanup_(text_free) struct text wall = {0}, hex = {0};

	text_addf(&wall, "%" PRId64 ".%06" PRId64, us / 1000000, us % 1000000);
	json_object_object_add(o, "time",
	                       json_object_new_double_s((double)us / 1e6, text_str(&wall)));
	json_object_object_add(o, "time_us", json_object_new_uint64(e->time_us));
	json_object_object_add(o, "event", json_object_new_string(e->kind));
	if (e->peer) {
		json_object_object_add(o, "connection", json_object_new_string(e->peer->path));
		if (e->peer->address)
			json_object_object_add(o, "address",
			                       json_object_new_string(e->peer->address));
		if (e->peer->type)
			json_object_object_add(o, "address_type",
			                       json_object_new_string(e->peer->type));
	}
	if (e->attr) {
		json_object_object_add(o, "attribute", json_object_new_string(e->value->label));
		json_object_object_add(o, "uuid", json_object_new_string(e->attr->uuid));
		json_object_object_add(o, "handle", json_object_new_int(e->attr->handle));
	}
	if (strcmp(e->kind, "written") == 0) {
		text_hex(&hex, e->bytes.s, e->bytes.len);
		json_object_object_add(o, "value", json_object_new_string(text_str(&hex)));
		if (e->value->def->format_place)
			json_object_object_add(
				o, "decoded",
				value_json(&e->value->def->format, e->bytes.s, e->bytes.len));
	}
	json_object_object_foreach (e->more, key, value)
		json_object_object_add(o, key, json_object_get(value));
	return o;
}

/* On a terminal the time of day, elsewhere seconds since 1970 */
static void add_time(struct serve *s, int64_t us, struct text *t)
{
	time_t seconds = us / 1000000;
	struct tm tm;
	char buf[16];

	if (!s->c->tty) {
		text_addf(t, "%" PRId64 ".%06" PRId64, us / 1000000, us % 1000000);
		return;
	}
	if (!localtime_r(&seconds, &tm) || !strftime(buf, sizeof(buf), "%H:%M:%S", &tm))
		buf[0] = 0;
	text_addf(t, "%s.%03d", buf, (int)(us % 1000000 / 1000));
}

/* What a peer wrote stands in a line among others: raw bytes as text, or a newline of its would begin one. */
static struct value_format line_format(const struct value_format *f)
{
	struct value_format line = *f;

	for (size_t i = 0; i < line.count; i++)
		if (line.fields[i].kind == VALUE_RAW)
			line.fields[i].kind = VALUE_TEXT;
	return line;
}

static void add_value(struct serve *s, const struct serve_event *e, struct text *t)
{
	struct value_format format;

	if (!e->attr || strcmp(e->kind, "written") != 0) {
		text_adds(t, text_str(&e->words));
		return;
	}
	format = line_format(&e->value->def->format);
	if (value_print(&format, e->bytes.s, e->bytes.len, s->c->tty, t) >= 0)
		return;
	text_free(t);
	text_hex(t, e->bytes.s, e->bytes.len);
	ctl_note(s->c, "%s: %zu bytes do not fit the format, shown in hexadecimal", e->value->label,
	         e->bytes.len);
}

static void print_line(struct serve *s, const struct serve_event *e, int64_t us)
{
	_cleanup_(text_free) struct text when = {0}, value = {0};
	const char *label = e->attr ? e->value->label : "-";

	add_value(s, e, &value);
	if (s->c->quiet) {
		if (strcmp(e->kind, "written") == 0)
			printf("%s\t%s\n", label, text_str(&value));
		return;
	}
	add_time(s, us, &when);
	printf(s->c->tty ? "%s  %-12s  %-17s  %s  %s\n" : "%s\t%s\t%s\t%s\t%s\n", text_str(&when),
	       e->kind, e->peer && e->peer->address ? e->peer->address : "-", label,
	       value.len || s->c->tty ? text_str(&value) : "-");
}

static void print_event(struct serve *s, const struct serve_event *e)
{
	int64_t us = (int64_t)e->time_us + s->realtime_offset_us;

	if (s->c->json != JSON_OFF) {
		_cleanup_(json_putp) json_object *o = event_json(s, e, us);

		out_line(s->c, o);
		return;
	}
	print_line(s, e, us);
	out_flush(s->c);
}

/* ---- peers ---- */

static void peer_end(struct serve_peer *p)
{
	sd_bus_slot_unref(p->asking);
	free(p->path);
	free(p->address);
	free(p->type);
	free(p);
}

static struct serve_peer *find_peer(struct serve *s, const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->peers); i++)
		if (s->peers[i] && strcmp(s->peers[i]->path, path) == 0)
			return s->peers[i];
	return NULL;
}

/* ---- the queue ---- */

static void event_free(struct serve_event *e)
{
	if (e->peer)
		e->peer->events--;
	text_free(&e->bytes);
	text_free(&e->words);
	json_put(e->more);
	free(e);
}

static void flush_events(struct serve *s)
{
	struct serve_event *e;

	while ((e = s->events) &&
	       (!e->peer || e->peer->known || s->event_count > SERVE_EVENTS_MAX)) {
		s->events = e->next;
		if (!s->events)
			s->events_end = &s->events;
		s->event_count--;
		print_event(s, e);
		event_free(e);
	}
}

static struct serve_event *event_new(struct serve *s, const char *kind, struct serve_peer *peer)
{
	struct serve_event *e = calloc(1, sizeof(*e));

	ctl_must(e ? 0 : -ENOMEM);
	e->kind = kind;
	e->peer = peer;
	e->time_us = ctl_now_us();
	e->more = json_object_new_object();
	if (peer)
		peer->events++;
	return e;
}

static void event_tell(struct serve *s, struct serve_event *e)
{
	if (!s->events)
		s->events_end = &s->events;
	*s->events_end = e;
	s->events_end = &e->next;
	s->event_count++;
	flush_events(s);
}

void serve_tell(struct serve *s, const char *kind, const char *words)
{
	struct serve_event *e = event_new(s, kind, NULL);

	if (words) {
		text_adds(&e->words, words);
		json_object_object_add(e->more, "what", json_object_new_string(words));
	}
	event_tell(s, e);
}

static int on_address(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct serve_peer *p = userdata;
	_cleanup_(json_putp) json_object *o = NULL;

	p->known = true;
	if (!sd_bus_message_is_method_error(m, NULL))
		o = message_json(m);
	if (*json_str(o, "Address")) {
		p->address = strdup(json_str(o, "Address"));
		p->type = strdup(json_str(o, "AddressType"));
		ctl_must(p->address && p->type ? 0 : -ENOMEM);
	}
	flush_events(p->s);
	return 0;
}

static void ask(struct serve *s, struct serve_peer *p)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
		call_new(s->c, p->path, "org.freedesktop.DBus.Properties", "GetAll");

	ctl_must(sd_bus_message_append(m, "s", CTL_SERVICE ".Connection1"));
	ctl_must(sd_bus_call_async(s->c->bus, &p->asking, m, on_address, p, ASK_LIMIT_US));
}

static struct serve_peer **free_place(struct serve *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->peers); i++)
		if (!s->peers[i])
			return &s->peers[i];
	for (size_t i = 0; i < ARRAY_SIZE(s->peers); i++) {
		if (!s->peers[i]->gone || s->peers[i]->events)
			continue;
		peer_end(s->peers[i]);
		s->peers[i] = NULL;
		return &s->peers[i];
	}
	return NULL;
}

/* The peer of a link, met now if it was not before; NULL for a link that was over before, or one too many */
static struct serve_peer *meet(struct serve *s, const char *path)
{
	struct serve_peer *p = find_peer(s, path), **place;

	if (p || strcmp(path, "/") == 0)
		return p;
	place = free_place(s);
	if (!place)
		return NULL;
	*place = p = calloc(1, sizeof(*p));
	ctl_must(p ? 0 : -ENOMEM);
	p->s = s;
	p->path = strdup(path);
	ctl_must(p->path ? 0 : -ENOMEM);
	ask(s, p);
	event_tell(s, event_new(s, "connected", p));
	return p;
}

void serve_peers_free(struct serve *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->peers); i++)
		if (s->peers[i])
			s->peers[i]->known = true;
	flush_events(s);
	for (size_t i = 0; i < ARRAY_SIZE(s->peers); i++) {
		if (s->peers[i])
			peer_end(s->peers[i]);
		s->peers[i] = NULL;
	}
}

/* ---- signals ---- */

static bool is_ours(const char *path, sd_bus_message *m)
{
	return path && strcmp(sd_bus_message_get_path(m), path) == 0;
}

static json_object *details(sd_bus_message *m)
{
	json_object *o = message_json(m);

	return json_object_is_type(o, json_type_object) ? o : json_put(o);
}

/* What Written and Subscribed begin with. @ret_attr: index in db. Return: false for what is not ours. */
static bool take_event(struct serve *s, sd_bus_message *m, size_t *ret_attr,
                       struct serve_peer **ret_peer)
{
	const char *attribute, *connection;
	long i;

	if (!is_ours(s->app, m) || sd_bus_message_read(m, "oo", &attribute, &connection) <= 0)
		return false;
	i = serve_find(s, attribute);
	if (i < 0 || !s->served[i].def)
		return false;
	*ret_attr = (size_t)i;
	*ret_peer = meet(s, connection);
	return true;
}

static void count_dropped(struct serve *s, uint64_t dropped)
{
	if (dropped > s->dropped)
		ctl_note(s->c, "%" PRIu64 " events were lost here", dropped - s->dropped);
	s->dropped = dropped;
}

static struct serve_event *attr_event(struct serve *s, const char *kind, size_t i,
                                      struct serve_peer *peer, json_object *d)
{
	struct serve_event *e = event_new(s, kind, peer);

	e->attr = &s->db.attrs[i];
	e->value = &s->served[i];
	if (json_int(d, "time_us"))
		e->time_us = (uint64_t)json_int(d, "time_us");
	json_object_object_add(e->more, "seq", json_object_new_int64(json_int(d, "seq")));
	return e;
}

static int on_written(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_(json_putp) json_object *d = NULL;
	struct serve *s = userdata;
	struct serve_peer *peer;
	struct serve_event *e;
	const void *data;
	size_t i, len;

	if (!take_event(s, m, &i, &peer) || sd_bus_message_read_array(m, 'y', &data, &len) < 0)
		return 0;
	d = details(m);
	count_dropped(s, (uint64_t)json_int(d, "dropped"));
	if (!s->served[i].def->append)
		serve_set_value(s->served[i].def, data, len);
	e = attr_event(s, "written", i, peer, d);
	text_add(&e->bytes, data, len);
	event_tell(s, e);
	return 0;
}

static int on_subscribed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_(json_putp) json_object *d = NULL;
	struct serve *s = userdata;
	bool notify, indicate;
	struct serve_peer *peer;
	struct serve_event *e;
	size_t i;

	if (!take_event(s, m, &i, &peer))
		return 0;
	d = details(m);
	notify = json_flag(d, "notify");
	indicate = json_flag(d, "indicate");
	e = attr_event(s, notify || indicate ? "subscribed" : "unsubscribed", i, peer, d);
	text_addf(&e->words, "%s%s%s", notify ? "notify" : "", notify && indicate ? "," : "",
	          indicate ? "indicate" : "");
	json_object_object_add(e->more, "notify", json_object_new_boolean(notify));
	json_object_object_add(e->more, "indicate", json_object_new_boolean(indicate));
	event_tell(s, e);
	return 0;
}

static int on_connected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct serve *s = userdata;
	const char *path;

	if (!is_ours(s->advertiser, m) || sd_bus_message_read(m, "o", &path) <= 0)
		return 0;
	(void)meet(s, path); /* it is told of there */
	return 0;
}

static bool any_peer(const struct serve *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->peers); i++)
		if (s->peers[i] && !s->peers[i]->gone)
			return true;
	return false;
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	_cleanup_(json_putp) json_object *d = NULL;
	struct serve *s = userdata;
	struct serve_peer *p = find_peer(s, sd_bus_message_get_path(m));
	struct serve_event *e;
	uint8_t reason = 0;

	if (!p || p->gone || sd_bus_message_read(m, "y", &reason) < 0)
		return 0;
	d = details(m);
	p->gone = true;
	e = event_new(s, "disconnected", p);
	text_addf(&e->words, "HCI 0x%02x %s", reason, json_str(d, "text"));
	json_object_object_add(e->more, "hci", json_object_new_int(reason));
	json_object_object_add(e->more, "text", json_object_new_string(json_str(d, "text")));
	event_tell(s, e);
	s->advertise_again = !s->advertiser && s->file.adv.on && s->file.adv.connectable &&
	                     !s->file.adv.keep && !any_peer(s);
	return 0;
}

void serve_lost(struct serve *s, int code, const char *name, const char *fmt, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list ap;

	if (s->lost || s->c->stop != STOP_NONE)
		return;
	va_start(ap, fmt);
	ctl_must(vasprintf(&text, fmt, ap) < 0 ? -ENOMEM : 0);
	va_end(ap);
	s->lost = true;
	if (s->retry)
		ctl_note(s->c, "%s; trying again", text);
	else
		ctl_done(s->c, ctl_fail(s->c, code, name, NULL, "%s", text));
}

static void daemon_went(struct serve *s)
{
	serve_lost(s, CTL_UNREACHABLE, "Unreachable", "the daemon went away");
}

/* An end with the name of an error; Canceled is how a daemon says that it stops */
static void ended(struct serve *s, const char *what, const char *reason)
{
	int code = ctl_exit_code(reason, NULL);

	if (strcmp(reason, CTL_ERROR "Canceled") == 0)
		daemon_went(s);
	else
		serve_lost(s, code == CTL_NOT_FOUND ? CTL_NO_ADAPTER : code, ctl_short_name(reason),
		           "%s ended: %s", what, ctl_short_name(reason));
}

static int on_app_finished(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct serve *s = userdata;
	const char *reason;

	if (!is_ours(s->app, m) || sd_bus_message_read(m, "s", &reason) <= 0)
		return 0;
	free(s->app);
	s->app = NULL;
	ended(s, "the services", reason);
	return 0;
}

/* "connected" is the end that was asked for without keep, "timeout" that of timeout_ms; the services stay */
static int on_adv_finished(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct serve *s = userdata;
	const char *reason;

	if (!is_ours(s->advertiser, m) || sd_bus_message_read(m, "s", &reason) <= 0)
		return 0;
	free(s->advertiser);
	s->advertiser = NULL;
	if (strchr(reason, '.'))
		ended(s, "advertising", reason);
	else
		serve_tell(s, "off-air", reason);
	return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	const char *name, *before, *after;
	struct serve *s = userdata;

	if (sd_bus_message_read(m, "sss", &name, &before, &after) <= 0 ||
	    strcmp(name, CTL_SERVICE) != 0)
		return 0;
	s->daemon_came = *after != 0;
	s->daemon_gone = *after == 0;
	if (*before && s->adapter)
		daemon_went(s);
	return 0;
}

static int on_bus_gone(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct serve *s = userdata;

	ctl_done(s->c, ctl_fail(s->c, CTL_UNREACHABLE, "Unreachable", NULL, "the bus is gone"));
	return 0;
}

int serve_listen(struct serve *s)
{
	static const struct {
		const char *iface, *member;
		sd_bus_message_handler_t handler;
	} signals[] = {
		{CTL_SERVICE ".Application1", "Written", on_written},
		{CTL_SERVICE ".Application1", "Subscribed", on_subscribed},
		{CTL_SERVICE ".Application1", "Finished", on_app_finished},
		{CTL_SERVICE ".Advertiser1", "Connected", on_connected},
		{CTL_SERVICE ".Advertiser1", "Finished", on_adv_finished},
		{CTL_SERVICE ".Connection1", "Disconnected", on_disconnected},
	};
	sd_bus *bus = s->c->bus;
	int r = sd_bus_add_match_async(
		bus, NULL,
		"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',"
		"arg0='" CTL_SERVICE "'",
		on_owner, NULL, s);

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(signals); i++)
		r = sd_bus_match_signal_async(bus, NULL, CTL_SERVICE, NULL, signals[i].iface,
		                              signals[i].member, signals[i].handler, NULL, s);
	if (r >= 0)
		r = sd_bus_match_signal(bus, NULL, "org.freedesktop.DBus.Local",
		                        "/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local",
		                        "Disconnected", on_bus_gone, s);
	return r < 0 ? ctl_fail(s->c, CTL_UNREACHABLE, "Unreachable", NULL,
	                        "cannot listen on the bus: %s", strerror(-r))
	             : 0;
}
