/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Are these definitions of services something that can be served? The first mistake is named, by
 * its place, its field and a reason that is the rest of a sentence; what depends on the table
 * (handles in use) is gatt_db_place.c's.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "aiobled/att_pdu.h"

#include "gatt_db_priv.h"

int gatt_def_complain(struct gatt_def_error *error, const char *key, const char *format, ...)
{
	va_list args;

	error->key = key;
	va_start(args, format);
	(void)vsnprintf(error->text, sizeof(error->text), format, args); /* cut off if need be */
	va_end(args);
	return -EINVAL;
}

/* Types that say what an attribute is: nothing else may look like one of them. */
static int check_uuid(const struct uuid *uuid, bool descriptor, struct gatt_def_error *e)
{
	uint16_t n;

	if (!uuid_is16(uuid, &n))
		return 0;
	if (n >= 0x2800 && n <= 0x28ff)
		return gatt_def_complain(e, "uuid", "0x%04x is the type of a declaration", n);
	if (n == UUID_CCCD)
		return gatt_def_complain(e, "uuid",
		                         "0x2902 is added where notify or indicate is given");
	if (!descriptor && n >= 0x2900 && n <= 0x29ff)
		return gatt_def_complain(e, "uuid", "0x%04x is the type of a descriptor", n);
	return 0;
}

static int check_levels(const struct gatt_def_value *v, struct gatt_def_error *e)
{
	if (v->read_level > GATT_LEVEL_SECURE)
		return gatt_def_complain(e, "read_level", "%d is more than %d", v->read_level,
		                         GATT_LEVEL_SECURE);
	if (v->write_level > GATT_LEVEL_SECURE)
		return gatt_def_complain(e, "write_level", "%d is more than %d", v->write_level,
		                         GATT_LEVEL_SECURE);
	if (v->key_size != 0 && (v->key_size < 7 || v->key_size > 16))
		return gatt_def_complain(e, "key_size", "%d is not between 7 and 16", v->key_size);
	return 0;
}

static int check_read_hook(const struct gatt_def_value *v, struct gatt_def_error *e)
{
	if (!v->on_read)
		return 0;
	if (!v->read)
		return gatt_def_complain(e, "on_read", "the value cannot be read");
	if (v->on_read_timeout_ms > GATT_ON_READ_MAX_MS)
		return gatt_def_complain(e, "on_read_timeout_ms", "%u is more than %u",
		                         v->on_read_timeout_ms, GATT_ON_READ_MAX_MS);
	return 0;
}

static int check_value(const struct gatt_def_value *v, struct gatt_def_error *e)
{
	size_t max = v->max_len ? v->max_len : ATT_VALUE_MAX;
	bool writable = v->write || v->write_no_response;

	if (max > ATT_VALUE_MAX)
		return gatt_def_complain(e, "max_len", "%zu is more than %d", max, ATT_VALUE_MAX);
	if (v->initial_len > max)
		return gatt_def_complain(e, "initial", "%zu bytes are more than the %zu of max_len",
		                         v->initial_len, max);
	if (v->capture && !writable)
		return gatt_def_complain(e, "capture", "the value cannot be written");
	if (v->append && !writable)
		return gatt_def_complain(e, "append", "the value cannot be written");
	if (v->truncate && !writable)
		return gatt_def_complain(e, "truncate", "the value cannot be written");
	return check_read_hook(v, e);
}

/* Two bytes that do not change, and are part of the Database Hash (Core 5.4, Vol 3, Part G, 3.3.3.1). */
static int check_extended(const struct gatt_def_value *v, struct gatt_def_error *e)
{
	if (!uuid_equal16(&v->uuid, UUID_EXTENDED))
		return 0;
	if (v->initial_len != 2)
		return gatt_def_complain(e, "initial", "extended properties are two bytes, not %zu",
		                         v->initial_len);
	if (v->write || v->on_read)
		return gatt_def_complain(e, v->write ? "write" : "on_read",
		                         "extended properties do not change");
	return 0;
}

static int check_descriptor(const struct gatt_def_value *v, struct gatt_def_error *e)
{
	int r = check_uuid(&v->uuid, true, e);

	if (r < 0)
		return r;
	if (v->write_no_response)
		return gatt_def_complain(e, "write_no_response",
		                         "a descriptor is written with response");
	if (v->notify || v->indicate)
		return gatt_def_complain(e, v->notify ? "notify" : "indicate",
		                         "a descriptor is not sent to anybody");
	if (!v->read && !v->write)
		return gatt_def_complain(e, "read", "it can neither be read nor be written");
	r = check_extended(v, e);
	if (r == 0)
		r = check_value(v, e);
	return r < 0 ? r : check_levels(v, e);
}

static bool is_used(const struct gatt_def_value *v)
{
	return v->read || v->write || v->write_no_response || v->notify || v->indicate;
}

static int check_characteristic(const struct gatt_def_characteristic *c, struct gatt_def_error *e)
{
	const struct gatt_def_value *v = &c->value;
	int r = check_uuid(&v->uuid, false, e);

	if (r < 0)
		return r;
	if (!is_used(v))
		return gatt_def_complain(e, "read", "it has no property at all");
	r = check_value(v, e);
	if (r == 0)
		r = check_levels(v, e);
	for (size_t i = 0; i < c->n_descriptors && r == 0; i++) {
		e->descriptor = (int)i;
		r = check_descriptor(&c->descriptors[i], e);
	}
	if (r == 0)
		e->descriptor = -1;
	return r;
}

static int check_includes(const struct gatt_def_service *s, size_t self, size_t n,
                          struct gatt_def_error *e)
{
	for (size_t i = 0; i < s->n_includes; i++) {
		uint16_t which = s->includes[i];

		if (which >= n)
			return gatt_def_complain(e, "includes", "there is no service %u", which);
		if (which == self)
			return gatt_def_complain(e, "includes", "%u is the service itself", which);
		for (size_t k = 0; k < i; k++)
			if (s->includes[k] == which)
				return gatt_def_complain(e, "includes", "%u is there twice", which);
	}
	return 0;
}

static int check_service(const struct gatt_def_service *s, size_t self, size_t n,
                         struct gatt_def_error *e)
{
	int r = check_uuid(&s->uuid, false, e);

	if (r == 0)
		r = check_includes(s, self, n, e);
	for (size_t i = 0; i < s->n_characteristics && r == 0; i++) {
		e->characteristic = (int)i;
		r = check_characteristic(&s->characteristics[i], e);
	}
	if (r == 0)
		e->characteristic = -1;
	return r;
}

/* Return: more than GATT_DB_ATTRIBUTES_MAX when it is more than that. */
static size_t count_attributes(const struct gatt_def_service *s)
{
	size_t n = 1 + s->n_includes;

	for (size_t i = 0; i < s->n_characteristics && n <= GATT_DB_ATTRIBUTES_MAX; i++) {
		const struct gatt_def_characteristic *c = &s->characteristics[i];

		n += 2 + (c->value.notify || c->value.indicate) + c->n_descriptors;
	}
	return n;
}

/* First how much it is: what is checked then is bounded. */
static int check_size(const struct gatt_def_service *defs, size_t n, size_t *ret_attributes,
                      struct gatt_def_error *ret_error)
{
	size_t attributes = 0, characteristics = 0;

	for (size_t i = 0; i < n; i++) {
		attributes += count_attributes(&defs[i]);
		characteristics += defs[i].n_characteristics;
		if (attributes > GATT_DB_ATTRIBUTES_MAX)
			ret_error->key = "attributes";
		else if (characteristics > GATT_APP_CHARACTERISTICS_MAX)
			ret_error->key = "characteristics";
		if (ret_error->key)
			return -ENOBUFS;
	}
	*ret_attributes = attributes;
	return 0;
}

int gatt_db_check(const struct gatt_def_service *defs, size_t n, size_t *ret_attributes,
                  struct gatt_def_error *ret_error)
{
	int r = check_size(defs, n, ret_attributes, ret_error);

	for (size_t i = 0; i < n && r == 0; i++) {
		ret_error->service = (int)i;
		r = check_service(&defs[i], i, n, ret_error);
	}
	return r;
}
