/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Advertisers against a fake kernel: start, update, every end, what others do, and what the radio's power does. Virtual time. */
#include "aiobled/adv.h"

#include <errno.h>

#include "aiobled/cleanup.h"
#include "aiobled/conn.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/result.h"

#include "test.h"
#include "world.h"

#define CLIENTS_MAX 6

static struct client {
	struct adv *adv;
	struct op op, update;
	int done, res, updated, update_res;
	int connected, finished, states;
	enum adv_end end;
	int end_res;
	uint16_t handle;
	bool free_inside, free_when_connected;
} clients[CLIENTS_MAX];

static const struct adv_params plain = {.interval_us = 100000, .connectable = true};

static struct adv_payload payload(const char *name)
{
	struct adv_fields f = {.name = name};
	struct adv_fault fault;
	struct adv_payload p;

	assert_int_equal(adv_payload_build(&f, false, &p, &fault), 0);
	return p;
}

static void on_done(struct op *op, int res)
{
	struct client *c = container_of(op, struct client, op);

	c->done++;
	c->res = res;
	if (res)
		c->adv = adv_free(c->adv);
}

static void on_updated(struct op *op, int res)
{
	struct client *c = container_of(op, struct client, update);

	c->updated++;
	c->update_res = res;
}

static void on_connected(struct adv *adv, struct conn *conn, void *data)
{
	struct client *c = data;

	assert_int_equal(c->done, 1); /* nothing is told before the start is */
	assert_int_equal(c->finished, 0);
	c->connected++;
	c->handle = conn_handle(conn);
	if (c->free_when_connected)
		c->adv = adv_free(c->adv);
}

static void on_state(struct adv *adv, void *data)
{
	struct client *c = data;

	assert_int_equal(c->done, 1);
	c->states++;
}

static void on_finished(struct adv *adv, enum adv_end end, int res, void *data)
{
	struct client *c = data;

	assert_int_equal(c->done, 1);
	assert_int_equal(c->res, 0);
	assert_int_equal(adv_state(adv), ADV_FINISHED);
	c->finished++;
	c->end = end;
	c->end_res = res;
	if (c->free_inside)
		c->adv = adv_free(c->adv);
}

struct waiter {
	struct op op;
	int done, res;
};

static void on_waited(struct op *op, int res)
{
	struct waiter *w = container_of(op, struct waiter, op);

	w->done++;
	w->res = res;
}

static const struct adv_events events = {.connected = on_connected, .state = on_state, .finished = on_finished};

/* Starts the n-th client's advertiser; what adv_new() says. */
static int start_with(size_t n, const struct adv_params *params, const struct adv_payload *p, uint32_t timeout_ms)
{
	struct client *c = &clients[n];
	int r;

	*c = (struct client){0};
	op_init(&c->op, world.loop, on_done);
	op_init(&c->update, world.loop, on_updated);
	r = adv_new(world.adapter, params, p, &events, c, &c->op, timeout_ms, &c->adv);
	assert_int_equal(c->done, 0); /* never from inside the call */
	return r;
}

static void start(size_t n, const struct adv_params *params)
{
	static const char *const names[] = {"zero", "one", "two", "three", "four", "five"};
	struct adv_payload p = payload(names[n]);

	assert_int_equal(start_with(n, params, &p, 5000), 0);
	world_advance(0);
	assert_int_equal(clients[n].done, 1);
	assert_int_equal(clients[n].res, 0);
	assert_int_equal(adv_state(clients[n].adv), ADV_RUNNING);
}

static void update(size_t n, const struct adv_payload *p)
{
	assert_int_equal(adv_update(clients[n].adv, p, &clients[n].update, 5000), 0);
}

static const struct fake_adv *on_air(uint8_t instance)
{
	const struct fake_adv *a = fake_adv(world.fk, 0, instance);

	return a && a->on_air ? a : NULL;
}

static void expect_end(size_t n, enum adv_end end, int res)
{
	world_advance(0);
	assert_int_equal(clients[n].finished, 1);
	assert_int_equal(clients[n].end, end);
	assert_int_equal(clients[n].end_res, res);
}

static int setup(void **state)
{
	memset(clients, 0, sizeof(clients));
	healthy = (struct fake_controller){.addr = ADDR0, .extended = true};
	return world_setup(state);
}

static int teardown(void **state)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		clients[i].adv = adv_free(clients[i].adv);
	return world_teardown(state);
}

static struct addr central(unsigned int n)
{
	struct addr a;
	char s[ADDR_STR_MAX];

	(void)snprintf(s, sizeof(s), "00:AA:01:07:00:%02X", n);
	assert_int_equal(addr_parse(s, ADDR_PUBLIC, &a), 0);
	return a;
}

/* --- start --- */

static void starts(void **state)
{
	const struct fake_adv *a;

	world_ready();
	assert_int_equal(adv_max(world.adapter), 3);
	assert_int_equal(adv_count(world.adapter), 0);
	assert_true(adv_extended(world.adapter));
	start(0, &plain);
	a = on_air(1);
	assert_non_null(a);
	assert_int_equal(a->flags & MGMT_ADV_CONNECTABLE, MGMT_ADV_CONNECTABLE);
	assert_int_equal(a->flags & MGMT_ADV_HAS_SCAN_RSP, 0);
	assert_int_equal(a->min_interval, 160);
	assert_int_equal(a->max_interval, 160);
	assert_memory_equal(a->adv, "\x02\x01\x06\x05\x09zero", 9);
	assert_int_equal(a->adv_len, 9);
	assert_int_equal(a->rsp_len, 0);
	assert_int_equal(adv_count(world.adapter), 1);
	assert_int_equal(adv_interval_us(clients[0].adv), 100000);
	clients[0].adv = adv_free(clients[0].adv);
	world_advance(0);
	assert_int_equal(fake_advs(world.fk, 0), 0);
	assert_int_equal(adv_count(world.adapter), 0);
	assert_int_equal(clients[0].finished, 0); /* freed silently */
}

static void kinds_of_advertising(void **state)
{
	static const struct {
		bool connectable, extended, rsp;
		enum adv_phy phy;
		uint32_t flags;
	} rows[] = {
		{true, false, false, 0, MGMT_ADV_CONNECTABLE},
		{true, false, true, 0, MGMT_ADV_CONNECTABLE},
		{false, false, false, 0, 0},
		{false, false, true, 0, MGMT_ADV_HAS_SCAN_RSP},
		{true, true, false, ADV_PHY_1M, MGMT_ADV_CONNECTABLE | MGMT_ADV_SECONDARY_1M},
		{false, true, false, ADV_PHY_2M, MGMT_ADV_SECONDARY_2M},
	};

	world_ready();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct adv_params params = {.interval_us = 20000,
					    .connectable = rows[i].connectable,
					    .extended = rows[i].extended,
					    .secondary_phy = rows[i].phy};
		struct adv_payload p = payload("x");

		if (rows[i].rsp)
			memcpy(p.rsp, "\x02\x0a\x05", p.rsp_len = 3);
		assert_int_equal(start_with(0, &params, &p, 0), 0);
		world_advance(0);
		assert_non_null(on_air(1));
		assert_int_equal(on_air(1)->flags,
				 rows[i].flags | MGMT_ADV_HAS_INTERVALS | MGMT_ADV_HAS_DURATION);
		assert_int_equal(on_air(1)->duration, 1);
		clients[0].adv = adv_free(clients[0].adv);
		world_advance(0);
	}
}

static void tx_power_is_asked_of_those_that_can(void **state)
{
	struct adv_params params = {.interval_us = 20000, .has_tx_power = true, .tx_power_dbm = -8};

	world_ready();
	start(0, &params);
	assert_int_equal(on_air(1)->tx_dbm, -8);
	assert_int_equal(on_air(1)->flags & MGMT_ADV_HAS_TX_POWER, MGMT_ADV_HAS_TX_POWER);
}

static void intervals(void **state)
{
	static const struct {
		uint32_t us, units, effective;
	} rows[] = {{20000, 32, 20000}, {20624, 32, 20000}, {20625, 33, 20625}, {10240000, 16384, 10240000}};
	struct adv_payload p = payload("i");
	struct adv_params params = plain;

	world_ready();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		params.interval_us = rows[i].us;
		start(0, &params);
		assert_int_equal(on_air(1)->min_interval, rows[i].units);
		assert_int_equal(adv_interval_us(clients[0].adv), rows[i].effective);
		clients[0].adv = adv_free(clients[0].adv);
		world_advance(0);
	}
	params.interval_us = 19999;
	assert_int_equal(start_with(0, &params, &p, 0), -EINVAL);
	params.interval_us = 10240001;
	assert_int_equal(start_with(0, &params, &p, 0), -EINVAL);
}

static void legacy_controllers(void **state)
{
	struct adv_params params = {.interval_us = 1000000};
	struct adv_payload p = payload("x");

	healthy.extended = false;
	world_ready();
	assert_false(adv_extended(world.adapter));
	start(0, &params);
	assert_int_equal(adv_interval_us(clients[0].adv), 150000); /* not connectable: the kernel's own */
	params.connectable = true;
	start(1, &params);
	assert_int_equal(adv_interval_us(clients[1].adv), 1000000);
	params.extended = true;
	assert_int_equal(start_with(2, &params, &p, 0), -EOPNOTSUPP);
	assert_int_equal(fake_advs_on_air(world.fk, 0), 2);
}

static void phys_that_are_not_there(void **state)
{
	struct adv_params params = {.interval_us = 100000, .extended = true, .secondary_phy = ADV_PHY_CODED};
	struct adv_payload p = payload("x");

	world_ready();
	assert_int_equal(start_with(0, &params, &p, 0), 0);
	world_advance(0);
	assert_int_equal(clients[0].done, 1);
	assert_int_equal(clients[0].res, -EOPNOTSUPP);
	assert_int_equal(fake_advs(world.fk, 0), 0);
}

static void payloads_that_do_not_fit(void **state)
{
	struct adv_params params = plain;
	struct adv_payload p = {.adv_len = 32};

	world_ready();
	assert_int_equal(start_with(0, &params, &p, 0), -EMSGSIZE);
	p = (struct adv_payload){.rsp_len = 32};
	assert_int_equal(start_with(0, &params, &p, 0), -EMSGSIZE);
	params.extended = true;
	p = (struct adv_payload){.rsp_len = 1};
	assert_int_equal(start_with(0, &params, &p, 0), -EMSGSIZE);
}

static void waits_for_bring_up(void **state)
{
	struct adv_payload p = payload("early");

	fake_adapter_plug(world.fk, 0, &healthy);
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_SET_POWERED, 0, 1, FAKE_DELAY, .delay_ms = 500));
	assert_int_equal(world_start(), 0);
	assert_int_equal(adapter_state(world.adapter), ADAPTER_STARTING);
	assert_int_equal(start_with(0, &plain, &p, 0), 0);
	world_advance(100);
	assert_int_equal(clients[0].done, 0);
	world_advance(1000);
	assert_int_equal(clients[0].done, 1);
	assert_int_equal(clients[0].res, 0);
	assert_non_null(on_air(1));
}

static void a_start_that_bring_up_fails(void **state)
{
	struct adv_payload p = payload("early");

	fake_adapter_plug(world.fk, 0, &healthy);
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_SET_POWERED, 0, 0, FAKE_STATUS, .status = 3));
	assert_int_equal(world_start(), 0);
	if (adapter_state(world.adapter) == ADAPTER_STARTING) {
		assert_int_equal(start_with(0, &plain, &p, 0), 0);
		for (int i = 0; i < 100 && !clients[0].done; i++)
			world_advance(100);
		assert_int_equal(clients[0].res, -ENETDOWN);
	}
	assert_int_equal(adapter_state(world.adapter), ADAPTER_FAILED);
	assert_int_equal(start_with(1, &plain, &p, 0), -ENETDOWN);
}

static void refusals(void **state)
{
	static const struct {
		uint16_t opcode;
		enum fake_action action;
		uint8_t status;
		uint32_t after_ms;
		int res;
	} rows[] = {
		{MGMT_ADD_EXT_ADV_PARAMS, FAKE_STATUS, 0x0b, 0, RES_MGMT(0x0b)},
		{MGMT_ADD_EXT_ADV_DATA, FAKE_STATUS, 0x0d, 0, RES_MGMT(0x0d)},
		{MGMT_ADD_EXT_ADV_PARAMS, FAKE_SILENT, 0, 5000, -ETIMEDOUT},
		{MGMT_ADD_EXT_ADV_PARAMS, FAKE_LOST, 0, 5000, -ETIMEDOUT},
		{MGMT_ADD_EXT_ADV_DATA, FAKE_SILENT, 0, 5000, -ETIMEDOUT},
		{MGMT_ADD_EXT_ADV_DATA, FAKE_LOST, 0, 5000, -ETIMEDOUT},
	};
	struct adv_payload p = payload("no");

	world_ready();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_rule(world.fk, &(struct fake_rule){.opcode = rows[i].opcode,
							.index = 0,
							.times = 1,
							.action = rows[i].action,
							.status = rows[i].status});
		assert_int_equal(start_with(0, &plain, &p, 20000), 0);
		world_advance(rows[i].after_ms);
		assert_int_equal(clients[0].done, 1);
		assert_int_equal(clients[0].res, rows[i].res);
		assert_int_equal(clients[0].finished, 0);
		world_advance(25000); /* the place on the channel of a command without an answer */
		assert_int_equal(fake_advs(world.fk, 0), 0); /* whatever the kernel made of it is gone */
		assert_int_equal(adv_count(world.adapter), 0);
		fake_rules_clear(world.fk);
	}
	start(0, &plain);
}

static void a_late_answer_is_nobodys(void **state)
{
	struct adv_payload p = payload("late");

	world_ready();
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_ADD_EXT_ADV_DATA, 0, 1, FAKE_DELAY, .delay_ms = 3000));
	assert_int_equal(start_with(0, &plain, &p, 1000), 0);
	world_advance(999);
	assert_int_equal(clients[0].done, 0);
	world_advance(1);
	assert_int_equal(clients[0].done, 1);
	assert_int_equal(clients[0].res, -ETIMEDOUT);
	world_advance(5000);
	assert_int_equal(fake_advs(world.fk, 0), 0);
}

static void a_busy_kernel_is_asked_again(void **state)
{
	struct adv_payload p = payload("busy");

	world_ready();
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_ADD_EXT_ADV_PARAMS, 0, 3, FAKE_STATUS, .status = 0x0a));
	assert_int_equal(start_with(0, &plain, &p, 0), 0);
	world_advance(299);
	assert_int_equal(clients[0].done, 0);
	world_advance(1);
	assert_int_equal(clients[0].done, 1);
	assert_int_equal(clients[0].res, 0);
}

static void freed_in_every_moment(void **state)
{
	static const uint16_t commands[] = {MGMT_ADD_EXT_ADV_PARAMS, MGMT_ADD_EXT_ADV_DATA, MGMT_REMOVE_ADVERTISING};
	struct adv_payload p = payload("brief");

	world_ready();
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		fake_rule(world.fk,
			  &(struct fake_rule)FAKE_RULE(commands[i], 0, 1, FAKE_DELAY, .delay_ms = 100));
		assert_int_equal(start_with(0, &plain, &p, 0), 0);
		world_advance(50);
		clients[0].adv = adv_free(clients[0].adv);
		world_advance(200);
		assert_int_equal(fake_advs(world.fk, 0), 0);
		assert_int_equal(clients[0].finished, 0);
		fake_rules_clear(world.fk);
	}
}

static void several_and_no_more(void **state)
{
	struct adv_payload p = payload("more");

	world_ready();
	start(0, &plain);
	start(1, &plain);
	start(2, &plain);
	assert_int_equal(fake_advs_on_air(world.fk, 0), 3);
	assert_memory_equal(on_air(2)->adv + 5, "one", 3);
	assert_int_equal(start_with(3, &plain, &p, 0), -ENOSPC);
	clients[1].adv = adv_free(clients[1].adv);
	assert_int_equal(start_with(3, &plain, &p, 0), 0); /* waits for the removal of the other */
	world_advance(0);
	assert_int_equal(clients[3].res, 0);
	assert_memory_equal(on_air(2)->adv + 5, "more", 4);
}

static void started_at_once_one_after_the_other(void **state)
{
	struct adv_payload p = payload("x");
	const uint16_t *log;
	size_t n;

	world_ready();
	fake_log_clear(world.fk);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(start_with(i, &plain, &p, 0), 0);
	world_advance(0);
	n = fake_log(world.fk, &log);
	assert_int_equal(n, 6);
	for (size_t i = 0; i < 6; i++)
		assert_int_equal(log[i], i % 2 ? MGMT_ADD_EXT_ADV_DATA : MGMT_ADD_EXT_ADV_PARAMS);
	assert_int_equal(fake_advs_on_air(world.fk, 0), 3);
}

static void what_a_predecessor_left(void **state)
{
	fake_adapter_plug(world.fk, 0, &healthy);
	assert_int_equal(world_start(), 0);
	fake_adapter_power(world.fk, 0, false); /* others turn it off, advertise, and on */
	world_advance(1000);
	fake_adv_leave(world.fk, 0, 1);
	fake_adv_leave(world.fk, 0, 3);
	fake_adapter_power(world.fk, 0, true);
	world_advance(1000);
	assert_int_equal(adapter_state(world.adapter), ADAPTER_READY);
	assert_int_equal(fake_advs(world.fk, 0), 0);
	start(0, &plain);
	assert_non_null(on_air(1));
}

/* --- update --- */

static void updates_in_place(void **state)
{
	struct adv_payload p = payload("new");

	world_ready();
	start(0, &plain);
	fake_log_clear(world.fk);
	update(0, &p);
	world_advance(0);
	assert_int_equal(clients[0].updated, 1);
	assert_int_equal(clients[0].update_res, 0);
	assert_memory_equal(on_air(1)->adv + 5, "new", 3);
	assert_int_equal(fake_count(world.fk, MGMT_ADD_EXT_ADV_PARAMS, 0), 0);
	assert_int_equal(fake_count(world.fk, MGMT_REMOVE_ADVERTISING, 0), 0);
	assert_int_equal(fake_count(world.fk, MGMT_ADD_EXT_ADV_DATA, 0), 1);
}

static void an_update_takes_the_scan_response_away(void **state)
{
	struct adv_payload with = payload("with"), without = payload("without");

	memcpy(with.rsp, "\x02\x0a\x05", with.rsp_len = 3);
	world_ready();
	for (int connectable = 0; connectable <= 1; connectable++) {
		struct adv_params params = {.interval_us = 100000, .connectable = connectable};

		assert_int_equal(start_with(0, &params, &with, 0), 0);
		world_advance(0);
		update(0, &without);
		world_advance(0);
		assert_int_equal(clients[0].updated, 1);
		assert_int_equal(clients[0].update_res, 0);
		assert_int_equal(fake_advs(world.fk, 0), 1);
		for (uint8_t i = 1; i <= 3; i++) {
			if (!on_air(i))
				continue;
			assert_int_equal(on_air(i)->rsp_len, 0);
			assert_int_equal(on_air(i)->flags & MGMT_ADV_HAS_SCAN_RSP, 0);
		}
		assert_int_equal(adv_state(clients[0].adv), ADV_RUNNING);
		clients[0].adv = adv_free(clients[0].adv);
		world_advance(0);
	}
}

static void a_refused_update_changes_nothing(void **state)
{
	struct adv_payload p = payload("refused");

	world_ready();
	start(0, &plain);
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_ADD_EXT_ADV_DATA, 0, 1, FAKE_STATUS, .status = 0x03));
	update(0, &p);
	world_advance(0);
	assert_int_equal(clients[0].updated, 1);
	assert_int_equal(clients[0].update_res, RES_MGMT(3));
	assert_int_equal(clients[0].finished, 0);
	assert_int_equal(fake_advs_on_air(world.fk, 0), 1);
	for (uint8_t i = 1; i <= 3; i++)
		if (on_air(i))
			assert_memory_equal(on_air(i)->adv + 5, "zero", 4);
	assert_memory_equal(adv_payload(clients[0].adv)->adv + 5, "zero", 4);
}

static void updates_under_way_become_one(void **state)
{
	struct adv_payload a = payload("a"), b = payload("b");
	struct waiter second = {0};

	world_ready();
	start(0, &plain);
	start(1, &plain);
	fake_log_clear(world.fk);
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_ADD_EXT_ADV_DATA, 0, 1, FAKE_DELAY, .delay_ms = 100));
	update(1, &a); /* keeps the channel busy */
	world_advance(10);
	op_init(&second.op, world.loop, on_waited);
	update(0, &a);
	assert_int_equal(adv_update(clients[0].adv, &b, &second.op, 0), 0);
	world_advance(200);
	assert_int_equal(clients[0].updated, 1);
	assert_int_equal(second.done, 1);
	assert_int_equal(second.res, 0);
	assert_int_equal(fake_count(world.fk, MGMT_ADD_EXT_ADV_DATA, 0), 2);
	assert_memory_equal(on_air(1)->adv + 5, "b", 1);
}

static void an_update_of_what_is_over(void **state)
{
	struct adv_payload p = payload("x"), big = {.adv_len = 40};

	world_ready();
	start(0, &plain);
	assert_int_equal(adv_update(clients[0].adv, &big, &clients[0].update, 0), -EMSGSIZE);
	adv_stop(clients[0].adv);
	assert_int_equal(adv_update(clients[0].adv, &p, &clients[0].update, 0), -ESHUTDOWN);
	world_advance(0);
	assert_int_equal(adv_update(clients[0].adv, &p, &clients[0].update, 0), -ESHUTDOWN);
	start(1, &plain);
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_ADD_EXT_ADV_DATA, 0, 1, FAKE_SILENT));
	update(1, &p);
	world_advance(10);
	adv_stop(clients[1].adv);
	world_advance(10000); /* the update's own time is over, too */
	assert_int_equal(clients[1].updated, 1);
	assert_int_equal(clients[1].update_res, -ETIMEDOUT);
	expect_end(1, ADV_END_STOPPED, 0);
}

/* --- ends --- */

static void stops(void **state)
{
	world_ready();
	start(0, &plain);
	adv_stop(clients[0].adv);
	assert_int_equal(clients[0].finished, 0); /* never from inside the call */
	expect_end(0, ADV_END_STOPPED, 0);
	assert_int_equal(fake_advs(world.fk, 0), 0);
	adv_stop(clients[0].adv); /* again: nothing */
	world_advance(0);
	assert_int_equal(clients[0].finished, 1);
}

static void a_stop_before_the_start(void **state)
{
	struct adv_payload p = payload("x");

	world_ready();
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_ADD_EXT_ADV_PARAMS, 0, 1, FAKE_DELAY, .delay_ms = 100));
	assert_int_equal(start_with(0, &plain, &p, 0), 0);
	world_advance(10);
	adv_stop(clients[0].adv);
	world_advance(200);
	assert_int_equal(clients[0].done, 1);
	assert_int_equal(clients[0].res, -ECANCELED);
	assert_int_equal(fake_advs(world.fk, 0), 0);
}

/* Too late to call the start off: it is told, and then the end; no state in between. */
/* The kernel is asked no more, and the answer is all that was waited for. */
static void a_stop_while_the_kernel_is_busy(void **state)
{
	static const uint8_t busy[] = {MGMT_ADD_EXT_ADV_PARAMS & 0xff, MGMT_ADD_EXT_ADV_PARAMS >> 8,
				       MGMT_STATUS_BUSY};
	struct adv_payload p = payload("busy");

	world_ready();
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_ADD_EXT_ADV_PARAMS, 0, 1, FAKE_SILENT));
	assert_int_equal(start_with(0, &plain, &p, 0), 0);
	world_advance(10);
	adv_stop(clients[0].adv);
	fake_mgmt_event(world.fk, MGMT_EV_CMD_STATUS, 0, busy, sizeof(busy));
	world_advance(500);
	assert_int_equal(clients[0].done, 1);
	assert_int_equal(clients[0].res, -ECANCELED);
}

static void a_stop_just_before_the_start(void **state)
{
	struct adv_payload p = payload("x");

	world_ready();
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_ADD_EXT_ADV_DATA, 0, 1, FAKE_DELAY, .delay_ms = 100));
	assert_int_equal(start_with(0, &plain, &p, 0), 0);
	world_advance(10);
	adv_stop(clients[0].adv);
	world_advance(200);
	assert_int_equal(clients[0].done, 1);
	assert_int_equal(clients[0].res, 0);
	assert_int_equal(clients[0].states, 0);
	expect_end(0, ADV_END_STOPPED, 0);
	assert_int_equal(fake_advs(world.fk, 0), 0);
}

static void times_out(void **state)
{
	struct adv_params params = plain;

	params.timeout_ms = 1500;
	world_ready();
	start(0, &params);
	clients[0].free_inside = true;
	world_advance(1499);
	assert_int_equal(clients[0].finished, 0);
	assert_non_null(on_air(1));
	world_advance(1);
	expect_end(0, ADV_END_TIMEOUT, 0);
	assert_int_equal(fake_advs(world.fk, 0), 0);
}

static void a_removal_that_is_refused_is_tried_again(void **state)
{
	world_ready();
	start(0, &plain);
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_REMOVE_ADVERTISING, 0, 1, FAKE_STATUS, .status = 0x03));
	adv_stop(clients[0].adv);
	world_advance(99);
	assert_int_equal(clients[0].finished, 0); /* it is still on the air: tried again */
	world_advance(1);
	expect_end(0, ADV_END_STOPPED, 0);
	assert_int_equal(fake_advs(world.fk, 0), 0);
}

static void a_removal_that_is_always_refused(void **state)
{
	world_ready();
	start(0, &plain);
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_REMOVE_ADVERTISING, 0, 0, FAKE_STATUS, .status = 0x03));
	adv_stop(clients[0].adv);
	world_advance(3000);
	expect_end(0, ADV_END_STOPPED, 0);
	start(1, &plain);
	assert_non_null(on_air(2)); /* the number of the other is not free */
	assert_memory_equal(on_air(1)->adv + 5, "zero", 4);
}

/* --- others --- */

static void lost_once_it_comes_back(void **state)
{
	world_ready();
	start(0, &plain);
	fake_adv_remove(world.fk, 0, 1);
	world_advance(100);
	assert_int_equal(adv_state(clients[0].adv), ADV_PAUSED);
	assert_int_equal(clients[0].states, 1);
	world_advance(200);
	assert_int_equal(adv_state(clients[0].adv), ADV_RUNNING);
	assert_int_equal(clients[0].states, 2);
	assert_int_equal(fake_advs_on_air(world.fk, 0), 1);
	fake_adv_remove(world.fk, 0, 1);
	world_advance(200); /* it might have been the power */
	expect_end(0, ADV_END_FAILED, -EBUSY);
}

static void lost_now_and_then_it_comes_back(void **state)
{
	world_ready();
	start(0, &plain);
	for (int i = 0; i < 3; i++) {
		fake_adv_remove(world.fk, 0, 1);
		world_advance(61000);
		assert_int_equal(adv_state(clients[0].adv), ADV_RUNNING);
	}
	assert_int_equal(clients[0].finished, 0);
}

static void others_instances_are_left_alone(void **state)
{
	struct adv_payload p = payload("x");

	world_ready();
	fake_adv_add(world.fk, 0, 1);
	world_advance(0);
	assert_int_equal(adv_count(world.adapter), 1);
	assert_non_null(strstr(adapter_conflict(world.adapter), "advertises"));
	start(0, &plain);
	start(1, &plain);
	assert_int_equal(start_with(2, &plain, &p, 0), -ENOSPC);
	assert_int_equal(on_air(1)->adv_len, 0); /* still the other's */
	fake_adv_remove(world.fk, 0, 1);
	world_advance(0);
	start(2, &plain);
	assert_memory_equal(on_air(1)->adv + 5, "two", 3);
}

static void replaced_by_others_it_takes_another_place(void **state)
{
	world_ready();
	start(0, &plain);
	fake_adv_add(world.fk, 0, 1);
	world_advance(300);
	assert_int_equal(adv_state(clients[0].adv), ADV_RUNNING);
	assert_memory_equal(on_air(2)->adv + 5, "zero", 4);
	assert_int_equal(on_air(1)->adv_len, 0);
}

static void malformed_events_are_counted(void **state)
{
	struct adapter_stats stats;
	uint8_t set[5] = {HCIP_LE_ADV_SET_TERMINATED, 0, 1, 0, 0};

	world_ready();
	start(0, &plain);
	fake_mgmt_event(world.fk, MGMT_EV_ADVERTISING_REMOVED, 0, NULL, 0);
	fake_hci_event(world.fk, 0, HCIP_EV_LE_META, set, 4);
	fake_mgmt_event(world.fk, MGMT_EV_ADVERTISING_REMOVED, 0, "\xff", 1);
	fake_mgmt_event(world.fk, MGMT_EV_ADVERTISING_ADDED, 0, "\xff", 1);
	fake_mgmt_event(world.fk, MGMT_EV_ADVERTISING_REMOVED, 0, "\x02", 1);
	world_advance(1000);
	adapter_get_stats(world.adapter, &stats);
	assert_int_equal(stats.events_malformed, 2);
	assert_int_equal(adv_state(clients[0].adv), ADV_RUNNING);
}

/* --- power --- */

static void power(bool on)
{
	struct waiter w = {0};

	op_init(&w.op, world.loop, on_waited);
	assert_int_equal(adapter_power(world.adapter, on, &w.op, 0), 0);
	world_advance(100);
	assert_int_equal(w.done, 1);
	assert_int_equal(w.res, 0);
}

static void survives_power_off(void **state)
{
	struct adv_payload p = payload("meanwhile");

	world_ready();
	start(0, &plain);
	power(false);
	assert_int_equal(adv_state(clients[0].adv), ADV_PAUSED);
	assert_int_equal(fake_advs(world.fk, 0), 0);
	update(0, &p);
	world_advance(0);
	assert_int_equal(clients[0].updated, 1);
	power(true);
	assert_int_equal(adv_state(clients[0].adv), ADV_RUNNING);
	assert_memory_equal(on_air(1)->adv + 5, "meanwhile", 9);
	assert_int_equal(clients[0].states, 2);
	assert_int_equal(clients[0].done, 1);
}

static void survives_power_off_by_others(void **state)
{
	struct adv_params params = plain;

	params.timeout_ms = 10000;
	world_ready();
	start(0, &params);
	fake_adapter_power(world.fk, 0, false);
	world_advance(1000);
	assert_int_equal(adv_state(clients[0].adv), ADV_PAUSED);
	fake_adapter_power(world.fk, 0, true);
	world_advance(1000);
	assert_int_equal(adv_state(clients[0].adv), ADV_RUNNING);
	assert_int_equal(fake_advs_on_air(world.fk, 0), 1);
	fake_adapter_power(world.fk, 0, false);
	world_advance(8000); /* its time runs on */
	assert_int_equal(clients[0].finished, 1);
	assert_int_equal(clients[0].end, ADV_END_TIMEOUT);
}

static void work_turns_the_radio_on(void **state)
{
	struct adv_payload p = payload("x");

	world_ready();
	power(false);
	assert_int_equal(start_with(0, &plain, &p, 0), 0);
	world_advance(1000);
	assert_int_equal(clients[0].done, 1);
	assert_int_equal(clients[0].res, 0);
	assert_non_null(on_air(1));
}

static void unplugged(void **state)
{
	struct adv_payload p = payload("x");

	world_ready();
	start(0, &plain);
	start(1, &plain);
	clients[1].free_inside = true;
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_ADD_EXT_ADV_PARAMS, 0, 1, FAKE_SILENT));
	assert_int_equal(start_with(2, &plain, &p, 0), 0);
	world_advance(0);
	fake_adapter_unplug(world.fk, 0);
	world_advance(1000);
	expect_end(0, ADV_END_FAILED, -ENODEV);
	expect_end(1, ADV_END_FAILED, -ENODEV);
	assert_int_equal(clients[2].done, 1);
	assert_true(clients[2].res == -ENETDOWN || clients[2].res == -ENODEV);
	assert_int_equal(adv_state(clients[0].adv), ADV_FINISHED);
	adv_stop(clients[0].adv);
	assert_int_equal(adv_update(clients[0].adv, &p, &clients[0].update, 0), -ESHUTDOWN);
}

static void on_stopped(void *data)
{
	*(bool *)data = true;
}

static void the_daemon_stops(void **state)
{
	struct adv_payload p = payload("x");
	bool done = false;

	world_ready();
	start(0, &plain);
	start(1, &plain);
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_ADD_EXT_ADV_PARAMS, 0, 1, FAKE_DELAY, .delay_ms = 50));
	assert_int_equal(start_with(2, &plain, &p, 0), 0);
	world_advance(10);
	manager_stop(world.manager, on_stopped, &done);
	assert_int_equal(start_with(3, &plain, &p, 0), -ENETDOWN);
	world_advance(3000);
	assert_true(done);
	expect_end(0, ADV_END_FAILED, -ECANCELED);
	expect_end(1, ADV_END_FAILED, -ECANCELED);
	assert_int_equal(clients[2].res, -ECANCELED);
	assert_int_equal(fake_advs(world.fk, 0), 0);
	assert_true(fake_count(world.fk, MGMT_REMOVE_ADVERTISING, 0) >= 3); /* not by the power alone */
}

/* --- links --- */

/* A central connects to @instance; @order as in fake_link_tell(), with 's' for the controller's word about the set. */
static struct fake_link *connects(uint8_t instance, unsigned int who, uint16_t handle, const char *order)
{
	struct addr peer = central(who);
	struct fake_link *link = fake_link_incoming(world.fk, 0, &peer, handle, "");

	for (; *order; order++) {
		if (*order == 's')
			fake_adv_taken(world.fk, 0, instance, handle);
		else
			fake_link_tell(link, (char[]){*order, '\0'});
	}
	return link;
}

static void a_central_connects(void **state)
{
	static const char *const orders[] = {"hsam", "ahsm", "mahs", "hmsa", "amhs"};

	world_ready();
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		struct fake_link *link;

		start(0, &plain);
		link = connects(1, 1, (uint16_t)(0x40 + i), orders[i]);
		world_advance(200);
		assert_int_equal(clients[0].connected, 1);
		assert_int_equal(clients[0].handle, 0x40 + i);
		expect_end(0, ADV_END_CONNECTED, 0);
		assert_int_equal(fake_advs(world.fk, 0), 0); /* or the kernel would put it on the air with the end of the link */
		fake_link_drop(link, 0x13);
		world_advance(1000);
		assert_int_equal(fake_advs_on_air(world.fk, 0), 0);
		assert_int_equal(clients[0].finished, 1);
		clients[0].adv = adv_free(clients[0].adv);
		world_advance(3000);
	}
}

static void the_controller_says_which(void **state)
{
	world_ready();
	start(0, &plain);
	start(1, &plain);
	(void)connects(2, 1, 0x40, "hsam");
	world_advance(200);
	assert_int_equal(clients[0].connected, 0);
	assert_int_equal(clients[1].connected, 1);
	expect_end(1, ADV_END_CONNECTED, 0);
	assert_non_null(on_air(1));
	assert_int_equal(clients[0].finished, 0);
	(void)connects(1, 2, 0x41, "ahsm");
	world_advance(200);
	assert_int_equal(clients[0].connected, 1);
	assert_int_equal(clients[0].handle, 0x41);
}

static void without_sets_it_is_the_oldest(void **state)
{
	struct adv_params beacon = {.interval_us = 100000};

	healthy.extended = false;
	world_ready();
	start(0, &beacon);
	start(1, &plain);
	start(2, &plain);
	(void)connects(2, 1, 0x40, "sham");
	world_advance(200);
	assert_int_equal(clients[0].connected, 0);
	assert_int_equal(clients[1].connected, 1);
	assert_int_equal(clients[2].connected, 0);
	expect_end(1, ADV_END_CONNECTED, 0);
}

static void a_silent_controller_leaves_a_guess(void **state)
{
	world_ready();
	start(0, &plain);
	(void)connects(1, 1, 0x40, "ham");
	world_advance(10);
	assert_int_equal(clients[0].connected, 0);
	world_advance(200);
	assert_int_equal(clients[0].connected, 1);
	expect_end(0, ADV_END_CONNECTED, 0);
}

static void one_set_has_handle_zero(void **state)
{
	healthy.adv_sets = 1;
	world_ready();
	start(0, &plain);
	(void)connects(1, 1, 0x40, "hs");
	world_advance(10);
	assert_int_equal(fake_advs(world.fk, 0), 0); /* known at once */
}

static void it_goes_on_when_asked(void **state)
{
	for (int extended = 0; extended <= 1; extended++) {
		struct adv_params params = plain;
		struct fake_link *link;

		params.keep = true;
		healthy.extended = extended;
		if (extended) {
			clients[0].adv = adv_free(clients[0].adv);
			(void)world_teardown(NULL);
			(void)world_setup(NULL);
		}
		world_ready();
		start(0, &params);
		link = connects(1, 1, 0x40, extended ? "hsam" : "sham");
		world_advance(500);
		assert_int_equal(clients[0].connected, 1);
		assert_int_equal(clients[0].finished, 0);
		assert_non_null(on_air(1));
		assert_int_equal(adv_state(clients[0].adv), ADV_RUNNING);
		(void)connects(1, 2, 0x41, extended ? "hsam" : "sham");
		world_advance(500);
		assert_int_equal(clients[0].connected, 2);
		assert_int_equal(clients[0].handle, 0x41);
		assert_non_null(on_air(1));
		fake_link_drop(link, 0x13);
		world_advance(500);
		assert_non_null(on_air(1));
		assert_int_equal(clients[0].finished, 0);
	}
}

static void beside_a_link_some_controllers_do_not(void **state)
{
	struct adv_params params = plain;
	struct fake_link *link;

	params.keep = true;
	world_ready();
	start(0, &params);
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_ADD_EXT_ADV_DATA, 0, 0, FAKE_STATUS, .status = 0x0b));
	link = connects(1, 1, 0x40, "hsam");
	world_advance(500);
	assert_int_equal(clients[0].connected, 1);
	assert_int_equal(clients[0].finished, 0);
	assert_int_equal(adv_state(clients[0].adv), ADV_PAUSED);
	fake_rules_clear(world.fk);
	fake_link_drop(link, 0x13);
	world_advance(500);
	assert_int_equal(adv_state(clients[0].adv), ADV_RUNNING);
	assert_non_null(on_air(1));
}

static void a_link_that_never_was_one(void **state)
{
	struct fake_link *link;

	world_ready();
	start(0, &plain);
	link = connects(1, 1, 0x40, "hs");
	world_advance(10);
	assert_int_equal(fake_advs(world.fk, 0), 0);
	fake_link_drop(link, 0x3e);
	world_advance(500);
	assert_int_equal(clients[0].connected, 0);
	assert_int_equal(clients[0].finished, 0);
	assert_non_null(on_air(1));
	assert_int_equal(adv_state(clients[0].adv), ADV_RUNNING);
}

/* Its time is over just when a central connects: the link finds it, whatever came first. */
static void a_link_in_the_last_moment(void **state)
{
	struct adv_params params = plain;

	params.timeout_ms = 1000;
	world_ready();
	start(0, &params);
	world_advance(999);
	fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_REMOVE_ADVERTISING, 0, 1, FAKE_DELAY, .delay_ms = 50));
	world_advance(10);
	assert_int_equal(clients[0].finished, 0);
	/* the fake has removed it by now, so what the controller says of it is told by hand */
	{
		uint8_t set[6] = {HCIP_LE_ADV_SET_TERMINATED, 0, 1, 0x40, 0, 0};
		struct fake_link *link = connects(1, 1, 0x40, "h");

		fake_hci_event(world.fk, 0, HCIP_EV_LE_META, set, sizeof(set));
		fake_link_tell(link, "am");
	}
	world_advance(200);
	assert_int_equal(clients[0].connected, 1);
	expect_end(0, ADV_END_CONNECTED, 0);
}

/* The set is on the air as soon as the kernel has told the controller, which is before it has told us. */
static void a_link_before_the_kernels_answer(void **state)
{
	struct adv_params params = plain;
	struct adv_payload p = payload("early");

	for (int i = 0; i < 4; i++) {
		bool keep = i & 1;

		params.keep = keep;
		healthy.extended = i & 2;
		if (i) {
			clients[0].adv = adv_free(clients[0].adv);
			(void)world_teardown(NULL);
			(void)world_setup(NULL);
		}
		world_ready();
		fake_rule(world.fk, &(struct fake_rule)FAKE_RULE(MGMT_ADD_EXT_ADV_DATA, 0, 1, FAKE_DELAY, .delay_ms = 100));
		assert_int_equal(start_with(0, &params, &p, 5000), 0);
		world_advance(50);
		assert_int_equal(clients[0].done, 0);
		(void)connects(1, 1, 0x40, healthy.extended ? "hsam" : "sham");
		world_advance(500);
		assert_int_equal(clients[0].done, 1);
		assert_int_equal(clients[0].res, 0);
		assert_int_equal(clients[0].connected, 1);
		if (keep) {
			assert_int_equal(clients[0].finished, 0);
			assert_int_equal(adv_state(clients[0].adv), ADV_RUNNING);
			assert_non_null(on_air(1));
		} else {
			expect_end(0, ADV_END_CONNECTED, 0);
			assert_int_equal(fake_advs(world.fk, 0), 0);
		}
	}
}

static void freed_when_connected(void **state)
{
	world_ready();
	start(0, &plain);
	clients[0].free_when_connected = true;
	(void)connects(1, 1, 0x40, "hsam");
	world_advance(200);
	assert_int_equal(clients[0].connected, 1);
	assert_int_equal(clients[0].finished, 0);
	assert_int_equal(fake_advs(world.fk, 0), 0);
}

/* A set that cannot be connected to is named: nobody is told of a central. */
static void a_controller_that_names_the_wrong_set(void **state)
{
	struct adv_params beacon = {.interval_us = 100000};

	world_ready();
	start(0, &beacon);
	(void)connects(1, 1, 0x40, "hsam");
	world_advance(200);
	assert_int_equal(clients[0].connected, 0);
	assert_int_equal(clients[0].finished, 0);
}

static void freed_before_the_link_is_usable(void **state)
{
	struct fake_link *link;

	world_ready();
	start(0, &plain);
	start(1, &plain);
	link = connects(1, 1, 0x40, "hs");
	world_advance(0);
	clients[0].adv = adv_free(clients[0].adv);
	fake_link_tell(link, "am");
	world_advance(500);
	assert_int_equal(clients[1].connected, 0); /* not the next one's, then */
	assert_int_equal(clients[1].finished, 0);
}

static void power_goes_while_a_link_is_coming(void **state)
{
	world_ready();
	start(0, &plain);
	(void)connects(1, 1, 0x40, "hs");
	world_advance(0);
	fake_adapter_power(world.fk, 0, false);
	world_advance(1000);
	assert_int_equal(adv_state(clients[0].adv), ADV_PAUSED);
	fake_adapter_power(world.fk, 0, true);
	world_advance(1000);
	assert_int_equal(clients[0].connected, 0);
	assert_int_equal(adv_state(clients[0].adv), ADV_RUNNING);
}

static void more_links_than_remembered(void **state)
{
	struct adv_params params = plain;

	params.keep = true;
	world_ready();
	start(0, &params);
	for (unsigned int i = 0; i < 20; i++) {
		(void)connects(1, i, (uint16_t)(0x40 + i), "hsam");
		world_advance(100);
	}
	assert_int_equal(clients[0].connected, 20);
	assert_non_null(on_air(1));
}

/* Nobody gave us the channel of the first: others are forgotten for the sake of new ones before it is. */
static void more_links_than_remembered_and_one_without_a_channel(void **state)
{
	struct adv_params params = plain;
	struct fake_link *first;

	params.keep = true;
	world_ready();
	start(0, &plain);
	start(1, &params);
	first = connects(1, 1, 0x40, "hs");
	world_advance(100);
	for (unsigned int i = 2; i < 22; i++) {
		(void)connects(2, i, (uint16_t)(0x40 + i), "hsam");
		world_advance(100);
	}
	assert_int_equal(clients[1].connected, 20);
	assert_int_equal(clients[0].connected, 0);
	fake_link_drop(first, 0x13);
	world_advance(500);
	assert_int_equal(clients[0].finished, 0);
	assert_non_null(on_air(1)); /* it was no link */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(starts),
		T(kinds_of_advertising),
		T(tx_power_is_asked_of_those_that_can),
		T(intervals),
		T(legacy_controllers),
		T(phys_that_are_not_there),
		T(payloads_that_do_not_fit),
		T(waits_for_bring_up),
		T(a_start_that_bring_up_fails),
		T(refusals),
		T(a_late_answer_is_nobodys),
		T(a_busy_kernel_is_asked_again),
		T(freed_in_every_moment),
		T(several_and_no_more),
		T(started_at_once_one_after_the_other),
		T(what_a_predecessor_left),
		T(updates_in_place),
		T(an_update_takes_the_scan_response_away),
		T(a_refused_update_changes_nothing),
		T(updates_under_way_become_one),
		T(an_update_of_what_is_over),
		T(stops),
		T(a_stop_before_the_start),
		T(a_stop_just_before_the_start),
		T(a_stop_while_the_kernel_is_busy),
		T(times_out),
		T(a_removal_that_is_refused_is_tried_again),
		T(a_removal_that_is_always_refused),
		T(lost_once_it_comes_back),
		T(lost_now_and_then_it_comes_back),
		T(others_instances_are_left_alone),
		T(replaced_by_others_it_takes_another_place),
		T(malformed_events_are_counted),
		T(survives_power_off),
		T(survives_power_off_by_others),
		T(work_turns_the_radio_on),
		T(unplugged),
		T(the_daemon_stops),
		T(a_central_connects),
		T(the_controller_says_which),
		T(without_sets_it_is_the_oldest),
		T(a_silent_controller_leaves_a_guess),
		T(one_set_has_handle_zero),
		T(it_goes_on_when_asked),
		T(beside_a_link_some_controllers_do_not),
		T(a_link_that_never_was_one),
		T(a_link_in_the_last_moment),
		T(a_link_before_the_kernels_answer),
		T(freed_when_connected),
		T(a_controller_that_names_the_wrong_set),
		T(freed_before_the_link_is_usable),
		T(power_goes_while_a_link_is_coming),
		T(more_links_than_remembered),
		T(more_links_than_remembered_and_one_without_a_channel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
