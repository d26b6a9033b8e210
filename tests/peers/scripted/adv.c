/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * See adv.h. Parameters are set once, data and address before every switching on that changes them.
 * Everything goes through the controller's command queue, which keeps the order; the next round
 * starts when that queue is empty.
 */
#include "adv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"
#include "gatt.h"

enum {
	ROUND_COMMANDS = 6, /* the most that one report takes */
};

static void command_u8(struct adv *a, uint16_t opcode, uint8_t value)
{
	hci_command(a->hci, opcode, &value, 1);
}

static void send_enable(struct adv *a, bool on)
{
	uint8_t params[6] = {on, 1};

	if (a->extended_commands)
		hci_command(a->hci, 0x2039, params, sizeof(params));
	else
		command_u8(a, 0x200a, on);
}

static void send_extended_params(struct adv *a)
{
	static const uint16_t legacy[] = {0x13, 0x1d, 0x12, 0x10},
			      extended[] = {0x01, 0x05, 0x02, 0x00};
	uint8_t params[25] = {0};
	struct wr w = wr_init(params, sizeof(params));

	wr_u8(&w, 0);
	wr_le16(&w, a->extended_pdu ? extended[a->kind] : legacy[a->kind]);
	wr_bytes(&w, "\xa0\0\0\xa0\0\0\x07", 7); /* 100 ms, all channels */
	wr_u8(&w, a->random);
	(void)wr_space(&w, 8); /* peer and filter policy */
	wr_bytes(&w, "\x7f\x01\0\x01\0\0", 6);
	hci_command(a->hci, 0x2036, params, wr_len(&w));
}

static void send_params(struct adv *a)
{
	uint8_t params[15] = {0xa0, 0, 0xa0, 0, a->kind, a->random};

	if (a->extended_commands) {
		send_extended_params(a);
		return;
	}
	params[13] = 0x07;
	hci_command(a->hci, 0x2006, params, sizeof(params));
}

static void send_address(struct adv *a)
{
	uint8_t params[7] = {0};
	uint32_t low;
	unsigned int n = a->addresses ? a->seq % a->addresses : 0;

	memcpy(params + 1, a->address, 6);
	low = (a->address[0] | a->address[1] << 8) + n;
	params[1] = low & 0xff;
	params[2] = low >> 8 & 0xff;
	if (a->extended_commands)
		hci_command(a->hci, 0x2035, params, 7);
	else
		hci_command(a->hci, 0x2005, params + 1, 6);
}

static void send_payload(struct adv *a, const char *text, bool response)
{
	struct template_env env = {.seq = a->seq};
	uint8_t params[4 + 251] = {0, 3, 1};
	size_t len = 0;

	if (template_fill(text, &env, params + 4, sizeof(params) - 4, &len) < 0)
		return; /* checked when it was set */
	params[3] = len;
	if (a->extended_commands)
		hci_command(a->hci, response ? 0x2038 : 0x2037, params, 4 + len);
	else
		hci_command(a->hci, response ? 0x2009 : 0x2008, params + 3, 32);
}

static bool changes(const struct adv *a)
{
	return !a->set_up || a->addresses > 1 || strchr(a->data, '{') || strchr(a->response, '{');
}

static void advertise_once(struct adv *a)
{
	if (a->seq || a->set_up)
		send_enable(a, false);
	if (!a->set_up)
		send_params(a);
	if (changes(a)) {
		if (a->random)
			send_address(a);
		send_payload(a, a->data, false);
		if (a->kind != ADV_NONCONN)
			send_payload(a, a->response, true);
	}
	send_enable(a, true);
	a->set_up = true;
	a->seq++;
}

static bool finished(const struct adv *a)
{
	return !a->wanted || (a->linked && !a->always) || (a->count && a->seq >= a->count);
}

void adv_idle(struct adv *a)
{
	uint64_t now = clock_us();

	if (finished(a) || (a->set_up && !a->period_us))
		return;
	if (hci_busy(a->hci) && hci_command_room(a->hci) < ROUND_COMMANDS)
		return;
	if (now < a->next_us) {
		timer_start_at(&a->timer, a->next_us);
		return;
	}
	a->next_us = now - a->next_us > 1000000 ? now + a->period_us : a->next_us + a->period_us;
	advertise_once(a);
	adv_idle(a);
}

static void on_timer(struct timer *t)
{
	adv_idle(container_of(t, struct adv, timer));
}

void adv_link(struct adv *a, bool linked)
{
	a->linked = linked;
	if (a->always)
		return;
	timer_stop(&a->timer);
	if (linked || !a->wanted)
		return;
	a->set_up = false;
	adv_idle(a);
}

void adv_init(struct adv *a, struct hci *hci, struct loop *loop)
{
	*a = (struct adv){.hci = hci, .loop = loop};
	timer_init(&a->timer, loop, on_timer);
}

void adv_deinit(struct adv *a)
{
	timer_stop(&a->timer);
	free(a->data);
	free(a->response);
}

/* --- from JSON --- */

static int take_template(struct json_object *spec, const char *key, const char *otherwise,
                         size_t max, char **text)
{
	struct template_env env = {0};
	struct json_object *v;
	uint8_t bytes[251];
	size_t len;
	const char *s =
		json_object_object_get_ex(spec, key, &v) ? json_object_get_string(v) : otherwise;

	if (template_fill(s, &env, bytes, max, &len) < 0)
		return -EINVAL;
	free(*text);
	*text = strdup(s);
	return *text ? 0 : -ENOMEM;
}

static int64_t take_int(struct json_object *spec, const char *key, int64_t otherwise)
{
	struct json_object *v;

	return json_object_object_get_ex(spec, key, &v) ? json_object_get_int64(v) : otherwise;
}

int address_parse(const char *text, uint8_t *ret)
{
	char digits[13] = "";
	uint8_t bytes[6];
	size_t len = 0;

	for (; *text && len < 12; text++)
		if (*text != ':')
			digits[len++] = *text;
	if (hex_parse(digits, bytes, sizeof(bytes), &len) < 0 || len != 6)
		return -EINVAL;
	for (int i = 0; i < 6; i++)
		ret[i] = bytes[5 - i];
	return 0;
}

/* "C0:11:22:33:44:55", or "public" for the controller's own */
static int take_address(struct adv *a, struct json_object *spec)
{
	struct json_object *v;

	a->random = false;
	if (!json_object_object_get_ex(spec, "address", &v) ||
	    !strcmp(json_object_get_string(v), "public"))
		return 0;
	a->random = true;
	return address_parse(json_object_get_string(v), a->address);
}

static enum adv_kind take_kind(struct json_object *spec)
{
	static const char *const names[] = {"ind", "direct", "scan", "nonconn"};
	struct json_object *v;

	if (json_object_object_get_ex(spec, "kind", &v))
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (!strcmp(names[i], json_object_get_string(v)))
				return i;
	return ADV_IND;
}

int adv_apply(struct adv *a, struct json_object *spec)
{
	bool was_on = a->set_up;
	size_t max;

	timer_stop(&a->timer);
	a->wanted = false;
	if (was_on)
		send_enable(a, false);
	a->set_up = false;
	a->seq = 0;
	if (!json_object_is_type(spec, json_type_object))
		return 0;
	a->extended_commands = take_int(spec, "extended_commands", a->extended_commands);
	a->extended_pdu = a->extended_commands && take_int(spec, "extended", 0);
	max = a->extended_pdu ? 251 : 31;
	if (take_template(spec, "data", "020106 09095363726970746564", max, &a->data) < 0 ||
	    take_template(spec, "response", "", max, &a->response) < 0 || take_address(a, spec) < 0)
		return -EINVAL;
	a->kind = take_kind(spec);
	a->addresses = take_int(spec, "addresses", 1);
	a->always = take_int(spec, "always", 0);
	a->count = take_int(spec, "count", 0);
	a->period_us = take_int(spec, "interval_ms", 500) * 1000;
	if (take_int(spec, "per_s", 0))
		a->period_us = 1000000 / take_int(spec, "per_s", 0);
	a->next_us = loop_now_us(a->loop);
	a->wanted = true;
	adv_idle(a);
	return 0;
}
