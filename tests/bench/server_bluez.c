/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bluetoothd as a peripheral's program uses it (org.bluez.GattManager(5)): the objects are ours, and bluetoothd asks them for
 * every value. With descriptors the program takes those of AcquireWrite and AcquireNotify.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"
#include "server.h"

#define SERVICE        "org.bluez"
#define ADAPTER        "/org/bluez/hci0"
#define ROOT           "/bench"
#define CHARACTERISTIC "org.bluez.GattCharacteristic1"
#define ADVERTISEMENT  "/advertisement"

/* one object: what its properties say */
static struct object {
	const char *uuid, *service, *flags[2], *type;
	int primary, acquired;
	enum heard heard;
} service = {.uuid = UUID_SERVICE, .primary = 1},
  count = {.uuid = UUID_COUNT,
           .service = ROOT "/service",
           .flags = {"read", "write-without-response"},
           .heard = HEARD_COMMAND},
  flood = {.uuid = UUID_FLOOD,
           .service = ROOT "/service",
           .flags = {"write", "notify"},
           .heard = HEARD_ORDER},
  advertisement = {.type = "peripheral"};

static struct {
	int commands, notify; /* descriptors; -1: none yet, or over the bus */
	bool replied;
	enum heard heard; /* in a call */
	uint8_t value[VALUE_MAX];
	size_t len;
} z = {.commands = -1, .notify = -1};

static int get_flags(_unused_ sd_bus *b, _unused_ const char *path, _unused_ const char *interface,
                     _unused_ const char *property, sd_bus_message *reply, void *data,
                     _unused_ sd_bus_error *error)
{
	const struct object *o = data;

	return sd_bus_message_append(reply, "as", 2, o->flags[0], o->flags[1]);
}

static int on_read(sd_bus_message *m, _unused_ void *data, _unused_ sd_bus_error *error)
{
	return sd_bus_reply_method_return(m, "ay", 4, 0, 0, 0, 0);
}

static int on_write(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	const struct object *o = data;
	const void *value;

	if (sd_bus_message_read_array(m, 'y', &value, &z.len) < 0 || z.len > VALUE_MAX)
		die("WriteValue");
	memcpy(z.value, value, z.len);
	z.heard = o->heard;
	return sd_bus_reply_method_return(m, NULL);
}

static int on_simple(sd_bus_message *m, _unused_ void *data, _unused_ sd_bus_error *error)
{
	return sd_bus_reply_method_return(m, NULL);
}

static int on_acquire(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	int *ours = data == &count ? &z.commands : &z.notify, fds[2], r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		die("no socket pair");
	r = sd_bus_reply_method_return(m, "hq", fds[1], (uint16_t)VALUE_MAX);
	(void)close(fds[1]);
	*ours = fds[0];
	return r;
}

static const sd_bus_vtable service_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("UUID", "s", NULL, offsetof(struct object, uuid), 0),
	SD_BUS_PROPERTY("Primary", "b", NULL, offsetof(struct object, primary), 0),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable advertisement_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Type", "s", NULL, offsetof(struct object, type), 0),
	SD_BUS_METHOD("Release", "", "", on_simple, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* clang-format off */
#define PLAIN                                                                                                       \
	SD_BUS_VTABLE_START(0),                                                                                     \
	SD_BUS_PROPERTY("UUID", "s", NULL, offsetof(struct object, uuid), 0),                                       \
	SD_BUS_PROPERTY("Service", "o", NULL, offsetof(struct object, service), 0),                                 \
	SD_BUS_PROPERTY("Flags", "as", get_flags, 0, 0),                                                            \
	SD_BUS_METHOD("ReadValue", "a{sv}", "ay", on_read, SD_BUS_VTABLE_UNPRIVILEGED),                             \
	SD_BUS_METHOD("WriteValue", "aya{sv}", "", on_write, SD_BUS_VTABLE_UNPRIVILEGED),                           \
	SD_BUS_METHOD("StartNotify", "", "", on_simple, SD_BUS_VTABLE_UNPRIVILEGED),                                \
	SD_BUS_METHOD("StopNotify", "", "", on_simple, SD_BUS_VTABLE_UNPRIVILEGED)
/* clang-format on */

/* that a property is there, whatever it says, makes bluetoothd ask for a descriptor */
static const sd_bus_vtable plain_vtable[] = {PLAIN, SD_BUS_VTABLE_END};
static const sd_bus_vtable write_vtable[] = {
	PLAIN,
	SD_BUS_PROPERTY("WriteAcquired", "b", NULL, offsetof(struct object, acquired), 0),
	SD_BUS_METHOD("AcquireWrite", "a{sv}", "hq", on_acquire, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};
static const sd_bus_vtable notify_vtable[] = {
	PLAIN,
	SD_BUS_PROPERTY("NotifyAcquired", "b", NULL, offsetof(struct object, acquired), 0),
	SD_BUS_METHOD("AcquireNotify", "a{sv}", "hq", on_acquire, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static int on_reply(sd_bus_message *m, _unused_ void *data, _unused_ sd_bus_error *error)
{
	const sd_bus_error *e = sd_bus_message_get_error(m);

	if (e)
		die("%s", e->message);
	z.replied = true;
	return 0;
}

/* bluetoothd asks for our objects before it answers */
static void register_with(const char *interface, const char *member, const char *path)
{
	z.replied = false;
	if (sd_bus_call_method_async(bus, NULL, SERVICE, ADAPTER, interface, member, on_reply, NULL,
	                             "oa{sv}", path, 0) < 0)
		die("%s", member);
	while (!z.replied) {
		if (!bus_step(10000))
			die("%s: no answer", member);
	}
}

static void offer(const char *path, const char *interface, const sd_bus_vtable *vtable,
                  struct object *o)
{
	if (sd_bus_add_object_vtable(bus, NULL, path, interface, vtable, o) < 0)
		die("no object %s", path);
}

static void bluez_open(bool by_fd)
{
	bus_open_system();
	if (sd_bus_set_property(bus, SERVICE, ADAPTER, "org.bluez.Adapter1", "Powered", NULL, "b",
	                        1) < 0 ||
	    sd_bus_add_object_manager(bus, NULL, ROOT) < 0)
		die("bluetoothd is not there");
	offer(ROOT "/service", "org.bluez.GattService1", service_vtable, &service);
	offer(ROOT "/service/count", CHARACTERISTIC, by_fd ? write_vtable : plain_vtable, &count);
	offer(ROOT "/service/flood", CHARACTERISTIC, by_fd ? notify_vtable : plain_vtable, &flood);
	offer(ADVERTISEMENT, "org.bluez.LEAdvertisement1", advertisement_vtable, &advertisement);
	register_with("org.bluez.GattManager1", "RegisterApplication", ROOT);
	register_with("org.bluez.LEAdvertisingManager1", "RegisterAdvertisement", ADVERTISEMENT);
}

/* Return: something came on the bus or the descriptor */
static bool wait_both(int timeout_ms)
{
	struct pollfd p[] = {{.fd = sd_bus_get_fd(bus), .events = (short)sd_bus_get_events(bus)},
	                     {.fd = z.commands, .events = POLLIN}};

	return poll(p, ARRAY_SIZE(p), timeout_ms) > 0;
}

static enum heard bluez_next(uint8_t value[VALUE_MAX], size_t *ret_len, int timeout_ms)
{
	ssize_t n;

	for (;;) {
		z.heard = HEARD_NOTHING;
		while (!z.heard && sd_bus_process(bus, NULL) > 0)
			;
		if (z.heard) {
			memcpy(value, z.value, z.len);
			*ret_len = z.len;
			return z.heard;
		}
		n = z.commands >= 0 ? recv(z.commands, value, VALUE_MAX, 0) : -1;
		if (n > 0) {
			*ret_len = (size_t)n;
			return HEARD_COMMAND;
		}
		if (n == 0) { /* the link went */
			(void)close(z.commands);
			z.commands = -1;
		}
		if (!wait_both(timeout_ms))
			return HEARD_NOTHING;
	}
}

static void notify_by_bus(const uint8_t *value, size_t len)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;

	if (sd_bus_message_new_signal(bus, &m, ROOT "/service/flood",
	                              "org.freedesktop.DBus.Properties", "PropertiesChanged") < 0 ||
	    sd_bus_message_append(m, "s", CHARACTERISTIC) < 0 ||
	    sd_bus_message_open_container(m, 'a', "{sv}") < 0 ||
	    sd_bus_message_open_container(m, 'e', "sv") < 0 ||
	    sd_bus_message_append(m, "s", "Value") < 0 ||
	    sd_bus_message_open_container(m, 'v', "ay") < 0 ||
	    sd_bus_message_append_array(m, 'y', value, len) < 0 ||
	    sd_bus_message_close_container(m) < 0 || sd_bus_message_close_container(m) < 0 ||
	    sd_bus_message_close_container(m) < 0 || sd_bus_message_append(m, "as", 0) < 0 ||
	    sd_bus_send(bus, m, NULL) < 0 || sd_bus_flush(bus) < 0)
		die("PropertiesChanged");
}

static void bluez_notify(const uint8_t *value, size_t len)
{
	if (z.notify < 0) {
		notify_by_bus(value, len);
		return;
	}
	while (send(z.notify, value, len, 0) < 0) {
		if (errno != EAGAIN || !wait_fd(z.notify, POLLOUT, 10000))
			die("a value could not be sent");
	}
}

const struct server server_bluez = {
	.name = "bluez",
	.open = bluez_open,
	.next = bluez_next,
	.notify = bluez_notify,
};
