/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Advertisers at work over a kernel that says anything at any time. The input is a list of records: what happens (a byte), a
 * length, that many bytes. Each advertiser must be told in its order (start; connected, states; the end, once), no op may be left,
 * and when nobody advertises any more the kernel must have none of ours. Payloads are built from whatever the input says, and
 * what the builder lets pass the kernel must take.
 */
#include <errno.h>

#include "aiobled/adapter.h"
#include "aiobled/adv.h"
#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"
#include "aiobled/conn.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/manager.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/result.h"
#include "fake_kernel.h"
#include "fuzz.h"

#define SLOTS   5
#define UUIDS   8
#define RECORDS 4

enum what {
	START,
	FREE,
	UPDATE,
	STOP_ONE,
	CENTRAL,
	LINK_DROP,
	TAKEN_FALSELY,
	OTHERS_ADD,
	OTHERS_REMOVE,
	TIME,
	POWER_OUTSIDE,
	POWER,
	UNPLUG,
	PLUG,
	RULE,
	MGMT_EVENT,
	HCI_EVENT,
	STOP,
	N_WHAT,
};

struct slot {
	struct adv *adv;
	struct op op, update;
	bool started, failed, finished, free_inside;
};

static struct world {
	struct loop *loop;
	struct fake_kernel *fk;
	struct manager *manager;
	struct slot slots[SLOTS];
	struct op power;
	bool stopping, hostile;
} w;

/* --- told --- */

static void on_started(struct op *op, int res)
{
	struct slot *s = container_of(op, struct slot, op);

	FUZZ_CHECK(!s->started && !s->failed && !s->finished);
	s->started = res == 0;
	s->failed = res != 0;
	if (res)
		s->adv = adv_free(s->adv);
}

static void on_done(struct op *op, int res)
{
}

static void on_connected(struct adv *adv, struct conn *conn, void *data)
{
	struct slot *s = data;

	FUZZ_CHECK(s->started && !s->finished && s->adv == adv);
	FUZZ_CHECK(!conn_is_central(conn) && adv_params(adv)->connectable);
	if (s->free_inside)
		s->adv = adv_free(s->adv);
}

static void on_state(struct adv *adv, void *data)
{
	struct slot *s = data;

	FUZZ_CHECK(s->started && !s->finished && s->adv == adv);
	FUZZ_CHECK(adv_state(adv) == ADV_RUNNING || adv_state(adv) == ADV_PAUSED);
	if (s->free_inside)
		s->adv = adv_free(s->adv);
}

static void on_finished(struct adv *adv, enum adv_end end, int res, void *data)
{
	struct slot *s = data;

	FUZZ_CHECK(s->started && !s->finished && s->adv == adv);
	FUZZ_CHECK((end == ADV_END_FAILED) == (res != 0));
	s->finished = true;
	if (s->free_inside)
		s->adv = adv_free(s->adv);
}

static void on_stopped(void *data)
{
}

/* --- what happens --- */

static struct adapter *adapter(void)
{
	return manager_find(w.manager, "");
}

static bool is_plugged(void)
{
	return fake_adapter_present(w.fk, 0);
}

static struct slot *slot(struct rd *r)
{
	return &w.slots[rd_u8(r) % SLOTS];
}

static const uint8_t *view(struct rd *r, size_t *ret_len)
{
	size_t n = rd_u8(r);

	*ret_len = MIN(n, r->left);
	return rd_bytes(r, *ret_len);
}

static struct uuid read_uuid(struct rd *r)
{
	static const size_t widths[] = {2, 4, 16};
	size_t width = widths[rd_u8(r) % 3];
	struct uuid u = uuid_from16(0x1800);
	const uint8_t *p = width <= r->left ? rd_bytes(r, width) : NULL;

	if (p)
		(void)uuid_from_bytes(p, width, &u);
	return u;
}

static size_t read_records(struct rd *r, struct adv_record records[RECORDS])
{
	size_t n = rd_u8(r) % (RECORDS + 1);

	for (size_t i = 0; i < n; i++) {
		records[i].company = rd_le16(r);
		records[i].uuid = read_uuid(r);
		records[i].data = view(r, &records[i].len);
	}
	return n;
}

/* Return: false when there is none. */
static bool read_payload(struct rd *r, bool extended, struct adv_payload *ret)
{
	struct uuid uuids[UUIDS];
	struct adv_record manufacturer[RECORDS] = {0}, service_data[RECORDS] = {0};
	char name[64] = "";
	uint8_t bits = rd_u8(r);
	struct adv_fields f = {
		.limited_disc = bits & 1, .br_edr = bits & 2, .has_tx_power = bits & 4};
	struct adv_fault fault = {0};
	size_t n;
	int res;

	if (bits & 8)
		f.adv_data = view(r, &f.adv_data_len);
	if (bits & 16)
		f.resp_data = view(r, &f.resp_data_len);
	if (bits & 32)
		f.appearance = rd_le16(r);
	n = rd_u8(r) % sizeof(name);
	memset(name, 'n', n);
	f.name = name;
	f.services = uuids;
	f.n_services = rd_u8(r) % (UUIDS + 1);
	for (size_t i = 0; i < f.n_services; i++)
		uuids[i] = read_uuid(r);
	f.manufacturer = manufacturer;
	f.n_manufacturer = read_records(r, manufacturer);
	f.service_data = service_data;
	f.n_service_data = read_records(r, service_data);
	res = adv_payload_build(&f, extended, ret, &fault);
	FUZZ_CHECK(res == 0 ||
	           ((res == -EMSGSIZE || res == -EINVAL) && fault.field && *fault.text));
	if (res)
		return false;
	FUZZ_CHECK(ret->adv_len <= (extended ? ADV_DATA_MAX : AD_LEGACY_MAX));
	FUZZ_CHECK(ret->rsp_len <= (extended ? 0 : AD_LEGACY_MAX));
	return true;
}

static void do_start(struct rd *r)
{
	static const struct adv_events events = {
		.connected = on_connected, .state = on_state, .finished = on_finished};
	struct slot *s = slot(r);
	uint8_t bits = rd_u8(r);
	struct adv_params p = {
		.interval_us = 20000u + rd_le16(r),
		.timeout_ms = bits & 1 ? rd_u8(r) * 100u : 0,
		.connectable = bits & 2,
		.keep = bits & 4,
		.extended = bits & 8,
		.secondary_phy = (enum adv_phy)(bits >> 4 & 1),
	};
	struct adv_payload payload;

	s->adv = adv_free(s->adv);
	op_drop(&s->op);
	op_drop(&s->update);
	s->started = s->failed = s->finished = false;
	s->free_inside = bits & 64;
	if (!adapter() || !read_payload(r, p.extended, &payload))
		return;
	if (adv_new(adapter(), &p, &payload, &events, s, &s->op, bits & 128 ? 2000 : 0, &s->adv) <
	    0)
		s->adv = NULL;
}

static void do_update(struct rd *r)
{
	struct slot *s = slot(r);
	struct adv_payload payload;

	if (!s->adv || op_live(&s->update) ||
	    !read_payload(r, adv_params(s->adv)->extended, &payload))
		return;
	(void)adv_update(s->adv, &payload, &s->update, rd_u8(r) * 50u); /* may be refused */
}

static void do_central(struct rd *r)
{
	static const char *const orders[] = {"hsam", "ahsm", "amhs", "hs", "ham", "shma", "h", "s"};
	uint8_t instance = 1 + rd_u8(r) % 5;
	const struct fake_adv *a = is_plugged() ? fake_adv(w.fk, 0, instance) : NULL;
	struct addr peer = {.b = {rd_u8(r), 1, 2, 3, 4, 5}};
	uint16_t handle = 0x40 + rd_u8(r) % 8;
	const char *order = orders[rd_u8(r) % ARRAY_SIZE(orders)];
	struct fake_link *link;

	if (!a || !a->on_air || fake_links(w.fk) + 1 >= FAKE_LINKS_MAX)
		return;
	for (size_t i = 0; i < fake_links(w.fk); i++) /* a handle is of one link at a time */
		if (fake_link(w.fk, i)->state == FAKE_LINK_UP &&
		    fake_link(w.fk, i)->handle == handle)
			return;
	link = fake_link_incoming(w.fk, 0, &peer, handle, "");
	for (; *order; order++) {
		if (*order == 's')
			fake_adv_taken(w.fk, 0, instance, handle);
		else
			fake_link_tell(link, (char[]){*order, '\0'});
	}
}

static void do_link_drop(struct rd *r)
{
	size_t n = fake_links(w.fk);
	struct fake_link *l = n ? fake_link(w.fk, rd_u8(r) % n) : NULL;

	if (l && l->state == FAKE_LINK_UP && is_plugged())
		fake_link_drop(l, rd_u8(r));
}

static void do_taken_falsely(struct rd *r)
{
	uint8_t set[6] = {HCIP_LE_ADV_SET_TERMINATED};

	set[1] = rd_u8(r) & 1;
	set[2] = rd_u8(r);
	set[3] = (uint8_t)(0x40 + rd_u8(r) % 8);
	fake_hci_event(w.fk, 0, HCIP_EV_LE_META, set, rd_u8(r) % (sizeof(set) + 1));
}

static void do_others(enum what what, struct rd *r)
{
	uint8_t instance = 1 + rd_u8(r) % 5;

	if (!is_plugged() || !(fake_adapter_settings(w.fk, 0) & MGMT_SETTING_POWERED))
		return;
	if (what == OTHERS_ADD)
		fake_adv_add(w.fk, 0, instance);
	else if (fake_adv(w.fk, 0, instance))
		fake_adv_remove(w.fk, 0, instance);
}

static void do_rule(struct rd *r)
{
	static const uint16_t opcodes[] = {MGMT_ADD_EXT_ADV_PARAMS, MGMT_ADD_EXT_ADV_DATA,
	                                   MGMT_REMOVE_ADVERTISING, MGMT_READ_ADV_FEATURES,
	                                   MGMT_SET_POWERED};
	struct fake_rule rule = {.opcode = opcodes[rd_u8(r) % ARRAY_SIZE(opcodes)]};

	rule.times = 1u + rd_u8(r) % 3;
	rule.action = (enum fake_action)(rd_u8(r) % (FAKE_SHORT + 1));
	rule.status = rd_u8(r);
	/* "done" that is not, and "there is no such instance" where there is one, are lies; other refusals are not */
	w.hostile |= rule.action != FAKE_STATUS || !rule.status || rule.status == MGMT_STATUS_INVALID_PARAMS;
	fake_rules_clear(w.fk);
	fake_rule(w.fk, &rule);
}

static void do_power(struct rd *r)
{
	if (adapter() && !op_live(&w.power))
		(void)adapter_power(adapter(), rd_u8(r) & 1, &w.power, rd_u8(r) * 50u);
}

static void do_adapter(enum what what, struct rd *r)
{
	struct fake_controller c = {.addr = "00:AA:01:00:00:42", .extended = true, .adv_sets = 4};

	if (what == PLUG) {
		c.extended = rd_u8(r) & 1;
		c.adv_sets = 1 + rd_u8(r) % 5;
		if (!is_plugged())
			fake_adapter_plug(w.fk, 0, &c);
	} else if (!is_plugged()) {
		return;
	} else if (what == UNPLUG) {
		fake_adapter_unplug(w.fk, 0);
	} else {
		fake_adapter_power(w.fk, 0, rd_u8(r) & 1);
	}
}

static void do_event(enum what what, struct rd *r)
{
	uint8_t code = rd_u8(r);

	w.hostile = true; /* what the program believes of the kernel need not be true any more */
	if (what == MGMT_EVENT)
		fake_mgmt_event(w.fk,
		                code & 1 ? MGMT_EV_ADVERTISING_ADDED : MGMT_EV_ADVERTISING_REMOVED,
		                0, r->p, r->left);
	else
		fake_hci_event(w.fk, 0, code & 1 ? HCIP_EV_LE_META : HCIP_EV_DISCONNECTED, r->p,
		               r->left);
}

static void do_one(enum what what, struct rd *r)
{
	struct slot *s;

	switch (what) {
	case START:
		do_start(r);
		break;
	case FREE:
		s = slot(r);
		s->adv = adv_free(s->adv);
		break;
	case UPDATE:
		do_update(r);
		break;
	case STOP_ONE:
		s = slot(r);
		if (s->adv)
			adv_stop(s->adv);
		break;
	case CENTRAL:
		do_central(r);
		break;
	case LINK_DROP:
		do_link_drop(r);
		break;
	case TAKEN_FALSELY:
		do_taken_falsely(r);
		break;
	case OTHERS_ADD:
	case OTHERS_REMOVE:
		do_others(what, r);
		break;
	case TIME:
		FUZZ_CHECK(loop_advance(w.loop, rd_le16(r) & 0x3fff) == 0);
		break;
	case POWER_OUTSIDE:
	case UNPLUG:
	case PLUG:
		do_adapter(what, r);
		break;
	case POWER:
		do_power(r);
		break;
	case RULE:
		do_rule(r);
		break;
	case MGMT_EVENT:
	case HCI_EVENT:
		do_event(what, r);
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
	static const uint8_t five_sets[] = {1, 4};

	w = (struct world){0};
	FUZZ_CHECK(loop_new_virtual(&w.loop) == 0);
	w.fk = fake_kernel_new(w.loop);
	op_init(&w.power, w.loop, on_done);
	for (size_t i = 0; i < SLOTS; i++) {
		op_init(&w.slots[i].op, w.loop, on_started);
		op_init(&w.slots[i].update, w.loop, on_done);
	}
	do_adapter(PLUG, &(struct rd){.p = five_sets, .left = sizeof(five_sets)});
	FUZZ_CHECK(manager_new(w.loop, fake_kernel_table(w.fk), &config, &events, NULL,
	                       &w.manager) == 0);
	(void)loop_settle(w.loop);
}

/* Without an advertiser the kernel must not advertise for us; but a kernel that lied has misled us, and others' are theirs. */
static void check_silence(void)
{
	for (size_t i = 0; i < SLOTS; i++)
		w.slots[i].adv = adv_free(w.slots[i].adv);
	fake_rules_clear(w.fk);
	FUZZ_CHECK(loop_advance(w.loop, 60000) == 0);
	if (w.hostile || !is_plugged() || !adapter() || w.stopping)
		return;
	FUZZ_CHECK(fake_advs(w.fk, 0) <= adv_count(adapter()));
}

static void finish(void)
{
	check_silence();
	if (is_plugged())
		fake_adapter_unplug(w.fk, 0);
	(void)loop_advance(w.loop, 60000);
	for (size_t i = 0; i < SLOTS; i++)
		FUZZ_CHECK(!op_live(&w.slots[i].op) && !op_live(&w.slots[i].update));
	FUZZ_CHECK(!op_live(&w.power));
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
		FUZZ_CHECK(loop_settle(w.loop) == 0);
	}
	finish();
	return 0;
}
