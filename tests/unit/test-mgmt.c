/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The mgmt channel against a far end that the test plays by hand. */
#include "aiobled/mgmt.h"

#include <sys/socket.h>

#include "aiobled/cleanup.h"
#include "aiobled/result.h"

#include "test.h"

#define SET_LE   MGMT_SET_LE
#define TIMEOUT  1000
#define COMPLETE MGMT_EV_CMD_COMPLETE
#define STATUS   MGMT_EV_CMD_STATUS

static struct loop *loop;
static struct mgmt *mgmt;
static int far, events, closed, closed_err, last_event;

struct waiter {
	struct mgmt_cmd cmd;
	int done, res;
	size_t rsp_len;
	uint8_t rsp0;
	void (*then)(struct waiter *w);
};

static void on_done(struct op *op, int res)
{
	struct waiter *w = container_of(op, struct waiter, cmd.op);

	w->done++;
	w->res = res;
	w->rsp_len = w->cmd.rsp_len;
	w->rsp0 = w->cmd.rsp_len ? w->cmd.rsp[0] : 0;
	if (w->then)
		w->then(w);
}

static void on_event(const struct mgmt_msg *msg, void *data)
{
	events++;
	last_event = msg->code;
}

static void on_closed(int err, void *data)
{
	closed++;
	closed_err = err;
}

static int setup(void **state)
{
	static const struct mgmt_events ev = { .event = on_event, .closed = on_closed };
	int sv[2];

	events = closed = closed_err = last_event = 0;
	if (loop_new_virtual(&loop) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv) < 0)
		return -1;
	far = sv[0];
	return mgmt_new(loop, sv[1], &ev, NULL, &mgmt);
}

static int teardown(void **state)
{
	mgmt = mgmt_free(mgmt);
	(void)loop_settle(loop);
	closep(&far);
	loop_free(loop);
	return 0;
}

static int start(struct waiter *w, uint16_t opcode, uint16_t index, uint8_t value)
{
	op_init(&w->cmd.op, loop, on_done);
	return mgmt_send(mgmt, &w->cmd, opcode, index, &value, 1, TIMEOUT);
}

/* The next command at the far end: its opcode, 0 when there is none. */
static unsigned int take(uint8_t *ret_value)
{
	uint8_t buf[64];
	ssize_t n = recv(far, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		return 0;
	assert_int_equal(n, 7);
	if (ret_value)
		*ret_value = buf[6];
	return (unsigned int)(buf[0] | buf[1] << 8);
}

static void answer(uint16_t code, uint16_t opcode, uint16_t index, uint8_t status, size_t extra)
{
	uint8_t buf[64];
	struct wr w = wr_init(buf, sizeof(buf));

	wr_le16(&w, code);
	wr_le16(&w, index);
	wr_le16(&w, (uint16_t)(3 + extra));
	wr_le16(&w, opcode);
	wr_u8(&w, status);
	for (size_t i = 0; i < extra; i++)
		wr_u8(&w, 0x40);
	assert_int_equal(send(far, buf, wr_len(&w), 0), wr_len(&w));
	assert_int_equal(loop_settle(loop), 0);
}

static struct mgmt_stats stats(void)
{
	struct mgmt_stats s;

	mgmt_get_stats(mgmt, &s);
	return s;
}

static void answers_find_their_command(void **state)
{
	static const struct {
		uint16_t code;
		uint8_t status;
		size_t extra;
		int res;
		size_t rsp_len;
	} rows[] = {
		{ COMPLETE, 0, 4, 0, 4 },
		{ COMPLETE, 0, 0, 0, 0 },
		{ COMPLETE, MGMT_STATUS_BUSY, 4, RES_MGMT(MGMT_STATUS_BUSY), 4 },
		{ STATUS, MGMT_STATUS_REJECTED, 0, RES_MGMT(MGMT_STATUS_REJECTED), 0 },
		{ STATUS, 0, 0, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct waiter w = { 0 };

		assert_int_equal(start(&w, SET_LE, 0, 1), 0);
		assert_int_equal(take(NULL), SET_LE);
		assert_int_equal(w.done, 0);
		answer(rows[i].code, SET_LE, 0, rows[i].status, rows[i].extra);
		assert_int_equal(w.done, 1);
		assert_int_equal(w.res, rows[i].res);
		assert_int_equal(w.rsp_len, rows[i].rsp_len);
	}
	assert_int_equal(events, 0);
	assert_int_equal(stats().malformed, 0);
}

static void answers_of_others_are_not_taken(void **state)
{
	struct waiter w = { 0 };

	assert_int_equal(start(&w, SET_LE, 0, 1), 0);
	answer(COMPLETE, SET_LE, 1, 0, 4);
	answer(COMPLETE, MGMT_SET_BREDR, 0, 0, 4);
	assert_int_equal(w.done, 0);
	answer(COMPLETE, SET_LE, 0, 0, 4);
	assert_int_equal(w.done, 1);
	answer(COMPLETE, SET_LE, 0, 0, 4); /* twice */
	assert_int_equal(w.done, 1);
}

static void equal_commands_queue_others_do_not(void **state)
{
	struct waiter a = { 0 }, b = { 0 }, other = { 0 };
	uint8_t value;

	assert_int_equal(start(&a, SET_LE, 0, 1), 0);
	assert_int_equal(start(&b, SET_LE, 0, 2), 0);
	assert_int_equal(start(&other, SET_LE, 1, 3), 0);
	assert_int_equal(take(&value), SET_LE);
	assert_int_equal(value, 1);
	assert_int_equal(take(&value), SET_LE);
	assert_int_equal(value, 3);
	assert_int_equal(take(&value), 0);
	answer(COMPLETE, SET_LE, 0, 0, 4);
	assert_int_equal(a.done, 1);
	assert_int_equal(b.done, 0);
	assert_int_equal(take(&value), SET_LE);
	assert_int_equal(value, 2);
	answer(COMPLETE, SET_LE, 0, 0, 4);
	answer(COMPLETE, SET_LE, 1, 0, 4);
	assert_int_equal(b.done + other.done, 2);
}

static void a_late_answer_belongs_to_nobody(void **state)
{
	struct waiter a = { 0 }, b = { 0 };

	assert_int_equal(start(&a, SET_LE, 0, 1), 0);
	assert_int_equal(take(NULL), SET_LE);
	assert_int_equal(loop_advance(loop, TIMEOUT), 0);
	assert_int_equal(a.res, -ETIMEDOUT);
	assert_int_equal(start(&b, SET_LE, 0, 2), 0);
	assert_int_equal(take(NULL), 0); /* the place on the wire is taken */
	answer(COMPLETE, SET_LE, 0, MGMT_STATUS_REJECTED, 0);
	assert_int_equal(b.done, 0);
	assert_int_equal(take(NULL), SET_LE);
	answer(COMPLETE, SET_LE, 0, 0, 4);
	assert_int_equal(b.done, 1);
	assert_int_equal(b.res, 0);
	assert_int_equal(a.done, 1);
	assert_int_equal(stats().late, 1);
	assert_int_equal(stats().timeouts, 1);
}

static void deadlines_count_while_queued(void **state)
{
	struct waiter a = { 0 }, b = { 0 };

	assert_int_equal(start(&a, SET_LE, 0, 1), 0);
	assert_int_equal(loop_advance(loop, TIMEOUT / 2), 0);
	assert_int_equal(start(&b, SET_LE, 0, 2), 0);
	assert_int_equal(take(NULL), SET_LE);
	assert_int_equal(loop_advance(loop, TIMEOUT - 1), 0);
	assert_int_equal(a.res, -ETIMEDOUT);
	assert_int_equal(b.done, 0);
	assert_int_equal(loop_advance(loop, 1), 0);
	assert_int_equal(b.res, -ETIMEDOUT);
	answer(COMPLETE, SET_LE, 0, 0, 4);
	assert_int_equal(take(NULL), 0); /* what was withdrawn in the queue is never sent */
}

static void an_abandoned_command_frees_its_place(void **state)
{
	struct waiter a = { 0 }, b = { 0 };

	assert_int_equal(start(&a, SET_LE, 0, 1), 0);
	assert_int_equal(take(NULL), SET_LE);
	assert_int_equal(loop_advance(loop, MGMT_ABANDON_MS - 500), 0);
	assert_int_equal(start(&b, SET_LE, 0, 2), 0);
	assert_int_equal(loop_advance(loop, 499), 0);
	assert_int_equal(take(NULL), 0);
	assert_int_equal(loop_advance(loop, 1), 0);
	assert_int_equal(take(NULL), SET_LE);
	assert_int_equal(stats().abandoned, 1);
	answer(COMPLETE, SET_LE, 0, 0, 4);
	assert_int_equal(b.done, 1);
}

static void drop_is_silent(void **state)
{
	struct waiter sent = { 0 }, queued = { 0 };

	assert_int_equal(start(&sent, SET_LE, 0, 1), 0);
	assert_int_equal(start(&queued, SET_LE, 0, 2), 0);
	op_drop(&sent.cmd.op);
	op_drop(&queued.cmd.op);
	assert_int_equal(take(NULL), SET_LE);
	answer(COMPLETE, SET_LE, 0, 0, 4);
	assert_int_equal(take(NULL), 0);
	assert_int_equal(sent.done + queued.done, 0);
	assert_int_equal(stats().timeouts, 0);
}

static void start_again(struct waiter *w)
{
	w->then = NULL;
	assert_int_equal(start(w, SET_LE, 0, 2), 0);
}

static void free_mgmt(struct waiter *w)
{
	mgmt = mgmt_free(mgmt);
}

static void done_may_start_the_next(void **state)
{
	struct waiter w = { .then = start_again };

	assert_int_equal(start(&w, SET_LE, 0, 1), 0);
	answer(COMPLETE, SET_LE, 0, 0, 4);
	answer(COMPLETE, SET_LE, 0, 0, 4);
	assert_int_equal(w.done, 2);
}

static void done_may_free_the_channel(void **state)
{
	struct waiter w = { .then = free_mgmt }, other = { 0 };

	assert_int_equal(start(&w, SET_LE, 0, 1), 0);
	assert_int_equal(start(&other, SET_LE, 1, 1), 0);
	answer(COMPLETE, SET_LE, 0, 0, 4);
	assert_int_equal(w.done, 1);
	assert_int_equal(other.done, 1); /* nobody is left waiting for ever */
	assert_int_equal(other.res, -EIO);
}

static void hostile_messages_are_counted(void **state)
{
	static const struct {
		const char *what;
		uint8_t msg[16];
		size_t len;
		unsigned int malformed, events;
	} rows[] = {
		{ "one byte", { 0x01 }, 1, 1, 0 },
		{ "no length", { 0x06, 0x00, 0x00, 0x00 }, 4, 1, 0 },
		{ "length says less", { 0x06, 0x00, 0x00, 0x00, 0x01, 0x00, 1, 2 }, 8, 1, 0 },
		{ "length says more", { 0x06, 0x00, 0x00, 0x00, 0x09, 0x00, 1, 2 }, 8, 1, 0 },
		{ "complete without opcode", { 0x01, 0x00, 0x00, 0x00, 0x01, 0x00, 0x0d }, 7, 1, 0 },
		{ "complete of a stranger", { 0x01, 0x00, 0x00, 0x00, 0x03, 0x00, 0x99, 0x99, 0x00 }, 9, 0, 0 },
		{ "unknown event", { 0xfe, 0xff, 0x07, 0x00, 0x00, 0x00 }, 6, 0, 1 },
		{ "event without parameters", { 0x06, 0x00, 0x00, 0x00, 0x00, 0x00 }, 6, 0, 1 },
	};
	unsigned int malformed = 0, seen = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(send(far, rows[i].msg, rows[i].len, 0), rows[i].len);
		assert_int_equal(loop_settle(loop), 0);
		malformed += rows[i].malformed;
		seen += rows[i].events;
		if (stats().malformed != malformed || events != (int)seen)
			fail_msg("%s", rows[i].what);
	}
}

static void an_answer_without_status_ends_the_command(void **state)
{
	static const uint8_t cut[] = { 0x01, 0x00, 0x00, 0x00, 0x02, 0x00, 0x0d, 0x00 };
	struct waiter w = { 0 };

	assert_int_equal(start(&w, SET_LE, 0, 1), 0);
	assert_int_equal(send(far, cut, sizeof(cut), 0), sizeof(cut));
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(w.res, -EBADMSG);
	assert_int_equal(stats().malformed, 1);
}

static void the_queue_has_an_end(void **state)
{
	struct waiter *w = calloc(MGMT_QUEUE_MAX + 1, sizeof(*w));

	assert_non_null(w);
	for (int i = 0; i < MGMT_QUEUE_MAX; i++)
		assert_int_equal(start(&w[i], SET_LE, 0, 1), 0);
	assert_int_equal(start(&w[MGMT_QUEUE_MAX], SET_LE, 0, 1), -ENOBUFS);
	op_drop(&w[5].cmd.op);
	assert_int_equal(start(&w[MGMT_QUEUE_MAX], SET_LE, 0, 1), 0);
	for (int i = 0; i <= MGMT_QUEUE_MAX; i++)
		op_drop(&w[i].cmd.op);
	free(w);
}

static void too_large_is_refused(void **state)
{
	static const uint8_t big[MGMT_PARAM_MAX + 1];
	uint8_t small[4];
	struct wr bad = wr_init(small, sizeof(small));
	struct waiter w = { 0 };

	op_init(&w.cmd.op, loop, on_done);
	assert_int_equal(mgmt_send(mgmt, &w.cmd, MGMT_LOAD_LTKS, 0, big, sizeof(big), TIMEOUT), -EMSGSIZE);
	mgmt_put_mode(&bad, SET_LE, 0, 1);
	assert_int_equal(mgmt_send_msg(mgmt, &w.cmd, &bad, TIMEOUT), -EMSGSIZE);
	assert_int_equal(take(NULL), 0);
}

/* The kernel takes no more for a while: nothing is lost, order is kept. */
static void a_full_socket_is_waited_for(void **state)
{
	struct waiter *w = calloc(MGMT_QUEUE_MAX, sizeof(*w));
	int sv[2], size = 1, taken = 0;
	static const struct mgmt_events ev = { .event = on_event, .closed = on_closed };
	uint8_t value;

	assert_non_null(w);
	mgmt = mgmt_free(mgmt);
	closep(&far);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv), 0);
	assert_int_equal(setsockopt(sv[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0); /* the least there is */
	far = sv[0];
	assert_int_equal(mgmt_new(loop, sv[1], &ev, NULL, &mgmt), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(start(&w[i], SET_LE, (uint16_t)i, (uint8_t)i), 0);
	assert_true(stats().sent < 100);
	while (taken < 100) {
		assert_int_equal(loop_settle(loop), 0);
		assert_int_equal(take(&value), SET_LE);
		assert_int_equal(value, taken++);
	}
	assert_int_equal(stats().sent, 100);
	for (int i = 0; i < 100; i++)
		op_drop(&w[i].cmd.op);
	free(w);
}

static void a_send_that_fails_is_told_later(void **state)
{
	struct waiter w = { 0 };

	closep(&far);
	far = -1;
	assert_int_equal(start(&w, SET_LE, 0, 1), 0); /* nobody has noticed yet */
	assert_int_equal(w.done, 0);
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(w.res, -EIO);
}

static int done_before_closed;

static void note_closed(struct waiter *w)
{
	done_before_closed += !closed;
}

static void a_broken_socket_fails_all_then_tells(void **state)
{
	struct waiter sent = { .then = note_closed }, queued = { .then = note_closed }, later = { 0 };

	done_before_closed = 0;
	assert_int_equal(start(&sent, SET_LE, 0, 1), 0);
	assert_int_equal(start(&queued, SET_LE, 0, 2), 0);
	closep(&far);
	far = -1;
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(sent.res, -EIO);
	assert_int_equal(queued.res, -EIO);
	assert_int_equal(done_before_closed, 2);
	assert_int_equal(closed, 1);
	assert_true(closed_err < 0);
	assert_int_equal(start(&later, SET_LE, 0, 1), -EIO);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(answers_find_their_command),
		T(answers_of_others_are_not_taken),
		T(equal_commands_queue_others_do_not),
		T(a_late_answer_belongs_to_nobody),
		T(deadlines_count_while_queued),
		T(an_abandoned_command_frees_its_place),
		T(drop_is_silent),
		T(done_may_start_the_next),
		T(done_may_free_the_channel),
		T(hostile_messages_are_counted),
		T(an_answer_without_status_ends_the_command),
		T(the_queue_has_an_end),
		T(too_large_is_refused),
		T(a_full_socket_is_waited_for),
		T(a_send_that_fails_is_told_later),
		T(a_broken_socket_fails_all_then_tells),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
