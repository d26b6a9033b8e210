/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which link is meant. An address that is connected already is used as it is, whatever its type,
 * unless --type says otherwise; nothing is scanned for.
 */
#include "peer.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "aiobled/addr.h"
#include "output.h"
#include "text.h"

const char *conn_number(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : "";
}

int peer_type(struct ctl *c, const char *text, struct peer_connect *how)
{
	uint8_t type;

	if (addr_type_parse(text, &type) < 0)
		return ctl_usage(c, "--type %s: not public or random", text);
	how->type = addr_type_name(type);
	return 0;
}

/* What the user gave, taken apart once */
struct wanted {
	const char *text;
	bool is_path, is_number, is_address;
	char address[ADDR_STR_MAX];
	const char *type, *adapter; /* NULL, "": any */
};

static int wanted_parse(struct ctl *c, const char *text, const struct peer_connect *how,
                        struct wanted *w)
{
	struct addr a;

	*w = (struct wanted){.text = text, .type = how ? how->type : NULL, .adapter = c->adapter};
	if (addr_parse(text, ADDR_PUBLIC, &a) >= 0) {
		w->is_address = true;
		(void)addr_format(&a, w->address);
	} else if (text[0] == '/' && sd_bus_object_path_is_valid(text)) {
		w->is_path = true;
	} else if (*text && strspn(text, "0123456789") == strlen(text)) {
		w->is_number = true;
	} else {
		return ctl_usage(c,
		                 "'%s' is not an address, a connection number or a connection path",
		                 text);
	}
	return 0;
}

static bool on_adapter(json_object *objects, json_object *conn, const char *adapter)
{
	json_object *a =
		json_get(json_get(objects, json_str(conn, "Adapter")), CTL_SERVICE ".Adapter1");

	return !*adapter || strcasecmp(adapter, json_str(a, "Address")) == 0 ||
	       strcmp(adapter, json_str(a, "Name")) == 0;
}

static bool matches(const struct wanted *w, json_object *objects, const char *path,
                    json_object *conn)
{
	if (w->is_path)
		return strcmp(path, w->text) == 0;
	if (!on_adapter(objects, conn, w->adapter))
		return false;
	if (w->is_number)
		return strcmp(conn_number(path), w->text) == 0;
	if (!json_flag(conn, "Connected"))
		return false;
	if (w->type && strcmp(w->type, json_str(conn, "AddressType")) != 0)
		return false;
	return strcasecmp(w->address, json_str(conn, "Address")) == 0 ||
	       strcasecmp(w->address, json_str(conn, "Identity")) == 0;
}

static int ambiguous(struct ctl *c, const char *text, const char *one, const char *two)
{
	json_object *details = json_object_new_object(), *list = json_object_new_array();

	json_object_array_add(list, json_object_new_string(one));
	json_object_array_add(list, json_object_new_string(two));
	json_object_object_add(details, "candidates", list);
	return ctl_fail(c, CTL_USAGE, "Ambiguous", details,
	                "'%s' is ambiguous: %s, %s (say which by path or --adapter)", text, one,
	                two);
}

/* Leaves ret->path NULL when there is none */
static int find(struct ctl *c, const struct wanted *w, json_object *objects, struct peer *ret)
{
	json_object_object_foreach (objects, path, interfaces) {
		json_object *conn = json_get(interfaces, CTL_SERVICE ".Connection1");

		if (!conn || !matches(w, objects, path, conn))
			continue;
		if (ret->path)
			return ambiguous(c, w->text, ret->path, path);
		ret->path = strdup(path);
		ret->name =
			strdup(*json_str(conn, "Address") ? json_str(conn, "Address") : w->text);
		ctl_must(ret->path && ret->name ? 0 : -ENOMEM);
	}
	return 0;
}

static void connect_options(struct ctl *c, sd_bus_message *m, const struct peer_connect *how)
{
	call_options_open(m);
	call_option_timeout(c, m);
	if (how->lifetime)
		call_option_str(m, "lifetime", how->lifetime);
	if (how->min_interval_us > 0)
		call_option_u32(m, "min_conn_interval_us", (uint32_t)how->min_interval_us);
	if (how->max_interval_us > 0)
		call_option_u32(m, "max_conn_interval_us", (uint32_t)how->max_interval_us);
	if (how->latency >= 0)
		ctl_must(sd_bus_message_append(m, "{sv}", "latency", "q", (int)how->latency));
	if (how->supervision_ms > 0)
		call_option_u32(m, "supervision_timeout_ms", (uint32_t)how->supervision_ms);
	call_options_close(m);
}

static int make_link(struct ctl *c, const struct wanted *w, const struct peer_connect *how,
                     struct peer *ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL, *m = NULL;
	_cleanup_(freep) char *adapter = NULL;
	_cleanup_(text_free) struct text culprit = {0};
	const char *type = how->type ? how->type : "public", *path;
	int r = ctl_find_adapter(c, &adapter);

	if (r)
		return r;
	m = call_new(c, adapter, "Adapter1", "Connect");
	ctl_must(sd_bus_message_append(m, "ss", w->address, type));
	connect_options(c, m, how);
	text_addf(&culprit, "connect %s (%s%s)", w->address, type, how->type ? "" : ", see --type");
	r = ctl_on_adapter(ctl_call(c, steal(&m), text_str(&culprit), &reply));
	if (!r)
		r = ctl_read(c, reply, "o", &path);
	if (r)
		return r;
	ret->path = strdup(path);
	ret->name = strdup(w->address);
	ret->fresh = true;
	ctl_must(ret->path && ret->name ? 0 : -ENOMEM);
	return 0;
}

int peer_open(struct ctl *c, const char *text, const struct peer_connect *how, struct peer *ret)
{
	_cleanup_(peer_free) struct peer p = {0};
	struct wanted w;
	int r = wanted_parse(c, text, how, &w);

	if (!r)
		r = ctl_connect_bus(c);
	if (!r)
		r = ctl_objects(c, &p.objects);
	if (!r)
		r = find(c, &w, p.objects, &p);
	if (!r && !p.path && how && w.is_address) {
		p.objects = json_put(p.objects);
		r = make_link(c, &w, how, &p);
	}
	if (r)
		return r;
	if (!p.path)
		return ctl_fail(c, CTL_NOT_FOUND, "NotFound", NULL, "%s: no such connection", text);
	*ret = p;
	p = (struct peer){0};
	return 0;
}

int peer_hold(struct ctl *c, const struct peer *p)
{
	sd_bus_message *m;

	if (p->fresh)
		return 0;
	m = call_new(c, p->path, "Connection1", "Hold");
	call_no_options(m);
	return ctl_call(c, m, p->name, NULL);
}

/* To connect to a peer that is connected is how a client says more about the link's lifetime. */
int peer_persist(struct ctl *c, const struct peer *p)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	json_object *conn;

	if (p->fresh)
		return 0;
	conn = json_get(json_get(p->objects, p->path), CTL_SERVICE ".Connection1");
	m = call_new(c, json_str(conn, "Adapter"), "Adapter1", "Connect");
	ctl_must(sd_bus_message_append(m, "ss", json_str(conn, "Address"),
	                               json_str(conn, "AddressType")));
	call_options_open(m);
	call_option_timeout(c, m);
	call_option_str(m, "lifetime", "persistent");
	call_options_close(m);
	return ctl_call(c, steal(&m), p->name, NULL);
}
