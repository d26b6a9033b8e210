/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The advertising of a file: what is not said follows from the rest of it, and the payload is put together by the daemon's
 * own code, so that --check knows as much as the daemon.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ctl.h"
#include "serve-read.h"

#define INTERVAL_DEFAULT_US 250000

static void read_interval(struct reader *r, const struct place *p, const struct field *f,
                          void *into)
{
	_cleanup_(text_free) struct text t = {0};
	double ms;

	if (!read_is(r, p, PLACE_NUMBER))
		return;
	text_add(&t, p->s, p->len);
	ms = strtod(text_str(&t), NULL);
	if (ms * 1000 < ADV_INTERVAL_US_MIN || ms * 1000 > ADV_INTERVAL_US_MAX)
		read_fail(r, p, "%s ms is not from %d to %d", text_str(&t),
		          ADV_INTERVAL_US_MIN / 1000, ADV_INTERVAL_US_MAX / 1000);
	else
		*(uint32_t *)into = (uint32_t)(ms * 1000 + 0.5);
}

/* ---- records ---- */

static const struct field manufacturer_fields[] = {
	FIELD("company", read_place, serve_record, key_place),
	FIELD("data", read_place, serve_record, data_place),
	FIELD("format", read_place, serve_record, format_place),
	{.key = NULL},
};

static const struct field service_data_fields[] = {
	FIELD("uuid", read_place, serve_record, key_place),
	FIELD("data", read_place, serve_record, data_place),
	FIELD("format", read_place, serve_record, format_place),
	{.key = NULL},
};

static void finish_record(struct reader *r, struct serve_record *record, const char *key)
{
	(void)read_value(r, record->data_place, record->format_place, &record->format,
	                 &record->data); /* reports */
	if (!record->key_place)
		read_missing(r, record->place, key, "is missing");
}

static void read_company(struct reader *r, struct serve_record *record)
{
	long v;

	read_object(r, record->place, "manufacturer data", manufacturer_fields, record);
	finish_record(r, record, "company");
	if (record->key_place && read_long(r, record->key_place, 0, 0xffff, &v))
		record->company = (uint16_t)v;
}

static void read_data_of(struct reader *r, struct serve_record *record)
{
	read_object(r, record->place, "service data", service_data_fields, record);
	finish_record(r, record, "uuid");
	if (record->key_place)
		(void)read_uuid(r, record->key_place, 0x1800, 0x18ff, "a service",
		                &record->uuid); /* reports */
}

/* One record, or a list of them */
static struct serve_record *read_records(struct reader *r, const struct place *p, size_t *ret_count,
                                         void (*read)(struct reader *, struct serve_record *))
{
	bool one = p->kind == PLACE_OBJECT;
	struct serve_record *list;

	if (!one && p->count > ADV_RECORDS_MAX) {
		read_fail(r, p, "%zu are more than %d", p->count, ADV_RECORDS_MAX);
		return NULL;
	}
	list = one ? calloc(1, sizeof(*list)) : read_list(r, p, sizeof(*list), ret_count);
	ctl_must(one && !list ? -ENOMEM : 0);
	*ret_count = one ? 1 : *ret_count;
	if (!one)
		p = p->first;
	for (size_t i = 0; i < *ret_count; i++, p = p->next) {
		list[i].place = p;
		if (read_is(r, p, PLACE_OBJECT))
			read(r, &list[i]);
	}
	return list;
}

static void read_manufacturer(struct reader *r, const struct place *p, const struct field *f,
                              void *into)
{
	struct serve_adv *adv = into;

	adv->manufacturer = read_records(r, p, &adv->n_manufacturer, read_company);
}

static void read_service_data(struct reader *r, const struct place *p, const struct field *f,
                              void *into)
{
	struct serve_adv *adv = into;

	adv->service_data = read_records(r, p, &adv->n_service_data, read_data_of);
}

/* ---- the object ---- */

const struct field serve_adv_fields[] = {
	FIELD("interval_ms", read_interval, serve_adv, interval_us),
	FIELD("name", read_place, serve_adv, name_place),
	FIELD("appearance", read_place, serve_adv, appearance_place),
	FIELD("services", read_place, serve_adv, services_place),
	FIELD_WHOLE("manufacturer", read_manufacturer),
	FIELD_WHOLE("service_data", read_service_data),
	FIELD("tx_power", read_place, serve_adv, tx_power_place),
	FIELD("connectable", read_bool, serve_adv, connectable),
	FIELD("keep", read_bool, serve_adv, keep),
	FIELD("limited_disc", read_bool, serve_adv, limited_disc),
	FIELD("br_edr", read_bool, serve_adv, br_edr),
	FIELD("extended", read_bool, serve_adv, extended),
	FIELD("secondary_phy", read_place, serve_adv, secondary_phy_place),
	FIELD_RANGE("timeout_ms", read_u32, serve_adv, timeout_ms, 0, UINT32_MAX),
	FIELD("adv_data", read_place, serve_adv, adv_data_place),
	FIELD("resp_data", read_place, serve_adv, resp_data_place),
	{.key = NULL},
};

void serve_adv_init(struct serve_adv *adv)
{
	*adv = (struct serve_adv){
		.on = true,
		.interval_us = INTERVAL_DEFAULT_US,
		.connectable = true,
		.keep = true,
	};
}

static void finish_name(struct reader *r, struct serve_file *f)
{
	const struct field field = {.max = ADV_DATA_MAX};
	struct serve_adv *adv = &f->adv;

	if (adv->name_place) {
		read_text(r, adv->name_place, &field, &adv->name);
	} else if (f->name) {
		adv->name = strdup(f->name);
		ctl_must(adv->name ? 0 : -ENOMEM);
	}
}

static void finish_appearance(struct reader *r, struct serve_file *f)
{
	long v = f->appearance;

	if (f->adv.appearance_place)
		(void)read_long(r, f->adv.appearance_place, 0, 0xffff, &v); /* reports */
	f->adv.appearance = (uint16_t)v;
}

static bool add_service(struct serve_adv *adv, const struct uuid *uuid)
{
	for (size_t i = 0; i < adv->n_services; i++)
		if (uuid_equal(&adv->services[i], uuid))
			return false;
	adv->services[adv->n_services++] = *uuid;
	return true;
}

/* Those of the file that stand for themselves, unless it says which */
static void finish_services(struct reader *r, struct serve_file *f)
{
	struct serve_adv *adv = &f->adv;
	const struct place *p = adv->services_place;
	size_t n = p ? p->count : f->n_services;
	struct uuid uuid;

	if (p && !read_is(r, p, PLACE_ARRAY))
		return;
	adv->services = calloc(n + 1, sizeof(*adv->services));
	ctl_must(adv->services ? 0 : -ENOMEM);
	for (size_t i = 0; !p && i < n; i++)
		if (!f->services[i].secondary)
			(void)add_service(
				adv, &f->services[i].uuid); /* two of a kind are advertised once */
	for (p = p ? p->first : NULL; p; p = p->next)
		if (read_uuid(r, p, 0x1800, 0x18ff, "a service", &uuid) && !add_service(adv, &uuid))
			read_fail(r, p, "this one is in the list already");
}

static void finish_tx_power(struct reader *r, struct serve_adv *adv)
{
	long v;

	adv->has_tx_power = adv->tx_power_place && read_long(r, adv->tx_power_place, -127, 20, &v);
	if (adv->has_tx_power)
		adv->tx_power = (int8_t)v;
}

static void finish_phy(struct reader *r, struct serve_adv *adv)
{
	static const char *const words[] = {"1M", "2M", "coded"};

	if (!adv->secondary_phy_place)
		return;
	if (!adv->extended)
		read_fail(r, adv->secondary_phy_place, "only extended advertising has one");
	read_word(r, adv->secondary_phy_place, words, ARRAY_SIZE(words), &adv->secondary_phy);
}

/* With raw data nothing else is put into the payload, and who wrote both meant something */
static void check_raw(struct reader *r, const struct serve_adv *adv)
{
	static const char *const others[] = {"name",         "appearance",   "services",
	                                     "manufacturer", "service_data", "tx_power",
	                                     "limited_disc", "br_edr"};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		const struct place *p = place_key(adv->place, others[i]);

		if (p)
			read_fail(r, p,
			          "does not go with adv_data and resp_data, which are the whole "
			          "payload");
	}
}

static struct adv_record *records(const struct serve_record *list, size_t n)
{
	struct adv_record *out = calloc(n + 1, sizeof(*out));

	ctl_must(out ? 0 : -ENOMEM);
	for (size_t i = 0; i < n; i++)
		out[i] = (struct adv_record){
			.company = list[i].company,
			.uuid = list[i].uuid,
			.data = (const uint8_t *)text_str(&list[i].data),
			.len = list[i].data.len,
		};
	return out;
}

/* A field that the file gives for advertising, or that followed from the rest of it */
static void payload_fault(struct reader *r, const struct serve_file *f,
                          const struct adv_fault *fault)
{
	const struct place *own = f->adv.place ? place_key(f->adv.place, fault->field) : NULL;
	const struct place *from = place_key(f->tree, fault->field);

	if (own)
		read_fail(r, own, "%s", fault->text);
	else if (from && from == f->services_place)
		read_fail(r, from, "advertising all of them %s; name some in advertising.services",
		          fault->text);
	else
		read_fail(r, from ? from : f->tree, "in advertising it %s", fault->text);
}

static void build_payload(struct reader *r, struct serve_file *f)
{
	struct serve_adv *adv = &f->adv;
	_cleanup_(freep) struct adv_record *manufacturer =
		records(adv->manufacturer, adv->n_manufacturer);
	_cleanup_(freep) struct adv_record *service_data =
		records(adv->service_data, adv->n_service_data);
	const struct adv_fields fields = {
		.adv_data = (const uint8_t *)text_str(&adv->adv_data),
		.adv_data_len = adv->adv_data.len,
		.resp_data = (const uint8_t *)text_str(&adv->resp_data),
		.resp_data_len = adv->resp_data.len,
		.limited_disc = adv->limited_disc,
		.br_edr = adv->br_edr,
		.services = adv->services,
		.n_services = adv->n_services,
		.name = adv->name,
		.appearance = adv->appearance,
		.manufacturer = manufacturer,
		.n_manufacturer = adv->n_manufacturer,
		.service_data = service_data,
		.n_service_data = adv->n_service_data,
		.has_tx_power = adv->has_tx_power,
		.tx_power_dbm = adv->tx_power,
	};
	struct adv_fault fault;

	if (adv_payload_build(&fields, adv->extended, &adv->payload, &fault) < 0)
		payload_fault(r, f, &fault);
}

void serve_adv_finish(struct reader *r, struct serve_file *f)
{
	struct serve_adv *adv = &f->adv;

	if (!adv->on ||
	    (adv->place && adv->place->kind != PLACE_OBJECT && adv->place->kind != PLACE_TRUE))
		return;
	finish_name(r, f);
	finish_appearance(r, f);
	finish_services(r, f);
	finish_tx_power(r, adv);
	finish_phy(r, adv);
	if (adv->adv_data_place)
		read_hex(r, adv->adv_data_place, NULL, &adv->adv_data);
	if (adv->resp_data_place)
		read_hex(r, adv->resp_data_place, NULL, &adv->resp_data);
	if (adv->adv_data.len || adv->resp_data.len)
		check_raw(r, adv);
	if (r->errors->count == 0) /* what is missing would only make it look as if it fitted */
		build_payload(r, f);
}

static void records_free(struct serve_record *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		text_free(&list[i].data);
	free(list);
}

void serve_adv_free(struct serve_adv *adv)
{
	records_free(adv->manufacturer, adv->n_manufacturer);
	records_free(adv->service_data, adv->n_service_data);
	free(adv->services);
	free(adv->name);
	free(adv->secondary_phy);
	text_free(&adv->adv_data);
	text_free(&adv->resp_data);
}
