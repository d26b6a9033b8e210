/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two centrals against the server for a long time by a clock that is moved: a request every 10 ms each, valid and not,
 * while an application changes values, sends, answers late or never, others come and go, links end and come back.
 *
 * Each request has one answer, at the end nothing is left that was not there at the beginning, and every op and every
 * question has ended. It is an hour of counted time; SOAK_SECONDS and SOAK_SEED change that, and what happens in it.
 */
#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

#include "aiobled/gatt_client.h"

#include "../support/server_bed.h"
#include "test.h"

#define CENTRALS        2
#define CALLS           8
#define TICK_MS         10
#define SECONDS_DEFAULT 3600

struct central {
	uint8_t asked;
	bool owed;
	bool indicated;
	uint64_t owed_since_us;
};

struct call {
	struct att_cmd cmd;
	struct gatt_indication ind;
};

static struct {
	struct server_bed sb;
	struct central centrals[CENTRALS];
	struct call calls[CALLS];
	struct gatt_app *app; /* the one that comes and goes */
	uint64_t random;
	/* counted */
	uint64_t requests, impatient, commands, answers, errors, notifications, indications, lost;
	uint64_t started, ended, questions, over, allowed;
	uint64_t slowest_us;
} s;

static uint32_t any(uint32_t n)
{
	s.random ^= s.random << 13;
	s.random ^= s.random >> 7;
	s.random ^= s.random << 17;
	return (uint32_t)(s.random >> 33) % n;
}

/* Of the sanitizer's allocator, which replaces the other; not every compiler ships the header. */
size_t __attribute__((weak)) __sanitizer_get_current_allocated_bytes(void);

static size_t allocated(void)
{
	if (__sanitizer_get_current_allocated_bytes)
		return __sanitizer_get_current_allocated_bytes();
	return mallinfo2().uordblks;
}

/* --- the application --- */

static void on_done(struct op *op, int res)
{
	assert_true(res == 0 || res == -ETIMEDOUT || res == -ENOTCONN || res == -ECANCELED ||
	            res == -EBADMSG);
	s.ended++;
}

static void allow(uint32_t token, uint8_t code)
{
	if (gatt_server_allow(s.sb.server, token, code) == 0)
		s.allowed++;
}

static void on_question(struct server_bed *sb, struct gatt_local *local, uint32_t token)
{
	s.questions++;
	if (any(10) < 5)
		allow(token, any(4) ? 0 : 0x81);
}

static struct gatt_local *any_local(void)
{
	static const uint16_t telling[] = {H_TELL, H_INDICATE, H_SECRET};
	uint16_t from = (uint16_t)(any(2) ? H_SERVICE + any(H_LAST - H_SERVICE + 8)
	                                  : telling[any(ARRAY_SIZE(telling))]);
	const struct gatt_attr *attr = gatt_db_next(gatt_server_db(s.sb.server), from);

	return attr ? attr->local : NULL;
}

static void change_a_value(void)
{
	uint8_t bytes[512];
	struct gatt_local *local = any_local();
	uint16_t longest = any(8) ? 30 : 512;

	if (!local)
		return;
	longest = MIN(longest, local->max_len);
	memset(bytes, (int)any(256), sizeof(bytes));
	assert_int_equal(gatt_local_set(local, bytes, any(longest + 1U)), 0);
	gatt_server_update(s.sb.server, local);
}

static void send_a_value(void)
{
	struct call *c = &s.calls[any(CALLS)];
	struct gatt_link *link = s.sb.links[any(CENTRALS)];
	struct gatt_local *local = any_local();
	int r = -1;

	if (!local || !link || op_live(&c->cmd.op) || op_live(&c->ind.op))
		return;
	if (any(2))
		r = gatt_server_notify(link, local, any(2) ? NULL : "some value", 10, &c->cmd, 1000,
		                       NULL);
	else
		r = gatt_server_indicate(link, local, any(2) ? NULL : "some value", 10, &c->ind,
		                         1000, NULL);
	s.started += r == 0;
}

static void come_and_go(void)
{
	if (s.app && any(3)) {
		gatt_server_remove(s.app);
		s.app = NULL;
	} else {
		s.app = server_bed_add(&s.sb, (uint16_t)any(4), s.app);
	}
}

/* --- the centrals --- */

/* Mostly one that there is. */
static uint16_t any_handle(void)
{
	uint16_t from = (uint16_t)(any(6) ? H_SERVICE + any(H_LAST - H_SERVICE) : any(H_SERVICE));

	if (any(10) == 0)
		return (uint16_t)any(0x10000);
	return gatt_db_next(gatt_server_db(s.sb.server), from)->handle;
}

static void put_any_request(struct wr *w)
{
	static const uint16_t types[] = {0x2800, 0x2801, 0x2802, 0x2803, 0x2902, 0x2a00,
	                                 0x2b2a, 0xa101, 0xa104, 0xa109, 0xa10f};
	uint8_t bytes[512];
	struct uuid type = uuid_from16(types[any(ARRAY_SIZE(types))]);
	uint16_t handles[] = {any_handle(), any_handle(), any_handle(), any_handle()};
	struct att_range range = {any_handle(), any(4) ? 0xffff : any_handle()};
	size_t len = any(10) ? any(21) : any(513);
	struct att_prepare prepare = {.handle = any(2) ? H_PLAIN : any_handle(),
	                              .offset = (uint16_t)any(40),
	                              .value = bytes,
	                              .len = any(19)};

	memset(bytes, (int)any(4), sizeof(bytes));
	switch (any(18)) {
	case 0:
		att_put_find_info_req(w, range);
		break;
	case 1:
		att_put_find_by_type_req(w, &(struct att_find_by_type){range, types[any(4)],
		                                                       (const uint8_t *)"\x01\xa0",
		                                                       2});
		break;
	case 2:
	case 3:
		att_put_read_by_type_req(w, range, &type);
		break;
	case 4:
		att_put_read_by_group_req(w, range, &type);
		break;
	case 5:
	case 6:
		att_put_read_req(w, handles[0]);
		break;
	case 7:
		att_put_read_blob_req(w, handles[0], prepare.offset);
		break;
	case 8:
		att_put_read_multi_req(w, handles, 2 + any(3));
		break;
	case 9:
		att_put_read_multi_var_req(w, handles, 2 + any(3));
		break;
	case 10:
		att_put_write_req(w, handles[0], bytes, MIN(len, w->left - 3));
		break;
	case 11:
		att_put_write_cmd(w, any(2) ? H_COMMAND : handles[0], bytes, MIN(len, w->left - 3));
		break;
	case 12:
		att_put_prepare_req(w, &prepare);
		break;
	case 13:
		att_put_execute_req(w, any(3) ? ATT_EXECUTE_WRITE : ATT_EXECUTE_CANCEL);
		break;
	case 14:
	case 16:
	case 17:
		handles[0] = (uint16_t[]){H_TELL_CCCD, H_INDICATE_CCCD, H_SECRET_CCCD,
		                          H_CHANGED_CCCD, H_FEATURES}[any(5)];
		bytes[0] = (uint8_t)any(4);
		att_put_write_req(w, handles[0], bytes, 2);
		break;
	case 15: /* anything */
		for (size_t n = 1 + any(22); n > 0; n--)
			wr_u8(w, (uint8_t)any(256));
		break;
	}
}

static void say(int i, const uint8_t *pdu, size_t len)
{
	struct central *c = &s.centrals[i];
	enum att_kind kind = att_kind(pdu[0]);

	if (kind == ATT_KIND_INDICATION || kind == ATT_KIND_RESPONSE)
		return; /* for a client, which is not here */
	if (kind == ATT_KIND_CONFIRMATION && !c->indicated)
		return; /* it would be for the next one, before that is seen here */
	assert_int_equal(send(s.sb.peers[i].peer, pdu, len, MSG_DONTWAIT), len);
	if (kind != ATT_KIND_REQUEST && kind != ATT_KIND_UNKNOWN) {
		s.commands++;
	} else if (c->owed) {
		s.impatient++;
	} else {
		s.requests++;
		c->owed = true;
		c->asked = pdu[0];
		c->owed_since_us = loop_now_us(s.sb.loop);
	}
	if (kind == ATT_KIND_CONFIRMATION)
		c->indicated = false; /* malformed ones, too: there will be no other */
}

static void ask(int i)
{
	uint8_t pdu[ATT_MTU_MAX];
	struct wr w = wr_init(pdu, att_mtu(s.sb.peers[i].att));

	if (s.centrals[i].indicated && any(20) == 0)
		say(i, (const uint8_t[]){ATT_CONFIRM}, 1);
	if (any(500) == 0)
		att_put_mtu_req(&w, (uint16_t)(23 + any(200)));
	else
		put_any_request(&w);
	if (wr_ok(&w))
		say(i, pdu, wr_len(&w));
}

static void hear(int i, const uint8_t *pdu, size_t len)
{
	struct central *c = &s.centrals[i];

	assert_true(len <= ATT_MTU_MAX);
	switch (att_kind(pdu[0])) {
	case ATT_KIND_RESPONSE:
		assert_true(c->owed);
		c->owed = false;
		s.slowest_us = MAX(s.slowest_us, loop_now_us(s.sb.loop) - c->owed_since_us);
		s.answers++;
		if (pdu[0] == ATT_ERROR_RSP) {
			assert_int_equal(len, 5);
			assert_int_equal(pdu[1], c->asked);
			s.errors++;
		} else {
			assert_int_equal(pdu[0], att_response_of(c->asked));
		}
		break;
	case ATT_KIND_INDICATION:
		assert_false(c->indicated);
		c->indicated = true;
		s.indications++;
		break;
	case ATT_KIND_NOTIFICATION:
		s.notifications++;
		break;
	default:
		fail_msg("opcode %02x", pdu[0]);
	}
}

static void listen_to(int i)
{
	uint8_t pdu[ATT_MTU_MAX + 1];
	ssize_t n;

	while ((n = recv(s.sb.peers[i].peer, pdu, sizeof(pdu), MSG_DONTWAIT)) > 0)
		hear(i, pdu, (size_t)n);
}

static void leave(int i)
{
	listen_to(i);
	s.lost += s.centrals[i].owed;
	server_bed_disconnect(&s.sb, i);
	s.centrals[i] = (struct central){0};
}

static void change_link(int i)
{
	struct addr identity = server_bed_identity(i);

	if (!s.sb.links[i]) {
		server_bed_connect(&s.sb, i, 23);
		server_bed_secure(&s.sb, i, 1, 0, any(2));
		return;
	}
	switch (any(4)) {
	case 0:
		leave(i);
		break;
	case 1:
		gatt_server_forget(s.sb.server, &identity);
		break;
	default:
		server_bed_secure(&s.sb, i, (uint8_t)(2 + any(3)), any(2) ? 16 : 7, any(2));
		break;
	}
}

/* --- time --- */

static void tick(void)
{
	for (int i = 0; i < CENTRALS; i++) {
		if (any(1500) == 0 || !s.sb.links[i])
			change_link(i);
		if (s.sb.links[i])
			ask(i);
	}
	if (any(5) == 0)
		change_a_value();
	if (any(10) == 0)
		send_a_value();
	if (any(20) == 0 && s.sb.token)
		allow(s.sb.token, 0);
	if (any(1000) == 0)
		come_and_go();
	s.sb.log[0] = '\0';
	assert_int_equal(loop_advance(s.sb.loop, TICK_MS), 0);
	for (int i = 0; i < CENTRALS; i++)
		if (s.sb.links[i])
			listen_to(i);
}

/* Everybody leaves, and every value is as long as it can be: what is allocated now must be the same every time. */
static size_t settle_and_measure(void)
{
	const struct gatt_attr *attr;
	static const uint8_t longest[512];

	for (int i = 0; i < CENTRALS; i++) {
		struct addr identity = server_bed_identity(i);

		if (s.sb.links[i])
			leave(i);
		gatt_server_forget(s.sb.server, &identity);
	}
	if (s.app)
		gatt_server_remove(s.app);
	s.app = NULL;
	attr = gatt_db_next(gatt_server_db(s.sb.server), H_SERVICE);
	for (; attr; attr = gatt_attr_next(gatt_server_db(s.sb.server), attr))
		if (attr->local)
			assert_int_equal(gatt_local_set(attr->local, longest, attr->local->max_len),
			                 0);
	assert_int_equal(loop_advance(s.sb.loop, 60000), 0);
	s.sb.log[0] = '\0';
	assert_int_equal(s.started, s.ended);
	return allocated();
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void soak(void **state)
{
	uint64_t seconds = number("SOAK_SECONDS", SECONDS_DEFAULT),
		 ticks = seconds * 1000 / TICK_MS;
	size_t before, after;

	s.random = number("SOAK_SEED", 0x5eed) + 1;
	server_bed_open(&s.sb);
	s.sb.on_read = on_question;
	for (int i = 0; i < CALLS; i++) {
		op_init(&s.calls[i].cmd.op, s.sb.loop, on_done);
		op_init(&s.calls[i].ind.op, s.sb.loop, on_done);
	}
	for (uint64_t i = 0; i < ticks / 10; i++)
		tick();
	before = settle_and_measure();
	for (uint64_t i = ticks / 10; i < ticks; i++)
		tick();
	after = settle_and_measure();
	print_message("%llu s: %llu requests (%llu more before their turn), %llu answers, %llu of "
	              "them errors, %llu cut off by the end of a link; "
	              "slowest %llu ms\n",
	              (unsigned long long)seconds, (unsigned long long)s.requests,
	              (unsigned long long)s.impatient, (unsigned long long)s.answers,
	              (unsigned long long)s.errors, (unsigned long long)s.lost,
	              (unsigned long long)s.slowest_us / 1000);
	print_message("%llu commands, %llu notifications, %llu indications, %llu questions; "
	              "allocated %zu bytes before, %zu after\n",
	              (unsigned long long)s.commands, (unsigned long long)s.notifications,
	              (unsigned long long)s.indications, (unsigned long long)s.questions, before,
	              after);
	assert_int_equal(s.answers + s.lost, s.requests);
	assert_true(s.requests > ticks && s.errors > 0 && s.errors < s.answers &&
	            s.notifications > 0 && s.indications > 0);
	assert_true(s.questions > 0 && s.allowed > 0 &&
	            s.slowest_us <= GATT_REQUEST_BUDGET_MS * 1000ull);
	assert_int_equal(before, after);
	server_bed_close(&s.sb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(soak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
