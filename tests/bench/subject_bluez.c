/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bluetoothd as a program uses it (org.bluez.*(5)).
 */
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

#define SERVICE      "org.bluez"
#define ADAPTER      "/org/bluez/hci0"
#define PATH_MAX_LEN 160

static struct {
	char device[PATH_MAX_LEN], address[24], characteristic[PATH_MAX_LEN];
	struct {
		char path[PATH_MAX_LEN], uuid[40];
	} found[1024];
	int n_found, fd, write_fd, reports;
	bool seen, resolved;
} z;

/* ServicesResolved, values and manufacturer data arrive as changed properties */
static int on_changed(sd_bus_message *m, _unused_ void *data, _unused_ sd_bus_error *error)
{
	const char *path = sd_bus_message_get_path(m), *interface, *key;

	if (sd_bus_message_read(m, "s", &interface) < 0 ||
	    sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
		die("PropertiesChanged");
	while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
		const void *value;
		size_t len;
		int yes = 0;

		if (sd_bus_message_read(m, "s", &key) < 0)
			die("PropertiesChanged");
		if (strcmp(key, "ServicesResolved") == 0 && strcmp(path, z.device) == 0 &&
		    sd_bus_message_read(m, "v", "b", &yes) >= 0) {
			z.resolved = yes;
		} else if (strcmp(key, "Value") == 0 && strcmp(path, z.characteristic) == 0) {
			if (sd_bus_message_enter_container(m, 'v', "ay") >= 0 &&
			    sd_bus_message_read_array(m, 'y', &value, &len) >= 0)
				values_put(value, len);
			(void)sd_bus_message_exit_container(m);
		} else {
			z.reports += strcmp(key, "ManufacturerData") == 0;
			(void)sd_bus_message_skip(m, "v");
		}
		(void)sd_bus_message_exit_container(m);
	}
	return 0;
}

static int on_added(sd_bus_message *m, _unused_ void *data, _unused_ sd_bus_error *error)
{
	const char *path;

	if (sd_bus_message_read(m, "o", &path) >= 0 && strcmp(path, z.device) == 0)
		z.seen = true;
	z.reports++;
	return 0;
}

static void bluez_open(void)
{
	bus_open_system();
	z.fd = z.write_fd = -1;
	if (sd_bus_match_signal(bus, NULL, SERVICE, NULL, "org.freedesktop.DBus.Properties",
	                        "PropertiesChanged", on_changed, NULL) < 0 ||
	    sd_bus_match_signal(bus, NULL, SERVICE, NULL, "org.freedesktop.DBus.ObjectManager",
	                        "InterfacesAdded", on_added, NULL) < 0)
		die("no match");
}

static void discovery_filter(void)
{
	sd_bus_message_unref(must_call(SERVICE, ADAPTER, "org.bluez.Adapter1", "SetDiscoveryFilter",
	                               "a{sv}", 2, "Transport", "s", "le", "DuplicateData", "b",
	                               1));
}

/* The device exists only after a discovery: that part is not counted, the caller's clock starts at Connect. */
static void find_device(const char *address, bool fresh)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(freep) char *known = NULL;
	uint64_t end = now_us() + 30000000;

	(void)snprintf(z.device, sizeof(z.device), ADAPTER "/dev_%s", address);
	for (char *p = z.device + sizeof(ADAPTER "/dev_") - 1; *p; p++)
		*p = *p == ':' ? '_' : (char)toupper((unsigned char)*p);
	if (sd_bus_get_property_string(bus, SERVICE, z.device, "org.bluez.Device1", "Address",
	                               &error, &known) >= 0) {
		if (!fresh)
			return;
		sd_bus_message_unref(must_call(SERVICE, ADAPTER, "org.bluez.Adapter1",
		                               "RemoveDevice", "o", z.device));
	}
	discovery_filter();
	sd_bus_message_unref(
		must_call(SERVICE, ADAPTER, "org.bluez.Adapter1", "StartDiscovery", NULL));
	while (!z.seen && now_us() < end)
		(void)bus_step(1000);
	sd_bus_message_unref(
		must_call(SERVICE, ADAPTER, "org.bluez.Adapter1", "StopDiscovery", NULL));
	if (!z.seen)
		die("bluetoothd does not see the peer");
}

static void bluez_prepare(const char *address, bool fresh)
{
	find_device(address, fresh);
	z.resolved = false;
}

static void bluez_connect(_unused_ const char *address)
{
	sd_bus_message_unref(must_call(SERVICE, z.device, "org.bluez.Device1", "Connect", NULL));
}

static void take_object(sd_bus_message *m)
{
	const char *path, *interface, *key, *text;

	if (sd_bus_message_read(m, "o", &path) < 0 ||
	    sd_bus_message_enter_container(m, 'a', "{sa{sv}}") < 0)
		die("GetManagedObjects");
	while (sd_bus_message_enter_container(m, 'e', "sa{sv}") > 0) {
		if (sd_bus_message_read(m, "s", &interface) < 0)
			die("GetManagedObjects");
		if (strcmp(interface, "org.bluez.GattCharacteristic1") != 0) {
			(void)sd_bus_message_skip(m, "a{sv}");
			(void)sd_bus_message_exit_container(m);
			continue;
		}
		if (sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
			die("GetManagedObjects");
		while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
			(void)sd_bus_message_read(m, "s", &key);
			if (strcmp(key, "UUID") == 0 &&
			    sd_bus_message_read(m, "v", "s", &text) >= 0) {
				(void)snprintf(z.found[z.n_found].path, PATH_MAX_LEN, "%s", path);
				(void)snprintf(z.found[z.n_found++].uuid, sizeof(z.found[0].uuid),
				               "%s", text);
			} else {
				(void)sd_bus_message_skip(m, "v");
			}
			(void)sd_bus_message_exit_container(m);
		}
		(void)sd_bus_message_exit_container(m);
		(void)sd_bus_message_exit_container(m);
	}
	(void)sd_bus_message_exit_container(m);
}

static int bluez_resolve(void)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	uint64_t end = now_us() + 60000000;

	while (!z.resolved && now_us() < end)
		(void)bus_step(1000);
	if (!z.resolved)
		die("ServicesResolved never came");
	m = must_call(SERVICE, "/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects",
	              NULL);
	z.n_found = 0;
	if (sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}") < 0)
		die("GetManagedObjects");
	while (sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}") > 0) {
		take_object(m);
		(void)sd_bus_message_exit_container(m);
	}
	return z.n_found + 3; /* it keeps those of the GAP service to itself */
}

static void bluez_choose(const char *uuid)
{
	for (int i = 0; i < z.n_found; i++) {
		if (strcasecmp(z.found[i].uuid, uuid) == 0) {
			(void)snprintf(z.characteristic, sizeof(z.characteristic), "%s",
			               z.found[i].path);
			return;
		}
	}
	die("no characteristic %s", uuid);
}

static size_t bluez_read(uint8_t value[VALUE_MAX])
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	const void *data;
	size_t len;

	m = must_call(SERVICE, z.characteristic, "org.bluez.GattCharacteristic1", "ReadValue",
	              "a{sv}", 0);
	if (sd_bus_message_read_array(m, 'y', &data, &len) < 0)
		die("ReadValue");
	memcpy(value, data, MIN(len, (size_t)VALUE_MAX));
	return len;
}

static size_t bluez_read_uuid(const char *uuid, uint8_t value[VALUE_MAX])
{
	(void)bluez_resolve();
	bluez_choose(uuid);
	return bluez_read(value);
}

static void bluez_open_write(void)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	uint16_t mtu;
	int fd;

	m = must_call(SERVICE, z.characteristic, "org.bluez.GattCharacteristic1", "AcquireWrite",
	              "a{sv}", 0);
	if (sd_bus_message_read(m, "hq", &fd, &mtu) < 0)
		die("AcquireWrite");
	z.write_fd = dup(fd);
}

static void bluez_command(const uint8_t *value, size_t len)
{
	while (send(z.write_fd, value, len, 0) < 0) {
		if (errno != EAGAIN || !wait_fd(z.write_fd, POLLOUT, 10000))
			die("a command could not be sent");
	}
}

static void bluez_write(const uint8_t *value, size_t len)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

	if (sd_bus_message_new_method_call(bus, &m, SERVICE, z.characteristic,
	                                   "org.bluez.GattCharacteristic1", "WriteValue") < 0 ||
	    sd_bus_message_append_array(m, 'y', value, len) < 0 ||
	    sd_bus_message_append(m, "a{sv}", 1, "type", "s", "request") < 0 ||
	    sd_bus_call_async(bus, NULL, m, NULL, NULL, CALL_TIMEOUT_US) < 0)
		die("WriteValue");
	(void)sd_bus_flush(bus);
}

static bool bluez_subscribe(bool by_fd)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	uint16_t mtu;
	int fd;

	if (!by_fd) {
		m = must_call(SERVICE, z.characteristic, "org.bluez.GattCharacteristic1",
		              "StartNotify", NULL);
		return true;
	}
	m = must_call(SERVICE, z.characteristic, "org.bluez.GattCharacteristic1", "AcquireNotify",
	              "a{sv}", 0);
	if (sd_bus_message_read(m, "hq", &fd, &mtu) < 0)
		die("AcquireNotify");
	z.fd = dup(fd);
	return true;
}

static int bluez_next(uint8_t value[VALUE_MAX], int timeout_ms)
{
	int len;

	if (z.fd >= 0) {
		if (!wait_fd(z.fd, POLLIN, timeout_ms))
			return -1;
		len = (int)recv(z.fd, value, VALUE_MAX, 0);
		return len > 0 ? len : -1;
	}
	while ((len = values_take(value)) < 0) {
		if (!bus_step(timeout_ms))
			return -1;
	}
	return len;
}

static uint64_t bluez_dropped(void)
{
	return 0; /* it does not say */
}

static void bluez_disconnect(void)
{
	sd_bus_message_unref(must_call(SERVICE, z.device, "org.bluez.Device1", "Disconnect", NULL));
}

static void bluez_scan(void)
{
	discovery_filter();
	sd_bus_message_unref(
		must_call(SERVICE, ADAPTER, "org.bluez.Adapter1", "StartDiscovery", NULL));
}

static int bluez_next_report(int timeout_ms)
{
	int n;

	while (!z.reports) {
		if (!bus_step(timeout_ms))
			return -1;
	}
	n = z.reports;
	z.reports = 0;
	return n;
}

const struct subject subject_bluez = {
	.name = "bluez",
	.open = bluez_open,
	.prepare = bluez_prepare,
	.connect = bluez_connect,
	.resolve = bluez_resolve,
	.choose = bluez_choose,
	.read = bluez_read,
	.read_uuid = bluez_read_uuid,
	.open_write = bluez_open_write,
	.command = bluez_command,
	.write = bluez_write,
	.subscribe = bluez_subscribe,
	.next = bluez_next,
	.dropped = bluez_dropped,
	.disconnect = bluez_disconnect,
	.scan = bluez_scan,
	.next_report = bluez_next_report,
};
