/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encryption of a link (Core 5.4, Vol 6, Part B, 5.1.3): start, and pause for another key. The central begins; its
 * host has the key at hand, the peripheral's is asked for it.
 *
 * Which PDUs carry a MIC changes in the middle, and at different PDUs for each direction: tx_enc and rx_enc are switched
 * exactly where the figures of 5.1.3 have them.
 */
#include "link_priv.h"

#include "aiobled/cleanup.h"

#include "controller.h"

#define PING_PART(us)                                                                              \
	((us)*3 / 4) /* of the authenticated payload timeout: then something must be heard */

bool link_crypt_allows(uint8_t opcode)
{
	switch (opcode) {
	case LL_ENC_REQ:
	case LL_ENC_RSP:
	case LL_START_ENC_REQ:
	case LL_START_ENC_RSP:
	case LL_PAUSE_ENC_REQ:
	case LL_PAUSE_ENC_RSP:
	case LL_REJECT_IND:
	case LL_REJECT_EXT_IND:
	case LL_TERMINATE_IND:
		return true;
	}
	return false;
}

static struct air *air_of(const struct link *l)
{
	return l->ctl->radio.air;
}

/* --- to the host --- */

/* Encryption Change (7.7.8) or, for another key on an encrypted link, Encryption Key Refresh Complete (7.7.39) */
static void tell(struct link *l, uint8_t status)
{
	uint8_t p[5] = {status, l->handle & 0xff, (uint8_t)(l->handle >> 8), status == 0, AES_LEN};

	if (l->refresh)
		controller_event(l->ctl, HCIP_EV_KEY_REFRESH, p, 3);
	else if (l->ctl->event_mask2 >> 25 & 1)
		controller_event(l->ctl, HCIP_EV_ENCRYPTION_CHANGE_V2, p, 5);
	else
		controller_event(l->ctl, HCIP_EV_ENCRYPTION_CHANGE, p, 4);
}

static void ask_ltk(struct link *l)
{
	uint8_t buf[12];
	struct wr w = wr_init(buf, sizeof(buf));

	l->ltk_asked = true;
	wr_le16(&w, l->handle);
	wr_bytes(&w, l->rand, sizeof(l->rand));
	wr_bytes(&w, l->ediv, sizeof(l->ediv));
	if (controller_wants_le(l->ctl, HCIP_LE_LTK_REQUEST))
		controller_le_event(l->ctl, HCIP_LE_LTK_REQUEST, buf, sizeof(buf));
	else
		link_crypt_reply(l, NULL);
}

/* --- keys --- */

static void random_half(struct link *l, bool central)
{
	air_rand_bytes(air_of(l), l->skd + (central ? 0 : 8), 8);
	air_rand_bytes(air_of(l), l->iv + (central ? 0 : 4), 4);
}

static void use_key(struct link *l)
{
	ccm_init(&l->ccm, l->ltk, l->skd, l->iv);
	l->tx_count = l->rx_count = 0;
}

static void secured(struct link *l)
{
	l->paused = false;
	tell(l, 0);
	l->encrypted = true;
	l->auth_us = air_now_us(air_of(l));
	link_auth_arm(l);
	link_kick(l);
}

/* --- central --- */

/* LL_ENC_REQ (2.4.2.4): Rand 8, EDIV 2, SKD 8, IV 4 */
static void send_enc_req(struct link *l)
{
	uint8_t buf[22];
	struct wr w = wr_init(buf, sizeof(buf));

	random_half(l, true);
	wr_bytes(&w, l->rand, sizeof(l->rand));
	wr_bytes(&w, l->ediv, sizeof(l->ediv));
	wr_bytes(&w, l->skd, 8);
	wr_bytes(&w, l->iv, 4);
	link_put_ctrl(l, LL_ENC_REQ, buf, sizeof(buf));
}

void link_crypt_start(struct link *l)
{
	l->refresh = l->encrypted;
	l->paused = true;
	if (l->refresh)
		link_put_ctrl(l, LL_PAUSE_ENC_REQ, NULL, 0);
	else
		send_enc_req(l);
}

static void on_pause_rsp(struct link *l)
{
	l->tx_enc = l->rx_enc = false;
	link_put_ctrl(l, LL_PAUSE_ENC_RSP, NULL, 0);
	send_enc_req(l);
}

static void on_enc_rsp(struct link *l, struct rd *p)
{
	rd_copy(p, l->skd + 8, 8);
	rd_copy(p, l->iv + 4, 4);
	use_key(l);
}

static void on_start_req(struct link *l)
{
	l->tx_enc = l->rx_enc = true;
	link_put_ctrl(l, LL_START_ENC_RSP, NULL, 0);
}

void link_crypt_rejected(struct link *l, uint8_t reason)
{
	l->paused = false;
	tell(l, reason);
	link_kick(l);
}

static bool central_input(struct link *l, uint8_t opcode, struct rd *p)
{
	if (l->active != PROC_ENC)
		return false;
	switch (opcode) {
	case LL_PAUSE_ENC_RSP:
		on_pause_rsp(l);
		return true;
	case LL_ENC_RSP:
		on_enc_rsp(l, p);
		return true;
	case LL_START_ENC_REQ:
		on_start_req(l);
		return true;
	case LL_START_ENC_RSP:
		secured(l);
		link_proc_done(l);
		return true;
	}
	return false;
}

/* --- peripheral --- */

static void on_pause_req(struct link *l)
{
	l->paused = l->refresh = true;
	l->rx_enc = false; /* what comes next is LL_PAUSE_ENC_RSP, in the clear */
	link_put_ctrl(l, LL_PAUSE_ENC_RSP, NULL, 0);
}

/* LL_ENC_RSP (2.4.2.5): SKD 8, IV 4 */
static void on_enc_req(struct link *l, struct rd *p)
{
	uint8_t buf[12];
	struct wr w = wr_init(buf, sizeof(buf));

	rd_copy(p, l->rand, sizeof(l->rand));
	rd_copy(p, l->ediv, sizeof(l->ediv));
	rd_copy(p, l->skd, 8);
	rd_copy(p, l->iv, 4);
	random_half(l, false);
	wr_bytes(&w, l->skd + 8, 8);
	wr_bytes(&w, l->iv + 4, 4);
	l->paused = true;
	link_put_ctrl(l, LL_ENC_RSP, buf, sizeof(buf));
	ask_ltk(l);
}

void link_crypt_reply(struct link *l, const uint8_t *ltk)
{
	l->ltk_asked = false;
	if (ltk) {
		memcpy(l->ltk, ltk, AES_LEN);
		use_key(l);
		l->rx_enc = true; /* the answer to this comes with a MIC */
		link_put_ctrl(l, LL_START_ENC_REQ, NULL, 0);
	} else if (l->refresh) {
		link_leave(l, HCIP_STATUS_KEY_MISSING); /* 5.1.3.2: not to go on in the clear */
	} else {
		link_reject(l, LL_ENC_REQ, HCIP_STATUS_KEY_MISSING);
		l->paused = false;
	}
}

static bool peripheral_input(struct link *l, uint8_t opcode, struct rd *p)
{
	switch (opcode) {
	case LL_PAUSE_ENC_REQ:
		if (!l->encrypted)
			return false;
		on_pause_req(l);
		return true;
	case LL_PAUSE_ENC_RSP:
		l->tx_enc = false;
		return true;
	case LL_ENC_REQ:
		on_enc_req(l, p);
		return true;
	case LL_START_ENC_RSP:
		l->tx_enc = true;
		link_put_ctrl(l, LL_START_ENC_RSP, NULL, 0);
		secured(l);
		return true;
	}
	return false;
}

/* --- both --- */

static size_t params_len(uint8_t opcode)
{
	return opcode == LL_ENC_REQ ? 22 : opcode == LL_ENC_RSP ? 12 : 0;
}

bool link_crypt_input(struct link *l, uint8_t opcode, const uint8_t *params, size_t len)
{
	struct rd p = rd_init(params, len);

	if (opcode < LL_ENC_REQ || opcode > LL_PAUSE_ENC_RSP || len != params_len(opcode) ||
	    !controller_has(l->ctl, FEATURE_ENCRYPTION))
		return false;
	return l->role == HCIP_ROLE_CENTRAL ? central_input(l, opcode, &p)
	                                    : peripheral_input(l, opcode, &p);
}

/* --- authenticated payload timeout (5.4) --- */

static void on_auth(struct air_timer *t)
{
	struct link *l = container_of(t, struct link, auth);
	uint64_t limit_us = l->auth_10ms * 10000ull, now = air_now_us(air_of(l));
	uint8_t p[] = {l->handle & 0xff, (uint8_t)(l->handle >> 8)};

	if (now >= l->auth_us + limit_us) {
		controller_event(l->ctl, HCIP_EV_AUTH_PAYLOAD_TIMEOUT, p, sizeof(p));
		l->auth_us = now;
	} else if (now >= l->auth_us + PING_PART(limit_us)) {
		link_want(l, PROC_PING);
		air_timer_start_at(t, l->auth_us + limit_us);
		return;
	}
	air_timer_start_at(t, l->auth_us + PING_PART(limit_us));
}

void link_auth_arm(struct link *l)
{
	if (!l->encrypted || !controller_has(l->ctl, FEATURE_PING))
		return;
	l->auth.fn = on_auth;
	air_timer_start_at(&l->auth, l->auth_us + PING_PART(l->auth_10ms * 10000ull));
}
