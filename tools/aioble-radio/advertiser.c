/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Advertising events. The timer always stands for the next thing this advertiser does; a callback may stop or restart the
 * advertiser, so after each one the event goes on only if nothing has changed.
 */
#include "advertiser.h"

#include <errno.h>
#include <stdlib.h>

#include "aiobled/cleanup.h"

enum {
	STEP_AUX = 3, /* AUX_ADV_IND */
	STEP_CHAIN,   /* AUX_CHAIN_IND */
	STEP_END,     /* the duration is over */
};

/* Time left for an answer before the next PDU: the longest is CONNECT_IND, 352 us. */
#define ANSWER_US      (PHY_T_IFS_US + 352 + 48)
#define PRIMARY_GAP_US PHY_T_IFS_US
#define CHAIN_GAP_US   PHY_T_MAFS_US

static struct air *air_of(const struct advertiser *adv)
{
	return adv->radio->air;
}

static bool is_legacy(const struct advertiser *adv)
{
	return adv->props & ADV_LEGACY;
}

static bool takes_answers(const struct advertiser *adv)
{
	return adv->props & (ADV_CONNECTABLE | ADV_SCANNABLE);
}

/* Extended advertising without data needs no auxiliary PDU (2.3.1.7). */
static bool wants_aux(const struct advertiser *adv)
{
	return !is_legacy(adv) &&
	       (adv->adv_len || takes_answers(adv) || (adv->props & ADV_ANONYMOUS));
}

static enum pdu_mode mode_of(const struct advertiser *adv)
{
	if (adv->props & ADV_CONNECTABLE)
		return PDU_MODE_CONNECTABLE;
	return adv->props & ADV_SCANNABLE ? PDU_MODE_SCANNABLE : PDU_MODE_NONE;
}

static struct air_pdu pdu_of(const struct advertiser *adv, uint8_t channel, uint8_t phy,
                             uint64_t start_us, const uint8_t *data, size_t len)
{
	return (struct air_pdu){
		.start_us = start_us,
		.from = adv->radio,
		.access_addr = PDU_ADV_ADDRESS,
		.channel = channel,
		.phy = phy,
		.tx_dbm = adv->tx_dbm,
		.data = data,
		.len = len,
	};
}

/* --- what is sent --- */

static enum pdu_type legacy_type(const struct advertiser *adv)
{
	if (adv->props & ADV_DIRECTED)
		return PDU_ADV_DIRECT_IND;
	if (adv->props & ADV_CONNECTABLE)
		return PDU_ADV_IND;
	return adv->props & ADV_SCANNABLE ? PDU_ADV_SCAN_IND : PDU_ADV_NONCONN_IND;
}

static size_t put_legacy(const struct advertiser *adv, uint8_t buf[PDU_MAX])
{
	enum pdu_type type = legacy_type(adv);
	size_t len;

	if (type == PDU_ADV_DIRECT_IND)
		len = pdu_put_pair(buf, type, &adv->addr, &adv->target, NULL, 0);
	else
		len = pdu_put_legacy(buf, type, &adv->addr, adv->adv_data, adv->adv_len);
	if (adv->channel_sel_2 && (adv->props & ADV_CONNECTABLE))
		buf[0] |= PDU_CH_SEL;
	return len;
}

static size_t put_ext_ind(const struct advertiser *adv, uint8_t buf[PDU_MAX], uint64_t start_us)
{
	struct pdu_ext e = {
		.mode = mode_of(adv),
		.has_adv_a = !adv->with_aux,
		.has_target_a = !adv->with_aux && (adv->props & ADV_DIRECTED),
		.has_adi = adv->with_aux,
		.has_aux = adv->with_aux,
		.has_tx = adv->props & ADV_WITH_TX_POWER,
		.adv_a = adv->addr,
		.target_a = adv->target,
		.did = adv->did,
		.sid = adv->sid,
		.aux_channel = adv->aux_channel,
		.aux_phy = adv->secondary_phy,
		.aux_offset_us = (uint32_t)(adv->aux_us - start_us),
		.tx_dbm = adv->tx_dbm,
	};

	return pdu_put_ext(buf, PDU_EXT, &e);
}

/*
 * As much of @data from chain_at on as fits, with an AuxPtr to an AUX_CHAIN_IND when some is left. The offset of that PDU
 * hangs on this one's length, which does not hang on the offset: put twice.
 */
static size_t put_part(struct advertiser *adv, uint8_t buf[PDU_MAX], struct pdu_ext *e,
                       const uint8_t *data, size_t len, uint32_t *ret_offset_us)
{
	size_t left = len > adv->chain_at ? len - adv->chain_at : 0;
	size_t n;

	e->has_aux = left > pdu_ext_room(e);
	e->aux_phy = adv->secondary_phy;
	e->aux_channel = adv->aux_channel;
	e->data = left ? data + adv->chain_at : NULL;
	e->len = e->has_aux ? pdu_ext_room(e) : left;
	n = pdu_put_ext(buf, PDU_EXT, e);
	*ret_offset_us = phy_air_time_us(adv->secondary_phy, n) + CHAIN_GAP_US;
	e->aux_offset_us = *ret_offset_us;
	adv->chain_at = (uint16_t)(adv->chain_at + e->len);
	return e->has_aux ? pdu_put_ext(buf, PDU_EXT, e) : n;
}

/* --- steps --- */

/* Did a callback stop or restart the advertiser? Then this event is none of ours any more. */
static bool superseded(const struct advertiser *adv)
{
	return !adv->on || adv->timer.armed;
}

static void step_at(struct advertiser *adv, uint8_t step, uint64_t at_us)
{
	adv->step = step;
	air_timer_start_at(&adv->timer, at_us);
}

static void end(struct advertiser *adv, enum adv_end why)
{
	advertiser_stop(adv);
	if (adv->ops && adv->ops->ended)
		adv->ops->ended(adv, why);
}

static uint64_t next_event_us(const struct advertiser *adv)
{
	if (adv->props & ADV_HIGH_DUTY)
		return adv->event_us + ADV_HIGH_DUTY_US;
	return adv->event_us + adv->interval_us + air_rand_below(air_of(adv), ADV_DELAY_MAX_US + 1);
}

static void event_over(struct advertiser *adv)
{
	uint64_t next, until = adv->started_us + adv->duration_us;

	adv->events++;
	if (adv->max_events && adv->events >= adv->max_events) {
		end(adv, ADV_END_EVENTS);
		return;
	}
	next = MAX(next_event_us(adv), air_now_us(air_of(adv)));
	if (adv->duration_us && next >= until)
		step_at(adv, STEP_END, until);
	else
		step_at(adv, 0, next);
}

/* The primary channel in use from @step on, or 3 */
static uint8_t next_primary(const struct advertiser *adv, uint8_t step)
{
	while (step < 3 && !(adv->channels >> step & 1))
		step++;
	return step;
}

static void primary_done(struct advertiser *adv, uint64_t at_us)
{
	uint8_t step = next_primary(adv, adv->step + 1);

	if (step < 3)
		step_at(adv, step, at_us);
	else if (adv->with_aux)
		step_at(adv, STEP_AUX, MAX(adv->aux_us, at_us));
	else
		event_over(adv);
}

/* --- answers --- */

static bool is_for_us(const struct advertiser *adv, const struct air_pdu *answer,
                      struct pdu_legacy *ret)
{
	return pdu_parse_legacy(answer->data, answer->len, ret) == 0 &&
	       (ret->type == PDU_SCAN_REQ || ret->type == PDU_CONNECT_IND) &&
	       addr_equal(&ret->second, &adv->addr);
}

static bool may_scan(struct advertiser *adv, const struct pdu_legacy *req)
{
	return req->type == PDU_SCAN_REQ && (adv->props & ADV_SCANNABLE) &&
	       (!adv->ops || !adv->ops->allows_scan || adv->ops->allows_scan(adv, &req->first));
}

static bool may_connect(struct advertiser *adv, const struct pdu_legacy *req)
{
	return req->type == PDU_CONNECT_IND && (adv->props & ADV_CONNECTABLE) && adv->ops &&
	       adv->ops->connect &&
	       (!adv->ops->allows_connect || adv->ops->allows_connect(adv, &req->first));
}

static void tell_scanned(struct advertiser *adv, const struct pdu_legacy *req)
{
	if (adv->ops && adv->ops->scanned)
		adv->ops->scanned(adv, &req->first);
}

/* Return: when the exchange is over */
static uint64_t send_scan_rsp(struct advertiser *adv, const struct air_pdu *req)
{
	uint8_t buf[PDU_MAX];
	size_t len = pdu_put_legacy(buf, PDU_SCAN_RSP, &adv->addr, adv->rsp_data, adv->rsp_len);
	struct air_pdu rsp =
		pdu_of(adv, req->channel, req->phy, air_pdu_end_us(req) + PHY_T_IFS_US, buf, len);

	(void)air_broadcast(air_of(adv), &rsp, NULL);
	return air_pdu_end_us(&rsp);
}

static void legacy_step(struct advertiser *adv)
{
	uint8_t buf[PDU_MAX];
	size_t len = put_legacy(adv, buf);
	struct air_pdu pdu = pdu_of(adv, PHY_PRIMARY_FIRST + adv->step, PHY_1M,
	                            air_now_us(air_of(adv)), buf, len);
	struct air_pdu answer;
	struct pdu_legacy req;
	uint64_t over_us = air_pdu_end_us(&pdu) + (takes_answers(adv) ? ANSWER_US : 0);

	if (air_broadcast(air_of(adv), &pdu, takes_answers(adv) ? &answer : NULL) &&
	    is_for_us(adv, &answer, &req)) {
		if (may_connect(adv, &req) && adv->ops->connect(adv, &answer))
			return;
		if (may_scan(adv, &req)) {
			over_us = send_scan_rsp(adv, &answer);
			tell_scanned(adv, &req);
		}
		if (superseded(adv))
			return;
	}
	primary_done(adv, over_us + PRIMARY_GAP_US);
}

/* --- extended --- */

/* When the auxiliary PDU comes, so that every primary PDU can point to it. */
static void plan_aux(struct advertiser *adv)
{
	uint8_t buf[PDU_MAX];
	uint32_t n = 0;
	uint32_t each = phy_air_time_us(adv->primary_phy, put_ext_ind(adv, buf, adv->event_us));

	for (uint8_t step = 0; step < 3; step++)
		n += adv->channels >> step & 1;
	adv->aux_us = adv->event_us + n * (each + PRIMARY_GAP_US) + PHY_T_MAFS_US;
	adv->aux_channel = (uint8_t)air_rand_below(air_of(adv), PHY_DATA_CHANNELS);
}

static void ext_step(struct advertiser *adv)
{
	uint64_t now = air_now_us(air_of(adv));
	uint8_t buf[PDU_MAX];
	size_t len = put_ext_ind(adv, buf, now);
	struct air_pdu pdu =
		pdu_of(adv, PHY_PRIMARY_FIRST + adv->step, adv->primary_phy, now, buf, len);

	(void)air_broadcast(air_of(adv), &pdu, NULL);
	primary_done(adv, air_pdu_end_us(&pdu) + PRIMARY_GAP_US);
}

/* After a PDU that carried data: the rest of it, or the end of the event. */
static void chain_on(struct advertiser *adv, const struct pdu_ext *sent, uint64_t start_us,
                     uint32_t offset_us)
{
	if (sent->has_aux)
		step_at(adv, STEP_CHAIN, start_us + offset_us);
	else
		event_over(adv);
}

static void chain_step(struct advertiser *adv)
{
	const uint8_t *data = adv->chain_of_rsp ? adv->rsp_data : adv->adv_data;
	size_t len = adv->chain_of_rsp ? adv->rsp_len : adv->adv_len;
	struct pdu_ext e = {.has_adi = true, .did = adv->did, .sid = adv->sid};
	uint64_t now = air_now_us(air_of(adv));
	uint8_t channel = adv->aux_channel;
	uint8_t buf[PDU_MAX];
	uint32_t offset_us;
	struct air_pdu pdu;
	size_t n;

	adv->aux_channel = (uint8_t)air_rand_below(air_of(adv), PHY_DATA_CHANNELS);
	n = put_part(adv, buf, &e, data, len, &offset_us);
	pdu = pdu_of(adv, channel, adv->secondary_phy, now, buf, n);
	(void)air_broadcast(air_of(adv), &pdu, NULL);
	chain_on(adv, &e, now, offset_us);
}

/* AUX_SCAN_RSP, the first part of the response */
static void send_aux_scan_rsp(struct advertiser *adv, const struct air_pdu *req)
{
	struct pdu_ext e = {.has_adv_a = true,
	                    .adv_a = adv->addr,
	                    .has_adi = true,
	                    .did = adv->did,
	                    .sid = adv->sid};
	uint8_t buf[PDU_MAX];
	uint32_t offset_us;
	struct air_pdu pdu;
	size_t n;

	adv->chain_at = 0;
	adv->chain_of_rsp = true;
	adv->aux_channel = (uint8_t)air_rand_below(air_of(adv), PHY_DATA_CHANNELS);
	n = put_part(adv, buf, &e, adv->rsp_data, adv->rsp_len, &offset_us);
	pdu = pdu_of(adv, req->channel, req->phy, air_pdu_end_us(req) + PHY_T_IFS_US, buf, n);
	(void)air_broadcast(air_of(adv), &pdu, NULL);
	chain_on(adv, &e, pdu.start_us, offset_us);
}

static void aux_answered(struct advertiser *adv, const struct air_pdu *answer)
{
	struct pdu_legacy req;

	if (!is_for_us(adv, answer, &req)) {
		event_over(adv);
		return;
	}
	if (may_connect(adv, &req) && adv->ops->connect(adv, answer))
		return;
	if (may_scan(adv, &req)) {
		tell_scanned(adv, &req);
		if (!superseded(adv))
			send_aux_scan_rsp(adv, answer);
	} else if (!superseded(adv)) {
		event_over(adv);
	}
}

static void aux_step(struct advertiser *adv)
{
	struct pdu_ext e = {
		.mode = mode_of(adv),
		.has_adv_a = !(adv->props & ADV_ANONYMOUS),
		.has_target_a = adv->props & ADV_DIRECTED,
		.has_adi = true,
		.has_tx = adv->props & ADV_WITH_TX_POWER,
		.adv_a = adv->addr,
		.target_a = adv->target,
		.did = adv->did,
		.sid = adv->sid,
		.tx_dbm = adv->tx_dbm,
	};
	uint64_t now = air_now_us(air_of(adv));
	uint8_t channel = adv->aux_channel;
	struct air_pdu pdu, answer;
	uint8_t buf[PDU_MAX];
	uint32_t offset_us;
	size_t n;

	adv->chain_at = 0;
	adv->chain_of_rsp = false;
	adv->aux_channel = (uint8_t)air_rand_below(air_of(adv), PHY_DATA_CHANNELS);
	n = put_part(adv, buf, &e, adv->adv_data, adv->adv_len, &offset_us);
	pdu = pdu_of(adv, channel, adv->secondary_phy, now, buf, n);
	if (air_broadcast(air_of(adv), &pdu, takes_answers(adv) ? &answer : NULL))
		aux_answered(adv, &answer);
	else
		chain_on(adv, &e, now, offset_us);
}

/* --- life --- */

static void event_begins(struct advertiser *adv)
{
	adv->event_us = air_now_us(air_of(adv));
	if (adv->ops && adv->ops->refresh)
		adv->ops->refresh(adv);
	adv->with_aux = wants_aux(adv);
	if (adv->with_aux)
		plan_aux(adv);
}

static void on_timer(struct air_timer *t)
{
	struct advertiser *adv = container_of(t, struct advertiser, timer);

	switch (adv->step) {
	case STEP_AUX:
		aux_step(adv);
		return;
	case STEP_CHAIN:
		chain_step(adv);
		return;
	case STEP_END:
		end(adv, ADV_END_DURATION);
		return;
	}
	if (adv->step == next_primary(adv, 0))
		event_begins(adv);
	if (is_legacy(adv))
		legacy_step(adv);
	else
		ext_step(adv);
}

void advertiser_init(struct advertiser *adv, struct radio *radio, const struct advertiser_ops *ops,
                     void *data)
{
	*adv = (struct advertiser){
		.radio = radio,
		.ops = ops,
		.data = data,
		.channels = 0x07,
		.primary_phy = PHY_1M,
		.secondary_phy = PHY_1M,
	};
	air_timer_init(&adv->timer, radio->air, on_timer);
}

void advertiser_deinit(struct advertiser *adv)
{
	advertiser_stop(adv);
	free(adv->adv_data);
	free(adv->rsp_data);
	adv->adv_data = adv->rsp_data = NULL;
	adv->adv_len = adv->rsp_len = 0;
}

static int set_bytes(uint8_t **to, uint16_t *to_len, const uint8_t *data, size_t len)
{
	uint8_t *copy = NULL;

	if (len > ADV_DATA_MAX)
		return -EMSGSIZE;
	if (len) {
		copy = malloc(len);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, data, len);
	}
	free(*to);
	*to = copy;
	*to_len = (uint16_t)len;
	return 0;
}

/* The DID changes with the data, by a random value (4.4.2.11). */
static void new_did(struct advertiser *adv)
{
	uint16_t old = adv->did;

	while (adv->did == old)
		adv->did = (uint16_t)air_rand_below(air_of(adv), 0x1000);
}

int advertiser_set_data(struct advertiser *adv, const uint8_t *data, size_t len)
{
	int r = set_bytes(&adv->adv_data, &adv->adv_len, data, len);

	if (r == 0)
		new_did(adv);
	return r;
}

int advertiser_set_response(struct advertiser *adv, const uint8_t *data, size_t len)
{
	int r = set_bytes(&adv->rsp_data, &adv->rsp_len, data, len);

	if (r == 0)
		new_did(adv);
	return r;
}

void advertiser_start(struct advertiser *adv)
{
	uint64_t now;

	air_sync(air_of(adv));
	now = air_now_us(air_of(adv));
	adv->on = true;
	adv->events = 0;
	adv->started_us = now;
	step_at(adv, next_primary(adv, 0),
	        now + (adv->props & ADV_HIGH_DUTY
	                       ? 0
	                       : air_rand_below(air_of(adv), ADV_DELAY_MAX_US + 1)));
}

void advertiser_stop(struct advertiser *adv)
{
	adv->on = false;
	air_timer_stop(&adv->timer);
}
