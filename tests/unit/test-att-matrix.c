/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every opcode in every state of a bearer, whole and cut off at every byte, behind the real server.
 * What has to come is not a script but a rule of a few lines, expect(): the state decides about
 * some kinds of PDUs, and about nothing else.
 */
#include "aiobled/result.h"

#include <sys/socket.h>
#include <unistd.h>

#include "../support/server_bed.h"
#include "test.h"

/* What else goes on while the PDU comes. */
enum state {
	IDLE,
	ASKED,     /* our Read Request is on the wire */
	OWED,      /* the peer's Read Request waits for the application */
	INDICATED, /* our indication is not confirmed */
	STATES,
};

static const char *const state_names[] = {"idle", "asked", "owed", "indicated"};
static const uint16_t mtus[] = {ATT_MTU_DEFAULT, ATT_MTU_MAX};

static struct server_bed sb;
static struct bed *bed;

static struct waiter {
	struct att_req req;
	struct att_cmd ind;
	int asked, indicated; /* 1: it waits; else the result */
	bool told;
} waiter;

#define WAITS 1

static void on_answer(struct op *op, int res)
{
	waiter.asked = res;
	waiter.told = true;
}

static void on_confirmed(struct op *op, int res)
{
	waiter.indicated = res;
	waiter.told = true;
}

/* --- the forms --- */

/*
 * The shortest valid form of each PDU, so that whatever is shorter is not, and what the server says
 * to it at any MTU; NULL: nothing. Those marked exact may not be longer either.
 */
static const struct form {
	const char *pdu, *answer;
	bool exact;
} forms[] = {
	{"01 0a 03 00 01", NULL, true},
	{"02 17 00", "03 05 02", true},
	{"03 17 00", NULL, true},
	{"04 22 00 22 00", "05 01 22 00 01 a1", true},
	{"05 01 01 00 00 28", NULL, false},
	{"06 01 00 ff ff 01 a1", "01 06 01 00 0a", false}, /* none of that type is empty */
	{"07 01 00 02 00", NULL, false},
	{"08 01 00 ff ff 01 a1", "09 05 22 00 01 02 03", true},
	{"09 02 01 00", NULL, false},
	{"0a 22 00", "0b 01 02 03", true},
	{"0b", NULL, false},
	{"0c 22 00 01 00", "0d 02 03", true},
	{"0d", NULL, false},
	{"0e 22 00 31 00", "0f 01 02 03 10 11", false},
	{"0f", NULL, false},
	{"10 60 00 62 00 01 28", "11 06 60 00 62 00 03 a0", true},
	{"11 04 01 00 02 00", NULL, false},
	{"12 3e 00", "13", false},
	{"13", NULL, true},
	{"16 22 00 00 00", "17 22 00 00 00", false},
	{"17 22 00 00 00", NULL, false},
	{"18 00", "19", true},
	{"19", NULL, true},
	{"1b 22 00", NULL, false},
	{"1d 22 00", "1e", false},
	{"1e", NULL, true},
	{"20 22 00 31 00", "21 03 00 01 02 03 02 00 10 11", false},
	{"21 00 00", NULL, false},
	{"23 22 00 00 00", NULL, false},
	{"52 3a 00", NULL, false},
	{"d2 3a 00 00*12", NULL, false},
};

struct pdu {
	uint8_t b[BED_PDU_MAX];
	size_t len;
};

static struct pdu pdu_of(const char *hex)
{
	const char *end;
	struct pdu p;

	memset(&p, 0, sizeof(p));
	p.len = hex_parse(hex, &end, p.b, sizeof(p.b));
	return p;
}

static struct pdu error_of(uint8_t request, uint16_t handle, uint8_t code)
{
	return (struct pdu){{ATT_ERROR_RSP, request, handle & 0xff, handle >> 8, code}, 5};
}

/* --- the rule --- */

struct outcome_of {
	struct pdu answer; /* len 0: silence */
	int errors;        /* protocol errors counted */
	int asked, indicated;
};

static void expect_request(enum state state, const struct pdu *p, const char *answer, bool valid,
                           struct outcome_of *o)
{
	if (state == OWED) {
		o->errors = 1;
	} else if (att_kind(p->b[0]) == ATT_KIND_UNKNOWN) {
		o->answer = error_of(p->b[0], 0, ATT_ERR_NOT_SUPPORTED);
	} else if (valid) {
		o->answer = pdu_of(answer);
	} else {
		o->answer = error_of(p->b[0], 0, ATT_ERR_INVALID_PDU);
		o->errors = p->b[0] == ATT_MTU_REQ;
	}
}

/* Our request is a Read Request. The bearer judges no more of a response than its opcode. */
static void expect_response(enum state state, const struct pdu *p, bool valid, struct outcome_of *o)
{
	bool is_error = p->b[0] == ATT_ERROR_RSP;

	if (state == ASKED && (p->b[0] == ATT_READ_RSP || (is_error && valid))) {
		o->asked = is_error ? RES_ATT(p->b[4]) : 0;
		return;
	}
	o->errors = 1;
	/* a second MTU response is a fault of peers that are there */
	if (state == ASKED && p->b[0] != ATT_MTU_RSP)
		o->asked = -EBADMSG;
}

static struct outcome_of expect(enum state state, const struct pdu *p, const char *answer,
                                bool valid)
{
	struct outcome_of o = {.asked = state == ASKED ? WAITS : 0,
	                       .indicated = state == INDICATED ? WAITS : 0};

	switch (att_kind(p->b[0])) {
	case ATT_KIND_REQUEST:
	case ATT_KIND_UNKNOWN:
		expect_request(state, p, answer, valid, &o);
		break;
	case ATT_KIND_RESPONSE:
		expect_response(state, p, valid, &o);
		break;
	case ATT_KIND_COMMAND:
		break;
	case ATT_KIND_NOTIFICATION:
		o.errors = !valid;
		break;
	case ATT_KIND_INDICATION:
		o.errors = !valid;
		if (valid)
			o.answer = pdu_of(answer);
		break;
	case ATT_KIND_CONFIRMATION:
		o.errors = state != INDICATED || !valid;
		if (state == INDICATED)
			o.indicated = valid ? 0 : -EBADMSG;
		break;
	}
	return o;
}

/* --- a cell --- */

static void enter(enum state state, uint16_t mtu)
{
	server_bed_open(&sb);
	server_bed_connect(&sb, 0, mtu);
	bed = &sb.peers[0];
	memset(&waiter, 0, sizeof(waiter));
	op_init(&waiter.req.op, sb.loop, on_answer);
	op_init(&waiter.ind.op, sb.loop, on_confirmed);
	switch (state) {
	case IDLE:
	case STATES:
		break;
	case ASKED:
		waiter.asked = WAITS;
		assert_int_equal(att_request(bed->att, &waiter.req, "\x0a\x03\x00", 3, 0), 0);
		bed_play(bed, "enter", "> 0a 03 00");
		break;
	case OWED:
		bed_play(bed, "enter", "< 0a 52 00; =");
		server_bed_said(&sb, "read(0 0052)");
		break;
	case INDICATED:
		waiter.indicated = WAITS;
		assert_int_equal(att_indicate(bed->att, &waiter.ind, "\x1d\x37\x00", 3, 0), 0);
		bed_play(bed, "enter", "> 1d 37 00");
		break;
	}
}

/* What was under way ends as if nothing had been, and the peer is served. */
static void leave(enum state state)
{
	if (waiter.asked == WAITS)
		bed_play(bed, "leave", "< 0b 01; =");
	if (waiter.indicated == WAITS)
		bed_play(bed, "leave", "< 1e; =");
	if (state == OWED) {
		assert_int_equal(gatt_server_allow(sb.server, sb.token, 0), 0);
		bed_play(bed, "leave", "> 0b 6f 6e 65");
	}
	assert_true(waiter.asked != WAITS && waiter.indicated != WAITS);
	assert_int_equal(att_queued(bed->att), 0);
	assert_false(att_indicating(bed->att));
	bed_play(bed, "leave", "< 0a 31 00; > 0b 10 11; < 12 22 00 01 02 03; > 13");
	assert_int_equal(bed->closed_count, 0);
	server_bed_close(&sb);
}

static void print_pdu(const char *what, const uint8_t *b, size_t len)
{
	print_message("%s", what);
	for (size_t i = 0; i < len; i++)
		print_message(" %02x", b[i]);
	print_message("\n");
}

/* Return: what was there is what was to be. */
static bool check(const struct outcome_of *o, uint64_t errors)
{
	uint8_t got[BED_PDU_MAX];
	ssize_t n = recv(bed->peer, got, sizeof(got), MSG_DONTWAIT);
	size_t len = n < 0 ? 0 : (size_t)n;

	if (len == o->answer.len && memcmp(got, o->answer.b, len) == 0 &&
	    recv(bed->peer, got, sizeof(got), MSG_DONTWAIT) < 0 && waiter.asked == o->asked &&
	    waiter.indicated == o->indicated && (int)errors == o->errors)
		return true;
	print_pdu("  expected:", o->answer.b, o->answer.len);
	print_pdu("  sent:    ", got, len);
	print_message("  request %d (%d), indication %d (%d), protocol errors %d (%d)\n",
	              waiter.asked, o->asked, waiter.indicated, o->indicated, (int)errors,
	              o->errors);
	return false;
}

static void cell(enum state state, uint16_t mtu, const struct pdu *p, const char *answer,
                 bool valid)
{
	struct outcome_of o = expect(state, p, answer, valid);
	uint64_t before;

	enter(state, mtu);
	before = att_stats(bed->att)->protocol_errors;
	assert_int_equal(send(bed->peer, p->b, p->len, MSG_DONTWAIT), p->len);
	assert_int_equal(loop_settle(sb.loop), 0);
	if (!check(&o, att_stats(bed->att)->protocol_errors - before)) {
		print_pdu("  to:      ", p->b, p->len);
		fail_msg("%s, MTU %u", state_names[state], mtu);
	}
	leave(state);
}

static void cells(const struct pdu *p, const char *answer, bool valid)
{
	for (enum state s = IDLE; s < STATES; s++)
		for (size_t i = 0; i < ARRAY_SIZE(mtus); i++)
			cell(s, mtus[i], p, answer, valid);
}

/* --- the matrix --- */

static void all_opcodes_are_there(void **state)
{
	size_t n = 0;

	for (int opcode = 0; opcode < 256; opcode++)
		n += strcmp(att_opcode_name((uint8_t)opcode), "unknown") != 0;
	assert_int_equal(n, ARRAY_SIZE(forms));
	for (size_t i = 1; i < n; i++)
		assert_true(pdu_of(forms[i].pdu).b[0] > pdu_of(forms[i - 1].pdu).b[0]);
}

static void every_opcode_in_every_state(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct pdu p = pdu_of(forms[i].pdu);

		cells(&p, forms[i].answer, true);
	}
}

static void every_opcode_cut_off_at_every_byte(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct pdu p = pdu_of(forms[i].pdu);

		while (--p.len > 0)
			cells(&p, forms[i].answer, false);
	}
}

static void every_exact_opcode_with_a_byte_more(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct pdu p = pdu_of(forms[i].pdu);

		p.len++;
		if (forms[i].exact)
			cells(&p, forms[i].answer, false);
	}
}

static void every_other_opcode(void **state)
{
	for (int opcode = 0; opcode < 256; opcode++) {
		if (strcmp(att_opcode_name((uint8_t)opcode), "unknown") != 0)
			continue;
		for (enum state s = IDLE; s < STATES; s++) {
			struct pdu p = {{(uint8_t)opcode, 0x22}, 1 + (size_t)opcode % 4};

			cell(s, ATT_MTU_DEFAULT, &p, NULL, true);
		}
	}
}

/* Longer than any PDU can be, in a frame the kernel let through. */
static void every_opcode_too_long(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		for (enum state s = IDLE; s < STATES; s++) {
			struct pdu p = pdu_of(forms[i].pdu);
			enum att_kind kind = att_kind(p.b[0]);
			struct outcome_of o = expect(s, &p, forms[i].answer, false);
			uint64_t before;

			o.errors = 1;
			/* the opcode is all that counts: what was asked for will not come again */
			if (kind == ATT_KIND_RESPONSE && s == ASKED)
				o.asked = -EBADMSG;
			if (kind == ATT_KIND_INDICATION)
				o.answer = pdu_of("1e");
			enter(s, ATT_MTU_MAX);
			before = att_stats(bed->att)->protocol_errors;
			/* A request that is too early is one mistake more than that. */
			if (s == OWED && kind == ATT_KIND_REQUEST)
				o.errors++;
			if (p.b[0] == ATT_MTU_REQ && s != OWED)
				o.errors = 1;
			assert_int_equal(send(bed->peer, p.b, sizeof(p.b), MSG_DONTWAIT),
			                 sizeof(p.b));
			assert_int_equal(loop_settle(sb.loop), 0);
			if (!check(&o, att_stats(bed->att)->protocol_errors - before))
				fail_msg("%s, opcode 0x%02x", state_names[s], p.b[0]);
			leave(s);
		}
}

static void an_empty_frame(void **state)
{
	for (enum state s = IDLE; s < STATES; s++) {
		enter(s, ATT_MTU_DEFAULT);
		assert_int_equal(send(bed->peer, "", 0, MSG_DONTWAIT), 0);
		assert_int_equal(loop_settle(sb.loop), 0);
		assert_int_equal(att_stats(bed->att)->protocol_errors, 1);
		leave(s);
	}
}

/* --- what is refused, with which handle --- */

static const char *const refused[][2] = {
	{"04 00 00 ff ff", "01 04 00 00 01"},
	{"04 05 00 04 00", "01 04 05 00 01"},
	{"04 79 00 ff ff", "01 04 79 00 0a"},
	{"06 00 00 ff ff 00 28", "01 06 00 00 01"},
	{"06 05 00 04 00 00 28", "01 06 05 00 01"},
	{"06 01 00 ff ff 00 28 ff", "01 06 01 00 0a"},
	{"08 00 00 ff ff 03 28", "01 08 00 00 01"},
	{"08 05 00 04 00 03 28", "01 08 05 00 01"},
	{"08 79 00 ff ff 03 28", "01 08 79 00 0a"},
	{"08 01 00 ff ff 02 a1", "01 08 27 00 02"},
	{"08 01 00 ff ff 04 a1", "01 08 2b 00 05"},
	{"0a 00 00", "01 0a 00 00 01"},
	{"0a ff ff", "01 0a ff ff 01"},
	{"0a 27 00", "01 0a 27 00 02"},
	{"0a 2b 00", "01 0a 2b 00 05"},
	{"0c 00 00 00 00", "01 0c 00 00 01"},
	{"0c 27 00 00 00", "01 0c 27 00 02"},
	{"0c 22 00 04 00", "01 0c 22 00 07"},
	{"0c 22 00 ff ff", "01 0c 22 00 07"},
	{"0c 2b 00 00 00", "01 0c 2b 00 05"},
	{"0e 22 00 00 00", "01 0e 00 00 01"},
	{"0e 22 00 79 00 22 00", "01 0e 79 00 01"},
	{"0e 22 00 27 00", "01 0e 27 00 02"},
	{"10 00 00 ff ff 00 28", "01 10 00 00 01"},
	{"10 05 00 04 00 00 28", "01 10 05 00 01"},
	{"10 01 00 ff ff 03 28", "01 10 01 00 10"},
	{"10 79 00 ff ff 00 28", "01 10 79 00 0a"},
	{"12 00 00 41", "01 12 00 00 01"},
	{"12 79 00", "01 12 79 00 01"},
	{"12 21 00 41", "01 12 21 00 03"},
	{"12 29 00 41", "01 12 29 00 03"},
	{"12 2b 00 41", "01 12 2b 00 05"},
	{"12 27 00 41*6", "01 12 27 00 0d"},
	{"16 00 00 00 00 41", "01 16 00 00 01"},
	{"16 29 00 00 00 41", "01 16 29 00 03"},
	{"16 2b 00 00 00 41", "01 16 2b 00 05"},
	{"18 02", "01 18 00 00 04"},
	{"18 ff", "01 18 00 00 04"},
	{"20 22 00 00 00", "01 20 00 00 01"},
	{"20 27 00 22 00", "01 20 27 00 02"},
};

static void refused_in_every_state(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct pdu p = pdu_of(refused[i][0]);

		cells(&p, refused[i][1], true);
	}
}

/* --- our requests, and anything for an answer --- */

static void ask(const struct pdu *p)
{
	enter(IDLE, ATT_MTU_DEFAULT);
	waiter.asked = WAITS;
	assert_int_equal(att_request(bed->att, &waiter.req, p->b, p->len, 0), 0);
	assert_int_equal(loop_settle(sb.loop), 0);
	assert_true(recv(bed->peer, (uint8_t[BED_PDU_MAX]){0}, BED_PDU_MAX, MSG_DONTWAIT) > 0);
}

static int answered_with(uint8_t request, const struct pdu *p)
{
	if (p->b[0] == att_response_of(request))
		return 0;
	if (p->b[0] == ATT_ERROR_RSP && p->b[1] == request)
		return RES_ATT(p->b[4]);
	return p->b[0] == ATT_MTU_RSP ? WAITS : -EBADMSG;
}

static void every_response_to_every_request(void **state)
{
	for (size_t q = 0; q < ARRAY_SIZE(forms); q++)
		for (size_t r = 0; r < ARRAY_SIZE(forms); r++) {
			struct pdu request = pdu_of(forms[q].pdu), response = pdu_of(forms[r].pdu);
			int res;

			if (att_kind(request.b[0]) != ATT_KIND_REQUEST ||
			    att_kind(response.b[0]) != ATT_KIND_RESPONSE)
				continue;
			ask(&request);
			res = answered_with(request.b[0], &response);
			assert_int_equal(send(bed->peer, response.b, response.len, 0),
			                 response.len);
			assert_int_equal(loop_settle(sb.loop), 0);
			if (waiter.asked != res)
				fail_msg("0x%02x to 0x%02x: %d", response.b[0], request.b[0],
				         waiter.asked);
			op_drop(&waiter.req.op);
			server_bed_close(&sb);
		}
}

/* --- the peer leaves --- */

/* It sends something and is gone, all at once. Everybody is told, and once. */
static void every_opcode_and_then_the_end(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		for (enum state s = IDLE; s < STATES; s++) {
			struct pdu p = pdu_of(forms[i].pdu);

			enter(s, ATT_MTU_DEFAULT);
			waiter.told = false;
			assert_int_equal(send(bed->peer, p.b, p.len, MSG_DONTWAIT), p.len);
			assert_int_equal(close(bed->peer), 0);
			bed->peer = -1;
			assert_int_equal(loop_settle(sb.loop), 0);
			assert_int_equal(bed->closed_count, 1);
			server_bed_disconnect(&sb, 0);
			assert_int_equal(waiter.told, s == ASKED || s == INDICATED);
			assert_true(waiter.asked != WAITS && waiter.indicated != WAITS);
			assert_int_equal(gatt_server_allow(sb.server, sb.token, 0), -ENOENT);
			server_bed_close(&sb);
		}
}

/* 30 s of silence in each state: nothing is sent afterwards, whatever comes. */
static void every_state_for_thirty_seconds(void **state)
{
	for (enum state s = IDLE; s < STATES; s++) {
		bool dies = s == ASKED || s == INDICATED;
		uint8_t got[BED_PDU_MAX];
		ssize_t n;

		enter(s, ATT_MTU_DEFAULT);
		assert_int_equal(loop_advance(sb.loop, 30000), 0);
		assert_int_equal(bed->closed_count, dies);
		assert_int_equal(waiter.asked, s == ASKED ? -ETIMEDOUT : 0);
		assert_int_equal(waiter.indicated, s == INDICATED ? -ETIMEDOUT : 0);
		/* the application's time was over earlier: the peer has the value that was stored */
		if (s == OWED)
			bed_play(bed, "owed", "> 0b 6f 6e 65");
		(void)send(bed->peer, "\x0a\x22\x00", 3, MSG_DONTWAIT | MSG_NOSIGNAL);
		assert_int_equal(loop_settle(sb.loop), 0);
		n = recv(bed->peer, got, sizeof(got), MSG_DONTWAIT);
		assert_int_equal(n, dies ? 0 : 4);
		server_bed_close(&sb);
	}
}

/* --- ATT_MTU --- */

static const struct {
	const char *name, *script;
	uint16_t mtu;
} exchanges[] = {
	{"below the least",
         "< 02 00 00; > 03 05 02; < 02 16 00; > 03 05 02; < 0a 29 00; > 0b 4c*22", 23},
	{"above the most", "< 02 ff ff; > 03 05 02; < 0a 29 00; > 0b 4c*60", 517},
	{"twice", "< 02 28 00; > 03 05 02; < 02 32 00; > 03 05 02; < 0a 29 00; > 0b 4c*49", 50},
	{"a request longer than it", "< 12 22 00 41*100; > 13; < 12 22 00 01 02 03; > 13", 23},
	{"a response nobody asked for", "< 03 64 00; < 03 64 00; =; < 0a 29 00; > 0b 4c*22", 23},
	{"in the middle of a long read",
         "< 0a 29 00; > 0b 4c*22; < 02 32 00; > 03 05 02; < 0c 29 00 16 00; > 0d 4c*38", 50},
};

static void mtu_exchanges(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(exchanges); i++) {
		enter(IDLE, ATT_MTU_DEFAULT);
		bed_play(bed, exchanges[i].name, exchanges[i].script);
		assert_int_equal(att_mtu(bed->att), exchanges[i].mtu);
		leave(IDLE);
	}
}

/* Requests for more than any answer holds. */
static const struct {
	const char *pdu;
	bool full; /* the answer is cut, not ended at a whole item */
} greedy[] = {
	{"04 01 00 ff ff", false},
	{"08 01 00 ff ff 03 28", false},
	{"10 01 00 ff ff 00 28", false},
	{"0a 29 00", true},
	{"0c 29 00 01 00", true},
	{"0e 29 00 29 00 29 00 29 00 29 00 29 00 29 00 29 00 29 00 29 00", true},
	{"20 29 00 29 00 29 00 29 00 29 00 29 00 29 00 29 00 29 00 29 00", true},
	{"20 3c 00 3c 00 3c 00 3c 00 3c 00 3c 00 3c 00 3c 00 3c 00 3c 00", false},
};

static void every_answer_fits(void **state)
{
	for (uint16_t mtu = ATT_MTU_DEFAULT; mtu <= 60; mtu++) {
		enter(IDLE, mtu);
		for (size_t i = 0; i < ARRAY_SIZE(greedy); i++) {
			struct pdu p = pdu_of(greedy[i].pdu);
			ssize_t n;

			assert_int_equal(send(bed->peer, p.b, p.len, 0), p.len);
			assert_int_equal(loop_settle(sb.loop), 0);
			n = recv(bed->peer, p.b, sizeof(p.b), MSG_DONTWAIT);
			assert_true(n > 1 && n <= mtu);
			assert_true(n == mtu || !greedy[i].full);
			assert_int_not_equal(p.b[0], ATT_ERROR_RSP);
		}
		leave(IDLE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_opcodes_are_there),
		cmocka_unit_test(every_opcode_in_every_state),
		cmocka_unit_test(every_opcode_cut_off_at_every_byte),
		cmocka_unit_test(every_exact_opcode_with_a_byte_more),
		cmocka_unit_test(every_other_opcode),
		cmocka_unit_test(every_opcode_too_long),
		cmocka_unit_test(an_empty_frame),
		cmocka_unit_test(refused_in_every_state),
		cmocka_unit_test(every_response_to_every_request),
		cmocka_unit_test(every_opcode_and_then_the_end),
		cmocka_unit_test(every_state_for_thirty_seconds),
		cmocka_unit_test(mtu_exchanges),
		cmocka_unit_test(every_answer_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
