/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scenario files: what is read, what is refused and where, and when it happens. */
#include "scenario.h"

#include <unistd.h>

#include "../support/radio_bed.h"

#include "test.h"

#define FILE_NAME "test-radio-scenario.txt"

struct bed {
	struct radio_bed b;
	struct bed_host alice, bob;
	struct scenario *scenario;
	char complaints[1024];
	int done;
};

static int setup(void **state)
{
	struct bed *t = calloc(1, sizeof(*t));

	bed_setup(&t->b);
	bed_host_new(&t->b, "alice", &t->alice);
	bed_host_new(&t->b, "bob", &t->bob);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct bed *t = *state;

	t->scenario = scenario_free(t->scenario);
	bed_host_free(&t->alice);
	bed_host_free(&t->bob);
	bed_teardown(&t->b);
	unlink(FILE_NAME);
	free(t);
	return 0;
}

static void report(void *data, size_t line, const char *key, const char *text)
{
	struct bed *t = data;
	size_t n = strlen(t->complaints);

	snprintf(t->complaints + n, sizeof(t->complaints) - n, "%zu %s\n", line, key);
	assert_true(*text);
}

static int load(struct bed *t, const char *text)
{
	FILE *f = fopen(FILE_NAME, "w");

	assert_non_null(f);
	for (const char *p = text; *p; p++)
		fputc(*p == '\'' ? '"' : *p, f);
	fclose(f);
	t->complaints[0] = 0;
	t->scenario = scenario_free(t->scenario);
	return scenario_load(FILE_NAME, report, t, &t->scenario);
}

static void on_done(struct scenario *s, void *data)
{
	struct bed *t = data;

	t->done++;
}

static int loss(struct bed *t)
{
	return radio_loss_db(&t->alice.ctl->radio, &t->bob.ctl->radio);
}

static void commands_in_their_time(void **state)
{
	struct bed *t = *state;

	assert_int_equal(
		load(t,
	             "# what happens\n"
	             "{'cmd':'loss','db':60,'at_ms':1000}\n"
	             "\n"
	             "{'cmd':'loss',\n 'from':'bob',\n 'db':3} {'cmd':'loss','db':10,'at_ms':0}\n"
	             "{'cmd':'loss','db':70,'at_ms':2000.5}"),
		0);
	assert_int_equal(scenario_stats(t->scenario).commands, 4);
	assert_int_equal(loss(t), 50); /* nothing runs before the start */
	loop_advance(t->b.loop, 500);
	scenario_start(t->scenario, t->b.scene, on_done, t);
	loop_advance(t->b.loop, 1);
	assert_int_equal(loss(t), 10);
	loop_advance(t->b.loop, 998);
	assert_int_equal(loss(t), 10);
	loop_advance(t->b.loop, 1);
	assert_int_equal(loss(t), 63); /* without a time: that of the command before */
	loop_advance(t->b.loop, 1000);
	assert_int_equal(loss(t), 63);
	assert_int_equal(t->done, 0);
	loop_advance(t->b.loop, 1);
	assert_int_equal(loss(t), 73);
	assert_int_equal(t->done, 1);
	assert_int_equal(scenario_stats(t->scenario).done, 4);
	assert_int_equal(scenario_stats(t->scenario).failed, 0);
}

static void one_that_fails_does_not_stop_the_others(void **state)
{
	struct bed *t = *state;

	assert_int_equal(load(t, "{'cmd':'loss','from':'carol','db':60}\n{'cmd':'loss','db':60}\n"),
	                 0);
	scenario_start(t->scenario, t->b.scene, NULL, NULL);
	loop_advance(t->b.loop, 1);
	assert_int_equal(loss(t), 60);
	assert_int_equal(scenario_stats(t->scenario).failed, 1);
}

static void the_same_seed_gives_the_same_air(void **state)
{
	static const char text[] =
		"{'cmd':'advert','name':'g','count':50,'interval_ms':100,'data':'{random:8}',"
		"'walk':{'min_dbm':-80,'max_dbm':-50}}\n"
		"{'cmd':'noise','percent':20}\n";
	static struct bed_ear ears[2];
	struct bed *t = *state;

	for (int run = 0; run < 2; run++) {
		struct bed again = {0};

		bed_setup(&again.b);
		bed_ear_new(&again.b, "ear", 38, &ears[run]);
		assert_int_equal(load(t, text), 0);
		scenario_start(t->scenario, again.b.scene, NULL, NULL);
		loop_advance(again.b.loop, 3000);
		t->scenario = scenario_free(t->scenario);
		bed_ear_free(&ears[run]);
		bed_teardown(&again.b);
	}
	assert_in_range(ears[0].n, 1000, 1300);
	assert_int_equal(ears[0].n, ears[1].n);
	for (size_t i = 0; i < ears[0].n; i++) {
		assert_int_equal(ears[0].heard[i].start_us, ears[1].heard[i].start_us);
		assert_int_equal(ears[0].heard[i].rssi_dbm, ears[1].heard[i].rssi_dbm);
		assert_memory_equal(ears[0].heard[i].data, ears[1].heard[i].data,
		                    ears[0].heard[i].len);
	}
}

static void errors_name_line_and_key(void **state)
{
	static const struct {
		const char *text, *complaints;
	} rows[] = {
		{"{'cmd':'nothing'}\n", "1 cmd\n"},
		{"\n\n{'cmd':'loss','db':1}\n{}\n", "4 cmd\n"},
		{"{'cmd':'loss',\n'db':1,\n'dB':2}\n", "3 dB\n"},
		{"{'cmd':'loss','db':1000}\n{'cmd':'loss','at_ms':-1,'db':2}\n", "1 db\n2 at_ms\n"},
		{"{'cmd':'fault','do':'drop',\n'match':{\n 'pdu':'x'}}\n", "3 match.pdu\n"},
		{"{'cmd':'subscribe','events':[]}\n", "1 cmd\n"},
		{"{'cmd':'air'}\n\n  {'cmd':\n\n", "3 \n"},
		{"{'cmd':'air'}\n\n{'cmd' 'air'}\n", "3 \n"},
		{"[]\n", "1 \n"},
		{"air\n", "1 \n"},
		{"{'cmd':'air'} # remark\n", "1 \n"},
	};
	struct bed *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(load(t, rows[i].text), -EINVAL);
		assert_null(t->scenario);
		assert_string_equal(t->complaints, rows[i].complaints);
	}
	assert_int_equal(load(t, ""), 0);
	assert_int_equal(scenario_load("no such file", report, t, &t->scenario), -ENOENT);
	assert_int_equal(scenario_load(".", report, t, &t->scenario), -EISDIR);
}

static void an_empty_one_is_over_at_once(void **state)
{
	struct bed *t = *state;

	assert_int_equal(load(t, "# nothing\n"), 0);
	scenario_start(t->scenario, t->b.scene, on_done, t);
	loop_advance(t->b.loop, 1);
	assert_int_equal(t->done, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(commands_in_their_time, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_fails_does_not_stop_the_others, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(the_same_seed_gives_the_same_air, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_name_line_and_key, setup, teardown),
		cmocka_unit_test_setup_teardown(an_empty_one_is_over_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
