/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Faults of the radio: which PDU and which command they strike, how often, and what comes of it. */
#include "fault.h"

#include "../support/radio_bed.h"

#include "test.h"

#define DATA_ADDRESS 0x71764129

struct bed {
	struct radio_bed b;
	struct bed_host alice, bob;
	struct radio tag;
	struct air_pdu got;
};

static int setup(void **state)
{
	struct bed *t = calloc(1, sizeof(*t));

	bed_setup(&t->b);
	bed_host_new(&t->b, "alice", &t->alice);
	bed_host_new(&t->b, "bob", &t->bob);
	radio_init(&t->tag, t->b.air, "tag.0");
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct bed *t = *state;

	radio_deinit(&t->tag);
	bed_host_free(&t->alice);
	bed_host_free(&t->bob);
	bed_teardown(&t->b);
	free(t);
	return 0;
}

static const uint8_t adv[] = {0x40, 9, 1, 2, 3, 4, 5, 0xc6, 2, 1, 6};
static const uint8_t version_ind[] = {3, 6, 0x0c, 0x0b, 0xff, 0xff, 0, 0};
static const uint8_t data[] = {2, 7, 3, 0, 4, 0, 0x0a, 0x12, 0};
static const uint8_t empty[] = {1, 0};

enum { ADV, VERSION, DATA, EMPTY };

static bool arrives_on(struct bed *t, int what, uint8_t channel)
{
	static const struct {
		const uint8_t *pdu;
		size_t len;
	} pdus[] = {
		[ADV] = {adv, sizeof(adv)},
		[VERSION] = {version_ind, sizeof(version_ind)},
		[DATA] = {data, sizeof(data)},
		[EMPTY] = {empty, sizeof(empty)},
	};
	struct radio *from = what == ADV ? &t->tag : &t->alice.ctl->radio;

	return bed_pass(&t->b, from, &t->bob.ctl->radio,
	                what == ADV ? PDU_ADV_ADDRESS : DATA_ADDRESS, channel, pdus[what].pdu,
	                pdus[what].len, &t->got);
}

static bool arrives(struct bed *t, int what)
{
	return arrives_on(t, what, what == ADV ? 37 : 5);
}

/* Each rule, and which of the four PDUs get past it. */
static void rules_match_what_they_say(void **state)
{
	static const struct {
		const char *match;
		bool passes[4];
	} rows[] = {
		{"{}", {false, false, false, false}},
		{"{'from':'alice'}", {true, false, false, false}},
		{"{'from':'tag.*'}", {false, true, true, true}},
		{"{'from':'tag.?','to':'bob'}", {false, true, true, true}},
		{"{'to':'alice'}", {true, true, true, true}},
		{"{'to':'alice','both_ways':true}", {true, false, false, false}},
		{"{'pdu':'adv_ind'}", {false, true, true, true}},
		{"{'pdu':'adv_nonconn_ind'}", {true, true, true, true}},
		{"{'pdu':'data'}", {true, true, false, true}},
		{"{'pdu':'empty'}", {true, true, true, false}},
		{"{'pdus':['control','adv_ind']}", {false, false, true, true}},
		{"{'ll':'LL_VERSION_IND'}", {true, false, true, true}},
		{"{'ll':12}", {true, false, true, true}},
		{"{'ll':'0x0c'}", {true, false, true, true}},
		{"{'ll':'terminate_ind'}", {true, true, true, true}},
		{"{'channels':[5]}", {true, false, false, false}},
		{"{'channels':[37,38]}", {false, true, true, true}},
		{"{'address':'C6:05:04:03:02:01'}", {false, true, true, true}},
		{"{'address':'C6:05:04:03:02:02'}", {true, true, true, true}},
		{"{'at':2,'bytes':'04 00'}", {true, true, false, true}},
		{"{'at':4,'bytes':'0a12 00'}", {true, true, false, true}},
	};
	struct bed *t = *state;
	char cmd[200];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		snprintf(cmd, sizeof(cmd), "{'cmd':'fault','name':'f','do':'drop','match':%s}",
		         rows[i].match);
		bed_do(&t->b, cmd);
		for (int what = ADV; what <= EMPTY; what++) {
			if (arrives(t, what) != rows[i].passes[what])
				fail_msg("%s: PDU %d", rows[i].match, what);
		}
	}
}

static void counts_and_limits(void **state)
{
	struct bed *t = *state;

	bed_do(&t->b,
	       "{'cmd':'fault','name':'f','do':'drop','nth':2,'times':2,'match':{'pdu':'data'}}");
	assert_true(arrives(t, DATA));
	assert_true(arrives(t, EMPTY)); /* is not counted */
	assert_false(arrives(t, DATA));
	assert_false(arrives(t, DATA));
	assert_true(arrives(t, DATA));
	assert_int_equal(faults_hits(t->b.scene->faults, "f"), 2);
	assert_string_equal(
		json_object_to_json_string_ext(bed_do(&t->b, "{'cmd':'faults'}"),
	                                       JSON_C_TO_STRING_PLAIN),
		"{\"ok\":true,\"faults\":[{\"name\":\"f\",\"do\":\"drop\",\"matched\":3,"
		"\"struck\":2,\"done\":true}]}");
	bed_do(&t->b, "{'cmd':'fault-remove','name':'f'}");
	bed_refused(&t->b, "{'cmd':'fault-remove','name':'f'}", "name");
}

static void a_rule_ends_with_its_time(void **state)
{
	struct bed *t = *state;

	bed_do(&t->b, "{'cmd':'jam','channels':[37,5],'for_ms':100}");
	loop_advance(t->b.loop, 99);
	air_sync(t->b.air);
	assert_false(arrives(t, ADV));
	assert_false(arrives(t, DATA));
	assert_true(arrives_on(t, ADV, 38));
	loop_advance(t->b.loop, 1);
	air_sync(t->b.air);
	assert_true(arrives(t, ADV));
}

static void the_first_rule_decides(void **state)
{
	struct bed *t = *state;

	bed_do(&t->b, "{'cmd':'fault','do':'weaken','db':20,'match':{'pdu':'data'}}");
	bed_do(&t->b, "{'cmd':'fault','do':'drop','match':{'from':'alice'}}");
	assert_true(arrives(t, DATA));
	assert_int_equal(t->got.rssi_dbm, -AIR_LOSS_DEFAULT_DB - 20);
	assert_false(arrives(t, EMPTY));
}

static void altered_bytes(void **state)
{
	struct bed *t = *state;

	bed_do(&t->b, "{'cmd':'fault','name':'a','do':'alter','alter':{'offset':5,'xor':'ff01'},'"
	              "match':{'pdu':'data'}}");
	assert_true(arrives(t, DATA));
	assert_memory_equal(t->got.data, "\2\7\3\0\4\0\x0a\xed\1", 9);
	bed_do(&t->b, "{'cmd':'fault','name':'a','do':'alter','alter':{'offset':6,'set':'aabbcc'},'"
	              "match':{'pdu':'data'}}");
	assert_true(arrives(t, DATA));
	assert_memory_equal(t->got.data, "\2\7\3\0\4\0\x0a\x12\xaa",
	                    9); /* what is behind the end is nowhere */
	assert_int_equal(t->got.len, 9);
}

static void noise_hits_its_share(void **state)
{
	struct bed *t = *state;
	int lost = 0;

	bed_do(&t->b, "{'cmd':'noise','from':'alice','to':'bob','percent':30}");
	for (int i = 0; i < 10000; i++)
		lost += !arrives(t, DATA);
	assert_in_range(lost, 2850, 3150);
	assert_true(arrives(t, ADV));
	bed_do(&t->b, "{'cmd':'noise','from':'alice','to':'bob','percent':0}");
	for (int i = 0; i < 100; i++)
		assert_true(arrives(t, DATA));
}

/* --- hosts --- */

static const uint8_t reset[] = {1, 3, 0x0c, 0};

static void input(struct bed_host *h, const uint8_t *pkt, size_t len)
{
	h->n = 0;
	controller_input(h->ctl, pkt, len);
}

static void commands_get_what_was_said(void **state)
{
	static const uint8_t version[] = {1, 1, 0x10, 0};
	struct bed *t = *state;

	bed_do(&t->b, "{'cmd':'fault','name':'u','do':'unanswered','times':1,'match':{'controller':"
	              "'al*','command':'reset'}}");
	input(&t->alice, reset, sizeof(reset));
	assert_int_equal(t->alice.n, 0);
	input(&t->bob, reset, sizeof(reset));
	assert_int_equal(t->bob.n, 1);
	input(&t->alice, reset, sizeof(reset));
	assert_int_equal(t->alice.n, 1);

	bed_do(&t->b, "{'cmd':'fault','do':'status','status':12,'match':{'command':'0x1001'}}");
	input(&t->alice, version, sizeof(version));
	assert_int_equal(t->alice.n, 1);
	assert_int_equal(t->alice.lens[0], 3 + 4 + 8);
	assert_memory_equal(t->alice.packets[0], "\4\x0e\x0c\1\1\x10\x0c\0\0\0\0\0\0\0\0", 15);
}

static void delayed_commands_run_later(void **state)
{
	struct bed *t = *state;

	bed_do(&t->b, "{'cmd':'fault','do':'delay','delay_ms':500,'match':{'command':'*'}}");
	input(&t->alice, reset, sizeof(reset));
	input(&t->bob, reset, sizeof(reset));
	bed_host_free(&t->bob); /* its command goes with it */
	loop_advance(t->b.loop, 499);
	assert_int_equal(t->alice.n, 0);
	loop_advance(t->b.loop, 1);
	assert_int_equal(t->alice.n, 1);
	assert_int_equal(t->bob.n, 0);
}

static void hung_controllers(void **state)
{
	struct bed *t = *state;

	bed_do(&t->b, "{'cmd':'fault','do':'hang','times':1,'match':{'command':'Reset'}}");
	input(&t->alice, reset, sizeof(reset));
	assert_true(t->alice.ctl->hung);
	input(&t->alice, reset, sizeof(reset));
	assert_int_equal(t->alice.n, 0);
	assert_false(arrives(t, DATA)); /* the air does not know it any more */
	bed_do(&t->b, "{'cmd':'unhang','controller':'alice'}");
	assert_true(arrives(t, DATA));
	input(&t->alice, reset, sizeof(reset));
	assert_int_equal(t->alice.n, 1);
	bed_do(&t->b, "{'cmd':'hang','controller':'bob'}");
	input(&t->bob, reset, sizeof(reset));
	assert_int_equal(t->bob.n, 0);
	assert_false(arrives(t, DATA));
}

static void hardware_error(void **state)
{
	struct bed *t = *state;

	t->alice.n = 0;
	bed_do(&t->b, "{'cmd':'hardware-error','controller':'alice','code':7}");
	assert_int_equal(t->alice.n, 1);
	assert_memory_equal(t->alice.packets[0], "\4\x10\1\7", 4);
	bed_refused(&t->b, "{'cmd':'hardware-error','controller':'tag.0'}", "controller");
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const struct {
		const char *cmd, *where;
	} rows[] = {
		{"{'cmd':'fault','do':'drop'}", "match"},
		{"{'cmd':'fault','match':{}}", "do"},
		{"{'cmd':'fault','do':'explode','match':{}}", "do"},
		{"{'cmd':'fault','do':'drop','match':{'form':'x'}}", "match.form"},
		{"{'cmd':'fault','do':'drop','match':{'pdu':'adv'}}", "match.pdu"},
		{"{'cmd':'fault','do':'drop','match':{'pdus':['adv_ind',3]}}", "match.pdus"},
		{"{'cmd':'fault','do':'drop','match':{'channels':[40]}}", "match.channels"},
		{"{'cmd':'fault','do':'drop','match':{'ll':'x'}}", "match.ll"},
		{"{'cmd':'fault','do':'drop','match':{'bytes':'123'}}", "match.bytes"},
		{"{'cmd':'fault','do':'drop','match':{'command':'Reset'}}", "do"},
		{"{'cmd':'fault','do':'hang','match':{'pdu':'data'}}", "do"},
		{"{'cmd':'fault','do':'hang','match':{'command':'Rest'}}", "match.command"},
		{"{'cmd':'fault','do':'hang','match':{'command':'Reset','from':'x'}}",
	         "match.from"},
		{"{'cmd':'fault','do':'status','match':{'command':'Reset'}}", "status"},
		{"{'cmd':'fault','do':'drop','delay_ms':5,'match':{}}", "delay_ms"},
		{"{'cmd':'fault','do':'alter','match':{},'alter':{}}", "alter.xor"},
		{"{'cmd':'fault','do':'drop','match':{},'percent':101}", "percent"},
		{"{'cmd':'fault','do':'drop','match':{},'nth':1.5}", "nth"},
		{"{'cmd':'fault-remove'}", "name"},
		{"{'cmd':'jam','channels':['x']}", "channels"},
		{"{'cmd':'noise'}", "percent"},
		{"{'cmd':'hang','controller':'carol'}", "controller"},
	};
	struct bed *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		bed_refused(&t->b, rows[i].cmd, rows[i].where);
}

static void rules_are_bounded(void **state)
{
	struct bed *t = *state;

	for (int i = 0; i < FAULTS_MAX; i++)
		bed_do(&t->b, "{'cmd':'fault','do':'drop','match':{}}");
	bed_refused(&t->b, "{'cmd':'fault','do':'drop','match':{}}", "");
	bed_do(&t->b, "{'cmd':'fault-remove','all':true}");
	assert_true(arrives(t, DATA));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(rules_match_what_they_say, setup, teardown),
		cmocka_unit_test_setup_teardown(counts_and_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(a_rule_ends_with_its_time, setup, teardown),
		cmocka_unit_test_setup_teardown(the_first_rule_decides, setup, teardown),
		cmocka_unit_test_setup_teardown(altered_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(noise_hits_its_share, setup, teardown),
		cmocka_unit_test_setup_teardown(commands_get_what_was_said, setup, teardown),
		cmocka_unit_test_setup_teardown(delayed_commands_run_later, setup, teardown),
		cmocka_unit_test_setup_teardown(hung_controllers, setup, teardown),
		cmocka_unit_test_setup_teardown(hardware_error, setup, teardown),
		cmocka_unit_test_setup_teardown(what_makes_no_sense_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(rules_are_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
