/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fields to advertising data and scan response. The split is aioble's: field by field, first fit, and a later, smaller
 * field may still go where an earlier one did not fit. What the kernel would refuse is refused here, with the field's name.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aiobled/adv.h"
#include "aiobled/cleanup.h"

#define FLAG_BREDR_BOTH                                                                            \
	0x18 /* LE and BR/EDR at the same time: controller, host (CSS, Part A, 1.3) */

struct split {
	struct wr part[2]; /* advertising data, scan response */
	struct adv_fault *fault;
};

static int too_long(struct adv_fault *fault, const char *field, size_t over)
{
	fault->field = field;
	(void)snprintf(fault->text, sizeof(fault->text), "does not fit: %zu byte%s too many", over,
	               over == 1 ? "" : "s");
	return -EMSGSIZE;
}

static int malformed(struct adv_fault *fault, const char *field, const char *text)
{
	fault->field = field;
	(void)snprintf(fault->text, sizeof(fault->text), "%s", text);
	return -EINVAL;
}

/* Where a structure with @len bytes of value goes, or NULL. */
static struct wr *place(struct split *s, const char *field, size_t len)
{
	size_t room = MAX(s->part[0].left, s->part[1].left);

	for (size_t i = 0; i < ARRAY_SIZE(s->part); i++)
		if (ad_fits(&s->part[i], len))
			return &s->part[i];
	if (len > AD_VALUE_MAX)
		(void)too_long(s->fault, field, len - AD_VALUE_MAX);
	else
		(void)too_long(s->fault, field, 2 + len - room);
	return NULL;
}

static size_t uuids_of_width(const struct adv_fields *f, unsigned int width)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_services; i++)
		n += ad_uuid_width(&f->services[i]) == width;
	return n;
}

static int put_services(struct split *s, const struct adv_fields *f)
{
	static const unsigned int widths[] = {2, 4, 16};
	struct wr *w;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(widths); i++) {
		n = uuids_of_width(f, widths[i]);
		if (n == 0)
			continue;
		w = place(s, "services", n * widths[i]);
		if (!w)
			return -EMSGSIZE;
		ad_put_uuids(w, widths[i], f->services, f->n_services);
	}
	return 0;
}

static int put_name(struct split *s, const char *name)
{
	struct wr *w;

	if (!name || !*name)
		return 0;
	w = place(s, "name", strlen(name));
	if (!w)
		return -EMSGSIZE;
	ad_put_name(w, name);
	return 0;
}

static int put_appearance(struct split *s, uint16_t appearance)
{
	struct wr *w;

	if (!appearance)
		return 0;
	w = place(s, "appearance", 2);
	if (!w)
		return -EMSGSIZE;
	ad_put_appearance(w, appearance);
	return 0;
}

static int put_manufacturer(struct split *s, const struct adv_fields *f)
{
	for (size_t i = 0; i < f->n_manufacturer; i++) {
		const struct adv_record *r = &f->manufacturer[i];
		struct wr *w = place(s, "manufacturer", 2 + r->len);

		if (!w)
			return -EMSGSIZE;
		ad_put_manufacturer(w, r->company, r->data, r->len);
	}
	return 0;
}

static int put_service_data(struct split *s, const struct adv_fields *f)
{
	for (size_t i = 0; i < f->n_service_data; i++) {
		const struct adv_record *r = &f->service_data[i];
		struct wr *w = place(s, "service_data", ad_uuid_width(&r->uuid) + r->len);

		if (!w)
			return -EMSGSIZE;
		ad_put_service_data(w, &r->uuid, r->data, r->len);
	}
	return 0;
}

static int put_tx_power(struct split *s, const struct adv_fields *f)
{
	uint8_t dbm = (uint8_t)f->tx_power_dbm;
	struct wr *w;

	if (!f->has_tx_power)
		return 0;
	w = place(s, "tx_power", 1);
	if (!w)
		return -EMSGSIZE;
	ad_put(w, AD_TX_POWER, &dbm, 1);
	return 0;
}

static uint8_t flags_of(const struct adv_fields *f)
{
	return (uint8_t)((f->limited_disc ? AD_FLAG_LIMITED : AD_FLAG_GENERAL) |
	                 (f->br_edr ? FLAG_BREDR_BOTH : AD_FLAG_NO_BREDR));
}

static int put_fields(struct split *s, const struct adv_fields *f)
{
	int r;

	ad_put_flags(&s->part[0], flags_of(f));
	r = put_services(s, f);
	if (r == 0)
		r = put_name(s, f->name);
	if (r == 0)
		r = put_appearance(s, f->appearance);
	if (r == 0)
		r = put_manufacturer(s, f);
	if (r == 0)
		r = put_service_data(s, f);
	if (r == 0)
		r = put_tx_power(s, f);
	return r;
}

/* --- raw data --- */

/* As the kernel reads it: a zero length is one byte of padding, and anything may follow it. */
static int check_structures(const uint8_t *p, size_t len, bool response, const char *field,
                            struct adv_fault *fault)
{
	for (size_t i = 0; i < len; i += p[i] + 1u) {
		if (p[i] == 0)
			continue;
		if (i + p[i] >= len)
			return malformed(fault, field, "is not made of whole AD structures");
		if (response && p[i + 1] == AD_FLAGS)
			return malformed(fault, field,
			                 "holds Flags, which belong into the advertising data");
	}
	return 0;
}

static bool has_flags(const uint8_t *p, size_t len)
{
	struct ad_field flags;

	return ad_find(ad_iter(p, len), AD_FLAGS, &flags);
}

static int take_raw(const struct adv_fields *f, size_t adv_max, size_t rsp_max,
                    struct adv_payload *ret, struct adv_fault *fault)
{
	size_t kernels = has_flags(f->adv_data, f->adv_data_len) ? 0 : ADV_FLAGS_LEN;

	if (f->adv_data_len > adv_max)
		return too_long(fault, "adv_data", f->adv_data_len - adv_max);
	if (f->resp_data_len && !rsp_max)
		return malformed(fault, "resp_data", "does not go with extended advertising");
	if (f->resp_data_len > rsp_max)
		return too_long(fault, "resp_data", f->resp_data_len - rsp_max);
	if (check_structures(f->adv_data, f->adv_data_len, false, "adv_data", fault) < 0 ||
	    check_structures(f->resp_data, f->resp_data_len, true, "resp_data", fault) < 0)
		return -EINVAL;
	if (f->adv_data_len + kernels > adv_max) {
		fault->field = "adv_data";
		(void)snprintf(fault->text, sizeof(fault->text),
		               "has no Flags, so the kernel puts %d bytes of them before it: "
		               "%zu at most, not %zu",
		               ADV_FLAGS_LEN, adv_max - kernels, f->adv_data_len);
		return -EMSGSIZE;
	}
	*ret = (struct adv_payload){.adv_len = f->adv_data_len, .rsp_len = f->resp_data_len};
	if (f->adv_data_len)
		memcpy(ret->adv, f->adv_data, f->adv_data_len);
	if (f->resp_data_len)
		memcpy(ret->rsp, f->resp_data, f->resp_data_len);
	return 0;
}

int adv_payload_build(const struct adv_fields *f, bool extended, struct adv_payload *ret,
                      struct adv_fault *fault)
{
	size_t adv_max = extended ? ADV_DATA_MAX : AD_LEGACY_MAX;
	size_t rsp_max = extended ? 0 : AD_LEGACY_MAX;
	struct adv_payload p = {.adv_len = 0};
	struct split s = {
		.part = {wr_init(p.adv, adv_max), wr_init(p.rsp, rsp_max)},
		.fault = fault,
	};
	int r;

	if (f->adv_data_len || f->resp_data_len)
		return take_raw(f, adv_max, rsp_max, ret, fault);
	r = put_fields(&s, f);
	if (r < 0)
		return r;
	p.adv_len = wr_len(&s.part[0]);
	p.rsp_len = wr_len(&s.part[1]);
	*ret = p;
	return 0;
}
