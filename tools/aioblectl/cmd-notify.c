/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * notify: the values of one or several characteristics as they come. Each subscription has its own
 * descriptor, registered before the peer is told to send, so no value is missed; what a slow reader
 * of ours loses is counted and said.
 */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aiobled/stream.h"
#include "attr.h"
#include "output.h"
#include "peer.h"
#include "stream.h"
#include "text.h"
#include "value.h"

#define NOTIFY_MAX 16
/* The daemon is given this to clear a CCCD before we leave; it does so anyway when we are gone */
#define STOP_LIMIT_MS 1000

enum {
	OPT_COUNT = 0x100,
	OPT_DURATION,
	OPT_FORMAT,
	OPT_INDICATE,
	OPT_NOTIFY,
};

struct notify;

struct subscription {
	struct notify *n;
	const struct attr *attr;
	char *path;
	struct stream stream;
};

struct notify {
	struct ctl *c;
	struct peer_connect how;
	struct value_format format;
	bool format_given, notify, indicate, closing;
	long count;
	uint64_t duration_ms, values, dropped;
	int64_t realtime_offset_us; /* CLOCK_REALTIME - CLOCK_MONOTONIC when we started */
	struct peer peer;
	struct attr_db db;
	struct subscription subs[NOTIFY_MAX];
	size_t sub_count;
	sd_event_source *timer;
	bool lasted; /* --duration passed */
};

static void notify_free(struct notify *n)
{
	n->timer = sd_event_source_unref(n->timer);
	for (size_t i = 0; i < n->sub_count; i++) {
		stream_stop(&n->subs[i].stream);
		free(n->subs[i].path);
	}
	attr_db_free(&n->db);
	peer_free(&n->peer);
}

/* ---- one value ---- */

static const char *kind(const struct record *r)
{
	return r->type == STREAM_INDICATED ? "indicated" : "notified";
}

static int64_t wall_us(struct notify *n, const struct record *r)
{
	return (int64_t)r->time_us + n->realtime_offset_us;
}

static void print_json(struct subscription *s, const struct record *r)
{
	_cleanup_(json_putp) json_object *o = json_object_new_object();
	_cleanup_(text_free) struct text hex = {0}, wall = {0};
	int64_t us = wall_us(s->n, r);

	text_addf(&wall, "%" PRId64 ".%06" PRId64, us / 1000000, us % 1000000);
	text_hex(&hex, r->payload, r->len);
	json_object_object_add(o, "time",
	                       json_object_new_double_s((double)us / 1e6, text_str(&wall)));
	json_object_object_add(o, "time_us", json_object_new_uint64(r->time_us));
	json_object_object_add(o, "seq", json_object_new_uint64(r->seq));
	json_object_object_add(o, "dropped", json_object_new_int64(r->dropped));
	json_object_object_add(o, "handle", json_object_new_int(s->attr->handle));
	json_object_object_add(o, "uuid", json_object_new_string(s->attr->uuid));
	json_object_object_add(o, "kind", json_object_new_string(kind(r)));
	json_object_object_add(o, "value", json_object_new_string(text_str(&hex)));
	if (s->n->format_given)
		json_object_object_add(o, "decoded", value_json(&s->n->format, r->payload, r->len));
	out_line(s->n->c, o);
}

/* On a terminal the time of day, elsewhere seconds since 1970 */
static void print_time(struct notify *n, const struct record *r)
{
	int64_t us = wall_us(n, r);
	time_t seconds = us / 1000000;
	struct tm tm;
	char buf[16];

	if (!n->c->tty) {
		printf("%" PRId64 ".%06" PRId64 "\t", us / 1000000, us % 1000000);
		return;
	}
	if (!localtime_r(&seconds, &tm) || !strftime(buf, sizeof(buf), "%H:%M:%S", &tm))
		buf[0] = 0;
	printf("%s.%03d  ", buf, (int)(us % 1000000 / 1000));
}

static void print_text(struct subscription *s, const struct record *r)
{
	_cleanup_(text_free) struct text t = {0};
	struct notify *n = s->n;

	if (value_is_raw(&n->format)) {
		(void)fwrite(r->payload, 1, r->len,
		             stdout); /* errors show in out_flush() and out_finish() */
		return;
	}
	if (value_print(&n->format, r->payload, r->len, n->c->tty, &t) < 0) {
		text_free(&t);
		text_hex(&t, r->payload, r->len);
		ctl_note(n->c, "0x%04x: %zu bytes do not fit the format, shown in hexadecimal",
		         s->attr->handle, r->len);
	}
	if (!n->c->quiet) {
		print_time(n, r);
		printf(n->c->tty ? "0x%04x  %s  " : "0x%04x\t%s\t", s->attr->handle, kind(r));
	}
	puts(text_str(&t));
}

static void on_value(struct subscription *s, const struct record *r)
{
	struct notify *n = s->n;

	if (r->dropped && !n->c->quiet && n->c->json == JSON_OFF)
		ctl_note(n->c, "0x%04x: %u values were lost here", s->attr->handle, r->dropped);
	n->dropped += r->dropped;
	n->values++;
	if (n->c->json != JSON_OFF)
		print_json(s, r);
	else
		print_text(s, r);
	out_flush(n->c);
	if (n->count && n->values >= (uint64_t)n->count)
		ctl_done(n->c, CTL_OK);
}

static void on_record(struct stream *stream, const struct record *r, void *userdata)
{
	struct subscription *s = userdata;
	_cleanup_(text_free) struct text culprit = {0};
	struct notify *n = s->n;
	const char *reason;
	uint8_t hci;

	if (n->closing || n->c->stop != STOP_NONE)
		return;
	if (!r) {
		ctl_done(n->c, ctl_fail(n->c, CTL_UNREACHABLE, "Unreachable", NULL,
		                        "notify: the daemon went away"));
	} else if (r->type == STREAM_END) {
		reason = stream_end_reason(r, &hci);
		text_addf(&culprit, "notify 0x%04x (%s) of %s", s->attr->handle,
		          attr_label(s->attr), n->peer.name);
		ctl_done(n->c, ctl_fail_reason(n->c, reason, hci, text_str(&culprit)));
	} else if (r->type == STREAM_NOTIFIED || r->type == STREAM_INDICATED) {
		on_value(s, r);
	}
}

/* ---- subscribing ---- */

/* Notifications unless --indicate; both with both; whatever there is when the property byte offers
 * only indications */
static void wanted(struct notify *n, const struct attr *a, bool *ret_notify, bool *ret_indicate)
{
	bool only_indicate = !(a->properties & 0x10) &&
	                     a->properties & 0x20; /* Core 5.4, Vol 3, Part G, 3.3.1.1 */

	*ret_indicate = n->indicate || (!n->notify && only_indicate);
	*ret_notify = n->notify || !*ret_indicate;
}

static int subscribe(struct notify *n, struct subscription *s)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
		call_new(n->c, s->attr->path, "Characteristic1", "OpenNotify");
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(text_free) struct text culprit = {0};
	bool notify, indicate;
	const char *path;
	int fd, r;

	wanted(n, s->attr, &notify, &indicate);
	call_options_open(m);
	call_option_timeout(n->c, m);
	call_option_bool(m, "notify", notify);
	call_option_bool(m, "indicate", indicate);
	call_option_str(m, "lifetime", "caller");
	call_option_u32(m, "queue", 4096);
	call_options_close(m);
	text_addf(&culprit, "subscribe to 0x%04x (%s) of %s", s->attr->handle, attr_label(s->attr),
	          n->peer.name);
	r = ctl_call(n->c, steal(&m), text_str(&culprit), &reply);
	if (!r)
		r = ctl_read(n->c, reply, "ho", &fd, &path);
	if (r)
		return r;
	s->path = strdup(path);
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message keeps the other */
	ctl_must(!s->path ? -ENOMEM : fd < 0 ? -errno : 0);
	ctl_must(stream_start(&s->stream, n->c->event, fd, on_record, s));
	return 0;
}

static int subscribe_all(struct notify *n, const struct attr *const *attrs, size_t count)
{
	int r = 0;

	for (size_t i = 0; !r && i < count; i++) {
		struct subscription *s = &n->subs[n->sub_count++];

		*s = (struct subscription){.n = n, .attr = attrs[i], .stream.fd = -1};
		r = subscribe(n, s);
	}
	return r;
}

/* Wait until the peer has been told to stop. Another signal cuts that short. */
static void unsubscribe_all(struct notify *n)
{
	enum ctl_stop why = n->c->stop;

	n->closing = true;
	n->c->stop = STOP_NONE;
	for (size_t i = 0; i < n->sub_count && n->c->stop == STOP_NONE; i++) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *reply = NULL;

		if (!n->subs[i].path || n->subs[i].stream.ended)
			continue;
		m = call_new(n->c, n->subs[i].path, "Subscription1", "Stop");
		call_options_open(m);
		call_option_u32(m, "timeout_ms", STOP_LIMIT_MS);
		call_options_close(m);
		(void)ctl_call_raw(n->c, steal(&m), "unsubscribe",
		                   &reply); /* the link may be gone already */
	}
	n->c->stop = why;
}

/* ---- the end ---- */

static int on_duration(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct notify *n = userdata;

	n->lasted = true;
	ctl_done(n->c, CTL_OK);
	return 0;
}

static bool is_short(struct notify *n)
{
	return n->count && n->values < (uint64_t)n->count;
}

static int too_few(struct notify *n)
{
	return ctl_fail(n->c, CTL_TIMEOUT, "Timeout", NULL,
	                "notify: %" PRIu64 " of %ld values came in time", n->values, n->count);
}

static int result(struct notify *n)
{
	if (n->dropped)
		ctl_note(n->c,
		         "notify: %" PRIu64 " values were lost because they were not read in time",
		         n->dropped);
	switch (n->c->stop) {
	case STOP_DONE:
		return n->lasted && is_short(n) ? too_few(n) : n->c->result;
	case STOP_TIMEOUT:
		return is_short(n) ? too_few(n)
		                   : ctl_fail(n->c, CTL_TIMEOUT, "Timeout", NULL,
		                              "notify: --timeout passed");
	case STOP_SIGNAL:
		return is_short(n) ? CTL_INTERRUPTED : CTL_OK;
	case STOP_NONE:
	case STOP_READER:
		break;
	}
	return CTL_OK;
}

static int run(struct notify *n)
{
	if (n->duration_ms)
		ctl_must(sd_event_add_time(n->c->event, &n->timer, CLOCK_MONOTONIC,
		                           ctl_now_us() + n->duration_ms * 1000, 1000, on_duration,
		                           n));
	ctl_run(n->c);
	unsubscribe_all(n);
	return result(n);
}

/* ---- the command line ---- */

static int set_format(struct notify *n, const char *text)
{
	if (value_format_parse(text, &n->format) < 0)
		return ctl_usage(n->c, "--format %s: not %s", text, value_format_names());
	n->format_given = true;
	return 0;
}

static int set_option(struct notify *n, int o)
{
	switch (o) {
	case PEER_OPT_TYPE:
		return peer_type(n->c, optarg, &n->how);
	case OPT_COUNT:
		return opt_number(n->c, "--count", optarg, 1, INT32_MAX, &n->count);
	case OPT_DURATION:
		return opt_milli(n->c, "--duration", optarg, "seconds", UINT32_MAX,
		                 &n->duration_ms);
	case OPT_FORMAT:
		return set_format(n, optarg);
	case OPT_INDICATE:
		n->indicate = true;
		return 0;
	case OPT_NOTIFY:
		n->notify = true;
		return 0;
	default:
		return CTL_USAGE;
	}
}

static int parse(struct notify *n, int argc, char **argv)
{
	static const struct option options[] = {
		PEER_OPTIONS,
		{"count", required_argument, NULL, OPT_COUNT},
		{"duration", required_argument, NULL, OPT_DURATION},
		{"format", required_argument, NULL, OPT_FORMAT},
		{"indicate", no_argument, NULL, OPT_INDICATE},
		{"notify", no_argument, NULL, OPT_NOTIFY},
		CTL_GLOBAL_OPTIONS,
	};
	int o, r = 0;

	while (!r && (o = ctl_getopt(n->c, argc, argv, options)) != OPT_END)
		r = set_option(n, o);
	if (!r && argc - optind < 2)
		r = ctl_usage(n->c, argc == optind ? "which peer?" : "which characteristic?");
	if (!r && argc - optind - 1 > NOTIFY_MAX)
		r = ctl_usage(n->c, "more than %d characteristics", NOTIFY_MAX);
	for (int i = optind + 1; !r && i < argc; i++)
		r = attr_check(n->c, argv[i]);
	return r;
}

static void remember_clocks(struct notify *n)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts); /* cannot fail for this clock */
	n->realtime_offset_us =
		(int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000 - (int64_t)ctl_now_us();
}

int cmd_notify(struct ctl *c, int argc, char **argv)
{
	_cleanup_(notify_free) struct notify n = {
		.c = c,
		.how = PEER_CONNECT_INIT,
		.format = {.fields = {{.kind = VALUE_SMART}}, .count = 1},
	};
	const struct attr *attrs[NOTIFY_MAX];
	size_t count;
	int r = parse(&n, argc, argv);

	if (r)
		return r;
	count = (size_t)(argc - optind - 1);
	remember_clocks(&n);
	r = ctl_connect_bus(c);
	if (!r)
		r = ctl_watch(c, true);
	if (!r)
		r = peer_open(c, argv[optind], &n.how, &n.peer);
	if (!r)
		r = peer_hold(c, &n.peer);
	if (!r)
		r = attr_find(c, &n.peer, &n.db, argv + optind + 1, count, ATTR_CHARACTERISTIC,
		              attrs);
	if (!r)
		r = subscribe_all(&n, attrs, count);
	return r ? r : run(&n);
}
