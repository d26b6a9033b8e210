/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The bearer alone: transactions, the peer's requests, flow control, the end. */
#include "aiobled/att.h"
#include "aiobled/result.h"

#include <sys/socket.h>
#include <unistd.h>

#include "../support/transcript.h"
#include "test.h"

static struct bed bed;

struct call {
	struct att_req req;
	int count, res;
	uint8_t rsp[BED_PDU_MAX];
	size_t rsp_len;
	void (*then)(struct call *c); /* in done() */
};

static struct call a, b;

static void on_done(struct op *op, int res)
{
	struct call *c = container_of(op, struct call, req.op);

	c->count++;
	c->res = res;
	c->rsp_len = 0;
	if (res == 0 && c->req.rsp) {
		c->rsp_len = c->req.rsp_len;
		memcpy(c->rsp, c->req.rsp, c->rsp_len);
	}
	if (c->then)
		c->then(c);
}

static void call_init(struct call *c)
{
	*c = (struct call){0};
	op_init(&c->req.op, bed.loop, on_done);
}

static int setup(void **state)
{
	bed_open(&bed, 23);
	call_init(&a);
	call_init(&b);
	return 0;
}

static int teardown(void **state)
{
	op_drop(&a.req.op);
	op_drop(&b.req.op);
	bed_close(&bed);
	return 0;
}

static int ask(struct call *c, const char *hex, uint32_t timeout_ms)
{
	uint8_t pdu[BED_PDU_MAX];
	const char *end;
	size_t len = hex_parse(hex, &end, pdu, sizeof(pdu));

	return att_request(bed.att, &c->req, pdu, len, timeout_ms);
}

#define PLAY(script) bed_play(&bed, __func__, script)

static void assert_done(const struct call *c, int res)
{
	assert_int_equal(c->count, 1);
	assert_int_equal(c->res, res);
}

static void answer_is_told_once_and_later(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 1000), 0);
	assert_true(att_req_sent(&a.req));
	assert_int_equal(a.count, 0);
	PLAY("> 0a 03 00; < 0b 01 02");
	assert_done(&a, 0);
	assert_int_equal(a.rsp_len, 3);
	assert_int_equal(att_stats(bed.att)->requests, 1);
	PLAY("~ 60000");
	assert_int_equal(bed.closed_count, 0);
}

static void peer_error_keeps_code_and_handle(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 1000), 0);
	PLAY("> 0a 03 00; < 01 0a 03 00 80");
	assert_done(&a, RES_ATT(0x80));
	assert_int_equal(a.req.err_handle, 3);
	assert_int_equal(att_stats(bed.att)->errors, 1);
}

static void requests_take_turns(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	assert_int_equal(ask(&b, "0a 04 00", 0), 0);
	assert_int_equal(att_queued(bed.att), 2);
	assert_false(att_req_sent(&b.req));
	PLAY("> 0a 03 00; =; < 0b aa; > 0a 04 00; < 0b bb");
	assert_done(&a, 0);
	assert_done(&b, 0);
	assert_int_equal(b.rsp[1], 0xbb);
	assert_int_equal(att_queued(bed.att), 0);
}

static void queued_deadline_sends_nothing(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	assert_int_equal(ask(&b, "0a 04 00", 100), 0);
	PLAY("> 0a 03 00; ~ 99");
	assert_int_equal(b.count, 0);
	PLAY("~ 1");
	assert_done(&b, -ETIMEDOUT);
	PLAY("< 0b aa; =");
	assert_done(&a, 0);
}

static void late_answer_belongs_to_nobody(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 100), 0);
	PLAY("> 0a 03 00; ~ 100");
	assert_done(&a, -ETIMEDOUT);
	assert_int_equal(ask(&b, "0a 04 00", 0), 0);
	PLAY("=; < 0b aa; > 0a 04 00; < 0b bb");
	assert_int_equal(a.count, 1);
	assert_done(&b, 0);
	assert_int_equal(b.rsp[1], 0xbb);
	assert_int_equal(att_stats(bed.att)->timeouts, 1);
}

static void drop_leaves_the_slot(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	assert_int_equal(ask(&b, "0a 04 00", 0), 0);
	op_drop(&a.req.op);
	PLAY("> 0a 03 00; =; < 01 0a 03 00 01; > 0a 04 00; < 0b");
	assert_int_equal(a.count, 0);
	assert_done(&b, 0);
}

static void thirty_seconds_end_the_bearer(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 100), 0);
	assert_int_equal(ask(&b, "0a 04 00", 0), 0);
	PLAY("> 0a 03 00; ~ 29999");
	assert_int_equal(bed.closed_count, 0);
	assert_int_equal(b.count, 0);
	assert_int_equal(loop_advance(bed.loop, 1), 0);
	assert_int_equal(bed.closed_count, 1);
	assert_int_equal(bed.closed_err, -ETIMEDOUT);
	assert_int_equal(b.count, 0); /* until the owner says so */
	assert_int_equal(ask(&a, "0a 05 00", 0), -ENOTCONN);
	att_fail_all(bed.att, -ENOTCONN);
	assert_done(&b, -ENOTCONN);
	/* the peer finds the end, and no PDU before it */
	uint8_t buf[8];

	assert_int_equal(recv(bed.peer, buf, sizeof(buf), MSG_DONTWAIT), 0);
}

static void waiter_at_thirty_seconds_is_told_the_timeout(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	PLAY("> 0a 03 00; ~ 30000");
	assert_done(&a, -ETIMEDOUT);
	assert_int_equal(bed.closed_err, -ETIMEDOUT);
}

static void answer_stops_the_clock(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	assert_int_equal(ask(&b, "0a 04 00", 0), 0);
	PLAY("> 0a 03 00; ~ 20000; < 0b; > 0a 04 00; ~ 29999; < 0b");
	assert_done(&b, 0);
	assert_int_equal(bed.closed_count, 0);
}

static void free_all(struct call *c)
{
	att_fail_all(bed.att, -ENOTCONN);
	bed.gc = gatt_client_free(bed.gc);
	bed.att = att_free(bed.att);
}

static void done_may_free_the_bearer(void **state)
{
	a.then = free_all;
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	assert_int_equal(ask(&b, "0a 04 00", 0), 0);
	assert_int_equal(send(bed.peer, "\x0b", 1, 0), 1);
	assert_int_equal(send(bed.peer, "\x1b\x01\x00", 3, 0), 3);
	assert_int_equal(loop_settle(bed.loop), 0);
	assert_done(&a, 0);
	assert_done(&b, -ENOTCONN);
	assert_int_equal(bed.values, 0); /* nothing after the end, although it had arrived */
}

static void done_may_free_the_bearer_while_failing(void **state)
{
	a.then = free_all;
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	assert_int_equal(ask(&b, "0a 04 00", 0), 0);
	att_fail_all(bed.att, -ENOTCONN);
	assert_done(&a, -ENOTCONN);
	assert_done(&b, -ENOTCONN);
}

static void ask_again(struct call *c)
{
	if (c->count < 3)
		assert_int_equal(ask(c, "0a 03 00", 0), 0);
}

static void done_may_ask_again(void **state)
{
	a.then = ask_again;
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	assert_int_equal(ask(&b, "0a 04 00", 0), 0);
	PLAY("> 0a 03 00; < 0b; > 0a 04 00; < 0b; > 0a 03 00; < 0b; > 0a 03 00; < 0b; =");
	assert_int_equal(a.count, 3);
	assert_done(&b, 0);
}

static void refused_calls(void **state)
{
	struct att_cmd cmd;

	op_init(&cmd.op, bed.loop, on_done);
	assert_int_equal(ask(&a, "0b 03 00", 0), -EINVAL);
	assert_int_equal(ask(&a, "52 03 00", 0), -EINVAL);
	assert_int_equal(ask(&a, "", 0), -EINVAL);
	assert_int_equal(ask(&a, "12 03 00 41*21", 0), -EMSGSIZE);
	assert_int_equal(att_command(bed.att, &cmd, "\x12\x01\x00", 3, 0), -EINVAL);
	assert_int_equal(ask(&a, "12 03 00 41*20", 0), 0);
	PLAY("> 12 03 00 41*20; < 13");
	att_fail_all(bed.att, -ENOTCONN);
	assert_int_equal(ask(&b, "0a 03 00", 0), -ENOTCONN);
}

static void queue_has_an_end(void **state)
{
	static struct call calls[ATT_REQUESTS_MAX + 1];

	for (int i = 0; i <= ATT_REQUESTS_MAX; i++) {
		call_init(&calls[i]);
		assert_int_equal(ask(&calls[i], "0a 03 00", 0), 0);
	}
	assert_int_equal(ask(&a, "0a 03 00", 0), -ENOBUFS);
	att_fail_all(bed.att, -ENOTCONN);
	for (int i = 0; i <= ATT_REQUESTS_MAX; i++)
		assert_done(&calls[i], -ENOTCONN);
}

/* --- wrong answers --- */

static const struct wrong {
	const char *name, *asked, *answer;
	int res; /* 1: it goes on waiting */
	int protocol_errors;
} wrong[] = {
	{"another response", "0a 03 00", "13", -EBADMSG, 1},
	{"an unknown command", "0a 03 00", "7f", 1, 0},
	{"second MTU response", "10 01 00 ff ff 00 28", "03 05 02", 1, 1},
	{"error for another request", "0a 03 00", "01 12 03 00 01", -EBADMSG, 1},
	{"error for no known opcode", "0a 03 00", "01 00 03 00 01", -EBADMSG, 1},
	{"error for a command", "0a 03 00", "01 52 03 00 01", 1, 1},
	{"error for our confirmation", "0a 03 00", "01 1e 03 00 01", 1, 1},
	{"error for MTU", "0a 03 00", "01 02 00 00 06", 1, 1},
	{"short error", "0a 03 00", "01 0a 03 00", -EBADMSG, 1},
	{"long error", "0a 03 00", "01 0a 03 00 01 00", -EBADMSG, 1},
	{"error code zero", "0a 03 00", "01 0a 03 00 00", RES_ATT(0), 0},
	{"truncated", "0a 03 00", "0b 41*518", -EBADMSG, 1},
	{"longer than MTU but whole", "0a 03 00", "0b 41*100", 0, 0},
	{"confirmation", "0a 03 00", "1e", 1, 1},
	{"notification without handle", "0a 03 00", "1b 01", 1, 1},
	{"notification of handle 0", "0a 03 00", "1b 00 00 41", 1, 1},
	{"indication without handle", "0a 03 00", "1d", 1, 1},
	{"multiple notification cut off", "0a 03 00", "23 03 00 02 00 41", 1, 1},
	{"empty PDU", "0a 03 00", "", 1, 1},
};

static void wrong_answers(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const struct wrong *w = &wrong[i];
		char script[128];

		(void)snprintf(script, sizeof(script), "> %s; < %s", w->asked, w->answer);
		assert_int_equal(ask(&a, w->asked, 1000), 0);
		bed_play(&bed, w->name, script);
		if (w->res == 1)
			assert_int_equal(a.count, 0);
		else
			assert_done(&a, w->res);
		if ((int)att_stats(bed.att)->protocol_errors != w->protocol_errors)
			fail_msg("%s: %d protocol errors", w->name,
			         (int)att_stats(bed.att)->protocol_errors);
		if (i + 1 < ARRAY_SIZE(wrong)) {
			(void)teardown(state);
			(void)setup(state);
		}
	}
}

/* bluez#2486: the second MTU response arrives while discovery has begun, and must not end it */
static void duplicate_of_the_last_answer_is_swallowed_once(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	PLAY("> 0a 03 00; < 0b 01");
	assert_int_equal(ask(&b, "12 04 00 01", 0), 0);
	PLAY("> 12 04 00 01; < 0b 01; =");
	assert_int_equal(b.count, 0);
	PLAY("< 13");
	assert_done(&b, 0);
	PLAY("< 13; =");
	assert_int_equal(att_stats(bed.att)->protocol_errors, 2);
	call_init(&b);
	assert_int_equal(ask(&b, "0a 04 00", 0), 0);
	/* and once more: this cannot be the peer's way of answering for ever */
	PLAY("> 0a 04 00; < 13");
	assert_done(&b, -EBADMSG);
}

static void unsolicited_answers_are_counted(void **state)
{
	PLAY("< 0b 01; < 01 0a 03 00 01; < 03 17 00; =");
	assert_int_equal(att_stats(bed.att)->protocol_errors, 3);
	assert_int_equal(att_mtu(bed.att), 23);
}

/* --- MTU --- */

static void mtu_is_the_smaller(void **state)
{
	assert_int_equal(att_exchange_mtu(bed.att, &a.req, 22, 0), -EINVAL);
	assert_int_equal(att_exchange_mtu(bed.att, &a.req, 518, 0), -EINVAL);
	assert_int_equal(att_exchange_mtu(bed.att, &a.req, 517, 1000), 0);
	assert_int_equal(att_exchange_mtu(bed.att, &b.req, 100, 1000), 0);
	bed_play(&bed, "GATT/CL/GAC/BV-01-C", "> 02 05 02; < 03 f7 00; =");
	assert_done(&a, 0);
	assert_done(&b, 0); /* one exchange a link */
	assert_int_equal(att_mtu(bed.att), 247);
	assert_int_equal(bed.mtu_events, 1);
	assert_true(att_mtu_exchanged(bed.att));
	call_init(&a);
	assert_int_equal(att_exchange_mtu(bed.att, &a.req, 517, 1000), 0);
	assert_int_equal(a.count, 0);
	PLAY("=");
	assert_done(&a, 0);
}

static void mtu_below_the_least_counts_as_the_least(void **state)
{
	assert_int_equal(att_exchange_mtu(bed.att, &a.req, 517, 0), 0);
	PLAY("> 02 05 02; < 03 05 00");
	assert_done(&a, 0);
	assert_int_equal(att_mtu(bed.att), 23);
	PLAY("< 02 00 00; > 03 05 02");
	assert_int_equal(att_mtu(bed.att), 23);
}

static void mtu_refused_can_be_asked_again(void **state)
{
	assert_int_equal(att_exchange_mtu(bed.att, &a.req, 517, 0), 0);
	PLAY("> 02 05 02; < 01 02 00 00 06");
	assert_done(&a, RES_ATT(ATT_ERR_NOT_SUPPORTED));
	assert_false(att_mtu_exchanged(bed.att));
	assert_int_equal(att_exchange_mtu(bed.att, &b.req, 517, 0), 0);
	PLAY("> 02 05 02; < 03 17"); /* half a number */
	assert_done(&b, -EBADMSG);
	assert_int_equal(att_mtu(bed.att), 23);
}

static void late_mtu_response_still_counts(void **state)
{
	assert_int_equal(att_exchange_mtu(bed.att, &a.req, 200, 100), 0);
	PLAY("> 02 c8 00; ~ 100; < 03 05 02");
	assert_done(&a, -ETIMEDOUT);
	assert_int_equal(att_mtu(bed.att), 200);
}

static void both_sides_exchange(void **state)
{
	assert_int_equal(att_exchange_mtu(bed.att, &a.req, 300, 0), 0);
	/* the peer's own request comes before its answer, and is told the same number */
	PLAY("> 02 2c 01; < 02 64 00; > 03 2c 01");
	assert_int_equal(att_mtu(bed.att), 100);
	assert_int_equal(a.count, 0);
	PLAY("< 03 05 02");
	assert_done(&a, 0);
	assert_int_equal(att_mtu(bed.att), 100);
}

static void mtu_while_a_request_waits(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	PLAY("> 0a 03 00; < 02 05 02; > 03 05 02; < 0b 41*22");
	assert_done(&a, 0);
	assert_int_equal(a.req.mtu, 23); /* the answer may have been cut at the old size */
	assert_int_equal(att_mtu(bed.att), 517);
}

static void smaller_mtu_ends_what_no_longer_fits(void **state)
{
	PLAY("< 02 64 00; > 03 05 02");
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	assert_int_equal(ask(&b, "12 03 00 41*90", 0), 0);
	PLAY("> 0a 03 00; < 02 20 00; > 03 05 02; < 0b; =");
	assert_done(&a, 0);
	assert_done(&b, -EMSGSIZE);
}

/* --- the peer's requests, without a server --- */

static const struct served {
	const char *request, *answer; /* NULL: silence */
} served[] = {
	{"02 05 02", "03 05 02"},
	{"02 05", "01 02 00 00 04"},
	{"04 01 00 ff ff", "01 04 01 00 0a"},
	{"04 00 00 ff ff", "01 04 00 00 01"},
	{"04 05 00 04 00", "01 04 05 00 01"},
	{"04 01 00 ff", "01 04 00 00 04"},
	{"06 01 00 ff ff 00 28 0d 18", "01 06 01 00 0a"},
	{"06 00 00 ff ff 00 28", "01 06 00 00 01"},
	{"06 01 00 ff ff 00", "01 06 00 00 04"},
	{"08 02 00 ff ff 03 28", "01 08 02 00 0a"},
	{"08 02 00 01 00 03 28", "01 08 02 00 01"},
	{"08 02 00 ff ff 03 28 00", "01 08 00 00 04"},
	{"10 01 00 ff ff 00 28", "01 10 01 00 0a"},
	{"10 01 00 ff ff 01 28", "01 10 01 00 0a"},
	{"10 01 00 ff ff 03 28", "01 10 01 00 10"},
	{"10 00 00 ff ff 03 28", "01 10 00 00 01"},
	{"0a 03 00", "01 0a 03 00 01"},
	{"0a 03", "01 0a 00 00 04"},
	{"0c 03 00 01 00", "01 0c 03 00 01"},
	{"0e 03 00 04 00", "01 0e 03 00 01"},
	{"0e 03 00", "01 0e 00 00 04"},
	{"20 03 00 04 00", "01 20 03 00 01"},
	{"12 03 00 41", "01 12 03 00 01"},
	{"16 03 00 00 00 41", "01 16 03 00 01"},
	{"18 00", "19"},
	{"18 01", "19"},
	{"18 02", "01 18 00 00 04"},
	{"3f", "01 3f 00 00 06"},
	{"ff", NULL}, /* command bit: unknown commands are ignored */
	{"52 03 00 41", NULL},
	{"d2 03 00 41*13", NULL},
	{"12 41*517", "01 12 00 00 04"}, /* longer than any PDU */
};

static void empty_database(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(served); i++) {
		char script[128];

		(void)snprintf(script, sizeof(script),
		               served[i].answer ? "< %s; > %s" : "< %s; =", served[i].request,
		               served[i].answer);
		bed_play(&bed, served[i].request, script);
	}
}

static void peer_that_does_not_wait_is_answered_once(void **state)
{
	bed_fill(&bed);
	PLAY("< 0a 03 00; < 0a 04 00");
	assert_int_equal(att_stats(bed.att)->protocol_errors, 1);
	assert_true(bed_drain(&bed) > 0);
	PLAY("> 01 0a 03 00 01; < 0a 05 00; > 01 0a 05 00 01");
}

static struct {
	int requests, commands, confirmed, writable;
	bool free_it, later;
	const char *at_once; /* att_answer() inside of request() */
} server_saw;

static int answer(const char *hex)
{
	uint8_t pdu[BED_PDU_MAX];
	const char *end;
	size_t len = hex_parse(hex, &end, pdu, sizeof(pdu));

	return att_answer(bed.att, pdu, len);
}

static bool server_request(const uint8_t *pdu, size_t len, struct wr *rsp, void *data)
{
	static const uint8_t value[100] = {7};

	server_saw.requests++;
	if (server_saw.free_it)
		free_all(NULL);
	else if (server_saw.at_once)
		assert_int_equal(answer(server_saw.at_once), 0);
	else if (pdu[0] == ATT_READ_REQ)
		att_put_read_rsp(rsp, value, rsp->left - 1);
	/* does not fit */
	else if (pdu[0] == ATT_READ_BLOB_REQ)
		att_put_read_rsp(rsp, value, sizeof(value));
	return !server_saw.later;
}

static void server_command(const uint8_t *pdu, size_t len, void *data)
{
	server_saw.commands++;
}

static void server_confirmed(void *data)
{
	server_saw.confirmed++;
}

static void server_writable(void *data)
{
	assert_true(att_writable(bed.att));
	server_saw.writable++;
}

static const struct att_server server = {server_request, server_command, server_confirmed,
                                         server_writable};

static void serve(void)
{
	memset(&server_saw, 0, sizeof(server_saw));
	att_set_server(bed.att, &server, NULL);
}

static void server_can_be_plugged_in(void **state)
{
	serve();
	PLAY("< 0a 03 00; > 0b 07 00*21; < 0c 03 00 00 00; > 01 0c 00 00 0e; < 12 03 00; > 01 12 "
	     "00 00 0e");
	PLAY("< 52 03 00 41; < d2 03 00 41*13; < f2 01; =");
	assert_int_equal(server_saw.commands, 2);
	assert_int_equal(att_stats(bed.att)->protocol_errors, 0);
	server_saw.free_it = true;
	PLAY("< 0a 03 00");
	assert_null(bed.att);
}

/* --- answers that come later --- */

static void serve_later(void)
{
	serve();
	server_saw.later = true;
}

static void a_later_answer(void **state)
{
	serve_later();
	assert_int_equal(answer("0b 01"), -ENOENT);
	PLAY("< 0a 03 00; =; ~ 29000; =");
	assert_int_equal(answer("0b 01"), 0);
	PLAY("> 0b 01");
	assert_int_equal(answer("0b 01"), -ENOENT);
	PLAY("< 12 03 00 01; =");
	assert_int_equal(answer("01 12 03 00 80"), 0);
	PLAY("> 01 12 03 00 80; < 0a 04 00; =");
	assert_int_equal(server_saw.requests, 3);
	assert_int_equal(att_stats(bed.att)->protocol_errors, 0);
}

static void an_answer_inside_of_the_request(void **state)
{
	serve_later();
	server_saw.at_once = "0b 01";
	PLAY("< 0a 03 00; > 0b 01");
	assert_int_equal(answer("0b 02"), -ENOENT);
	server_saw.later = false; /* what it says besides does not count */
	PLAY("< 0a 03 00; > 0b 01; =");
}

/* Also Exchange MTU, what the bearer refuses itself, and what is too long. */
static void requests_before_a_later_answer_are_counted(void **state)
{
	serve_later();
	PLAY("< 0a 03 00; < 0a 04 00; < 02 05 02; < 3f; < 12 41*517; =");
	assert_int_equal(server_saw.requests, 1);
	assert_int_equal(att_stats(bed.att)->protocol_errors, 5);
	assert_int_equal(att_mtu(bed.att), 23);
	assert_int_equal(answer("0b 01"), 0);
	PLAY("> 0b 01; < 02 05 02; > 03 05 02; < 3f; > 01 3f 00 00 06");
}

static const struct {
	const char *answer, *sent;
	int res;
} no_answers[] = {
	{"0d 01", "01 0a 00 00 0e", -EINVAL}, /* to another request */
	{"1e", "01 0a 00 00 0e", -EINVAL},         {"", "01 0a 00 00 0e", -EINVAL},
	{"0b 41*23", "01 0a 00 00 0e", -EMSGSIZE}, {"0b 41*22", "0b 41*22", 0},
};

static void what_is_no_answer(void **state)
{
	char script[128];

	serve_later();
	for (size_t i = 0; i < ARRAY_SIZE(no_answers); i++) {
		PLAY("< 0a 03 00; =");
		assert_int_equal(answer(no_answers[i].answer), no_answers[i].res);
		(void)snprintf(script, sizeof(script), "> %s; =", no_answers[i].sent);
		PLAY(script);
	}
}

static void our_mtu_exchange_while_an_answer_is_owed(void **state)
{
	serve_later();
	PLAY("< 0a 03 00; =");
	assert_int_equal(att_exchange_mtu(bed.att, &a.req, 100, 0), 0);
	PLAY("> 02 64 00; < 03 05 02");
	assert_done(&a, 0);
	assert_int_equal(answer("0b 41*99"), 0);
	PLAY("> 0b 41*99");
}

/* The answer waits for the kernel, and ATT_MTU becomes smaller. */
static void answer_that_no_longer_fits(void **state)
{
	serve_later();
	PLAY("< 02 64 00; > 03 05 02; < 0a 03 00; =");
	assert_int_equal(att_exchange_mtu(bed.att, &a.req, 50, 0), 0);
	PLAY("> 02 32 00");
	bed_fill(&bed);
	assert_int_equal(answer("0b 41*99"), 0);
	PLAY("< 03 05 02");
	assert_int_equal(att_mtu(bed.att), 50);
	assert_true(bed_drain(&bed) > 0);
	PLAY("> 01 0a 00 00 0e");
}

static void answers_after_the_end(void **state)
{
	serve_later();
	PLAY("< 0a 03 00; x");
	assert_int_equal(bed.closed_count, 1);
	assert_int_equal(answer("0b 01"), -ENOTCONN);
	att_fail_all(bed.att, -ENOTCONN);
	assert_int_equal(answer("0b 01"), -ENOTCONN);
}

/* --- values --- */

static void values_arrive_and_indications_are_confirmed_after(void **state)
{
	PLAY("< 1b 03 00 41 42; =");
	assert_int_equal(bed.values, 1);
	assert_int_equal(bed.value_handle, 3);
	assert_memory_equal(bed.value, "AB", 2);
	PLAY("< 1d 04 00; > 1e");
	assert_int_equal(bed.indications, 1);
	PLAY("< 23 03 00 01 00 41 04 00 02 00 42 43; =");
	assert_int_equal(bed.values, 4);
	assert_memory_equal(bed.value, "BC", 2);
	assert_int_equal(att_stats(bed.att)->notifications, 3);
	assert_int_equal(att_stats(bed.att)->indications, 1);
}

static void free_bed_att(struct bed *bd)
{
	free_all(NULL);
}

static void value_may_free_the_bearer(void **state)
{
	bed.on_value = free_bed_att;
	PLAY("< 1d 04 00; =");
	assert_null(bed.att);
}

static void one_of_several_values_may_free_the_bearer(void **state)
{
	bed.on_value = free_bed_att;
	PLAY("< 23 03 00 01 00 41 04 00 02 00 42 43; =");
	assert_int_equal(bed.values, 1);
}

static void flood_comes_through_whole(void **state)
{
	for (int i = 0; i < 150; i++)
		assert_int_equal(send(bed.peer, "\x1b\x03\x00\x41", 4, MSG_DONTWAIT), 4);
	PLAY("=");
	assert_int_equal(bed.values, 150);
}

/* --- flow control --- */

static int command(struct att_cmd *cmd, const char *hex, uint32_t timeout_ms)
{
	uint8_t pdu[BED_PDU_MAX];
	const char *end;
	size_t len = hex_parse(hex, &end, pdu, sizeof(pdu));

	return att_command(bed.att, cmd, pdu, len, timeout_ms);
}

static int commands_done, commands_res;

static void on_command(struct op *op, int res)
{
	commands_done++;
	commands_res = res;
}

static void commands_are_done_when_the_kernel_took_them(void **state)
{
	struct att_cmd c[3];

	commands_done = 0;
	for (int i = 0; i < 3; i++)
		op_init(&c[i].op, bed.loop, on_command);
	assert_int_equal(command(&c[0], "52 03 00 01", 1000), 0);
	assert_int_equal(commands_done, 0);
	PLAY("> 52 03 00 01");
	assert_int_equal(commands_done, 1);
	bed_fill(&bed);
	assert_int_equal(command(&c[0], "52 03 00 02", 1000), 0);
	assert_int_equal(command(&c[1], "52 03 00 03", 50), 0);
	assert_int_equal(ask(&a, "0a 03 00", 1000), 0);
	assert_int_equal(command(&c[2], "52 03 00 04", 1000), 0);
	assert_int_equal(loop_advance(bed.loop, 50), 0);
	assert_int_equal(commands_done, 2);
	assert_int_equal(commands_res, -ETIMEDOUT);
	assert_true(bed_drain(&bed) > 0);
	PLAY("> 52 03 00 02; > 0a 03 00; > 52 03 00 04; =; < 0b");
	assert_int_equal(commands_done, 4);
	assert_done(&a, 0);
	assert_int_equal(att_stats(bed.att)->commands, 3);
}

static void answers_go_before_everything(void **state)
{
	struct att_cmd c;

	op_init(&c.op, bed.loop, on_command);
	bed_fill(&bed);
	assert_int_equal(command(&c, "52 03 00 02", 0), 0);
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	PLAY("< 1d 04 00 41; < 0a 07 00; < 1d 04 00 42");
	assert_true(bed_drain(&bed) > 0);
	PLAY("> 01 0a 07 00 01; > 1e; > 1e; > 52 03 00 02; > 0a 03 00; < 0b");
	assert_done(&a, 0);
}

static int notify(struct att_cmd *cmd, const char *hex, uint32_t timeout_ms)
{
	uint8_t pdu[BED_PDU_MAX];
	const char *end;
	size_t len = hex_parse(hex, &end, pdu, sizeof(pdu));

	return att_notify(bed.att, cmd, pdu, len, timeout_ms);
}

static void notifications_are_done_when_the_kernel_took_them(void **state)
{
	struct att_cmd c[4];

	commands_done = 0;
	for (int i = 0; i < 4; i++)
		op_init(&c[i].op, bed.loop, on_command);
	assert_int_equal(notify(&c[0], "1d 03 00 01", 0), -EINVAL);
	assert_int_equal(notify(&c[0], "52 03 00 01", 0), -EINVAL);
	assert_int_equal(notify(&c[0], "", 0), -EINVAL);
	assert_int_equal(notify(&c[0], "1b 03 00 41*21", 0), -EMSGSIZE);
	assert_int_equal(notify(&c[0], "1b 03 00 01", 1000), 0);
	assert_int_equal(notify(&c[1], "23 03 00 01 00 41 04 00 00 00", 1000), 0);
	assert_int_equal(commands_done, 0);
	PLAY("> 1b 03 00 01; > 23 03 00 01 00 41 04 00 00 00");
	assert_int_equal(commands_done, 2);
	bed_fill(&bed);
	assert_int_equal(notify(&c[0], "1b 03 00 02", 1000), 0);
	assert_int_equal(notify(&c[1], "1b 03 00 03", 50), 0);
	assert_int_equal(notify(&c[2], "1b 03 00 04", 0), 0);
	assert_int_equal(command(&c[3], "52 03 00 05", 0), 0);
	op_drop(&c[2].op);
	assert_int_equal(loop_advance(bed.loop, 50), 0);
	assert_int_equal(commands_done, 3);
	assert_int_equal(commands_res, -ETIMEDOUT);
	assert_true(bed_drain(&bed) > 0);
	PLAY("> 1b 03 00 02; > 52 03 00 05; =");
	assert_int_equal(commands_done, 5);
	assert_int_equal(att_stats(bed.att)->notified, 3);
	att_fail_all(bed.att, -ENOTCONN);
	assert_int_equal(notify(&c[0], "1b 03 00 02", 0), -ENOTCONN);
}

static void notification_that_no_longer_fits(void **state)
{
	struct att_cmd c;

	commands_done = 0;
	op_init(&c.op, bed.loop, on_command);
	PLAY("< 02 64 00; > 03 05 02");
	bed_fill(&bed);
	assert_int_equal(notify(&c, "1b 03 00 41*97", 0), 0);
	PLAY("< 02 20 00");
	assert_true(bed_drain(&bed) > 0);
	PLAY("> 03 05 02; =");
	assert_int_equal(commands_done, 1);
	assert_int_equal(commands_res, -EMSGSIZE);
}

static void notification_queue_has_an_end_of_its_own(void **state)
{
	static struct att_cmd c[ATT_NOTIFICATIONS_MAX + 2];
	int i;

	commands_done = 0;
	bed_fill(&bed);
	for (i = 0; i <= ATT_NOTIFICATIONS_MAX; i++) {
		op_init(&c[i].op, bed.loop, on_command);
		assert_int_equal(notify(&c[i], "1b 03 00 02", 0),
		                 i < ATT_NOTIFICATIONS_MAX ? 0 : -ENOBUFS);
	}
	op_init(&c[i].op, bed.loop, on_command);
	assert_int_equal(command(&c[i], "52 03 00 02", 0), 0);
	op_drop(&c[0].op);
	assert_int_equal(notify(&c[0], "1b 03 00 02", 0), 0);
	att_fail_all(bed.att, -ENOTCONN);
	assert_int_equal(commands_done, ATT_NOTIFICATIONS_MAX + 1);
}

/* All that waited is gone before anybody is asked for more. */
static void writable_is_told_when_all_is_gone(void **state)
{
	struct att_cmd c[2];

	serve();
	op_init(&c[0].op, bed.loop, on_command);
	op_init(&c[1].op, bed.loop, on_command);
	assert_true(att_writable(bed.att));
	assert_int_equal(notify(&c[0], "1b 03 00 01", 0), 0);
	PLAY("> 1b 03 00 01");
	assert_int_equal(server_saw.writable, 0);
	bed_fill(&bed);
	assert_true(att_writable(bed.att)); /* nobody has tried yet */
	assert_int_equal(notify(&c[0], "1b 03 00 01", 0), 0);
	assert_int_equal(notify(&c[1], "1b 03 00 02", 0), 0);
	assert_false(att_writable(bed.att));
	PLAY("< 1d 04 00");
	assert_int_equal(server_saw.writable, 0);
	assert_true(bed_drain(&bed) > 0);
	assert_int_equal(server_saw.writable, 1);
	PLAY("> 1e; > 1b 03 00 01; > 1b 03 00 02; =");
	assert_int_equal(server_saw.writable, 1);
	att_fail_all(bed.att, -ENOTCONN);
	assert_false(att_writable(bed.att));
}

/* What waits for the kernel is sent before what a value that arrives at the same moment leads to. */
static struct att_cmd after_value;

static void notify_after_value(struct bed *bd)
{
	assert_int_equal(notify(&after_value, "1b 03 00 02", 0), 0);
}

static void order_is_kept_when_both_directions_are_ready(void **state)
{
	struct att_cmd c;
	uint8_t buf[BED_PDU_MAX];

	bed.on_value = notify_after_value;
	op_init(&c.op, bed.loop, on_command);
	op_init(&after_value.op, bed.loop, on_command);
	bed_fill(&bed);
	assert_int_equal(notify(&c, "1b 03 00 01", 0), 0);
	assert_int_equal(send(bed.peer, "\x1b\x04\x00", 3, MSG_DONTWAIT), 3);
	while (recv(bed.peer, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		;
	bed.filled = false;
	PLAY("> 1b 03 00 01; > 1b 03 00 02");
}

/* A peer that sends indications without waiting does not keep us from sending. */
static void confirmations_do_not_starve_the_rest(void **state)
{
	struct att_cmd c[2];
	uint8_t buf[8];

	op_init(&c[0].op, bed.loop, on_command);
	op_init(&c[1].op, bed.loop, on_command);
	bed_fill(&bed);
	assert_int_equal(notify(&c[0], "1b 03 00 01", 0), 0);
	assert_int_equal(notify(&c[1], "1b 03 00 02", 0), 0);
	for (int i = 0; i < 40; i++)
		PLAY("< 1d 04 00");
	assert_true(bed_drain(&bed) > 0);
	for (int i = 0; i < 42; i++) {
		bool ours = i == ATT_PRECEDENCE_MAX || i == 2 * ATT_PRECEDENCE_MAX + 1;

		assert_true(recv(bed.peer, buf, sizeof(buf), MSG_DONTWAIT) > 0);
		assert_int_equal(buf[0], ours ? ATT_NOTIFY : ATT_CONFIRM);
		assert_int_equal(loop_settle(bed.loop), 0);
	}
	PLAY("=");
}

/* Answers that nobody had to wait for do not count. */
static void answers_go_first_after_many(void **state)
{
	struct att_cmd c;

	op_init(&c.op, bed.loop, on_command);
	for (int i = 0; i <= ATT_PRECEDENCE_MAX; i++)
		PLAY("< 0a 07 00; > 01 0a 07 00 01");
	bed_fill(&bed);
	assert_int_equal(command(&c, "52 03 00 02", 0), 0);
	PLAY("< 0a 07 00");
	assert_true(bed_drain(&bed) > 0);
	PLAY("> 01 0a 07 00 01; > 52 03 00 02");
}

static void command_queue_has_an_end(void **state)
{
	static struct att_cmd c[ATT_COMMANDS_MAX + 1];

	commands_done = 0;
	bed_fill(&bed);
	for (int i = 0; i <= ATT_COMMANDS_MAX; i++) {
		op_init(&c[i].op, bed.loop, on_command);
		assert_int_equal(command(&c[i], "52 03 00 02", 0),
		                 i < ATT_COMMANDS_MAX ? 0 : -ENOBUFS);
	}
	att_fail_all(bed.att, -ENOTCONN);
	assert_int_equal(commands_done, ATT_COMMANDS_MAX);
}

static void a_blocked_bearer_does_not_spin(void **state)
{
	bed_fill(&bed);
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	assert_int_equal(loop_settle(bed.loop), 0); /* -ELOOP if writability were polled in vain */
	assert_false(att_req_sent(&a.req));
}

/* --- indications --- */

struct told {
	struct att_cmd cmd;
	int count, res;
	void (*then)(struct told *t);
};

static struct told ind, ind2;

static void on_told(struct op *op, int res)
{
	struct told *t = container_of(op, struct told, cmd.op);

	t->count++;
	t->res = res;
	if (t->then)
		t->then(t);
}

static int indicate(struct told *t, const char *hex, uint32_t timeout_ms)
{
	uint8_t pdu[BED_PDU_MAX];
	const char *end;
	size_t len = hex_parse(hex, &end, pdu, sizeof(pdu));

	return att_indicate(bed.att, &t->cmd, pdu, len, timeout_ms);
}

static int setup_indications(void **state)
{
	(void)setup(state);
	serve();
	ind = ind2 = (struct told){0};
	op_init(&ind.cmd.op, bed.loop, on_told);
	op_init(&ind2.cmd.op, bed.loop, on_told);
	return 0;
}

static void assert_told(const struct told *t, int res)
{
	assert_int_equal(t->count, 1);
	assert_int_equal(t->res, res);
}

static void indications_end_with_the_confirmation(void **state)
{
	assert_int_equal(indicate(&ind, "1b 03 00 01", 0), -EINVAL);
	assert_int_equal(indicate(&ind, "1d 03 00 41*21", 0), -EMSGSIZE);
	assert_false(att_indicating(bed.att));
	assert_int_equal(indicate(&ind, "1d 03 00 41*20", 1000), 0);
	assert_true(att_indicating(bed.att));
	PLAY("> 1d 03 00 41*20; ~ 999; =");
	assert_int_equal(ind.count, 0);
	assert_int_equal(indicate(&ind2, "1d 03 00 02", 0), -EBUSY);
	PLAY("< 1e");
	assert_told(&ind, 0);
	assert_int_equal(server_saw.confirmed, 1);
	assert_int_equal(indicate(&ind2, "1d 03 00 02", 0), 0);
	PLAY("> 1d 03 00 02; < 1e; ~ 60000; =");
	assert_told(&ind2, 0);
	assert_int_equal(att_stats(bed.att)->indicated, 2);
	assert_int_equal(att_stats(bed.att)->confirmed, 2);
	assert_int_equal(att_stats(bed.att)->protocol_errors, 0);
	assert_int_equal(bed.closed_count, 0);
}

static void confirmation_without_indication(void **state)
{
	PLAY("< 1e; < 1e 00; < 1e 41*517; =");
	assert_int_equal(att_stats(bed.att)->protocol_errors, 3);
	assert_int_equal(server_saw.confirmed, 0);
	assert_int_equal(indicate(&ind, "1d 03 00", 0), 0);
	PLAY("> 1d 03 00; < 1e; < 1e; =");
	assert_told(&ind, 0);
	assert_int_equal(att_stats(bed.att)->protocol_errors, 4);
	assert_int_equal(server_saw.confirmed, 1);
}

static const struct {
	const char *name, *answer;
	int res; /* 1: it goes on waiting */
	int protocol_errors;
} no_confirmations[] = {
	{"longer", "1e 00", -EBADMSG, 1},
	{"truncated", "1e 41*517", -EBADMSG, 1},
	{"error for it", "01 1d 03 00 06", -EBADMSG, 1},
	{"error for nothing known", "01 1c 03 00 06", 1, 1},
	{"error for a confirmation", "01 1e 03 00 06", 1, 1},
	{"error for a request", "01 0a 03 00 06", 1, 1},
	{"a response", "13", 1, 1},
	{"an empty PDU", "", 1, 1},
	{"an indication without a handle", "1d", 1, 1},
};

static void wrong_confirmations(void **state)
{
	char script[64];

	for (size_t i = 0; i < ARRAY_SIZE(no_confirmations); i++) {
		const char *name = no_confirmations[i].name;

		assert_int_equal(indicate(&ind, "1d 03 00", 0), 0);
		(void)snprintf(script, sizeof(script),
		               "> 1d 03 00; < %s; =", no_confirmations[i].answer);
		bed_play(&bed, name, script);
		if (no_confirmations[i].res == 1)
			assert_int_equal(ind.count, 0);
		else
			assert_told(&ind, no_confirmations[i].res);
		assert_int_equal(att_indicating(bed.att), ind.count == 0);
		assert_int_equal(server_saw.confirmed, ind.count);
		assert_int_equal(att_stats(bed.att)->protocol_errors,
		                 no_confirmations[i].protocol_errors);
		if (i + 1 < ARRAY_SIZE(no_confirmations)) {
			op_drop(&ind.cmd.op);
			(void)teardown(state);
			(void)setup_indications(state);
		}
	}
	op_drop(&ind.cmd.op);
}

/* The waiter's deadline, or its leaving, is not the link's end; the slot stays taken. */
static void late_confirmation_frees_the_slot(void **state)
{
	assert_int_equal(indicate(&ind, "1d 03 00", 100), 0);
	PLAY("> 1d 03 00; ~ 100");
	assert_told(&ind, -ETIMEDOUT);
	assert_int_equal(indicate(&ind2, "1d 04 00", 0), -EBUSY);
	PLAY("~ 29899; < 1e; =");
	assert_int_equal(server_saw.confirmed, 1);
	assert_int_equal(att_stats(bed.att)->timeouts, 1);
	assert_int_equal(indicate(&ind2, "1d 04 00", 0), 0);
	op_drop(&ind2.cmd.op);
	PLAY("> 1d 04 00; =; ~ 29999; < 1e; =");
	assert_int_equal(ind2.count, 0);
	assert_int_equal(server_saw.confirmed, 2);
	assert_int_equal(bed.closed_count, 0);
}

static void thirty_seconds_without_confirmation(void **state)
{
	assert_int_equal(indicate(&ind, "1d 03 00", 1000), 0);
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	PLAY("> 1d 03 00; > 0a 03 00; ~ 1000; < 0b");
	assert_told(&ind, -ETIMEDOUT);
	assert_done(&a, 0);
	assert_int_equal(ask(&b, "0a 03 00", 0), 0);
	PLAY("> 0a 03 00; ~ 28999");
	assert_int_equal(bed.closed_count, 0);
	assert_int_equal(loop_advance(bed.loop, 1), 0);
	assert_int_equal(bed.closed_count, 1);
	assert_int_equal(bed.closed_err, -ETIMEDOUT);
	assert_int_equal(b.count, 0); /* until the owner says so */
	assert_int_equal(indicate(&ind2, "1d 03 00", 0), -ENOTCONN);
	assert_int_equal(att_stats(bed.att)->timeouts, 2);
}

static void waiter_for_the_confirmation_at_thirty_seconds(void **state)
{
	assert_int_equal(indicate(&ind, "1d 03 00", 0), 0);
	PLAY("> 1d 03 00; ~ 30000");
	assert_told(&ind, -ETIMEDOUT);
	assert_int_equal(bed.closed_err, -ETIMEDOUT);
	assert_int_equal(server_saw.confirmed, 0);
}

static void blocked_indication_waits_its_turn(void **state)
{
	struct att_cmd c;

	op_init(&c.op, bed.loop, on_command);
	bed_fill(&bed);
	assert_int_equal(notify(&c, "1b 03 00 01", 0), 0);
	assert_int_equal(indicate(&ind, "1d 03 00", 50), 0);
	assert_true(att_indicating(bed.att));
	assert_int_equal(indicate(&ind2, "1d 04 00", 0), -EBUSY);
	assert_int_equal(loop_advance(bed.loop, 50), 0);
	assert_told(&ind, -ETIMEDOUT);
	/* it never left, so the slot is free */
	assert_false(att_indicating(bed.att));
	assert_int_equal(indicate(&ind2, "1d 04 00", 0), 0);
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	/* the clock of the slot starts when it is sent */
	assert_int_equal(loop_advance(bed.loop, 40000), 0);
	assert_int_equal(bed.closed_count, 0);
	assert_true(bed_drain(&bed) > 0);
	PLAY("> 1b 03 00 01; > 1d 04 00; > 0a 03 00; ~ 29999; < 1e; < 0b");
	assert_told(&ind2, 0);
	assert_done(&a, 0);
}

static void indicate_again(struct told *t)
{
	if (t->count < 3)
		assert_int_equal(indicate(t, "1d 03 00", 0), 0);
}

static void done_may_indicate_again(void **state)
{
	ind.then = indicate_again;
	assert_int_equal(indicate(&ind, "1d 03 00", 0), 0);
	PLAY("> 1d 03 00; < 1e; > 1d 03 00; < 1e; > 1d 03 00; < 1e; =");
	assert_int_equal(ind.count, 3);
	assert_int_equal(server_saw.confirmed, 3);
}

static void free_after_told(struct told *t)
{
	free_all(NULL);
}

static void confirmation_may_free_the_bearer(void **state)
{
	ind.then = free_after_told;
	assert_int_equal(indicate(&ind, "1d 03 00", 0), 0);
	PLAY("> 1d 03 00; < 1e");
	assert_told(&ind, 0);
	assert_int_equal(server_saw.confirmed, 0);
	assert_null(bed.att);
}

static void silence_may_free_the_bearer(void **state)
{
	ind.then = free_after_told;
	assert_int_equal(indicate(&ind, "1d 03 00", 0), 0);
	PLAY("> 1d 03 00; ~ 30000");
	assert_told(&ind, -ETIMEDOUT);
	assert_null(bed.att);
	assert_int_equal(bed.closed_count, 0);
}

static void the_end_fails_indications(void **state)
{
	assert_int_equal(indicate(&ind, "1d 03 00", 0), 0);
	PLAY("> 1d 03 00; x");
	assert_int_equal(ind.count, 0);
	att_fail_all(bed.att, -ENOTCONN);
	assert_told(&ind, -ENOTCONN);
}

static void the_end_fails_blocked_indications(void **state)
{
	bed_fill(&bed);
	assert_int_equal(indicate(&ind, "1d 03 00", 0), 0);
	att_fail_all(bed.att, -ENOTCONN);
	assert_told(&ind, -ENOTCONN);
}

/* Everything at a time: owed to the peer, a request and an indication of ours, values both ways. */
static void both_roles_interleave(void **state)
{
	struct att_cmd c[2];

	server_saw.later = true;
	op_init(&c[0].op, bed.loop, on_command);
	op_init(&c[1].op, bed.loop, on_command);
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	assert_int_equal(indicate(&ind, "1d 05 00 01", 0), 0);
	PLAY("> 0a 03 00; > 1d 05 00 01; < 0a 07 00; =");
	assert_int_equal(notify(&c[0], "1b 05 00 02", 0), 0);
	assert_int_equal(command(&c[1], "52 09 00 03", 0), 0);
	PLAY("> 1b 05 00 02; > 52 09 00 03; < 1d 04 00 41; > 1e; < 1b 04 00; < 52 03 00; =");
	assert_int_equal(bed.values, 2);
	assert_int_equal(server_saw.commands, 1);
	PLAY("< 1e; < 0b 01");
	assert_told(&ind, 0);
	assert_done(&a, 0);
	assert_int_equal(answer("0b 55"), 0);
	PLAY("> 0b 55");
	assert_int_equal(att_stats(bed.att)->protocol_errors, 0);
}

/* --- the end --- */

static void hang_up_tells_after_the_last_value(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(send(bed.peer, "\x1b\x03\x00\x41", 4, MSG_DONTWAIT), 4);
	PLAY("x");
	assert_int_equal(bed.values, 100);
	assert_int_equal(bed.closed_count, 1);
	assert_int_equal(a.count, 0);
	assert_int_equal(ask(&b, "0a 03 00", 0), -ENOTCONN);
	att_fail_all(bed.att, -ENOTCONN);
	assert_done(&a, -ENOTCONN);
}

/*
 * A reset is reported before the data that is queued behind it. (A Unix socket that is closed with
 * something unread resets its other end.)
 */
static void reset_tells_after_the_last_value(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(send(bed.peer, "\x1b\x03\x00\x41", 4, MSG_DONTWAIT), 4);
	assert_int_equal(close(bed.peer), 0);
	bed.peer = -1;
	assert_int_equal(loop_settle(bed.loop), 0);
	assert_int_equal(bed.values, 3);
	assert_int_equal(bed.closed_count, 1);
	assert_int_equal(bed.closed_err, -ECONNRESET);
}

/* Sending may find the reset first: the reason is kept for the end. */
static void reset_found_by_sending(void **state)
{
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	assert_int_equal(send(bed.peer, "\x1b\x03\x00\x41", 4, MSG_DONTWAIT), 4);
	assert_int_equal(close(bed.peer), 0);
	bed.peer = -1;
	struct att_cmd cmd;

	op_init(&cmd.op, bed.loop, on_command);
	assert_int_equal(command(&cmd, "52 03 00 02", 0), -ENOTCONN);
	assert_int_equal(loop_settle(bed.loop), 0);
	assert_int_equal(bed.values, 1);
	assert_int_equal(bed.closed_count, 1);
	assert_int_equal(bed.closed_err, -ECONNRESET);
}

static void free_in_closed(struct bed *bd)
{
	free_all(NULL);
}

static void closed_may_free_the_bearer(void **state)
{
	bed.on_closed = free_in_closed;
	PLAY("x");
	assert_int_equal(bed.closed_count, 1);
	assert_null(bed.att);
}

static void thirty_seconds_may_free_the_bearer(void **state)
{
	bed.on_closed = free_in_closed;
	assert_int_equal(ask(&a, "0a 03 00", 0), 0);
	PLAY("> 0a 03 00; ~ 30000");
	assert_done(&a, -ETIMEDOUT);
	assert_null(bed.att);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define I(f) cmocka_unit_test_setup_teardown(f, setup_indications, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(answer_is_told_once_and_later),
		T(peer_error_keeps_code_and_handle),
		T(requests_take_turns),
		T(queued_deadline_sends_nothing),
		T(late_answer_belongs_to_nobody),
		T(drop_leaves_the_slot),
		T(thirty_seconds_end_the_bearer),
		T(waiter_at_thirty_seconds_is_told_the_timeout),
		T(answer_stops_the_clock),
		T(done_may_free_the_bearer),
		T(done_may_free_the_bearer_while_failing),
		T(done_may_ask_again),
		T(refused_calls),
		T(queue_has_an_end),
		T(wrong_answers),
		T(duplicate_of_the_last_answer_is_swallowed_once),
		T(unsolicited_answers_are_counted),
		T(mtu_is_the_smaller),
		T(mtu_below_the_least_counts_as_the_least),
		T(mtu_refused_can_be_asked_again),
		T(late_mtu_response_still_counts),
		T(both_sides_exchange),
		T(mtu_while_a_request_waits),
		T(smaller_mtu_ends_what_no_longer_fits),
		T(empty_database),
		T(peer_that_does_not_wait_is_answered_once),
		T(server_can_be_plugged_in),
		T(a_later_answer),
		T(an_answer_inside_of_the_request),
		T(requests_before_a_later_answer_are_counted),
		T(what_is_no_answer),
		T(our_mtu_exchange_while_an_answer_is_owed),
		T(answer_that_no_longer_fits),
		T(answers_after_the_end),
		T(values_arrive_and_indications_are_confirmed_after),
		T(value_may_free_the_bearer),
		T(one_of_several_values_may_free_the_bearer),
		T(flood_comes_through_whole),
		T(commands_are_done_when_the_kernel_took_them),
		T(answers_go_before_everything),
		T(answers_go_first_after_many),
		T(command_queue_has_an_end),
		T(notifications_are_done_when_the_kernel_took_them),
		T(notification_that_no_longer_fits),
		T(notification_queue_has_an_end_of_its_own),
		T(writable_is_told_when_all_is_gone),
		T(order_is_kept_when_both_directions_are_ready),
		T(confirmations_do_not_starve_the_rest),
		T(a_blocked_bearer_does_not_spin),
		T(hang_up_tells_after_the_last_value),
		T(reset_tells_after_the_last_value),
		T(reset_found_by_sending),
		T(closed_may_free_the_bearer),
		T(thirty_seconds_may_free_the_bearer),
		I(indications_end_with_the_confirmation),
		I(confirmation_without_indication),
		I(wrong_confirmations),
		I(late_confirmation_frees_the_slot),
		I(thirty_seconds_without_confirmation),
		I(waiter_for_the_confirmation_at_thirty_seconds),
		I(blocked_indication_waits_its_turn),
		I(done_may_indicate_again),
		I(confirmation_may_free_the_bearer),
		I(silence_may_free_the_bearer),
		I(the_end_fails_indications),
		I(the_end_fails_blocked_indications),
		I(both_roles_interleave),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
