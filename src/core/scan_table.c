/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table doubles until SCAN_DEVICES_MAX and never shrinks while it is in use; slot numbers stay valid when it grows.
 */
#include "scan_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"

#define TABLE_SIZE_MIN 64 /* a power of two, as SCAN_DEVICES_MAX */

/* --- data of one packet --- */

int scan_data_set(struct scan_data *data, const uint8_t *bytes, size_t len, uint64_t time_us)
{
	uint8_t *to = data->small;

	if (len > SCAN_DATA_MAX)
		return -EMSGSIZE;
	if (len > sizeof(data->small)) {
		if (len > data->large_size) {
			to = realloc(data->large, len);
			if (!to)
				return -ENOMEM;
			data->large = to;
			data->large_size = (uint16_t)len;
		}
		to = data->large;
	}
	if (len)
		memcpy(to, bytes, len);
	data->len = (uint16_t)len;
	data->time_us = time_us;
	return 0;
}

void scan_data_clear(struct scan_data *data)
{
	data->len = 0;
	data->time_us = 0;
}

/* --- the table --- */

void scan_table_init(struct scan_table *table)
{
	*table = (struct scan_table){0};
	list_init(&table->heard);
}

void scan_table_clear(struct scan_table *table)
{
	for (uint32_t i = 0; i < table->n; i++) {
		free(table->slots[i]->adv.large);
		free(table->slots[i]->rsp.large);
		free(table->slots[i]);
	}
	free(table->slots);
	free(table->buckets);
	*table = (struct scan_table){.generation = table->generation};
	list_init(&table->heard);
}

static struct scan_device **bucket_of(struct scan_table *table, const struct addr *addr,
                                      uint8_t sid)
{
	uint32_t h = (addr_hash(addr) ^ sid) * 0x9e3779b1u; /* spread over the upper bits */

	return &table->buckets[(h >> 16) & (table->size - 1)];
}

static void bucket_add(struct scan_table *table, struct scan_device *device)
{
	struct scan_device **bucket = bucket_of(table, &device->addr, device->sid);

	device->next = *bucket;
	*bucket = device;
}

static void bucket_del(struct scan_table *table, struct scan_device *device)
{
	struct scan_device **at = bucket_of(table, &device->addr, device->sid);

	while (*at != device)
		at = &(*at)->next;
	*at = device->next;
}

static int table_grow(struct scan_table *table)
{
	uint32_t size = table->size ? table->size * 2 : TABLE_SIZE_MIN;
	struct scan_device **slots = realloc(table->slots, size * sizeof(*slots));
	struct scan_device **buckets;

	if (!slots)
		return -ENOMEM;
	table->slots = slots;
	buckets = calloc(size, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	free(table->buckets);
	table->buckets = buckets;
	table->size = size;
	for (uint32_t i = 0; i < table->n; i++)
		bucket_add(table, table->slots[i]);
	return 0;
}

static struct scan_device *device_add(struct scan_table *table)
{
	struct scan_device *device;

	if (table->n == table->size && table_grow(table) < 0)
		return NULL;
	device = calloc(1, sizeof(*device));
	if (!device)
		return NULL;
	list_init(&device->heard);
	device->slot = table->n;
	table->slots[table->n++] = device;
	return device;
}

/* Another device takes the place of the one that was silent longest. */
static struct scan_device *device_reuse(struct scan_table *table)
{
	struct scan_device *device = list_first(&table->heard, struct scan_device, heard);

	bucket_del(table, device);
	list_del(&device->heard);
	scan_data_clear(&device->adv);
	scan_data_clear(&device->rsp);
	device->props = 0;
	return device;
}

static struct scan_device *table_find(struct scan_table *table, const struct addr *addr,
                                      uint8_t sid)
{
	struct scan_device *device = table->size ? *bucket_of(table, addr, sid) : NULL;

	while (device && !(device->sid == sid && addr_equal(&device->addr, addr)))
		device = device->next;
	return device;
}

struct scan_device *scan_table_get(struct scan_table *table, const struct addr *addr, uint8_t sid)
{
	struct scan_device *device = table_find(table, addr, sid);

	if (device) {
		list_del(&device->heard);
		list_add_tail(&table->heard, &device->heard);
		return device;
	}
	device = table->n < SCAN_DEVICES_MAX ? device_add(table) : device_reuse(table);
	if (!device)
		return NULL;
	device->addr = *addr;
	device->sid = sid;
	if (++table->generation == 0)
		table->generation = 1;
	device->generation = table->generation;
	bucket_add(table, device);
	list_add_tail(&table->heard, &device->heard);
	return device;
}

/* --- fragments --- */

struct scan_assembly {
	struct addr addr;
	uint8_t sid;
	bool used, rsp, too_long;
	uint16_t len;
	uint64_t time_us;
	uint8_t data[SCAN_DATA_MAX];
};

static struct scan_assembly *assembly_find(struct scan_fragments *f, const struct hcip_report *r,
                                           uint64_t now_us)
{
	for (size_t i = 0; i < SCAN_FRAGMENTS_MAX; i++) {
		struct scan_assembly *a = &f->slots[i];

		if (!a->used || a->sid != r->sid || a->rsp != !!(r->props & HCIP_ADV_SCAN_RSP) ||
		    !addr_equal(&a->addr, &r->addr))
			continue;
		if (now_us - a->time_us > SCAN_FRAGMENTS_MAX_US) {
			a->len = 0; /* its end was never heard: this is a new beginning */
			a->too_long = false;
		}
		return a;
	}
	return NULL;
}

static struct scan_assembly *assembly_new(struct scan_fragments *f, const struct hcip_report *r,
                                          bool *ret_evicted)
{
	struct scan_assembly *a = &f->slots[0];

	for (size_t i = 1; i < SCAN_FRAGMENTS_MAX && a->used; i++)
		if (!f->slots[i].used || f->slots[i].time_us < a->time_us)
			a = &f->slots[i];
	*ret_evicted = a->used;
	a->used = true;
	a->addr = r->addr;
	a->sid = r->sid;
	a->rsp = r->props & HCIP_ADV_SCAN_RSP;
	a->too_long = false;
	a->len = 0;
	return a;
}

static void assembly_append(struct scan_assembly *a, const struct hcip_report *r, uint64_t now_us)
{
	a->time_us = now_us;
	if (r->len > sizeof(a->data) - a->len) {
		a->too_long = true;
		return;
	}
	if (r->len)
		memcpy(a->data + a->len, r->data, r->len);
	a->len += (uint16_t)r->len;
}

static int assembly_finish(struct scan_assembly *a, struct hcip_report *r)
{
	a->used = false;
	if (a->too_long)
		return -EBADMSG;
	r->data = a->data;
	r->len = a->len;
	return 1;
}

int scan_assemble(struct scan_fragments *f, struct hcip_report *r, uint64_t now_us)
{
	struct scan_assembly *a = f->slots ? assembly_find(f, r, now_us) : NULL;
	bool evicted = false;

	if (!a && r->status != HCIP_DATA_MORE)
		return 1;
	if (!f->slots) {
		f->slots = calloc(SCAN_FRAGMENTS_MAX, sizeof(*f->slots));
		if (!f->slots)
			return -ENOMEM;
	}
	if (!a)
		a = assembly_new(f, r, &evicted);
	assembly_append(a, r, now_us);
	if (r->status != HCIP_DATA_MORE)
		return assembly_finish(a, r);
	return evicted ? -ENOBUFS : 0;
}

void scan_fragments_clear(struct scan_fragments *f)
{
	free(f->slots);
	f->slots = NULL;
}
