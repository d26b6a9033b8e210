/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The world: an air, controllers at the kernel, listeners. When the kernel has set its controllers up is asked of the
 * management channel, again and again for a while: it lists only those that are through with it, whatever the order of
 * events was. One that does not get through is unplugged and plugged in again.
 */
#include "radio.h"

#include <bluetooth/bluetooth.h>
#include <bluetooth/hci.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"
#include "aiobled/mgmt_pdu.h"

#include "controller.h"
#include "listen.h"

#define ASK_MS        20   /* pause between two questions */
#define REPLUG_MS     5000 /* so long a controller may take; doubled each time */
#define REPLUGS       3
#define MGMT_LIST_MAX 512

struct plugged {
	struct list link;
	struct world *world;
	struct vhci *vhci;
	struct profile profile;
	struct addr addr;
	char name[AIR_RADIO_NAME_MAX];
	bool listed;
	unsigned int replugs;
	uint64_t since_us;
};

struct entry {
	struct list link;
	struct listen *listen;
	struct pty *pty;
};

struct world {
	struct loop *loop;
	struct air *air;
	struct profile profile;
	struct list plugged, entries;
	size_t n_plugged, n_entries;
	int mgmt; /* -1 until it is needed */
	struct loop_io mgmt_io;
	struct timer ask;
	bool asking;
	void (*ready)(void *data, int err);
	void *ready_data;
};

/* --- names --- */

/*
 * Public addresses: 00:AA:1B and a digit of the kind, so that no two kinds share one; the number is the rest. The first
 * three octets belong to nobody who makes radios.
 */
static struct addr public_addr(const char *kind, unsigned int n)
{
	uint8_t of_kind = 0;

	while (*kind)
		of_kind = (uint8_t)(of_kind * 31 + (uint8_t)*kind++);
	return (struct addr){.b = {n & 0xff, n >> 8 & 0xff, of_kind, 0x1b, 0xaa, 0x00},
	                     .type = ADDR_PUBLIC};
}

struct addr world_name(struct world *world, const char *kind, char ret_name[AIR_RADIO_NAME_MAX])
{
	unsigned int n = 0;

	do {
		(void)snprintf(ret_name, AIR_RADIO_NAME_MAX, "%.10s%u", kind, n);
	} while (radio_find(world->air, ret_name) && ++n);
	return public_addr(kind, n);
}

/* --- controllers of the kernel --- */

static void plugged_free(struct plugged *p)
{
	p->vhci = vhci_free(p->vhci);
	list_del(&p->link);
	p->world->n_plugged--;
	free(p);
}

static void on_vhci_ended(struct vhci *v, int err, const char *why)
{
	struct plugged *p = vhci_data(v);

	log_warning(p->name, "the kernel gave the controller up: %s%s%s", why, err ? ": " : "",
	            err ? strerror(-err) : "");
	plugged_free(p);
}

static const struct vhci_ops vhci_ops = {.ended = on_vhci_ended};

/* The kernel is asked until it lists all, whether somebody waits for that or not. */
static void ask_soon(struct world *world)
{
	world->asking = true;
	timer_start(&world->ask, 0);
}

static int plug(struct plugged *p)
{
	p->listed = false;
	p->since_us = loop_now_us(p->world->loop);
	ask_soon(p->world);
	return vhci_new(p->world->air, p->name, &p->profile, &p->addr, &vhci_ops, p, &p->vhci);
}

static int name_plugged(struct plugged *p, const char *name, const struct addr *addr)
{
	struct addr own = world_name(p->world, "kernel", p->name);

	if (name && (radio_find(p->world->air, name) || strlen(name) >= sizeof(p->name)))
		return -EEXIST;
	if (name)
		(void)snprintf(p->name, sizeof(p->name), "%s", name);
	p->addr = addr ? *addr : own;
	return 0;
}

int world_plug(struct world *world, const char *name, const struct profile *profile,
               const struct addr *addr)
{
	struct plugged *p;
	int r;

	if (world->n_plugged == RADIO_CONTROLLERS_MAX)
		return -ENOBUFS;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->world = world;
	p->profile = profile ? *profile : world->profile;
	list_init(&p->link);
	list_add_tail(&world->plugged, &p->link);
	world->n_plugged++;
	r = name_plugged(p, name, addr);
	if (r == 0)
		r = plug(p);
	if (r < 0)
		plugged_free(p);
	return r;
}

int world_unplug(struct world *world, const char *name)
{
	struct plugged *p;

	list_for_each (p, &world->plugged, link) {
		if (strcmp(p->name, name) == 0) {
			plugged_free(p);
			return 0;
		}
	}
	return -ENOENT;
}

/* --- ready? --- */

bool world_ready(const struct world *world)
{
	struct plugged *p;

	list_for_each (p, &world->plugged, link) {
		if (!p->listed)
			return false;
	}
	return true;
}

const char *world_ready_line(const struct world *world, char *buf, size_t size)
{
	int n = snprintf(buf, size, "ready");
	struct plugged *p;

	list_for_each (p, &world->plugged, link) {
		if (n >= 0 && (size_t)n < size)
			n += snprintf(buf + n, size - (size_t)n, " hci%d", vhci_index(p->vhci));
	}
	return buf;
}

static void tell_ready(struct world *world, int err)
{
	void (*fn)(void *data, int err) = world->ready;

	world->ready = NULL;
	world->asking = false;
	timer_stop(&world->ask);
	if (fn)
		fn(world->ready_data, err);
	else if (err)
		log_error(NULL, "the kernel does not set a controller up: %s", strerror(-err));
}

static void mark_listed(struct world *world, struct mgmt_list list)
{
	struct plugged *p;
	uint16_t index;

	list_for_each (p, &world->plugged, link)
		p->listed = false;
	while (mgmt_next(&list, &index)) {
		list_for_each (p, &world->plugged, link) {
			if (vhci_index(p->vhci) == index)
				p->listed = true;
		}
	}
}

/* Too long under way: once more. Return: 0, or -errno when that was too often. */
static int replug_late(struct world *world)
{
	uint64_t now = loop_now_us(world->loop);
	struct plugged *p;

	list_for_each (p, &world->plugged, link) {
		if (p->listed || now - p->since_us < (REPLUG_MS * 1000ull) << p->replugs)
			continue;
		if (p->replugs++ == REPLUGS)
			return -ETIMEDOUT;
		log_warning(p->name,
		            "the kernel does not set the controller up, plugging it in again");
		p->vhci = vhci_free(p->vhci);
		if (plug(p) < 0)
			return -ETIMEDOUT;
	}
	return 0;
}

static void on_list(struct world *world, const struct mgmt_list *list)
{
	int r;

	mark_listed(world, *list);
	if (world_ready(world)) {
		tell_ready(world, 0);
		return;
	}
	r = replug_late(world);
	if (r < 0)
		tell_ready(world, r);
	else
		timer_start_ms(&world->ask, ASK_MS);
}

static void on_mgmt(struct loop_io *io, int ready)
{
	struct world *world = container_of(io, struct world, mgmt_io);
	uint8_t buf[MGMT_LIST_MAX];
	ssize_t n = read(world->mgmt, buf, sizeof(buf));
	struct mgmt_msg msg;
	struct mgmt_reply reply;
	struct mgmt_list list;

	if (n <= 0 || mgmt_parse_msg(buf, (size_t)n, &msg) < 0)
		return;
	if (mgmt_parse_reply(&msg, &reply) < 0 || reply.opcode != MGMT_READ_INDEX_LIST ||
	    !world->asking)
		return;
	if (reply.status == 0 && mgmt_parse_index_list(reply.data, reply.len, &list) == 0)
		on_list(world, &list);
	else
		tell_ready(world, -EBADMSG);
}

static int mgmt_open(struct world *world)
{
	struct sockaddr_hci sa = {.hci_family = AF_BLUETOOTH,
	                          .hci_dev = HCI_DEV_NONE,
	                          .hci_channel = HCI_CHANNEL_CONTROL};
	int r;

	if (world->mgmt >= 0)
		return 0;
	world->mgmt = socket(AF_BLUETOOTH, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, BTPROTO_HCI);
	if (world->mgmt < 0)
		return -errno;
	if (bind(world->mgmt, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		return -errno;
	r = loop_io_init(&world->mgmt_io, world->loop, world->mgmt, on_mgmt);
	return r < 0 ? r : loop_io_set(&world->mgmt_io, LOOP_READ);
}

static void on_ask(struct timer *t)
{
	struct world *world = container_of(t, struct world, ask);
	uint8_t buf[16];
	struct wr w = wr_init(buf, sizeof(buf));
	int r;

	if (list_empty(&world->plugged)) {
		tell_ready(world, 0);
		return;
	}
	r = mgmt_open(world);
	mgmt_put_cmd(&w, MGMT_READ_INDEX_LIST, MGMT_INDEX_NONE, NULL, 0);
	if (r == 0 && write(world->mgmt, buf, wr_len(&w)) < 0)
		r = -errno;
	if (r < 0)
		tell_ready(world, r);
}

void world_on_ready(struct world *world, void (*fn)(void *data, int err), void *data)
{
	world->ready = fn;
	world->ready_data = data;
	ask_soon(world);
}

/* --- listeners --- */

static int entry_new(struct world *world, struct entry **ret)
{
	struct entry *e;

	if (world->n_entries == RADIO_LISTENERS_MAX)
		return -ENOBUFS;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	list_init(&e->link);
	list_add_tail(&world->entries, &e->link);
	world->n_entries++;
	*ret = e;
	return 0;
}

static void entry_free(struct world *world, struct entry *e)
{
	e->listen = listen_free(e->listen);
	e->pty = pty_free(e->pty);
	list_del(&e->link);
	world->n_entries--;
	free(e);
}

int world_listen(struct world *world, const char *path, const struct profile *profile)
{
	struct entry *e;
	int r = entry_new(world, &e);

	if (r < 0)
		return r;
	r = listen_new(world, path, profile ? profile : &world->profile, &e->listen);
	if (r < 0)
		entry_free(world, e);
	return r;
}

int world_pty(struct world *world, const char *path, const struct profile *profile)
{
	struct entry *e;
	int r = entry_new(world, &e);

	if (r < 0)
		return r;
	r = pty_new(world, path, profile ? profile : &world->profile, &e->pty);
	if (r < 0)
		entry_free(world, e);
	return r;
}

int world_close(struct world *world, const char *path)
{
	struct entry *e;

	list_for_each (e, &world->entries, link) {
		if (strcmp(e->listen ? listen_path(e->listen) : pty_path(e->pty), path) != 0)
			continue;
		entry_free(world, e);
		return 0;
	}
	return -ENOENT;
}

int world_cut(struct world *world, const struct controller *ctl)
{
	struct entry *e;

	list_for_each (e, &world->entries, link) {
		if (e->listen && listen_cut(e->listen, ctl))
			return 0;
	}
	return -ENOENT;
}

/* --- the whole --- */

int world_new(struct loop *loop, const struct radio_options *options, struct world **ret)
{
	struct world *world = calloc(1, sizeof(*world));
	int r;

	if (!world)
		return -ENOMEM;
	*world = (struct world){.loop = loop, .profile = options->profile, .mgmt = -1};
	list_init(&world->plugged);
	list_init(&world->entries);
	timer_init(&world->ask, loop, on_ask);
	r = air_new(loop, options->seed, &world->air);
	if (r < 0) {
		free(world);
		return r;
	}
	air_set_speed(world->air, options->speed);
	*ret = world;
	return 0;
}

void world_empty(struct world *world)
{
	struct plugged *p;
	struct entry *e;

	if (!world)
		return;
	timer_stop(&world->ask);
	while ((p = list_first(&world->plugged, struct plugged, link)))
		plugged_free(p);
	while ((e = list_first(&world->entries, struct entry, link)))
		entry_free(world, e);
}

struct world *world_free(struct world *world)
{
	if (!world)
		return NULL;
	world_empty(world);
	loop_io_deinit(&world->mgmt_io);
	closep(&world->mgmt);
	world->air = air_free(world->air);
	free(world);
	return NULL;
}

struct loop *world_loop(struct world *world)
{
	return world->loop;
}

struct air *world_air(struct world *world)
{
	return world->air;
}
