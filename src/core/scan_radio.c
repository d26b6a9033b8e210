/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The state machine of the controller's scan. Relies on hci_chan completing a command exactly once, and on the raw channel
 * showing the kernel's own commands too. The rule: only enter_state() changes the state, and a command is in flight exactly
 * in the four states that are named after one.
 */
#include "scan_radio.h"

#include <errno.h>

#include "adapter_priv.h"
#include "aiobled/log.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/result.h"

static const char *const state_names[] = {
	[RADIO_DOWN] = "down",
	[RADIO_IDLE] = "idle",
	[RADIO_SETTLING] = "settling",
	[RADIO_DISABLING] = "disabling",
	[RADIO_CONFIGURING] = "configuring",
	[RADIO_ENABLING] = "enabling",
	[RADIO_ON] = "on",
	[RADIO_STOPPING] = "stopping",
	[RADIO_RELEASING] = "releasing",
};

static void enter_state(struct scan_radio *radio, enum scan_radio_state state);

/* --- commands --- */

static int radio_send(struct scan_radio *radio, const struct wr *w)
{
	struct rd r = rd_init(w->start, wr_len(w));

	if (!radio->adapter->hci)
		return -ENODEV;
	(void)rd_u8(&r); /* packet type */
	radio->cmd_opcode = rd_le16(&r);
	return hci_chan_send_pkt(radio->adapter->hci, &radio->cmd, w, HCI_CMD_TIMEOUT_MS);
}

static int send_enable(struct scan_radio *radio, bool enable)
{
	bool filter = enable && radio->have.filter_duplicates;
	uint8_t buf[HCIP_CMD_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	if (radio->adapter->extended)
		hcip_put_ext_scan_enable(&w, enable, filter);
	else
		hcip_put_scan_enable(&w, enable, filter);
	return radio_send(radio, &w);
}

static int send_params(struct scan_radio *radio)
{
	struct hcip_scan_params params = {
		.active = radio->want.active,
		.interval = radio->want.interval,
		.window = radio->want.window,
		.own_addr_type = radio->adapter->addr.type,
	};
	uint8_t buf[HCIP_CMD_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	radio->have = radio->want;
	if (radio->adapter->extended)
		hcip_put_ext_scan_params(&w, &params, HCIP_PHY_1M);
	else
		hcip_put_scan_params(&w, &params);
	return radio_send(radio, &w);
}

static int send_release(struct scan_radio *radio)
{
	struct adapter *adapter = radio->adapter;
	uint8_t buf[MGMT_HDR_LEN + 1];
	struct wr w = wr_init(buf, sizeof(buf));

	mgmt_put_mode(&w, MGMT_STOP_DISCOVERY, adapter->index, radio->discovery_type);
	return mgmt_send_msg(adapter->mgmt, &radio->release, &w, HCI_CMD_TIMEOUT_MS);
}

/* --- states --- */

static bool is_as_wanted(const struct scan_radio *radio)
{
	const struct scan_want *want = &radio->want, *have = &radio->have;

	return want->active == have->active && want->filter_duplicates == have->filter_duplicates &&
	       want->interval == have->interval && want->window == have->window;
}

/* Let others finish, then start again; every further disturbance delays it, within SCAN_SETTLE_MAX_US. */
static void settle(struct scan_radio *radio, uint64_t delay_us)
{
	uint64_t now_us = loop_now_us(radio->adapter->loop);

	if (radio->state != RADIO_SETTLING)
		radio->settle_limit_us = now_us + MAX(delay_us, SCAN_SETTLE_MAX_US);
	enter_state(radio, RADIO_SETTLING);
	timer_start_at(&radio->timer, MIN(now_us + delay_us, MAX(radio->settle_limit_us, now_us)));
}

/* Nothing is wanted any more, and nothing of ours is running. */
static void rest(struct scan_radio *radio)
{
	bool release = radio->marked && radio->state != RADIO_RELEASING;

	enter_state(radio, release ? RADIO_RELEASING : RADIO_IDLE);
}

static void refused(struct scan_radio *radio, int res)
{
	char text[RES_TEXT_MAX];

	log_debug(radio->adapter->name, "scan: %s refused: %s", state_names[radio->state],
	          res_text(res, text, sizeof(text)));
	if (!radio->want.on) {
		rest(radio);
		return;
	}
	/* some controllers cannot scan while they create a connection: that passes */
	if (!radio->initiating || radio->tries < SCAN_TRIES_MAX - 1)
		radio->tries++;
	if (radio->tries < SCAN_TRIES_MAX) {
		settle(radio, (uint64_t)SCAN_BACKOFF_US << (radio->tries - 1));
		return;
	}
	radio->want.on = false;
	radio->tries = 0;
	rest(radio);
	radio->failed(radio, res);
}

static void tell_stoppers(struct scan_radio *radio)
{
	struct op *op;

	while ((op = list_first(&radio->stoppers, struct op, link)))
		op_complete_later(op, 0);
}

static int act(struct scan_radio *radio)
{
	switch (radio->state) {
	case RADIO_DOWN:
	case RADIO_IDLE:
		radio->paused = false;
		radio->tries = 0;
		timer_stop(&radio->timer);
		tell_stoppers(radio);
		return 0;
	case RADIO_SETTLING:
		radio->paused = true;
		return 0;
	case RADIO_DISABLING:
		timer_stop(&radio->timer);
		radio->disturbed = false;
		return send_enable(radio, false);
	case RADIO_CONFIGURING:
		return send_params(radio);
	case RADIO_ENABLING:
		return send_enable(radio, true);
	case RADIO_ON:
		if (radio->paused)
			radio->adapter->stats.scan_restarts++;
		radio->paused = false;
		radio->tries = 0;
		radio->marked |= radio->have.active;
		radio->heard_us = loop_now_us(radio->adapter->loop);
		timer_start(&radio->timer, SCAN_SILENCE_US);
		return 0;
	case RADIO_STOPPING:
		timer_stop(&radio->timer);
		return send_enable(radio, false);
	case RADIO_RELEASING:
		return send_release(radio);
	}
	return 0;
}

static void enter_state(struct scan_radio *radio, enum scan_radio_state state)
{
	enum scan_radio_state old = radio->state;
	bool was_paused = radio->paused;
	int r;

	radio->state = state;
	if (state != old)
		log_debug(radio->adapter->name, "scan: %s -> %s", state_names[old],
		          state_names[state]);
	r = act(radio);
	if ((state == RADIO_ON) != (old == RADIO_ON) || radio->paused != was_paused)
		radio->changed(radio);
	if (r < 0)
		refused(radio, r);
}

/* In IDLE and ON: is this still what is wanted? */
static void reconsider(struct scan_radio *radio)
{
	if (radio->state == RADIO_IDLE && radio->want.on)
		enter_state(radio, RADIO_DISABLING);
	else if (radio->state == RADIO_SETTLING && !radio->want.on)
		rest(radio); /* whoever has the engine keeps it */
	else if (radio->state == RADIO_ON && !radio->want.on)
		enter_state(radio, RADIO_STOPPING);
	else if (radio->state == RADIO_ON && !is_as_wanted(radio))
		enter_state(radio, RADIO_DISABLING);
}

static void enabled(struct scan_radio *radio)
{
	if (radio->disturbed && radio->want.on) {
		settle(radio, SCAN_SETTLE_US);
		return;
	}
	enter_state(radio, RADIO_ON);
	reconsider(radio);
}

static void stopped(struct scan_radio *radio)
{
	if (radio->want.on)
		enter_state(radio, RADIO_CONFIGURING);
	else
		rest(radio);
}

/* Refused when there is no discovery, which is as good; when it is somebody else's, it is theirs to end. */
static void on_released(struct op *op, int res)
{
	struct scan_radio *radio = container_of(op, struct scan_radio, release.op);

	radio->marked = false;
	enter_state(radio, RADIO_IDLE);
	reconsider(radio);
}

static void on_cmd_done(struct op *op, int res)
{
	struct scan_radio *radio = container_of(op, struct scan_radio, cmd.op);

	switch (radio->state) {
	case RADIO_DISABLING:
	case RADIO_STOPPING:
		/* a controller that was not scanning may say 0x0c: that is as good */
		if (res < 0)
			refused(radio, res);
		else
			stopped(radio);
		return;
	case RADIO_CONFIGURING:
		if (res)
			refused(radio, res);
		else if (radio->want.on)
			enter_state(radio, RADIO_ENABLING);
		else
			rest(radio);
		return;
	case RADIO_ENABLING:
		if (res)
			refused(radio, res);
		else
			enabled(radio);
		return;
	case RADIO_DOWN:
	case RADIO_IDLE:
	case RADIO_SETTLING:
	case RADIO_ON:
	case RADIO_RELEASING:
		return; /* no command is in flight in these */
	}
}

static void on_timer(struct timer *t)
{
	struct scan_radio *radio = container_of(t, struct scan_radio, timer);
	uint64_t due_us = radio->heard_us + SCAN_SILENCE_US;

	if (radio->state == RADIO_SETTLING) {
		enter_state(radio, RADIO_DISABLING);
		return;
	}
	if (due_us > loop_now_us(radio->adapter->loop)) {
		timer_start_at(t, due_us);
		return;
	}
	log_debug(radio->adapter->name, "scan: no report for %u s", SCAN_SILENCE_US / 1000000);
	radio->paused = true; /* counted as a restart, and seen as a pause */
	enter_state(radio, RADIO_DISABLING);
}

/* --- what others do --- */

static void disturbed(struct scan_radio *radio)
{
	uint64_t delay_us = radio->initiating ? SCAN_INITIATING_US : SCAN_SETTLE_US;

	radio->others_us = loop_now_us(radio->adapter->loop);
	switch (radio->state) {
	case RADIO_ON:
	case RADIO_SETTLING:
		settle(radio, delay_us);
		return;
	case RADIO_DISABLING:
	case RADIO_CONFIGURING:
	case RADIO_ENABLING:
		radio->disturbed = true;
		return;
	case RADIO_DOWN:
	case RADIO_IDLE:
	case RADIO_STOPPING:
	case RADIO_RELEASING:
		return;
	}
}

static bool is_mine(const struct scan_radio *radio, uint16_t opcode)
{
	return op_live(&radio->cmd.op) && radio->cmd_opcode == opcode;
}

static void command_done(struct scan_radio *radio, const struct hcip_event *ev)
{
	struct hcip_cmd_done done;

	if (hcip_parse_cmd_done(ev, &done) < 0 || (done.has_status && done.status))
		return;
	switch (done.opcode) {
	case HCIP_LE_SET_SCAN_ENABLE:
	case HCIP_LE_SET_EXT_SCAN_ENABLE:
		if (!is_mine(radio, done.opcode))
			disturbed(radio);
		return;
	case HCIP_LE_CREATE_CONN:
	case HCIP_LE_EXT_CREATE_CONN:
		radio->initiating = true;
		radio->settle_limit_us = loop_now_us(radio->adapter->loop) + SCAN_INITIATING_US;
		disturbed(radio);
		return;
	}
}

void scan_radio_event(struct scan_radio *radio, const struct hcip_event *ev)
{
	if (ev->code == HCIP_EV_CMD_COMPLETE || ev->code == HCIP_EV_CMD_STATUS)
		command_done(radio, ev);
	if (ev->code != HCIP_EV_LE_META ||
	    (ev->subevent != HCIP_LE_CONN_COMPLETE && ev->subevent != HCIP_LE_ENH_CONN_COMPLETE))
		return;
	/* up or failed: now the kernel decides about its own scan */
	radio->initiating = false;
	radio->settle_limit_us = loop_now_us(radio->adapter->loop) + SCAN_SETTLE_MAX_US;
	disturbed(radio);
}

void scan_radio_discovering(struct scan_radio *radio, uint8_t type, bool on)
{
	radio->discovery_type = type;
	if (!on)
		radio->marked = radio->state == RADIO_ON && radio->have.active;
}

void scan_radio_heard(struct scan_radio *radio)
{
	radio->heard_us = loop_now_us(radio->adapter->loop);
}

/* --- from above --- */

void scan_radio_init(struct scan_radio *radio, struct adapter *adapter,
                     void (*changed)(struct scan_radio *radio),
                     void (*failed)(struct scan_radio *radio, int res))
{
	*radio = (struct scan_radio){.adapter = adapter, .changed = changed, .failed = failed};
	op_init(&radio->cmd.op, adapter->loop, on_cmd_done);
	op_init(&radio->release.op, adapter->loop, on_released);
	timer_init(&radio->timer, adapter->loop, on_timer);
	list_init(&radio->stoppers);
}

void scan_radio_up(struct scan_radio *radio)
{
	if (radio->state == RADIO_DOWN)
		enter_state(radio, RADIO_IDLE);
	reconsider(radio);
}

void scan_radio_down(struct scan_radio *radio)
{
	op_drop(&radio->cmd.op);
	op_drop(&radio->release.op);
	radio->initiating = false;
	radio->marked = false;
	radio->want.on = false;
	enter_state(radio, RADIO_DOWN);
}

void scan_radio_want(struct scan_radio *radio, const struct scan_want *want)
{
	radio->want = *want;
	reconsider(radio);
}

void scan_radio_stop(struct scan_radio *radio, struct op *op)
{
	op_start(op, &radio->stoppers, NULL, 0);
	if (radio->state == RADIO_DOWN || radio->state == RADIO_IDLE)
		tell_stoppers(radio);
}
