/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "aiobled/op.h"

#include "test.h"

static struct loop *loop;
static struct list queue;
static int done_count, last_res, withdrawn;

static void on_done(struct op *op, int res)
{
	done_count++;
	last_res = res;
}

static void on_withdraw(struct op *op)
{
	assert_true(op_live(op));
	withdrawn++;
}

static int setup(void **state)
{
	done_count = last_res = withdrawn = 0;
	list_init(&queue);
	return loop_new_virtual(&loop);
}

static int teardown(void **state)
{
	loop_free(loop);
	return 0;
}

static void completes_once(void **state)
{
	struct op op;

	op_init(&op, loop, on_done);
	op_start(&op, &queue, on_withdraw, 100);
	assert_false(list_empty(&queue));
	op_complete(&op, 0x105);
	assert_true(list_empty(&queue));
	assert_int_equal(loop_advance(loop, 1000), 0);
	assert_int_equal(done_count, 1);
	assert_int_equal(last_res, 0x105);
	assert_int_equal(withdrawn, 0);
}

static void deadline_withdraws_then_tells(void **state)
{
	struct op op;

	op_init(&op, loop, on_done);
	op_start(&op, &queue, on_withdraw, 100);
	assert_int_equal(loop_advance(loop, 99), 0);
	assert_int_equal(done_count, 0);
	assert_int_equal(loop_advance(loop, 1), 0);
	assert_int_equal(done_count, 1);
	assert_int_equal(last_res, -ETIMEDOUT);
	assert_int_equal(withdrawn, 1);
	op_fail(&op, -ECANCELED); /* no longer live: nothing */
	assert_int_equal(done_count, 1);
}

static void zero_waits_for_ever(void **state)
{
	struct op op;

	op_init(&op, loop, on_done);
	op_start(&op, &queue, NULL, 0);
	assert_int_equal(loop_advance(loop, 3600000), 0);
	assert_int_equal(done_count, 0);
	op_drop(&op);
	assert_true(list_empty(&queue));
	assert_int_equal(done_count, 0);
}

static void known_result_is_told_later_and_can_be_dropped(void **state)
{
	struct op op;

	op_init(&op, loop, on_done);
	op_start(&op, &queue, on_withdraw, 100);
	op_complete_later(&op, 7);
	assert_int_equal(done_count, 0);
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(done_count, 1);
	assert_int_equal(last_res, 7);

	op_start(&op, &queue, on_withdraw, 100);
	op_complete_later(&op, 8);
	op_drop(&op);
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(done_count, 1);
	assert_int_equal(withdrawn, 0);
}

static void restart_in_done(struct op *op, int res)
{
	if (++done_count < 3)
		op_start(op, &queue, NULL, 10);
}

static void done_may_start_again(void **state)
{
	struct op op;

	op_init(&op, loop, restart_in_done);
	op_start(&op, &queue, NULL, 10);
	assert_int_equal(loop_advance(loop, 100), 0);
	assert_int_equal(done_count, 3);
	assert_true(list_empty(&queue));
}

static void free_in_done(struct op *op, int res)
{
	done_count++;
	free(op);
}

static struct op *other;

static void drop_other(struct op *op, int res)
{
	done_count++;
	op_drop(other);
}

static void failing_all_survives_what_done_does(void **state)
{
	struct op a, b, *c = malloc(sizeof(*c));

	assert_non_null(c);
	op_init(&a, loop, drop_other);
	op_init(&b, loop, on_done);
	op_init(c, loop, free_in_done);
	other = &b;
	op_start(&a, &queue, NULL, 0);
	op_start(&b, &queue, on_withdraw, 0);
	op_start(c, &queue, NULL, 0);
	op_fail_all(&queue, -ENOTCONN);
	assert_int_equal(done_count, 2); /* a and c; b was dropped by a's done */
	assert_int_equal(withdrawn, 1);
	assert_true(list_empty(&queue));

	op_init(&a, loop, restart_in_done);
	done_count = 0;
	op_start(&a, &queue, NULL, 0);
	op_fail_all(&queue, -ENOTCONN); /* must not fail the one its done starts */
	assert_int_equal(done_count, 1);
	assert_true(op_live(&a));
	op_drop(&a);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(completes_once),       T(deadline_withdraws_then_tells),
		T(zero_waits_for_ever),  T(known_result_is_told_later_and_can_be_dropped),
		T(done_may_start_again), T(failing_all_survives_what_done_does),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
