/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A manager with an adapter at work, and a kernel that says anything at any time. The input is a list of records: what
 * happens (a byte), a length, that many bytes. Everything the program may answer is allowed; what is looked for is memory it
 * must not touch, an assertion, an op that is never told.
 */
#include <errno.h>

#include "aiobled/adapter.h"
#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"
#include "aiobled/conn.h"
#include "aiobled/manager.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/scan.h"
#include "fake_kernel.h"
#include "fuzz.h"

#define OPS 4

enum what {
	MGMT_RAW,
	MGMT_EVENT,
	HCI_RAW,
	HCI_EVENT,
	TIME,
	PLUG,
	UNPLUG,
	POWER_OUTSIDE,
	BLOCK,
	SETTINGS,
	RULE,
	POWER_OP,
	AWAIT_OP,
	SCAN,
	SCAN_END,
	CONNECT,
	LINK_UP,
	LINK_FAIL,
	LINK_DROP,
	LINK_SEND,
	DROP_OPS,
	STOP,
	N_WHAT,
};

static struct world {
	struct loop *loop;
	struct fake_kernel *fk;
	struct manager *manager;
	struct scanner *scanner;
	struct op ops[OPS];
	struct connect_op connects[OPS];
	bool stopping;
} w;

static void on_done(struct op *op, int res)
{
}

static void on_stopped(void *data)
{
}

static void on_report(struct scanner *s, const struct scan_report *r, void *data)
{
	FUZZ_CHECK(r->adv_len + r->rsp_len < 4000);
}

static void on_state(struct scanner *s, void *data)
{
}

static void on_finished(struct scanner *s, int res, void *data)
{
}

static struct adapter *adapter(void)
{
	return manager_find(w.manager, "");
}

static struct op *free_op(void)
{
	for (size_t i = 0; i < OPS; i++)
		if (!op_live(&w.ops[i]))
			return &w.ops[i];
	return NULL;
}

static void drop_ops(void)
{
	for (size_t i = 0; i < OPS; i++) {
		op_drop(&w.ops[i]);
		op_drop(&w.connects[i].op);
	}
}

static bool is_plugged(void)
{
	return fake_adapter_present(w.fk, 0);
}

static void do_scan(struct rd *r)
{
	static const struct scanner_events events = { .report = on_report, .state = on_state, .finished = on_finished };
	struct scan_params p = { .duration_ms = rd_u8(r) * 50u,
				 .interval_us = 100000,
				 .window_us = 50000,
				 .active = rd_u8(r) & 1,
				 .filter.rssi_min_dbm = -128 };

	w.scanner = scanner_free(w.scanner);
	if (adapter())
		(void)scanner_new(adapter(), &p, &events, NULL, &w.scanner);
}

static void do_connect(struct rd *r)
{
	struct connect_params params = CONNECT_PARAMS_DEFAULT;
	struct addr peer = { .b = { rd_u8(r) & 3, 2, 3, 4, 5, 6 } };
	uint32_t timeout_ms = rd_u8(r) * 50u;

	for (size_t i = 0; i < OPS && adapter(); i++) {
		if (op_live(&w.connects[i].op))
			continue;
		if (fake_links(w.fk) + OPS < FAKE_LINKS_MAX)
			(void)connect_start(adapter(), &peer, &params, &w.connects[i], timeout_ms);
		return;
	}
}

static struct fake_link *link_in(struct rd *r, enum fake_link_state state)
{
	size_t n = fake_links(w.fk);
	struct fake_link *l = n ? fake_link(w.fk, rd_u8(r) % n) : NULL;

	return l && l->state == state && is_plugged() ? l : NULL;
}

static void do_link(enum what what, struct rd *r)
{
	struct fake_link *l = link_in(r, what == LINK_UP || what == LINK_FAIL ? FAKE_LINK_PENDING : FAKE_LINK_UP);

	if (!l || fake_link_cancelled(l))
		return;
	if (what == LINK_UP)
		fake_link_up(l, 0x40 + rd_u8(r) % 4);
	else if (what == LINK_FAIL)
		fake_link_fail(l, -ECONNREFUSED, rd_u8(r));
	else if (what == LINK_DROP)
		fake_link_drop(l, rd_u8(r));
	else if (r->left)
		fake_link_send(l, r->p, r->left);
}

static void do_rule(struct rd *r)
{
	static const uint16_t opcodes[] = { MGMT_READ_INFO, MGMT_SET_POWERED, MGMT_SET_LE, MGMT_DISCONNECT,
					    MGMT_LOAD_CONN_PARAMS, 0x1001, 0x1002, 0x2041, 0x2042, 0x0406 };
	struct fake_rule rule = FAKE_RULE(opcodes[rd_u8(r) % ARRAY_SIZE(opcodes)], 0, 1u + rd_u8(r) % 3,
					  (enum fake_action)(rd_u8(r) % (FAKE_SHORT + 1)), .status = rd_u8(r));

	fake_rules_clear(w.fk);
	fake_rule(w.fk, &rule);
}

static void do_power(struct rd *r)
{
	struct op *op = free_op();

	if (op && adapter())
		(void)adapter_power(adapter(), rd_u8(r) & 1, op, rd_u8(r) * 50u);
}

static void do_one(enum what what, struct rd *r)
{
	static struct fake_controller c = { .addr = "00:AA:01:00:00:42", .extended = true };
	struct op *op;
	uint8_t code;

	switch (what) {
	case MGMT_RAW:
		if (r->left)
			fake_mgmt_raw(w.fk, r->p, r->left);
		break;
	case MGMT_EVENT:
		code = rd_u8(r);
		fake_mgmt_event(w.fk, code, 0, r->p, r->left);
		break;
	case HCI_RAW:
		if (r->left)
			fake_hci_raw(w.fk, 0, r->p, r->left);
		break;
	case HCI_EVENT:
		code = rd_u8(r);
		fake_hci_event(w.fk, 0, code, r->p, r->left);
		break;
	case TIME:
		(void)loop_advance(w.loop, rd_le16(r));
		break;
	case PLUG:
		if (!is_plugged())
			fake_adapter_plug(w.fk, 0, &c);
		break;
	case UNPLUG:
		if (is_plugged())
			fake_adapter_unplug(w.fk, 0);
		break;
	case POWER_OUTSIDE:
		if (is_plugged())
			fake_adapter_power(w.fk, 0, rd_u8(r) & 1);
		break;
	case BLOCK:
		if (is_plugged())
			fake_adapter_block(w.fk, 0, rd_u8(r) & 1);
		break;
	case SETTINGS:
		if (is_plugged())
			fake_adapter_set(w.fk, 0, rd_le16(r));
		break;
	case RULE:
		do_rule(r);
		break;
	case POWER_OP:
		do_power(r);
		break;
	case AWAIT_OP:
		op = free_op();
		if (op && adapter())
			(void)adapter_await_ready(adapter(), op, rd_u8(r) * 50u);
		break;
	case SCAN:
		do_scan(r);
		break;
	case SCAN_END:
		w.scanner = scanner_free(w.scanner);
		break;
	case CONNECT:
		do_connect(r);
		break;
	case LINK_UP:
	case LINK_FAIL:
	case LINK_DROP:
	case LINK_SEND:
		do_link(what, r);
		break;
	case DROP_OPS:
		drop_ops();
		break;
	case STOP:
		if (!w.stopping)
			manager_stop(w.manager, on_stopped, NULL);
		w.stopping = true;
		break;
	case N_WHAT:
		break;
	}
}

static void start(void)
{
	static const struct manager_config config;
	static const struct manager_events events;

	w = (struct world){ 0 };
	FUZZ_CHECK(loop_new_virtual(&w.loop) == 0);
	w.fk = fake_kernel_new(w.loop);
	for (size_t i = 0; i < OPS; i++) {
		op_init(&w.ops[i], w.loop, on_done);
		op_init(&w.connects[i].op, w.loop, on_done);
	}
	do_one(PLUG, &(struct rd){ .p = NULL });
	FUZZ_CHECK(manager_new(w.loop, fake_kernel_table(w.fk), &config, &events, NULL, &w.manager) == 0);
	(void)loop_settle(w.loop);
}

/* However long it takes, nobody is left waiting once the adapter is gone. */
static void finish(void)
{
	fake_rules_clear(w.fk);
	if (is_plugged())
		fake_adapter_unplug(w.fk, 0);
	(void)loop_advance(w.loop, 60000);
	for (size_t i = 0; i < OPS; i++)
		FUZZ_CHECK(!op_live(&w.ops[i]) && !op_live(&w.connects[i].op));
	w.scanner = scanner_free(w.scanner);
	w.manager = manager_free(w.manager);
	(void)loop_settle(w.loop);
	fake_kernel_free(w.fk);
	loop_free(w.loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);

	start();
	for (int i = 0; r.left >= 2 && i < 64; i++) {
		uint8_t what = rd_u8(&r), len = rd_u8(&r);
		size_t n = MIN((size_t)len, r.left);
		struct rd arg = rd_init(rd_bytes(&r, n), n);

		do_one((enum what)(what % N_WHAT), &arg);
		(void)loop_settle(w.loop);
	}
	finish();
	return 0;
}
