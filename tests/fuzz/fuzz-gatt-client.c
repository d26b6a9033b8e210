/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The GATT client with everything behind it: procedures start, the peer answers what it likes, also
 * well-formed answers to what was asked so that discoveries get far, values arrive, subscribers
 * come and go, time passes. Every op ends once, and the picture of the database stays sound
 * whatever it is drawn from.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../src/core/gatt_priv.h"

#include "fuzz.h"

#define OPS  4
#define SUBS 4

struct caller {
	struct gatt_op g;
	int live;
};

struct listener {
	struct gatt_sub sub;
	struct caller caller;
	bool ended;
};

static struct {
	struct loop *loop;
	struct att *att;
	struct gatt_client *gc;
	int peer;
	struct caller callers[OPS];
	struct listener listeners[SUBS];
	uint8_t asked[ATT_MTU_MAX]; /* the last request of ours */
	size_t asked_len;
	bool leave_in_value;
} f;

/* --- the picture --- */

static size_t check_characteristics(const struct list *list, const struct gatt_service *s,
                                    uint16_t first, uint16_t last)
{
	struct gatt_characteristic *chr;
	struct gatt_descriptor *d;
	size_t n = 0;

	list_for_each (chr, list, link) {
		uint16_t at = chr->handle;

		FUZZ_CHECK(chr->service == s && chr->declaration >= first &&
		           chr->handle > chr->declaration);
		FUZZ_CHECK(chr->handle <= last && chr->end_handle >= chr->handle &&
		           chr->end_handle <= last);
		n += 2;
		list_for_each (d, &chr->descriptors, link) {
			FUZZ_CHECK(d->handle > at && d->handle <= chr->end_handle &&
			           d->characteristic == chr);
			at = d->handle;
			n++;
		}
		first = chr->end_handle + 1; /* 0 after the last handle: then nothing may follow */
		FUZZ_CHECK(first != 0 || chr->link.next == list);
	}
	return n;
}

static void check_picture(void)
{
	struct gatt_service *s;
	size_t n = check_characteristics(&f.gc->loose, NULL, 1, ATT_HANDLE_MAX);
	uint32_t next = 1;

	list_for_each (s, gatt_services(f.gc), link) {
		FUZZ_CHECK(s->handle >= next && s->end_handle >= s->handle);
		next = s->end_handle + 1U;
		n += 1 + check_characteristics(&s->characteristics, s, s->handle, s->end_handle);
	}
	FUZZ_CHECK(n == f.gc->n_attributes && n <= GATT_ATTRIBUTES_MAX);
}

/* --- callers --- */

static void on_done(struct op *op, int res)
{
	struct caller *c = container_of(op, struct caller, g.op);
	uint8_t sum = 0;

	FUZZ_CHECK(c->live-- > 0);
	if (res == 0 && c->g.value)
		/* the sanitizers look */
		for (size_t i = 0; i < c->g.value_len; i++)
			sum ^= c->g.value[i];
	FUZZ_CHECK(c->g.value_len <= ATT_MTU_MAX || sum);
	for (size_t i = 0; res == 0 && gatt_included(&c->g, i); i++)
		FUZZ_CHECK(i < GATT_INCLUDES_MAX);
}

static void on_value(struct gatt_sub *sub, const uint8_t *value, size_t len, bool indication)
{
	struct listener *l = container_of(sub, struct listener, sub);

	FUZZ_CHECK(!l->ended && (indication ? sub->indicate : sub->notify));
	if (f.leave_in_value)
		(void)gatt_unsubscribe(f.gc, NULL, &f.listeners[len % SUBS].sub, 0);
}

static void on_ended(struct gatt_sub *sub, int err)
{
	struct listener *l = container_of(sub, struct listener, sub);

	FUZZ_CHECK(!l->ended);
	l->ended = true;
}

static void value(uint16_t handle, const uint8_t *v, size_t len, bool indication, void *data)
{
	gatt_client_value(f.gc, handle, v, len, indication);
}

static void on_closed(int err, void *data)
{
	gatt_client_fail_all(f.gc, -ENOTCONN);
}

static const struct att_events events = {.value = value, .closed = on_closed};

static struct gatt_service *service_of(uint8_t n)
{
	struct list *l = gatt_services(f.gc);

	if (list_empty(l))
		return NULL;
	for (l = l->next; n > 0 && l->next != gatt_services(f.gc); n--)
		l = l->next;
	return list_entry(l, struct gatt_service, link);
}

static struct gatt_characteristic *characteristic_of(uint8_t n)
{
	struct gatt_service *s = service_of(n >> 4);
	struct gatt_characteristic *chr = NULL, *found = NULL;

	if (!s)
		return NULL;
	list_for_each (chr, &s->characteristics, link) {
		found = chr;
		if ((n-- & 0x0f) == 0)
			break;
	}
	return found;
}

static int start(struct gatt_op *g, uint8_t kind, uint8_t arg)
{
	static const uint8_t bytes[600] = {1};
	const uint16_t handles[] = {arg, 7};
	struct gatt_part parts[] = {{arg, 0, bytes, arg}, {3, arg, bytes, 40}};
	struct gatt_service *s = service_of(arg);
	struct gatt_characteristic *chr = characteristic_of(arg);
	struct uuid uuid = uuid_from16(0x2a00 | arg);
	uint32_t ms = arg & 1 ? 1000 : 0;

	switch (kind % 14) {
	case 0:
		return gatt_discover_all(f.gc, g, ms);
	case 1:
		return gatt_discover_services(f.gc, g, arg & 2 ? &uuid : NULL, ms);
	case 2:
		return s ? gatt_discover_included(f.gc, g, s, ms) : -1;
	case 3:
		return s ? gatt_discover_characteristics(f.gc, g, s, arg & 2 ? &uuid : NULL, ms)
		         : -1;
	case 4:
		return chr ? gatt_discover_descriptors(f.gc, g, chr, ms) : -1;
	case 5:
		return gatt_find_by_uuid(f.gc, g, &uuid, ms);
	case 6:
		return gatt_read(f.gc, g, arg, arg & 2 ? arg : 0, ms);
	case 7:
		return gatt_read_by_uuid(f.gc, g, &uuid, arg, 0xffff, ms);
	case 8:
		return gatt_read_multiple(f.gc, g, handles, 2, ms);
	case 9:
		return gatt_write(f.gc, g, arg, bytes, arg, ms);
	case 10:
		return gatt_write_command(f.gc, g, arg, bytes, arg, ms);
	case 11:
		return gatt_write_long(f.gc, g, arg, arg, bytes, arg, ms);
	case 12:
		return gatt_write_reliable(f.gc, g, parts, 2, ms);
	}
	return gatt_write_signed(f.gc, g, arg, bytes, arg % 8, bytes, ms);
}

static void start_one(uint8_t kind, uint8_t arg)
{
	struct caller *c = &f.callers[(kind >> 4) % OPS];

	if (!op_live(&c->g.op) && start(&c->g, kind, arg) == 0)
		c->live++;
}

static void drop_one(struct caller *c)
{
	c->live -= op_live(&c->g.op);
	op_drop(&c->g.op);
}

static void subscribe(uint8_t kind, uint8_t arg)
{
	struct listener *l = &f.listeners[kind % SUBS];
	struct gatt_characteristic *chr = characteristic_of(arg);
	struct caller *c = &l->caller;

	if (op_live(&c->g.op) || !chr)
		return;
	if (list_linked(&l->sub.link)) {
		if (gatt_unsubscribe(f.gc, kind & 4 ? &c->g : NULL, &l->sub, kind) == 0)
			c->live += kind & 4 ? 1 : 0;
		FUZZ_CHECK(!list_linked(&l->sub.link));
		return;
	}
	l->sub.notify = kind & 8;
	l->sub.indicate = kind & 16;
	l->ended = false;
	if (gatt_subscribe(f.gc, &c->g, &l->sub, chr, kind & 32 ? 500 : 0) == 0)
		c->live++;
}

/* --- the peer --- */

static void listen_to_us(void)
{
	uint8_t pdu[1024];
	ssize_t n;

	while (f.peer >= 0 && (n = recv(f.peer, pdu, sizeof(pdu), MSG_DONTWAIT)) > 0) {
		FUZZ_CHECK(n <= att_mtu(f.att) || pdu[0] == ATT_MTU_REQ);
		if (att_kind(pdu[0]) != ATT_KIND_REQUEST)
			continue;
		memcpy(f.asked, pdu, (size_t)n);
		f.asked_len = (size_t)n;
	}
}

static void say(const uint8_t *pdu, size_t len)
{
	if (f.peer >= 0)
		(void)!send(f.peer, pdu, len, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void say_raw(struct rd *r, uint8_t len)
{
	size_t n = MIN(len, r->left);
	const uint8_t *pdu = rd_bytes(r, n);

	say(pdu, n);
}

/* The right opcode, and then what the input says. */
static void answer(struct rd *r, uint8_t len)
{
	uint8_t pdu[1 + 255] = {f.asked_len ? att_response_of(f.asked[0]) : 0};
	size_t n = MIN(len, r->left);

	rd_copy(r, pdu + 1, n);
	say(pdu, n + 1);
}

static void answer_error(uint8_t code)
{
	uint8_t pdu[5] = {ATT_ERROR_RSP, f.asked[0], f.asked[1], f.asked[2], code};

	say(pdu, sizeof(pdu));
}

/*
 * A Prepare Write is echoed as it should be, everything else gets an answer that a decent peer
 * could give.
 */
static void answer_well(uint8_t a, uint8_t b)
{
	uint16_t start = f.asked[1] | f.asked[2] << 8, from = start + (a & 15),
		 to = from + (b & 31);
	uint8_t pdu[64] = {att_response_of(f.asked[0])};
	struct wr w = wr_init(pdu + 1, sizeof(pdu) - 1);

	switch (f.asked[0]) {
	case ATT_PREPARE_REQ:
		f.asked[0] = ATT_PREPARE_RSP;
		say(f.asked, f.asked_len);
		return;
	case ATT_READ_BY_GROUP_REQ:
		wr_u8(&w, 6);
		wr_le16(&w, from);
		wr_le16(&w, to);
		wr_le16(&w, 0x1800 | a);
		break;
	case ATT_READ_BY_TYPE_REQ:
		wr_u8(&w, f.asked[5] == 0x02 ? 8 : 7);
		wr_le16(&w, from);
		if (f.asked[5] == 0x02) {
			wr_le16(&w, to);
			wr_le16(&w, to + (a >> 4));
		} else {
			wr_u8(&w, b);
			wr_le16(&w, from + 1 + (a >> 7));
		}
		wr_le16(&w, 0x2a00 | b);
		break;
	case ATT_FIND_INFO_REQ:
		wr_u8(&w, 1);
		wr_le16(&w, from);
		wr_le16(&w, b & 1 ? 0x2902 : 0x2800 | b);
		break;
	case ATT_FIND_BY_TYPE_REQ:
		wr_le16(&w, from);
		wr_le16(&w, to);
		break;
	case ATT_READ_REQ:
	case ATT_READ_BLOB_REQ:
		memset(pdu + 1, a, sizeof(pdu) - 1);
		w.p += MIN(b, 63);
		break;
	}
	say(pdu, 1 + wr_len(&w));
}

static void step(uint8_t what, uint8_t arg, struct rd *r)
{
	uint8_t pdu[8] = {arg & 1 ? ATT_INDICATE : ATT_NOTIFY, arg >> 1, 0, 1, 2, 3};

	switch (what & 15) {
	case 0:
	case 1:
	case 2:
		start_one(rd_u8(r), arg);
		break;
	case 3:
		say_raw(r, arg);
		break;
	case 4:
	case 5:
		answer(r, arg);
		break;
	case 6 ... 8:
		answer_well(arg, rd_u8(r));
		break;
	case 9:
		answer_error(ATT_ERR_NOT_FOUND);
		break;
	case 10:
		answer_error(arg);
		break;
	case 11:
		FUZZ_CHECK(loop_advance(f.loop, arg * 10U) == 0);
		break;
	case 12:
		drop_one(arg & 8 ? &f.listeners[arg % SUBS].caller : &f.callers[arg % OPS]);
		break;
	case 13:
		subscribe(what >> 4 | (arg & 0x30), rd_u8(r));
		break;
	case 14:
		say(pdu, 3U + (arg >> 6));
		f.leave_in_value = arg & 0x20;
		break;
	case 15:
		if (arg == 255 && f.peer >= 0) {
			(void)close(f.peer);
			f.peer = -1;
		} else if (arg == 254) {
			gatt_client_fail_all(f.gc, -ENOTCONN);
		}
		break;
	}
	FUZZ_CHECK(loop_settle(f.loop) == 0);
	listen_to_us();
	check_picture();
}

static void caller_init(struct caller *c)
{
	op_init(&c->g.op, f.loop, on_done);
}

static void begin(void)
{
	int fds[2];

	memset(&f, 0, sizeof(f));
	FUZZ_CHECK(loop_new_virtual(&f.loop) == 0);
	FUZZ_CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds) == 0);
	f.peer = fds[1];
	FUZZ_CHECK(att_new(f.loop, fds[0], &events, NULL, &f.att) == 0);
	FUZZ_CHECK(gatt_client_new(f.loop, f.att, &f.gc) == 0);
	for (int i = 0; i < OPS; i++)
		caller_init(&f.callers[i]);
	for (int i = 0; i < SUBS; i++) {
		caller_init(&f.listeners[i].caller);
		f.listeners[i].sub = (struct gatt_sub){.value = on_value, .ended = on_ended};
		list_init(&f.listeners[i].sub.link);
	}
}

static void end(void)
{
	gatt_client_fail_all(f.gc, -ENOTCONN);
	att_fail_all(f.att, -ENOTCONN);
	FUZZ_CHECK(loop_settle(f.loop) == 0);
	for (int i = 0; i < OPS; i++)
		FUZZ_CHECK(f.callers[i].live == 0);
	for (int i = 0; i < SUBS; i++)
		FUZZ_CHECK(f.listeners[i].caller.live == 0 &&
		           !list_linked(&f.listeners[i].sub.link));
	FUZZ_CHECK(list_empty(&f.gc->listens) && list_empty(&f.gc->long_writes));
	f.gc = gatt_client_free(f.gc);
	f.att = att_free(f.att);
	if (f.peer >= 0)
		(void)close(f.peer);
	FUZZ_CHECK(loop_settle(f.loop) == 0);
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
