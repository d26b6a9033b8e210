/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bearer as a machine. The input is a row of records, a byte each that says what happens and
 * what follows it: the peer sends bytes, callers ask, notify, indicate, give up and leave, a server
 * answers at once, later or never, time passes, the kernel is full, the link goes. Whatever the
 * order, every op ends exactly once, nothing is sent that does not fit, nothing at all after the
 * end, never two requests and never two indications at a time, and no request is answered twice.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aiobled/att.h"

#include "fuzz.h"

#define CALLS 6

struct call {
	struct att_req req;
	struct att_cmd cmd;
	struct att_cmd value;
	int live; /* ops that have to end */
};

static struct {
	struct loop *loop;
	struct att *att;
	int peer;
	struct call calls[CALLS];
	bool closed, free_in_value, ask_in_done, free_in_server;
	bool asked; /* a request of ours is on the wire, as far as the peer can tell */
	bool indicated;
	unsigned int requests; /* of the peer's, that may still be answered */
	uint8_t later;         /* answer so: 0 at once, 1 later, 2 inside, but as if later */
	uint8_t owed;          /* the opcode */
} f;

static void ask(struct call *c, uint8_t handle);

static void free_all(void)
{
	att_fail_all(f.att, -ENOTCONN);
	f.att = att_free(f.att);
}

static void on_request(struct op *op, int res)
{
	struct call *c = container_of(op, struct call, req.op);

	FUZZ_CHECK(c->live-- > 0);
	FUZZ_CHECK(res != 0 || !c->req.rsp || c->req.rsp_len > 0);
	if (f.ask_in_done && f.att)
		ask(c, 1);
}

static void on_command(struct op *op, int res)
{
	FUZZ_CHECK(container_of(op, struct call, cmd.op)->live-- > 0);
}

static void on_value_sent(struct op *op, int res)
{
	FUZZ_CHECK(container_of(op, struct call, value.op)->live-- > 0);
}

static void on_value(uint16_t handle, const uint8_t *value, size_t len, bool indication, void *data)
{
	FUZZ_CHECK(handle != 0 && len <= ATT_MTU_MAX);
	if (f.free_in_value)
		free_all();
}

static void on_mtu(uint16_t mtu, void *data)
{
	FUZZ_CHECK(mtu >= ATT_MTU_DEFAULT && mtu <= ATT_MTU_MAX);
}

static void on_closed(int err, void *data)
{
	FUZZ_CHECK(!f.closed);
	f.closed = true;
}

static void give_answer(uint8_t n)
{
	uint8_t pdu[1 + 255] = {att_response_of(f.owed)};
	bool owed = f.owed;

	if (n == 255) {
		struct wr w = wr_init(pdu, sizeof(pdu));

		att_put_error(&w, f.owed, 1, ATT_ERR_INVALID_HANDLE);
		n = 4;
	}
	f.owed = 0;
	FUZZ_CHECK(!f.att || att_answer(f.att, pdu, 1U + n) != 0 || owed);
}

static bool on_peer_request(const uint8_t *pdu, size_t len, struct wr *rsp, void *data)
{
	FUZZ_CHECK(!f.owed && att_kind(pdu[0]) == ATT_KIND_REQUEST && pdu[0] != ATT_MTU_REQ);
	f.owed = pdu[0];
	if (f.free_in_server) {
		free_all();
		return true;
	}
	if (f.later == 0)
		att_put_error(rsp, pdu[0], 0, ATT_ERR_INVALID_HANDLE);
	if (f.later == 2)
		give_answer(3);
	if (f.later == 0)
		f.owed = 0;
	return f.later == 0;
}

static void on_peer_command(const uint8_t *pdu, size_t len, void *data)
{
	FUZZ_CHECK(pdu[0] == ATT_WRITE_CMD || pdu[0] == ATT_SIGNED_WRITE_CMD);
}

static void indicate(struct call *c, uint8_t len);

static void on_confirmed(void *data)
{
	if (f.ask_in_done)
		indicate(&f.calls[1], 0);
	if (f.free_in_server && f.att)
		free_all();
}

static void on_writable(void *data)
{
	FUZZ_CHECK(att_writable(f.att));
	if (f.free_in_server)
		free_all();
}

static const struct att_server server = {on_peer_request, on_peer_command, on_confirmed,
                                         on_writable};

static const struct att_events events = {.value = on_value, .mtu = on_mtu, .closed = on_closed};

static void ask(struct call *c, uint8_t handle)
{
	uint8_t pdu[3] = {ATT_READ_REQ, handle, 0};

	if (f.att && !op_live(&c->req.op) &&
	    att_request(f.att, &c->req, pdu, sizeof(pdu), handle * 10) == 0)
		c->live++;
}

static void command(struct call *c, uint8_t len)
{
	uint8_t pdu[3 + 255] = {ATT_WRITE_CMD, 1, 0};

	if (f.att && !op_live(&c->cmd.op) && att_command(f.att, &c->cmd, pdu, 3U + len, len) == 0)
		c->live++;
}

static void notify(struct call *c, uint8_t len)
{
	uint8_t pdu[3 + 255] = {ATT_NOTIFY, 1, 0};

	if (f.att && !op_live(&c->value.op) &&
	    att_notify(f.att, &c->value, pdu, 3U + len, len) == 0)
		c->live++;
}

static void indicate(struct call *c, uint8_t len)
{
	uint8_t pdu[3 + 255] = {ATT_INDICATE, 1, 0};
	bool busy;
	int r;

	if (!f.att || op_live(&c->value.op))
		return;
	busy = att_indicating(f.att);
	r = att_indicate(f.att, &c->value, pdu, 3U + len, len * 20);
	FUZZ_CHECK(r != 0 || !busy);
	FUZZ_CHECK((r == -EBUSY) <= busy);
	if (r == 0)
		c->live++;
}

static void exchange(struct call *c, uint8_t n)
{
	if (f.att && !op_live(&c->req.op) && att_exchange_mtu(f.att, &c->req, 23 + n * 2, n) == 0)
		c->live++;
}

static void drop(struct call *c)
{
	c->live -= op_live(&c->req.op) + op_live(&c->cmd.op) + op_live(&c->value.op);
	op_drop(&c->req.op);
	op_drop(&c->cmd.op);
	op_drop(&c->value.op);
}

/* What we sent, looked at as the peer would. */
static void drain(void)
{
	uint8_t pdu[1024];
	ssize_t n;

	while (f.peer >= 0 && (n = recv(f.peer, pdu, sizeof(pdu), MSG_DONTWAIT)) > 0) {
		/* filler */
		if (pdu[0] == 0xfe)
			continue;
		FUZZ_CHECK(n <= ATT_MTU_MAX);
		switch (att_kind(pdu[0])) {
		case ATT_KIND_REQUEST:
			FUZZ_CHECK(!f.asked);
			f.asked = true;
			break;
		case ATT_KIND_INDICATION:
			FUZZ_CHECK(!f.indicated);
			f.indicated = true;
			break;
		case ATT_KIND_RESPONSE:
			FUZZ_CHECK(f.requests-- > 0);
			break;
		case ATT_KIND_UNKNOWN:
			FUZZ_CHECK(false);
			break;
		case ATT_KIND_COMMAND:
		case ATT_KIND_NOTIFICATION:
		case ATT_KIND_CONFIRMATION:
			break;
		}
	}
}

static void peer_sends(const uint8_t *pdu, size_t len)
{
	enum att_kind kind = len ? att_kind(pdu[0]) : ATT_KIND_COMMAND;

	if (f.peer < 0)
		return;
	drain();
	/* it may not have been the right one: then we are more patient than this */
	if (kind == ATT_KIND_RESPONSE)
		f.asked = false;
	/* an error for the indication counts, too */
	if (kind == ATT_KIND_CONFIRMATION || kind == ATT_KIND_RESPONSE)
		f.indicated = false;
	if (send(f.peer, pdu, len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return;
	if (kind == ATT_KIND_REQUEST || kind == ATT_KIND_UNKNOWN)
		f.requests++;
}

static void fill(void)
{
	static const uint8_t filler[512] = {0xfe};

	while (f.att &&
	       send(att_fd(f.att), filler, sizeof(filler), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		;
}

static void hang_up(void)
{
	if (f.peer >= 0)
		(void)close(f.peer);
	f.peer = -1;
}

static void step(uint8_t what, uint8_t arg, struct rd *r)
{
	struct call *c = &f.calls[arg % CALLS];
	const uint8_t *pdu;

	switch (what % 20) {
	case 0 ... 5:
		arg = (uint8_t)MIN(arg, r->left);
		pdu = rd_bytes(r, arg);
		peer_sends(pdu, arg);
		break;
	case 6:
	case 7:
		ask(c, arg);
		break;
	case 8:
		command(c, arg);
		break;
	case 9:
		exchange(c, arg);
		break;
	case 10:
		drop(c);
		break;
	case 11:
		FUZZ_CHECK(loop_advance(f.loop, arg * 150U) == 0);
		break;
	case 12:
		fill();
		break;
	case 13:
		drain();
		break;
	case 14:
		f.free_in_value = arg & 1;
		f.ask_in_done = arg & 2;
		f.later = (uint8_t)(arg >> 2) % 3;
		f.free_in_server = arg & 128;
		break;
	case 15:
		if (arg == 255)
			hang_up();
		else if (arg == 254 && f.att)
			att_fail_all(f.att, -ENOTCONN);
		break;
	case 16:
		notify(c, arg);
		break;
	case 17:
		indicate(c, arg % 64);
		break;
	case 18:
		give_answer(arg);
		break;
	case 19:
		if (f.att)
			att_set_server(f.att, &server, NULL);
		break;
	}
	FUZZ_CHECK(loop_settle(f.loop) == 0);
}

static void begin(void)
{
	int fds[2], small = 1;

	memset(&f, 0, sizeof(f));
	FUZZ_CHECK(loop_new_virtual(&f.loop) == 0);
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) == 0);
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	f.peer = fds[1];
	FUZZ_CHECK(att_new(f.loop, fds[0], &events, NULL, &f.att) == 0);
	for (int i = 0; i < CALLS; i++) {
		op_init(&f.calls[i].req.op, f.loop, on_request);
		op_init(&f.calls[i].cmd.op, f.loop, on_command);
		op_init(&f.calls[i].value.op, f.loop, on_value_sent);
	}
}

static void end(void)
{
	f.ask_in_done = false;
	drain();
	if (f.att)
		free_all();
	FUZZ_CHECK(loop_settle(f.loop) == 0);
	for (int i = 0; i < CALLS; i++)
		FUZZ_CHECK(f.calls[i].live == 0);
	hang_up();
	f.loop = loop_free(f.loop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rd r = rd_init(data, size);

	begin();
	while (r.left >= 2) {
		uint8_t what = rd_u8(&r);

		step(what, rd_u8(&r), &r);
	}
	end();
	return 0;
}
