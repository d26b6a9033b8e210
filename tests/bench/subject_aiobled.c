/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aiobled as a program uses it.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aiobled/bytes.h"
#include "aiobled/stream.h"
#include "client.h"

#define SERVICE      "org.aioble"
#define PATH_MAX_LEN 128

static struct {
	char adapter[PATH_MAX_LEN], connection[PATH_MAX_LEN], characteristic[PATH_MAX_LEN],
		subscription[PATH_MAX_LEN];
	struct {
		char path[PATH_MAX_LEN], uuid[40];
	} found[1024];
	int n_found, fd, write_fd;
	uint64_t dropped;
} a;

static void keep(char *to, const char *from)
{
	(void)snprintf(to, PATH_MAX_LEN, "%s", from);
}

static void aiobled_open(void)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	const char *path;

	bus_open_system();
	a.fd = a.write_fd = -1;
	m = must_call(SERVICE, "/org/aioble", "org.aioble.Manager1", "FindAdapter", "sa{sv}",
	              "hci0", 0);
	if (sd_bus_message_read(m, "o", &path) < 0)
		die("FindAdapter");
	keep(a.adapter, path);
}

static void aiobled_connect(const char *address)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	const char *path;

	m = must_call(SERVICE, a.adapter, "org.aioble.Adapter1", "Connect", "ssa{sv}", address,
	              "public", 2, "timeout_ms", "u", 30000, "lifetime", "s", "caller");
	if (sd_bus_message_read(m, "o", &path) < 0)
		die("Connect");
	keep(a.connection, path);
}

static void read_characteristics(sd_bus_message *m)
{
	if (sd_bus_message_enter_container(m, 'a', "(osqqqya(osq))") < 0)
		die("Discover");
	while (sd_bus_message_enter_container(m, 'r', "osqqqya(osq)") > 0) {
		const char *path, *uuid;
		uint16_t declaration, handle, end;
		uint8_t properties;

		if (sd_bus_message_read(m, "osqqqy", &path, &uuid, &declaration, &handle, &end,
		                        &properties) < 0 ||
		    sd_bus_message_skip(m, "a(osq)") < 0)
			die("Discover");
		keep(a.found[a.n_found].path, path);
		(void)snprintf(a.found[a.n_found].uuid, sizeof(a.found[0].uuid), "%s", uuid);
		a.n_found++;
		(void)sd_bus_message_exit_container(m);
	}
	(void)sd_bus_message_exit_container(m);
}

static int aiobled_resolve(void)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *mtu = NULL, *m = NULL;

	mtu = must_call(SERVICE, a.connection, "org.aioble.Connection1", "ExchangeMtu", "a{sv}", 0);
	m = must_call(SERVICE, a.connection, "org.aioble.Connection1", "Discover", "a{sv}", 1,
	              "timeout_ms", "u", 30000);
	a.n_found = 0;
	if (sd_bus_message_enter_container(m, 'a', "(osqqba(osqqqya(osq)))") < 0)
		die("Discover");
	while (sd_bus_message_enter_container(m, 'r', "osqqba(osqqqya(osq))") > 0) {
		if (sd_bus_message_skip(m, "osqqb") < 0)
			die("Discover");
		read_characteristics(m);
		(void)sd_bus_message_exit_container(m);
	}
	return a.n_found;
}

static void aiobled_choose(const char *uuid)
{
	for (int i = 0; i < a.n_found; i++) {
		if (strcmp(a.found[i].uuid, uuid) == 0) {
			keep(a.characteristic, a.found[i].path);
			return;
		}
	}
	die("no characteristic %s", uuid);
}

static size_t aiobled_read(uint8_t value[VALUE_MAX])
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	const void *data;
	size_t len;

	m = must_call(SERVICE, a.characteristic, "org.aioble.Characteristic1", "Read", "a{sv}", 0);
	if (sd_bus_message_read_array(m, 'y', &data, &len) < 0)
		die("Read");
	memcpy(value, data, MIN(len, (size_t)VALUE_MAX));
	return len;
}

static size_t aiobled_read_uuid(const char *uuid, uint8_t value[VALUE_MAX])
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	const void *data;
	size_t len;

	m = must_call(SERVICE, a.connection, "org.aioble.Connection1", "ReadUuid", "sa{sv}", uuid,
	              0);
	if (sd_bus_message_read_array(m, 'y', &data, &len) < 0)
		die("ReadUuid");
	memcpy(value, data, MIN(len, (size_t)VALUE_MAX));
	return len;
}

static void aiobled_open_write(void)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	uint16_t mtu;
	int fd;

	m = must_call(SERVICE, a.characteristic, "org.aioble.Characteristic1", "OpenWrite", "a{sv}",
	              0);
	if (sd_bus_message_read(m, "hq", &fd, &mtu) < 0)
		die("OpenWrite");
	a.write_fd = dup(fd);
}

static void aiobled_command(const uint8_t *value, size_t len)
{
	while (send(a.write_fd, value, len, 0) < 0) {
		if (errno != EAGAIN || !wait_fd(a.write_fd, POLLOUT, 10000))
			die("a command could not be sent");
	}
}

static void aiobled_write(const uint8_t *value, size_t len)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

	/* asynchronous: the values it sets off shall not wait behind its reply */
	if (sd_bus_message_new_method_call(bus, &m, SERVICE, a.characteristic,
	                                   "org.aioble.Characteristic1", "Write") < 0 ||
	    sd_bus_message_append_array(m, 'y', value, len) < 0 ||
	    sd_bus_message_append(m, "a{sv}", 0) < 0 ||
	    sd_bus_call_async(bus, NULL, m, NULL, NULL, CALL_TIMEOUT_US) < 0)
		die("Write");
	(void)sd_bus_flush(bus);
}

static int on_notified(sd_bus_message *m, _unused_ void *data, _unused_ sd_bus_error *error)
{
	uint64_t seq, when;
	const void *value;
	size_t len;

	if (sd_bus_message_enter_container(m, 'a', "(ttay)") < 0)
		die("Notified");
	while (sd_bus_message_enter_container(m, 'r', "ttay") > 0) {
		if (sd_bus_message_read(m, "tt", &seq, &when) < 0 ||
		    sd_bus_message_read_array(m, 'y', &value, &len) < 0)
			die("Notified");
		values_put(value, len);
		(void)sd_bus_message_exit_container(m);
	}
	(void)sd_bus_message_exit_container(m);
	if (sd_bus_message_read(m, "t", &a.dropped) < 0)
		die("Notified");
	return 0;
}

static bool aiobled_subscribe(bool by_fd)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	const char *path;
	int fd = -1;

	if (by_fd) {
		m = must_call(SERVICE, a.characteristic, "org.aioble.Characteristic1", "OpenNotify",
		              "a{sv}", 0);
		if (sd_bus_message_read(m, "ho", &fd, &path) < 0)
			die("OpenNotify");
		a.fd = dup(fd);
		return true;
	}
	if (sd_bus_match_signal(bus, NULL, SERVICE, NULL, "org.aioble.Subscription1", "Notified",
	                        on_notified, NULL) < 0)
		die("no match");
	m = must_call(SERVICE, a.characteristic, "org.aioble.Characteristic1", "Subscribe", "a{sv}",
	              1, "signals", "b", 1);
	if (sd_bus_message_read(m, "o", &path) < 0)
		die("Subscribe");
	keep(a.subscription, path);
	return true;
}

static int next_record(uint8_t value[VALUE_MAX], int timeout_ms)
{
	uint8_t record[STREAM_HEADER_SIZE + VALUE_MAX];
	struct rd r;
	uint8_t type;
	ssize_t n;

	if (!wait_fd(a.fd, POLLIN, timeout_ms))
		return -1;
	n = recv(a.fd, record, sizeof(record), 0);
	if (n < STREAM_HEADER_SIZE)
		die("a broken record");
	r = rd_init(record, (size_t)n);
	type = rd_u8(&r);
	(void)rd_bytes(&r, 3);
	a.dropped += rd_le32(&r);
	if (type != STREAM_NOTIFIED)
		return -1;
	memcpy(value, record + STREAM_HEADER_SIZE, (size_t)n - STREAM_HEADER_SIZE);
	return (int)n - STREAM_HEADER_SIZE;
}

static int aiobled_next(uint8_t value[VALUE_MAX], int timeout_ms)
{
	int len;

	if (a.fd >= 0)
		return next_record(value, timeout_ms);
	while ((len = values_take(value)) < 0) {
		if (!bus_step(timeout_ms))
			return -1;
	}
	return len;
}

static uint64_t aiobled_dropped(void)
{
	return a.dropped;
}

static void aiobled_disconnect(void)
{
	sd_bus_message_unref(must_call(SERVICE, a.connection, "org.aioble.Connection1",
	                               "Disconnect", "a{sv}", 1, "timeout_ms", "u", 10000));
}

static void aiobled_scan(void)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL, *opened = NULL;
	const char *path;
	int fd;

	m = must_call(SERVICE, a.adapter, "org.aioble.Adapter1", "Scan", "a{sv}", 2, "interval_us",
	              "u", 60000, "window_us", "u", 60000);
	if (sd_bus_message_read(m, "o", &path) < 0)
		die("Scan");
	opened = must_call(SERVICE, path, "org.aioble.Scanner1", "Open", "a{sv}", 0);
	if (sd_bus_message_read(opened, "h", &fd) < 0)
		die("Open");
	a.fd = dup(fd);
}

static int aiobled_next_report(int timeout_ms)
{
	uint8_t record[STREAM_HEADER_SIZE + STREAM_REPORT_HEADER_SIZE + 2 * 1650];
	ssize_t n;

	if (!wait_fd(a.fd, POLLIN, timeout_ms))
		return -1;
	n = recv(a.fd, record, sizeof(record), 0);
	return n >= STREAM_HEADER_SIZE && record[0] == STREAM_REPORT ? 1 : -1;
}

const struct subject subject_aiobled = {
	.name = "aiobled",
	.open = aiobled_open,
	.connect = aiobled_connect,
	.resolve = aiobled_resolve,
	.choose = aiobled_choose,
	.read = aiobled_read,
	.read_uuid = aiobled_read_uuid,
	.open_write = aiobled_open_write,
	.command = aiobled_command,
	.write = aiobled_write,
	.subscribe = aiobled_subscribe,
	.next = aiobled_next,
	.dropped = aiobled_dropped,
	.disconnect = aiobled_disconnect,
	.scan = aiobled_scan,
	.next_report = aiobled_next_report,
};
