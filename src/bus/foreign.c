/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watching for bluetoothd. It owns org.bluez on the same bus, and it manages every adapter it sees,
 * so its presence alone is what the owner of this machine should hear of. All questions to the bus
 * are asynchronous.
 */
#include "aiobled/foreign.h"

#include <errno.h>
#include <stdlib.h>
#include <systemd/sd-bus.h>

#include "aiobled/bus.h"
#include "aiobled/log.h"
#include "aiobled/manager.h"

#define FOREIGN_NAME "org.bluez"

struct foreign {
	struct bus *bus;
	struct manager *manager;
	sd_bus_slot *match, *owner_call, *pid_call;
	char who[96];
};

static void forget(struct foreign *f)
{
	f->pid_call = sd_bus_slot_unref(f->pid_call);
	if (!f->who[0])
		return;
	f->who[0] = '\0';
	log_notice(NULL, "the other Bluetooth manager is gone");
	manager_set_conflict(f->manager, NULL);
}

static int on_pid(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct foreign *f = data;
	uint32_t pid = 0;

	f->pid_call = sd_bus_slot_unref(f->pid_call);
	if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "u", &pid) < 0)
		(void)snprintf(f->who, sizeof(f->who),
		               "bluetoothd (" FOREIGN_NAME " on the bus) runs beside us");
	else
		(void)snprintf(
			f->who, sizeof(f->who),
			"bluetoothd (" FOREIGN_NAME " on the bus, process %u) runs beside us", pid);
	log_warning(NULL, "%s: it manages the same adapters", f->who);
	manager_set_conflict(f->manager, f->who);
	return 0;
}

static void ask_pid(struct foreign *f, const char *owner)
{
	forget(f);
	if (sd_bus_call_method_async(bus_sd(f->bus), &f->pid_call, "org.freedesktop.DBus",
	                             "/org/freedesktop/DBus", "org.freedesktop.DBus",
	                             "GetConnectionUnixProcessID", on_pid, f, "s", owner) < 0)
		log_debug(NULL, "the bus could not be asked for the process of " FOREIGN_NAME);
}

static int on_owner_changed(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct foreign *f = data;
	const char *name, *before, *now;

	if (sd_bus_message_read(m, "sss", &name, &before, &now) < 0)
		return 0; /* only the bus itself sends this; a broken one is not ours to judge */
	if (*now)
		ask_pid(f, now);
	else
		forget(f);
	return 0;
}

static int on_owner(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	struct foreign *f = data;
	const char *owner;

	f->owner_call = sd_bus_slot_unref(f->owner_call);
	if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "s", &owner) >= 0)
		ask_pid(f, owner);
	return 0;
}

int foreign_new(struct bus *bus, struct manager *manager, struct foreign **ret)
{
	_cleanup_(foreign_freep) struct foreign *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->bus = bus;
	f->manager = manager;
	/* by arg0, or every client that comes and goes would wake us */
	r = sd_bus_add_match_async(
		bus_sd(bus), &f->match,
		"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
		"member='NameOwnerChanged',arg0='" FOREIGN_NAME "'",
		on_owner_changed, NULL, f);
	if (r < 0)
		return r;
	r = sd_bus_call_method_async(bus_sd(bus), &f->owner_call, "org.freedesktop.DBus",
	                             "/org/freedesktop/DBus", "org.freedesktop.DBus",
	                             "GetNameOwner", on_owner, f, "s", FOREIGN_NAME);
	if (r < 0)
		return r;
	*ret = steal(&f);
	return 0;
}

struct foreign *foreign_free(struct foreign *f)
{
	if (!f)
		return NULL;
	sd_bus_slot_unref(f->match);
	sd_bus_slot_unref(f->owner_call);
	sd_bus_slot_unref(f->pid_call);
	free(f);
	return NULL;
}
