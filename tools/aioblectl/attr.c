/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The database of a peer as one flat list, and addressing in it. What is written with four digits
 * after 0x may be a UUID or a handle: both are tried, and if both exist the user must say which.
 */
#include "attr.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/uuid.h"
#include "output.h"
#include "sig.h"
#include "text.h"

/* Parts of SERVICE/CHARACTERISTIC/DESCRIPTOR */
#define PARTS_MAX 3

/* A peer has 65535 handles; a daemon that sends more attributes than that is broken. */
#define ATTRS_MAX 65535

struct attr *attr_db_add(struct attr_db *db, enum attr_kind kind, const char *path,
                         const char *uuid)
{
	struct attr *attrs = reallocarray(db->attrs, db->count + 1, sizeof(*attrs)), *a;

	ctl_must(attrs ? 0 : -ENOMEM);
	db->attrs = attrs;
	a = &attrs[db->count++];
	*a = (struct attr){.kind = kind, .path = strdup(path)};
	ctl_must(a->path ? 0 : -ENOMEM);
	(void)snprintf(a->uuid, sizeof(a->uuid), "%s", uuid); /* cut when it is no UUID anyway */
	return a;
}

void attr_db_free(struct attr_db *db)
{
	for (size_t i = 0; i < db->count; i++)
		free(db->attrs[i].path);
	free(db->attrs);
	*db = (struct attr_db){0};
}

static int read_descriptors(sd_bus_message *m, struct attr_db *db)
{
	const char *path, *uuid;
	uint16_t handle;
	int r = sd_bus_message_enter_container(m, 'a', "(osq)");

	while (r >= 0 && (r = sd_bus_message_read(m, "(osq)", &path, &uuid, &handle)) > 0)
		attr_db_add(db, ATTR_DESCRIPTOR, path, uuid)->handle = handle;
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_characteristic(sd_bus_message *m, struct attr_db *db)
{
	uint16_t declaration, handle, end;
	const char *path, *uuid;
	uint8_t properties;
	struct attr *a;
	int r = sd_bus_message_read(m, "osqqqy", &path, &uuid, &declaration, &handle, &end,
	                            &properties);

	if (r < 0)
		return r;
	a = attr_db_add(db, ATTR_CHARACTERISTIC, path, uuid);
	a->declaration = declaration;
	a->handle = handle;
	a->end_handle = end;
	a->properties = properties;
	r = read_descriptors(m, db);
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

static int read_service(sd_bus_message *m, struct attr_db *db)
{
	const char *path, *uuid;
	uint16_t handle, end;
	struct attr *a;
	int primary, r = sd_bus_message_read(m, "osqqb", &path, &uuid, &handle, &end, &primary);

	if (r < 0)
		return r;
	a = attr_db_add(db, ATTR_SERVICE, path, uuid);
	a->handle = handle;
	a->end_handle = end;
	a->primary = primary;
	r = sd_bus_message_enter_container(m, 'a', "(osqqqya(osq))");
	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "osqqqya(osq)")) > 0)
		r = read_characteristic(m, db);
	if (r >= 0)
		r = sd_bus_message_exit_container(m);
	return r < 0 ? r : sd_bus_message_exit_container(m);
}

/* Parents are set when the list has stopped moving */
void attr_db_link(struct attr_db *db)
{
	const struct attr *service = NULL, *characteristic = NULL;

	for (size_t i = 0; i < db->count; i++) {
		struct attr *a = &db->attrs[i];

		if (a->kind == ATTR_SERVICE)
			service = a;
		else if (a->kind == ATTR_CHARACTERISTIC)
			characteristic = a;
		a->parent = a->kind == ATTR_DESCRIPTOR       ? characteristic
		            : a->kind == ATTR_CHARACTERISTIC ? service
		                                             : NULL;
	}
}

int attr_db_read(sd_bus_message *m, struct attr_db *db)
{
	int r = sd_bus_message_enter_container(m, 'a', "(osqqba(osqqqya(osq)))");

	while (r >= 0 && (r = sd_bus_message_enter_container(m, 'r', "osqqba(osqqqya(osq))")) > 0) {
		r = read_service(m, db);
		if (db->count > ATTRS_MAX)
			return -E2BIG;
	}
	attr_db_link(db);
	return r;
}

int attr_discover(struct ctl *c, const struct peer *p, struct attr_db *ret)
{
	_cleanup_(sd_bus_message_unrefp)
		sd_bus_message *reply = NULL,
			       *m = call_new(c, p->path, "Connection1", "Discover");
	_cleanup_(attr_db_free) struct attr_db db = {0};
	_cleanup_(text_free) struct text culprit = {0};
	int r;

	call_options_open(m);
	call_option_timeout(c, m);
	call_options_close(m);
	text_addf(&culprit, "discover %s", p->name);
	r = ctl_call(c, steal(&m), text_str(&culprit), &reply);
	if (r)
		return r;
	if (attr_db_read(reply, &db) < 0)
		return ctl_bad_reply(c);
	*ret = db;
	db = (struct attr_db){0};
	return 0;
}

const char *attr_label(const struct attr *a)
{
	const char *name = sig_uuid_name(a->uuid);

	return name ? name : a->uuid;
}

const char *attr_interface(const struct attr *a)
{
	return a->kind == ATTR_DESCRIPTOR ? "Descriptor1" : "Characteristic1";
}

json_object *attr_flags(const struct attr *a)
{
	/* as in Characteristic1.Flags */
	static const char *const words[] = {
		"broadcast", "read",     "write_no_response",   "write",
		"notify",    "indicate", "authenticated_write", "extended_properties"};
	json_object *list = json_object_new_array();

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (a->properties & 1U << i)
			json_object_array_add(list, json_object_new_string(words[i]));
	return list;
}

json_object *attr_json(const struct attr *a)
{
	json_object *o = json_object_new_object();
	const char *name = sig_uuid_name(a->uuid);

	json_object_object_add(o, "uuid", json_object_new_string(a->uuid));
	if (name)
		json_object_object_add(o, "name", json_object_new_string(name));
	json_object_object_add(o, "handle", json_object_new_int(a->handle));
	if (a->kind == ATTR_SERVICE)
		json_object_object_add(o, "primary", json_object_new_boolean(a->primary));
	if (a->end_handle)
		json_object_object_add(o, "end_handle", json_object_new_int(a->end_handle));
	if (a->kind != ATTR_CHARACTERISTIC || !a->declaration)
		return o;
	json_object_object_add(o, "declaration", json_object_new_int(a->declaration));
	json_object_object_add(o, "properties", attr_flags(a));
	return o;
}

/* ---- what the user calls it ---- */

struct part {
	const char *text;
	bool is_handle, is_uuid, is_name;
	uint16_t handle;
	struct uuid uuid;
};

/* 0x25 or h0025 (as in object paths) */
static bool handle_parse(const char *s, uint16_t *ret)
{
	const char *digits = s[0] == 'h' || s[0] == 'H'                    ? s + 1
	                     : s[0] == '0' && (s[1] == 'x' || s[1] == 'X') ? s + 2
	                                                                   : NULL;
	size_t n = digits ? strlen(digits) : 0;
	unsigned long v;

	if (n < 1 || n > 4 || strspn(digits, "0123456789abcdefABCDEF") != n)
		return false;
	v = strtoul(digits, NULL, 16);
	*ret = (uint16_t)v;
	return v != 0;
}

static int part_parse(struct ctl *c, const char *text, struct part *p)
{
	*p = (struct part){.text = text};
	p->is_handle = handle_parse(text, &p->handle);
	p->is_uuid = uuid_parse(text, &p->uuid) >= 0;
	p->is_name = !p->is_handle && !p->is_uuid && sig_name_known(text, NULL);
	if (p->is_handle || p->is_uuid || p->is_name)
		return 0;
	return ctl_usage(c, "'%s' is not a handle, a UUID or a name of the Bluetooth SIG", text);
}

static bool part_matches(const struct part *p, const struct attr *a)
{
	const char *name = p->is_name ? sig_uuid_name(a->uuid) : NULL;
	struct uuid u;

	if (p->is_handle && p->handle == a->handle)
		return true;
	if (p->is_uuid && uuid_parse(a->uuid, &u) >= 0 && uuid_equal(&u, &p->uuid))
		return true;
	return name && sig_name_matches(name, p->text);
}

/* The last part is the attribute, those before it its ancestors, nearest last; one may be left out
 * in the middle. */
static bool parts_match(const struct part *parts, size_t count, const struct attr *a)
{
	if (!part_matches(&parts[count - 1], a))
		return false;
	a = a->parent;
	for (size_t i = count - 1; i > 0; i--) {
		while (a && !part_matches(&parts[i - 1], a))
			a = a->parent;
		if (!a)
			return false;
		a = a->parent;
	}
	return true;
}

static int parts_parse(struct ctl *c, char *text, struct part *parts, size_t *ret_count)
{
	char *rest = text, *word;
	size_t n = 0;

	while ((word = strsep(&rest, "/"))) {
		int r = n < PARTS_MAX ? part_parse(c, word, &parts[n])
		                      : ctl_usage(c, "too many parts at '%s'", word);

		if (r)
			return r;
		n++;
	}
	*ret_count = n;
	return 0;
}

static int ambiguous(struct ctl *c, const char *text, struct attr_db *db, const struct part *parts,
                     size_t count, unsigned kinds)
{
	json_object *details = json_object_new_object(), *list = json_object_new_array();
	_cleanup_(text_free) struct text words = {0};

	for (size_t i = 0; i < db->count; i++) {
		const struct attr *a = &db->attrs[i];
		json_object *o;

		if (!(a->kind & kinds) || !parts_match(parts, count, a))
			continue;
		o = attr_json(a);
		if (a->parent)
			json_object_object_add(o, "parent", attr_json(a->parent));
		json_object_array_add(list, o);
		text_addf(&words, "%s0x%04x %s%s%s", words.len ? ", " : "", a->handle,
		          a->parent ? attr_label(a->parent) : "", a->parent ? "/" : "",
		          attr_label(a));
	}
	json_object_object_add(details, "candidates", list);
	return ctl_fail(c, CTL_USAGE, "Ambiguous", details, "'%s' is ambiguous: %s", text,
	                text_str(&words));
}

static int pick(struct ctl *c, const char *text, struct attr_db *db, const struct part *parts,
                size_t count, unsigned kinds, const struct attr **ret)
{
	const struct attr *found = NULL;

	for (size_t i = 0; i < db->count; i++) {
		const struct attr *a = &db->attrs[i];

		if (!(a->kind & kinds) || !parts_match(parts, count, a))
			continue;
		if (found)
			return ambiguous(c, text, db, parts, count, kinds);
		found = a;
	}
	if (!found)
		return ctl_fail(c, CTL_NOT_FOUND, "NotFound", NULL,
		                "%s: there is no such attribute", text);
	*ret = found;
	return 0;
}

/* An attribute the daemon lists already; only a handle finds one, nothing else is certain without
 * all of them */
static bool add_known(const struct peer *p, const char *text, unsigned kinds, struct attr_db *db)
{
	static const struct {
		const char *iface;
		enum attr_kind kind;
	} faces[] = {{CTL_SERVICE ".Characteristic1", ATTR_CHARACTERISTIC},
	             {CTL_SERVICE ".Descriptor1", ATTR_DESCRIPTOR}};
	size_t prefix = strlen(p->path);
	uint16_t handle;
	struct uuid u;

	if (!p->objects || !handle_parse(text, &handle) || uuid_parse(text, &u) >= 0)
		return false;
	json_object_object_foreach (p->objects, path, interfaces) {
		if (strncmp(path, p->path, prefix) != 0 || path[prefix] != '/')
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(faces); i++) {
			json_object *o = json_get(interfaces, faces[i].iface);
			struct attr *a;

			if (!o || !(faces[i].kind & kinds) || json_int(o, "Handle") != handle)
				continue;
			a = attr_db_add(db, faces[i].kind, path, json_str(o, "Uuid"));
			a->handle = handle;
			a->properties = (uint8_t)json_int(o, "Properties");
			return true;
		}
	}
	return false;
}

static bool all_known(const struct peer *p, char *const *texts, size_t count, unsigned kinds,
                      struct attr_db *db, const struct attr **ret)
{
	for (size_t i = 0; i < count; i++) {
		if (add_known(p, texts[i], kinds, db))
			continue;
		attr_db_free(db);
		return false;
	}
	for (size_t i = 0; i < count; i++)
		ret[i] = &db->attrs[i];
	return true;
}

int attr_pick(struct ctl *c, struct attr_db *db, const char *text, unsigned kinds,
              const struct attr **ret)
{
	_cleanup_(freep) char *copy = strdup(text);
	struct part parts[PARTS_MAX];
	size_t count;
	int r;

	ctl_must(copy ? 0 : -ENOMEM);
	r = parts_parse(c, copy, parts, &count);
	return r ? r : pick(c, text, db, parts, count, kinds, ret);
}

int attr_check(struct ctl *c, const char *text)
{
	_cleanup_(freep) char *copy = strdup(text);
	struct part parts[PARTS_MAX];
	size_t count;

	ctl_must(copy ? 0 : -ENOMEM);
	return parts_parse(c, copy, parts, &count);
}

int attr_find(struct ctl *c, const struct peer *p, struct attr_db *db, char *const *texts,
              size_t count, unsigned kinds, const struct attr **ret)
{
	int r = 0;

	if (all_known(p, texts, count, kinds, db, ret))
		return 0;
	r = attr_discover(c, p, db);
	for (size_t i = 0; !r && i < count; i++)
		r = attr_pick(c, db, texts[i], kinds, &ret[i]);
	return r;
}
