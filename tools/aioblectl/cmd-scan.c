/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan: a table that redraws itself on a terminal, a line for each report anywhere else. Reports
 * come as JSON records of Scanner1.Open, so the daemon is the only one who takes advertising data
 * apart. Names are a stranger's text.
 */
#include "ctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/addr.h"
#include "aiobled/stream.h"
#include "aiobled/uuid.h"
#include "devices.h"
#include "output.h"
#include "sig.h"
#include "stream.h"
#include "text.h"

#define FILTERS_MAX 32
#define REDRAW_US   250000ULL

/* A person looks at the screen: listen all the time instead of the daemon's thrifty default */
#define INTERVAL_US 30000L

struct scan {
	struct ctl *c;
	struct stream stream;
	/* what was asked for */
	bool passive;
	const char *duplicates;
	long interval_us, window_us, rssi, first;
	uint64_t duration_ms;
	const char *uuids[FILTERS_MAX], *names[FILTERS_MAX], *addresses[FILTERS_MAX];
	uint16_t companies[FILTERS_MAX];
	size_t uuid_count, name_count, address_count, company_count;
	struct addr until;
	bool has_until;
	/* what was heard */
	struct devices devices;
	uint64_t dropped;
	bool live;
	size_t lines; /* of the table on the screen */
	sd_event_source *redraw;
};

enum {
	OPT_ACTIVE = 0x100,
	OPT_PASSIVE,
	OPT_COMPANY,
	OPT_DUPLICATES,
	OPT_DURATION,
	OPT_FIRST,
	OPT_INTERVAL,
	OPT_NAME,
	OPT_RSSI,
	OPT_UNTIL,
	OPT_UUID,
	OPT_WINDOW,
};

/* ---- one report ---- */

static void print_line(struct scan *s, json_object *report)
{
	_cleanup_(freep) char *company = report_companies(report),
			      *uuids = report_services(report, false);
	_cleanup_(table_free) struct table t = {0};
	_cleanup_(text_free) struct text rssi = {0};

	if (json_get(report, "rssi"))
		text_addf(&rssi, "%lld", (long long)json_int(report, "rssi"));
	table_init(&t, 7, "ADDRESS", "TYPE", "RSSI", "EVENT", "NAME", "SERVICES", "COMPANY");
	table_row(&t, json_str(report, "address"), json_str(report, "address_type"),
	          text_str(&rssi), json_str(report, "event_type"), json_str(report, "name"), uuids,
	          company);
	table_tabs(&t);
	out_flush(s->c);
}

static void print_json(struct scan *s, json_object *report, const struct record *r)
{
	_cleanup_(freep) char *company = report_companies(report);

	if (*company)
		json_object_object_add(report, "company", json_object_new_string(company));
	json_object_object_add(report, "dropped", json_object_new_int64(r->dropped));
	out_line(s->c, report);
}

/* ---- the live table ---- */

/* Go back to the first line of the last drawing, and write over it line by line: no flicker,
 * nothing above is touched */
static void overwrite(struct scan *s, const char *body)
{
	size_t lines = 0;

	if (s->lines)
		printf("\033[%zuA", s->lines);
	for (const char *end; (end = strchr(body, '\n')); body = end + 1, lines++)
		printf("\r%.*s\033[K\n", (int)(end - body), body);
	fputs("\033[J", stdout);
	s->lines = lines;
	out_flush(s->c);
}

static void draw(struct scan *s)
{
	_cleanup_(text_free) struct text body = {0};
	size_t rows, columns;

	if (!out_terminal(s->c, &rows, &columns))
		return;
	devices_text(s->c, &s->devices, &body, rows - 1, columns - 1);
	overwrite(s, text_str(&body));
}

static int on_redraw(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct scan *s = userdata;

	draw(s);
	ctl_must(sd_event_source_set_time(source, ctl_now_us() + REDRAW_US));
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* ---- the stream ---- */

static void show(struct scan *s, json_object *report, const struct record *r)
{
	if (s->live)
		return; /* the timer does */
	if (s->c->json != JSON_OFF)
		print_json(s, report, r);
	else
		print_line(s, report);
}

static bool is_until(struct scan *s, json_object *report)
{
	struct addr a;

	return s->has_until && addr_parse(json_str(report, "address"), ADDR_PUBLIC, &a) >= 0 &&
	       addr_equal(&a, &s->until);
}

static void on_report(struct scan *s, json_object *report, const struct record *r)
{
	bool is_new = (s->live || s->first) && devices_add(&s->devices, report);

	if (!s->first || is_new)
		show(s, report, r);
	if (is_until(s, report) || (s->first && s->devices.count >= (size_t)s->first))
		ctl_done(s->c, CTL_OK);
}

static bool is_goal(struct scan *s)
{
	return s->has_until || s->first;
}

static int not_seen(struct scan *s)
{
	char address[ADDR_STR_MAX];

	if (s->has_until)
		return ctl_fail(s->c, CTL_NOT_FOUND, "NotFound", NULL, "scan: %s was not heard",
		                addr_format(&s->until, address));
	return ctl_fail(s->c, CTL_NOT_FOUND, "NotFound", NULL,
	                "scan: %zu of %ld devices were heard", s->devices.count, s->first);
}

static void on_end(struct scan *s, const struct record *r)
{
	uint8_t hci;
	const char *reason = stream_end_reason(r, &hci);

	if (strcmp(reason, "duration") == 0)
		ctl_done(s->c, is_goal(s) ? not_seen(s) : CTL_OK);
	else
		ctl_done(s->c, ctl_on_adapter(ctl_fail_reason(s->c, reason, hci, "scan")));
}

static void on_record(struct stream *stream, const struct record *r, void *userdata)
{
	_cleanup_(json_putp) json_object *report = NULL;
	struct json_tokener *tokener;
	struct scan *s = userdata;

	if (s->c->stop != STOP_NONE)
		return;
	if (!r) {
		ctl_done(s->c, ctl_fail(s->c, CTL_UNREACHABLE, "Unreachable", NULL,
		                        "scan: the daemon went away"));
		return;
	}
	if (r->type == STREAM_END) {
		on_end(s, r);
		return;
	}
	s->dropped += r->dropped;
	if (r->type != STREAM_JSON)
		return; /* a kind of record that is younger than this program */
	tokener = json_tokener_new();
	ctl_must(tokener ? 0 : -ENOMEM);
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	report = json_tokener_parse_ex(tokener, (const char *)r->payload, (int)r->len);
	json_tokener_free(tokener);
	if (json_object_is_type(report, json_type_object))
		on_report(s, report, r);
	else
		ctl_done(s->c, ctl_bad_reply(s->c));
}

/* ---- the request ---- */

static void append_strings(sd_bus_message *m, const char *key, const char *const *list,
                           size_t count)
{
	if (!count)
		return;
	ctl_must(sd_bus_message_open_container(m, 'e', "sv"));
	ctl_must(sd_bus_message_append(m, "s", key));
	ctl_must(sd_bus_message_open_container(m, 'v', "as"));
	ctl_must(sd_bus_message_open_container(m, 'a', "s"));
	for (size_t i = 0; i < count; i++)
		ctl_must(sd_bus_message_append(m, "s", list[i]));
	ctl_must(sd_bus_message_close_container(m));
	ctl_must(sd_bus_message_close_container(m));
	ctl_must(sd_bus_message_close_container(m));
}

static void append_companies(struct scan *s, sd_bus_message *m)
{
	if (!s->company_count)
		return;
	ctl_must(sd_bus_message_open_container(m, 'e', "sv"));
	ctl_must(sd_bus_message_append(m, "s", "companies"));
	ctl_must(sd_bus_message_open_container(m, 'v', "aq"));
	ctl_must(sd_bus_message_append_array(m, 'q', s->companies,
	                                     s->company_count * sizeof(s->companies[0])));
	ctl_must(sd_bus_message_close_container(m));
	ctl_must(sd_bus_message_close_container(m));
}

static void append_options(struct scan *s, sd_bus_message *m)
{
	call_options_open(m);
	if (s->duration_ms)
		call_option_u32(m, "duration_ms", (uint32_t)s->duration_ms);
	call_option_u32(m, "interval_us", (uint32_t)s->interval_us);
	call_option_u32(m, "window_us", (uint32_t)s->window_us);
	call_option_bool(m, "active", !s->passive);
	call_option_str(m, "duplicates", s->duplicates);
	call_option_str(m, "lifetime", "caller");
	call_option_u32(m, "queue", 4096);
	append_strings(m, "uuids", s->uuids, s->uuid_count);
	append_strings(m, "names", s->names, s->name_count);
	append_strings(m, "addresses", s->addresses, s->address_count);
	append_companies(s, m);
	if (s->rssi > -128)
		ctl_must(sd_bus_message_append(m, "{sv}", "rssi", "n", (int)s->rssi));
	call_options_close(m);
}

static int open_scanner(struct scan *s, const char *adapter)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m =
		call_new(s->c, adapter, "Adapter1", "Scan");
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *made = NULL, *opened = NULL;
	const char *path;
	int fd, r;

	append_options(s, m);
	r = ctl_on_adapter(ctl_call(s->c, steal(&m), "scan", &made));
	if (!r)
		r = ctl_read(s->c, made, "o", &path);
	if (r)
		return r;
	m = call_new(s->c, path, "Scanner1", "Open");
	call_options_open(m);
	call_option_bool(m, "json", true);
	call_options_close(m);
	r = ctl_call(s->c, steal(&m), "scan", &opened);
	if (!r)
		r = ctl_read(s->c, opened, "h", &fd);
	if (r)
		return r;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 3); /* the message keeps the other */
	ctl_must(fd < 0 ? -errno : 0);
	ctl_must(stream_start(&s->stream, s->c->event, fd, on_record, s));
	return 0;
}

static int start(struct scan *s)
{
	_cleanup_(freep) char *adapter = NULL;
	size_t rows, columns;
	int r = ctl_connect_bus(s->c);

	if (!r)
		r = ctl_watch(s->c, true);
	if (!r)
		r = ctl_find_adapter(s->c, &adapter);
	if (!r)
		r = open_scanner(s, adapter);
	if (r)
		return r;
	s->live = s->c->json == JSON_OFF && out_terminal(s->c, &rows, &columns);
	if (s->live)
		ctl_must(sd_event_add_time(s->c->event, &s->redraw, CLOCK_MONOTONIC, ctl_now_us(),
		                           10000, on_redraw, s));
	return 0;
}

static int finish(struct scan *s)
{
	if (s->live)
		draw(s);
	if (s->dropped)
		ctl_note(s->c, "scan: %llu reports were lost because they were not read in time",
		         (unsigned long long)s->dropped);
	switch (s->c->stop) {
	case STOP_DONE:
		return s->c->result;
	case STOP_TIMEOUT:
		return ctl_fail(s->c, CTL_TIMEOUT, "Timeout", NULL, "scan: --timeout passed");
	case STOP_NONE:
	case STOP_SIGNAL:
	case STOP_READER:
		break;
	}
	return is_goal(s) && s->c->stop == STOP_SIGNAL ? CTL_INTERRUPTED : CTL_OK;
}

/* ---- the command line ---- */

static int add_text(struct ctl *c, const char *option, const char *text, const char **list,
                    size_t *count)
{
	if (!utf8_for_bus(text, strlen(text)))
		return ctl_usage(c, "%s: not UTF-8", option);
	if (*count == FILTERS_MAX)
		return ctl_usage(c, "%s: more than %d times", option, FILTERS_MAX);
	list[(*count)++] = text;
	return 0;
}

static int add_uuid(struct scan *s, const char *text)
{
	static char numbers[FILTERS_MAX][8];
	struct uuid u;
	uint16_t n;

	if (uuid_parse(text, &u) < 0) {
		if (!sig_name_known(text, &n) || !n)
			return ctl_usage(s->c, "--uuid %s: not a UUID or the name of a service",
			                 text);
		if (s->uuid_count < FILTERS_MAX) {
			(void)snprintf(numbers[s->uuid_count], sizeof(numbers[0]), "%04x",
			               n); /* fits */
			text = numbers[s->uuid_count];
		}
	}
	return add_text(s->c, "--uuid", text, s->uuids, &s->uuid_count);
}

static int add_company(struct scan *s, const char *text)
{
	long id;
	int r = opt_number(s->c, "--company", text, 0, 0xffff, &id);

	if (r)
		return r;
	if (s->company_count == FILTERS_MAX)
		return ctl_usage(s->c, "--company: more than %d times", FILTERS_MAX);
	s->companies[s->company_count++] = (uint16_t)id;
	return 0;
}

static int set_duplicates(struct scan *s, const char *text)
{
	if (strcmp(text, "all") != 0 && strcmp(text, "changed") != 0 && strcmp(text, "first") != 0)
		return ctl_usage(s->c, "--duplicates %s: not all, changed or first", text);
	s->duplicates = text;
	return 0;
}

static int set_until(struct scan *s, const char *text)
{
	if (addr_parse(text, ADDR_PUBLIC, &s->until) < 0)
		return ctl_usage(s->c, "--until %s: not an address", text);
	s->has_until = true;
	return 0;
}

/* Milliseconds on the command line, microseconds on the bus */
static int set_us(struct scan *s, const char *option, const char *text, long *ret)
{
	uint64_t us;
	int r = opt_milli(s->c, option, text, "ms", 40959375, &us);

	if (!r && us < 2500)
		r = ctl_usage(s->c, "%s %s: below 2.5 ms", option, text);
	if (!r)
		*ret = (long)us;
	return r;
}

static int set_option(struct scan *s, int o)
{
	switch (o) {
	case OPT_ACTIVE:
	case OPT_PASSIVE:
		s->passive = o == OPT_PASSIVE;
		return 0;
	case OPT_COMPANY:
		return add_company(s, optarg);
	case OPT_DUPLICATES:
		return set_duplicates(s, optarg);
	case OPT_DURATION:
		return opt_milli(s->c, "--duration", optarg, "seconds", UINT32_MAX,
		                 &s->duration_ms);
	case OPT_FIRST:
		return opt_number(s->c, "--first", optarg, 1, DEVICES_MAX, &s->first);
	case OPT_INTERVAL:
		return set_us(s, "--interval", optarg, &s->interval_us);
	case OPT_NAME:
		return add_text(s->c, "--name", optarg, s->names, &s->name_count);
	case OPT_RSSI:
		return opt_number(s->c, "--rssi", optarg, -127, 20, &s->rssi);
	case OPT_UNTIL:
		return set_until(s, optarg);
	case OPT_UUID:
		return add_uuid(s, optarg);
	case OPT_WINDOW:
		return set_us(s, "--window", optarg, &s->window_us);
	default:
		return CTL_USAGE;
	}
}

static int add_address(struct scan *s, const char *text)
{
	struct addr a;

	if (addr_parse(text, ADDR_PUBLIC, &a) < 0)
		return ctl_usage(s->c, "'%s' is not an address", text);
	return add_text(s->c, "address", text, s->addresses, &s->address_count);
}

static int parse(struct scan *s, int argc, char **argv)
{
	static const struct option options[] = {
		{"active", no_argument, NULL, OPT_ACTIVE},
		{"passive", no_argument, NULL, OPT_PASSIVE},
		{"company", required_argument, NULL, OPT_COMPANY},
		{"duplicates", required_argument, NULL, OPT_DUPLICATES},
		{"duration", required_argument, NULL, OPT_DURATION},
		{"first", required_argument, NULL, OPT_FIRST},
		{"interval", required_argument, NULL, OPT_INTERVAL},
		{"name", required_argument, NULL, OPT_NAME},
		{"rssi", required_argument, NULL, OPT_RSSI},
		{"until", required_argument, NULL, OPT_UNTIL},
		{"uuid", required_argument, NULL, OPT_UUID},
		{"window", required_argument, NULL, OPT_WINDOW},
		CTL_GLOBAL_OPTIONS,
	};
	int o, r = 0;

	while (!r && (o = ctl_getopt(s->c, argc, argv, options)) != OPT_END)
		r = set_option(s, o);
	for (; !r && optind < argc; optind++)
		r = add_address(s, argv[optind]);
	if (!s->window_us)
		s->window_us = s->interval_us;
	if (!r && s->window_us > s->interval_us)
		r = ctl_usage(s->c, "--window is longer than --interval");
	return r;
}

static void scan_free(struct scan *s)
{
	devices_free(&s->devices);
	s->redraw = sd_event_source_unref(s->redraw);
	stream_stop(&s->stream);
}

int cmd_scan(struct ctl *c, int argc, char **argv)
{
	_cleanup_(scan_free) struct scan s = {
		.c = c,
		.stream.fd = -1,
		.interval_us = INTERVAL_US,
		.rssi = -128,
		.duplicates = "all",
	};
	int r = parse(&s, argc, argv);

	if (!r)
		r = start(&s);
	if (r)
		return r;
	ctl_run(c);
	return finish(&s);
}
