/* SPDX-License-Identifier: GPL-2.0-or-later */
/* org.aioble.Manager1: the daemon itself. */
#include <errno.h>
#include <string.h>

#include "aiobled/adapter.h"
#include "aiobled/cleanup.h"
#include "aiobled/manager.h"

#include "adapter_bus.h"
#include "bus_opts.h"
#include "bus_priv.h"
#include "client.h"

#define MANAGER_INTERFACE "org.aioble.Manager1"

static int get_version(sd_bus *sd, const char *path, const char *interface, const char *property,
                       sd_bus_message *m, void *data, sd_bus_error *error)
{
	return sd_bus_message_append_basic(m, 's', ((struct bus *)data)->config.version);
}

static int get_features(sd_bus *sd, const char *path, const char *interface, const char *property,
                        sd_bus_message *m, void *data, sd_bus_error *error)
{
	return sd_bus_message_append(m, "as", 6, "observer", "central", "gatt-client",
	                             "broadcaster", "peripheral", "gatt-server");
}

static int get_warnings(sd_bus *sd, const char *path, const char *interface, const char *property,
                        sd_bus_message *m, void *data, sd_bus_error *error)
{
	return sd_bus_message_append_strv(
		m, (char **)((struct bus *)data)->warnings); /* is not changed */
}

static int get_linger(sd_bus *sd, const char *path, const char *interface, const char *property,
                      sd_bus_message *m, void *data, sd_bus_error *error)
{
	return sd_bus_message_append(m, "u", ((struct bus *)data)->config.linger_ms);
}

static int get_limits(sd_bus *sd, const char *path, const char *interface, const char *property,
                      sd_bus_message *m, void *data, sd_bus_error *error)
{
	int r = sd_bus_message_open_container(m, 'a', "{su}");

	for (int q = 0; q < QUOTA_COUNT && r >= 0; q++)
		r = sd_bus_message_append(m, "{su}", quota_name(q), quota_limit(data, q));
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int find_adapter(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct bus *bus = data;
	struct bus_error err;
	struct adapter *adapter;
	struct adapter_bus *a;
	const char *name;
	int r = sd_bus_message_read(m, "s", &name);

	if (r < 0)
		return r;
	if (bus_opts_read(m, NULL, 0, NULL, &err) < 0)
		return bus_fail(m, &err);
	adapter = manager_find(bus->manager, name);
	a = adapter ? adapter_bus_of(bus, adapter) : NULL;
	if (!a)
		return bus_fail(
			m, &(struct bus_error){.res = -ENOENT, .text = "there is no such adapter"});
	return sd_bus_reply_method_return(m, "o", a->path);
}

static const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Features", "as", get_features, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Warnings", "as", get_warnings, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
	SD_BUS_PROPERTY("LingerMs", "u", get_linger, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Limits", "a{su}", get_limits, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_METHOD_WITH_ARGS("FindAdapter", SD_BUS_ARGS("s", name, "a{sv}", options),
                                SD_BUS_RESULT("o", adapter), find_adapter,
                                SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

/* sd-bus does not allow a fallback and a plain vtable at one path, and the others are fallbacks. */
static int find(_unused_ sd_bus *sd, const char *path, _unused_ const char *interface, void *data,
                void **ret, _unused_ sd_bus_error *error)
{
	*ret = data;
	return strcmp(path, BUS_ROOT) == 0;
}

int bus_add_manager(struct bus *bus)
{
	return bus_export(bus, MANAGER_INTERFACE, manager_vtable, find);
}

void bus_set_warnings(struct bus *bus, const char *const *warnings)
{
	bus->warnings = warnings;
	if (bus->named) /* nothing is lost when it fails: the next reader sees them */
		(void)sd_bus_emit_properties_changed(bus->sd, BUS_ROOT, MANAGER_INTERFACE,
		                                     "Warnings", NULL);
}
