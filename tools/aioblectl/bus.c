/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bus: connection, calls, replies as JSON, and the event loop that streams share with calls.
 * Every call is asynchronous underneath because sd_bus_call() drops the second argument of an
 * error, which carries the numbers.
 */
#include "ctl.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "output.h"
#include "text.h"

/* What the daemon is given on top of its own deadline before it counts as dead, and for calls that
 * do not wait at all */
#define CALL_MARGIN_US (5 * 1000000ULL)
/* Longest default timeout_ms of a method (Connect and Discover, 10 s), with room for a slow machine
 */
#define CALL_DEFAULT_US (40 * 1000000ULL)

uint64_t ctl_now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts); /* cannot fail for this clock */
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static int open_bus(struct ctl *c, sd_bus **ret)
{
	_cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
	int r;

	if (c->bus_kind == BUS_SYSTEM)
		return sd_bus_open_system(ret);
	if (c->bus_kind == BUS_USER)
		return sd_bus_open_user(ret);
	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, c->bus_address);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, 1);
	if (r >= 0)
		r = sd_bus_negotiate_fds(bus, 1);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r >= 0)
		*ret = steal(&bus);
	return r;
}

int ctl_connect_bus(struct ctl *c)
{
	int r;

	if (c->bus)
		return 0;
	r = open_bus(c, &c->bus);
	if (r == -EINVAL && c->bus_kind == BUS_ADDRESS)
		return ctl_usage(c, "--address %s: not a D-Bus address", c->bus_address);
	if (r < 0)
		return ctl_fail(c, CTL_UNREACHABLE, "Unreachable", NULL,
		                "no connection to the bus: %s", strerror(-r));
	ctl_must(sd_event_new(&c->event));
	ctl_must(sd_bus_attach_event(c->bus, c->event, SD_EVENT_PRIORITY_NORMAL));
	return 0;
}

void ctl_close(struct ctl *c)
{
	c->bus = sd_bus_flush_close_unref(c->bus);
	c->event = sd_event_unref(c->event);
}

sd_bus_message *call_new(struct ctl *c, const char *path, const char *iface, const char *member)
{
	_cleanup_(text_free) struct text full = {0};
	sd_bus_message *m = NULL;

	text_addf(&full, strchr(iface, '.') ? "%s" : CTL_SERVICE ".%s", iface);
	ctl_must(sd_bus_message_new_method_call(c->bus, &m, CTL_SERVICE, path, text_str(&full),
	                                        member));
	return m;
}

void call_options_open(sd_bus_message *m)
{
	ctl_must(sd_bus_message_open_container(m, 'a', "{sv}"));
}

void call_option_u32(sd_bus_message *m, const char *key, uint32_t value)
{
	ctl_must(sd_bus_message_append(m, "{sv}", key, "u", value));
}

void call_option_bool(sd_bus_message *m, const char *key, bool value)
{
	ctl_must(sd_bus_message_append(m, "{sv}", key, "b", (int)value));
}

void call_option_str(sd_bus_message *m, const char *key, const char *value)
{
	ctl_must(sd_bus_message_append(m, "{sv}", key, "s", value));
}

void call_options_close(sd_bus_message *m)
{
	ctl_must(sd_bus_message_close_container(m));
}

/* Milliseconds left, at least 1 so that a late call fails as one; 0 for ever */
static uint32_t remaining_ms(struct ctl *c)
{
	uint64_t now = ctl_now_us();

	if (c->deadline_us == UINT64_MAX)
		return 0;
	return c->deadline_us <= now ? 1 : (uint32_t)MAX((c->deadline_us - now) / 1000, 1U);
}

void call_option_timeout(struct ctl *c, sd_bus_message *m)
{
	if (c->timeout_given)
		call_option_u32(m, "timeout_ms", remaining_ms(c));
}

void call_option_timeout_or(struct ctl *c, sd_bus_message *m, uint32_t otherwise_ms)
{
	call_option_u32(m, "timeout_ms", c->timeout_given ? remaining_ms(c) : otherwise_ms);
}

void call_no_options(sd_bus_message *m)
{
	call_options_open(m);
	call_options_close(m);
}

/* sd-bus takes 0 for its default of 25 s, which is no longer than some of the daemon's own */
static uint64_t call_usec(struct ctl *c)
{
	if (!c->timeout_given)
		return CALL_DEFAULT_US;
	return c->timeout_ms ? remaining_ms(c) * 1000ULL + CALL_MARGIN_US : UINT64_MAX;
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	*(sd_bus_message **)userdata = sd_bus_message_ref(m);
	return 1;
}

int ctl_call_raw(struct ctl *c, sd_bus_message *m, const char *culprit, sd_bus_message **ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = m, *reply = NULL;
	_cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
	int r = sd_bus_call_async(c->bus, &slot, call, on_reply, &reply, call_usec(c));

	while (r >= 0 && !reply && c->stop != STOP_SIGNAL)
		r = sd_event_run(c->event, UINT64_MAX);
	if (r < 0)
		return ctl_fail(c, CTL_UNREACHABLE, "Unreachable", NULL, "%s: the bus is gone: %s",
		                culprit, strerror(-r));
	if (!reply)
		return CTL_INTERRUPTED;
	*ret = steal(&reply);
	return 0;
}

int ctl_call(struct ctl *c, sd_bus_message *m, const char *culprit, sd_bus_message **ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = ctl_call_raw(c, m, culprit, &reply);

	if (r)
		return r;
	if (sd_bus_message_is_method_error(reply, NULL))
		return ctl_fail_message(c, reply, culprit);
	if (ret)
		*ret = steal(&reply);
	return 0;
}

int ctl_bad_reply(struct ctl *c)
{
	return ctl_fail(c, CTL_FAILED, "BadReply", NULL,
	                "the daemon's answer is not what its interface says");
}

int ctl_read(struct ctl *c, sd_bus_message *m, const char *types, ...)
{
	va_list ap;
	int r;

	va_start(ap, types);
	r = sd_bus_message_readv(m, types, ap);
	va_end(ap);
	return r > 0 ? 0 : ctl_bad_reply(c);
}

int ctl_read_bytes(struct ctl *c, sd_bus_message *m, const void **ret, size_t *ret_len)
{
	return sd_bus_message_read_array(m, 'y', ret, ret_len) >= 0 ? 0 : ctl_bad_reply(c);
}

static json_object *basic_json(sd_bus_message *m, char type)
{
	union {
		uint8_t y;
		int16_t n;
		uint16_t q;
		int32_t i;
		uint32_t u;
		int64_t x;
		uint64_t t;
		double d;
		int b;
		const char *s;
	} v;

	if (sd_bus_message_read_basic(m, type, &v) <= 0)
		return NULL;
	switch (type) {
	case 'y':
		return json_object_new_int(v.y);
	case 'n':
		return json_object_new_int(v.n);
	case 'q':
		return json_object_new_int(v.q);
	case 'i':
	case 'h':
		return json_object_new_int(v.i);
	case 'u':
		return json_object_new_int64(v.u);
	case 'x':
		return json_object_new_int64(v.x);
	case 't':
		return json_object_new_uint64(v.t);
	case 'd':
		return json_object_new_double(v.d);
	case 'b':
		return json_object_new_boolean(v.b);
	default:
		return json_object_new_string(v.s);
	}
}

static json_object *bytes_json(sd_bus_message *m)
{
	_cleanup_(text_free) struct text t = {0};
	const void *data;
	size_t len;

	if (sd_bus_message_read_array(m, 'y', &data, &len) < 0)
		return NULL;
	text_hex(&t, data, len);
	return json_object_new_string(text_str(&t));
}

/* Fills the container that was entered and leaves it; on trouble what was understood so far is kept
 */
static void fill_json(sd_bus_message *m, json_object *into)
{
	json_object *value;

	while ((value = message_json(m)))
		json_object_array_add(into, value);
	(void)sd_bus_message_exit_container(
		m); /* fails when not at the end: nothing more can be read then either */
}

static json_object *dict_json(sd_bus_message *m, const char *contents)
{
	json_object *into = json_object_new_object();

	if (sd_bus_message_enter_container(m, 'a', contents) < 0)
		return into;
	while (sd_bus_message_enter_container(m, 0, NULL) > 0) {
		_cleanup_(json_putp) json_object *key = message_json(m);
		json_object *value = message_json(m);

		if (!key)
			break;
		json_object_object_add(into, json_object_get_string(key), value);
		(void)sd_bus_message_exit_container(m); /* as in fill_json() */
	}
	(void)sd_bus_message_exit_container(m); /* as in fill_json() */
	return into;
}

static json_object *list_json(sd_bus_message *m, char type, const char *contents)
{
	json_object *into = json_object_new_array();

	if (sd_bus_message_enter_container(m, type, contents) > 0)
		fill_json(m, into);
	return into;
}

static json_object *variant_json(sd_bus_message *m, const char *contents)
{
	json_object *value;

	if (sd_bus_message_enter_container(m, 'v', contents) <= 0)
		return NULL;
	value = message_json(m);
	(void)sd_bus_message_exit_container(m); /* as in fill_json() */
	return value;
}

json_object *message_json(sd_bus_message *m)
{
	const char *contents;
	char type;

	if (sd_bus_message_peek_type(m, &type, &contents) <= 0)
		return NULL;
	if (type == 'v')
		return variant_json(m, contents);
	if (type == 'a' && strcmp(contents, "y") == 0)
		return bytes_json(m);
	if (type == 'a' && contents[0] == '{')
		return dict_json(m, contents);
	if (type == 'a' || type == 'r')
		return list_json(m, type, contents);
	return basic_json(m, type);
}

int ctl_objects(struct ctl *c, json_object **ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = ctl_call(
		c, call_new(c, CTL_ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"),
		"list the daemon's objects", &reply);

	if (r)
		return r;
	*ret = message_json(reply);
	return json_object_is_type(*ret, json_type_object) ? 0 : ctl_bad_reply(c);
}

int ctl_properties(struct ctl *c, const char *path, const char *iface, const char *culprit,
                   json_object **ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL, *m = NULL;
	_cleanup_(text_free) struct text full = {0};
	int r;

	text_addf(&full, CTL_SERVICE ".%s", iface);
	m = call_new(c, path, "org.freedesktop.DBus.Properties", "GetAll");
	ctl_must(sd_bus_message_append(m, "s", text_str(&full)));
	r = ctl_call(c, steal(&m), culprit, &reply);
	if (r)
		return r;
	*ret = message_json(reply);
	return json_object_is_type(*ret, json_type_object) ? 0 : ctl_bad_reply(c);
}

int ctl_find_adapter(struct ctl *c, char **ret)
{
	_cleanup_(sd_bus_message_unrefp)
		sd_bus_message *reply = NULL,
			       *m = call_new(c, CTL_ROOT, "Manager1", "FindAdapter");
	_cleanup_(text_free) struct text culprit = {0};
	const char *path;
	int r;

	ctl_must(sd_bus_message_append(m, "s", c->adapter));
	call_no_options(m);
	text_addf(&culprit, "adapter%s%s", *c->adapter ? " " : "", c->adapter);
	r = ctl_call(c, steal(&m), text_str(&culprit), &reply);
	if (r)
		return ctl_on_adapter(r);
	r = ctl_read(c, reply, "o", &path);
	if (r)
		return r;
	*ret = strdup(path);
	ctl_must(*ret ? 0 : -ENOMEM);
	return 0;
}

static void stop(struct ctl *c, enum ctl_stop why)
{
	if (c->stop == STOP_NONE)
		c->stop = why;
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
	stop(userdata, STOP_SIGNAL);
	return 0;
}

static int on_output(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	stop(userdata, STOP_READER);
	return sd_event_source_set_enabled(s, SD_EVENT_OFF);
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata)
{
	stop(userdata, STOP_TIMEOUT);
	return 0;
}

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};

static sigset_t watched(void)
{
	sigset_t set;

	(void)sigemptyset(&set); /* neither fails for a known signal */
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		(void)sigaddset(&set, signals[i]);
	return set;
}

bool ctl_signaled(struct ctl *c)
{
	const struct timespec now = {.tv_sec = 0};
	sigset_t set = watched();

	if (sigtimedwait(&set, NULL, &now) > 0)
		stop(c, STOP_SIGNAL);
	return c->stop == STOP_SIGNAL;
}

int ctl_watch(struct ctl *c, bool deadline)
{
	sigset_t set = watched();

	ctl_must(sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0);
	(void)signal(SIGPIPE, SIG_IGN); /* out_flush() looks at the error instead */
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		ctl_must(sd_event_add_signal(c->event, NULL, signals[i], on_signal, c));
	/* a file or /dev/null cannot be watched and has no reader to lose */
	(void)sd_event_add_io(c->event, NULL, STDOUT_FILENO, EPOLLERR, on_output, c);
	if (deadline && c->timeout_given && c->deadline_us != UINT64_MAX)
		ctl_must(sd_event_add_time(c->event, NULL, CLOCK_MONOTONIC, c->deadline_us, 1000,
		                           on_deadline, c));
	return 0;
}

void ctl_run(struct ctl *c)
{
	while (c->stop == STOP_NONE) {
		int r = sd_event_run(c->event, UINT64_MAX);

		if (r < 0)
			ctl_done(c, ctl_fail(c, CTL_UNREACHABLE, "Unreachable", NULL,
			                     "the bus is gone: %s", strerror(-r)));
	}
}

void ctl_done(struct ctl *c, int code)
{
	if (c->stop != STOP_NONE)
		return;
	c->stop = STOP_DONE;
	c->result = code;
}
