/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aiobled as a peripheral's program uses it: the daemon holds the values, writes are captured.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aiobled/bytes.h"
#include "aiobled/stream.h"
#include "client.h"
#include "server.h"

#define SERVICE       "org.aioble"
#define PATH_MAX_LEN  128
#define QUEUE         4096
#define INTERVAL_US   30000
#define WRITTEN_VALUE (STREAM_HEADER_SIZE + 8) /* behind the connection */

static struct {
	char flood[PATH_MAX_LEN];
	uint16_t flood_handle;
	int events, notify; /* descriptors; -1: over the bus */
	struct {
		enum heard what;
		uint8_t value[VALUE_MAX];
		size_t len;
	} heard; /* by the handler of the signal */
} a = {.events = -1, .notify = -1};

static int on_written(sd_bus_message *m, _unused_ void *data, _unused_ sd_bus_error *error)
{
	const char *attribute;
	const void *value;

	if (sd_bus_message_read(m, "oo", &attribute, NULL) < 0 ||
	    sd_bus_message_read_array(m, 'y', &value, &a.heard.len) < 0 || a.heard.len > VALUE_MAX)
		die("Written");
	memcpy(a.heard.value, value, a.heard.len);
	a.heard.what = strcmp(attribute, a.flood) == 0 ? HEARD_ORDER : HEARD_COMMAND;
	return 0;
}

/* the second characteristic of the only service */
static void take_flood(sd_bus_message *m)
{
	const char *path;

	if (sd_bus_message_enter_container(m, 'a', "(osqqba(osqqqya(osq)))") <= 0 ||
	    sd_bus_message_enter_container(m, 'r', "osqqba(osqqqya(osq))") <= 0 ||
	    sd_bus_message_skip(m, "osqqb") < 0 ||
	    sd_bus_message_enter_container(m, 'a', "(osqqqya(osq))") <= 0 ||
	    sd_bus_message_skip(m, "(osqqqya(osq))") < 0 ||
	    sd_bus_message_enter_container(m, 'r', "osqqqya(osq)") <= 0 ||
	    sd_bus_message_read(m, "osqq", &path, NULL, NULL, &a.flood_handle) < 0)
		die("RegisterServices");
	(void)snprintf(a.flood, sizeof(a.flood), "%s", path);
}

static int open_stream(const char *path, const char *interface, const char *member)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	int fd;

	m = must_call(SERVICE, path, interface, member, "a{sv}", 0);
	if (sd_bus_message_read(m, "h", &fd) < 0)
		die("%s", member);
	return dup(fd);
}

static void aiobled_open(bool by_fd)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *found = NULL, *m = NULL;
	const char *adapter, *application;

	bus_open_system();
	if (sd_bus_match_signal(bus, NULL, SERVICE, NULL, "org.aioble.Application1", "Written",
	                        on_written, NULL) < 0)
		die("no match");
	found = must_call(SERVICE, "/org/aioble", "org.aioble.Manager1", "FindAdapter", "sa{sv}",
	                  "hci0", 0);
	if (sd_bus_message_read(found, "o", &adapter) < 0)
		die("FindAdapter");
	m = must_call(SERVICE, adapter, "org.aioble.Adapter1", "RegisterServices", "aa{sv}a{sv}", 1,
	              2, "uuid", "s", UUID_SERVICE, "characteristics", "aa{sv}", 2, /* two: */
	              5, "uuid", "s", UUID_COUNT, "read", "b", 1, "write_no_response", "b", 1,
	              "capture", "b", 1, "initial", "ay", 4, 0, 0, 0, 0, /* and: */
	              4, "uuid", "s", UUID_FLOOD, "write", "b", 1, "notify", "b", 1, "capture", "b",
	              1, /* options: */
	              3, "queue", "u", QUEUE, "signals", "b", !by_fd, "lifetime", "s", "caller");
	if (sd_bus_message_read(m, "o", &application) < 0)
		die("RegisterServices");
	take_flood(m);
	if (by_fd) {
		a.events = open_stream(application, "org.aioble.Application1", "Open");
		a.notify = open_stream(a.flood, "org.aioble.LocalCharacteristic1", "OpenNotify");
	}
	sd_bus_message_unref(must_call(SERVICE, adapter, "org.aioble.Adapter1", "Advertise",
	                               "ta{sv}", (uint64_t)INTERVAL_US, 2, "name", "s", "bench",
	                               "lifetime", "s", "caller"));
}

static enum heard next_record(uint8_t value[VALUE_MAX], size_t *ret_len, int timeout_ms)
{
	uint8_t record[WRITTEN_VALUE + VALUE_MAX];
	ssize_t n;

	do {
		if (!wait_fd(a.events, POLLIN, timeout_ms))
			return HEARD_NOTHING;
		n = recv(a.events, record, sizeof(record), 0);
		if (n < STREAM_HEADER_SIZE || record[0] == STREAM_END)
			die("no more events");
	} while (record[0] != STREAM_WRITTEN || n < WRITTEN_VALUE);
	*ret_len = (size_t)n - WRITTEN_VALUE;
	memcpy(value, record + WRITTEN_VALUE, *ret_len);
	return (record[2] | record[3] << 8) == a.flood_handle ? HEARD_ORDER : HEARD_COMMAND;
}

static enum heard aiobled_next(uint8_t value[VALUE_MAX], size_t *ret_len, int timeout_ms)
{
	if (a.events >= 0)
		return next_record(value, ret_len, timeout_ms);
	a.heard.what = HEARD_NOTHING;
	while (!a.heard.what && bus_step(timeout_ms))
		;
	memcpy(value, a.heard.value, a.heard.len);
	*ret_len = a.heard.len;
	return a.heard.what;
}

/* Write with send_update; nobody waits for the answer, as nobody does for a signal */
static void notify_by_bus(const uint8_t *value, size_t len)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

	if (sd_bus_message_new_method_call(bus, &m, SERVICE, a.flood,
	                                   "org.aioble.LocalCharacteristic1", "Write") < 0 ||
	    sd_bus_message_append_array(m, 'y', value, len) < 0 ||
	    sd_bus_message_append(m, "a{sv}", 1, "send_update", "b", 1) < 0 ||
	    sd_bus_message_set_expect_reply(m, 0) < 0 || sd_bus_send(bus, m, NULL) < 0 ||
	    sd_bus_flush(bus) < 0)
		die("Write");
}

static void aiobled_notify(const uint8_t *value, size_t len)
{
	if (a.notify < 0) {
		notify_by_bus(value, len);
		return;
	}
	while (send(a.notify, value, len, 0) < 0) {
		if (errno != EAGAIN || !wait_fd(a.notify, POLLOUT, 10000))
			die("a value could not be sent");
	}
}

const struct server server_aiobled = {
	.name = "aiobled",
	.open = aiobled_open,
	.next = aiobled_next,
	.notify = aiobled_notify,
};
