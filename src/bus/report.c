/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reports. What was packed here is unpacked here, yet through a checking cursor, as everything that came from the air.
 * Text goes through ad_text(): one bad byte in a string would cost us the connection to the bus.
 */
#include "report.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/ad.h"
#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"
#include "aiobled/stream.h"

#define NO_RESPONSE 0xffff
#define NO_TX_POWER 127
#define NO_SID      0xff
#define KEYS_MAX    64 /* manufacturers or services of one report that are told apart */

enum { FLAG_CONNECTABLE = 1, FLAG_SCANNABLE = 2, FLAG_EXTENDED = 4 };

struct report {
	uint64_t seq, time_us;
	struct addr addr;
	uint8_t event, flags, sid, primary_phy, secondary_phy;
	int8_t rssi, tx_power;
	const uint8_t *adv, *rsp;
	size_t adv_len, rsp_len;
};

size_t report_pack(const struct scan_report *report, uint8_t buf[REPORT_MAX])
{
	size_t adv_len = MIN(report->adv_len, REPORT_PART_MAX),
	       rsp_len = MIN(report->rsp_len, REPORT_PART_MAX);
	struct wr w = wr_init(buf, REPORT_MAX);

	for (int i = ADDR_LEN - 1; i >= 0; i--)
		wr_u8(&w, report->addr.b[i]);
	wr_u8(&w, report->addr.type);
	wr_u8(&w, report->type);
	wr_u8(&w, (report->connectable ? FLAG_CONNECTABLE : 0) |
	                  (report->scannable ? FLAG_SCANNABLE : 0) |
	                  (report->extended ? FLAG_EXTENDED : 0));
	wr_u8(&w, (uint8_t)report->rssi_dbm);
	wr_u8(&w, (uint8_t)report->tx_power_dbm);
	wr_u8(&w, report->sid);
	wr_u8(&w, report->primary_phy);
	wr_u8(&w, report->secondary_phy);
	wr_le16(&w, (uint16_t)adv_len);
	wr_le16(&w, report->rsp ? (uint16_t)rsp_len : NO_RESPONSE);
	wr_bytes(&w, report->adv, adv_len);
	if (report->rsp)
		wr_bytes(&w, report->rsp, rsp_len);
	return wr_len(&w);
}

static int unpack(const struct stream_record *record, struct report *p)
{
	struct rd r = rd_init(record->data, record->len);
	uint16_t adv_len, rsp_len;

	*p = (struct report){.seq = record->seq, .time_us = record->time_us};
	for (int i = ADDR_LEN - 1; i >= 0; i--)
		p->addr.b[i] = rd_u8(&r);
	p->addr.type = rd_u8(&r);
	p->event = rd_u8(&r);
	p->flags = rd_u8(&r);
	p->rssi = (int8_t)rd_u8(&r);
	p->tx_power = (int8_t)rd_u8(&r);
	p->sid = rd_u8(&r);
	p->primary_phy = rd_u8(&r);
	p->secondary_phy = rd_u8(&r);
	adv_len = rd_le16(&r);
	rsp_len = rd_le16(&r);
	p->adv = rd_bytes(&r, adv_len);
	p->adv_len = adv_len;
	if (rsp_len != NO_RESPONSE) {
		p->rsp = rd_bytes(&r, rsp_len);
		p->rsp_len = rsp_len;
	}
	return rd_end(&r) ? 0 : -EBADMSG;
}

static const char *event_name(uint8_t event)
{
	static const char *const names[] = {
		[SCAN_IND] = "ind",           [SCAN_DIRECT_IND] = "direct_ind",
		[SCAN_SCAN_IND] = "scan_ind", [SCAN_NONCONN_IND] = "nonconn_ind",
		[SCAN_RSP] = "scan_rsp",
	};

	return event < ARRAY_SIZE(names) ? names[event] : "ind";
}

/* NULL: not known */
static const char *phy_name(uint8_t phy)
{
	static const char *const names[] = {NULL, "1M", "2M", "Coded"};

	return phy < ARRAY_SIZE(names) ? names[phy] : NULL;
}

static struct ad_iter fields(const struct report *p)
{
	return ad_iter2(p->adv, p->adv_len, p->rsp, p->rsp_len);
}

static bool tx_power(const struct report *p, int8_t *ret)
{
	if (ad_tx_power(fields(p), ret))
		return true;
	*ret = p->tx_power;
	return p->tx_power != NO_TX_POWER;
}

/*
 * Fields repeat, in one packet or over both; a dictionary's keys must not. Remembers what was met; when that is full
 * everything further counts as met.
 */
struct met {
	struct uuid keys[KEYS_MAX];
	size_t n;
};

static bool met(struct met *met, const struct uuid *key)
{
	for (size_t i = 0; i < met->n; i++)
		if (memcmp(&met->keys[i], key, sizeof(*key)) == 0)
			return true;
	if (met->n == KEYS_MAX)
		return true;
	met->keys[met->n++] = *key;
	return false;
}

/* --- a{sv} --- */

static int put_bytes(sd_bus_message *m, const char *key, const uint8_t *data, size_t len)
{
	int r = sd_bus_message_open_container(m, 'e', "sv");

	if (r >= 0)
		r = sd_bus_message_append_basic(m, 's', key);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'v', "ay");
	if (r >= 0)
		r = sd_bus_message_append_array(m, 'y', data, len);
	if (r >= 0)
		r = sd_bus_message_close_container(m);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

/* A value that is a container of @type: opened here, closed by put_close(). */
static int put_open(sd_bus_message *m, const char *key, const char *type)
{
	int r = sd_bus_message_open_container(m, 'e', "sv");

	if (r >= 0)
		r = sd_bus_message_append_basic(m, 's', key);
	if (r >= 0)
		r = sd_bus_message_open_container(m, 'v', type);
	return r < 0 ? r : sd_bus_message_open_container(m, 'a', type + 1);
}

static int put_close(sd_bus_message *m)
{
	int r = sd_bus_message_close_container(m);

	if (r >= 0)
		r = sd_bus_message_close_container(m);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int put_name(sd_bus_message *m, const struct report *p)
{
	char text[AD_TEXT_SIZE(AD_VALUE_MAX)];
	struct ad_field f;

	if (!ad_name(fields(p), &f))
		return 0;
	(void)ad_text(f.data, f.len, text, sizeof(text));
	return sd_bus_message_append(m, "{sv}", "name", "s", text);
}

static int put_services(sd_bus_message *m, const struct report *p)
{
	struct ad_uuid_iter it = ad_uuid_iter(fields(p));
	struct met seen = {.n = 0};
	char text[UUID_STR_MAX];
	struct uuid uuid;
	int r;

	if (!ad_uuid_next(&it, &uuid))
		return 0;
	r = put_open(m, "services", "as");
	do {
		if (r >= 0 && !met(&seen, &uuid))
			r = sd_bus_message_append_basic(m, 's', uuid_format(&uuid, text));
	} while (r >= 0 && ad_uuid_next(&it, &uuid));
	return r < 0 ? r : put_close(m);
}

static int put_entry(sd_bus_message *m, const char *type, const void *key, const uint8_t *data,
                     size_t len)
{
	int r = sd_bus_message_open_container(m, 'e', type);

	if (r >= 0)
		r = sd_bus_message_append_basic(m, type[0], key);
	if (r >= 0)
		r = sd_bus_message_append_array(m, 'y', data, len);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int put_manufacturer(sd_bus_message *m, const struct report *p)
{
	struct ad_iter it = fields(p);
	struct met seen = {.n = 0};
	const uint8_t *data;
	uint16_t company;
	size_t len;
	int r;

	if (!ad_manufacturer_next(&it, &company, &data, &len))
		return 0;
	r = put_open(m, "manufacturer", "a{qay}");
	do {
		struct uuid key = uuid_from16(company);

		if (r >= 0 && !met(&seen, &key))
			r = put_entry(m, "qay", &company, data, len);
	} while (r >= 0 && ad_manufacturer_next(&it, &company, &data, &len));
	return r < 0 ? r : put_close(m);
}

static int put_service_data(sd_bus_message *m, const struct report *p)
{
	struct ad_iter it = fields(p);
	struct met seen = {.n = 0};
	char text[UUID_STR_MAX];
	const uint8_t *data;
	struct uuid uuid;
	size_t len;
	int r;

	if (!ad_service_data_next(&it, &uuid, &data, &len))
		return 0;
	r = put_open(m, "service_data", "a{say}");
	do {
		if (r >= 0 && !met(&seen, &uuid))
			r = put_entry(m, "say", uuid_format(&uuid, text), data, len);
	} while (r >= 0 && ad_service_data_next(&it, &uuid, &data, &len));
	return r < 0 ? r : put_close(m);
}

static int put_numbers(sd_bus_message *m, const struct report *p)
{
	uint16_t appearance;
	uint8_t flags;
	int8_t tx;
	int r = 0;

	if (ad_appearance(fields(p), &appearance))
		r = sd_bus_message_append(m, "{sv}", "appearance", "q", appearance);
	if (r >= 0 && tx_power(p, &tx))
		r = sd_bus_message_append(m, "{sv}", "tx_power", "n", (int16_t)tx);
	if (r >= 0 && ad_flags(fields(p), &flags))
		r = sd_bus_message_append(m, "{sv}", "flags", "y", flags);
	return r;
}

static int put_extended(sd_bus_message *m, const struct report *p)
{
	int r = 0;

	if (phy_name(p->primary_phy))
		r = sd_bus_message_append(m, "{sv}", "primary_phy", "s", phy_name(p->primary_phy));
	if (r >= 0 && phy_name(p->secondary_phy))
		r = sd_bus_message_append(m, "{sv}", "secondary_phy", "s",
		                          phy_name(p->secondary_phy));
	if (r >= 0 && p->sid != NO_SID)
		r = sd_bus_message_append(m, "{sv}", "sid", "y", p->sid);
	return r;
}

static int put_packet(sd_bus_message *m, const struct report *p)
{
	char address[ADDR_STR_MAX];
	int r = sd_bus_message_append(
		m, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "seq", "t", p->seq, "time_us", "t", p->time_us,
		"address", "s", addr_format(&p->addr, address), "address_type", "s",
		addr_type_name(p->addr.type), "event_type", "s", event_name(p->event),
		"connectable", "b", !!(p->flags & FLAG_CONNECTABLE), "scannable", "b",
		!!(p->flags & FLAG_SCANNABLE));

	if (r >= 0 && p->rssi != SCAN_RSSI_NONE)
		r = sd_bus_message_append(m, "{sv}", "rssi", "n", (int16_t)p->rssi);
	if (r >= 0)
		r = put_bytes(m, "adv_data", p->adv, p->adv_len);
	if (r >= 0 && p->rsp)
		r = put_bytes(m, "resp_data", p->rsp, p->rsp_len);
	return r;
}

int report_append(sd_bus_message *m, const struct stream_record *record)
{
	static int (*const puts[])(sd_bus_message *, const struct report *) = {
		put_packet,       put_name,    put_services, put_manufacturer,
		put_service_data, put_numbers, put_extended,
	};
	struct report p;
	int r = unpack(record, &p);

	if (r >= 0)
		r = sd_bus_message_open_container(m, 'a', "{sv}");
	for (size_t i = 0; i < ARRAY_SIZE(puts) && r >= 0; i++)
		r = puts[i](m, &p);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

/* --- JSON --- */

static struct json_object *hex(const uint8_t *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * REPORT_PART_MAX + 1];

	for (size_t i = 0; i < len; i++) {
		text[2 * i] = digits[data[i] >> 4];
		text[2 * i + 1] = digits[data[i] & 0xf];
	}
	return json_object_new_string_len(text, (int)(2 * len));
}

static void add(struct json_object *o, const char *key, struct json_object *value)
{
	if (value)
		(void)json_object_object_add(o, key, value); /* no memory: the key is missing */
}

static void json_lists(struct json_object *o, const struct report *p)
{
	struct ad_uuid_iter uuids = ad_uuid_iter(fields(p));
	struct json_object *services = NULL;
	struct met seen = {.n = 0};
	char text[UUID_STR_MAX];
	struct uuid uuid;

	while (ad_uuid_next(&uuids, &uuid)) {
		if (!services)
			services = json_object_new_array();
		if (services && !met(&seen, &uuid))
			(void)json_object_array_add(
				services, json_object_new_string(uuid_format(&uuid, text)));
	}
	add(o, "services", services);
}

static void json_dicts(struct json_object *o, const struct report *p)
{
	struct json_object *manufacturer = NULL, *service_data = NULL;
	struct ad_iter it = fields(p);
	char text[UUID_STR_MAX];
	const uint8_t *data;
	struct uuid uuid;
	uint16_t company;
	size_t len;

	while (ad_manufacturer_next(&it, &company, &data, &len)) {
		if (!manufacturer)
			manufacturer = json_object_new_object();
		(void)snprintf(text, sizeof(text), "%u", company);
		if (manufacturer && !json_object_object_get_ex(manufacturer, text, NULL))
			add(manufacturer, text, hex(data, len));
	}
	it = fields(p);
	while (ad_service_data_next(&it, &uuid, &data, &len)) {
		if (!service_data)
			service_data = json_object_new_object();
		if (service_data &&
		    !json_object_object_get_ex(service_data, uuid_format(&uuid, text), NULL))
			add(service_data, text, hex(data, len));
	}
	add(o, "manufacturer", manufacturer);
	add(o, "service_data", service_data);
}

static void json_packet(struct json_object *o, const struct report *p)
{
	char address[ADDR_STR_MAX];

	add(o, "seq", json_object_new_uint64(p->seq));
	add(o, "time_us", json_object_new_uint64(p->time_us));
	add(o, "address", json_object_new_string(addr_format(&p->addr, address)));
	add(o, "address_type", json_object_new_string(addr_type_name(p->addr.type)));
	add(o, "event_type", json_object_new_string(event_name(p->event)));
	add(o, "connectable", json_object_new_boolean(p->flags & FLAG_CONNECTABLE));
	add(o, "scannable", json_object_new_boolean(!!(p->flags & FLAG_SCANNABLE)));
	if (p->rssi != SCAN_RSSI_NONE)
		add(o, "rssi", json_object_new_int(p->rssi));
	add(o, "adv_data", hex(p->adv, p->adv_len));
	if (p->rsp)
		add(o, "resp_data", hex(p->rsp, p->rsp_len));
}

static void json_rest(struct json_object *o, const struct report *p)
{
	char text[AD_TEXT_SIZE(AD_VALUE_MAX)];
	uint16_t appearance;
	struct ad_field f;
	uint8_t flags;
	int8_t tx;

	if (ad_name(fields(p), &f)) {
		(void)ad_text(f.data, f.len, text, sizeof(text));
		add(o, "name", json_object_new_string(text));
	}
	json_lists(o, p);
	json_dicts(o, p);
	if (ad_appearance(fields(p), &appearance))
		add(o, "appearance", json_object_new_int(appearance));
	if (tx_power(p, &tx))
		add(o, "tx_power", json_object_new_int(tx));
	if (ad_flags(fields(p), &flags))
		add(o, "flags", json_object_new_int(flags));
	if (phy_name(p->primary_phy))
		add(o, "primary_phy", json_object_new_string(phy_name(p->primary_phy)));
	if (phy_name(p->secondary_phy))
		add(o, "secondary_phy", json_object_new_string(phy_name(p->secondary_phy)));
	if (p->sid != NO_SID)
		add(o, "sid", json_object_new_int(p->sid));
}

struct stream_record *report_json(const struct stream_record *record)
{
	struct stream_record *r = NULL;
	struct json_object *o;
	struct report p;
	const char *text;
	size_t len;

	if (unpack(record, &p) < 0)
		return NULL;
	o = json_object_new_object();
	if (!o)
		return NULL;
	json_packet(o, &p);
	json_rest(o, &p);
	text = json_object_to_json_string_length(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &len);
	if (text)
		r = malloc(sizeof(*r) + len);
	if (r) {
		*r = *record;
		list_init(&r->link);
		r->type = STREAM_JSON;
		r->len = len;
		memcpy(r->data, text, len);
	}
	json_object_put(o);
	return r;
}
