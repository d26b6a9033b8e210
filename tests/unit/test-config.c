/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "aiobled/config.h"

#include <sys/stat.h>

#include "test.h"

static char folder[] = "test-config-XXXXXX";
static char complaints[1024];

static void put(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void complain(const char *file, int line, const char *text, void *data)
{
	size_t n = strlen(complaints);
	const char *base = strrchr(file, '/');

	snprintf(complaints + n, sizeof(complaints) - n, "%s:%d: %s\n", base ? base + 1 : file,
	         line, text);
}

static int load(struct config *config)
{
	char file[64], etc[64], lib[64];
	const char *dropins[] = {etc, lib, NULL};

	snprintf(file, sizeof(file), "%s/main.conf", folder);
	snprintf(etc, sizeof(etc), "%s/etc", folder);
	snprintf(lib, sizeof(lib), "%s/lib", folder);
	complaints[0] = '\0';
	config_init(config);
	return config_load(config, file, dropins, complain, NULL);
}

static int setup(void **state)
{
	char cmd[128];

	strcpy(folder, "test-config-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(cmd, sizeof(cmd), "mkdir %s/etc %s/lib", folder, folder);
	return system(cmd);
}

static int teardown(void **state)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -r %s", folder);
	return system(cmd);
}

static void nothing_there_gives_the_defaults(void **state)
{
	struct config c;

	assert_int_equal(load(&c), 0);
	assert_int_equal(c.linger_ms, 30000);
	assert_int_equal(c.n_adapters, 0);
	assert_null(c.adapters[0]);
	config_deinit(&c);
}

static void reads_every_key(void **state)
{
	struct config c;

	put("main.conf", "# a comment\n[General]\nAdapters = hci1, "
	                 "00:AA:01:00:00:23\nLogLevel=debug\nLingerSec=5\nDeviceName=Old lamp\nAppearance=1472\n"
	                 "[Limits]\nLinksPerAdapter=3\nCallsPerClient=10\nScannersPerClient="
	                 "2\nConnectionsPerClient=4\n"
	                 "SubscriptionsPerClient=7\nStreamsPerClient=6\nApplicationsPerClient=5\n");
	assert_int_equal(load(&c), 0);
	assert_string_equal(complaints, "");
	assert_int_equal(c.n_adapters, 2);
	assert_string_equal(c.adapters[0], "hci1");
	assert_string_equal(c.adapters[1], "00:AA:01:00:00:23");
	assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
	assert_int_equal(c.linger_ms, 5000);
	assert_string_equal(c.device_name, "Old lamp");
	assert_int_equal(c.appearance, 1472);
	assert_int_equal(c.links_per_adapter, 3);
	assert_int_equal(c.calls, 10);
	assert_int_equal(c.scanners, 2);
	assert_int_equal(c.connections, 4);
	assert_int_equal(c.subscriptions, 7);
	assert_int_equal(c.streams, 6);
	assert_int_equal(c.applications, 5);
	config_deinit(&c);
}

static void names_each_mistake_and_keeps_the_rest(void **state)
{
	struct config c;

	put("main.conf", "[General]\nLingerSec=soon\nColour=red\nLogLevel=loud\nAdapters=hci0 hcix "
	                 "12:34\n[Limits]\n"
	                 "CallsPerClient=0\nLingerSec=3\nScannersPerClient=-1\nStreamsPerClient="
	                 "12abc\nnonsense\n");
	assert_int_equal(load(&c), 10);
	assert_string_equal(
		complaints,
		"main.conf:2: LingerSec=soon is not a number from 1 to 86400\n"
		"main.conf:3: unknown key \"Colour\" in section [General]\n"
		"main.conf:4: LogLevel=loud is none of error, warning, notice, info, debug\n"
		"main.conf:5: Adapters: \"hcix\" is neither hciN nor an address\n"
		"main.conf:5: Adapters: \"12:34\" is neither hciN nor an address\n"
		"main.conf:7: CallsPerClient=0 is not a number from 1 to 120\n"
		"main.conf:8: unknown key \"LingerSec\" in section [Limits]\n"
		"main.conf:9: ScannersPerClient=-1 is not a number from 1 to 64\n"
		"main.conf:10: StreamsPerClient=12abc is not a number from 1 to 64\n"
		"main.conf:11: neither [Section] nor Key=Value\n");
	config_deinit(&c);
}

/* A list of nothing but mistakes must not become the list of all. */
static void sections_and_long_lines(void **state)
{
	char text[1024], name[300];
	struct config c;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	config_init(&c);
	(void)snprintf(text, sizeof(text), "[GENERAL]\nLingerSec=5\n[General]\nDeviceName=%s\nAppearance=70000\n", name);
	put("main.conf", text);
	assert_int_equal(load(&c), 3);
	assert_string_equal(complaints,
	                    "main.conf:2: \"LingerSec\" stands in an unknown section, [GENERAL]; there are [General] and [Limits]\n"
	                    "main.conf:4: the line is longer than 198 bytes\n"
	                    "main.conf:5: Appearance=70000 is not a number from 0 to 65535\n");
	assert_string_equal(c.device_name, "");
	config_deinit(&c);
}

static void a_mistaken_adapter_is_not_every_adapter(void **state)
{
	struct config c;

	put("main.conf", "[General]\nAdapters=hcl0\n");
	assert_int_equal(load(&c), 1);
	assert_int_equal(c.n_adapters, 1);
	assert_string_equal(c.adapters[0], "hcl0");
	config_deinit(&c);
}

static void drop_ins_come_in_order_and_hide_each_other(void **state)
{
	struct config c;

	put("main.conf",
	    "[General]\nLingerSec=1\n[Limits]\nCallsPerClient=1\nStreamsPerClient=1\n");
	put("lib/10-a.conf", "[Limits]\nCallsPerClient=2\nScannersPerClient=2\n");
	put("etc/10-a.conf", "[Limits]\nCallsPerClient=3\n");
	put("etc/05-b.conf", "[Limits]\nCallsPerClient=4\nStreamsPerClient=4\n");
	put("lib/20-c.txt", "[Limits]\nCallsPerClient=99\n");
	assert_int_equal(load(&c), 0);
	assert_int_equal(c.linger_ms, 1000);
	assert_int_equal(c.calls, 3);
	assert_int_equal(c.streams, 4);
	assert_int_equal(c.scanners, 8); /* lib/10-a.conf is hidden */
	config_deinit(&c);
}

static void an_unreadable_file_is_a_mistake(void **state)
{
	struct config c;
	char path[128];

	snprintf(path, sizeof(path), "%s/main.conf", folder);
	assert_int_equal(mkdir(path, 0700), 0); /* a folder cannot be read as a file */
	assert_int_equal(load(&c), 1);
	assert_string_equal(complaints, "main.conf:0: cannot be read\n");
	config_deinit(&c);
}

static void prints_what_it_would_read(void **state)
{
	struct config a, b;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	put("main.conf", "[General]\nAdapters=hci3\nLingerSec=77\nLogLevel=notice\nDeviceName=a b\n[Limits]"
	                 "\nStreamsPerClient=9\n");
	assert_int_equal(load(&a), 0);
	config_print(&a, f);
	fclose(f);
	put("main.conf", text);
	free(text);
	assert_int_equal(load(&b), 0);
	assert_string_equal(b.adapters[0], "hci3");
	assert_int_equal(b.linger_ms, 77000);
	assert_string_equal(b.device_name, "a b");
	assert_int_equal(b.log_level, LOG_LEVEL_NOTICE);
	assert_int_equal(b.streams, 9);
	config_deinit(&a);
	config_deinit(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(nothing_there_gives_the_defaults),
		T(reads_every_key),
		T(names_each_mistake_and_keeps_the_rest),
		T(sections_and_long_lines),
		T(a_mistaken_adapter_is_not_every_adapter),
		T(drop_ins_come_in_order_and_hide_each_other),
		T(an_unreadable_file_is_a_mistake),
		T(prints_what_it_would_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
