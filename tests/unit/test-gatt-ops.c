/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is the same for every procedure: how it ends when it does not end well, and what its done()
 * may do.
 */
#include "aiobled/gatt_client.h"
#include "aiobled/result.h"

#include <sys/socket.h>

#include "../support/gatt_bed.h"
#include "test.h"

static struct gatt_bed gb;
static struct gatt_sub sub;

#define GC gb.bed.gc

static int start_all(uint32_t ms)
{
	return gatt_discover_all(GC, &gb.g, ms);
}

static int start_services(uint32_t ms)
{
	return gatt_discover_services(GC, &gb.g, NULL, ms);
}

static int start_services_uuid(uint32_t ms)
{
	struct uuid u = uuid_from16(0x180d);

	return gatt_discover_services(GC, &gb.g, &u, ms);
}

static int start_included(uint32_t ms)
{
	return gatt_discover_included(GC, &gb.g, gatt_find_service(GC, 1), ms);
}

static int start_characteristics(uint32_t ms)
{
	return gatt_discover_characteristics(GC, &gb.g, gatt_find_service(GC, 1), NULL, ms);
}

static int start_descriptors(uint32_t ms)
{
	return gatt_discover_descriptors(GC, &gb.g, gatt_find_characteristic(GC, 3), ms);
}

static int start_find(uint32_t ms)
{
	struct uuid u = uuid_from16(0x2a38);

	return gatt_find_by_uuid(GC, &gb.g, &u, ms);
}

static int start_read(uint32_t ms)
{
	return gatt_read(GC, &gb.g, 3, 0, ms);
}

static int start_read_uuid(uint32_t ms)
{
	struct uuid u = uuid_from16(0x2a00);

	return gatt_read_by_uuid(GC, &gb.g, &u, 1, 0xffff, ms);
}

static int start_read_multiple(uint32_t ms)
{
	static const uint16_t handles[] = {3, 5};

	return gatt_read_multiple(GC, &gb.g, handles, 2, ms);
}

static int start_write(uint32_t ms)
{
	return gatt_write(GC, &gb.g, 3, "A", 1, ms);
}

static int start_write_long(uint32_t ms)
{
	return gatt_write_long(GC, &gb.g, 3, 0, "A", 1, ms);
}

static void no_value(struct gatt_sub *s, const uint8_t *value, size_t len, bool indication)
{
}

static void no_end(struct gatt_sub *s, int err)
{
	fail(); /* never on: its op says how it went */
}

static int start_subscribe(uint32_t ms)
{
	sub = (struct gatt_sub){.notify = true, .value = no_value, .ended = no_end};
	return gatt_subscribe(GC, &gb.g, &sub, gatt_find_characteristic(GC, 3), ms);
}

static const struct kind {
	const char *name;
	int (*start)(uint32_t ms);
	const char *request, *refusal;
	const char *late;  /* an answer that would be right; NULL: nothing follows it */
	const char *after; /* what we still have to say after it; NULL: nothing */
} kinds[] = {
	{"discover all", start_all, "10 01 00 ff ff 00 28", "01 10 01 00 0e",
         "11 06 01 00 10 00 0d 18", NULL},
	{"discover services", start_services, "10 01 00 ff ff 00 28", "01 10 01 00 0e",
         "11 06 01 00 10 00 0d 18", NULL},
	{"discover services by UUID", start_services_uuid, "06 01 00 ff ff 00 28 0d 18",
         "01 06 01 00 0e", "07 01 00 10 00", NULL},
	{"discover included", start_included, "08 01 00 10 00 02 28", "01 08 01 00 0e",
         "09 08 02 00 20 00 25 00 0f 18", NULL},
	{"discover characteristics", start_characteristics, "08 01 00 10 00 03 28",
         "01 08 01 00 0e", "09 07 02 00 10 03 00 37 2a", NULL},
	{"discover descriptors", start_descriptors, "04 04 00 10 00", "01 04 04 00 0e",
         "05 01 04 00 02 29", NULL},
	{"find by UUID", start_find, "08 01 00 ff ff 03 28", "01 08 01 00 0e",
         "09 07 02 00 10 03 00 37 2a", NULL},
	{"read", start_read, "0a 03 00", "01 0a 03 00 0e", "0b 41*22", NULL},
	{"read by UUID", start_read_uuid, "08 01 00 ff ff 00 2a", "01 08 03 00 0e",
         "09 15 03 00 41*19", NULL},
	{"read multiple", start_read_multiple, "0e 03 00 05 00", "01 0e 03 00 0e", "0f 41", NULL},
	{"write", start_write, "12 03 00 41", "01 12 03 00 0e", "13", NULL},
	{"write long", start_write_long, "16 03 00 00 00 41", "01 16 03 00 0e", "17 03 00 00 00 41",
         "> 18 00; < 19"},
	{"subscribe", start_subscribe, "04 04 00 10 00", "01 04 04 00 0e", "05 01 04 00 02 29",
         NULL},
};

static const struct kind *kind;

/* One row with @pdu, and what follows. */
static void say(char direction, const char *pdu, const char *then)
{
	char script[160];

	(void)snprintf(script, sizeof(script), "%c %s; %s", direction, pdu, then);
	bed_play(&gb.bed, kind->name, script);
}

static void open_bed(void)
{
	gatt_bed_open(&gb, 23);
	assert_int_equal(start_services(0), 0);
	bed_play(&gb.bed, "setup",
	         "> 10 01 00 ff ff 00 28; < 11 06 01 00 10 00 0d 18; > 10 11 00 ff ff 00 28; < 01 "
	         "10 11 00 0a");
	assert_int_equal(start_characteristics(0), 0);
	bed_play(&gb.bed, "setup",
	         "> 08 01 00 10 00 03 28; < 09 07 02 00 10 03 00 37 2a; > 08 03 00 10 00 03 28; < "
	         "01 08 03 00 0a");
	assert_int_equal(gb.out.count, 2);
	gb.out = (struct outcome){0};
}

static void start(uint32_t ms)
{
	assert_int_equal(kind->start(ms), 0);
	assert_int_equal(gb.out.count, 0);
}

static void expect(int count, int res)
{
	if (gb.out.count != count || gb.out.res != res)
		fail_msg("%s: done %d times, result 0x%x", kind->name, gb.out.count, gb.out.res);
}

/* Nothing is left behind: the next request goes out at once and is answered. */
static void still_alive(void)
{
	int before = gb.out.count;

	if (!op_live(&gb.g.op)) {
		assert_int_equal(start_read(0), 0);
		bed_play(&gb.bed, kind->name, "> 0a 03 00; < 0b 07");
		assert_int_equal(gb.out.count, before + 1);
		assert_int_equal(gb.out.value[0], 7);
	}
}

static void peer_error(void)
{
	start(100);
	say('>', kind->request, "");
	say('<', kind->refusal, "=; ~ 1000; =");
	expect(1, RES_ATT(0x0e));
	assert_int_not_equal(gb.out.err_handle, 0);
	still_alive();
}

static struct att_req blocker;

static void on_blocker(struct op *op, int res)
{
}

static void block(void)
{
	op_init(&blocker.op, gb.bed.loop, on_blocker);
	assert_int_equal(att_request(gb.bed.att, &blocker, "\x0a\x09\x00", 3, 0), 0);
	bed_play(&gb.bed, kind->name, "> 0a 09 00");
}

static void timeout_queued(void)
{
	block();
	start(100);
	bed_play(&gb.bed, kind->name, "~ 99");
	expect(0, 0);
	bed_play(&gb.bed, kind->name, "~ 1");
	expect(1, -ETIMEDOUT);
	bed_play(&gb.bed, kind->name, "< 0b; =");
	still_alive();
}

static void late_answer(void)
{
	say('<', kind->late, kind->after ? kind->after : "=");
}

static void timeout_on_the_wire(void)
{
	start(100);
	say('>', kind->request, "~ 100");
	expect(1, -ETIMEDOUT);
	late_answer();
	expect(1, -ETIMEDOUT);
	still_alive();
}

static void late_error(void)
{
	start(100);
	say('>', kind->request, "~ 100");
	say('<', kind->refusal, kind->after ? kind->after : "=");
	expect(1, -ETIMEDOUT);
	still_alive();
}

static void drop_queued(void)
{
	block();
	start(100);
	op_drop(&gb.g.op);
	bed_play(&gb.bed, kind->name, "~ 1000; < 0b; =");
	expect(0, 0);
	still_alive();
}

static void drop_on_the_wire(void)
{
	start(100);
	say('>', kind->request, "~ 50");
	op_drop(&gb.g.op);
	late_answer();
	expect(0, 0);
	still_alive();
}

static void link_down(void)
{
	start(100);
	say('>', kind->request, "x");
	assert_int_equal(gb.bed.closed_count, 1);
	expect(0, 0); /* the owner of the link decides when */
	gatt_client_fail_all(GC, -ENOTCONN);
	expect(1, -ENOTCONN);
	assert_int_equal(loop_settle(gb.bed.loop), 0);
	expect(1, -ENOTCONN);
	assert_int_equal(start_read(0), -ENOTCONN);
}

static void bearer_down_first(void)
{
	start(100);
	say('>', kind->request, "x");
	att_fail_all(gb.bed.att, -ENOTCONN);
	assert_int_equal(loop_settle(gb.bed.loop), 0);
	expect(1, -ENOTCONN);
	gatt_client_fail_all(GC, -ENOTCONN);
	expect(1, -ENOTCONN);
}

static void thirty_seconds(void)
{
	start(0);
	say('>', kind->request, "~ 30000");
	expect(1, -ETIMEDOUT);
	assert_int_equal(gb.bed.closed_err, -ETIMEDOUT);
}

static void malformed(void)
{
	char script[160];

	start(100);
	/*
	 * meanwhile an unknown request and half a notification; then an answer to nothing that was
	 * asked
	 */
	(void)snprintf(script, sizeof(script), "> %s; < 3f; > 01 3f 00 00 06; < 1b; < 21; %s",
	               kind->request, kind->after ? kind->after : "=");
	bed_play(&gb.bed, kind->name, script);
	expect(1, -EBADMSG);
	still_alive();
}

static void free_all(struct gatt_bed *b)
{
	gatt_client_fail_all(b->bed.gc, -ENOTCONN);
	b->bed.gc = gatt_client_free(b->bed.gc);
	att_fail_all(b->bed.att, -ENOTCONN);
	b->bed.att = att_free(b->bed.att);
}

static void done_frees_on_error(void)
{
	gb.then = free_all;
	start(100);
	say('>', kind->request, "");
	say('<', kind->refusal, "");
	expect(1, RES_ATT(0x0e));
	assert_null(gb.bed.att);
}

static void done_frees_on_timeout(void)
{
	gb.then = free_all;
	start(100);
	say('>', kind->request, "~ 100");
	expect(1, -ETIMEDOUT);
	assert_null(gb.bed.att);
}

static void done_frees_on_failing(void)
{
	gb.then = free_all;
	start(100);
	say('>', kind->request, "");
	gatt_client_fail_all(GC, -ENOTCONN);
	expect(1, -ENOTCONN);
	assert_null(gb.bed.att);
}

static void start_another(struct gatt_bed *b)
{
	b->then = NULL;
	assert_int_equal(kind->start(100), 0);
}

static void done_starts_another(void)
{
	char script[160];

	gb.then = start_another;
	start(100);
	(void)snprintf(script, sizeof(script), "> %s; < %s; > %s; < %s", kind->request,
	               kind->refusal, kind->request, kind->refusal);
	bed_play(&gb.bed, kind->name, script);
	expect(2, RES_ATT(0x0e));
	still_alive();
}

static const struct {
	const char *name;
	void (*run)(void);
} ends[] = {
	{"peer error", peer_error},
	{"timeout queued", timeout_queued},
	{"timeout on the wire", timeout_on_the_wire},
	{"late error", late_error},
	{"drop queued", drop_queued},
	{"drop on the wire", drop_on_the_wire},
	{"link down", link_down},
	{"bearer down first", bearer_down_first},
	{"thirty seconds", thirty_seconds},
	{"malformed", malformed},
	{"done frees on error", done_frees_on_error},
	{"done frees on timeout", done_frees_on_timeout},
	{"done frees on failing", done_frees_on_failing},
	{"done starts another", done_starts_another},
};

static void every_end_of_every_procedure(void **state)
{
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		kind = &kinds[k];
		for (size_t e = 0; e < ARRAY_SIZE(ends); e++) {
			open_bed();
			if (getenv("VERBOSE"))
				print_message("%s: %s\n", kind->name, ends[e].name);
			ends[e].run();
			gatt_bed_close(&gb);
		}
	}
}

/* A write command is no transaction: it only waits for the kernel. */
static void commands(void **state)
{
	kind = &kinds[0];
	open_bed();
	bed_fill(&gb.bed);
	assert_int_equal(gatt_write_command(GC, &gb.g, 3, "A", 1, 100), 0);
	assert_int_equal(loop_advance(gb.bed.loop, 100), 0);
	expect(1, -ETIMEDOUT);
	assert_int_equal(gatt_write_command(GC, &gb.g, 3, "B", 1, 100), 0);
	op_drop(&gb.g.op);
	assert_int_equal(gatt_write_command(GC, &gb.g, 3, "C", 1, 100), 0);
	assert_true(bed_drain(&gb.bed) > 0);
	bed_play(&gb.bed, __func__, "> 52 03 00 43; =");
	expect(2, 0);
	gb.out.count = 0;
	assert_int_equal(gatt_write_command(GC, &gb.g, 3, "D", 1, 0), 0);
	gatt_client_fail_all(GC, -ENOTCONN);
	expect(1, -ENOTCONN);
	gatt_bed_close(&gb);
}

/* Reads queue behind each other and each gets its own answer, whoever else gives up. */
static void procedures_share_the_bearer(void **state)
{
	struct gatt_bed other = {0};

	kind = &kinds[0];
	open_bed();
	op_init(&other.g.op, gb.bed.loop, gatt_bed_done);
	assert_int_equal(start_read(100), 0);
	assert_int_equal(gatt_read(GC, &other.g, 5, 0, 0), 0);
	bed_play(&gb.bed, __func__, "> 0a 03 00; ~ 100; =; < 0b 03; > 0a 05 00; < 0b 05; =");
	expect(1, -ETIMEDOUT);
	assert_int_equal(other.out.count, 1);
	assert_int_equal(other.out.value[0], 5);
	gatt_bed_close(&gb);
}

/* A peer's second answer to the MTU exchange must not end the discovery that has begun. */
static void second_mtu_response(void **state)
{
	struct att_req mtu;

	kind = &kinds[0];
	open_bed();
	op_init(&mtu.op, gb.bed.loop, on_blocker);
	assert_int_equal(att_exchange_mtu(gb.bed.att, &mtu, 517, 0), 0);
	assert_int_equal(start_services(0), 0);
	bed_play(&gb.bed, __func__,
	         "> 02 05 02; < 03 40 00; > 10 01 00 ff ff 00 28; < 03 40 00; =;"
	         "< 11 06 01 00 ff ff 0d 18; =");
	expect(1, 0);
	gatt_bed_close(&gb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_end_of_every_procedure),
		cmocka_unit_test(commands),
		cmocka_unit_test(procedures_share_the_bearer),
		cmocka_unit_test(second_mtu_response),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
