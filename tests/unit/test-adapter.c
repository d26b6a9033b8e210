/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One adapter from its bring-up to its unplugging, against a fake kernel; time is virtual. */
#include "aiobled/adapter.h"

#include "aiobled/cleanup.h"
#include "aiobled/conn.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/result.h"
#include "aiobled/scan.h"

#include "test.h"
#include "world.h"

#define SETTLE_MS 500 /* off is not believed to be more than unplugging for so long */

#define WANTED (MGMT_SETTING_POWERED | MGMT_SETTING_LE | MGMT_SETTING_SC | MGMT_SETTING_BONDABLE)

static void expect_state(enum adapter_state state, const char *reason)
{
	assert_non_null(world.adapter);
	if (adapter_state(world.adapter) != state || !strstr(adapter_reason(world.adapter), reason))
		fail_msg("state %d (%s), expected %d (%s)", adapter_state(world.adapter), adapter_reason(world.adapter), state,
			 reason);
}

static void expect_ready(void)
{
	expect_state(ADAPTER_READY, "");
	assert_string_equal(adapter_reason(world.adapter), "");
	assert_int_equal(fake_adapter_settings(world.fk, 0), WANTED);
	assert_true(adapter_powered(world.adapter));
	assert_true(fake_adapter_hci_open(world.fk, 0));
}

/* Time until bring-up has come to some end. */
static void advance_to_end(void)
{
	for (int i = 0; i < 1000 && adapter_state(world.adapter) == ADAPTER_STARTING; i++)
		world_advance(100);
}

/* --- waiting ops --- */

struct waiter {
	struct op op;
	int done, res;
};

static void on_done(struct op *op, int res)
{
	struct waiter *w = container_of(op, struct waiter, op);

	w->done++;
	w->res = res;
}

static void power(struct waiter *w, bool on, uint32_t timeout_ms)
{
	*w = (struct waiter){ 0 };
	op_init(&w->op, world.loop, on_done);
	assert_int_equal(adapter_power(world.adapter, on, &w->op, timeout_ms), 0);
	assert_int_equal(w->done, 0); /* never from inside the call */
}

static void await(struct waiter *w, uint32_t timeout_ms)
{
	*w = (struct waiter){ 0 };
	op_init(&w->op, world.loop, on_done);
	assert_int_equal(adapter_await_ready(world.adapter, &w->op, timeout_ms), 0);
	assert_int_equal(w->done, 0);
}

/* --- bring-up --- */

static void healthy_controller(void **state)
{
	static const uint16_t expected[] = {
		MGMT_READ_VERSION,
		MGMT_READ_INDEX_LIST,
		MGMT_READ_INFO,
		MGMT_SET_LE,
		MGMT_SET_BREDR,
		MGMT_SET_SC,
		MGMT_SET_BONDABLE,
		MGMT_SET_CONNECTABLE,
		MGMT_SET_IO_CAP,
		MGMT_SET_DEF_SYSTEM_CONFIG,
		MGMT_SET_POWERED,
		HCIP_READ_LOCAL_VERSION,
		HCIP_READ_LOCAL_COMMANDS,
		HCIP_LE_READ_LOCAL_FEATURES,
		HCIP_LE_READ_STATES,
		MGMT_READ_ADV_FEATURES,
	};
	const uint16_t *log;
	char text[ADDR_STR_MAX];
	size_t n;

	world_ready();
	expect_ready();
	n = fake_log(world.fk, &log);
	assert_int_equal(n, ARRAY_SIZE(expected));
	assert_memory_equal(log, expected, sizeof(expected));
	assert_string_equal(adapter_name(world.adapter), "hci0");
	assert_string_equal(addr_format(adapter_addr(world.adapter), text), ADDR0);
	assert_int_equal(adapter_addr(world.adapter)->type, ADDR_PUBLIC);
	assert_true(adapter_extended_scan(world.adapter));
	assert_int_equal(adapter_hci_version(world.adapter), 0x0b);
	assert_int_equal(adapter_manufacturer(world.adapter), 0x05f1);
	assert_false(adapter_scanning(world.adapter));
	assert_string_equal(adapter_conflict(world.adapter), "");
	assert_true(world.changed > 0);
}

static void legacy_controller(void **state)
{
	struct fake_controller c = { .addr = ADDR0 };

	fake_adapter_plug(world.fk, 0, &c);
	assert_int_equal(world_start(), 0);
	expect_ready();
	assert_false(adapter_extended_scan(world.adapter));
}

static void le_only_controller(void **state)
{
	struct fake_controller c = { .addr = ADDR0,
				     .supported = MGMT_SETTING_POWERED | MGMT_SETTING_LE | MGMT_SETTING_CONNECTABLE |
						  MGMT_SETTING_BONDABLE };

	fake_adapter_plug(world.fk, 0, &c);
	assert_int_equal(world_start(), 0);
	expect_state(ADAPTER_READY, "");
	assert_int_equal(fake_count(world.fk, MGMT_SET_BREDR, 0), 0);
	assert_int_equal(fake_count(world.fk, MGMT_SET_SC, 0), 0);
}

static void without_low_energy_it_fails_for_good(void **state)
{
	struct fake_controller c = { .addr = ADDR0, .supported = MGMT_SETTING_POWERED | MGMT_SETTING_BREDR };

	fake_adapter_plug(world.fk, 0, &c);
	assert_int_equal(world_start(), 0);
	expect_state(ADAPTER_FAILED, "Low Energy");
	world_advance(3600000);
	assert_int_equal(fake_count(world.fk, MGMT_READ_INFO, 0), 1);
}

static void without_an_address_it_gets_a_static_one(void **state)
{
	struct fake_controller c = { .extended = true };
	struct addr first;

	fake_adapter_plug(world.fk, 0, &c);
	assert_int_equal(world_start(), 0);
	expect_state(ADAPTER_READY, "");
	assert_int_equal(fake_adapter_settings(world.fk, 0), WANTED | MGMT_SETTING_STATIC_ADDRESS);
	first = *adapter_addr(world.adapter);
	assert_int_equal(addr_kind(&first), ADDR_KIND_STATIC);
	fake_adapter_unplug(world.fk, 0);
	world_advance(10);
	fake_adapter_plug(world.fk, 0, &c);
	world_advance(10);
	assert_true(addr_equal(adapter_addr(world.adapter), &first)); /* the same again */
}

static void leftovers_of_others_are_cleared(void **state)
{
	struct fake_controller c = healthy;

	c.settings = MGMT_SETTING_POWERED | MGMT_SETTING_BREDR | MGMT_SETTING_CONNECTABLE | MGMT_SETTING_ADVERTISING |
		     MGMT_SETTING_PRIVACY | MGMT_SETTING_STATIC_ADDRESS | MGMT_SETTING_LE;
	fake_adapter_plug(world.fk, 0, &c);
	assert_int_equal(world_start(), 0);
	expect_ready();
	assert_int_equal(fake_count(world.fk, MGMT_SET_POWERED, 0), 2); /* off, on */
}

/* Every command of the bring-up, with what it is called and whether it may be refused. */
static const struct step {
	uint16_t opcode;
	const char *name;
	bool optional, setting;
} steps[] = {
	{ .opcode = MGMT_SET_LE, .name = "Set Low Energy on", .setting = true },
	{ .opcode = MGMT_SET_BREDR, .name = "Set BR/EDR off", .setting = true },
	{ .opcode = MGMT_SET_SC, .name = "Set Secure Connections on", .optional = true },
	{ .opcode = MGMT_SET_BONDABLE, .name = "Set Bondable on", .setting = true },
	{ .opcode = MGMT_SET_CONNECTABLE, .name = "Set Connectable off" },
	{ .opcode = MGMT_SET_IO_CAP, .name = "Set IO Capability" },
	{ .opcode = MGMT_SET_DEF_SYSTEM_CONFIG, .name = "Set Default System Configuration", .optional = true },
	{ .opcode = MGMT_SET_POWERED, .name = "Set Powered on", .setting = true },
	{ .opcode = HCIP_READ_LOCAL_VERSION, .name = "HCI Read Local Version" },
	{ .opcode = HCIP_READ_LOCAL_COMMANDS, .name = "HCI Read Local Supported Commands" },
	{ .opcode = HCIP_LE_READ_LOCAL_FEATURES, .name = "HCI LE Read Local Features" },
	{ .opcode = HCIP_LE_READ_STATES, .name = "HCI LE Read Supported States", .optional = true },
};

#define for_each_step(s) for (const struct step *s = steps; s < steps + ARRAY_SIZE(steps); s++)

/* BR/EDR is on, so that turning it off is a change. */
static void plug_dual(void)
{
	struct fake_controller c = healthy;

	c.settings = MGMT_SETTING_BREDR;
	fake_adapter_plug(world.fk, 0, &c);
}

static void again(void **state)
{
	world_teardown(state);
	assert_int_equal(world_setup(state), 0);
}

static void a_refused_step_is_named_and_tried_again(void **state)
{
	for_each_step (s) {
		struct fake_rule rule = FAKE_RULE(s->opcode, FAKE_ANY, 1, FAKE_STATUS, .status = MGMT_STATUS_FAILED);

		plug_dual();
		fake_rule(world.fk, &rule);
		assert_int_equal(world_start(), 0);
		if (!s->optional) {
			expect_state(ADAPTER_FAILED, s->name);
			assert_int_equal(world.settled, 1);
			world_advance(1999);
			expect_state(ADAPTER_FAILED, s->name);
			world_advance(1);
		}
		expect_state(ADAPTER_READY, "");
		again(state);
	}
}

static void a_silent_step_is_named(void **state)
{
	for_each_step (s) {
		struct fake_rule rule = FAKE_RULE(s->opcode, FAKE_ANY, 1, FAKE_SILENT);
		struct adapter_stats stats;

		plug_dual();
		fake_rule(world.fk, &rule);
		assert_int_equal(world_start(), 0);
		expect_state(ADAPTER_STARTING, "");
		advance_to_end();
		expect_state(ADAPTER_FAILED, s->name);
		expect_state(ADAPTER_FAILED, "does not answer");
		adapter_get_stats(world.adapter, &stats);
		assert_int_equal(stats.command_timeouts, 1);
		world_advance(60000); /* the place of the silent command has to become free */
		expect_ready();
		again(state);
	}
}

static void a_slow_step_is_waited_for(void **state)
{
	for_each_step (s) {
		struct fake_rule rule = FAKE_RULE(s->opcode, FAKE_ANY, 1, FAKE_DELAY, .delay_ms = 2900);

		plug_dual();
		fake_rule(world.fk, &rule);
		assert_int_equal(world_start(), 0);
		world_advance(2899);
		expect_state(ADAPTER_STARTING, "");
		assert_int_equal(world.settled, 0);
		world_advance(1);
		expect_ready();
		assert_int_equal(world.settled, 1);
		again(state);
	}
}

static void an_answer_after_the_deadline_does_not_confuse(void **state)
{
	for_each_step (s) {
		struct fake_rule rule = FAKE_RULE(s->opcode, FAKE_ANY, 1, FAKE_DELAY, .delay_ms = 13000);

		plug_dual();
		fake_rule(world.fk, &rule);
		assert_int_equal(world_start(), 0);
		advance_to_end();
		expect_state(ADAPTER_FAILED, s->name);
		world_advance(30000);
		expect_ready();
		again(state);
	}
}

static void a_setting_that_did_not_change_is_noticed(void **state)
{
	for_each_step (s) {
		struct fake_rule rule = FAKE_RULE(s->opcode, FAKE_ANY, 1, FAKE_IGNORE);

		if (!s->setting)
			continue;
		plug_dual();
		fake_rule(world.fk, &rule);
		assert_int_equal(world_start(), 0);
		expect_state(ADAPTER_FAILED, s->name);
		expect_state(ADAPTER_FAILED, "did not change");
		again(state);
	}
}

static void a_short_answer_is_an_error(void **state)
{
	for_each_step (s) {
		struct fake_rule rule = FAKE_RULE(s->opcode, FAKE_ANY, 1, FAKE_SHORT, .status = 3);

		if (s->optional || s->opcode == MGMT_SET_IO_CAP) /* the latter has no parameters */
			continue;
		plug_dual();
		fake_rule(world.fk, &rule);
		assert_int_equal(world_start(), 0);
		expect_state(ADAPTER_FAILED, s->name);
		again(state);
	}
}

static void unplugged_during_every_step(void **state)
{
	for_each_step (s) {
		struct fake_rule rule = FAKE_RULE(s->opcode, FAKE_ANY, 0, FAKE_SILENT);
		struct waiter w;

		plug_dual();
		fake_rule(world.fk, &rule);
		assert_int_equal(world_start(), 0);
		await(&w, 0);
		fake_adapter_unplug(world.fk, 0);
		world_advance(0);
		assert_int_equal(w.done, 1);
		assert_int_equal(w.res, -ENODEV);
		assert_int_equal(world.removed, 1);
		assert_int_equal(world.settled, 1);
		assert_true(list_empty(manager_adapters(world.manager)));
		again(state);
	}
}

static void what_is_missing_is_named(void **state)
{
	static const struct {
		uint16_t opcode;
		uint8_t status;
		int hci_err;
		const char *reason;
	} rows[] = {
		{ MGMT_SET_LE, MGMT_STATUS_PERMISSION_DENIED, 0, "CAP_NET_ADMIN" },
		{ 0, 0, -EPERM, "CAP_NET_RAW" },
		{ 0, 0, -EMFILE, "raw HCI channel" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct fake_rule rule = FAKE_RULE(rows[i].opcode, 0, 0, FAKE_STATUS, .status = rows[i].status);

		fake_adapter_plug(world.fk, 0, &healthy);
		if (rows[i].opcode)
			fake_rule(world.fk, &rule);
		fake_kernel_set_hci_error(world.fk, rows[i].hci_err);
		assert_int_equal(world_start(), 0);
		expect_state(ADAPTER_FAILED, rows[i].reason);
		again(state);
	}
}

static void retries_become_rarer(void **state)
{
	struct fake_rule rule = FAKE_RULE(MGMT_SET_LE, 0, 0, FAKE_STATUS, .status = MGMT_STATUS_FAILED);

	fake_rule(world.fk, &rule);
	fake_adapter_plug(world.fk, 0, &healthy);
	assert_int_equal(world_start(), 0);
	for (unsigned int delay = 2000, n = 1; n < 7; n++, delay *= 2) {
		assert_int_equal(fake_count(world.fk, MGMT_SET_LE, 0), n);
		world_advance(delay - 1);
		assert_int_equal(fake_count(world.fk, MGMT_SET_LE, 0), n);
		world_advance(1);
	}
	fake_log_clear(world.fk);
	world_advance(3600000); /* five minutes between two at most */
	assert_in_range(fake_count(world.fk, MGMT_SET_LE, 0), 11, 13);
}

static void found_on_it_is_cycled(void **state)
{
	static const uint8_t quirks[] = { MGMT_STATUS_NOT_CONNECTED, MGMT_STATUS_BUSY };

	for (size_t i = 0; i < ARRAY_SIZE(quirks); i++) {
		struct fake_rule rule = FAKE_RULE(MGMT_SET_POWERED, 0, 3, FAKE_STATUS, .status = quirks[i]);
		struct fake_controller c = healthy;

		c.settings = MGMT_SETTING_POWERED | MGMT_SETTING_LE;
		fake_adapter_plug(world.fk, 0, &c);
		fake_rule(world.fk, &rule);
		assert_int_equal(world_start(), 0);
		expect_state(ADAPTER_STARTING, "");
		world_advance(1000);
		expect_ready();
		assert_int_equal(fake_count(world.fk, MGMT_SET_POWERED, 0), 5);
		again(state);
	}
}

static void a_radio_that_never_goes_off_is_given_up(void **state)
{
	struct fake_rule rule = FAKE_RULE(MGMT_SET_POWERED, 0, 0, FAKE_STATUS, .status = MGMT_STATUS_BUSY);
	struct fake_controller c = healthy;

	c.settings = MGMT_SETTING_POWERED;
	fake_adapter_plug(world.fk, 0, &c);
	fake_rule(world.fk, &rule);
	assert_int_equal(world_start(), 0);
	advance_to_end();
	expect_state(ADAPTER_FAILED, "Set Powered off");
}

/* --- rfkill --- */

static void blocked_at_the_start(void **state)
{
	struct waiter w;

	fake_adapter_plug(world.fk, 0, &healthy);
	fake_adapter_block(world.fk, 0, true);
	assert_int_equal(world_start(), 0);
	expect_state(ADAPTER_BLOCKED, "rfkill");
	assert_int_equal(world.settled, 1);
	await(&w, 0);
	world_advance(0);
	assert_int_equal(w.res, -ENETDOWN);
	power(&w, true, 0);
	world_advance(0);
	assert_int_equal(w.res, RES_MGMT(MGMT_STATUS_RFKILLED));
	fake_log_clear(world.fk);
	world_advance(60000);
	assert_int_equal(fake_count(world.fk, MGMT_SET_POWERED, 0), 0); /* asking sysfs is enough */
	fake_adapter_block(world.fk, 0, false);
	world_advance(2000);
	expect_ready();
}

static void blocked_while_ready(void **state)
{
	struct waiter w;

	world_ready();
	fake_adapter_block(world.fk, 0, true);
	world_advance(SETTLE_MS);
	expect_state(ADAPTER_BLOCKED, "rfkill");
	assert_false(adapter_powered(world.adapter));
	assert_string_equal(adapter_conflict(world.adapter), "");
	await(&w, 0);
	world_advance(0);
	assert_int_equal(w.res, -ENETDOWN);
	fake_adapter_block(world.fk, 0, false);
	world_advance(2000);
	expect_ready();
}

/* --- other programs --- */

static void off_and_on_from_outside(void **state)
{
	struct adapter_stats stats;
	struct waiter w;

	world_ready();
	fake_adapter_power(world.fk, 0, false);
	world_advance(SETTLE_MS - 1);
	expect_state(ADAPTER_READY, ""); /* it might be unplugging */
	world_advance(1);
	expect_state(ADAPTER_OFF, "another program");
	assert_false(fake_adapter_hci_open(world.fk, 0));
	await(&w, 0);
	world_advance(0);
	assert_int_equal(w.res, -ENETDOWN); /* what somebody turned off we do not turn on unasked */
	world_advance(600000);
	expect_state(ADAPTER_OFF, "another program");

	fake_log_clear(world.fk);
	fake_adapter_power(world.fk, 0, true);
	world_advance(0);
	expect_ready();
	assert_int_equal(fake_count(world.fk, MGMT_SET_POWERED, 0), 0); /* its settings are ours: taken over */
	adapter_get_stats(world.adapter, &stats);
	assert_int_equal(stats.foreign_changes, 2);
}

static void on_from_outside_with_other_settings(void **state)
{
	world_ready();
	fake_adapter_power(world.fk, 0, false);
	world_advance(SETTLE_MS);
	fake_adapter_set(world.fk, 0, MGMT_SETTING_BREDR | MGMT_SETTING_LE);
	fake_adapter_power(world.fk, 0, true);
	world_advance(0);
	expect_ready();
	assert_int_equal(fake_count(world.fk, MGMT_SET_POWERED, 0), 3);
}

static void off_from_outside_and_on_by_request(void **state)
{
	struct waiter w;

	world_ready();
	fake_adapter_power(world.fk, 0, false);
	world_advance(SETTLE_MS);
	power(&w, true, 5000);
	world_advance(0);
	assert_int_equal(w.res, 0);
	expect_ready();
}

static void a_reset_restarts(void **state)
{
	world_ready();
	fake_log_clear(world.fk);
	fake_adapter_power(world.fk, 0, false);
	fake_adapter_power(world.fk, 0, true);
	world_advance(0);
	expect_ready();
	assert_int_equal(fake_count(world.fk, HCIP_READ_LOCAL_VERSION, 0), 1);
}

static void changes_by_others_are_named(void **state)
{
	static const struct {
		uint32_t settings;
		const char *conflict;
	} rows[] = {
		{ WANTED | MGMT_SETTING_CONNECTABLE, "connectable" },
		{ WANTED | MGMT_SETTING_BREDR, "BR/EDR" },
		{ WANTED | MGMT_SETTING_DISCOVERABLE, "discoverable" },
		{ WANTED & ~MGMT_SETTING_SC, "Secure Connections" },
		{ WANTED | 1u << 31, "settings" },
	};
	struct adapter_stats stats;

	world_ready();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_adapter_set(world.fk, 0, rows[i].settings);
		world_advance(0);
		expect_state(ADAPTER_READY, "");
		assert_non_null(strstr(adapter_conflict(world.adapter), rows[i].conflict));
		fake_adapter_set(world.fk, 0, WANTED);
		world_advance(0);
	}
	adapter_get_stats(world.adapter, &stats);
	assert_int_equal(stats.foreign_changes, 2 * ARRAY_SIZE(rows));
	world_advance(599000);
	assert_string_not_equal(adapter_conflict(world.adapter), "");
	world_advance(1000);
	assert_string_equal(adapter_conflict(world.adapter), "");
}

static void discovery_by_others_is_named(void **state)
{
	static const uint8_t on[] = { 6, 1 }, off[] = { 6, 0 };

	world_ready();
	fake_mgmt_event(world.fk, MGMT_EV_DISCOVERING, 0, off, sizeof(off));
	world_advance(0);
	assert_string_equal(adapter_conflict(world.adapter), "");
	fake_mgmt_event(world.fk, MGMT_EV_DISCOVERING, 0, on, sizeof(on));
	world_advance(0);
	assert_non_null(strstr(adapter_conflict(world.adapter), "searches"));
	manager_set_conflict(world.manager, "bluetoothd is running");
	assert_non_null(strstr(adapter_conflict(world.adapter), "bluetoothd is running; another program"));
	manager_set_conflict(world.manager, NULL);
	assert_null(strstr(adapter_conflict(world.adapter), "bluetoothd"));
}

static void what_a_leaving_manager_turns_off_comes_back(void **state)
{
	for (int name_first = 0; name_first < 2; name_first++) {
		world_ready();
		manager_set_conflict(world.manager, "bluetoothd is running");
		if (name_first)
			manager_set_conflict(world.manager, NULL);
		fake_adapter_power(world.fk, 0, false);
		world_advance(name_first ? SETTLE_MS - 1 : 1000);
		if (!name_first) {
			expect_state(ADAPTER_OFF, "another program");
			manager_set_conflict(world.manager, NULL);
		}
		world_advance(1);
		expect_ready();
		again(state);
	}
	world_ready(); /* somebody who stays means it */
	manager_set_conflict(world.manager, "bluetoothd is running");
	fake_adapter_power(world.fk, 0, false);
	world_advance(60000);
	expect_state(ADAPTER_OFF, "another program");
}

static void low_energy_off_is_repaired(void **state)
{
	world_ready();
	fake_adapter_set(world.fk, 0, (WANTED | MGMT_SETTING_BREDR) & ~MGMT_SETTING_LE);
	world_advance(0);
	expect_state(ADAPTER_FAILED, "Low Energy was turned off");
	world_advance(2000);
	expect_ready();
}

static void hostile_events(void **state)
{
	static const struct {
		uint16_t code;
		uint8_t data[8];
		size_t len;
	} rows[] = {
		{ MGMT_EV_NEW_SETTINGS, { 0 }, 0 },
		{ MGMT_EV_NEW_SETTINGS, { 0, 0, 0 }, 3 },
		{ MGMT_EV_DISCOVERING, { 6 }, 1 },
		{ MGMT_EV_CONTROLLER_ERROR, { 0 }, 0 },
	};
	struct adapter_stats before, after;

	world_ready();
	adapter_get_stats(world.adapter, &before);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		fake_mgmt_event(world.fk, rows[i].code, 0, rows[i].data, rows[i].len);
	fake_hci_event(world.fk, 0, HCIP_EV_HARDWARE_ERROR, NULL, 0);
	fake_hci_raw(world.fk, 0, "\x04\x0e\x09\x01", 4);
	world_advance(1000);
	expect_ready();
	adapter_get_stats(world.adapter, &after);
	assert_true(after.events_malformed - before.events_malformed >= ARRAY_SIZE(rows) + 2);
	assert_string_equal(adapter_conflict(world.adapter), "");
}

static void a_hardware_error_restarts(void **state)
{
	static const uint8_t code = 0x42;
	struct adapter_stats stats;

	world_ready();
	fake_hci_event(world.fk, 0, HCIP_EV_HARDWARE_ERROR, &code, 1);
	world_advance(0);
	expect_state(ADAPTER_FAILED, "hardware error 0x42");
	world_advance(2000);
	expect_ready();
	adapter_get_stats(world.adapter, &stats);
	assert_int_equal(stats.commands, 8); /* both channels counted */
	fake_mgmt_event(world.fk, MGMT_EV_CONTROLLER_ERROR, 0, &code, 1);
	world_advance(0);
	expect_state(ADAPTER_FAILED, "hardware error 0x42");
}

static void a_hardware_error_of_one_that_is_off_starts_nothing(void **state)
{
	static const uint8_t code = 0x42;

	world_ready();
	fake_adapter_power(world.fk, 0, false);
	world_advance(1000);
	assert_int_equal(adapter_state(world.adapter), ADAPTER_OFF);
	fake_mgmt_event(world.fk, MGMT_EV_CONTROLLER_ERROR, 0, &code, 1);
	world_advance(100000);
	assert_int_equal(adapter_state(world.adapter), ADAPTER_OFF);
}

static void a_broken_raw_channel_restarts(void **state)
{
	world_ready();
	fake_hci_break(world.fk, 0);
	world_advance(SETTLE_MS - 1);
	expect_state(ADAPTER_READY, ""); /* it might be unplugging */
	world_advance(1);
	expect_state(ADAPTER_FAILED, "raw HCI channel broke");
	world_advance(2000);
	expect_ready();
}

static void health_makes_retries_frequent_again(void **state)
{
	static const uint8_t code = 1;

	world_ready();
	for (int i = 0; i < 3; i++) { /* 2, 4, 8 s */
		fake_hci_event(world.fk, 0, HCIP_EV_HARDWARE_ERROR, &code, 1);
		world_advance(0);
		expect_state(ADAPTER_FAILED, "hardware error");
		world_advance((2000u << i) - 1);
		expect_state(ADAPTER_FAILED, "hardware error");
		world_advance(1);
		expect_ready();
	}
	world_advance(60000);
	fake_hci_event(world.fk, 0, HCIP_EV_HARDWARE_ERROR, &code, 1);
	world_advance(1999);
	expect_state(ADAPTER_FAILED, "hardware error");
	world_advance(1);
	expect_ready();
}

static void turned_off_during_bring_up(void **state)
{
	struct fake_rule slow = FAKE_RULE(HCIP_LE_READ_STATES, 0, 1, FAKE_DELAY, .delay_ms = 100);

	fake_adapter_plug(world.fk, 0, &healthy);
	fake_rule(world.fk, &slow);
	assert_int_equal(world_start(), 0);
	fake_adapter_power(world.fk, 0, false);
	world_advance(SETTLE_MS);
	expect_state(ADAPTER_FAILED, "bring-up");
	world_advance(2000);
	expect_ready();
}

/* --- power on request --- */

static void power_off_and_on(void **state)
{
	struct waiter w;

	world_ready();
	power(&w, true, 0);
	world_advance(0);
	assert_int_equal(w.res, 0);
	power(&w, false, 0);
	expect_state(ADAPTER_OFF, "turned off");
	world_advance(0);
	assert_int_equal(w.res, 0);
	assert_false(adapter_powered(world.adapter));
	assert_false(fake_adapter_hci_open(world.fk, 0));
	assert_string_equal(adapter_conflict(world.adapter), "");
	power(&w, false, 0); /* again */
	world_advance(0);
	assert_int_equal(w.res, 0);
	await(&w, 0); /* our own "off" ends with the next work */
	expect_state(ADAPTER_STARTING, "");
	world_advance(0);
	assert_int_equal(w.res, 0);
	expect_ready();
}

static void the_last_request_counts(void **state)
{
	struct waiter off, on, off2;

	world_ready();
	power(&off, false, 0);
	power(&on, true, 0);
	world_advance(0);
	assert_int_equal(off.res, -ECANCELED);
	assert_int_equal(on.res, 0);
	expect_ready();
	power(&off, false, 0);
	power(&off2, false, 0);
	world_advance(0);
	assert_int_equal(off.res, 0);
	assert_int_equal(off2.res, 0);
	power(&on, true, 0);
	power(&off, false, 0);
	world_advance(0);
	assert_int_equal(on.res, -ECANCELED);
	assert_int_equal(off.res, 0);
	expect_state(ADAPTER_OFF, "turned off");
}

static void power_off_reads_back(void **state)
{
	struct fake_rule quirk = FAKE_RULE(MGMT_SET_POWERED, 0, 2, FAKE_STATUS, .status = MGMT_STATUS_NOT_CONNECTED);
	struct waiter w;

	world_ready();
	fake_rule(world.fk, &quirk);
	power(&w, false, 5000);
	world_advance(50);
	assert_int_equal(w.done, 0);
	world_advance(450);
	assert_int_equal(w.res, 0);
	assert_false(fake_adapter_settings(world.fk, 0) & MGMT_SETTING_POWERED);
}

static void power_has_a_deadline(void **state)
{
	struct fake_rule silent = FAKE_RULE(MGMT_SET_POWERED, 0, 0, FAKE_SILENT);
	struct waiter w;

	world_ready();
	fake_rule(world.fk, &silent);
	power(&w, false, 1000);
	world_advance(999);
	assert_int_equal(w.done, 0);
	world_advance(1);
	assert_int_equal(w.res, -ETIMEDOUT);
	op_drop(&w.op);
}

static void power_off_that_fails(void **state)
{
	struct fake_rule refused = FAKE_RULE(MGMT_SET_POWERED, 0, 0, FAKE_STATUS, .status = MGMT_STATUS_FAILED);
	struct waiter w;

	world_ready();
	fake_rule(world.fk, &refused);
	power(&w, false, 0);
	world_advance(5000);
	assert_int_equal(w.res, RES_MGMT(MGMT_STATUS_FAILED));
	expect_state(ADAPTER_OFF, "turning off failed");
	assert_true(adapter_powered(world.adapter));
	fake_rules_clear(world.fk);
	await(&w, 0);
	world_advance(0);
	assert_int_equal(w.res, 0);
	expect_ready();
}

static void power_refused(void **state)
{
	struct fake_rule refused = FAKE_RULE(MGMT_SET_POWERED, 0, 1, FAKE_STATUS, .status = MGMT_STATUS_FAILED);
	struct waiter w, a;

	world_ready();
	power(&w, false, 0);
	world_advance(0);
	fake_rule(world.fk, &refused);
	power(&w, true, 0);
	await(&a, 0);
	world_advance(0);
	assert_int_equal(w.res, RES_MGMT(MGMT_STATUS_FAILED));
	assert_int_equal(a.res, -ENETDOWN);
	expect_state(ADAPTER_FAILED, "Set Powered on");
}

/* --- everything in flight --- */

static int scanner_res, scanner_done;

static void on_report(struct scanner *s, const struct scan_report *r, void *data)
{
}

static void on_state(struct scanner *s, void *data)
{
}

static void on_finished(struct scanner *s, int res, void *data)
{
	scanner_done++;
	scanner_res = res;
}

static struct scanner *scan(bool active)
{
	static const struct scanner_events events = { .report = on_report, .state = on_state, .finished = on_finished };
	struct scan_params p = { .interval_us = 100000, .window_us = 50000, .active = active, .filter.rssi_min_dbm = -128 };
	struct scanner *s = NULL;

	scanner_done = scanner_res = 0;
	assert_int_equal(scanner_new(world.adapter, &p, &events, NULL, &s), 0);
	world_advance(0);
	return s;
}

struct attempt {
	struct connect_op c;
	int done, res;
};

static void attempt_done(struct op *op, int res)
{
	struct attempt *a = container_of(container_of(op, struct connect_op, op), struct attempt, c);

	a->done++;
	a->res = res;
}

static void connect_to(struct attempt *a, const char *addr)
{
	struct connect_params params = CONNECT_PARAMS_DEFAULT;
	struct addr peer;

	*a = (struct attempt){ 0 };
	assert_int_equal(addr_parse(addr, ADDR_PUBLIC, &peer), 0);
	op_init(&a->c.op, world.loop, attempt_done);
	assert_int_equal(connect_start(world.adapter, &peer, &params, &a->c, 0), 0);
	world_advance(100);
}

static void end_unplug(void)
{
	fake_adapter_unplug(world.fk, 0);
}

static void end_outside(void)
{
	fake_adapter_power(world.fk, 0, false);
}

static void end_block(void)
{
	fake_adapter_block(world.fk, 0, true);
}

static const struct {
	void (*end)(void);
	int res;
	bool gone;
} endings[] = {
	{ end_unplug, -ENODEV, true },
	{ end_outside, -ENETDOWN, false },
	{ end_block, -ENETDOWN, false },
};

static void work_ends_with_the_radio(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		struct scanner *s;
		struct attempt linked, pending;

		world_ready();
		s = scan(false);
		assert_true(adapter_scanning(world.adapter));
		connect_to(&linked, "00:11:22:33:44:55");
		fake_link_up(fake_link(world.fk, 0), 0x40);
		world_advance(500); /* a link has to survive some events before it counts */
		assert_int_equal(linked.done, 1);
		assert_int_equal(linked.res, 0);
		assert_int_equal(adapter_links_in_use(world.adapter), 1);
		connect_to(&pending, "00:11:22:33:44:66");
		assert_int_equal(pending.done, 0);

		endings[i].end();
		world_advance(SETTLE_MS);
		assert_int_equal(scanner_done, 1);
		assert_int_equal(scanner_res, endings[i].res);
		assert_int_equal(pending.done, 1);
		assert_int_equal(pending.res, endings[i].res);
		assert_int_equal(world.removed, endings[i].gone);
		if (!endings[i].gone) {
			assert_int_equal(adapter_links_in_use(world.adapter), 0);
			assert_false(fake_adapter_hci_open(world.fk, 0));
		}
		scanner_free(s);
		again(state);
	}
}

static void work_waits_for_the_radio(void **state)
{
	struct fake_rule slow = FAKE_RULE(MGMT_SET_POWERED, 0, 1, FAKE_DELAY, .delay_ms = 500);
	struct scanner *s;

	fake_adapter_plug(world.fk, 0, &healthy);
	fake_rule(world.fk, &slow);
	assert_int_equal(world_start(), 0);
	s = scan(false);
	assert_false(adapter_scanning(world.adapter));
	world_advance(500);
	assert_true(adapter_scanning(world.adapter));
	assert_true(fake_adapter_scanning(world.fk, 0));
	scanner_free(s);
}

static void our_own_scan_is_no_discovery_of_others(void **state)
{
	struct scanner *s;

	world_ready();
	s = scan(true);
	assert_true(fake_adapter_scanning(world.fk, 0));
	scanner_free(s);
	world_advance(100);
	assert_false(fake_adapter_scanning(world.fk, 0));
	assert_string_equal(adapter_conflict(world.adapter), "");
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(healthy_controller),
		T(legacy_controller),
		T(le_only_controller),
		T(without_low_energy_it_fails_for_good),
		T(without_an_address_it_gets_a_static_one),
		T(leftovers_of_others_are_cleared),
		T(a_refused_step_is_named_and_tried_again),
		T(a_silent_step_is_named),
		T(a_slow_step_is_waited_for),
		T(an_answer_after_the_deadline_does_not_confuse),
		T(a_setting_that_did_not_change_is_noticed),
		T(a_short_answer_is_an_error),
		T(unplugged_during_every_step),
		T(what_is_missing_is_named),
		T(retries_become_rarer),
		T(found_on_it_is_cycled),
		T(a_radio_that_never_goes_off_is_given_up),
		T(blocked_at_the_start),
		T(blocked_while_ready),
		T(off_and_on_from_outside),
		T(on_from_outside_with_other_settings),
		T(off_from_outside_and_on_by_request),
		T(a_reset_restarts),
		T(changes_by_others_are_named),
		T(discovery_by_others_is_named),
		T(what_a_leaving_manager_turns_off_comes_back),
		T(low_energy_off_is_repaired),
		T(hostile_events),
		T(a_hardware_error_restarts),
		T(a_hardware_error_of_one_that_is_off_starts_nothing),
		T(a_broken_raw_channel_restarts),
		T(health_makes_retries_frequent_again),
		T(turned_off_during_bring_up),
		T(power_off_and_on),
		T(the_last_request_counts),
		T(power_off_reads_back),
		T(power_has_a_deadline),
		T(power_off_that_fails),
		T(power_refused),
		T(work_ends_with_the_radio),
		T(work_waits_for_the_radio),
		T(our_own_scan_is_no_discovery_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
