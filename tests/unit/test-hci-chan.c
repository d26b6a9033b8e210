/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The raw HCI channel against a far end that the test plays by hand. */
#include "aiobled/hci_chan.h"

#include <sys/socket.h>

#include "aiobled/cleanup.h"
#include "aiobled/result.h"

#include "test.h"

#define ENABLE  HCIP_LE_SET_SCAN_ENABLE
#define TIMEOUT 1000

static struct loop *loop;
static struct hci_chan *chan;
static int far, events, closed, closed_err;

struct waiter {
	struct hci_cmd cmd;
	int done, res;
	size_t rsp_len;
	bool free_chan;
};

static void on_done(struct op *op, int res)
{
	struct waiter *w = container_of(op, struct waiter, cmd.op);

	w->done++;
	w->res = res;
	w->rsp_len = w->cmd.rsp_len;
	if (w->free_chan)
		chan = hci_chan_free(chan);
}

static void on_event(const struct hcip_event *ev, void *data)
{
	events++;
}

static void on_closed(int err, void *data)
{
	closed++;
	closed_err = err;
}

static int setup(void **state)
{
	static const struct hci_chan_events ev = { .event = on_event, .closed = on_closed };
	int sv[2];

	events = closed = closed_err = 0;
	if (loop_new_virtual(&loop) < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, sv) < 0)
		return -1;
	far = sv[0];
	return hci_chan_new(loop, sv[1], &ev, NULL, &chan);
}

static int teardown(void **state)
{
	chan = hci_chan_free(chan);
	(void)loop_settle(loop);
	closep(&far);
	loop_free(loop);
	return 0;
}

static int start(struct waiter *w, uint16_t opcode)
{
	static const uint8_t param[] = { 1, 0 };

	op_init(&w->cmd.op, loop, on_done);
	return hci_chan_send(chan, &w->cmd, opcode, param, sizeof(param), TIMEOUT);
}

static unsigned int take(void)
{
	uint8_t buf[HCIP_CMD_MAX];
	ssize_t n = recv(far, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0)
		return 0;
	assert_int_equal(n, 6);
	assert_int_equal(buf[0], HCIP_PKT_COMMAND);
	assert_int_equal(buf[3], 2);
	return (unsigned int)(buf[1] | buf[2] << 8);
}

static void raw(const void *pkt, size_t len)
{
	assert_int_equal(send(far, pkt, len, 0), len);
	assert_int_equal(loop_settle(loop), 0);
}

#define RAW(...)                                     \
	do {                                         \
		const uint8_t pkt_[] = { __VA_ARGS__ }; \
		raw(pkt_, sizeof(pkt_));             \
	} while (0)

#define OP(o) (o) & 0xff, (o) >> 8

static struct hci_chan_stats stats(void)
{
	struct hci_chan_stats s;

	hci_chan_get_stats(chan, &s);
	return s;
}

static void completions_find_their_command(void **state)
{
	struct waiter ok = { 0 }, refused = { 0 }, status = { 0 }, none = { 0 };

	assert_int_equal(start(&ok, ENABLE), 0);
	assert_int_equal(take(), ENABLE);
	RAW(4, 0x0e, 6, 1, OP(ENABLE), 0x00, 0xaa, 0xbb);
	assert_int_equal(ok.done, 1);
	assert_int_equal(ok.res, 0);
	assert_int_equal(ok.rsp_len, 2);

	assert_int_equal(start(&refused, ENABLE), 0);
	RAW(4, 0x0e, 4, 1, OP(ENABLE), 0x0c);
	assert_int_equal(refused.res, RES_HCI(0x0c));

	assert_int_equal(start(&status, HCIP_DISCONNECT), 0);
	RAW(4, 0x0f, 4, 0x00, 1, OP(HCIP_DISCONNECT));
	assert_int_equal(status.done, 1);
	assert_int_equal(status.res, 0);

	assert_int_equal(start(&none, ENABLE), 0);
	RAW(4, 0x0e, 3, 1, OP(ENABLE)); /* a completion must carry a status */
	assert_int_equal(none.res, -EBADMSG);
	assert_int_equal(events, 4); /* completions are events, too */
}

static void the_kernels_commands_are_not_ours(void **state)
{
	struct waiter w = { 0 };

	RAW(4, 0x0e, 4, 1, OP(ENABLE), 0x00);
	assert_int_equal(start(&w, ENABLE), 0);
	RAW(4, 0x0e, 4, 1, OP(HCIP_LE_SET_SCAN_PARAMS), 0x00);
	RAW(4, 0x0e, 3, 1, OP(HCIP_NOP));
	RAW(4, 0x0f, 4, 0x00, 1, OP(HCIP_NOP));
	assert_int_equal(w.done, 0);
	assert_int_equal(events, 4);
	RAW(4, 0x0e, 4, 1, OP(ENABLE), 0x00);
	assert_int_equal(w.done, 1);
}

static void one_of_an_opcode_at_a_time(void **state)
{
	struct waiter a = { 0 }, b = { 0 }, c = { 0 };

	assert_int_equal(start(&a, ENABLE), 0);
	assert_int_equal(start(&b, ENABLE), 0);
	assert_int_equal(start(&c, HCIP_LE_SET_SCAN_PARAMS), 0);
	assert_int_equal(take(), ENABLE);
	assert_int_equal(take(), HCIP_LE_SET_SCAN_PARAMS);
	assert_int_equal(take(), 0);
	RAW(4, 0x0e, 4, 1, OP(ENABLE), 0x00);
	assert_int_equal(a.done, 1);
	assert_int_equal(b.done, 0);
	assert_int_equal(take(), ENABLE);
	RAW(4, 0x0e, 4, 1, OP(ENABLE), 0x0c);
	assert_int_equal(b.res, RES_HCI(0x0c));
	op_drop(&c.cmd.op);
}

static void silence_times_out_and_late_answers_are_nobodys(void **state)
{
	struct waiter a = { 0 }, b = { 0 };

	assert_int_equal(start(&a, ENABLE), 0);
	assert_int_equal(take(), ENABLE);
	assert_int_equal(loop_advance(loop, TIMEOUT), 0);
	assert_int_equal(a.res, -ETIMEDOUT);
	assert_int_equal(stats().timeouts, 1);
	assert_int_equal(start(&b, ENABLE), 0);
	RAW(4, 0x0e, 4, 1, OP(ENABLE), 0x0c); /* a's */
	assert_int_equal(b.done, 0);
	RAW(4, 0x0e, 4, 1, OP(ENABLE), 0x00);
	assert_int_equal(b.res, 0);
	assert_int_equal(stats().late, 1);
}

static void an_abandoned_command_frees_its_place(void **state)
{
	struct waiter a = { 0 }, b = { 0 };

	assert_int_equal(start(&a, ENABLE), 0);
	assert_int_equal(take(), ENABLE);
	assert_int_equal(loop_advance(loop, HCI_ABANDON_MS - 1), 0);
	assert_int_equal(start(&b, ENABLE), 0);
	assert_int_equal(take(), 0);
	assert_int_equal(loop_advance(loop, 1), 0);
	assert_int_equal(take(), ENABLE);
	assert_int_equal(stats().abandoned, 1);
	op_drop(&b.cmd.op);
}

static void hostile_packets_are_counted(void **state)
{
	struct waiter w = { 0 };

	assert_int_equal(start(&w, ENABLE), 0);
	RAW(4);
	RAW(2, 0x0e, 0);             /* no event packet */
	RAW(4, 0x0e, 9, 1);          /* length says more */
	RAW(4, 0x3e, 0);             /* LE Meta without a subevent */
	RAW(4, 0x0e, 2, 1, 0x0c);    /* half an opcode */
	RAW(4, 0x0f, 3, 0, 1, 0x0c); /* the same in a status */
	assert_int_equal(stats().malformed, 6);
	assert_int_equal(w.done, 0);
	RAW(4, 0x0e, 4, 1, OP(ENABLE), 0x00);
	assert_int_equal(w.done, 1);
}

static void done_may_free_the_channel(void **state)
{
	struct waiter w = { .free_chan = true }, other = { 0 };
	static const uint8_t both[] = { 4, 0x0e, 4, 1, OP(ENABLE), 0x00 };

	assert_int_equal(start(&w, ENABLE), 0);
	assert_int_equal(start(&other, HCIP_DISCONNECT), 0);
	assert_int_equal(send(far, both, sizeof(both), 0), sizeof(both));
	raw(both, sizeof(both));
	assert_null(chan);
	assert_int_equal(w.done, 1);
	assert_int_equal(other.res, -ENODEV);
}

static void unplugging_fails_all_then_tells(void **state)
{
	struct waiter sent = { 0 }, queued = { 0 }, later = { 0 };

	assert_int_equal(start(&sent, ENABLE), 0);
	assert_int_equal(start(&queued, ENABLE), 0);
	closep(&far);
	far = -1;
	assert_int_equal(loop_settle(loop), 0);
	assert_int_equal(sent.res, -ENODEV);
	assert_int_equal(queued.res, -ENODEV);
	assert_int_equal(closed, 1);
	assert_true(closed_err < 0);
	assert_int_equal(start(&later, ENABLE), -ENODEV);
}

static void limits(void **state)
{
	static const uint8_t big[256];
	struct waiter *w = calloc(HCI_QUEUE_MAX + 1, sizeof(*w));

	assert_non_null(w);
	op_init(&w[0].cmd.op, loop, on_done);
	assert_int_equal(hci_chan_send(chan, &w[0].cmd, ENABLE, big, sizeof(big), TIMEOUT), -EMSGSIZE);
	for (int i = 0; i < HCI_QUEUE_MAX; i++)
		assert_int_equal(start(&w[i], ENABLE), 0);
	assert_int_equal(start(&w[HCI_QUEUE_MAX], ENABLE), -ENOBUFS);
	for (int i = 0; i < HCI_QUEUE_MAX; i++)
		op_drop(&w[i].cmd.op);
	free(w);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(completions_find_their_command),
		T(the_kernels_commands_are_not_ours),
		T(one_of_an_opcode_at_a_time),
		T(silence_times_out_and_late_answers_are_nobodys),
		T(an_abandoned_command_frees_its_place),
		T(hostile_packets_are_counted),
		T(done_may_free_the_channel),
		T(unplugging_fails_all_then_tells),
		T(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
