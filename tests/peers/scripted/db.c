/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The attribute table, see gatt.h. Handles are given in order from 1 unless a service asks for a
 * later start; a characteristic that notifies or indicates gets its CCCD right behind the value.
 */
#include "gatt.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"

#define VENDOR(number) "a10b" number "-7c1d-4e2a-9f36-5b0e8d24c1f7"

/* The vendor service is described in tests/peers/README.md. */
static const char gap_json[] = "{'uuid':'1800','characteristics':["
			       " {'uuid':'2a00','properties':['read'],'text':'Scripted'},"
			       " {'uuid':'2a01','properties':['read'],'value':'0000'}]}";
static const char vendor_json[] = "{'uuid':'" VENDOR(
	"0000") "','characteristics':["
		" {'uuid':'" VENDOR(
			"0001") "','properties':['read','write'],'size':300,'max':512,"
				"  'descriptors':[{'uuid':'2901','text':'long value'}]},"
				" {'uuid':'" VENDOR(
					"0002") "','properties':['read','command'],'size':4,'"
						"behaviour':'count'},"
						" {'uuid':'" VENDOR(
							"0003") "','properties':['write','indicate'"
								"],'max':512,'behaviour':'echo'},"
								" {'uuid':'" VENDOR(
									"0004") "','properties':['"
										"write','notify','"
										"indicate'],'max':"
										"16,'behaviour':'"
										"flood'},"
										" {'uuid':'" VENDOR(
											"0005") "',"
												"'p"
												"ro"
												"pe"
												"rt"
												"ie"
												"s'"
												":["
												"'r"
												"ea"
												"d'"
												",'"
												"wr"
												"it"
												"e'"
												"],"
												"'r"
												"ea"
												"d_"
												"er"
												"ro"
												"r'"
												":1"
												"28"
												",'"
												"wr"
												"it"
												"e_"
												"er"
												"ro"
												"r'"
												":1"
												"29"
												"}]"
												"}";
static const char more_json[] = "[{'uuid':'1801','characteristics':[{'uuid':'2a05','properties':['"
				"indicate'],'value':'0100ffff'}]},"
				" {'uuid':'180d','characteristics':["
				"  {'uuid':'2a37','properties':['notify'],'value':'0648'},"
				"  {'uuid':'2a38','properties':['read'],'value':'01'},"
				"  {'uuid':'2a39','properties':['write'],'max':1}]},"
				" {'uuid':'180f','characteristics':["
				"  "
				"{'uuid':'2a19','properties':['read','notify'],'value':'61','"
				"descriptors':[{'uuid':'2904','value':'0400ad270106010000'}]}]}]";

int hex_parse(const char *text, uint8_t *ret, size_t size, size_t *ret_len)
{
	size_t n = 0;
	unsigned int byte;

	for (; *text; text += 2) {
		while (*text == ' ')
			text++;
		if (!*text)
			break;
		if (n == size || !isxdigit((unsigned char)text[0]) ||
		    !isxdigit((unsigned char)text[1]) || sscanf(text, "%2x", &byte) != 1)
			return -EINVAL;
		ret[n++] = byte;
	}
	*ret_len = n;
	return 0;
}

int uuid_parse(const char *text, uint8_t *ret_uuid, uint8_t *ret_len)
{
	char digits[33] = "";
	uint8_t bytes[16];
	size_t n = 0, len;

	for (; *text; text++) {
		if (*text == '-')
			continue;
		if (n == sizeof(digits) - 1)
			return -EINVAL;
		digits[n++] = *text;
	}
	if ((n != 4 && n != 32) || hex_parse(digits, bytes, sizeof(bytes), &len) < 0)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		ret_uuid[i] = bytes[len - 1 - i];
	*ret_len = len;
	return 0;
}

void uuid_text(const struct attr *a, char *ret, size_t size)
{
	*ret = '\0';
	for (int i = a->uuid_len - 1; i >= 0; i--)
		(void)snprintf(ret + strlen(ret), size - strlen(ret), "%02x", a->uuid[i]);
}

static struct json_object *from_quoted(const char *text)
{
	_cleanup_(freep) char *copy = strdup(text);
	struct json_object *o;

	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	o = json_tokener_parse(copy);
	if (!o)
		abort(); /* our own text */
	return o;
}

struct json_object *db_default(void)
{
	struct json_object *all = from_quoted(more_json);
	struct json_object *services = json_object_new_array();

	json_object_array_add(services, from_quoted(gap_json));
	for (size_t i = 0; i < json_object_array_length(all); i++)
		json_object_array_add(services, json_object_get(json_object_array_get_idx(all, i)));
	json_object_array_add(services, from_quoted(vendor_json));
	json_object_put(all);
	return services;
}

/* --- a made-up database --- */

static struct json_object *made_characteristic(unsigned int number, bool vendor)
{
	static const char *const props[] = {"read", "write", "notify", NULL};
	struct json_object *c = json_object_new_object();
	struct json_object *p = json_object_new_array();
	char uuid[40];

	(void)snprintf(uuid, sizeof(uuid), vendor ? "a10c%04x-7c1d-4e2a-9f36-5b0e8d24c1f7" : "%04x",
	               vendor ? number : 0x2b80 + number);
	for (size_t i = 0; props[i]; i++)
		if (number % 4 == 0 || i == number % 4 - 1)
			json_object_array_add(p, json_object_new_string(props[i]));
	json_object_object_add(c, "uuid", json_object_new_string(uuid));
	json_object_object_add(c, "properties", p);
	json_object_object_add(c, "size", json_object_new_int(20));
	return c;
}

/* GAP and the vendor service first (7 characteristics), the rest spread evenly; every second
 * service is a vendor's. */
static struct json_object *made_services(unsigned int services, unsigned int characteristics)
{
	struct json_object *all = json_object_new_array();
	unsigned int left = characteristics - 7, number = 0;
	char uuid[40];

	json_object_array_add(all, from_quoted(gap_json));
	json_object_array_add(all, from_quoted(vendor_json));
	for (unsigned int i = 2; i < services; i++) {
		unsigned int n = left / (services - i);
		struct json_object *s = json_object_new_object();
		struct json_object *cs = json_object_new_array();

		(void)snprintf(uuid, sizeof(uuid),
		               i % 2 ? "a10d%04x-7c1d-4e2a-9f36-5b0e8d24c1f7" : "%04x",
		               i % 2 ? i : 0x1880 + i);
		json_object_object_add(s, "uuid", json_object_new_string(uuid));
		for (unsigned int k = 0; k < n; k++)
			json_object_array_add(cs, made_characteristic(number++, i % 2));
		json_object_object_add(s, "characteristics", cs);
		json_object_array_add(all, s);
		left -= n;
	}
	return all;
}

/* --- building --- */

static struct attr *attr_add(struct db *db, enum attr_kind kind, const char *uuid)
{
	struct attr *a;

	if (db->n == db->size) {
		db->size = db->size ? 2 * db->size : 64;
		db->attrs = realloc(db->attrs, db->size * sizeof(*db->attrs));
		if (!db->attrs)
			abort();
	}
	a = &db->attrs[db->n++];
	*a = (struct attr){.kind = kind, .handle = ++db->last, .props = PROP_READ};
	if (uuid_parse(uuid, a->uuid, &a->uuid_len) < 0)
		a->uuid_len = 0; /* found by the caller */
	return a;
}

static void attr_set(struct attr *a, const void *value, size_t len, size_t max)
{
	a->max = MIN(MAX(len, max), (size_t)ATT_MAX_VALUE);
	a->len = MIN(len, (size_t)ATT_MAX_VALUE);
	a->value = calloc(1, a->max + 1);
	if (!a->value)
		abort();
	memcpy(a->value, value, a->len);
}

static const char *text_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_string(v) : NULL;
}

static int number_of(struct json_object *o, const char *key)
{
	struct json_object *v;

	return json_object_object_get_ex(o, key, &v) ? json_object_get_int(v) : 0;
}

/* "value" in hexadecimal, "text", or "size" bytes counting up; "max": how long it may become. */
static int attr_load(struct attr *a, struct json_object *o)
{
	uint8_t bytes[ATT_MAX_VALUE];
	size_t len = MIN((size_t)number_of(o, "size"), sizeof(bytes));
	const char *text;

	for (size_t i = 0; i < len; i++)
		bytes[i] = i & 0xff;
	text = text_of(o, "value");
	if (text && hex_parse(text, bytes, sizeof(bytes), &len) < 0)
		return -EINVAL;
	text = text_of(o, "text");
	if (text) {
		len = MIN(strlen(text), sizeof(bytes));
		memcpy(bytes, text, len);
	}
	if (a->behaviour == BEHAVE_COUNT)
		memset(bytes, 0, sizeof(bytes));
	attr_set(a, bytes, len, number_of(o, "max") ?: 20);
	a->read_error = number_of(o, "read_error");
	a->write_error = number_of(o, "write_error");
	return 0;
}

static uint8_t props_of(struct json_object *c)
{
	static const char *const names[] = {"broadcast", "read",     "command", "write",
	                                    "notify",    "indicate", NULL};
	struct json_object *list;
	uint8_t props = 0;

	if (!json_object_object_get_ex(c, "properties", &list))
		return PROP_READ;
	if (!json_object_is_type(list, json_type_array))
		return json_object_get_int(list);
	for (size_t i = 0; i < json_object_array_length(list); i++)
		for (size_t k = 0; names[k]; k++)
			if (!strcmp(names[k],
			            json_object_get_string(json_object_array_get_idx(list, i))))
				props |= 1 << k;
	return props;
}

static enum attr_behaviour behaviour_of(struct json_object *c)
{
	static const char *const names[] = {"store", "count", "echo", "flood"};
	const char *text = text_of(c, "behaviour");

	for (size_t i = 0; text && i < ARRAY_SIZE(names); i++)
		if (!strcmp(text, names[i]))
			return i;
	return BEHAVE_STORE;
}

static int add_descriptors(struct db *db, struct json_object *c)
{
	struct json_object *list;

	if (!json_object_object_get_ex(c, "descriptors", &list))
		return 0;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *d = json_object_array_get_idx(list, i);
		struct attr *a = attr_add(db, ATTR_DESCRIPTOR, text_of(d, "uuid") ?: "");

		if (!a->uuid_len || attr_load(a, d) < 0)
			return -EINVAL;
		if (number_of(d, "writable"))
			a->props |= PROP_WRITE;
	}
	return 0;
}

static int add_characteristic(struct db *db, struct json_object *c)
{
	struct attr *a = attr_add(db, ATTR_DECLARATION, "2803");
	uint8_t declaration[19] = {props_of(c)};
	struct wr w = wr_init(declaration + 1, sizeof(declaration) - 1);
	struct attr *v = attr_add(db, ATTR_VALUE, text_of(c, "uuid") ?: "");

	if (!v->uuid_len)
		return -EINVAL;
	wr_le16(&w, v->handle);
	wr_bytes(&w, v->uuid, v->uuid_len);
	a = v - 1; /* the table may have moved */
	attr_set(a, declaration, 1 + wr_len(&w), 0);
	v->props = declaration[0];
	v->behaviour = behaviour_of(c);
	if (attr_load(v, c) < 0)
		return -EINVAL;
	if (v->props & (PROP_NOTIFY | PROP_INDICATE) && !number_of(c, "no_cccd")) {
		a = attr_add(db, ATTR_CCCD, "2902");
		a->props = PROP_READ | PROP_WRITE;
		attr_set(a, "\0", 2, 2);
	}
	return add_descriptors(db, c);
}

static int add_service(struct db *db, struct json_object *s)
{
	const char *uuid = text_of(s, "uuid") ?: "";
	struct json_object *list;
	struct attr *a;
	size_t at;

	if (number_of(s, "start") > db->last)
		db->last = number_of(s, "start") - 1;
	at = db->n;
	a = attr_add(db, ATTR_SERVICE, number_of(s, "secondary") ? "2801" : "2800");
	{
		uint8_t value[16], len;

		if (uuid_parse(uuid, value, &len) < 0)
			return -EINVAL;
		attr_set(a, value, len, 0);
	}
	if (json_object_object_get_ex(s, "includes", &list))
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			a = attr_add(db, ATTR_INCLUDE, "2802");
			a->end = json_object_get_int(
				json_object_array_get_idx(list, i)); /* until db_link() */
		}
	if (json_object_object_get_ex(s, "characteristics", &list))
		for (size_t i = 0; i < json_object_array_length(list); i++)
			if (add_characteristic(db, json_object_array_get_idx(list, i)) < 0)
				return -EINVAL;
	db->attrs[at].end = number_of(s, "end") ?: db->last;
	return 0;
}

static struct attr *nth_service(const struct db *db, size_t nth)
{
	for (size_t i = 0; i < db->n; i++)
		if (db->attrs[i].kind == ATTR_SERVICE && nth-- == 0)
			return &db->attrs[i];
	return NULL;
}

/* Includes name services by their place in the list, which are all known now. */
static int db_link(struct db *db)
{
	for (size_t i = 0; i < db->n; i++) {
		struct attr *a = &db->attrs[i], *s;
		uint8_t value[6];
		struct wr w = wr_init(value, sizeof(value));

		if (a->kind != ATTR_INCLUDE)
			continue;
		s = nth_service(db, a->end);
		if (!s)
			return -EINVAL;
		wr_le16(&w, s->handle);
		wr_le16(&w, s->end);
		if (s->len == 2)
			wr_bytes(&w, s->value, 2);
		attr_set(a, value, wr_len(&w), 0);
		a->end = 0;
	}
	return 0;
}

void db_clear(struct db *db)
{
	for (size_t i = 0; i < db->n; i++)
		free(db->attrs[i].value);
	free(db->attrs);
	*db = (struct db){0};
}

int db_build(struct db *db, struct json_object *spec, const char **ret_why)
{
	struct json_object *made = NULL;
	int r = 0;

	db_clear(db);
	if (json_object_is_type(spec, json_type_object)) {
		if (number_of(spec, "services") < 3 || number_of(spec, "characteristics") < 7) {
			*ret_why =
				"a made-up database has at least 3 services and 7 characteristics";
			return -EINVAL;
		}
		spec = made = made_services(number_of(spec, "services"),
		                            number_of(spec, "characteristics"));
	}
	for (size_t i = 0; r == 0 && i < json_object_array_length(spec); i++)
		r = add_service(db, json_object_array_get_idx(spec, i));
	if (r == 0)
		r = db_link(db);
	json_object_put(made);
	if (r < 0)
		*ret_why = "bad uuid, value or include in the services";
	return r;
}

/* --- looking up --- */

static int by_handle(const void *key, const void *item)
{
	return (int)*(const uint16_t *)key - (int)((const struct attr *)item)->handle;
}

struct attr *db_find(const struct db *db, uint16_t handle)
{
	return bsearch(&handle, db->attrs, db->n, sizeof(*db->attrs), by_handle);
}

struct attr *db_value_of(const struct db *db, const char *text)
{
	uint8_t uuid[16], len;

	if (uuid_parse(text, uuid, &len) < 0)
		return NULL;
	for (size_t i = 0; i < db->n; i++) {
		struct attr *a = &db->attrs[i];

		if (a->kind >= ATTR_VALUE && a->uuid_len == len && !memcmp(a->uuid, uuid, len))
			return a;
	}
	return NULL;
}

struct attr *db_cccd_of(const struct db *db, const struct attr *value)
{
	for (const struct attr *a = value + 1; a < db->attrs + db->n; a++) {
		if (a->kind == ATTR_CCCD)
			return (struct attr *)a;
		if (a->kind < ATTR_VALUE)
			break;
	}
	return NULL;
}
