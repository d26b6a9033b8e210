/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the bearer makes of a PDU: answers to the transaction on the wire, requests of the peer,
 * values. Every handler may call out, and what is called may free the bearer: nothing is touched
 * after that without a look at att->freed.
 */
#include <errno.h>

#include "aiobled/result.h"

#include "att_priv.h"

/* --- MTU --- */

/*
 * Either exchange sets it; after both, the smaller result is what both sides can live with (3.4.2).
 */
static void att_update_mtu(struct att *att)
{
	uint16_t ours = att->mtu_ours ? att->mtu_ours : ATT_MTU_MAX;
	uint16_t theirs = att->mtu_theirs ? att->mtu_theirs : ATT_MTU_MAX;
	uint16_t mtu = MIN(ours, theirs);

	if (mtu == att->mtu)
		return;
	att->mtu = mtu;
	att->wire.mtu = MIN(att->wire.mtu, mtu);
	if (att->events->mtu)
		att->events->mtu(mtu, att->data);
}

static uint16_t mtu_result(uint16_t ours, uint16_t theirs)
{
	return MAX(MIN(ours, theirs), ATT_MTU_DEFAULT);
}

/* --- answers to us --- */

/* The transaction is over; its waiter, if there still is one, learns @res. */
static void wire_end(struct att *att, int res, const uint8_t *pdu, size_t len, uint16_t err_handle)
{
	struct att_req *req = att->wire.req;

	timer_stop(&att->patience);
	att->last_request = att->wire.opcode;
	att->wire.busy = false;
	att->wire.req = NULL;
	if (req) {
		req->rsp = res == 0 ? pdu : NULL;
		req->rsp_len = res == 0 ? len : 0;
		req->err_handle = err_handle;
		req->mtu = att->wire.mtu;
		op_complete(&req->op, res);
	}
	if (!att->freed)
		att_pump(att);
}

/*
 * An answer to a request that is not on the wire. A second answer to the request before, and one
 * more Exchange MTU Response, are faults of peers in the field that harm nobody; anything else
 * stands for the answer we wait for, because a peer that has answered wrongly will not answer
 * again.
 */
static void stray_answer(struct att *att, uint8_t request)
{
	bool harmless = request == ATT_MTU_REQ;

	att->stats.protocol_errors++;
	if (request && request == att->last_request) {
		att->last_request = 0;
		harmless = true;
	}
	if (att->wire.busy && !harmless)
		wire_end(att, -EBADMSG, NULL, 0, 0);
}

static void input_error(struct att *att, const uint8_t *pdu, size_t len)
{
	struct att_error e;

	if (att_parse_error(pdu, len, &e) < 0) {
		att->stats.protocol_errors++;
		if (att->wire.busy)
			wire_end(att, -EBADMSG, NULL, 0, 0);
		return;
	}
	if (att->wire.busy && e.request == att->wire.opcode) {
		att->stats.errors++;
		wire_end(att, RES_ATT(e.code), NULL, 0, e.handle);
		return;
	}
	switch (att_kind(e.request)) {
	case ATT_KIND_REQUEST:
	case ATT_KIND_UNKNOWN:
		stray_answer(att, e.request);
		break;
	case ATT_KIND_INDICATION:
		/* not in the specification, but it will not be confirmed after this */
		att->stats.protocol_errors++;
		if (att->indicated.busy)
			att_indicated_end(att, -EBADMSG);
		break;
	case ATT_KIND_RESPONSE:
	case ATT_KIND_COMMAND:
	case ATT_KIND_NOTIFICATION:
	case ATT_KIND_CONFIRMATION:
		/* nothing that has an answer: it cannot be meant for the request */
		att->stats.protocol_errors++;
		break;
	}
}

/* Counts even when the waiter left: the peer has changed to the new size. */
static int take_mtu(struct att *att, const uint8_t *pdu, size_t len)
{
	uint16_t theirs;

	if (att_parse_mtu(pdu, len, &theirs) < 0) {
		att->stats.protocol_errors++;
		return -EBADMSG;
	}
	att->mtu_ours = mtu_result(att->wire.offer, theirs);
	att_update_mtu(att);
	return 0;
}

/* The request that @opcode answers; 0: none. */
static uint8_t request_of(uint8_t opcode)
{
	return att_response_of(opcode - 1) == opcode ? opcode - 1 : 0;
}

static void input_response(struct att *att, const uint8_t *pdu, size_t len)
{
	int res = 0;

	if (pdu[0] == ATT_ERROR_RSP) {
		input_error(att, pdu, len);
		return;
	}
	if (!att->wire.busy || pdu[0] != att_response_of(att->wire.opcode)) {
		stray_answer(att, request_of(pdu[0]));
		return;
	}
	if (pdu[0] == ATT_MTU_RSP)
		res = take_mtu(att, pdu, len);
	if (!att->freed)
		wire_end(att, res, pdu, len, 0);
}

/* --- the peer's requests --- */

static void answer_mtu(struct att *att, const uint8_t *pdu, size_t len, struct wr *w)
{
	uint16_t theirs;

	if (att_parse_mtu(pdu, len, &theirs) < 0) {
		att->stats.protocol_errors++;
		att_put_error(w, pdu[0], 0, ATT_ERR_INVALID_PDU);
		return;
	}
	att_put_mtu_rsp(w, att->rx_mtu);
	att->mtu_theirs = mtu_result(att->rx_mtu, theirs);
}

/* What the peer is answered to its request; false: that comes later, by att_answer(). */
static bool answer_now(struct att *att, const uint8_t *pdu, size_t len, bool truncated,
                       struct wr *w)
{
	if (truncated)
		att_put_error(w, pdu[0], 0, ATT_ERR_INVALID_PDU);
	else if (att_kind(pdu[0]) != ATT_KIND_REQUEST)
		att_put_error(w, pdu[0], 0, ATT_ERR_NOT_SUPPORTED);
	else if (pdu[0] == ATT_MTU_REQ)
		answer_mtu(att, pdu, len, w);
	else
		return att->server->request(pdu, len, w, att->server_data);
	return true;
}

static void input_request(struct att *att, const uint8_t *pdu, size_t len, bool truncated)
{
	uint8_t rsp[ATT_MTU_MAX];
	struct wr w = wr_init(rsp, att->mtu);
	bool now;

	if (att->answer.owed || att->answer.len) {
		/* it did not wait for the answer to the one before (3.3.2) */
		att->stats.protocol_errors++;
		return;
	}
	att->answer.owed = true;
	att->answer.request = pdu[0];
	now = answer_now(att, pdu, len, truncated, &w);
	if (att->freed)
		return;
	if (now && att->answer.owed)
		(void)att_set_answer(att, rsp, wr_ok(&w) ? wr_len(&w) : 0);
	att_pump(att);
	/* from the response on, not before */
	if (pdu[0] == ATT_MTU_REQ)
		att_update_mtu(att);
}

static void input_command(struct att *att, const uint8_t *pdu, size_t len)
{
	if (att->server->command && (pdu[0] == ATT_WRITE_CMD || pdu[0] == ATT_SIGNED_WRITE_CMD))
		att->server->command(pdu, len, att->server_data);
}

/* One that is malformed or cut off stands for the right one: there will be no other. */
static void input_confirmation(struct att *att, int malformed)
{
	if (!att->indicated.busy || malformed)
		att->stats.protocol_errors++;
	if (att->indicated.busy)
		att_indicated_end(att, malformed);
}

/* --- values --- */

static void tell_value(struct att *att, const struct att_value *v, bool indication)
{
	if (v->handle == 0)
		att->stats.protocol_errors++;
	else
		att->events->value(v->handle, v->value, v->len, indication, att->data);
}

static void input_notify_multi(struct att *att, const uint8_t *pdu, size_t len)
{
	struct att_list values;
	struct att_value v;

	if (att_parse_notify_multi(pdu, len, &values) < 0) {
		att->stats.protocol_errors++;
		return;
	}
	while (!att->freed && !att->closed && att_next_value(&values, &v)) {
		att->stats.notifications++;
		tell_value(att, &v, false);
	}
}

static void input_notification(struct att *att, const uint8_t *pdu, size_t len)
{
	struct att_value v;

	if (pdu[0] == ATT_NOTIFY_MULTI) {
		input_notify_multi(att, pdu, len);
		return;
	}
	if (att_parse_value(pdu, len, &v) < 0) {
		att->stats.protocol_errors++;
		return;
	}
	att->stats.notifications++;
	tell_value(att, &v, false);
}

static void input_indication(struct att *att, const uint8_t *pdu, size_t len)
{
	struct att_value v;

	if (att_parse_value(pdu, len, &v) < 0) {
		att->stats.protocol_errors++;
		return;
	}
	att->stats.indications++;
	tell_value(att, &v, true);
	if (att->freed || att->closed)
		return;
	att->confirms++;
	att_pump(att);
}

/* --- which is which --- */

/*
 * Longer than any PDU can be: the end is missing. Whoever waits for it must not take it for the
 * whole.
 */
void att_input_truncated(struct att *att, const uint8_t *pdu)
{
	if (att_kind(pdu[0]) != ATT_KIND_CONFIRMATION)
		att->stats.protocol_errors++;
	switch (att_kind(pdu[0])) {
	case ATT_KIND_REQUEST:
	case ATT_KIND_UNKNOWN:
		input_request(att, pdu, 1, true);
		break;
	case ATT_KIND_RESPONSE:
		if (att->wire.busy)
			wire_end(att, -EBADMSG, NULL, 0, 0);
		break;
	case ATT_KIND_INDICATION:
		att->confirms++; /* nothing was delivered, but the peer must be able to go on */
		att_pump(att);
		break;
	case ATT_KIND_CONFIRMATION:
		input_confirmation(att, -EBADMSG);
		break;
	case ATT_KIND_COMMAND:
	case ATT_KIND_NOTIFICATION:
		break;
	}
}

void att_input(struct att *att, const uint8_t *pdu, size_t len)
{
	switch (att_kind(pdu[0])) {
	case ATT_KIND_REQUEST:
	case ATT_KIND_UNKNOWN:
		input_request(att, pdu, len, false);
		break;
	case ATT_KIND_RESPONSE:
		input_response(att, pdu, len);
		break;
	case ATT_KIND_COMMAND:
		input_command(att, pdu, len);
		break;
	case ATT_KIND_NOTIFICATION:
		input_notification(att, pdu, len);
		break;
	case ATT_KIND_INDICATION:
		input_indication(att, pdu, len);
		break;
	case ATT_KIND_CONFIRMATION:
		input_confirmation(att, att_parse_empty(pdu, len));
		break;
	}
}
