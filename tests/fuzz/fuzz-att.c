/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The bearer as a machine. The input is a row of records, a byte each that says what happens and
 * what follows it: the peer sends bytes, callers ask, give up and leave, time passes, the kernel is
 * full, the link goes. Whatever the order, every op ends exactly once, nothing is sent that does
 * not fit, nothing at all after the end, and never two requests at a time.
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
	int live; /* ops that have to end */
};

static struct {
	struct loop *loop;
	struct att *att;
	int peer;
	struct call calls[CALLS];
	bool closed, free_in_value, ask_in_done;
	bool asked; /* a request of ours is on the wire, as far as the peer can tell */
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

static void exchange(struct call *c, uint8_t n)
{
	if (f.att && !op_live(&c->req.op) && att_exchange_mtu(f.att, &c->req, 23 + n * 2, n) == 0)
		c->live++;
}

static void drop(struct call *c)
{
	c->live -= op_live(&c->req.op) + op_live(&c->cmd.op);
	op_drop(&c->req.op);
	op_drop(&c->cmd.op);
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
		if (att_kind(pdu[0]) == ATT_KIND_REQUEST) {
			FUZZ_CHECK(!f.asked);
			f.asked = true;
		}
	}
}

static void peer_sends(const uint8_t *pdu, size_t len)
{
	if (f.peer < 0)
		return;
	drain();
	if (len && att_kind(pdu[0]) == ATT_KIND_RESPONSE)
		/* it may not have been the right one: then we are more patient than this */
		f.asked = false;
	(void)!send(f.peer, pdu, len, MSG_DONTWAIT | MSG_NOSIGNAL);
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

	switch (what % 16) {
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
		break;
	case 15:
		if (arg == 255)
			hang_up();
		else if (arg == 254 && f.att)
			att_fail_all(f.att, -ENOTCONN);
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
