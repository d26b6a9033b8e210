/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sinks. A record waits in the queue only when it cannot go on at once; who is late loses the oldest. The rule a reader
 * would break first: events->closed() may free the sink, so it is the last thing a function does.
 */
#include "sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "bus_priv.h"
#include "client.h"

#define STREAM_BUDGET 64 /* records written in one go when the descriptor has room again */

void sink_init(struct sink *s, struct bus *bus, const struct sink_events *events, uint32_t max)
{
	*s = (struct sink){.bus = bus, .events = events, .max = max, .corked = true};
	list_init(&s->queue);
	list_init(&s->waiters);
	list_init(&s->client_link);
	list_init(&s->blocked_link);
	list_init(&s->flush_link);
}

static void record_free(struct stream_record *r)
{
	list_del(&r->link);
	free(r);
}

static void sink_leave_client(struct sink *s)
{
	list_del(&s->client_link);
	list_del(&s->blocked_link);
	s->client = NULL;
}

void sink_deinit(struct sink *s)
{
	op_fail_all(&s->waiters, -ECANCELED);
	while (!list_empty(&s->queue))
		record_free(list_first(&s->queue, struct stream_record, link));
	list_del(&s->flush_link);
	sink_leave_client(s);
	s->stream = stream_free(s->stream);
}

void sink_set_signals(struct sink *s, struct client *client, bool broadcast)
{
	s->mode = SINK_SIGNALS;
	s->broadcast = broadcast;
	s->client = client;
	list_add_tail(&client->sinks, &s->client_link);
}

/* --- the queue --- */

const struct stream_record *sink_peek(const struct sink *s)
{
	return list_first(&s->queue, struct stream_record, link);
}

static void sink_forget(struct sink *s, struct stream_record *r)
{
	s->queued--;
	s->exempt -= r->exempt;
	s->bytes -= r->len;
	record_free(r);
}

/* Forget @r; @n numbers up to its own are not lost, which the one behind it tells. */
static void sink_forget_skipping(struct sink *s, struct stream_record *r, uint32_t n)
{
	if (r->link.next == &s->queue)
		s->skipped += n;
	else
		list_entry(r->link.next, struct stream_record, link)->skipped += n;
	sink_forget(s, r);
}

void sink_skip(struct sink *s, struct stream_record *r)
{
	sink_forget_skipping(s, r, r->skipped + 1);
}

void sink_pop(struct sink *s)
{
	s->taken = sink_peek(s)->seq;
	sink_forget(s, list_first(&s->queue, struct stream_record, link));
}

void sink_take(struct sink *s, struct stream_record *r)
{
	if (r == sink_peek(s))
		sink_pop(s);
	else
		sink_skip(s, r);
}

static void sink_drop(struct sink *s, struct stream_record *r)
{
	s->dropped++;
	sink_forget_skipping(s, r, r->skipped);
}

static void sink_drop_oldest(struct sink *s)
{
	sink_drop(s, list_first(&s->queue, struct stream_record, link));
}

static void sink_drop_oldest_of(struct sink *s, bool exempt)
{
	struct stream_record *r;

	list_for_each (r, &s->queue, link) {
		if (r->exempt == exempt) {
			sink_drop(s, r);
			return;
		}
	}
}

static uint32_t sink_limit(const struct sink *s)
{
	bool flowing = s->mode == SINK_SIGNALS && !list_linked(&s->blocked_link);

	return flowing ? MAX(s->max, s->burst) : s->max;
}

static void sink_trim(struct sink *s)
{
	while (s->queued - s->exempt > sink_limit(s))
		sink_drop_oldest_of(s, false);
	while (s->exempt > SINK_QUEUE_MAX)
		sink_drop_oldest_of(s, true);
	while (s->bytes > SINK_BYTES_MAX && s->queued > 1)
		sink_drop_oldest(s);
}

static void sink_enqueue(struct sink *s, const struct stream_record *head, const void *a,
                         size_t a_len, const void *b, size_t b_len)
{
	struct stream_record *r = malloc(sizeof(*r) + a_len + b_len);

	if (!r) {
		s->dropped++;
		s->skipped = head->skipped;
		return;
	}
	*r = *head;
	list_init(&r->link);
	r->len = a_len + b_len;
	if (a_len)
		memcpy(r->data, a, a_len);
	if (b_len)
		memcpy(r->data + a_len, b, b_len);
	list_add_tail(&s->queue, &r->link);
	s->queued++;
	s->exempt += r->exempt;
	s->bytes += r->len;
	sink_trim(s);
}

static void sink_schedule(struct sink *s)
{
	if (s->corked || list_linked(&s->flush_link) || list_linked(&s->blocked_link))
		return;
	if (s->mode == SINK_KEEP && list_empty(&s->waiters))
		return;
	list_add_tail(&s->bus->flush, &s->flush_link);
}

/* --- a descriptor --- */

static int sink_write(struct sink *s, const struct stream_record *r)
{
	_cleanup_(freep) struct stream_record *other = NULL;

	if (s->encoded) {
		other = s->events->encode(s, r);
		if (!other) {
			s->dropped++; /* no memory for it; the gap in the numbers tells the reader */
			return 0;
		}
		r = other;
	}
	return stream_send(s->stream, r);
}

static void sink_drain(struct sink *s)
{
	const struct stream_record *r;

	for (int i = 0; i < STREAM_BUDGET && (r = sink_peek(s)); i++) {
		if (sink_write(s, r) < 0)
			return;
		sink_pop(s);
	}
	if (sink_peek(s))
		sink_schedule(s);
}

static void on_writable(_unused_ struct stream *stream, void *data)
{
	sink_drain(data);
}

static void on_closed(_unused_ struct stream *stream, void *data)
{
	struct sink *s = data;

	s->stream = stream_free(s->stream);
	s->mode = SINK_KEEP;
	s->events->closed(s);
}

int sink_open(struct sink *s, struct client *client, bool encoded, int *ret_fd,
              struct bus_error *err)
{
	static const struct stream_events events = {.writable = on_writable, .closed = on_closed};
	int r = stream_new(s->bus, client, &events, s, &s->stream, ret_fd, err);

	if (r < 0)
		return r;
	stream_set_sent(s->stream, s->taken);
	s->mode = SINK_STREAM;
	s->encoded = encoded && s->events->encode;
	sink_leave_client(s);
	list_del(&s->flush_link);
	sink_drain(s);
	return 0;
}

/* --- records in --- */

/* Straight to the descriptor, without a copy, when nothing waits before it. Return: false: it must be queued. */
static bool sink_pass(struct sink *s, struct stream_record *head, const void *a, size_t a_len,
                      const void *b, size_t b_len)
{
	_Alignas(struct stream_record) uint8_t buf[sizeof(struct stream_record) + 1024];
	struct stream_record *r = (struct stream_record *)buf;

	if (!s->stream || s->queued || a_len + b_len > sizeof(buf) - sizeof(*r))
		return false;
	*r = *head;
	r->len = a_len + b_len;
	if (a_len)
		memcpy(r->data, a, a_len);
	if (b_len)
		memcpy(r->data + a_len, b, b_len);
	return sink_write(s, r) == 0;
}

static void sink_put(struct sink *s, struct stream_record *r, const void *head, size_t head_len,
                     const void *data, size_t len)
{
	r->seq = ++s->seq;
	r->skipped = s->skipped;
	s->skipped = 0;
	if (sink_pass(s, r, head, head_len, data, len))
		return;
	sink_enqueue(s, r, head, head_len, data, len);
	if (s->stream) {
		sink_drain(s);
		return;
	}
	sink_schedule(s);
}

void sink_push2(struct sink *s, uint8_t type, uint16_t handle, uint64_t time_us, const void *head,
                size_t head_len, const void *data, size_t len)
{
	struct stream_record r = {.time_us = time_us, .handle = handle, .type = type};

	sink_put(s, &r, head, head_len, data, len);
}

void sink_push_exempt(struct sink *s, uint8_t type, uint16_t handle, uint64_t time_us,
                      const void *head, size_t head_len, const void *data, size_t len)
{
	struct stream_record r = {
		.time_us = time_us, .handle = handle, .type = type, .exempt = true};

	sink_put(s, &r, head, head_len, data, len);
}

void sink_push(struct sink *s, uint8_t type, uint16_t handle, uint64_t time_us, const void *data,
               size_t len)
{
	sink_push2(s, type, handle, time_us, NULL, 0, data, len);
}

/* --- records out to the bus --- */

void sink_next(struct sink *s, struct bus_call *call, uint32_t timeout_ms)
{
	op_start(call->op, &s->waiters, NULL, timeout_ms);
	if (s->queued)
		sink_schedule(s);
}

void sink_fail(struct sink *s, int res)
{
	op_fail_all(&s->waiters, res);
}

/* The first that waits for something there is, or NULL. */
static struct op *sink_waiter(const struct sink *s)
{
	struct op *op;

	list_for_each (op, &s->waiters, link)
		if (!s->events->wants || s->events->wants(s, op))
			return op;
	return NULL;
}

static void sink_answer(struct sink *s)
{
	struct op *op;

	while (s->queued && (op = sink_waiter(s)))
		op_complete(op, 0); /* its done() takes from the queue */
}

static bool sink_may_send(struct sink *s)
{
	return !s->client || client_may_send(s->client);
}

/* Return: true when there is more to send and a place to send it; without credit it waits in the client's list. */
static bool sink_signal(struct sink *s)
{
	for (int i = 0; i < SINK_SIGNALS_PASS && s->queued; i++) {
		size_t bytes;

		if (!sink_may_send(s)) {
			list_add_tail(&s->client->blocked, &s->blocked_link);
			return false;
		}
		bytes = s->events->signal(s, s->broadcast ? NULL : s->client->name);
		if (bytes == 0)
			while (s->queued)
				sink_drop_oldest(s);
		else if (s->client)
			client_charge(s->client, bytes);
	}
	return s->queued;
}

void sink_flush_now(struct sink *s)
{
	if (s->mode == SINK_KEEP)
		sink_answer(s);
	if (s->mode != SINK_SIGNALS)
		return;
	list_del(&s->flush_link);
	list_del(&s->blocked_link);
	while (s->queued && sink_may_send(s))
		(void)sink_signal(s);
}

static void sink_flush(struct sink *s)
{
	switch (s->mode) {
	case SINK_KEEP:
		sink_answer(s);
		return;
	case SINK_SIGNALS:
		if (sink_signal(s))
			sink_schedule(s);
		return;
	case SINK_STREAM:
		sink_drain(s);
		return;
	}
}

void sinks_flush(struct bus *bus)
{
	struct list now;
	struct sink *s;

	if (bus_congested(bus))
		return; /* they keep what they have, and drop the oldest, until the bus takes more */
	list_init(&now);
	list_move_all(&bus->flush, &now);
	while ((s = list_first(&now, struct sink, flush_link))) {
		list_del(&s->flush_link);
		sink_flush(s);
	}
}

void sink_uncork(struct sink *s)
{
	s->corked = false;
	if (s->queued)
		sink_schedule(s);
}

/* The stream goes on alone: what it still has to send must be in its final form. */
static void sink_encode_queue(struct sink *s)
{
	struct list plain;
	struct stream_record *r;

	list_init(&plain);
	list_move_all(&s->queue, &plain);
	while ((r = list_first(&plain, struct stream_record, link))) {
		struct stream_record *other = s->events->encode(s, r);

		record_free(r);
		if (other)
			list_add_tail(&s->queue, &other->link);
		else
			s->dropped++;
	}
}

void sink_end(struct sink *s, uint8_t hci, const char *reason)
{
	if (!s->stream)
		return;
	if (s->encoded)
		sink_encode_queue(s);
	stream_end(steal(&s->stream), &s->queue, s->seq, s->skipped, hci, reason);
	list_init(&s->queue);
	s->queued = 0;
	s->exempt = 0;
	s->bytes = 0;
	s->mode = SINK_KEEP;
}

void sinks_unblock(struct client *client)
{
	struct sink *s;

	while ((s = list_first(&client->blocked, struct sink, blocked_link))) {
		list_del(&s->blocked_link);
		sink_schedule(s);
	}
}

/*
 * Whom the signals went to is gone: what comes is kept for Next, as long as the object lives. Signals to everybody go on,
 * on nobody's account.
 */
void sinks_orphan(struct client *client)
{
	struct sink *s;

	while ((s = list_first(&client->sinks, struct sink, client_link))) {
		sink_leave_client(s);
		if (!s->broadcast)
			s->mode = SINK_KEEP;
		else if (s->queued)
			sink_schedule(s);
	}
}
