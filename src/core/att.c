/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bearer: its socket, its requests and its end; what comes in is att_input.c's, what else goes
 * out att_out.c's. Two halves share the socket: transactions of ours (a queue, and one slot for
 * what is on the wire) and the peer's (one answer and the confirmations that wait for the kernel).
 *
 * Every callback and every done() may free the bearer: whoever calls out holds it with att_hold()
 * and looks at att->freed before touching anything else. What is to be sent is decided in
 * send_next() alone, and whether to wait for the kernel in att_pump() alone.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "att_priv.h"

#define READ_BATCH    16 /* PDUs a system call takes at most */
#define ATT_MEMORY_MS 20 /* the kernel had no memory for a PDU: it is asked again after so long */

void att_hold(struct att *att)
{
	att->holds++;
}

void att_release(struct att *att)
{
	if (--att->holds == 0 && att->freed)
		free(att);
}

/* --- sending --- */

static bool is_end(int err)
{
	switch (err) {
	case ENOTCONN:
	case EPIPE:
	case ECONNRESET:
	case ECONNABORTED:
	case ESHUTDOWN:
	case ETIMEDOUT:
		return true;
	}
	return false;
}

/* A record socket takes a PDU whole or not at all, so nothing is ever left half sent. */
int att_send(struct att *att, const uint8_t *pdu, size_t len)
{
	ssize_t n;

	do {
		n = send(att->fd, pdu, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 0;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return -EAGAIN;
	if (errno == ENOBUFS || errno == ENOMEM) {
		timer_start_ms(&att->memory, ATT_MEMORY_MS);
		return -EAGAIN;
	}
	if (is_end(errno)) {
		/* this call may have taken the error that reading would have found */
		if (!att->end_err && errno != ENOTCONN && errno != EPIPE)
			att->end_err = -errno;
		return -ENOTCONN;
	}
	return errno == EMSGSIZE ? -EMSGSIZE : -ENOMEM;
}

void att_out_forget(struct att_out *out)
{
	free(out->pdu);
	out->pdu = NULL;
}

static void wire_begin(struct att *att, struct att_req *req, const uint8_t *pdu)
{
	att->wire =
		(struct transaction){.busy = true, .opcode = pdu[0], .mtu = att->mtu, .req = req};
	/* our own PDU */
	if (pdu[0] == ATT_MTU_REQ)
		(void)att_parse_mtu(pdu, 3, &att->wire.offer);
	att->stats.requests++;
	timer_start_ms(&att->patience, ATT_TRANSACTION_TIMEOUT_MS);
}

/* Put @pdu on the wire for @req. Return: 0; -EAGAIN; another error ends the request. */
static int send_request(struct att *att, struct att_req *req, const uint8_t *pdu, size_t len)
{
	int r = len > att->mtu ? -EMSGSIZE : att_send(att, pdu, len);

	if (r == 0)
		wire_begin(att, req, pdu);
	return r;
}

static bool mtu_is_settled(const struct att *att, const uint8_t *pdu)
{
	return pdu[0] == ATT_MTU_REQ && att->mtu_ours;
}

static int send_first_request(struct att *att, struct att_req *req)
{
	bool settled = mtu_is_settled(att, req->out.pdu);
	int r = settled ? 0 : send_request(att, req, req->out.pdu, req->out.len);

	if (r == -EAGAIN)
		return r;
	list_del(&req->op.link);
	att->n_requests--;
	att_out_forget(&req->out);
	if (settled || r < 0)
		op_complete_later(&req->op, r);
	return 0;
}

/* The turn of an answer or a confirmation, which do not let others wait for ever. */
static bool peer_first(const struct att *att, bool waiting)
{
	if (!att->answer.len && !att->confirms)
		return false;
	return !waiting || att->precedence < ATT_PRECEDENCE_MAX;
}

static int send_for_peer(struct att *att, bool waiting)
{
	int r = att->answer.len ? att_send_answer(att) : att_send_confirm(att);

	if (r == 0)
		att->precedence = waiting ? att->precedence + 1 : 0;
	return r;
}

/*
 * Return: 1 when something left its queue, 0 when there is nothing, -EAGAIN when the kernel takes
 * no more.
 */
static int send_next(struct att *att)
{
	struct att_req *req =
		att->wire.busy ? NULL : list_first(&att->requests, struct att_req, op.link);
	struct att_cmd *other = list_first(&att->others, struct att_cmd, op.link);
	bool waiting = req || other;
	int r;

	if (peer_first(att, waiting)) {
		r = send_for_peer(att, waiting);
		return r < 0 ? r : 1;
	}
	if (!waiting)
		return 0;
	if (req && (!other || req->out.seq < other->out.seq))
		r = send_first_request(att, req);
	else
		r = att_send_other(att);
	if (r < 0)
		return r;
	att->precedence = 0;
	return 1;
}

void att_pump(struct att *att)
{
	int r = 0, events = 0;

	if (!att->closed && !att->blocked) {
		do {
			r = send_next(att);
		} while (r > 0);
		att->blocked = r == -EAGAIN;
	}
	/* without memory the socket may be writable all the time */
	if (!att->closed)
		events = LOOP_READ | (att->blocked && !timer_armed(&att->memory) ? LOOP_WRITE : 0);
	(void)loop_io_set(&att->io, events); /* when it fails the next call tries again */
}

/* --- the end --- */

static void att_stop(struct att *att)
{
	att->closed = true;
	timer_stop(&att->patience);
	timer_stop(&att->indicated.patience);
	timer_stop(&att->memory);
	att_pump(att);
}

static void att_close(struct att *att, int err)
{
	if (att->closed)
		return;
	att_stop(att);
	att->events->closed(err, att->data);
}

/* 30 s without an answer: the bearer is of no use any more (Core 5.4, Vol 3, Part F, 3.3.3). */
void att_silence(struct att *att, struct op *waiter)
{
	att_hold(att);
	att->stats.timeouts++;
	att_stop(att);
	(void)shutdown(att->fd, SHUT_RDWR); /* the link may have gone this moment */
	if (waiter)
		op_complete(waiter, -ETIMEDOUT);
	if (!att->freed)
		att->events->closed(-ETIMEDOUT, att->data);
	att_release(att);
}

static void on_patience(struct timer *t)
{
	struct att *att = container_of(t, struct att, patience);
	struct att_req *req = att->wire.req;

	att->wire.req = NULL;
	att_silence(att, req ? &req->op : NULL);
}

void att_fail_all(struct att *att, int err)
{
	att_hold(att);
	att_stop(att);
	if (att->wire.req)
		op_fail(&att->wire.req->op, err);
	if (att->indicated.cmd)
		op_fail(&att->indicated.cmd->op, err);
	op_fail_all(&att->requests, err);
	op_fail_all(&att->others, err);
	att_release(att);
}

/* --- reading --- */

static bool hung_up(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

/*
 * A read of nothing is an empty PDU, or the end. The kernel reports the end before the data that is
 * queued behind it, so the first report is only remembered; the second, or finding nothing more,
 * closes.
 */
static void input_nothing(struct att *att)
{
	if (!hung_up(att->fd)) {
		att->stats.protocol_errors++;
		return;
	}
	if (att->ended)
		att_close(att, att->end_err);
	att->ended = true;
}

static void read_failed(struct att *att, int err)
{
	bool empty = err == EAGAIN || err == EWOULDBLOCK;

	if (empty && !att->ended)
		return;
	if (att->ended) {
		att_close(att, att->end_err);
		return;
	}
	att->ended = true;
	att->end_err = -err;
}

/*
 * One system call for up to READ_BATCH PDUs. Return: how many came, 0 when there is nothing more
 * for now.
 */
static int read_batch(struct att *att)
{
	uint8_t buf[READ_BATCH][ATT_MTU_MAX + 1];
	struct iovec iov[READ_BATCH];
	struct mmsghdr msgs[READ_BATCH];
	int n;

	for (int i = 0; i < READ_BATCH; i++) {
		iov[i] = (struct iovec){.iov_base = buf[i], .iov_len = sizeof(buf[i])};
		msgs[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &iov[i], .msg_iovlen = 1}};
	}
	n = recvmmsg(att->fd, msgs, READ_BATCH, MSG_DONTWAIT, NULL);
	if (n < 0) {
		bool again = errno == EINTR || !(errno == EAGAIN || errno == EWOULDBLOCK);

		if (errno != EINTR)
			read_failed(att, errno);
		return again ? 1 : 0;
	}
	for (int i = 0; i < n && !att->freed && !att->closed; i++) {
		if (msgs[i].msg_len == 0)
			input_nothing(att);
		else if (msgs[i].msg_len > ATT_MTU_MAX || msgs[i].msg_hdr.msg_flags & MSG_TRUNC)
			att_input_truncated(att, buf[i]);
		else
			att_input(att, buf[i], msgs[i].msg_len);
	}
	return n < READ_BATCH && !att->ended ? 0 : n; /* fewer than asked for: drained */
}

static void att_read(struct att *att)
{
	int budget = ATT_READ_BUDGET, n = 1;

	while (n > 0 && budget > 0 && !att->freed && !att->closed) {
		n = read_batch(att);
		budget -= n;
	}
}

/* Something may be handed to the kernel again. The bearer is held. */
static void go_on(struct att *att)
{
	att->blocked = false;
	att_pump(att);
	if (att_writable(att) && att->server->writable)
		att->server->writable(att->server_data);
}

static void on_memory(struct timer *t)
{
	struct att *att = container_of(t, struct att, memory);

	att_hold(att);
	go_on(att);
	att_release(att);
}

static void on_ready(struct loop_io *io, int ready)
{
	struct att *att = container_of(io, struct att, io);

	att_hold(att);
	if (ready & LOOP_READ)
		att_read(
			att); /* still blocked, so that what it leads to stands behind what waits */
	if (!att->freed && ready & LOOP_WRITE)
		go_on(att);
	else if (!att->freed)
		att_pump(att);
	att_release(att);
}

/* --- what callers see --- */

int att_new(struct loop *loop, int fd, const struct att_events *events, void *data,
            struct att **ret)
{
	_cleanup_(closep) int owned = fd;
	_cleanup_(att_freep) struct att *att = calloc(1, sizeof(*att));
	int r;

	if (!att)
		return -ENOMEM;
	att->loop = loop;
	att->fd = -1;
	att->events = events;
	att->data = data;
	att->server = &att_server_empty;
	att->mtu = ATT_MTU_DEFAULT;
	att->rx_mtu = ATT_MTU_MAX;
	list_init(&att->requests);
	timer_init(&att->patience, loop, on_patience);
	timer_init(&att->memory, loop, on_memory);
	att_out_init(att);
	r = loop_io_init(&att->io, loop, fd, on_ready);
	if (r == 0)
		r = loop_io_set(&att->io, LOOP_READ);
	if (r < 0)
		return r;
	att->fd = steal_fd(&owned);
	*ret = steal(&att);
	return 0;
}

struct att *att_free(struct att *att)
{
	if (!att)
		return NULL;
	assert(!att->wire.req && list_empty(&att->requests));
	assert(!att->indicated.cmd && list_empty(&att->others));
	timer_stop(&att->patience);
	timer_stop(&att->indicated.patience);
	timer_stop(&att->memory);
	loop_io_deinit(&att->io);
	closep(&att->fd);
	att->closed = true;
	att_hold(att);
	att->freed = true;
	att_release(att);
	return NULL;
}

void att_set_server(struct att *att, const struct att_server *server, void *data)
{
	att->server = server;
	att->server_data = data;
}

uint16_t att_mtu(const struct att *att)
{
	return att->mtu;
}

bool att_mtu_exchanged(const struct att *att)
{
	return att->mtu_ours != 0;
}

int att_fd(const struct att *att)
{
	return att->fd;
}

size_t att_queued(const struct att *att)
{
	return att->n_requests + (att->wire.busy ? 1 : 0);
}

const struct att_stats *att_stats(const struct att *att)
{
	return &att->stats;
}

int att_out_keep(struct att *att, struct att_out *out, const void *pdu, size_t len)
{
	uint8_t *copy = malloc(len);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, pdu, len);
	*out = (struct att_out){.att = att, .pdu = copy, .len = len, .seq = att->seq++};
	return 0;
}

int att_check_pdu(const struct att *att, const uint8_t *pdu, size_t len, enum att_kind kind)
{
	if (len == 0 || att_kind(pdu[0]) != kind)
		return -EINVAL;
	if (att->closed)
		return -ENOTCONN;
	return len > att->mtu ? -EMSGSIZE : 0;
}

static void withdraw_request(struct op *op)
{
	struct att_req *req = container_of(op, struct att_req, op);
	struct att *att = req->out.att;

	if (att->wire.req == req) {
		att->wire.req = NULL;
		att->stats.timeouts++;
	} else {
		att->n_requests--;
		att_out_forget(&req->out);
	}
}

bool att_req_sent(const struct att_req *req)
{
	return op_live(&req->op) && !req->out.pdu;
}

static int queue_request(struct att *att, struct att_req *req, const void *pdu, size_t len,
                         uint32_t timeout_ms)
{
	int r;

	if (att->n_requests >= ATT_REQUESTS_MAX)
		return -ENOBUFS;
	r = att_out_keep(att, &req->out, pdu, len);
	if (r < 0)
		return r;
	att->n_requests++;
	op_start(&req->op, &att->requests, withdraw_request, timeout_ms);
	return 0;
}

int att_request(struct att *att, struct att_req *req, const void *pdu, size_t len,
                uint32_t timeout_ms)
{
	int r = att_check_pdu(att, pdu, len, ATT_KIND_REQUEST);

	if (r < 0)
		return r;
	req->out = (struct att_out){.att = att};
	if (mtu_is_settled(att, pdu)) {
		op_start(&req->op, NULL, NULL, timeout_ms);
		op_complete_later(&req->op, 0);
		return 0;
	}
	if (!att->wire.busy && !att->blocked && list_empty(&att->requests)) {
		r = send_request(att, req, pdu, len);
		if (r == 0)
			op_start(&req->op, NULL, withdraw_request, timeout_ms);
		if (r != -EAGAIN)
			return r;
	}
	r = queue_request(att, req, pdu, len, timeout_ms);
	att_pump(att);
	return r;
}

int att_exchange_mtu(struct att *att, struct att_req *req, uint16_t mtu, uint32_t timeout_ms)
{
	uint8_t pdu[3];
	struct wr w = wr_init(pdu, sizeof(pdu));
	int r;

	if (mtu < ATT_MTU_DEFAULT || mtu > ATT_MTU_MAX)
		return -EINVAL;
	att_put_mtu_req(&w, mtu);
	r = att_request(att, req, pdu, sizeof(pdu), timeout_ms);
	/* what we say must be the same in both directions (3.4.2.1) */
	if (r == 0 && !att->mtu_ours)
		att->rx_mtu = mtu;
	return r;
}
