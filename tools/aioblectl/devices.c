/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices heard by a scan. What one packet of a device leaves out stays as another one said, so a name from a scan response
 * is not lost to the next advertisement.
 */
#include "devices.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/addr.h"
#include "output.h"
#include "sig.h"

struct device {
	char address[ADDR_STR_MAX];
	char type[8];
	int rssi;
	bool has_rssi;
	uint64_t seen_us, reports;
	char *name, *services, *company;
};

static char *copy(const char *s)
{
	char *p = strdup(s);

	ctl_must(p ? 0 : -ENOMEM);
	return p;
}

/* Company numbers are keys: decimal, or hexadecimal with 0x */
char *report_companies(json_object *report)
{
	json_object *m = json_get(report, "manufacturer");
	struct text t = {0};

	if (!m || !json_object_is_type(m, json_type_object))
		return copy("");
	json_object_object_foreach (m, key, value) {
		unsigned long id = strtoul(key, NULL, strncmp(key, "0x", 2) == 0 ? 16 : 10);
		const char *name = id <= 0xffff ? sig_company_name((uint16_t)id) : NULL;

		(void)value; /* the macro has no form for keys alone */
		if (name)
			text_addf(&t, "%s%s", t.len ? ", " : "", name);
		else
			text_addf(&t, "%s0x%04lx", t.len ? ", " : "", id);
	}
	return text_steal(&t);
}

char *report_services(json_object *report, bool names)
{
	json_object *list = json_list(report, "services");
	struct text t = {0};

	for (size_t i = 0; i < json_length(list); i++) {
		const char *uuid = json_object_get_string(json_object_array_get_idx(list, i));
		const char *name = uuid && names ? sig_uuid_name(uuid) : NULL;

		text_addf(&t, "%s%s", t.len ? "," : "", name ? name : uuid ? uuid : "");
	}
	return text_steal(&t);
}

static struct device *device_find(struct devices *all, json_object *report, bool *ret_new)
{
	const char *address = json_str(report, "address"), *type = json_str(report, "address_type");
	struct device *d;

	*ret_new = false;
	for (size_t i = 0; i < all->count; i++)
		if (strcmp(all->list[i].address, address) == 0 &&
		    strcmp(all->list[i].type, type) == 0)
			return &all->list[i];
	if (all->count == DEVICES_MAX) {
		all->overflow++;
		return NULL;
	}
	d = reallocarray(all->list, all->count + 1, sizeof(*d));
	ctl_must(d ? 0 : -ENOMEM);
	all->list = d;
	d = &all->list[all->count++];
	*d = (struct device){.name = copy(""), .services = copy(""), .company = copy("")};
	(void)snprintf(d->address, sizeof(d->address), "%s",
	               address); /* cut when the daemon sends nonsense */
	(void)snprintf(d->type, sizeof(d->type), "%s", type);
	*ret_new = true;
	return d;
}

/* What one packet does not carry stays as another one said */
static void keep(char **field, char *fresh)
{
	if (!*fresh) {
		free(fresh);
		return;
	}
	free(*field);
	*field = fresh;
}

static void device_update(struct device *d, json_object *report)
{
	d->seen_us = ctl_now_us();
	d->reports++;
	if (json_get(report, "rssi")) {
		d->rssi = (int)json_int(report, "rssi");
		d->has_rssi = true;
	}
	keep(&d->name, copy(json_str(report, "name")));
	keep(&d->services, report_services(report, true));
	keep(&d->company, report_companies(report));
}

bool devices_add(struct devices *all, json_object *report)
{
	bool is_new;
	struct device *d = device_find(all, report, &is_new);

	all->reports++;
	if (d)
		device_update(d, report);
	return is_new;
}

void devices_free(struct devices *d)
{
	for (size_t i = 0; i < d->count; i++) {
		free(d->list[i].name);
		free(d->list[i].services);
		free(d->list[i].company);
	}
	free(d->list);
	*d = (struct devices){0};
}

static void device_row(struct table *t, const struct device *d)
{
	_cleanup_(text_free) struct text rssi = {0}, age = {0};

	if (d->has_rssi)
		text_addf(&rssi, "%d", d->rssi);
	text_addf(&age, "%llus", (unsigned long long)((ctl_now_us() - d->seen_us) / 1000000));
	table_row(t, d->address, d->type, text_str(&rssi), text_str(&age), d->name, d->services,
	          d->company);
}

static int by_strength(const void *a, const void *b)
{
	const struct device *x = *(const struct device *const *)a,
			    *y = *(const struct device *const *)b;
	int left = x->has_rssi ? x->rssi : -128, right = y->has_rssi ? y->rssi : -128;

	return right - left;
}

static int by_place(const void *a, const void *b)
{
	const struct device *x = *(const struct device *const *)a,
			    *y = *(const struct device *const *)b;

	return x < y ? -1 : x > y;
}

/* The strongest that fit, in the order they were found, so that rows do not dance */
static size_t choose(const struct devices *all, size_t room, const struct device ***ret)
{
	const struct device **list = reallocarray(NULL, all->count + 1, sizeof(*list));
	size_t n = MIN(all->count, room);

	ctl_must(list ? 0 : -ENOMEM);
	for (size_t i = 0; i < all->count; i++)
		list[i] = &all->list[i];
	if (n < all->count)
		qsort(list, all->count, sizeof(*list), by_strength);
	qsort(list, n, sizeof(*list), by_place);
	*ret = list;
	return n;
}

void devices_text(struct ctl *c, const struct devices *d, struct text *ret, size_t rows,
                  size_t columns)
{
	_cleanup_(freep) const struct device **list = NULL;
	_cleanup_(table_free) struct table t = {0};
	size_t n = choose(d, rows - 2, &list);

	table_init(&t, 7, "ADDRESS", "TYPE", "RSSI", "AGE", "NAME", "SERVICES", "COMPANY");
	for (size_t i = 0; i < n; i++)
		device_row(&t, list[i]);
	table_text(&t, ret, columns, out_bold(c), out_plain(c));
	text_addf(ret, "%zu%s devices, %llu reports%s\n", d->count, d->overflow ? " and more" : "",
	          (unsigned long long)d->reports, n < d->count ? ", the strongest shown" : "");
}
