/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "aiobled/scan.h"

#include "../../src/core/links_priv.h"
#include "../../src/core/scan_radio.h"
#include "../../src/core/scan_table.h"
#include "../support/bed.h"
#include "aiobled/result.h"
#include "test.h"

#include "../support/failing.h"

/* --- a client --- */

struct watcher {
	struct scanner *scanner;
	unsigned int reports, finished;
	int res;
	char states[64];
	struct scan_report last;
	uint8_t adv[SCAN_DATA_MAX], rsp[SCAN_DATA_MAX];
	bool has_rsp, has_adv;
	struct scanner **free_in_report[2]; /* freed inside report() */
	struct bed *scan_again;             /* in finished() */
	int again;
};

static struct bed *bed;
static struct watcher w[4];

static void on_report(struct scanner *scanner, const struct scan_report *report, void *data)
{
	struct watcher *me = data;

	assert_int_equal(me->finished, 0);
	me->reports++;
	me->last = *report;
	me->has_adv = report->adv;
	me->has_rsp = report->rsp;
	if (report->adv_len)
		memcpy(me->adv, report->adv, report->adv_len);
	if (report->rsp_len)
		memcpy(me->rsp, report->rsp, report->rsp_len);
	for (size_t i = 0; i < ARRAY_SIZE(me->free_in_report); i++)
		if (me->free_in_report[i])
			*me->free_in_report[i] = scanner_free(*me->free_in_report[i]);
}

static void on_state(struct scanner *scanner, void *data)
{
	static const char letters[] = "wrpf";
	struct watcher *me = data;

	me->states[strlen(me->states)] = letters[scanner_state(scanner)];
}

static const struct scan_params plain = {
	.interval_us = SCAN_INTERVAL_US_DEFAULT,
	.window_us = SCAN_WINDOW_US_DEFAULT,
	.filter.rssi_min_dbm = SCAN_RSSI_ANY,
};

static void on_finished(struct scanner *scanner, int res, void *data)
{
	struct watcher *me = data;
	struct scanner *another = NULL;

	assert_int_equal(scanner_state(scanner), SCANNER_FINISHED);
	me->finished++;
	me->res = res;
	if (me->scan_again)
		me->again = scanner_new(&me->scan_again->adapter, &plain, NULL, NULL, &another);
}

static const struct scanner_events events = {
	.report = on_report, .state = on_state, .finished = on_finished};

static void start(struct watcher *me, const struct scan_params *params)
{
	*me = (struct watcher){0};
	assert_int_equal(scanner_new(&bed->adapter, params, &events, me, &me->scanner), 0);
	assert_int_equal(loop_settle(bed->loop), 0);
}

static void stop(struct watcher *me)
{
	me->scanner = scanner_free(me->scanner);
	assert_int_equal(loop_settle(bed->loop), 0);
}

static int setup(void **state)
{
	memset(w, 0, sizeof(w));
	bed = bed_new();
	bed_up(bed);
	return 0;
}

static int teardown(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(w); i++)
		w[i].scanner = scanner_free(w[i].scanner);
	bed_free(bed);
	return 0;
}

/* --- the controller's scan --- */

static void one_scanner(void **state)
{
	bed_said(bed, ""); /* nothing unasked */
	start(&w[0], &plain);
	bed_said(bed, "off params(passive 2048/18) on");
	assert_int_equal(scanner_state(w[0].scanner), SCANNER_RUNNING);
	assert_string_equal(w[0].states, "r");
	assert_true(scan_active(&bed->adapter));
	stop(&w[0]);
	bed_said(bed, "off");
	assert_false(scan_active(&bed->adapter));
	assert_int_equal(bed->adapter.stats.scan_restarts, 0);
}

static void extended_flavour(void **state)
{
	bed->adapter.extended = true;
	start(&w[0], &plain);
	bed_said(bed, "off ext-params(passive 2048/18) on");
	bed_foreign_scan(bed);
	bed_run(bed, 50);
	bed_said(bed, "off ext-params(passive 2048/18) on");
}

static void what_all_need_together(void **state)
{
	struct scan_params fast = plain, wide = plain;

	fast.active = true;
	fast.interval_us = 60000;
	fast.window_us = 30000;
	wide.interval_us = 40959375;
	wide.window_us = 10000000;
	start(&w[0], &plain);
	bed_said(bed, "off params(passive 2048/18) on");
	start(&w[1], &fast);
	bed_said(bed, "off params(active 96/48) on");
	start(&w[2], &wide); /* the window does not get larger than the interval */
	bed_said(bed, "off params(active 96/96) on");
	assert_string_equal(w[0].states, "r"); /* our own change is no pause */
	stop(&w[1]);
	bed_said(bed, "off params(passive 2048/2048) on");
	stop(&w[0]);
	bed_said(bed, "off params(passive 16384/16000) on"); /* the longest there is */
	start(&w[1], &wide);
	bed_said(bed, ""); /* nothing new */
	assert_string_equal(w[1].states, "r");
	stop(&w[1]);
	bed_said(bed, "");
	stop(&w[2]);
	bed_said(bed, "off release");
}

static void own_address_type(void **state)
{
	bed->adapter.addr.type = ADDR_RANDOM;
	start(&w[0], &plain);
	bed_said(bed, "off params(passive 2048/18) on");
}

static void bad_parameters(void **state)
{
	static const struct {
		uint32_t interval_us, window_us;
	} rows[] = {{2499, 2499}, {40959376, 2500}, {5000, 5001}, {5000, 2499}, {0, 0}};
	struct scanner *scanner;
	struct scan_params p = plain;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		p.interval_us = rows[i].interval_us;
		p.window_us = rows[i].window_us;
		assert_int_equal(scanner_new(&bed->adapter, &p, &events, NULL, &scanner), -EINVAL);
	}
	p = plain;
	p.filter.n_uuids = SCAN_FILTER_VALUES_MAX + 1;
	assert_int_equal(scanner_new(&bed->adapter, &p, &events, NULL, &scanner), -EINVAL);
	bed_said(bed, "");
}

static void scanners_are_bounded(void **state)
{
	struct scanner *all[SCANNERS_MAX], *more;

	for (size_t i = 0; i < SCANNERS_MAX; i++)
		assert_int_equal(scanner_new(&bed->adapter, &plain, &events, &w[3], &all[i]), 0);
	assert_int_equal(scanner_new(&bed->adapter, &plain, &events, &w[3], &more), -ENOBUFS);
	for (size_t i = 0; i < SCANNERS_MAX; i++)
		scanner_free(all[i]);
	bed_said(bed, "off");
}

static void waits_for_the_adapter(void **state)
{
	struct scan_params p = plain;
	struct scanner *none;

	p.duration_ms = 1000;
	bed_down(bed, ADAPTER_OFF, -ENETDOWN);
	assert_int_equal(scanner_new(&bed->adapter, &p, &events, NULL, &none), -ENETDOWN);
	bed->want_result = -EAGAIN;
	start(&w[0], &p);
	bed_run(bed, 5000);
	assert_int_equal(scanner_state(w[0].scanner), SCANNER_WAITING);
	bed_up(bed);
	bed_said(bed, "off params(passive 2048/18) on");
	bed_run(bed, 999); /* counted from the first scan */
	assert_int_equal(w[0].finished, 0);
	bed_run(bed, 1);
	assert_int_equal(w[0].finished, 1);
	assert_int_equal(w[0].res, 0);
}

static void duration_ends_one_scanner(void **state)
{
	struct scan_params p = plain;

	p.duration_ms = 500;
	p.active = true;
	start(&w[0], &p);
	start(&w[1], &plain);
	bed_said(bed, "off params(active 2048/18) on");
	bed_run(bed, 499);
	bed_said(bed, "");
	bed_run(bed, 1);
	bed_said(bed, "off params(passive 2048/18) on");
	assert_int_equal(w[0].finished, 1);
	assert_int_equal(scanner_state(w[0].scanner), SCANNER_FINISHED);
	assert_int_equal(scanner_state(w[1].scanner), SCANNER_RUNNING);
	bed_report(bed, &(struct addr){{1}, ADDR_PUBLIC}, 0, -40, "", 0);
	assert_int_equal(w[0].reports, 0);
	assert_int_equal(w[1].reports, 1);
}

/* --- others use the scan engine --- */

static void comes_back_after_somebody_else(void **state)
{
	start(&w[0], &plain);
	bed_said(bed, "off params(passive 2048/18) on");
	bed_foreign_scan(bed); /* off */
	assert_int_equal(scanner_state(w[0].scanner), SCANNER_PAUSED);
	assert_false(scan_active(&bed->adapter));
	bed_run(bed, 30);
	bed_foreign_scan(bed); /* the kernel's own scan on */
	bed_run(bed, 49);
	bed_said(bed, "");
	bed_run(bed, 1);
	bed_said(bed, "off params(passive 2048/18) on");
	assert_int_equal(scanner_state(w[0].scanner), SCANNER_RUNNING);
	assert_string_equal(w[0].states, "rpr");
	assert_int_equal(bed->adapter.stats.scan_restarts, 1);
	bed_run(bed, 20000);
	bed_said(bed, "");
}

static void others_that_never_stop_are_not_waited_for(void **state)
{
	start(&w[0], &plain);
	bed->log[0] = '\0';
	for (int i = 0; i < 17; i++) {
		bed_foreign_scan(bed);
		bed_run(bed, 30);
	}
	bed_said(bed, "off params(passive 2048/18) on");
}

static void disturbed_while_setting_up(void **state)
{
	bed->mute_hci = true;
	start(&w[0], &plain);
	bed_said(bed, "off");
	bed->mute_hci = false;
	bed_foreign_scan(bed); /* taken for ours: it cannot be told apart, and it is as good */
	bed_foreign_scan(bed); /* ours arrives, and seems foreign, after "on" */
	bed_run(bed, 50);
	bed_said(bed, "params(passive 2048/18) on off params(passive 2048/18) on");
	assert_int_equal(scanner_state(w[0].scanner), SCANNER_RUNNING);
}

static void create_connection(uint16_t opcode)
{
	uint8_t ev[] = {0, 1, opcode & 0xff, opcode >> 8};

	bed_event(bed, HCIP_EV_CMD_STATUS, ev, sizeof(ev));
}

static void radio_is_left_to_a_connection_being_made(void **state)
{
	struct addr peer = bed_addr(1);

	start(&w[0], &plain);
	bed->log[0] = '\0';
	bed_foreign_scan(bed);
	create_connection(HCIP_LE_EXT_CREATE_CONN);
	bed_run(bed, 600);
	bed_said(bed, "");
	bed_conn_complete(bed, 0, 0x40, &peer, HCIP_ROLE_CENTRAL);
	bed_run(bed, 50);
	bed_said(bed, "off params(passive 2048/18) on");

	create_connection(HCIP_LE_CREATE_CONN);
	bed_run(bed, 990);
	bed_conn_complete(bed, 0, 0x41, &peer, HCIP_ROLE_CENTRAL);
	bed_run(bed, 49); /* as quiet as ever, however long it took */
	bed_said(bed, "");
	bed_run(bed, 1);
	bed_said(bed, "off params(passive 2048/18) on");

	create_connection(HCIP_LE_CREATE_CONN);
	bed_run(bed, 999); /* a peer that is gone: not for ever */
	bed_said(bed, "");
	bed_run(bed, 1);
	bed_said(bed, "off params(passive 2048/18) on");
}

static void refusal_is_tried_again(void **state)
{
	bed->refuse_opcode = HCIP_LE_SET_SCAN_PARAMS;
	bed->refuse_status = HCIP_STATUS_DISALLOWED;
	bed->refuse_count = 2;
	start(&w[0], &plain);
	bed_said(bed, "off params(passive 2048/18)");
	assert_int_equal(scanner_state(w[0].scanner), SCANNER_WAITING);
	bed_run(bed, 50);
	bed_said(bed, "off params(passive 2048/18)");
	bed_run(bed, 100);
	bed_said(bed, "off params(passive 2048/18) on");
	assert_string_equal(w[0].states, "r");
	assert_int_equal(w[0].finished, 0);
}

static void disallowed_disable_is_as_good(void **state)
{
	bed->refuse_opcode = HCIP_LE_SET_SCAN_ENABLE;
	bed->refuse_status = HCIP_STATUS_DISALLOWED;
	bed->refuse_count = 1;
	start(&w[0], &plain);
	bed_said(bed, "off params(passive 2048/18) on");
	assert_int_equal(scanner_state(w[0].scanner), SCANNER_RUNNING);
}

static void refused_for_good(void **state)
{
	bed->refuse_opcode = HCIP_LE_SET_SCAN_PARAMS;
	bed->refuse_status = 0x12;
	bed->refuse_count = 1000;
	start(&w[0], &plain);
	start(&w[1], &plain);
	bed_run(bed, 20000);
	assert_int_equal(w[0].finished, 1);
	assert_int_equal(w[0].res, RES_HCI(0x12));
	assert_int_equal(w[1].res, RES_HCI(0x12));
	assert_int_equal(bed->hci_commands, 2 * SCAN_TRIES_MAX);
	bed_run(bed, 60000); /* nobody wants anything */
	assert_int_equal(bed->hci_commands, 2 * SCAN_TRIES_MAX);
	bed->refuse_count = 0;
	bed->log[0] = '\0';
	start(&w[2], &plain); /* who comes later tries anew */
	bed_said(bed, "off params(passive 2048/18) on");
}

static void refusals_do_not_count_while_a_connection_is_made(void **state)
{
	start(&w[0], &plain);
	create_connection(HCIP_LE_CREATE_CONN);
	bed->refuse_opcode = HCIP_LE_SET_SCAN_PARAMS;
	bed->refuse_status = HCIP_STATUS_DISALLOWED;
	bed->refuse_count = 1000;
	bed_run(bed, 60000);
	assert_int_equal(w[0].finished, 0);
	assert_int_equal(scanner_state(w[0].scanner), SCANNER_PAUSED);
	bed->refuse_count = 0;
	bed_conn_complete(bed, 0x02, 0, &(struct addr){0}, 0);
	bed_run(bed, 50);
	assert_int_equal(scanner_state(w[0].scanner), SCANNER_RUNNING);
}

static void controller_that_never_answers(void **state)
{
	bed->mute_hci = true;
	start(&w[0], &plain);
	bed_run(bed, 120000);
	assert_int_equal(w[0].finished, 1);
	assert_int_equal(w[0].res, -ETIMEDOUT);
}

static void silence_is_suspicious(void **state)
{
	struct addr peer = bed_addr(1);

	start(&w[0], &plain);
	bed->log[0] = '\0';
	bed_run(bed, 29000);
	bed_report(bed, &peer, 0, -40, "", 0);
	bed_run(bed, 29999);
	bed_said(bed, "");
	bed_run(bed, 1);
	bed_said(bed, "off params(passive 2048/18) on");
	assert_int_equal(bed->adapter.stats.scan_restarts, 1);
}

/* --- the kernel's scan for pending connects --- */

static struct connect_op connecting;

static void on_connected(struct op *op, int res)
{
	assert_int_equal(res, 0);
}

static void connect_to(uint8_t n)
{
	struct addr peer = bed_addr(n);

	op_init(&connecting.op, bed->loop, on_connected);
	assert_int_equal(
		connect_start(&bed->adapter, &peer, &CONNECT_PARAMS_DEFAULT, &connecting, 0), 0);
	bed_run(bed, 0);
}

/* It was replaced by ours: somebody has to go on listening. */
static void goes_on_for_a_pending_connect(void **state)
{
	struct addr peer = bed_addr(7);

	connect_to(7);
	bed_said(bed, "load 07 connect 07");
	start(&w[0], &plain);
	bed_said(bed, "off params(passive 2048/18) on");
	bed_run(bed, 100);
	bed_said(bed, "off params(passive 96/48) on"); /* more than it asked for: the peer is to be heard soon */
	stop(&w[0]);
	bed_said(bed, "off params(passive 96/48) on(filtered)");
	assert_false(scan_active(&bed->adapter));
	bed_report(bed, &peer, 0, -40, "", 0); /* nobody's */
	start(&w[0], &plain);
	bed_said(bed, "off params(passive 96/48) on");
	op_drop(&connecting.op);
	bed_said(bed, "off params(passive 2048/18) on");
	stop(&w[0]);
	bed_said(bed, "off");
}

static void a_connect_replaces_our_scan(void **state)
{
	struct addr peer = bed_addr(7);

	start(&w[0], &plain);
	bed->log[0] = '\0';
	connect_to(7);
	bed_said(bed, "load 07 connect 07");
	assert_int_equal(scanner_state(w[0].scanner), SCANNER_PAUSED);
	bed_run(bed, 50);
	bed_said(bed, "off params(passive 96/48) on");
	bed_foreign_scan(bed); /* off, to create the connection */
	create_connection(HCIP_LE_EXT_CREATE_CONN);
	bed_link_up(bed, &peer, 0x40);
	bed_run(bed, 50);
	bed_said(bed, "off params(passive 2048/18) on");
	assert_string_equal(w[0].states, "rprpr");
	assert_int_equal(bed->adapter.stats.scan_restarts, 2);
	stop(&w[0]);
	bed_said(bed, "off"); /* nobody waits for anybody */
	op_drop(&connecting.op);
}

static void the_kernel_listens_by_itself(void **state)
{
	connect_to(7);
	bed_run(bed, 10000);
	bed_said(bed, "load 07 connect 07");
	op_drop(&connecting.op);
	bed_said(bed, "");
}

static void the_kernel_does_not_listen(void **state)
{
	bed->deaf = true;
	connect_to(7);
	bed_run(bed, 99);
	bed_said(bed, "load 07 connect 07");
	bed_run(bed, 1);
	bed_said(bed, "off params(passive 96/48) on(filtered)");
	op_drop(&connecting.op);
	bed_said(bed, "off");
}

/* It is at it already: no scan, but no need for one. */
static void the_kernel_creates_the_connection_at_once(void **state)
{
	bed->deaf = true;
	connect_to(7);
	create_connection(HCIP_LE_CREATE_CONN);
	bed_run(bed, 1000);
	bed_said(bed, "load 07 connect 07");
	op_drop(&connecting.op);
}

/* --- the kernel takes our active scan for a discovery --- */

static void discovering(uint8_t type, bool on)
{
	scan_discovering(&bed->adapter, type, on);
}

static void the_kernel_is_told_that_no_discovery_is_left(void **state)
{
	struct scan_params active = plain;

	active.active = true;
	start(&w[0], &active);
	discovering(0, true);
	start(&w[1], &plain);
	stop(&w[0]);
	bed_said(bed, "off params(active 2048/18) on off params(passive 2048/18) on");
	stop(&w[1]); /* passive by now, but the kernel does not know */
	bed_said(bed, "off release");
	start(&w[1], &plain);
	stop(&w[1]);
	bed_said(bed, "off params(passive 2048/18) on off");
}

static void the_kernel_noticed_by_itself(void **state)
{
	struct scan_params active = plain;

	active.active = true;
	start(&w[0], &active);
	bed_foreign_scan(bed);
	discovering(0, false); /* interrupted by a connect */
	bed->log[0] = '\0';
	stop(&w[0]);
	bed_said(bed, "");
	start(&w[0], &active);
	discovering(0, false); /* told late: it means an earlier one */
	stop(&w[0]);
	bed_said(bed, "off params(active 2048/18) on off release");
}

static void release_that_is_refused(void **state)
{
	struct scan_params active = plain;

	active.active = true;
	bed->discovery_type = 6;
	bed->release_status = 0x0b;
	start(&w[0], &active);
	discovering(6, true);
	stop(&w[0]);
	bed_said(bed, "off params(active 2048/18) on off release");
	start(&w[0], &plain);
	bed_said(bed, "off params(passive 2048/18) on");
}

static void wanted_again_while_releasing(void **state)
{
	struct scan_params active = plain;

	active.active = true;
	start(&w[0], &active);
	w[0].scanner = scanner_free(w[0].scanner);
	start(&w[0], &plain);
	bed_said(bed, "off params(active 2048/18) on off params(passive 2048/18) on");
	stop(&w[0]);
	bed_said(bed, "off release");
}

/* --- reports --- */

static const uint8_t flags[] = {2, 1, 6};
static const uint8_t name[] = {5, 9, 'R', 'i', 'n', 'g'};
static const uint8_t other_name[] = {5, 9, 'B', 'e', 'l', 't'};

static void advertisement_and_response_apart(void **state)
{
	struct addr peer = bed_addr(1);
	struct scan_params active = plain;

	active.active = true;
	start(&w[0], &active);
	start(&w[1], &plain);
	bed_report(bed, &peer, HCIP_KIND_SCAN_IND, -40, flags, 3);
	assert_int_equal(w[0].last.type, SCAN_SCAN_IND);
	assert_true(addr_equal(&w[0].last.addr, &peer));
	assert_int_equal(w[0].last.rssi_dbm, -40);
	assert_int_equal(w[0].last.sid, 0xff);
	assert_int_equal(w[0].last.time_us, loop_now_us(bed->loop));
	assert_false(w[0].last.connectable);
	assert_true(w[0].last.scannable);
	assert_false(w[0].last.extended);
	assert_int_equal(w[0].last.adv_len, 3);
	assert_false(w[0].has_rsp);
	bed_report(bed, &peer, HCIP_KIND_SCAN_RSP, -44, name, 6);
	assert_int_equal(w[0].reports, 2);
	assert_int_equal(w[0].last.type, SCAN_RSP);
	assert_false(w[0].last.connectable); /* as its advertisement */
	assert_true(w[0].last.scannable);
	assert_memory_equal(w[0].adv, flags, 3);
	assert_int_equal(w[0].last.rsp_len, 6);
	assert_memory_equal(w[0].rsp, name, 6);
	/* the passive one did not ask */
	assert_int_equal(w[1].reports, 1);
	bed_report(bed, &peer, HCIP_KIND_IND, -40, flags, 3);
	assert_true(w[0].has_rsp);
	assert_true(w[0].last.connectable);
	assert_int_equal(w[1].reports, 2);
	assert_false(w[1].has_rsp);
	assert_int_equal(scanner_received(w[0].scanner), 3);
	assert_int_equal(scanner_received(w[1].scanner), 2);
	assert_int_equal(bed->adapter.stats.reports, 3);
}

static void a_response_goes_with_the_scannable_advertisement(void **state)
{
	struct addr peer = bed_addr(1);
	struct scan_params active = plain;

	active.active = true;
	start(&w[0], &active);
	bed_report(bed, &peer, HCIP_KIND_IND, -40, flags, 3);
	bed_report(bed, &peer, HCIP_KIND_SCAN_RSP, -40, name, 6);
	bed_report(bed, &peer, HCIP_KIND_DIRECT_IND, -40, NULL, 0);
	assert_int_equal(w[0].last.type, SCAN_DIRECT_IND);
	assert_true(w[0].last.connectable);
	assert_int_equal(w[0].last.adv_len, 3); /* takes nothing back */
	assert_true(w[0].has_rsp);
	bed_report(bed, &peer, HCIP_KIND_NONCONN_IND, -40, flags, 3);
	assert_false(w[0].has_rsp);
	bed_report(bed, &peer, HCIP_KIND_IND, -40, flags, 3);
	assert_false(w[0].has_rsp);
	bed_report(bed, &peer, HCIP_KIND_IND, -40, NULL, 0); /* says nothing now */
	assert_true(w[0].has_adv);
	assert_int_equal(w[0].last.adv_len, 0);
}

static void what_was_said_before_is_not_its_business(void **state)
{
	struct addr peer = bed_addr(1);
	struct scan_params active = plain;

	active.active = true;
	start(&w[0], &active);
	bed_report(bed, &peer, HCIP_KIND_IND, -40, flags, 3);
	bed_report(bed, &peer, HCIP_KIND_SCAN_RSP, -40, name, 6);
	bed_run(bed, 1);
	start(&w[1], &active);
	bed_report(bed, &peer, HCIP_KIND_SCAN_RSP, -40, name, 6);
	assert_false(w[1].has_adv);
	assert_true(w[1].has_rsp);
	bed_run(bed, 1);
	stop(&w[1]);
	stop(&w[0]);
	start(&w[0], &active); /* nor of an earlier scan */
	bed_report(bed, &peer, HCIP_KIND_IND, -40, flags, 3);
	assert_false(w[0].has_rsp);
}

static void filters_see_both_packets(void **state)
{
	static const char *const names[] = {"Ri*"};
	struct addr peer = bed_addr(1);
	struct scan_params p = plain;

	p.active = true;
	p.filter.names = names;
	p.filter.n_names = 1;
	start(&w[0], &p);
	bed_report(bed, &peer, HCIP_KIND_IND, -40, flags, 3);
	assert_int_equal(w[0].reports, 0); /* nobody knows the name yet */
	bed_report(bed, &peer, HCIP_KIND_SCAN_RSP, -40, name, 6);
	assert_int_equal(w[0].reports, 1);
	bed_report(bed, &peer, HCIP_KIND_IND, -40, flags, 3);
	assert_int_equal(w[0].reports, 2);
	bed_report(bed, &peer, HCIP_KIND_SCAN_RSP, -40, other_name, 6);
	bed_report(bed, &peer, HCIP_KIND_IND, -40, flags, 3);
	assert_int_equal(w[0].reports, 2);
	assert_int_equal(scanner_received(w[0].scanner), 5);
}

static void duplicates(void **state)
{
	static const struct {
		uint8_t kind;
		int8_t rssi;
		const uint8_t *data;
		size_t len;
		unsigned int all, changed, first;
	} rows[] = {
		{HCIP_KIND_IND, -40, flags, 3, 1, 1, 1},
		{HCIP_KIND_SCAN_RSP, -40, name, 6, 2, 2, 2},
		{HCIP_KIND_IND, -40, flags, 3, 3, 2, 2},
		{HCIP_KIND_SCAN_RSP, -40, name, 6, 4, 2, 2},
		{HCIP_KIND_IND, -41, flags, 3, 5, 3, 2},
		{HCIP_KIND_IND, -41, flags, 3, 6, 3, 2},
		{HCIP_KIND_SCAN_IND, -41, flags, 3, 7, 4, 2},
		{HCIP_KIND_SCAN_IND, -41, flags, 2, 8, 5, 2},
		{HCIP_KIND_SCAN_RSP, -40, other_name, 6, 9, 6, 2},
		{HCIP_KIND_SCAN_RSP, -40, other_name, 6, 10, 6, 2},
	};
	struct addr peer = bed_addr(1), another = bed_addr(2);
	struct scan_params p = plain;

	p.active = true;
	for (int i = 0; i < 3; i++) {
		p.duplicates = (enum scan_duplicates)i;
		start(&w[i], &p);
	}
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bed_report(bed, &peer, rows[i].kind, rows[i].rssi, rows[i].data, rows[i].len);
		assert_int_equal(w[SCAN_DUPLICATES_ALL].reports, rows[i].all);
		assert_int_equal(w[SCAN_DUPLICATES_CHANGED].reports, rows[i].changed);
		assert_int_equal(w[SCAN_DUPLICATES_FIRST].reports, rows[i].first);
	}
	for (int i = 0; i < 2; i++) {
		bed_report(bed, &another, HCIP_KIND_IND, -40, flags, 3);
		assert_int_equal(w[SCAN_DUPLICATES_FIRST].reports, 3);
		assert_int_equal(w[SCAN_DUPLICATES_CHANGED].reports, 7);
	}
}

/* What did not pass the filter was not told. */
static void duplicates_count_what_passed(void **state)
{
	struct addr peer = bed_addr(1);
	struct scan_params p = plain;

	p.duplicates = SCAN_DUPLICATES_FIRST;
	p.filter.rssi_min_dbm = -50;
	start(&w[0], &p);
	bed_report(bed, &peer, HCIP_KIND_IND, -60, flags, 3);
	bed_report(bed, &peer, HCIP_KIND_IND, -45, flags, 3);
	bed_report(bed, &peer, HCIP_KIND_IND, -44, flags, 3);
	assert_int_equal(w[0].reports, 1);
	assert_int_equal(w[0].last.rssi_dbm, -45);
}

static void strangers_are_bounded(void **state)
{
	struct scan_params p = plain;
	struct addr peer = bed_addr(1);

	p.duplicates = SCAN_DUPLICATES_FIRST;
	start(&w[0], &p);
	bed_report(bed, &peer, HCIP_KIND_IND, -40, flags, 3);
	for (unsigned int i = 0; i < SCAN_DEVICES_MAX - 1; i++) {
		struct addr stranger = {{i & 0xff, i >> 8, 9}, ADDR_RANDOM};

		bed_report(bed, &stranger, HCIP_KIND_NONCONN_IND, -40, flags, 3);
	}
	assert_int_equal(w[0].reports, SCAN_DEVICES_MAX);
	bed_report(bed, &peer, HCIP_KIND_IND, -40, flags, 3); /* the last to be forgotten now */
	assert_int_equal(w[0].reports, SCAN_DEVICES_MAX);
	for (unsigned int i = 0; i < SCAN_DEVICES_MAX - 1; i++) {
		struct addr stranger = {{i & 0xff, i >> 8, 10}, ADDR_RANDOM};

		bed_report(bed, &stranger, HCIP_KIND_NONCONN_IND, -40, flags, 3);
	}
	bed_report(bed, &peer, HCIP_KIND_IND, -40, flags, 3);
	assert_int_equal(w[0].reports, 2 * SCAN_DEVICES_MAX - 1);
	bed_report(bed, &(struct addr){{0, 0, 9}, ADDR_RANDOM}, HCIP_KIND_NONCONN_IND, -40, flags,
	           3);
	assert_int_equal(w[0].reports, 2 * SCAN_DEVICES_MAX); /* forgotten, so new */
}

static void no_allocation_per_report(void **state)
{
	struct addr peer = bed_addr(1), another = bed_addr(2);
	struct scan_params p = plain;
	unsigned long before;

	p.active = true;
	p.duplicates = SCAN_DUPLICATES_CHANGED;
	start(&w[0], &p);
	for (unsigned int round = 0; round < 3; round++) {
		before = allocations;
		for (int i = 0; i < 100; i++) {
			bed_report(bed, &peer, HCIP_KIND_IND, (int8_t)-i, flags, 3);
			bed_report(bed, &peer, HCIP_KIND_SCAN_RSP, -40, i & 1 ? name : other_name,
			           6);
			bed_report(bed, &another, HCIP_KIND_NONCONN_IND, -40, flags, 3);
		}
		if (round)
			assert_int_equal(allocations - before, 0);
	}
	for (unsigned int i = 0; i < 2 * SCAN_DEVICES_MAX;
	     i++) { /* nor for strangers, once the table is full */
		struct addr stranger = {{i & 0xff, i >> 8, 9}, ADDR_RANDOM};

		if (i == SCAN_DEVICES_MAX)
			before = allocations;
		bed_report(bed, &stranger, HCIP_KIND_NONCONN_IND, -40, flags, 3);
	}
	assert_int_equal(allocations - before, 0);
}

static void without_memory_reports_are_dropped_and_counted(void **state)
{
	struct addr peer = bed_addr(1);

	start(&w[0], &plain);
	for (long n = 0; n < 2; n++) {
		fail_after = n;
		bed_report(bed, &peer, HCIP_KIND_IND, -40, flags, 3);
		fail_after = -1;
		assert_int_equal(w[0].reports, 0);
		assert_int_equal(bed->adapter.stats.reports_dropped, n + 1);
	}
	bed_report(bed, &peer, HCIP_KIND_IND, -40, flags, 3);
	assert_int_equal(w[0].reports, 1);
}

/* --- extended reports --- */

#define MORE      0x20
#define TRUNCATED 0x40

static void kinds_of_extended_reports(void **state)
{
	static const struct {
		uint16_t props;
		enum scan_event_type type;
		bool connectable, scannable, extended;
	} rows[] = {
		{0x13, SCAN_IND, true, true, false},
		{0x15, SCAN_DIRECT_IND, true, false, false},
		{0x12, SCAN_SCAN_IND, false, true, false},
		{0x10, SCAN_NONCONN_IND, false, false, false},
		{0x01, SCAN_IND, true, false, true},
		{0x02, SCAN_SCAN_IND, false, true, true},
		{0x00, SCAN_NONCONN_IND, false, false, true},
		{0x05, SCAN_DIRECT_IND, true, false, true},
		{0x04, SCAN_NONCONN_IND, false, false, true},
	};
	struct addr peer = bed_addr(1);

	bed->adapter.extended = true;
	start(&w[0], &plain);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bed_ext_report(bed, &peer, rows[i].props, 3, flags, 3);
		assert_int_equal(w[0].reports, i + 1);
		assert_int_equal(w[0].last.type, rows[i].type);
		assert_int_equal(w[0].last.connectable, rows[i].connectable);
		assert_int_equal(w[0].last.scannable, rows[i].scannable);
		assert_int_equal(w[0].last.extended, rows[i].extended);
		assert_int_equal(w[0].last.sid, 3);
		assert_int_equal(w[0].last.primary_phy, 1);
	}
}

static void sets_of_one_device_are_apart(void **state)
{
	struct addr peer = bed_addr(1);
	struct scan_params active = plain;

	bed->adapter.extended = true;
	active.active = true;
	start(&w[0], &active);
	bed_ext_report(bed, &peer, 0x02, 1, flags, 3);
	bed_ext_report(bed, &peer, 0x0a, 1, name, 6);
	assert_true(w[0].has_rsp);
	bed_ext_report(bed, &peer, 0x00, 2, flags, 3);
	assert_false(w[0].has_rsp);
	bed_ext_report(bed, &peer, 0x02, 1, flags, 3);
	assert_true(w[0].has_rsp);
}

static void fragments_become_one_report(void **state)
{
	struct addr peer = bed_addr(1), another = bed_addr(2);
	uint8_t data[200];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)i;
	bed->adapter.extended = true;
	start(&w[0], &plain);
	for (int i = 0; i < 8; i++) {
		bed_ext_report(bed, &peer, MORE, 1, data, 200);
		bed_ext_report(bed, &another, MORE, 1, data, 100); /* in between */
	}
	assert_int_equal(w[0].reports, 0);
	bed_ext_report(bed, &peer, 0, 1, data, 50);
	assert_int_equal(w[0].reports, 1);
	assert_int_equal(w[0].last.adv_len, SCAN_DATA_MAX);
	for (size_t i = 0; i < SCAN_DATA_MAX; i++)
		assert_int_equal(w[0].adv[i], i % 200);
	bed_ext_report(bed, &another, TRUNCATED, 1, data, 1); /* the rest was lost on air */
	assert_int_equal(w[0].reports, 2);
	assert_int_equal(w[0].last.adv_len, 801);
	bed_ext_report(bed, &peer, 0, 1, data, 4); /* short again */
	assert_int_equal(w[0].last.adv_len, 4);
	assert_int_equal(bed->adapter.stats.events_malformed, 0);
}

static void fragments_have_bounds(void **state)
{
	struct addr peer = bed_addr(1);
	uint8_t data[200] = {0};

	bed->adapter.extended = true;
	start(&w[0], &plain);
	for (int i = 0; i < 9; i++)
		bed_ext_report(bed, &peer, MORE, 1, data, 200);
	bed_ext_report(bed, &peer, 0, 1, data, 10); /* 1810 bytes */
	assert_int_equal(w[0].reports, 0);
	assert_int_equal(bed->adapter.stats.events_malformed, 1);
	bed_ext_report(bed, &peer, MORE, 1, data, 200);
	bed_run(bed, 501);
	bed_ext_report(bed, &peer, 0, 1, data, 10); /* the end of the first was never heard */
	assert_int_equal(w[0].reports, 1);
	assert_int_equal(w[0].last.adv_len, 10);
	for (uint8_t i = 0; i <= SCAN_FRAGMENTS_MAX; i++) {
		struct addr many = bed_addr((uint8_t)(10 + i));

		bed_ext_report(bed, &many, MORE, 1, data, 200);
		bed_run(bed, 1);
	}
	assert_int_equal(bed->adapter.stats.reports_dropped, 1); /* the oldest: 10 */
	for (uint8_t i = 11; i < 14; i++) {
		struct addr many = bed_addr(i);

		bed_ext_report(bed, &many, MORE, 1, data, 100);
		assert_int_equal(bed->adapter.stats.reports_dropped, 1);
	}
	bed_ext_report(bed, &(struct addr){{14, 2, 3, 4, 5, 0xc6}, ADDR_RANDOM}, 0, 1, data, 1);
	assert_int_equal(w[0].last.adv_len, 201);
}

static void malformed_reports_are_counted(void **state)
{
	static const uint8_t no_reports[] = {HCIP_LE_ADV_REPORT, 0};
	static const uint8_t cut[] = {HCIP_LE_ADV_REPORT, 1, 0, 0, 1, 2, 3, 4, 5, 6, 5, 1};
	static const uint8_t ext_cut[] = {HCIP_LE_EXT_ADV_REPORT, 1, 0, 0, 0};

	start(&w[0], &plain);
	bed_event(bed, HCIP_EV_LE_META, no_reports, sizeof(no_reports));
	bed_event(bed, HCIP_EV_LE_META, cut, sizeof(cut));
	bed_event(bed, HCIP_EV_LE_META, ext_cut, sizeof(ext_cut));
	assert_int_equal(bed->adapter.stats.events_malformed, 3);
	assert_int_equal(w[0].reports, 0);
	bed_report(bed, &(struct addr){{1}, ADDR_PUBLIC}, 0, -40, "\xff\xff\xff",
	           3); /* what is inside is not judged */
	assert_int_equal(w[0].reports, 1);
}

static void without_scanners_reports_are_only_counted(void **state)
{
	bed_report(bed, &(struct addr){{1}, ADDR_PUBLIC}, 0, -40, flags, 3);
	assert_int_equal(bed->adapter.stats.reports, 1);
	assert_int_equal(bed->adapter.stats.reports_dropped, 0);
}

/* --- lives --- */

static void freed_inside_its_report(void **state)
{
	struct addr peer = bed_addr(1);

	for (int victim = 0; victim < 3; victim++) {
		for (int i = 0; i < 3; i++)
			start(&w[i], &plain);
		w[1].free_in_report[0] = &w[victim].scanner;
		bed_report(bed, &peer, 0, -40, flags, 3);
		assert_int_equal(w[0].reports, 1);
		assert_int_equal(w[1].reports, 1);
		assert_int_equal(w[2].reports, victim == 2 ? 0 : 1);
		for (int i = 0; i < 3; i++)
			stop(&w[i]);
	}
}

static void all_freed_inside_a_report(void **state)
{
	struct addr peer = bed_addr(1);

	start(&w[0], &plain);
	start(&w[1], &plain);
	bed->log[0] = '\0';
	w[0].free_in_report[0] = &w[0].scanner;
	w[0].free_in_report[1] = &w[1].scanner;
	bed_report(bed, &peer, 0, -40, flags, 3);
	assert_int_equal(w[1].reports, 0);
	bed_said(bed, "off");
}

static void adapter_goes_away(void **state)
{
	static const struct {
		enum adapter_state state;
		int err;
	} rows[] = {{ADAPTER_OFF, -ENETDOWN}, {ADAPTER_OFF, -ENODEV}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (i)
			bed_up(bed);
		start(&w[0], &plain);
		start(&w[1], &plain);
		bed_foreign_scan(bed); /* paused, too */
		w[0].scan_again = bed;
		bed_down(bed, rows[i].state, rows[i].err);
		assert_int_equal(w[0].finished, 1);
		assert_int_equal(w[0].res, rows[i].err);
		assert_int_equal(w[0].again, -ENETDOWN);
		assert_int_equal(w[1].res, rows[i].err);
		bed_run(bed, 1000);
		assert_int_equal(w[1].finished, 1);
		stop(&w[0]);
		stop(&w[1]);
	}
}

static void adapter_goes_away_in_each_state(void **state)
{
	for (unsigned int commands = 1; commands <= 3; commands++) {
		bed->hci_commands = 0;
		start(&w[0], &plain);
		stop(&w[0]);
		bed->refuse_opcode =
			commands == 2 ? HCIP_LE_SET_SCAN_PARAMS : HCIP_LE_SET_SCAN_ENABLE;
		bed->refuse_status = 1;
		bed->refuse_count = 1;
		bed->mute_hci = commands == 1;
		start(&w[0], &plain);
		bed_down(bed, ADAPTER_OFF, -ENODEV);
		assert_int_equal(w[0].res, -ENODEV);
		bed->mute_hci = false;
		bed->refuse_count = 0;
		stop(&w[0]);
		bed_up(bed);
	}
	start(&w[0], &plain);
	assert_int_equal(scanner_state(w[0].scanner), SCANNER_RUNNING);
}

static void scanner_outlives_the_adapter(void **state)
{
	struct bed *gone = bed_new();
	struct scanner *scanner;
	struct watcher me = {0};

	bed_up(gone);
	assert_int_equal(scanner_new(&gone->adapter, &plain, &events, &me, &scanner), 0);
	bed_free(gone);
	assert_int_equal(me.res, -ENODEV);
	assert_int_equal(scanner_state(scanner), SCANNER_FINISHED);
	scanner_free(scanner);
	bed_free(bed);
	bed = bed_new(); /* for the teardown */
}

static unsigned int stopped;

static void on_stopped(struct op *op, int res)
{
	assert_int_equal(res, 0);
	stopped++;
}

static void the_daemon_stops(void **state)
{
	struct op op;

	op_init(&op, bed->loop, on_stopped);
	stopped = 0;
	start(&w[0], &plain);
	bed->log[0] = '\0';
	scan_stop(&bed->adapter, &op);
	assert_int_equal(stopped, 0); /* never from inside */
	bed_said(bed, "off");
	assert_int_equal(stopped, 1);
	assert_int_equal(w[0].res, -ECANCELED);
	scan_stop(&bed->adapter, &op);
	bed_said(bed, "");
	assert_int_equal(stopped, 2);
}

static void the_daemon_stops_over_a_dead_controller(void **state)
{
	struct op op;

	op_init(&op, bed->loop, on_stopped);
	stopped = 0;
	start(&w[0], &plain);
	bed->mute_hci = true;
	scan_stop(&bed->adapter, &op);
	bed_run(bed, HCI_CMD_TIMEOUT_MS);
	assert_int_equal(stopped, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_scanner),
		T(extended_flavour),
		T(what_all_need_together),
		T(own_address_type),
		T(bad_parameters),
		T(scanners_are_bounded),
		T(waits_for_the_adapter),
		T(duration_ends_one_scanner),
		T(comes_back_after_somebody_else),
		T(others_that_never_stop_are_not_waited_for),
		T(disturbed_while_setting_up),
		T(radio_is_left_to_a_connection_being_made),
		T(refusal_is_tried_again),
		T(disallowed_disable_is_as_good),
		T(refused_for_good),
		T(refusals_do_not_count_while_a_connection_is_made),
		T(controller_that_never_answers),
		T(silence_is_suspicious),
		T(goes_on_for_a_pending_connect),
		T(a_connect_replaces_our_scan),
		T(the_kernel_listens_by_itself),
		T(the_kernel_does_not_listen),
		T(the_kernel_creates_the_connection_at_once),
		T(the_kernel_is_told_that_no_discovery_is_left),
		T(the_kernel_noticed_by_itself),
		T(release_that_is_refused),
		T(wanted_again_while_releasing),
		T(advertisement_and_response_apart),
		T(a_response_goes_with_the_scannable_advertisement),
		T(what_was_said_before_is_not_its_business),
		T(filters_see_both_packets),
		T(duplicates),
		T(duplicates_count_what_passed),
		T(strangers_are_bounded),
		T(no_allocation_per_report),
		T(without_memory_reports_are_dropped_and_counted),
		T(kinds_of_extended_reports),
		T(sets_of_one_device_are_apart),
		T(fragments_become_one_report),
		T(fragments_have_bounds),
		T(malformed_reports_are_counted),
		T(without_scanners_reports_are_only_counted),
		T(freed_inside_its_report),
		T(all_freed_inside_a_report),
		T(adapter_goes_away),
		T(adapter_goes_away_in_each_state),
		T(scanner_outlives_the_adapter),
		T(the_daemon_stops),
		T(the_daemon_stops_over_a_dead_controller),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
