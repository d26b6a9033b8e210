/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "radio_bed.h"

#include "../unit/test.h"

static json_object *last_answer;

void bed_setup(struct radio_bed *b)
{
	assert_int_equal(loop_new_virtual(&b->loop), 0);
	assert_int_equal(air_new(b->loop, 7, &b->air), 0);
	assert_int_equal(scene_new(b->air, NULL, 7, &b->scene), 0);
}

void bed_teardown(struct radio_bed *b)
{
	last_answer = json_put(last_answer);
	b->scene = scene_free(b->scene);
	b->air = air_free(b->air);
	b->loop = loop_free(b->loop);
}

/* --- hosts --- */

static void on_packet(struct controller *ctl, const uint8_t *pkt, size_t len)
{
	struct bed_host *h = ctl->data;

	assert_true(h->n < BED_PACKETS_MAX);
	h->lens[h->n] = len;
	memcpy(h->packets[h->n++], pkt, MIN(len, sizeof(h->packets[0])));
}

static const struct controller_ops host_ops = {.packet = on_packet};

void bed_host_new(struct radio_bed *b, const char *name, struct bed_host *h)
{
	static uint8_t number;
	struct addr addr = {.b = {++number, 0, 0, 0x1b, 0xaa, 0}};
	struct profile profile;

	assert_int_equal(profile_parse("5.2", &profile), 0);
	*h = (struct bed_host){0};
	assert_int_equal(controller_new(b->air, name, &profile, &addr, &host_ops, h, &h->ctl), 0);
}

void bed_host_free(struct bed_host *h)
{
	h->ctl = controller_free(h->ctl);
}

/* --- ears --- */

static bool ear_hears(struct air_listener *l, const struct air_pdu *pdu)
{
	return container_of(l, struct bed_ear, listener)->channel == pdu->channel;
}

static void ear_heard(struct air_listener *l, const struct air_pdu *pdu)
{
	struct bed_ear *ear = container_of(l, struct bed_ear, listener);
	struct bed_heard *h = &ear->heard[ear->n];

	if (ear->n == BED_HEARD_MAX) {
		ear->missed++;
		return;
	}
	h->start_us = pdu->start_us;
	h->from = pdu->from;
	h->channel = pdu->channel;
	h->rssi_dbm = pdu->rssi_dbm;
	h->len = pdu->len;
	memcpy(h->data, pdu->data, pdu->len);
	ear->n++;
}

void bed_ear_new(struct radio_bed *b, const char *name, uint8_t channel, struct bed_ear *ear)
{
	radio_init(&ear->radio, b->air, name);
	ear->listener = (struct air_listener){.hears = ear_hears, .heard = ear_heard};
	ear->channel = channel;
	ear->n = ear->missed = 0;
	air_listen(&ear->radio, &ear->listener);
}

void bed_ear_free(struct bed_ear *ear)
{
	air_unlisten(&ear->listener);
	radio_deinit(&ear->radio);
}

/* --- commands --- */

json_object *bed_parse(const char *text)
{
	char *copy = strdup(text);
	json_object *o = NULL;
	const char *why = "it ends too early";
	size_t used;

	assert_non_null(copy);
	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	if (json_read(copy, strlen(copy), &o, &used, &why) < 0)
		fail_msg("%s: %s", text, why);
	free(copy);
	return o;
}

static json_object *answer_to(struct radio_bed *b, const char *text)
{
	json_object *cmd = bed_parse(text);

	json_put(last_answer);
	last_answer = command_answer(b->scene, cmd);
	json_put(cmd);
	assert_non_null(last_answer);
	return last_answer;
}

json_object *bed_do(struct radio_bed *b, const char *text)
{
	json_object *answer = answer_to(b, text);

	if (!keys_bool(answer, "ok", false))
		fail_msg("%s: %s", text, json_object_to_json_string(answer));
	return answer;
}

const char *bed_refused(struct radio_bed *b, const char *text, const char *where)
{
	json_object *answer = answer_to(b, text);

	if (!keys_has(answer, "error") || strcmp(keys_str(answer, "where", "?"), where) != 0)
		fail_msg("%s: %s", text, json_object_to_json_string(answer));
	return keys_str(answer, "error", "");
}

size_t bed_pass(struct radio_bed *b, struct radio *from, struct radio *to, uint32_t access_addr,
                uint8_t channel, const void *pdu, size_t len, struct air_pdu *ret)
{
	struct air_pdu p = {
		.start_us = air_now_us(b->air),
		.from = from,
		.access_addr = access_addr,
		.channel = channel,
		.phy = PHY_1M,
		.data = pdu,
		.len = len,
	};

	return air_pass(b->air, &p, to, ret, NULL) ? ret->len : 0;
}
