/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "aiobled/loop.h"

#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

static char trace[32];

static void note(char c)
{
	size_t n = strlen(trace);

	assert_true(n + 1 < sizeof(trace));
	trace[n] = c;
}

static struct timer t1, t2, t3;

static void on_t1(struct timer *t)
{
	note('1');
	timer_stop(&t2); /* due in the same pass: must not run any more */
}

static void on_t2(struct timer *t)
{
	note('2');
}

static void on_t3(struct timer *t)
{
	note('3');
	if (strlen(trace) < 4)
		timer_start_ms(t, 10);
}

static struct loop *setup(void)
{
	struct loop *loop;

	memset(trace, 0, sizeof(trace));
	assert_int_equal(loop_new_virtual(&loop), 0);
	timer_init(&t1, loop, on_t1);
	timer_init(&t2, loop, on_t2);
	timer_init(&t3, loop, on_t3);
	return loop;
}

static void timers_run_when_due_and_not_before(void **state)
{
	struct loop *loop = setup();

	timer_start_ms(&t2, 100);
	assert_int_equal(loop_advance(loop, 99), 0);
	assert_string_equal(trace, "");
	assert_true(timer_armed(&t2));
	assert_int_equal(loop_advance(loop, 1), 0);
	assert_string_equal(trace, "2");
	assert_false(timer_armed(&t2));
	loop_free(loop);
}

static void a_timer_may_stop_another_that_is_due(void **state)
{
	struct loop *loop = setup();

	timer_start_ms(&t1, 10);
	timer_start_ms(&t2, 10);
	assert_int_equal(loop_advance(loop, 50), 0);
	assert_string_equal(trace, "1");
	loop_free(loop);
}

static void a_timer_may_restart_itself(void **state)
{
	struct loop *loop = setup();

	timer_start_ms(&t3, 10);
	assert_int_equal(loop_advance(loop, 100), 0);
	assert_string_equal(trace, "3333");
	loop_free(loop);
}

static void timers_keep_order_of_due_time(void **state)
{
	struct loop *loop = setup();

	timer_start_ms(&t2, 20);
	timer_start_ms(&t3, 5);
	memcpy(trace, "xxx", 3); /* t3 runs once only */
	assert_int_equal(loop_advance(loop, 30), 0);
	assert_string_equal(trace, "xxx32");
	loop_free(loop);
}

static struct defer d1;
static struct loop_io io;

static void on_d1(struct defer *d)
{
	note('d');
}

static void on_io(struct loop_io *i, int ready)
{
	char c;

	assert_int_equal(ready, LOOP_READ);
	assert_int_equal(read(i->fd, &c, 1), 1);
	note('r');
	timer_start(&t2, 0);
	defer_post(&d1);
	loop_io_deinit(i); /* inside its own callback */
}

static uint64_t on_idle(void *data)
{
	static uint64_t next = UINT64_MAX;

	if (trace[0])
		note('b');
	return next;
}

static void radio_before_timers_before_deferred_before_bus(void **state)
{
	struct loop *loop = setup();
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fd), 0);
	defer_init(&d1, loop, on_d1);
	assert_int_equal(loop_io_init(&io, loop, fd[0], on_io), 0);
	assert_int_equal(loop_io_set(&io, LOOP_READ), 0);
	loop_set_idle(loop, on_idle, NULL);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(loop_settle(loop), 0);
	assert_memory_equal(trace, "r2db", 4);
	close(fd[0]);
	close(fd[1]);
	loop_free(loop);
}

/* as the bus does it: its callback only notes, the idle hook reads */
static void on_bus_io(struct loop_io *i, int ready)
{
	note('r');
}

static uint64_t on_bus_idle(void *data)
{
	char c;

	if (read(*(int *)data, &c, 1) == 1)
		note('b');
	return UINT64_MAX;
}

static void a_pass_ends_while_a_descriptor_stays_ready(void **state)
{
	struct loop *loop = setup();
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fd), 0);
	assert_int_equal(loop_io_init(&io, loop, fd[0], on_bus_io), 0);
	assert_int_equal(loop_io_set(&io, LOOP_READ), 0);
	loop_set_idle(loop, on_bus_idle, &fd[0]);
	assert_int_equal(write(fd[1], "x", 1), 1);
	assert_int_equal(loop_settle(loop), 0);
	assert_memory_equal(trace, "rb", 3);
	loop_io_deinit(&io);
	close(fd[0]);
	close(fd[1]);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timers_run_when_due_and_not_before),
		cmocka_unit_test(a_timer_may_stop_another_that_is_due),
		cmocka_unit_test(a_timer_may_restart_itself),
		cmocka_unit_test(timers_keep_order_of_due_time),
		cmocka_unit_test(radio_before_timers_before_deferred_before_bus),
		cmocka_unit_test(a_pass_ends_while_a_descriptor_stays_ready),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
