/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "../../src/bus/holder.h"

#include "../support/clients.h"
#include "test.h"

static struct bus bus;
static struct client one, two;
static struct holder h;
static unsigned int released;
static bool is_busy, frees;

static void on_released(struct holder *holder)
{
	assert_ptr_equal(holder, &h);
	released++;
	if (frees)
		holder_deinit(holder);
}

static bool on_busy(struct holder *holder)
{
	return is_busy;
}

static int setup(void **state)
{
	test_bus_init(&bus);
	test_client_init(&one, &bus, ":1.1");
	test_client_init(&two, &bus, ":1.2");
	released = 0;
	is_busy = false;
	frees = false;
	return 0;
}

static int teardown(void **state)
{
	test_client_leaves(&one);
	test_client_leaves(&two);
	holder_deinit(&h);
	assert_int_equal(one.used[QUOTA_CONNECTIONS], 0);
	assert_int_equal(two.used[QUOTA_CONNECTIONS], 0);
	test_bus_deinit(&bus);
	return 0;
}

static void begin(enum lifetime lifetime)
{
	holder_init(&h, &bus, QUOTA_CONNECTIONS, lifetime, on_released);
}

static void hold(struct client *client)
{
	struct bus_error err;

	assert_int_equal(holder_add(&h, client, &err), 0);
}

static void after(uint32_t ms, unsigned int expected)
{
	assert_int_equal(loop_advance(bus.loop, ms), 0);
	assert_int_equal(released, expected);
}

/* --- */

static void one_that_nobody_holds_goes(void **state)
{
	static const enum lifetime all[] = {LIFETIME_CALLER, LIFETIME_LINGER, LIFETIME_PERSISTENT};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		released = 0;
		begin(all[i]);
		assert_true(holder_alone(&h));
		assert_int_equal(holder_expires_us(&h),
		                 loop_now_us(bus.loop) + TEST_LINGER_MS * 1000);
		after(TEST_LINGER_MS - 1, 0);
		after(1, 1);
		after(10 * TEST_LINGER_MS, 1);
	}
}

static void while_held_no_clock_runs(void **state)
{
	static const enum lifetime all[] = {LIFETIME_CALLER, LIFETIME_LINGER, LIFETIME_PERSISTENT};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		begin(all[i]);
		hold(&one);
		assert_int_equal(holder_expires_us(&h), 0);
		holder_touch(&h);
		after(100 * TEST_LINGER_MS, 0);
		holder_deinit(&h);
	}
}

static void caller_goes_with_the_last(void **state)
{
	begin(LIFETIME_CALLER);
	hold(&one);
	hold(&two);
	assert_int_equal(holder_remove(&h, &one), 0);
	assert_int_equal(released, 0);
	assert_int_equal(holder_remove(&h, &one), -ENOENT);
	assert_int_equal(released, 0);
	assert_int_equal(holder_remove(&h, &two), 0);
	assert_int_equal(released, 1);
}

static void linger_goes_a_while_after(void **state)
{
	begin(LIFETIME_LINGER);
	hold(&one);
	after(5 * TEST_LINGER_MS, 0);
	holder_remove(&h, &one);
	after(TEST_LINGER_MS - 1, 0);
	holder_touch(&h);
	after(TEST_LINGER_MS - 1, 0);
	after(1, 1);
}

static void linger_is_taken_up_again(void **state)
{
	begin(LIFETIME_LINGER);
	hold(&one);
	holder_remove(&h, &one);
	after(TEST_LINGER_MS / 2, 0);
	hold(&two);
	after(10 * TEST_LINGER_MS, 0);
	holder_remove(&h, &two);
	after(TEST_LINGER_MS, 1);
}

static void persistent_stays(void **state)
{
	begin(LIFETIME_PERSISTENT);
	hold(&one);
	holder_remove(&h, &one);
	assert_int_equal(holder_expires_us(&h), 0);
	holder_touch(&h);
	after(100 * TEST_LINGER_MS, 0);
}

static void the_longer_lifetime_counts(void **state)
{
	begin(LIFETIME_CALLER);
	hold(&one);
	holder_extend(&h, LIFETIME_LINGER);
	holder_extend(&h, LIFETIME_CALLER);
	holder_remove(&h, &one);
	assert_int_equal(released, 0);
	after(TEST_LINGER_MS, 1);
}

static void busy_starts_the_clock_again(void **state)
{
	begin(LIFETIME_LINGER);
	h.busy = on_busy;
	is_busy = true;
	after(3 * TEST_LINGER_MS, 0);
	assert_int_not_equal(holder_expires_us(&h), 0);
	is_busy = false;
	after(TEST_LINGER_MS, 1);
}

/* A scanner whose scan is over: it goes, whoever holds it and however often they let go. */
static void what_is_over_expires(void **state)
{
	static const enum lifetime all[] = {LIFETIME_LINGER, LIFETIME_PERSISTENT};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		released = 0;
		begin(all[i]);
		h.busy = on_busy;
		is_busy = true;
		hold(&one);
		holder_expire(&h);
		after(TEST_LINGER_MS / 2, 0);
		holder_remove(&h, &one);
		after(TEST_LINGER_MS / 2, 1);
		holder_deinit(&h);

		released = 0;
		begin(all[i]);
		hold(&one);
		holder_expire(&h);
		after(TEST_LINGER_MS, 1);
		holder_deinit(&h);
	}
}

static void once_a_client(void **state)
{
	begin(LIFETIME_CALLER);
	hold(&one);
	hold(&one);
	assert_int_equal(one.used[QUOTA_CONNECTIONS], 1);
	holder_remove(&h, &one);
	assert_int_equal(released, 1);
	assert_int_equal(one.used[QUOTA_CONNECTIONS], 0);
}

static void a_quota_that_is_used_up(void **state)
{
	struct holder others[2];
	struct bus_error err;

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		holder_init(&others[i], &bus, QUOTA_CONNECTIONS, LIFETIME_LINGER, on_released);
		assert_int_equal(holder_add(&others[i], &one, &err), 0);
	}
	begin(LIFETIME_LINGER);
	assert_int_equal(holder_add(&h, &one, &err), -ENOBUFS);
	assert_string_equal(err.what, "connections");
	assert_int_equal(err.limit, 2);
	assert_true(holder_alone(&h));
	assert_int_not_equal(holder_expires_us(&h), 0); /* the clock was not stopped for nothing */
	hold(&two);
	holder_deinit(&others[0]);
	hold(&one);
	holder_deinit(&others[1]);
}

static void a_client_that_leaves_lets_go(void **state)
{
	begin(LIFETIME_CALLER);
	frees = true; /* inside released() */
	hold(&one);
	hold(&two);
	test_client_leaves(&one);
	assert_int_equal(released, 0);
	assert_false(holder_has(&h, &one));
	test_client_leaves(&two);
	assert_int_equal(released, 1);
}

static void who_holds(void **state)
{
	begin(LIFETIME_LINGER);
	assert_null(holder_other(&h, NULL));
	hold(&one);
	assert_true(holder_has(&h, &one));
	assert_false(holder_has(&h, &two));
	assert_null(holder_other(&h, &one));
	assert_string_equal(holder_other(&h, &two), ":1.1");
	hold(&two);
	assert_string_equal(holder_other(&h, &one), ":1.2");
	assert_string_equal(holder_other(&h, NULL), ":1.1");
	assert_false(holder_alone(&h));
}

static void deinit_is_silent(void **state)
{
	begin(LIFETIME_CALLER);
	hold(&one);
	holder_deinit(&h);
	assert_int_equal(one.used[QUOTA_CONNECTIONS], 0);
	after(10 * TEST_LINGER_MS, 0);
}

/* --- what nobody asked for --- */

static void kept_without_anybody(void **state)
{
	begin(LIFETIME_CALLER);
	holder_keep(&h);
	assert_int_equal(holder_expires_us(&h), 0);
	after(100 * TEST_LINGER_MS, 0);
	assert_true(h.kept);
	hold(&one);
	holder_extend(&h, LIFETIME_LINGER);
	assert_int_equal(holder_remove(&h, &one), 0);
	after(100 * TEST_LINGER_MS, 0);
	assert_true(h.kept);
	holder_extend(&h, LIFETIME_PERSISTENT); /* now a client wishes it */
	assert_false(h.kept);
}

static void inherits(void **state)
{
	static const struct {
		enum lifetime lifetime;
		unsigned int at_once, later;
	} rows[] = {{LIFETIME_CALLER, 1, 1}, {LIFETIME_LINGER, 0, 1}, {LIFETIME_PERSISTENT, 0, 0}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct holder from;
		struct bus_error err;

		released = 0;
		holder_init(&from, &bus, QUOTA_SCANNERS, rows[i].lifetime, on_released);
		assert_int_equal(holder_add(&from, &one, &err), 0);
		assert_int_equal(holder_add(&from, &two, &err), 0);
		begin(LIFETIME_CALLER);
		holder_keep(&h);
		holder_inherit(&h, &from, "a link");
		assert_false(h.kept);
		assert_int_equal(h.lifetime, rows[i].lifetime);
		holder_deinit(&from); /* each goes its own way from here on */
		assert_int_equal(one.used[QUOTA_CONNECTIONS], 1);
		assert_int_equal(one.used[QUOTA_SCANNERS], 0);
		after(10 * TEST_LINGER_MS, 0);
		assert_int_equal(holder_remove(&h, &one), 0);
		after(0, 0);
		assert_int_equal(holder_remove(&h, &two), 0);
		after(0, rows[i].at_once);
		after(TEST_LINGER_MS, rows[i].later);
		holder_deinit(&h);
	}
}

static void inherits_from_nobody(void **state)
{
	static const struct {
		enum lifetime lifetime;
		unsigned int released;
	} rows[] = {{LIFETIME_LINGER, 1}, {LIFETIME_PERSISTENT, 0}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct holder from;

		released = 0;
		holder_init(&from, &bus, QUOTA_SCANNERS, rows[i].lifetime, on_released);
		begin(LIFETIME_CALLER);
		holder_keep(&h);
		holder_inherit(&h, &from, "a link");
		holder_deinit(&from);
		after(TEST_LINGER_MS, rows[i].released);
		holder_deinit(&h);
	}
}

static void inherits_what_the_quotas_allow(void **state)
{
	struct holder from, full[2];
	struct bus_error err;

	for (size_t i = 0; i < ARRAY_SIZE(full); i++) {
		holder_init(&full[i], &bus, QUOTA_CONNECTIONS, LIFETIME_LINGER, on_released);
		assert_int_equal(holder_add(&full[i], &one, &err), 0);
	}
	holder_init(&from, &bus, QUOTA_SCANNERS, LIFETIME_CALLER, on_released);
	assert_int_equal(holder_add(&from, &one, &err), 0);
	begin(LIFETIME_CALLER);
	holder_keep(&h);
	holder_inherit(&h, &from, "a link");
	assert_true(holder_alone(&h));
	assert_true(h.kept); /* the peer's link is not ended for that */
	after(10 * TEST_LINGER_MS, 0);
	assert_int_equal(holder_add(&from, &two, &err), 0);
	holder_inherit(&h, &from, "a link");
	assert_true(holder_has(&h, &two));
	assert_int_equal(h.lifetime, LIFETIME_CALLER);
	holder_deinit(&from);
	holder_deinit(&full[0]);
	holder_deinit(&full[1]);
}

static void inherits_what_is_longer(void **state)
{
	struct holder from;
	struct bus_error err;

	holder_init(&from, &bus, QUOTA_SCANNERS, LIFETIME_CALLER, on_released);
	assert_int_equal(holder_add(&from, &one, &err), 0);
	begin(LIFETIME_LINGER);
	hold(&two);
	holder_inherit(&h, &from, "a link");
	assert_true(holder_has(&h, &one));
	assert_int_equal(h.lifetime, LIFETIME_LINGER);
	holder_deinit(&from);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		T(one_that_nobody_holds_goes),
		T(while_held_no_clock_runs),
		T(caller_goes_with_the_last),
		T(linger_goes_a_while_after),
		T(linger_is_taken_up_again),
		T(persistent_stays),
		T(the_longer_lifetime_counts),
		T(busy_starts_the_clock_again),
		T(what_is_over_expires),
		T(once_a_client),
		T(a_quota_that_is_used_up),
		T(a_client_that_leaves_lets_go),
		T(who_holds),
		T(deinit_is_silent),
		T(kept_without_anybody),
		T(inherits),
		T(inherits_from_nobody),
		T(inherits_what_the_quotas_allow),
		T(inherits_what_is_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
