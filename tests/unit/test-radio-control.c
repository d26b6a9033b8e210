/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The control socket of the radio: lines, answers, several clients, and those that do not read or do not stop. */
#include "control.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "../support/radio_bed.h"

#include "test.h"

#define PATH "test-radio-control.sock"

struct bed {
	struct radio_bed b;
	struct bed_host alice, bob;
	struct control *control;
};

static int setup(void **state)
{
	struct bed *t = calloc(1, sizeof(*t));

	bed_setup(&t->b);
	bed_host_new(&t->b, "alice", &t->alice);
	bed_host_new(&t->b, "bob", &t->bob);
	assert_int_equal(control_new(t->b.scene, PATH, &t->control), 0);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct bed *t = *state;

	t->control = control_free(t->control);
	assert_int_not_equal(access(PATH, F_OK), 0);
	bed_host_free(&t->alice);
	bed_host_free(&t->bob);
	bed_teardown(&t->b);
	free(t);
	return 0;
}

static int client(struct bed *t)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX, .sun_path = PATH};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	loop_settle(t->b.loop);
	return fd;
}

static void say(struct bed *t, int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	loop_settle(t->b.loop);
}

static const char *hear(int fd)
{
	static char buf[65536];
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	buf[n < 0 ? 0 : n] = 0;
	return n == 0 ? "(end)" : buf;
}

static void lines_and_answers(void **state)
{
	static const struct {
		const char *said, *heard;
	} rows[] = {
		{"{\"cmd\":\"faults\"}\n", "{\"ok\":true,\"faults\":[]}\n"},
		{"{\"cmd\":\"faults\",\"id\":[1]}\r\n", "{\"ok\":true,\"faults\":[],\"id\":[1]}\n"},
		{"\n  \n", ""},
		{"{\"cmd\":\"fau", ""},
		{"lts\"}\n{\"cmd\":\"faults\"}\n",
	         "{\"ok\":true,\"faults\":[]}\n{\"ok\":true,\"faults\":[]}\n"},
		{"{\"cmd\":\"nonsense\"}\n",
	         "{\"error\":\"\\\"nonsense\\\" is no command\",\"where\":\"cmd\"}\n"},
		{"{\"cmd\":\"faults\",\"x\":1,\"id\":7}\n",
	         "{\"error\":\"is not a key known here\",\"where\":\"x\",\"id\":7}\n"},
		{"{}\n", "{\"error\":\"is missing\",\"where\":\"cmd\"}\n"},
		{"[7]\n",
	         "{\"error\":\"a command is an object: {\\\"cmd\\\": ...}\",\"where\":\"\"}\n"},
		{"null\n", "{\"error\":\"the line ends too early\",\"where\":\"\"}\n"},
		{"{\"cmd\":\n", "{\"error\":\"the line ends too early\",\"where\":\"\"}\n"},
		{"{\"cmd\":\"faults\"} x\n",
	         "{\"error\":\"there is something behind the command\",\"where\":\"\"}\n"},
	};
	struct bed *t = *state;
	int fd = client(t);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		say(t, fd, rows[i].said);
		assert_string_equal(hear(fd), rows[i].heard);
	}
	close(fd);
	loop_settle(t->b.loop);
	assert_int_equal(control_stats(t->control).clients, 0);
}

static void what_was_asked_before_the_end_is_answered(void **state)
{
	struct bed *t = *state;
	int fd = client(t);

	say(t, fd, "{\"cmd\":\"faults\"}\n{\"cmd\":\"fau");
	hear(fd);
	write(fd, "lts\"}", 5); /* no newline */
	shutdown(fd, SHUT_WR);
	loop_settle(t->b.loop);
	assert_string_equal(hear(fd), "{\"ok\":true,\"faults\":[]}\n");
	assert_string_equal(hear(fd), "(end)");
	close(fd);
}

static void a_line_without_end(void **state)
{
	struct bed *t = *state;
	int fd = client(t), other = client(t);
	static char junk[65536];
	const char *heard;

	memset(junk, '{', sizeof(junk));
	for (int i = 0; i < 6; i++) {
		(void)send(fd, junk, sizeof(junk), MSG_NOSIGNAL); /* the last ones find nobody */
		loop_settle(t->b.loop);
	}
	heard = hear(fd);
	assert_string_equal(heard, "{\"error\":\"the line is too long\",\"where\":\"\"}\n");
	say(t, other, "{\"cmd\":\"faults\"}\n");
	assert_string_equal(hear(other), "{\"ok\":true,\"faults\":[]}\n");
	assert_int_equal(control_stats(t->control).clients, 1);
	close(fd);
	close(other);
}

static void too_many_clients(void **state)
{
	struct bed *t = *state;
	int fds[CONTROL_CLIENTS_MAX + 1];

	for (int i = 0; i <= CONTROL_CLIENTS_MAX; i++)
		fds[i] = client(t);
	assert_string_equal(hear(fds[CONTROL_CLIENTS_MAX]), "(end)");
	assert_int_equal(control_stats(t->control).refused, 1);
	say(t, fds[3], "{\"cmd\":\"faults\"}\n");
	assert_string_equal(hear(fds[3]), "{\"ok\":true,\"faults\":[]}\n");
	for (int i = 0; i <= CONTROL_CLIENTS_MAX; i++)
		close(fds[i]);
}

/* A client that asks and never reads is stopped by the socket, not by our memory; when it reads, all answers are there. */
static void answers_wait_for_their_reader(void **state)
{
	static const char ask[] = "{\"cmd\":\"controllers\"}\n";
	struct bed *t = *state;
	int fd = client(t);
	size_t sent = 0, answers = 0;
	const char *heard;

	while (write(fd, ask, sizeof(ask) - 1) == sizeof(ask) - 1) {
		sent++;
		loop_settle(t->b.loop);
	}
	assert_in_range(control_stats(t->control).commands, 1, sent);
	for (int idle = 0; idle < 3;) {
		loop_settle(t->b.loop);
		heard = hear(fd);
		idle = *heard ? 0 : idle + 1;
		for (; *heard; heard++)
			answers += *heard == '\n';
	}
	assert_int_equal(control_stats(t->control).commands, answers);
	assert_in_range(answers, sent, sent + 1);
	close(fd);
}

static void events_for_those_who_asked(void **state)
{
	struct bed *t = *state;
	int fd = client(t), other = client(t);
	struct bed_host carol;

	say(t, fd, "{\"cmd\":\"subscribe\",\"events\":[\"controllers\",\"links\"],\"id\":1}\n");
	assert_string_equal(hear(fd), "{\"ok\":true,\"id\":1}\n");
	bed_host_new(&t->b, "carol", &carol);
	bed_host_free(&carol);
	loop_settle(t->b.loop);
	assert_string_equal(hear(fd), "{\"event\":\"controllers\",\"what\":\"added\",\"at_ms\":"
	                              "1000,\"controller\":\"carol\"}\n"
	                              "{\"event\":\"controllers\",\"what\":\"removed\",\"at_ms\":"
	                              "1000,\"controller\":\"carol\"}\n");
	assert_string_equal(hear(other), "");
	controller_event(t->alice.ctl, HCIP_EV_DISCONNECTED, "\0\x40\0\x08", 4);
	loop_settle(t->b.loop);
	assert_string_equal(
		hear(fd),
		"{\"event\":\"links\",\"what\":\"down\",\"at_ms\":1000,\"controller\":\"alice\","
		"\"status\":0,\"handle\":64,\"reason\":8}\n");
	say(t, fd, "{\"cmd\":\"subscribe\",\"events\":[\"weather\"]}\n");
	assert_string_equal(hear(fd), "{\"error\":\"\\\"weather\\\" is nothing to subscribe "
	                              "to\",\"where\":\"events\"}\n");
	close(fd);
	close(other);
}

/* Advertising that nobody fetches is dropped, and the client is told how much when it reads again. */
static void events_are_dropped_not_kept(void **state)
{
	static const uint8_t adv[] = {0x40, 9, 1, 2, 3, 4, 5, 0xc6, 2, 1, 6};
	struct bed *t = *state;
	int fd = client(t);
	struct air_pdu got;
	bool told = false;
	const char *heard;

	say(t, fd, "{\"cmd\":\"subscribe\",\"events\":[\"adverts\"]}\n");
	hear(fd);
	for (int i = 0; i < 20000; i++)
		bed_pass(&t->b, &t->alice.ctl->radio, &t->bob.ctl->radio, PDU_ADV_ADDRESS, 37, adv,
		         sizeof(adv), &got);
	assert_true(control_stats(t->control).events_dropped > 0);
	do {
		loop_settle(t->b.loop);
	} while (*(heard = hear(fd)));
	bed_pass(&t->b, &t->alice.ctl->radio, &t->bob.ctl->radio, PDU_ADV_ADDRESS, 37, adv,
	         sizeof(adv), &got);
	loop_settle(t->b.loop);
	heard = hear(fd);
	told = strncmp(heard, "{\"event\":\"dropped\",\"count\":", 27) == 0;
	assert_true(told);
	assert_non_null(strstr(heard, "\"pdu\":\"40090102030405c6020106\""));
	close(fd);
}

static void distances(void **state)
{
	struct bed *t = *state;
	struct radio *a = &t->alice.ctl->radio, *b = &t->bob.ctl->radio;

	bed_do(&t->b, "{'cmd':'loss','from':'alice','to':'bob','db':70}");
	assert_int_equal(radio_loss_db(b, a), 70);
	bed_do(&t->b, "{'cmd':'loss','from':'alice','to':'bob','out_of_range':true}");
	assert_int_equal(radio_loss_db(a, b), AIR_LOSS_MAX_DB);
	assert_string_equal(json_object_to_json_string_ext(bed_do(&t->b, "{'cmd':'losses'}"),
	                                                   JSON_C_TO_STRING_PLAIN),
	                    "{\"ok\":true,\"losses\":[{\"from\":\"alice\",\"to\":\"bob\",\"db\":"
	                    "300}],\"default_db\":50}");
	bed_do(&t->b, "{'cmd':'loss','from':'alice','to':'bob','clear':true}");
	bed_do(&t->b, "{'cmd':'loss','from':'alice','db':5}");
	bed_do(&t->b, "{'cmd':'loss','db':40}");
	assert_int_equal(radio_loss_db(a, b), 45);
}

static void a_walk_of_a_loss(void **state)
{
	static const struct {
		uint32_t at_ms;
		int db;
	} rows[] = {{0, 40}, {500, 50}, {1000, 60}, {1500, 55}, {2000, 50}, {9000, 50}};
	struct bed *t = *state;
	struct radio *a = &t->alice.ctl->radio, *b = &t->bob.ctl->radio;
	uint32_t now = 0;

	bed_do(&t->b, "{'cmd':'loss','from':'bob','to':'alice','walk':[{'at_ms':0,'db':40},{'at_ms'"
	              ":1000,'db':60},"
	              "{'at_ms':2000,'db':50}]}");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		loop_advance(t->b.loop, rows[i].at_ms - now);
		now = rows[i].at_ms;
		assert_int_equal(radio_loss_db(a, b), rows[i].db);
	}
	bed_do(&t->b, "{'cmd':'loss','from':'alice','to':'bob','db':1}"); /* ends the walk */
	loop_advance(t->b.loop, 1000);
	assert_int_equal(radio_loss_db(a, b), 1);
}

static void a_walk_at_random_keeps_its_bounds(void **state)
{
	struct bed *t = *state;
	struct radio *a = &t->alice.ctl->radio, *b = &t->bob.ctl->radio;
	int least = 1000, most = 0;

	bed_do(&t->b, "{'cmd':'loss','from':'bob','to':'alice','walk':{'min_db':40,'max_db':60,'"
	              "step_db':5,'every_ms':100}}");
	for (int i = 0; i < 1000; i++) {
		loop_advance(t->b.loop, 100);
		least = MIN(least, radio_loss_db(a, b));
		most = MAX(most, radio_loss_db(a, b));
	}
	assert_int_equal(least, 40);
	assert_int_equal(most, 60);
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const struct {
		const char *cmd, *where;
	} rows[] = {
		{"{'cmd':'loss'}", "db"},
		{"{'cmd':'loss','to':'alice','db':1}", "from"},
		{"{'cmd':'loss','from':'alice','to':'alice','db':1}", "to"},
		{"{'cmd':'loss','from':'carol','db':1}", "from"},
		{"{'cmd':'loss','from':'alice','db':1,'clear':true}", "db"},
		{"{'cmd':'loss','from':'alice','db':1000}", "db"},
		{"{'cmd':'loss','from':'alice','walk':[]}", "walk"},
		{"{'cmd':'loss','from':'alice','walk':7}", "walk"},
		{"{'cmd':'loss','from':'alice','walk':[{'at_ms':5,'db':1},{'at_ms':5,'db':1}]}",
	         "walk.1.at_ms"},
		{"{'cmd':'loss','from':'alice','walk':{'points':[{'at_ms':5,'dbm':1}]}}",
	         "walk.points.0.dbm"},
		{"{'cmd':'loss','from':'alice','walk':{'min_db':5,'max_db':1}}", "walk.max_db"},
		{"{'cmd':'speed','factor':0}", "factor"},
		{"{'cmd':'speed','factor':'1'}", "factor"},
		{"{'cmd':'plug'}", "cmd"},
		{"{'cmd':'plug','path':'x'}", "path"},
		{"{'cmd':'plug','kind':'socket'}", "path"},
		{"{'cmd':'plug','profile':'9.9'}", "profile"},
		{"{'cmd':'unplug','controller':'alice'}", "cmd"},
		{"{'cmd':'unplug'}", "controller"},
		{"{'cmd':'unplug','path':'x','for_ms':1}", "for_ms"},
		{"{'cmd':'quit'}", "cmd"},
		{"{'cmd':'controllers','controller':'carol'}", "controller"},
	};
	struct bed *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		bed_refused(&t->b, rows[i].cmd, rows[i].where);
}

static void the_air_and_its_controllers(void **state)
{
	struct bed *t = *state;
	json_object *o = bed_do(&t->b, "{'cmd':'air'}");

	assert_int_equal(keys_int(o, "seed", 0), 7);
	assert_int_equal(keys_int(o, "now_ms", 0), 1000);
	assert_true(keys_bool(o, "ready", false));
	bed_do(&t->b, "{'cmd':'speed','factor':3}");
	loop_advance(t->b.loop, 100);
	air_sync(t->b.air);
	assert_int_equal(keys_int(bed_do(&t->b, "{'cmd':'air'}"), "now_ms", 0), 1300);
	o = keys_get(bed_do(&t->b, "{'cmd':'controllers','controller':'bob'}"), "controllers");
	assert_int_equal(json_object_array_length(o), 1);
	o = json_object_array_get_idx(o, 0);
	assert_string_equal(keys_str(o, "name", ""), "bob");
	assert_string_equal(keys_str(o, "profile", ""), "5.2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines_and_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_asked_before_the_end_is_answered, setup,
	                                        teardown),
		cmocka_unit_test_setup_teardown(a_line_without_end, setup, teardown),
		cmocka_unit_test_setup_teardown(too_many_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_wait_for_their_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(events_for_those_who_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(events_are_dropped_not_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(distances, setup, teardown),
		cmocka_unit_test_setup_teardown(a_walk_of_a_loss, setup, teardown),
		cmocka_unit_test_setup_teardown(a_walk_at_random_keeps_its_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(what_makes_no_sense_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(the_air_and_its_controllers, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
