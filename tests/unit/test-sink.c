/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "../../src/bus/sink.h"

#include <sys/socket.h>
#include <unistd.h>

#include "../support/clients.h"
#include "aiobled/bytes.h"
#include "aiobled/stream.h"
#include "test.h"

static struct bus bus;
static struct client one, two;
static struct sink s;
static char story
	[8192]; /* what went out: "1.2[3 4]" is one signal to 1.2, "all[...]" one to everybody */
static unsigned int closed, signals;
static bool cannot_build, cannot_encode;
static size_t per_signal;
static int fd;

/* --- a source --- */

static size_t on_signal(struct sink *sink, const char *destination)
{
	char *p = story + strlen(story);
	const struct stream_record *r;
	size_t bytes = 0;

	signals++;
	if (cannot_build)
		return 0;
	p += sprintf(p, "%s[", destination ? destination + 1 : "all");
	for (size_t i = 0; i < per_signal && (r = sink_peek(sink)); i++) {
		p += sprintf(p, "%s%u", i ? " " : "", (unsigned int)r->seq);
		bytes += r->len + 1;
		sink_pop(sink);
	}
	(void)sprintf(p, "]");
	return bytes;
}

static struct stream_record *on_encode(struct sink *sink, const struct stream_record *record)
{
	struct stream_record *r = cannot_encode ? NULL : malloc(sizeof(*r) + 1);

	if (!r)
		return NULL;
	*r = *record;
	list_init(&r->link);
	r->type = STREAM_JSON;
	r->len = 1;
	r->data[0] = record->data[0] ^ 0x80;
	return r;
}

static void on_closed(struct sink *sink)
{
	closed++;
	sink_deinit(sink); /* as the owner may */
}

static const struct sink_events events = {
	.signal = on_signal, .encode = on_encode, .closed = on_closed};

static void begin(uint32_t max)
{
	sink_init(&s, &bus, &events, max);
}

static void push(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		uint8_t value = (uint8_t)(s.seq + 1);

		sink_push(&s, STREAM_NOTIFIED, 7, 1000 + s.seq, &value, 1);
	}
}

/* A pass of the loop, and what it sent. */
static void sent(const char *what)
{
	sinks_flush(&bus);
	assert_int_equal(loop_settle(bus.loop), 0);
	assert_string_equal(story, what);
	memset(story, 0, sizeof(story));
}

static int setup(void **state)
{
	test_bus_init(&bus);
	test_client_init(&one, &bus, ":1.1");
	test_client_init(&two, &bus, ":1.2");
	memset(story, 0, sizeof(story));
	closed = signals = 0;
	cannot_build = cannot_encode = false;
	per_signal = 100;
	fd = -1;
	return 0;
}

static int teardown(void **state)
{
	sink_deinit(&s);
	test_client_leaves(&one);
	test_client_leaves(&two);
	closep(&fd);
	assert_true(list_empty(&bus.flush));
	test_bus_deinit(&bus);
	return 0;
}

/* --- kept --- */

static void the_oldest_is_dropped(void **state)
{
	begin(3);
	push(5);
	assert_int_equal(s.queued, 3);
	assert_int_equal(s.dropped, 2);
	for (unsigned int seq = 3; seq <= 5; seq++) {
		const struct stream_record *r = sink_peek(&s);

		assert_int_equal(r->seq, seq);
		assert_int_equal(r->data[0], seq);
		assert_int_equal(r->handle, 7);
		assert_int_equal(r->time_us, 1000 + seq - 1);
		sink_pop(&s);
	}
	assert_null(sink_peek(&s));
	assert_int_equal(s.bytes, 0);
	assert_int_equal(s.dropped, 2);
}

static void bytes_are_bounded_too(void **state)
{
	static uint8_t big[SINK_BYTES_MAX / 2];

	begin(SINK_QUEUE_MAX);
	for (int i = 0; i < 4; i++)
		sink_push2(&s, STREAM_REPORT, 0, 0, "h", 1, big, sizeof(big));
	assert_int_equal(s.queued, 1); /* one is kept, however large */
	assert_int_equal(s.dropped, 3);
	assert_int_equal(s.bytes, sizeof(big) + 1);
}

/* --- Next --- */

struct next {
	struct bus_call call;
	struct op op;
	unsigned int done;
	int res;
	uint64_t seq;
};

static void on_next(struct op *op, int res)
{
	struct next *n = container_of(op, struct next, op);

	n->done++;
	n->res = res;
	if (res != 0)
		return;
	n->seq = sink_peek(&s)->seq;
	sink_pop(&s);
}

static void next(struct next *n, uint32_t timeout_ms)
{
	*n = (struct next){.call.op = &n->op};
	op_init(&n->op, bus.loop, on_next);
	sink_next(&s, &n->call, timeout_ms);
	assert_int_equal(n->done, 0);
}

static void next_waits_its_turn(void **state)
{
	struct next n[3];

	begin(8);
	sink_uncork(&s);
	push(1);
	next(&n[0], 100); /* what is there is told in the bus's turn, too */
	next(&n[1], 100);
	next(&n[2], 100);
	sent("");
	assert_int_equal(n[0].seq, 1);
	assert_int_equal(n[1].done, 0);
	push(1);
	assert_int_equal(n[1].done, 0); /* not while the radio is read */
	sent("");
	assert_int_equal(n[1].seq, 2);
	assert_int_equal(loop_advance(bus.loop, 99), 0);
	assert_int_equal(n[2].done, 0);
	assert_int_equal(loop_advance(bus.loop, 1), 0);
	assert_int_equal(n[2].res, -ETIMEDOUT);
	push(1);
	sent("");
	assert_int_equal(s.queued, 1);
}

static void next_ends_with_the_sink(void **state)
{
	struct next n[2];

	begin(8);
	sink_uncork(&s);
	next(&n[0], 0);
	sink_fail(&s, -ENOTCONN);
	assert_int_equal(n[0].res, -ENOTCONN);
	next(&n[0], 0);
	next(&n[1], 0);
	push(1); /* a flush is due */
	sink_deinit(&s);
	assert_int_equal(n[0].res, -ECANCELED);
	assert_int_equal(n[1].res, -ECANCELED);
	assert_true(list_empty(&bus.flush));
}

/* --- signals --- */

static void nothing_before_the_reply(void **state)
{
	begin(8);
	sink_set_signals(&s, &one, false);
	push(2);
	sent("");
	sink_uncork(&s);
	sent("1.1[1 2]");
	push(1);
	push(1);
	assert_string_equal(story, "");
	sent("1.1[3 4]");
	sent("");
}

static void a_pass_sends_so_many(void **state)
{
	per_signal = 1;
	begin(64);
	sink_set_signals(&s, &one, false);
	sink_uncork(&s);
	push(SINK_SIGNALS_PASS + 2);
	sent("1.1[1]1.1[2]1.1[3]1.1[4]1.1[5]1.1[6]1.1[7]1.1[8]");
	sent("1.1[9]1.1[10]");
	sent("");
}

static void one_who_does_not_read_is_sent_no_more(void **state)
{
	per_signal = 1;
	begin(4);
	sink_set_signals(&s, &one, false);
	sink_uncork(&s);
	while (signals < CREDIT_STOP_MESSAGES) {
		push(1);
		sinks_flush(&bus);
	}
	memset(story, 0, sizeof(story));
	push(6);
	sent("");
	assert_int_equal(s.dropped, 2);
	push(1);
	sent("");
	assert_int_equal(signals, CREDIT_STOP_MESSAGES);
	test_client_reads(&one);
	sent("1.1[260]1.1[261]1.1[262]1.1[263]");
	assert_int_equal(s.dropped, 3);
}

static void bytes_count_as_well(void **state)
{
	static uint8_t big[CREDIT_STOP_BYTES / 2];

	begin(8);
	per_signal = 1;
	sink_set_signals(&s, &one, false);
	sink_uncork(&s);
	for (int i = 0; i < 3; i++)
		sink_push(&s, STREAM_REPORT, 0, 0, big, sizeof(big));
	sent("1.1[1]1.1[2]");
	assert_int_equal(s.queued, 1);
}

static void the_last_before_the_end(void **state)
{
	per_signal = 1;
	begin(64);
	sink_set_signals(&s, &one, false);
	sink_uncork(&s);
	push(12);
	sink_flush_now(&s);
	assert_int_equal(signals, 12); /* all of it, whatever a pass may send */
	assert_false(s.queued);
	memset(story, 0, sizeof(story));
	sent("");
}

static void the_last_before_the_end_without_credit(void **state)
{
	per_signal = 1;
	begin(1024);
	sink_set_signals(&s, &one, false);
	sink_uncork(&s);
	push(CREDIT_STOP_MESSAGES + 5);
	sink_flush_now(&s);
	assert_int_equal(signals, CREDIT_STOP_MESSAGES);
	assert_int_equal(s.queued, 5);
}

static void what_cannot_be_built_is_dropped(void **state)
{
	begin(8);
	sink_set_signals(&s, &one, false);
	sink_uncork(&s);
	cannot_build = true;
	push(3);
	sent("");
	assert_int_equal(s.dropped, 3);
	assert_int_equal(s.queued, 0);
}

static void who_leaves_leaves_it_to_next(void **state)
{
	struct next n;

	begin(8);
	sink_set_signals(&s, &one, false);
	sink_uncork(&s);
	push(1); /* a flush is due */
	test_client_leaves(&one);
	sent("");
	push(1);
	assert_int_equal(s.queued, 2);
	next(&n, 100);
	sent("");
	assert_int_equal(n.seq, 1);
}

static void broadcast_goes_on(void **state)
{
	begin(8);
	sink_set_signals(&s, &one, true);
	sink_uncork(&s);
	push(1);
	sent("all[1]");
	assert_int_equal(one.credit.sent.messages, 1);
	one.credit.sent.messages = CREDIT_STOP_MESSAGES;
	push(1);
	sent(""); /* on its account */
	test_client_leaves(&one);
	sent("all[2]");
	push(1);
	sent("all[3]");
}

/* --- a descriptor --- */

static void open_it(struct client *client, bool encoded)
{
	struct bus_error err;

	assert_int_equal(sink_open(&s, client, encoded, &fd, &err), 0);
}

static uint8_t payload[256];
static size_t payload_len;

/* The next record must be this one; @dropped: lost since the one before. */
static void got(uint8_t type, uint64_t seq, uint32_t dropped)
{
	uint8_t buf[1024];
	ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
	struct rd r = rd_init(buf, n > 0 ? (size_t)n : 0);
	const uint8_t *rest;

	assert_int_equal(rd_u8(&r), type);
	assert_int_equal(rd_u8(&r), 0);
	(void)rd_le16(&r);
	assert_int_equal(rd_le32(&r), dropped);
	assert_int_equal(rd_le64(&r), seq);
	(void)rd_le64(&r);
	assert_true(rd_ok(&r));
	rest = rd_rest(&r, &payload_len);
	payload_len = MIN(payload_len, sizeof(payload) - 1);
	memcpy(payload, rest, payload_len);
	payload[payload_len] = '\0';
}

static void got_nothing(void)
{
	uint8_t byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static void got_end(uint64_t seq, uint32_t dropped, uint8_t hci, const char *reason)
{
	uint8_t byte;

	got(STREAM_END, seq, dropped);
	assert_int_equal(payload[0], hci);
	assert_string_equal((char *)payload + 1, reason);
	assert_int_equal(loop_settle(bus.loop), 0);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static void what_was_kept_comes_first(void **state)
{
	begin(3);
	push(5);
	open_it(&one, false);
	push(1);
	got(STREAM_NOTIFIED, 3, 2);
	assert_int_equal(payload[0], 3);
	got(STREAM_NOTIFIED, 4, 0);
	got(STREAM_NOTIFIED, 5, 0);
	got(STREAM_NOTIFIED, 6, 0);
	got_nothing();
	sink_end(&s, 0x13, "over");
	got_end(6, 0, 0x13, "over");
	assert_int_equal(closed, 0);
}

/* What Next or signals have handed out before is not lost. */
static void what_was_taken_is_not_lost(void **state)
{
	begin(3);
	push(2);
	sink_pop(&s);
	sink_pop(&s);
	open_it(&one, false);
	push(1);
	got(STREAM_NOTIFIED, 3, 0);
	sink_end(&s, 0, "stopped");
	got_end(3, 0, 0, "stopped");
}

static void taken_and_lost_and_kept(void **state)
{
	begin(2);
	push(1);
	sink_pop(&s);
	push(4); /* 2 and 3 are lost */
	open_it(&one, false);
	got(STREAM_NOTIFIED, 4, 2);
	got(STREAM_NOTIFIED, 5, 0);
}

static void all_was_taken(void **state)
{
	begin(2);
	push(1);
	sink_pop(&s);
	open_it(&one, false);
	sink_end(&s, 0, "stopped");
	got_end(1, 0, 0, "stopped");
}

static void a_slow_reader_loses_the_oldest(void **state)
{
	uint64_t expected = 1, lost;

	begin(4);
	open_it(&one, false);
	while (s.dropped < 10)
		push(1);
	lost = s.dropped;
	sink_end(&s, 0, "stopped");
	/* until the gap all that the kernel took, then the queue, then the end: it waits for the reader */
	while (expected <= s.seq - lost - 4) {
		got(STREAM_NOTIFIED, expected++, 0);
		assert_int_equal(loop_settle(bus.loop), 0);
	}
	got(STREAM_NOTIFIED, s.seq - 3, (uint32_t)lost);
	for (uint64_t seq = s.seq - 2; seq <= s.seq; seq++)
		got(STREAM_NOTIFIED, seq, 0);
	got_end(s.seq, 0, 0, "stopped");
	assert_int_equal(one.used[QUOTA_STREAMS], 0);
}

static void an_end_that_nobody_reads(void **state)
{
	begin(4);
	open_it(&one, false);
	while (s.dropped < 1)
		push(1);
	sink_end(&s, 0, "stopped");
	sink_deinit(&s);
	assert_int_equal(one.used[QUOTA_STREAMS], 1);
	assert_int_equal(loop_advance(bus.loop, STREAM_END_KEEP_MS - 1), 0);
	assert_int_equal(one.used[QUOTA_STREAMS], 1);
	assert_int_equal(loop_advance(bus.loop, 1), 0);
	assert_int_equal(one.used[QUOTA_STREAMS], 0);
}

static void a_slow_reader_catches_up(void **state)
{
	uint64_t seq = 1;

	begin(4);
	open_it(&one, false);
	while (s.queued < 3)
		push(1);
	while (seq <= s.seq) {
		got(STREAM_NOTIFIED, seq++, 0);
		assert_int_equal(loop_settle(bus.loop), 0);
	}
	assert_int_equal(s.queued, 0);
	assert_int_equal(s.dropped, 0);
}

static void encoded(void **state)
{
	begin(4);
	push(1);
	open_it(&one, true);
	push(1);
	got(STREAM_JSON, 1, 0);
	assert_int_equal(payload[0], 0x81);
	got(STREAM_JSON, 2, 0);
	cannot_encode = true;
	push(1);
	cannot_encode = false;
	push(1);
	assert_int_equal(s.dropped, 1);
	got(STREAM_JSON, 4, 1);
}

static void encoded_to_the_end(void **state)
{
	begin(4);
	open_it(&one, true);
	while (s.queued < 3)
		push(1);
	sink_end(&s, 0, "stopped");
	for (uint64_t seq = 1; seq <= s.seq; seq++) {
		got(STREAM_JSON, seq, 0);
		assert_int_equal(loop_settle(bus.loop), 0);
	}
	got_end(s.seq, 0, 0, "stopped");
}

static void a_reader_that_closes_ends_it(void **state)
{
	begin(4);
	open_it(&one, false);
	push(1);
	closep(&fd);
	fd = -1;
	push(1); /* finds out, and tells from the loop */
	assert_int_equal(closed, 0);
	assert_int_equal(loop_settle(bus.loop), 0);
	assert_int_equal(closed, 1);
	assert_int_equal(one.used[QUOTA_STREAMS], 0);
}

static void a_quota_that_is_used_up(void **state)
{
	struct bus_error err;

	begin(4);
	one.used[QUOTA_STREAMS] = bus.config.streams;
	push(2);
	assert_int_equal(sink_open(&s, &one, false, &fd, &err), -ENOBUFS);
	assert_string_equal(err.what, "streams");
	assert_int_equal(s.queued, 2);
	assert_int_equal(s.mode, SINK_KEEP);
	one.used[QUOTA_STREAMS] = 0;
}

/* Another client takes over what were signals to the first. */
static void from_signals_to_a_descriptor(void **state)
{
	per_signal = 1;
	begin(8);
	sink_set_signals(&s, &one, false);
	sink_uncork(&s);
	push(1);
	sent("1.1[1]");
	one.credit.sent.messages = CREDIT_STOP_MESSAGES;
	push(2);
	sent("");
	assert_false(list_empty(&one.blocked));
	open_it(&two, false);
	assert_true(list_empty(&one.blocked));
	test_client_reads(&one);
	test_client_leaves(&one);
	push(1);
	sent("");
	got(STREAM_NOTIFIED, 2, 0);
	got(STREAM_NOTIFIED, 3, 0);
	got(STREAM_NOTIFIED, 4, 0);
}

static void a_reader_outlives_its_client(void **state)
{
	begin(8);
	open_it(&one, false);
	test_client_leaves(&one);
	push(1);
	got(STREAM_NOTIFIED, 1, 0);
	sink_end(&s, 0, "released");
	got_end(1, 0, 0, "released");
}

/* --- records that tell a state --- */

static void push_exempt(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		sink_push_exempt(&s, STREAM_SUBSCRIBED, 9, 0, "h", 1, "ead", 3);
}

static struct stream_record *queued(uint64_t seq)
{
	struct stream_record *r;

	list_for_each (r, &s.queue, link)
		if (r->seq == seq)
			return r;
	return NULL;
}

static void exempt_ones_take_no_place(void **state)
{
	begin(2);
	push(1);
	push_exempt(4);
	push(2); /* 1 goes: the oldest of its sort */
	assert_int_equal(s.queued, 6);
	assert_int_equal(s.dropped, 1);
	assert_null(queued(1));
	assert_memory_equal(queued(2)->data, "head", 4);
	for (unsigned int i = 0; i < SINK_QUEUE_MAX + 3; i++)
		push_exempt(1);
	assert_int_equal(s.exempt, SINK_QUEUE_MAX);
	assert_int_equal(s.queued, SINK_QUEUE_MAX + 2);
	assert_int_equal(s.dropped, 1 + 4 + 3);
	while (sink_peek(&s))
		sink_pop(&s);
	assert_int_equal(s.exempt, 0);
}

static void what_is_skipped_is_not_lost(void **state)
{
	begin(8);
	push_exempt(5);
	sink_skip(&s, queued(1));
	sink_skip(&s, queued(3));
	sink_skip(&s, queued(4));
	push(1);
	sink_skip(&s, queued(6));
	push(1);
	assert_int_equal(s.dropped, 0);
	open_it(&one, false);
	got(STREAM_SUBSCRIBED, 2, 0);
	got(STREAM_SUBSCRIBED, 5, 0);
	got(STREAM_NOTIFIED, 7, 0);
	push(1);
	got(STREAM_NOTIFIED, 8, 0);
}

static void what_is_lost_between_is_counted_still(void **state)
{
	begin(2);
	push(1);
	push_exempt(2);
	sink_skip(&s, queued(2));
	push(3); /* 4, 5 and 6; 1 and 4 are dropped */
	sink_skip(&s, queued(3));
	assert_int_equal(s.dropped, 2);
	open_it(&one, false);
	got(STREAM_NOTIFIED, 5, 2);
	got(STREAM_NOTIFIED, 6, 0);
}

static void taken_out_of_turn(void **state)
{
	begin(8);
	push(4);
	sink_take(&s, queued(3));
	sink_take(&s, queued(1));
	assert_int_equal(s.taken, 1);
	open_it(&one, false);
	got(STREAM_NOTIFIED, 2, 0);
	got(STREAM_NOTIFIED, 4, 0);
}

static void the_end_after_what_was_skipped(void **state)
{
	begin(8);
	push(3);
	sink_skip(&s, queued(2));
	sink_skip(&s, queued(3));
	open_it(&one, false);
	sink_end(&s, 0, "unregistered");
	got(STREAM_NOTIFIED, 1, 0);
	got_end(3, 0, 0, "unregistered");
}

static void a_burst_is_no_reason_to_drop(void **state)
{
	per_signal = 1;
	begin(2);
	s.burst = 5;
	sink_set_signals(&s, &one, false);
	sink_uncork(&s);
	push(5);
	assert_int_equal(s.dropped, 0);
	push(1);
	assert_int_equal(s.dropped, 1);
	sent("1.1[2]1.1[3]1.1[4]1.1[5]1.1[6]");
	while (signals < CREDIT_STOP_MESSAGES) {
		push(1);
		sinks_flush(&bus);
	}
	push(1);
	sinks_flush(&bus); /* no credit: from here it is the limit that counts */
	push(3);
	assert_int_equal(s.queued, 2);
	assert_int_equal(s.dropped, 1 + 2);
}

static uint8_t wanted_type;

static bool on_wants(const struct sink *sink, const struct op *op)
{
	const struct next *n = container_of(op, struct next, op);
	const struct stream_record *r;

	list_for_each (r, &sink->queue, link)
		if (!n->res || r->type == wanted_type)
			return true;
	return false;
}

static void on_next_wanted(struct op *op, int res)
{
	struct next *n = container_of(op, struct next, op);
	struct stream_record *r;

	n->done++;
	list_for_each (r, &s.queue, link) {
		if (n->res && r->type != wanted_type)
			continue;
		n->seq = r->seq;
		sink_take(&s, r);
		return;
	}
}

/* res, before the end: picky */
static void next_wanted(struct next *n, bool picky)
{
	*n = (struct next){.call.op = &n->op, .res = picky};
	op_init(&n->op, bus.loop, on_next_wanted);
	sink_next(&s, &n->call, 0);
}

static void one_who_waits_for_something_else_waits_on(void **state)
{
	static const struct sink_events picky_events = {.closed = on_closed, .wants = on_wants};
	struct next n[3];

	wanted_type = STREAM_SUBSCRIBED;
	sink_init(&s, &bus, &picky_events, 8);
	sink_uncork(&s);
	next_wanted(&n[0], true);
	next_wanted(&n[1], false);
	push(2);
	sent("");
	assert_int_equal(n[0].done, 0);
	assert_int_equal(n[1].seq, 1);
	push_exempt(1);
	sent("");
	assert_int_equal(n[0].seq, 3);
	next_wanted(&n[2], true);
	push_exempt(1);
	sink_flush_now(&s); /* at once, before something that must come after */
	assert_int_equal(n[2].seq, 4);
	assert_int_equal(s.queued, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		T(the_oldest_is_dropped),
		T(bytes_are_bounded_too),
		T(next_waits_its_turn),
		T(next_ends_with_the_sink),
		T(nothing_before_the_reply),
		T(a_pass_sends_so_many),
		T(one_who_does_not_read_is_sent_no_more),
		T(bytes_count_as_well),
		T(the_last_before_the_end),
		T(the_last_before_the_end_without_credit),
		T(what_cannot_be_built_is_dropped),
		T(who_leaves_leaves_it_to_next),
		T(broadcast_goes_on),
		T(what_was_kept_comes_first),
		T(what_was_taken_is_not_lost),
		T(taken_and_lost_and_kept),
		T(all_was_taken),
		T(a_slow_reader_loses_the_oldest),
		T(an_end_that_nobody_reads),
		T(a_slow_reader_catches_up),
		T(encoded),
		T(encoded_to_the_end),
		T(a_reader_that_closes_ends_it),
		T(a_quota_that_is_used_up),
		T(from_signals_to_a_descriptor),
		T(a_reader_outlives_its_client),
		T(exempt_ones_take_no_place),
		T(what_is_skipped_is_not_lost),
		T(what_is_lost_between_is_counted_still),
		T(taken_out_of_turn),
		T(the_end_after_what_was_skipped),
		T(a_burst_is_no_reason_to_drop),
		T(one_who_waits_for_something_else_waits_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
