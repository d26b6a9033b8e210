/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading options by table. Everything a client can get wrong ends in bus_arg_error(); what sd-bus itself refuses to
 * read (a message whose signature was checked already) is reported in the same way, without a key.
 */
#include "bus_opts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"

int bus_arg_error(struct bus_error *ret, const char *key, const char *text)
{
	*ret = (struct bus_error){.res = -EINVAL, .key = key, .text = text};
	return -EINVAL;
}

static bool is_integer(char type)
{
	return type && strchr("ynqiuxt", type);
}

/* Reads one basic integer of whatever D-Bus type; a uint64 above INT64_MAX counts as INT64_MAX, above every range here. */
static int read_integer(sd_bus_message *m, char type, int64_t *ret)
{
	union {
		uint8_t y;
		int16_t n;
		uint16_t q;
		int32_t i;
		uint32_t u;
		int64_t x;
		uint64_t t;
	} v;
	int r = sd_bus_message_read_basic(m, type, &v);

	if (r <= 0)
		return r;
	switch (type) {
	case 'y':
		*ret = v.y;
		break;
	case 'n':
		*ret = v.n;
		break;
	case 'q':
		*ret = v.q;
		break;
	case 'i':
		*ret = v.i;
		break;
	case 'u':
		*ret = v.u;
		break;
	case 'x':
		*ret = v.x;
		break;
	default:
		*ret = v.t > INT64_MAX ? INT64_MAX : (int64_t)v.t;
	}
	return 1;
}

static void type_range(const struct opt *o, int64_t *min, int64_t *max)
{
	*min = o->type == OPT_I8 ? INT8_MIN : 0;
	switch (o->type) {
	case OPT_U8:
		*max = UINT8_MAX;
		break;
	case OPT_U16:
		*max = UINT16_MAX;
		break;
	case OPT_I8:
		*max = INT8_MAX;
		break;
	default:
		*max = UINT32_MAX;
	}
	if (o->min || o->max) {
		*min = o->min;
		*max = o->max;
	}
}

static int store_integer(sd_bus_message *m, const struct opt *o, char type, void *field,
                         struct bus_error *err)
{
	int64_t v = 0, min, max;

	if (!is_integer(type))
		return bus_arg_error(err, o->key, "must be an integer");
	if (read_integer(m, type, &v) <= 0)
		return bus_arg_error(err, o->key, "cannot be read");
	type_range(o, &min, &max);
	if (v < min || v > max)
		return bus_arg_error(err, o->key, "is out of range");
	switch (o->type) {
	case OPT_U8:
		*(uint8_t *)field = (uint8_t)v;
		break;
	case OPT_I8:
		*(int8_t *)field = (int8_t)v;
		break;
	case OPT_U16:
		*(uint16_t *)field = (uint16_t)v;
		break;
	default:
		*(uint32_t *)field = (uint32_t)v;
	}
	return 0;
}

static int store_bool(sd_bus_message *m, const struct opt *o, char type, void *field,
                      struct bus_error *err)
{
	int v = 0;

	if (type != 'b')
		return bus_arg_error(err, o->key, "must be a boolean");
	if (sd_bus_message_read_basic(m, 'b', &v) <= 0)
		return bus_arg_error(err, o->key, "cannot be read");
	if (o->type == OPT_TRI)
		*(int *)field = v;
	else
		*(bool *)field = v;
	return 0;
}

static int store_enum(const struct opt *o, const char *s, void *field, struct bus_error *err)
{
	for (int i = 0; o->names[i]; i++) {
		if (strcmp(s, o->names[i]) == 0) {
			*(int *)field = i;
			return 0;
		}
	}
	return bus_arg_error(err, o->key, "is none of the words it may be");
}

static int store_uuid(const struct opt *o, const char *s, struct uuid *ret, struct bus_error *err)
{
	return uuid_parse(s, ret) < 0 ? bus_arg_error(err, o->key, "is no UUID") : 0;
}

static int store_text(const struct opt *o, const char *s, void *field, struct bus_error *err)
{
	if (strlen(s) > (size_t)o->max)
		return bus_arg_error(err, o->key, "is too long");
	*(const char **)field = s;
	return 0;
}

static int store_string(sd_bus_message *m, const struct opt *o, char type, void *field,
                        struct bus_error *err)
{
	struct opt_uuid *uuid = field;
	const char *s;

	if (type != 's')
		return bus_arg_error(err, o->key, "must be a string");
	if (sd_bus_message_read_basic(m, 's', &s) <= 0)
		return bus_arg_error(err, o->key, "cannot be read");
	if (o->type == OPT_ENUM)
		return store_enum(o, s, field, err);
	if (o->type == OPT_TEXT)
		return store_text(o, s, field, err);
	uuid->given = true;
	return store_uuid(o, s, &uuid->uuid, err);
}

static int store_list_string(const struct opt *o, const char *s, void *field, struct bus_error *err)
{
	struct opt_uuids *uuids = field;
	struct opt_addrs *addrs = field;
	struct opt_names *names = field;

	switch (o->type) {
	case OPT_UUIDS:
		return store_uuid(o, s, &uuids->v[uuids->n++], err);
	case OPT_ADDRS:
		if (addr_parse(s, 0xff, &addrs->v[addrs->n++]) < 0)
			return bus_arg_error(err, o->key, "is no address");
		return 0;
	default:
		if (strlen(s) > OPTS_STRING_MAX)
			return bus_arg_error(err, o->key, "has a value that is too long");
		names->v[names->n++] = s;
		return 0;
	}
}

static int store_list_item(sd_bus_message *m, const struct opt *o, char type, void *field,
                           struct bus_error *err)
{
	struct opt_u16s *u16s = field;
	int64_t v = 0;
	const char *s;

	if (type == 's') {
		if (sd_bus_message_read_basic(m, 's', &s) <= 0)
			return bus_arg_error(err, o->key, "cannot be read");
		return store_list_string(o, s, field, err);
	}
	if (read_integer(m, type, &v) <= 0)
		return bus_arg_error(err, o->key, "cannot be read");
	if (v < 0 || v > UINT16_MAX)
		return bus_arg_error(err, o->key, "is out of range");
	u16s->v[u16s->n++] = (uint16_t)v;
	return 0;
}

static int store_list(sd_bus_message *m, const struct opt *o, const char *sig, void *field,
                      struct bus_error *err)
{
	bool strings = o->type != OPT_U16S;
	size_t n = 0;
	int r;

	if (sig[0] != 'a' || !sig[1] || sig[2] || (strings ? sig[1] != 's' : !is_integer(sig[1])))
		return bus_arg_error(err, o->key,
		                     strings ? "must be an array of strings"
		                             : "must be an array of integers");
	if (sd_bus_message_enter_container(m, 'a', &sig[1]) < 0)
		return bus_arg_error(err, o->key, "cannot be read");
	*(size_t *)field = 0; /* every list struct starts with its count */
	while (sd_bus_message_at_end(m, false) == 0) {
		if (n++ == OPTS_LIST_MAX)
			return bus_arg_error(err, o->key, "has too many values");
		r = store_list_item(m, o, sig[1], field, err);
		if (r < 0)
			return r;
	}
	return sd_bus_message_exit_container(m) < 0 ? bus_arg_error(err, o->key, "cannot be read")
	                                            : 0;
}

static int store_path(sd_bus_message *m, const struct opt *o, char type, void *field,
                      struct bus_error *err)
{
	if (type != 'o')
		return bus_arg_error(err, o->key, "must be an object path");
	if (sd_bus_message_read_basic(m, 'o', field) <= 0)
		return bus_arg_error(err, o->key, "cannot be read");
	return 0;
}

static int store_bytes(sd_bus_message *m, const struct opt *o, const char *sig, void *field,
                       struct bus_error *err)
{
	struct opt_bytes *bytes = field;
	const void *p = NULL;
	const char *s;

	bytes->given = true;
	if (strcmp(sig, "s") == 0) {
		if (sd_bus_message_read_basic(m, 's', &s) <= 0)
			return bus_arg_error(err, o->key, "cannot be read");
		bytes->v = (const uint8_t *)s;
		bytes->n = strlen(s);
		return 0;
	}
	if (strcmp(sig, "ay") != 0)
		return bus_arg_error(err, o->key, "must be an array of bytes or a string");
	if (sd_bus_message_read_array(m, 'y', &p, &bytes->n) < 0)
		return bus_arg_error(err, o->key, "cannot be read");
	bytes->v = p;
	return 0;
}

int bus_dicts_read(sd_bus_message *m, const char *key,
                   int (*each)(sd_bus_message *m, void *dst, struct bus_error *err), void *dst,
                   struct bus_error *err)
{
	int r;

	if (sd_bus_message_enter_container(m, 'a', "a{sv}") < 0)
		return bus_arg_error(err, key, "cannot be read");
	while ((r = sd_bus_message_at_end(m, false)) == 0) {
		r = each(m, dst, err);
		if (r < 0)
			return r;
	}
	if (r < 0 || sd_bus_message_exit_container(m) < 0)
		return bus_arg_error(err, key, "cannot be read");
	return 0;
}

static int store(sd_bus_message *m, const struct opt *o, const char *sig, void *dst,
                 struct bus_error *err)
{
	void *field = (char *)dst + o->offset;
	char basic = sig[1] ? '\0' : sig[0];

	switch (o->type) {
	case OPT_BOOL:
	case OPT_TRI:
		return store_bool(m, o, basic, field, err);
	case OPT_U8:
	case OPT_U16:
	case OPT_U32:
	case OPT_I8:
		return store_integer(m, o, basic, field, err);
	case OPT_ENUM:
	case OPT_UUID:
	case OPT_TEXT:
		return store_string(m, o, basic, field, err);
	case OPT_UUIDS:
	case OPT_ADDRS:
	case OPT_NAMES:
	case OPT_U16S:
		return store_list(m, o, sig, field, err);
	case OPT_PATH:
		return store_path(m, o, basic, field, err);
	case OPT_BYTES:
		return store_bytes(m, o, sig, field, err);
	case OPT_DICTS:
		if (strcmp(sig, "aa{sv}") != 0)
			return bus_arg_error(err, o->key, "must be an array of dictionaries");
		return bus_dicts_read(m, o->key, o->each, dst, err);
	case OPT_OWN:
		return o->read(m, sig, field, err);
	}
	return bus_arg_error(err, o->key, "is not known");
}

static int read_entry(sd_bus_message *m, const struct opt *table, size_t n, void *dst,
                      const char *unknown, uint32_t *met, struct bus_error *err)
{
	const char *key, *sig;
	char type;
	size_t i;
	int r;

	if (sd_bus_message_read_basic(m, 's', &key) <= 0 ||
	    sd_bus_message_peek_type(m, &type, &sig) <= 0 || type != 'v')
		return bus_arg_error(err, "options", "cannot be read");
	for (i = 0; i < n; i++)
		if (strcmp(key, table[i].key) == 0)
			break;
	if (i == n)
		return bus_arg_error(err, key, unknown);
	if (*met & 1u << i)
		return bus_arg_error(err, key, "is given twice");
	*met |= 1u << i;
	if (sd_bus_message_enter_container(m, 'v', sig) < 0)
		return bus_arg_error(err, key, "cannot be read");
	r = store(m, &table[i], sig, dst, err);
	if (r < 0)
		return r;
	return sd_bus_message_exit_container(m) < 0 ? bus_arg_error(err, key, "cannot be read") : 0;
}

int bus_dict_read(sd_bus_message *m, const struct opt *table, size_t n, void *dst,
                  const char *unknown, struct bus_error *err)
{
	uint32_t met = 0;
	int r;

	if (sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
		return bus_arg_error(err, "options", "must be a{sv}");
	while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		r = read_entry(m, table, n, dst, unknown, &met, err);
		if (r < 0)
			return r;
		if (sd_bus_message_exit_container(m) < 0)
			return bus_arg_error(err, "options", "cannot be read");
	}
	if (r < 0 || sd_bus_message_exit_container(m) < 0)
		return bus_arg_error(err, "options", "cannot be read");
	return 0;
}

int bus_opts_read(sd_bus_message *m, const struct opt *table, size_t n, void *dst,
                  struct bus_error *err)
{
	return bus_dict_read(m, table, n, dst, "is not an option of this method", err);
}
