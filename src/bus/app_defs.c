/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading definitions. Each dictionary is read by the table of options into a struct of its own, then put into the array
 * of its parent; whoever reads keeps in defs->at where it is, so that an error far down can name the way to it. What is
 * checked here is what the types of the definitions cannot say; what makes no sense in a table of attributes is the
 * engine's to refuse. A client's message ends at the first mistake or at the limits, so its length costs nothing.
 */
#include "app_defs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus_opts.h"

#define GROWTH 8 /* places of an array at first */

/* of a row in struct gatt_attr's table: a service and an included one take one each, a characteristic two or three */
#define CHARACTERISTIC_ATTRIBUTES 3

static const char *const security_names[] = {"none", "encrypted", "authenticated", "secure", NULL};

/* A characteristic or a descriptor as its dictionary has it. */
struct value_in {
	struct app_defs *defs;
	struct opt_uuid uuid;
	struct opt_bytes initial;
	int read_security, write_security;
	struct gatt_def_value v;
	struct gatt_def_value *descriptors;
	size_t n_descriptors, size;
};

struct service_in {
	struct app_defs *defs;
	struct opt_uuid uuid;
	struct opt_u16s includes;
	struct gatt_def_service s;
	struct gatt_def_characteristic *characteristics;
	size_t n, size;
};

/* --- errors --- */

/* "services" when it is about the whole. */
static void put_path(struct app_defs *defs, const struct gatt_def_error *e, const char *key)
{
	char *p = defs->path;
	size_t size = sizeof(defs->path);
	int n = snprintf(p, size, "services");

	if (e->service < 0)
		return;
	n += snprintf(p + n, size - (size_t)n, "[%d]", e->service);
	if (e->characteristic >= 0)
		n += snprintf(p + n, size - (size_t)n, ".characteristics[%d]", e->characteristic);
	if (e->characteristic >= 0 && e->descriptor >= 0)
		n += snprintf(p + n, size - (size_t)n, ".descriptors[%d]", e->descriptor);
	if (key)
		(void)snprintf(p + n, size - (size_t)n, ".%.*s",
		               (int)bus_text_fit(key, size - (size_t)n - 2), key);
}

static int limit_error(struct bus_error *err, const char *what, uint32_t limit)
{
	*err = (struct bus_error){.res = -ENOBUFS,
	                          .text = "an application cannot be that large",
	                          .what = what,
	                          .limit = limit};
	return -ENOBUFS;
}

static int no_memory(struct bus_error *err)
{
	*err = (struct bus_error){.res = -ENOMEM};
	return -ENOMEM;
}

/* All applications of the adapter count here, so the caller need not have too much itself. */
static void table_full(const char *what, struct bus_error *err)
{
	static const struct {
		const char *what;
		uint32_t limit;
	} limits[] = {
		{"attributes", GATT_DB_ATTRIBUTES_MAX},
		{"applications", GATT_DB_APPS_MAX},
		{"characteristics", GATT_APP_CHARACTERISTICS_MAX},
		{"handles", 0xffff},
	};

	err->text = "the table of the adapter has no place for it";
	for (size_t i = 0; what && i < ARRAY_SIZE(limits); i++) {
		if (strcmp(what, limits[i].what) != 0)
			continue;
		err->what = limits[i].what;
		err->limit = limits[i].limit;
	}
}

int app_defs_error(struct app_defs *defs, int res, const struct gatt_def_error *e,
                   struct bus_error *err)
{
	*err = (struct bus_error){.res = res};
	if (res == -ENOBUFS)
		table_full(e->key, err);
	if (res != -EINVAL && res != -EEXIST)
		return res;
	put_path(defs, e, e->key);
	(void)snprintf(defs->text, sizeof(defs->text), "is refused: %s", e->text);
	err->res = -EINVAL;
	err->key = defs->path;
	err->text = defs->text;
	return res;
}

/* --- arrays --- */

/* Room for one more of @each bytes. Return: false: no memory. */
static bool grow(void *array, size_t n, size_t *size, size_t each)
{
	size_t more = *size ? 2 * *size : GROWTH;
	void *p;

	if (n < *size)
		return true;
	p = realloc(*(void **)array, more * each); /* the limits are far below any overflow */
	if (!p)
		return false;
	*(void **)array = p;
	*size = more;
	return true;
}

static int count_attributes(struct app_defs *defs, size_t n, struct bus_error *err)
{
	defs->n_attributes += n;
	return defs->n_attributes > GATT_DB_ATTRIBUTES_MAX
	               ? limit_error(err, "attributes", GATT_DB_ATTRIBUTES_MAX)
	               : 0;
}

/* --- values --- */

static uint8_t level(int security)
{
	return (uint8_t)(GATT_LEVEL_NONE + security);
}

/* The definition out of what was read. */
static int finish_value(struct value_in *in, struct gatt_def_value *ret, struct bus_error *err)
{
	if (!in->uuid.given)
		return bus_arg_error(err, "uuid", "is missing");
	in->v.uuid = in->uuid.uuid;
	in->v.initial = in->initial.v;
	in->v.initial_len = in->initial.n;
	in->v.read_level = level(in->read_security);
	in->v.write_level = level(in->write_security);
	*ret = in->v;
	return 0;
}

#define VALUE_ROWS                                                                                 \
	OPT("uuid", struct value_in, uuid, OPT_UUID),                                              \
		OPT("handle", struct value_in, v.handle, OPT_U16, .min = 1, .max = 0xffff),        \
		OPT("read", struct value_in, v.read, OPT_BOOL),                                    \
		OPT("write", struct value_in, v.write, OPT_BOOL),                                  \
		OPT("initial", struct value_in, initial, OPT_BYTES),                               \
		OPT("max_len", struct value_in, v.max_len, OPT_U16, .min = 1, .max = 512),         \
		OPT("truncate", struct value_in, v.truncate, OPT_BOOL),                            \
		OPT("on_read", struct value_in, v.on_read, OPT_BOOL),                              \
		OPT("on_read_timeout_ms", struct value_in, v.on_read_timeout_ms, OPT_U32,          \
	            .min = 1, .max = GATT_ON_READ_MAX_MS),                                         \
		OPT("on_read_fallback", struct value_in, v.on_read_fallback, OPT_U8),              \
		OPT("read_security", struct value_in, read_security, OPT_ENUM,                     \
	            .names = security_names),                                                      \
		OPT("write_security", struct value_in, write_security, OPT_ENUM,                   \
	            .names = security_names),                                                      \
		OPT("key_size", struct value_in, v.key_size, OPT_U8, .min = 7, .max = 16)

static int read_descriptor(sd_bus_message *m, void *dst, struct bus_error *err)
{
	static const struct opt table[] = {VALUE_ROWS};
	struct value_in *chr = dst, in = {.defs = chr->defs};
	int r;

	in.defs->at.descriptor = (int)chr->n_descriptors;
	r = bus_dict_read(m, table, ARRAY_SIZE(table), &in, "is not a key of a descriptor", err);
	if (r < 0)
		return r;
	if (count_attributes(in.defs, 1, err) < 0)
		return -ENOBUFS;
	if (!grow(&chr->descriptors, chr->n_descriptors, &chr->size, sizeof(*chr->descriptors)))
		return no_memory(err);
	r = finish_value(&in, &chr->descriptors[chr->n_descriptors], err);
	if (r < 0)
		return r;
	chr->n_descriptors++;
	in.defs->at.descriptor = -1;
	return 0;
}

/* Its descriptors are its own until it stands in the service. */
static int read_characteristic_into(sd_bus_message *m, struct value_in *in,
                                    struct gatt_def_characteristic *ret, struct bus_error *err)
{
	static const struct opt table[] = {
		VALUE_ROWS,
		OPT("write_no_response", struct value_in, v.write_no_response, OPT_BOOL),
		OPT("notify", struct value_in, v.notify, OPT_BOOL),
		OPT("indicate", struct value_in, v.indicate, OPT_BOOL),
		OPT("capture", struct value_in, v.capture, OPT_BOOL),
		OPT("append", struct value_in, v.append, OPT_BOOL),
		OPT("descriptors", struct value_in, defs, OPT_DICTS, .each = read_descriptor),
	};
	/* OPT_DICTS hands on the struct itself, whatever its offset */
	int r = bus_dict_read(m, table, ARRAY_SIZE(table), in, "is not a key of a characteristic",
	                      err);

	if (r < 0)
		return r;
	in->defs->at.descriptor = -1;
	r = finish_value(in, &ret->value, err);
	if (r < 0)
		return r;
	ret->descriptors = in->descriptors;
	ret->n_descriptors = in->n_descriptors;
	return 0;
}

static int read_characteristic(sd_bus_message *m, void *dst, struct bus_error *err)
{
	struct service_in *service = dst;
	struct app_defs *defs = service->defs;
	struct value_in in = {.defs = defs};
	int r;

	defs->at.characteristic = (int)service->n;
	if (defs->n_characteristics == GATT_APP_CHARACTERISTICS_MAX)
		return limit_error(err, "characteristics", GATT_APP_CHARACTERISTICS_MAX);
	if (count_attributes(defs, CHARACTERISTIC_ATTRIBUTES, err) < 0)
		return -ENOBUFS;
	if (!grow(&service->characteristics, service->n, &service->size,
	          sizeof(*service->characteristics)))
		return no_memory(err);
	r = read_characteristic_into(m, &in, &service->characteristics[service->n], err);
	if (r < 0) {
		free(in.descriptors);
		return r;
	}
	service->n++;
	defs->n_characteristics++;
	defs->at.characteristic = -1;
	return 0;
}

/* --- services --- */

static void free_characteristics(const struct gatt_def_characteristic *characteristics, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((void *)characteristics[i].descriptors);
	free((void *)characteristics);
}

static uint16_t *copy_includes(const struct opt_u16s *includes)
{
	uint16_t *p = malloc(includes->n * sizeof(*p));

	if (p)
		memcpy(p, includes->v, includes->n * sizeof(*p));
	return p;
}

static int read_service_into(sd_bus_message *m, struct service_in *in, struct gatt_def_service *ret,
                             struct bus_error *err)
{
	static const struct opt table[] = {
		OPT("uuid", struct service_in, uuid, OPT_UUID),
		OPT("secondary", struct service_in, s.secondary, OPT_BOOL),
		OPT("handle", struct service_in, s.handle, OPT_U16, .min = 1, .max = 0xffff),
		OPT("includes", struct service_in, includes, OPT_U16S),
		OPT("characteristics", struct service_in, defs, OPT_DICTS,
	            .each = read_characteristic),
	};
	int r = bus_dict_read(m, table, ARRAY_SIZE(table), in, "is not a key of a service", err);

	if (r < 0)
		return r;
	if (!in->uuid.given)
		return bus_arg_error(err, "uuid", "is missing");
	if (count_attributes(in->defs, 1 + in->includes.n, err) < 0)
		return -ENOBUFS;
	*ret = in->s;
	ret->uuid = in->uuid.uuid;
	ret->n_includes = in->includes.n;
	ret->includes = in->includes.n ? copy_includes(&in->includes) : NULL;
	if (in->includes.n && !ret->includes)
		return no_memory(err);
	ret->characteristics = in->characteristics;
	ret->n_characteristics = in->n;
	return 0;
}

static int read_service(sd_bus_message *m, void *dst, struct bus_error *err)
{
	struct app_defs *defs = dst;
	struct service_in in = {.defs = defs};
	int r;

	defs->at.service = (int)defs->n;
	if (!grow(&defs->services, defs->n, &defs->size, sizeof(*defs->services)))
		return no_memory(err);
	r = read_service_into(m, &in, &defs->services[defs->n], err);
	if (r < 0) {
		free_characteristics(in.characteristics, in.n);
		return r;
	}
	defs->n++;
	defs->at.service = -1;
	return 0;
}

int app_defs_read(sd_bus_message *m, struct app_defs *ret, struct bus_error *err)
{
	int r;

	*ret = (struct app_defs){.at = {.service = -1, .characteristic = -1, .descriptor = -1}};
	r = bus_dicts_read(m, NULL, read_service, ret, err);
	if (r == 0 && ret->n == 0)
		r = bus_arg_error(err, NULL, "is empty");
	if (r == -EINVAL) {
		put_path(ret, &ret->at, err->key);
		err->key = ret->path;
	}
	return r;
}

void app_defs_deinit(struct app_defs *defs)
{
	for (size_t i = 0; i < defs->n; i++) {
		free((void *)defs->services[i].includes);
		free_characteristics(defs->services[i].characteristics,
		                     defs->services[i].n_characteristics);
	}
	free(defs->services);
	*defs = (struct app_defs){0};
}
