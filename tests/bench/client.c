/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_MAX 65536

sd_bus *bus;

static struct {
	uint8_t *data[VALUES_MAX];
	size_t len[VALUES_MAX];
	unsigned int head, tail;
} values;

void bus_open_system(void)
{
	if (sd_bus_open_system(&bus) < 0)
		die("no system bus");
}

sd_bus_message *must_call(const char *service, const char *path, const char *interface,
                          const char *member, const char *types, ...)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	va_list ap;
	int r;

	if (sd_bus_message_new_method_call(bus, &m, service, path, interface, member) < 0)
		die("no message");
	va_start(ap, types);
	r = types ? sd_bus_message_appendv(m, types, ap) : 0;
	va_end(ap);
	if (r < 0)
		die("%s: arguments", member);
	r = sd_bus_call(bus, m, CALL_TIMEOUT_US, &error, &reply);
	if (r < 0)
		die("%s: %s", member, error.message ? error.message : strerror(-r));
	return reply;
}

bool bus_step(int timeout_ms)
{
	uint64_t end = now_us() + (uint64_t)timeout_ms * 1000, now;

	for (;;) {
		int r = sd_bus_process(bus, NULL);

		if (r < 0)
			die("the bus is lost");
		if (r > 0)
			return true;
		now = now_us();
		if (now >= end || sd_bus_wait(bus, end - now) <= 0)
			return false;
	}
}

void values_put(const void *value, size_t len)
{
	unsigned int i = values.tail % VALUES_MAX;

	if (values.tail - values.head == VALUES_MAX)
		die("more values than fit");
	values.data[i] = malloc(len ? len : 1);
	if (!values.data[i])
		die("no memory");
	memcpy(values.data[i], value, len);
	values.len[i] = len;
	values.tail++;
}

int values_take(uint8_t value[VALUE_MAX])
{
	unsigned int i = values.head % VALUES_MAX;
	size_t len;

	if (values.head == values.tail)
		return -1;
	len = MIN(values.len[i], (size_t)VALUE_MAX);
	memcpy(value, values.data[i], len);
	free(values.data[i]);
	values.head++;
	return (int)len;
}
