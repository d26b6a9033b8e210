/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths. They are made of an adapter's name, numbers and handles, each in the one form in which we write it, so that no
 * object has two paths.
 */
#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"
#include "aiobled/gatt_client.h"

#include "adv_bus.h"
#include "app_bus.h"
#include "client.h"
#include "conn_bus.h"
#include "scan_bus.h"
#include "sub_bus.h"

/* Replies that sd-bus makes, about. */
#define PROPERTIES_BYTES 1024
#define SERVICES_BYTES   96  /* of an attribute in Application1.Services */
#define OBJECT_BYTES     512 /* of one of GetManagedObjects */
#define NODE_BYTES       32  /* of one that Introspect names */

/* The next part of a path, without its slash; *@p moves behind it. Return: its length, 0 at the end. */
static size_t part(const char **p, const char **ret)
{
	size_t n;

	if (**p == '/')
		(*p)++;
	*ret = *p;
	n = strcspn(*p, "/");
	*p += n;
	return n;
}

static bool part_is(const char *s, size_t n, const char *word)
{
	return strlen(word) == n && memcmp(s, word, n) == 0;
}

static bool parse_id(const char *s, size_t n, uint64_t *ret)
{
	uint64_t v = 0;

	if (n == 0 || n > 18 || s[0] == '0')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (uint64_t)(s[i] - '0');
	}
	*ret = v;
	return true;
}

static bool parse_handle(const char *s, size_t n, uint16_t *ret)
{
	uint16_t v = 0;

	if (n != 5 || s[0] != 'h')
		return false;
	for (size_t i = 1; i < n; i++) {
		if (s[i] >= '0' && s[i] <= '9')
			v = (uint16_t)(v << 4 | (s[i] - '0'));
		else if (s[i] >= 'a' && s[i] <= 'f')
			v = (uint16_t)(v << 4 | (s[i] - 'a' + 10));
		else
			return false;
	}
	*ret = v;
	return true;
}

static struct adapter_bus *find_adapter(struct bus *bus, const char *name, size_t n)
{
	struct adapter_bus *a;

	list_for_each (a, &bus->adapters, link)
		if (part_is(name, n, a->path + strlen(BUS_ROOT "/")))
			return a;
	return NULL;
}

static struct conn_bus *find_conn(struct adapter_bus *a, uint64_t id)
{
	struct conn_bus *c;

	list_for_each (c, &a->conns, link)
		if (c->id == id)
			return c;
	return NULL;
}

static struct scan_bus *find_scan(struct adapter_bus *a, uint64_t id)
{
	struct scan_bus *s;

	list_for_each (s, &a->scanners, link)
		if (s->id == id)
			return s;
	return NULL;
}

static struct adv_bus *find_adv(struct adapter_bus *a, uint64_t id)
{
	struct adv_bus *s;

	list_for_each (s, &a->advertisers, link)
		if (s->id == id)
			return s;
	return NULL;
}

static struct app_bus *find_app(struct adapter_bus *a, uint64_t id)
{
	struct app_bus *app;

	list_for_each (app, &a->apps, link)
		if (app->id == id)
			return app;
	return NULL;
}

static struct sub_bus *find_sub(struct conn_bus *c, uint64_t id)
{
	struct sub_bus *s;

	list_for_each (s, &c->subs, link)
		if (s->id == id)
			return s;
	return NULL;
}

static enum tree_kind over(struct tree_node *t, bool connection)
{
	t->connection_over = connection;
	return TREE_OVER;
}

/* CONNECTION/hXXXX, CONNECTION/sub/N */
static enum tree_kind resolve_below(struct bus *bus, const char *p, struct tree_node *t)
{
	const char *s;
	size_t n = part(&p, &s);
	uint64_t id;

	if (n == 0)
		return TREE_CONNECTION;
	if (parse_handle(s, n, &t->handle))
		return *p ? TREE_NONE : TREE_ATTRIBUTE;
	if (!part_is(s, n, "sub"))
		return TREE_NONE;
	n = part(&p, &s);
	if (*p || !parse_id(s, n, &id) || id >= bus->next_sub)
		return TREE_NONE;
	t->sub = find_sub(t->conn, id);
	if (t->sub && t->sub->starting)
		return TREE_NONE;
	return t->sub ? TREE_SUBSCRIPTION : over(t, false);
}

/* APPLICATION/hXXXX */
static enum tree_kind resolve_local(const char *p, struct tree_node *t)
{
	const char *s;
	size_t n = part(&p, &s);

	if (n == 0)
		return TREE_APPLICATION;
	return parse_handle(s, n, &t->handle) && !*p ? TREE_LOCAL : TREE_NONE;
}

static enum tree_kind resolve(struct bus *bus, const char *path, struct tree_node *t)
{
	const char *p = path, *s, *kind;
	size_t n, kind_n;
	uint64_t id;

	if (strncmp(path, BUS_ROOT "/", strlen(BUS_ROOT "/")) != 0)
		return TREE_NONE;
	p += strlen(BUS_ROOT);
	n = part(&p, &s);
	t->adapter = find_adapter(bus, s, n);
	if (!*p)
		return t->adapter ? TREE_ADAPTER : TREE_NONE;
	kind_n = part(&p, &kind);
	n = part(&p, &s);
	if (!parse_id(s, n, &id))
		return TREE_NONE;
	if (part_is(kind, kind_n, "scan") && !*p && id < bus->next_scan) {
		t->scan = t->adapter ? find_scan(t->adapter, id) : NULL;
		return t->scan ? TREE_SCANNER : over(t, false);
	}
	if (part_is(kind, kind_n, "adv") && !*p && id < bus->next_adv) {
		t->adv = t->adapter ? find_adv(t->adapter, id) : NULL;
		if (t->adv && t->adv->starting)
			return TREE_NONE;
		return t->adv ? TREE_ADVERTISER : over(t, false);
	}
	if (part_is(kind, kind_n, "app") && id < bus->next_app) {
		t->app = t->adapter ? find_app(t->adapter, id) : NULL;
		return t->app ? resolve_local(p, t) : over(t, false);
	}
	if (!part_is(kind, kind_n, "conn") || id >= bus->next_conn)
		return TREE_NONE;
	t->conn = t->adapter ? find_conn(t->adapter, id) : NULL;
	return t->conn ? resolve_below(bus, p, t) : over(t, true);
}

enum tree_kind tree_resolve(struct bus *bus, const char *path, struct tree_node *ret)
{
	*ret = (struct tree_node){.kind = TREE_NONE};
	ret->kind = resolve(bus, path, ret);
	return ret->kind;
}

/* --- listing --- */

struct strv {
	char **v; /* NULL-terminated */
	size_t n, size;
	bool count_only; /* just n */
	bool failed;
};

static void strv_add(struct strv *s, const char *text)
{
	char **v;

	if (s->count_only) {
		s->n++;
		return;
	}
	if (s->n + 2 > s->size) {
		size_t size = s->size ? 2 * s->size : 32;

		v = realloc(s->v, size * sizeof(*v));
		if (!v) {
			s->failed = true;
			return;
		}
		s->v = v;
		s->size = size;
	}
	s->v[s->n] = strdup(text);
	if (!s->v[s->n]) {
		s->failed = true;
		return;
	}
	s->v[++s->n] = NULL;
}

static void strv_free(struct strv *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->v[i]);
	free(s->v);
}

static void add_attribute(struct strv *v, const struct conn_bus *c, uint16_t handle)
{
	char path[BUS_PATH_MAX + 8];

	(void)snprintf(path, sizeof(path), "%s/h%04x", c->path, handle);
	strv_add(v, path);
}

static void add_service(struct strv *v, const struct conn_bus *c, struct gatt_service *service)
{
	struct gatt_characteristic *chr;
	struct gatt_descriptor *d;

	add_attribute(v, c, service->handle);
	list_for_each (chr, &service->characteristics, link) {
		add_attribute(v, c, chr->handle);
		list_for_each (d, &chr->descriptors, link)
			add_attribute(v, c, d->handle);
	}
}

static void add_conn(struct strv *v, const struct conn_bus *c)
{
	struct list *services = gatt_services(conn_gatt(c->conn));
	struct gatt_service *service;
	struct sub_bus *sub;

	strv_add(v, c->path);
	list_for_each (service, services, link)
		add_service(v, c, service);
	list_for_each (sub, &c->subs, link)
		if (!sub->starting)
			strv_add(v, sub->path);
}

static void add_local(struct strv *v, const struct app_bus *app, uint16_t handle)
{
	char path[APP_PATH_MAX];

	strv_add(v, local_path(app, handle, path));
}

static void add_app(struct strv *v, const struct app_bus *app)
{
	const struct gatt_local_service *service;
	const struct gatt_local *chr, *d;

	strv_add(v, app->path);
	list_for_each (service, &app->app->services, link) {
		add_local(v, app, service->handle);
		list_for_each (chr, &service->characteristics, link) {
			add_local(v, app, chr->handle);
			list_for_each (d, &chr->descriptors, link)
				add_local(v, app, d->handle);
		}
	}
}

static void add_all(struct strv *v, const struct bus *bus)
{
	struct adapter_bus *a;
	struct adv_bus *adv;
	struct conn_bus *c;
	struct scan_bus *s;
	struct app_bus *app;

	list_for_each (a, &bus->adapters, link) {
		strv_add(v, a->path);
		list_for_each (app, &a->apps, link)
			add_app(v, app);
		list_for_each (s, &a->scanners, link)
			strv_add(v, s->path);
		list_for_each (adv, &a->advertisers, link)
			if (!adv->starting)
				strv_add(v, adv->path);
		list_for_each (c, &a->conns, link)
			add_conn(v, c);
	}
}

static size_t count_all(const struct bus *bus)
{
	struct strv v = {.count_only = true};

	add_all(&v, bus);
	return v.n;
}

static int on_list(_unused_ sd_bus *sd, _unused_ const char *prefix, void *data, char ***ret,
                   _unused_ sd_bus_error *error)
{
	struct strv v = {0};

	add_all(&v, data);
	if (v.failed) {
		strv_free(&v);
		return -ENOMEM;
	}
	*ret = v.v;
	return 1;
}

/* --- calls --- */

static bool attribute_known(const struct tree_node *t, const char *interface)
{
	struct gatt_client *client = conn_gatt(t->conn->conn);

	interface += strlen(BUS_IFACE_PREFIX);
	if (strcmp(interface, "Characteristic1") == 0)
		return gatt_find_characteristic(client, t->handle);
	if (strcmp(interface, "Descriptor1") == 0)
		return gatt_find_descriptor(client, t->handle);
	return gatt_find_service(client, t->handle);
}

/*
 * What is not there, answered better than sd-bus can for fallback vtables: what is over says so (a connection:
 * NotConnected), what never was is an unknown object.
 */
static int check_object(struct bus *bus, sd_bus_message *m, const char *interface)
{
	const char *path = sd_bus_message_get_path(m);
	struct tree_node t;

	if (strcmp(path, BUS_ROOT) == 0)
		return 0;
	switch (tree_resolve(bus, path, &t)) {
	case TREE_OVER:
		if (t.connection_over)
			return bus_fail_res(m, -ESHUTDOWN);
		return bus_fail(m,
		                &(struct bus_error){.res = -ENOENT, .text = "this object is over"});
	case TREE_ATTRIBUTE:
		if (attribute_known(&t, interface))
			return 0;
		return bus_fail(m, &(struct bus_error){.res = -ENOENT,
		                                       .text = "no such attribute was discovered"});
	case TREE_LOCAL:
		if (local_known(t.app, t.handle, interface))
			return 0;
		return bus_fail(m, &(struct bus_error){.res = -ENOENT,
		                                       .text = "no such attribute is registered"});
	case TREE_NONE:
		return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_UNKNOWN_OBJECT,
		                                  "there is no object %s", path);
	case TREE_ADAPTER:
	case TREE_SCANNER:
	case TREE_ADVERTISER:
	case TREE_CONNECTION:
	case TREE_SUBSCRIPTION:
	case TREE_APPLICATION:
		break;
	}
	return 0;
}

/* How large the reply is going to be, about; what a call of ours answers beyond that is charged when it is known. */
static size_t reply_bytes(struct bus *bus, sd_bus_message *m, bool ours)
{
	struct tree_node t;

	if (ours)
		return CLIENT_REPLY_BYTES;
	if (sd_bus_message_is_method_call(m, NULL, "GetManagedObjects"))
		return PROPERTIES_BYTES + count_all(bus) * OBJECT_BYTES;
	if (sd_bus_message_is_method_call(m, NULL, "Introspect"))
		return PROPERTIES_BYTES + count_all(bus) * NODE_BYTES;
	if (tree_resolve(bus, sd_bus_message_get_path(m), &t) == TREE_APPLICATION)
		return PROPERTIES_BYTES + app_bus_attributes(t.app) * SERVICES_BYTES;
	return PROPERTIES_BYTES;
}

/* Every call to what is ours comes by here first. Return: 0: go on; 1: answered. */
static int on_message(sd_bus_message *m, void *data, _unused_ sd_bus_error *error)
{
	const char *interface = sd_bus_message_get_interface(m);
	struct bus *bus = data;
	struct client *client;
	bool ours;
	int r;

	r = client_of(bus, m, &client);
	if (r >= 0)
		r = client_refuse(client, m);
	if (r != 0)
		return r;
	/* else sd-bus answers itself: properties, introspection, the list of all objects */
	ours = interface && strncmp(interface, BUS_IFACE_PREFIX, strlen(BUS_IFACE_PREFIX)) == 0;
	client_charge_reply(client, reply_bytes(bus, m, ours));
	return ours ? check_object(bus, m, interface) : 0;
}

int bus_add_tree(struct bus *bus)
{
	sd_bus_slot *slot;
	int r = sd_bus_add_object_manager(bus->sd, &slot, BUS_ROOT);

	if (r < 0)
		return r;
	bus_keep_slot(bus, slot);
	r = sd_bus_add_node_enumerator(bus->sd, &slot, BUS_ROOT, on_list, bus);
	if (r < 0)
		return r;
	bus_keep_slot(bus, slot);
	r = sd_bus_add_fallback(bus->sd, &slot, BUS_ROOT, on_message, bus);
	if (r < 0)
		return r;
	bus_keep_slot(bus, slot);
	return 0;
}
