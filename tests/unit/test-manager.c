/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which adapters there are, against a fake kernel. */
#include "aiobled/manager.h"

#include "aiobled/cleanup.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/result.h"
#include "aiobled/scan.h"

#include "test.h"
#include "world.h"

static struct fake_controller second = { .addr = ADDR1, .extended = false };
static struct fake_controller third = { .addr = "00:AA:01:02:00:42", .extended = true };

static void no_adapters_settle_at_once(void **state)
{
	assert_int_equal(world_start(), 0);
	assert_int_equal(world.settled, 1);
	assert_int_equal(world.added, 0);
	assert_null(manager_find(world.manager, ""));
	assert_string_equal(manager_reason(world.manager), "");
}

static void every_adapter_has_to_settle(void **state)
{
	struct fake_rule slow = FAKE_RULE(MGMT_SET_LE, 3, 1, FAKE_DELAY, .delay_ms = 1000);
	struct list *all;

	fake_adapter_plug(world.fk, 3, &second);
	fake_adapter_plug(world.fk, 0, &healthy); /* listed last */
	fake_rule(world.fk, &slow);
	assert_int_equal(world_start(), 0);
	assert_int_equal(world.added, 2);
	assert_int_equal(world.identified, 1);
	assert_int_equal(world.settled, 0);
	world_advance(1000);
	assert_int_equal(world.settled, 1);
	all = manager_adapters(world.manager);
	assert_string_equal(adapter_name(adapter_from_link(all->next)), "hci0");
	assert_string_equal(adapter_name(adapter_from_link(all->next->next)), "hci3");
	assert_int_equal(adapter_state(adapter_from_link(all->next->next)), ADAPTER_READY);
	assert_false(adapter_extended_scan(adapter_from_link(all->next->next)));
	world_advance(100000);
	assert_int_equal(world.settled, 1);
}

/* Somebody else may be at work on the adapters: until we know, they are only looked at. */
static void a_held_start_changes_nothing(void **state)
{
	const uint16_t *log;
	size_t n;

	world.config.held = true;
	fake_adapter_plug(world.fk, 0, &healthy);
	fake_adapter_plug(world.fk, 3, &second);
	assert_int_equal(world_start(), 0);
	world_advance(100000);
	assert_int_equal(world.identified, 1);
	assert_int_equal(world.settled, 0);
	assert_int_equal(world.added, 2);
	n = fake_log(world.fk, &log);
	for (size_t i = 0; i < n; i++)
		assert_true(log[i] == MGMT_READ_VERSION || log[i] == MGMT_READ_INDEX_LIST ||
		            log[i] == MGMT_READ_INFO);
	fake_adapter_plug(world.fk, 7, &third);
	world_advance(0);
	assert_int_equal(world.added, 3); /* held as well */
	assert_int_equal(fake_count(world.fk, MGMT_SET_POWERED, FAKE_ANY), 0);
	manager_begin(world.manager);
	world_advance(1000);
	assert_int_equal(world.settled, 1);
	for (struct list *l = manager_adapters(world.manager)->next; l != manager_adapters(world.manager); l = l->next)
		assert_int_equal(adapter_state(adapter_from_link(l)), ADAPTER_READY);
}

/* Neither its end nor its radio's going off trips over one that waits. */
static void a_held_adapter_goes_away(void **state)
{
	world.config.held = true;
	fake_adapter_plug(world.fk, 0, &healthy);
	assert_int_equal(world_start(), 0);
	fake_adapter_unplug(world.fk, 0);
	world_advance(1000);
	assert_int_equal(world.removed, 1);
	assert_int_equal(world.settled, 1);
	manager_begin(world.manager);
	fake_adapter_plug(world.fk, 0, &healthy);
	world_advance(1000);
	assert_int_equal(adapter_state(world.adapter), ADAPTER_READY);
}

static void a_failure_settles_too(void **state)
{
	static const struct fake_rule rules[] = {
		FAKE_RULE(MGMT_READ_INFO, 0, 0, FAKE_SILENT),
		FAKE_RULE(MGMT_READ_INFO, 0, 0, FAKE_STATUS, .status = MGMT_STATUS_FAILED),
		FAKE_RULE(MGMT_READ_INFO, 0, 0, FAKE_SHORT, .status = 20),
		FAKE_RULE(MGMT_SET_POWERED, 0, 0, FAKE_STATUS, .status = MGMT_STATUS_RFKILLED),
	};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		fake_adapter_plug(world.fk, 0, &healthy);
		fake_rule(world.fk, &rules[i]);
		assert_int_equal(world_start(), 0);
		world_advance(5000);
		assert_int_equal(world.settled, 1);
		fake_rules_clear(world.fk);
		world_advance(60000);
		assert_int_equal(adapter_state(world.adapter), ADAPTER_READY);
		assert_int_equal(world.added, 1);
		world_teardown(state);
		assert_int_equal(world_setup(state), 0);
	}
}

/* --- the kernel --- */

static void what_the_kernel_lacks_is_named(void **state)
{
	static const struct {
		struct fake_rule rule;
		uint16_t revision;
		int err;
		const char *reason;
	} rows[] = {
		{ { .opcode = 0 }, 17, -EPROTONOSUPPORT, "1.17; 1.18" },
		{ FAKE_RULE(MGMT_READ_VERSION, FAKE_ANY, 0, FAKE_STATUS, .status = MGMT_STATUS_FAILED), 22, -EPROTO, "Version" },
		{ FAKE_RULE(MGMT_READ_VERSION, FAKE_ANY, 0, FAKE_SHORT, .status = 2), 22, -EBADMSG, "Version" },
		{ FAKE_RULE(MGMT_READ_VERSION, FAKE_ANY, 0, FAKE_SILENT), 22, -ETIMEDOUT, "Version" },
		{ FAKE_RULE(MGMT_READ_INDEX_LIST, FAKE_ANY, 0, FAKE_SILENT), 22, -ETIMEDOUT, "Index List" },
		{ FAKE_RULE(MGMT_READ_INDEX_LIST, FAKE_ANY, 0, FAKE_SHORT, .status = 3), 22, -EBADMSG, "Index List" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_adapter_plug(world.fk, 0, &healthy);
		fake_kernel_set_revision(world.fk, rows[i].revision);
		if (rows[i].rule.opcode)
			fake_rule(world.fk, &rows[i].rule);
		assert_int_equal(world_start(), 0);
		world_advance(5000);
		assert_int_equal(world.failed, 1);
		assert_int_equal(world.failed_err, rows[i].err);
		if (!strstr(manager_reason(world.manager), rows[i].reason))
			fail_msg("row %zu: %s", i, manager_reason(world.manager));
		assert_int_equal(world.added, 0);
		assert_int_equal(world.settled, 0);
		world_teardown(state);
		assert_int_equal(world_setup(state), 0);
	}
	fake_kernel_set_revision(world.fk, 18);
	world_ready();
}

static void no_bluetooth_at_all(void **state)
{
	fake_kernel_set_mgmt_error(world.fk, -EAFNOSUPPORT);
	assert_int_equal(world_start(), -EAFNOSUPPORT);
	assert_null(world.manager);
}

static void a_broken_channel_is_told(void **state)
{
	world_ready();
	fake_mgmt_break(world.fk);
	world_advance(0);
	assert_int_equal(world.failed, 1);
	assert_true(world.failed_err < 0);
	assert_non_null(strstr(manager_reason(world.manager), "broke"));
}

static void broken_at_every_moment(void **state)
{
	static const uint16_t opcodes[] = { MGMT_READ_VERSION, MGMT_READ_INDEX_LIST, MGMT_READ_INFO, MGMT_SET_LE,
					    HCIP_READ_LOCAL_VERSION };

	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
		struct fake_rule silent = FAKE_RULE(opcodes[i], FAKE_ANY, 0, FAKE_SILENT);

		fake_adapter_plug(world.fk, 0, &healthy);
		fake_rule(world.fk, &silent);
		assert_int_equal(world_start(), 0);
		fake_mgmt_break(world.fk);
		world_advance(10000);
		assert_int_equal(world.failed, 1);
		world_teardown(state);
		assert_int_equal(world_setup(state), 0);
	}
}

/* --- the allow-list --- */

static void only_what_is_allowed(void **state)
{
	static const struct {
		const char *names[3];
		int added;
		const char *first;
	} rows[] = {
		{ { "hci1" }, 1, "hci1" },
		{ { ADDR0 }, 1, "hci0" },
		{ { "00aa01010042" }, 1, "hci1" },
		{ { "hci0", ADDR1 }, 2, "hci0" },
		{ { "hci7", "11:22:33:44:55:66" }, 0, NULL },
		{ { NULL }, 0, NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		fake_adapter_plug(world.fk, 0, &healthy);
		fake_adapter_plug(world.fk, 1, &second);
		world.config.adapters = rows[i].names;
		assert_int_equal(world_start(), 0);
		assert_int_equal(world.added, rows[i].added);
		assert_int_equal(world.settled, 1);
		if (rows[i].first)
			assert_string_equal(adapter_name(manager_find(world.manager, "")), rows[i].first);
		for (int index = 0; index < 2; index++) /* the others were looked at and left alone */
			if (rows[i].added == 0)
				assert_int_equal(fake_count(world.fk, MGMT_SET_LE, index), 0);
		world_teardown(state);
		assert_int_equal(world_setup(state), 0);
	}
}

static void events_of_adapters_that_are_not_ours(void **state)
{
	static const char *const names[] = { "hci0", NULL };
	struct adapter_stats stats;

	world.config.adapters = names;
	fake_adapter_plug(world.fk, 1, &second);
	world_ready();
	fake_adapter_power(world.fk, 1, true);
	fake_mgmt_event(world.fk, MGMT_EV_NEW_SETTINGS, 1, "\x00", 1);
	fake_mgmt_event(world.fk, MGMT_EV_NEW_SETTINGS, 9, NULL, 0);
	fake_mgmt_event(world.fk, MGMT_EV_INDEX_REMOVED, 9, NULL, 0);
	fake_mgmt_event(world.fk, MGMT_EV_INDEX_ADDED, 0xffff, NULL, 0);
	fake_mgmt_event(world.fk, 0x7777, 0, NULL, 0);
	fake_adapter_unplug(world.fk, 1);
	world_advance(1000);
	assert_int_equal(adapter_state(world.adapter), ADAPTER_READY);
	assert_string_equal(adapter_conflict(world.adapter), "");
	adapter_get_stats(world.adapter, &stats);
	assert_int_equal(stats.events_malformed, 0);
	assert_int_equal(world.removed, 0);
}

/* --- plugging --- */

static void plugged_in_later(void **state)
{
	assert_int_equal(world_start(), 0);
	fake_adapter_plug(world.fk, 2, &healthy);
	world_advance(0);
	assert_int_equal(world.added, 1);
	assert_int_equal(adapter_state(world.adapter), ADAPTER_READY);
	assert_int_equal(world.settled, 1);
}

static void replugged_under_another_number(void **state)
{
	static const char *const names[] = { ADDR0, NULL };

	world.config.adapters = names;
	world_ready();
	fake_adapter_unplug(world.fk, 0);
	world_advance(0);
	assert_int_equal(world.removed, 1);
	assert_null(manager_find(world.manager, ADDR0));
	fake_adapter_plug(world.fk, 0, &second); /* somebody else got the number */
	fake_adapter_plug(world.fk, 1, &healthy);
	world_advance(0);
	assert_int_equal(world.added, 2);
	assert_string_equal(adapter_name(manager_find(world.manager, ADDR0)), "hci1");
	assert_null(manager_find(world.manager, "hci0"));
}

static void a_lost_removal(void **state)
{
	world_ready();
	fake_mgmt_event(world.fk, MGMT_EV_INDEX_ADDED, 0, NULL, 0);
	world_advance(0);
	assert_int_equal(world.removed, 1);
	assert_int_equal(world.added, 2);
	assert_int_equal(adapter_state(world.adapter), ADAPTER_READY);
}

static void too_many(void **state)
{
	world_ready();
	for (uint16_t i = 100; i < 200; i++) /* numbers without a controller behind them */
		fake_mgmt_event(world.fk, MGMT_EV_INDEX_ADDED, i, NULL, 0);
	world_advance(0);
	assert_int_equal(fake_count(world.fk, MGMT_READ_INFO, FAKE_ANY), 16);
	assert_int_equal(world.added, 1);
}

/* Removal is the last thing heard of an adapter: what it was doing has ended by then. */
static struct scanner *scanner;
static int finished_before_removed;

static void on_report(struct scanner *s, const struct scan_report *r, void *data)
{
}

static void on_state(struct scanner *s, void *data)
{
}

static void on_finished(struct scanner *s, int res, void *data)
{
	finished_before_removed = !world.removed && res == -ENODEV;
}

static void removal_comes_last(void **state)
{
	static const struct scanner_events events = { .report = on_report, .state = on_state, .finished = on_finished };
	struct scan_params p = { .interval_us = 100000, .window_us = 50000, .filter.rssi_min_dbm = -128 };

	world_ready();
	assert_int_equal(scanner_new(world.adapter, &p, &events, NULL, &scanner), 0);
	world_advance(0);
	fake_adapter_unplug(world.fk, 0);
	world_advance(0);
	assert_int_equal(world.removed, 1);
	assert_int_equal(finished_before_removed, 1);
	scanner = scanner_free(scanner);
}

static void finding(void **state)
{
	fake_adapter_plug(world.fk, 0, &second);
	fake_adapter_block(world.fk, 0, true);
	fake_adapter_plug(world.fk, 1, &healthy);
	assert_int_equal(world_start(), 0);
	assert_string_equal(adapter_name(manager_find(world.manager, "")), "hci1"); /* the one that is ready */
	assert_string_equal(adapter_name(manager_find(world.manager, "HCI0")), "hci0");
	assert_string_equal(adapter_name(manager_find(world.manager, "00:aa:01:01:00:42")), "hci0");
	assert_null(manager_find(world.manager, "hci2"));
	assert_null(manager_find(world.manager, "hci"));
	assert_null(manager_find(world.manager, "nonsense"));
	fake_adapter_block(world.fk, 1, true);
	world_advance(500);
	assert_string_equal(adapter_name(manager_find(world.manager, "")), "hci0"); /* else the first */
}

static void a_conflict_is_told_to_all(void **state)
{
	fake_adapter_plug(world.fk, 0, &second);
	assert_int_equal(world_start(), 0);
	manager_set_conflict(world.manager, "bluetoothd owns org.bluez");
	fake_adapter_plug(world.fk, 1, &healthy); /* comes later, hears it too */
	world_advance(0);
	assert_string_equal(adapter_conflict(manager_find(world.manager, "hci0")), "bluetoothd owns org.bluez");
	assert_string_equal(adapter_conflict(manager_find(world.manager, "hci1")), "bluetoothd owns org.bluez");
	manager_set_conflict(world.manager, NULL);
	assert_string_equal(adapter_conflict(manager_find(world.manager, "hci0")), "");
}

/* --- the end --- */

static int stopped;

static void on_stopped(void *data)
{
	stopped++;
}

static void stop(void)
{
	stopped = 0;
	manager_stop(world.manager, on_stopped, NULL);
	assert_int_equal(stopped, 0); /* later */
}

static void stopping_leaves_the_radio_as_it_was(void **state)
{
	struct fake_controller was_on = second;

	was_on.settings = MGMT_SETTING_POWERED;
	fake_adapter_plug(world.fk, 0, &healthy);
	fake_adapter_plug(world.fk, 1, &was_on);
	assert_int_equal(world_start(), 0);
	stop();
	world_advance(0);
	assert_int_equal(stopped, 1);
	assert_false(fake_adapter_settings(world.fk, 0) & MGMT_SETTING_POWERED);
	assert_true(fake_adapter_settings(world.fk, 1) & MGMT_SETTING_POWERED);
	world_advance(10000);
	assert_int_equal(stopped, 1);
}

static void power_done(struct op *op, int res)
{
	assert_int_equal(res, -ENETDOWN);
	stopped = 100;
}

static void no_new_work_while_stopping(void **state)
{
	struct op op;

	world_ready();
	stop();
	op_init(&op, world.loop, power_done);
	assert_int_equal(adapter_power(world.adapter, true, &op, 0), 0);
	world_advance(0);
	assert_true(stopped >= 100);
	op_init(&op, world.loop, power_done);
	stopped = 0;
	assert_int_equal(adapter_await_ready(world.adapter, &op, 0), 0);
	world_advance(0);
	assert_int_equal(stopped, 100);
	assert_false(fake_adapter_settings(world.fk, 0) & MGMT_SETTING_POWERED);
}

static void stopping_ends_the_scan(void **state)
{
	static const struct scanner_events events = { .report = on_report, .state = on_state, .finished = on_finished };
	struct scan_params p = { .interval_us = 100000, .window_us = 50000, .filter.rssi_min_dbm = -128 };
	struct fake_controller was_on = healthy;

	was_on.settings = MGMT_SETTING_POWERED;
	fake_adapter_plug(world.fk, 0, &was_on);
	assert_int_equal(world_start(), 0);
	assert_int_equal(scanner_new(world.adapter, &p, &events, NULL, &scanner), 0);
	world_advance(0);
	assert_true(fake_adapter_scanning(world.fk, 0));
	stop();
	world_advance(0);
	assert_int_equal(stopped, 1);
	assert_false(fake_adapter_scanning(world.fk, 0));
	scanner = scanner_free(scanner);
}

static void stopping_is_bounded(void **state)
{
	struct fake_rule silent = FAKE_RULE(MGMT_SET_POWERED, 0, 0, FAKE_SILENT);

	world_ready();
	fake_rule(world.fk, &silent);
	stop();
	world_advance(MANAGER_STOP_MS - 1);
	assert_int_equal(stopped, 0);
	world_advance(1);
	assert_int_equal(stopped, 1);
}

static void stopping_during_bring_up_and_unplugging(void **state)
{
	struct fake_rule silent = FAKE_RULE(MGMT_SET_LE, 0, 0, FAKE_SILENT);

	fake_adapter_plug(world.fk, 0, &healthy);
	fake_rule(world.fk, &silent);
	assert_int_equal(world_start(), 0);
	stop();
	world_advance(0);
	assert_int_equal(stopped, 1);
	world_teardown(state);

	assert_int_equal(world_setup(state), 0);
	silent.opcode = MGMT_SET_POWERED;
	world_ready();
	fake_rule(world.fk, &silent);
	stop();
	fake_adapter_unplug(world.fk, 0);
	world_advance(0);
	assert_int_equal(stopped, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(no_adapters_settle_at_once),
		T(every_adapter_has_to_settle),
		T(a_held_start_changes_nothing),
		T(a_held_adapter_goes_away),
		T(a_failure_settles_too),
		T(what_the_kernel_lacks_is_named),
		T(no_bluetooth_at_all),
		T(a_broken_channel_is_told),
		T(broken_at_every_moment),
		T(only_what_is_allowed),
		T(events_of_adapters_that_are_not_ours),
		T(plugged_in_later),
		T(replugged_under_another_number),
		T(a_lost_removal),
		T(too_many),
		T(removal_comes_last),
		T(finding),
		T(a_conflict_is_told_to_all),
		T(stopping_leaves_the_radio_as_it_was),
		T(no_new_work_while_stopping),
		T(stopping_ends_the_scan),
		T(stopping_is_bounded),
		T(stopping_during_bring_up_and_unplugging),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
