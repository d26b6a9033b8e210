/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of aioblectl serve, and JSON with places: what is taken, and what is said of which line. Pure code.
 */
#include "serve-file.h"

#include "test.h"

/* ---- JSON ---- */

struct json_row {
	const char *s;
	unsigned int line, column; /* 0: it is good */
	const char *text;          /* part of what is said */
};

static const struct json_row json_rows[] = {
	{"{}", 0, 0, NULL},
	{" [1, -2.5e+3, 0, 0.5, \"\\u00e9\\n\", true, false, null, {}, []]\n", 0, 0, NULL},
	{"\"\xc3\xa9\"", 0, 0, NULL},
	{"", 1, 1, "ends in the middle"},
	{"\n\n  {", 3, 4, "ends in the middle"},
	{"{} {}", 1, 4, "more than one value"},
	{"{\"a\" 1}", 1, 6, "a colon"},
	{"{\"a\":1 \"b\":2}", 1, 8, "a comma or }"},
	{"[1 2]", 1, 4, "a comma or ]"},
	{"[1,\n 2,\n]", 3, 1, "no comma after the last"},
	{"{\"a\":1,}", 1, 8, "no comma after the last"},
	{"{a:1}", 1, 2, "in double quotes"},
	{"{'a':1}", 1, 2, "in double quotes"},
	{"['a']", 1, 2, "in double quotes"},
	{"[1] // one", 1, 5, "more than one value"},
	{"[ // one\n1]", 1, 3, "no comments"},
	{"[0x1f]", 1, 2, "\"0x1f\""},
	{"[01]", 1, 2, "begin with 0"},
	{"[-]", 1, 2, "not a number"},
	{"[1.]", 1, 2, "not a number"},
	{"[1e]", 1, 2, "not a number"},
	{"[.5]", 1, 2, "no value begins"},
	{"[+1]", 1, 2, "no value begins"},
	{"[NaN]", 1, 2, "no value begins"},
	{"[True]", 1, 2, "no value begins"},
	{"[tru]", 1, 2, "no value begins"},
	{"[\"a\nb\"]", 1, 2, "does not end in its line"},
	{"[\"ab", 1, 2, "does not end in its line"},
	{"[\"a\tb\"]", 1, 4, "control character"},
	{"[\"\\x\"]", 1, 3, "no such escape"},
	{"[\"\\u12g4\"]", 1, 3, "four hexadecimal"},
	{"[\"\xff\"]", 1, 3, "not UTF-8"},
	{"[\"\xed\xa0\x80\"]", 1, 3, "not UTF-8"},
	{"{\"a\":1,\n\"\\u0061\":2}", 2, 1, "\"a\" was given already, in line 1"},
	{"{\"a\\u0000\":1}", 1, 2, "NUL"},
	{"[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]", 0, 0, NULL},
	{"[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]", 1, 17, "too deeply"},
};

static void test_json(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(json_rows); i++) {
		const struct json_row *row = &json_rows[i];
		struct place_error e = {.line = 0};
		struct place *tree = NULL;
		int r = place_parse(row->s, strlen(row->s), &tree, &e);

		if (row->line != e.line || row->column != e.column ||
		    (row->text && !strstr(text_str(&e.text), row->text)))
			fail_msg("%s: %u:%u %s", row->s, e.line, e.column, text_str(&e.text));
		assert_int_equal(r, row->line ? -EINVAL : 0);
		assert_int_equal(!tree, row->line != 0);
		text_free(&e.text);
		place_free(tree);
	}
}

static void test_json_nul(void **state)
{
	struct place_error e = {.line = 0};
	struct place *tree;

	assert_int_equal(place_parse("[1\0]", 4, &tree, &e), -EINVAL);
	assert_int_equal(e.column, 3);
	text_free(&e.text);
}

static void test_json_members(void **state)
{
	struct text t = {0};
	struct place_error e = {.line = 0};
	struct place *tree;

	text_adds(&t, "{");
	for (int i = 0; i <= PLACE_MEMBERS_MAX; i++)
		text_addf(&t, "%s\"%d\":\n0", i ? "," : "", i);
	text_adds(&t, "}");
	assert_int_equal(place_parse(t.s, t.len, &tree, &e), -EINVAL);
	assert_int_equal(e.line, PLACE_MEMBERS_MAX + 1);
	assert_non_null(strstr(text_str(&e.text), "too many"));
	text_free(&e.text);
	text_free(&t);
}

static void test_places(void **state)
{
	static const char s[] = "{\n \"a\": [1,\n  {\"b\\u00e9\": \"x\\ty\"}],\n \"c\": -1.50}";
	struct text path = {0}, value = {0};
	struct place_error e = {.line = 0};
	const struct place *a, *b, *c;
	struct place *tree;

	assert_int_equal(place_parse(s, sizeof(s) - 1, &tree, &e), 0);
	a = place_key(tree, "a");
	c = place_key(tree, "c");
	assert_int_equal(a->count, 2);
	b = a->last->first;
	assert_string_equal(b->key, "b\xc3\xa9");
	assert_int_equal(b->line, 3);
	assert_int_equal(b->column, 15);
	place_path(b, &path);
	assert_string_equal(text_str(&path), "a[1].b\xc3\xa9");
	place_string(b, &value);
	assert_string_equal(text_str(&value), "x\ty");
	assert_int_equal(c->line, 4);
	assert_int_equal(c->len, 5);
	assert_memory_equal(c->s, "-1.50", 5);
	assert_null(place_key(tree, "b"));
	assert_null(place_key(a, "a"));
	text_free(&path);
	text_free(&value);
	place_free(tree);
}

/* ---- files ---- */

/* What is around a mistake in the rows below; $ stands for the row's text, in line 3 or line 5 */
#define TOP(s)     "{\n\"advertising\": true,\n" s "\n}"
#define SERVICE(s) "{\"advertising\": false,\n\"services\": [\n{" s "}\n]}"
#define CHR(s)                                                                                     \
	"{\"advertising\": false,\n\"services\": [{\"uuid\": \"180f\",\n\"characteristics\": "     \
	"[{\"uuid\": \"2a19\",\n" s "}]}]}"
#define DESC(s)                                                                                    \
	"{\"advertising\": false,\n\"services\": [{\"uuid\": \"180f\", \"characteristics\": [\n"   \
	"{\"uuid\": \"2a19\", \"read\": true, \"descriptors\": [{\n" s "}]}]}]}"
#define ADV(s) "{\n\"advertising\": {\n" s "}}"
#define RAW17  "0000000000000000000000000000000000"

struct bad_row {
	const char *s;
	unsigned int line;
	const char *path, *text; /* text: part of it */
};

static const struct bad_row bad_rows[] = {
	/* the top */
	{"[]", 1, "", "an object belongs here, not a list"},
	{"{}", 1, "", "nothing to do"},
	{TOP("\"frob\": 1"), 3, "frob", "a file for serve has no such key"},
	{TOP("\"name\": 1"), 3, "name", "a string belongs here, not a number"},
	{TOP("\"name\": \"a\\u0000b\""), 3, "name", "NUL"},
	{TOP("\"name\": \"a\\uffffb\""), 3, "name", "never makes a character"},
	{TOP("\"name\": \"\xef\xb7\x90\""), 3, "name", "never makes a character"},
	{TOP("\"appearance\": 65536"), 3, "appearance", "65536 is more than 65535"},
	{TOP("\"appearance\": -1"), 3, "appearance", "-1 is less than 0"},
	{TOP("\"appearance\": \"0x1ffff\""), 3, "appearance", "0x1ffff is more than 65535"},
	{TOP("\"appearance\": 1.5"), 3, "appearance", "1.5 is not a whole number"},
	{TOP("\"appearance\": 99999999999999999999"), 3, "appearance", "is more than 65535"},
	{TOP("\"appearance\": true"), 3, "appearance", "a number belongs here, not true or false"},
	{TOP("\"appearance\": \"\""), 3, "appearance", "is not a whole number"},
	{TOP("\"queue\": 0"), 3, "queue", "0 is less than 1"},
	{TOP("\"queue\": 4097"), 3, "queue", "more than 4096"},
	{"{\"advertising\": false}", 1, "", "nothing to do"},
	{"{\"advertising\": 1}", 1, "advertising", "an object belongs here"},
	{"{\"services\": {}}", 1, "services", "a list belongs here, not an object"},
	{"{\"services\":\n [1]}", 2, "services[0]", "an object belongs here, not a number"},
	/* services */
	{SERVICE(""), 3, "services[0].uuid", "is missing"},
	{SERVICE("\"uuid\": \"frob\""), 3, "services[0].uuid",
         "\"frob\" is neither a UUID nor a service"},
	{SERVICE("\"uuid\": \"battery_level\""), 3, "services[0].uuid", "nor a service"},
	{SERVICE("\"uuid\": 65536"), 3, "services[0].uuid", "more than 65535"},
	{SERVICE("\"uuid\": null"), 3, "services[0].uuid", "a string belongs here, not null"},
	{SERVICE("\"uuid\": \"1800\""), 3, "services[0].uuid",
         "the daemon has this service itself"},
	{SERVICE("\"uuid\": 6145"), 3, "services[0].uuid", "the daemon has this service itself"},
	{SERVICE("\"uuid\": \"180f\", \"secondary\": 1"), 3, "services[0].secondary",
         "true or false belongs here"},
	{SERVICE("\"uuid\": \"180f\", \"charcteristics\": []"), 3, "services[0].charcteristics",
         "a service has no such key"},
	{SERVICE("\"uuid\": \"180f\", \"handle\": 0"), 3, "services[0].handle", "0 is less than 1"},
	{SERVICE("\"uuid\": \"180f\", \"includes\": [1]"), 3, "services[0].includes[0]",
         "1 is more than 0"},
	{SERVICE("\"uuid\": \"180f\", \"includes\": [0]"), 3, "services[0].includes",
         "0 is the service itself"},
	{SERVICE("\"uuid\": \"180f\", \"includes\": [\"x\"]"), 3, "services[0].includes[0]",
         "no service has this id"},
	{SERVICE("\"uuid\": \"180f\", \"id\": \"a b\""), 3, "services[0].id", "without blanks"},
	{SERVICE("\"uuid\": \"180f\", \"id\": \"x\"}, {\"uuid\": \"180d\",\n\"id\": \"x\""), 4,
         "services[1].id", "line 3 has this id"},
	{SERVICE("\"uuid\": \"180f\", \"handle\": 20, \"characteristics\": [{\"uuid\": \"2a19\", "
                 "\"read\": true,\n\"handle\": 20}]"),
         4, "services[0].characteristics[0].handle", "0x0014 does not follow 0x0014"},
	{SERVICE("\"uuid\": \"180f\", \"handle\": 65534, \"characteristics\": [{\"uuid\": "
                 "\"2a19\", \"read\": true}]"),
         3, "services[0].characteristics[0].handle", "none behind 0xffff"},
	/* characteristics */
	{CHR("\"write\": true, \"read\": 1"), 4, "services[0].characteristics[0].read",
         "true or false belongs here, not a number"},
	{CHR("\"read\": true, \"max_len\": 600"), 4, "services[0].characteristics[0].max_len",
         "600 is more than 512"},
	{CHR("\"read\": true, \"max_len\": 0"), 4, "services[0].characteristics[0].max_len",
         "0 is less than 1"},
	{CHR("\"max_len\": 5"), 3, "services[0].characteristics[0]", "none of read, write"},
	{CHR("\"read\": true, \"readd\": true"), 4, "services[0].characteristics[0].readd",
         "a characteristic has no such key"},
	{CHR("\"read\": true, \"on_read\": true"), 4, "services[0].characteristics[0].on_read",
         "no such key"},
	{CHR("\"read\": true, \"format\": \"u7\""), 4, "services[0].characteristics[0].format",
         "not hex, base64"},
	{CHR("\"read\": true, \"format\": 8"), 4, "services[0].characteristics[0].format",
         "a string belongs here"},
	{CHR("\"read\": true, \"initial\": 5"), 4, "services[0].characteristics[0].initial",
         "needs a \"format\""},
	{CHR("\"read\": true, \"initial\": \"xyz\""), 4, "services[0].characteristics[0].initial",
         "hexadecimal"},
	{CHR("\"read\": true, \"initial\": true"), 4, "services[0].characteristics[0].initial",
         "a number belongs here"},
	{CHR("\"read\": true, \"format\": \"u8\", \"initial\": 256"), 4,
         "services[0].characteristics[0].initial", "256 does not fit"},
	{CHR("\"read\": true, \"format\": \"u8\", \"initial\": 1.5"), 4,
         "services[0].characteristics[0].initial", "1.5"},
	{CHR("\"read\": true, \"format\": \"u8\", \"initial\": [1,\n\"x\"]"), 5,
         "services[0].characteristics[0].initial[1]", "'x'"},
	{CHR("\"read\": true, \"max_len\": 2, \"format\": \"text\", \"initial\": \"abc\""), 4,
         "services[0].characteristics[0].initial", "3 bytes are more than the 2 of max_len"},
	{CHR("\"read\": true, \"read_security\": \"high\""), 4,
         "services[0].characteristics[0].read_security", "not none, encrypted"},
	{CHR("\"read\": true, \"key_size\": 6"), 4, "services[0].characteristics[0].key_size",
         "6 is less than 7"},
	{CHR("\"read\": true, \"key_size\": 17"), 4, "services[0].characteristics[0].key_size",
         "17 is more than 16"},
	{CHR("\"read\": true, \"description\": 1"), 4, "services[0].characteristics[0].description",
         "a string belongs here"},
	{CHR("\"read\": true, \"presentation\": {}"), 4,
         "services[0].characteristics[0].presentation.format", "does not follow"},
	{CHR("\"read\": true, \"format\": \"u8\", \"presentation\": {\"exponent\": 128}"), 4,
         "services[0].characteristics[0].presentation.exponent", "128 is more than 127"},
	{CHR("\"read\": true, \"format\": \"u8\", \"presentation\": {\"units\": 1}"), 4,
         "services[0].characteristics[0].presentation.units",
         "a presentation format has no such key"},
	{CHR("\"read\": true, \"append\": true"), 4, "services[0].characteristics[0].append",
         "cannot be written"},
	{SERVICE("\"uuid\": \"180f\", \"characteristics\": [{\"uuid\": \"2901\", \"read\": true}]"),
         3, "services[0].characteristics[0].uuid", "the type of a descriptor"},
	/* descriptors */
	{DESC("\"read\": true"), 3, "services[0].characteristics[0].descriptors[0].uuid",
         "is missing"},
	{DESC("\"uuid\": \"2901\""), 3, "services[0].characteristics[0].descriptors[0]",
         "neither read nor write"},
	{DESC("\"uuid\": \"2902\", \"read\": true"), 4,
         "services[0].characteristics[0].descriptors[0].uuid", "0x2902 is added where"},
	{DESC("\"uuid\": \"2803\", \"read\": true"), 4,
         "services[0].characteristics[0].descriptors[0].uuid", "the type of a declaration"},
	{DESC("\"uuid\": \"2901\", \"read\": true, \"notify\": true"), 4,
         "services[0].characteristics[0].descriptors[0].notify", "a descriptor has no such key"},
	/* advertising */
	{ADV("\"frob\": 1"), 3, "advertising.frob", "advertising has no such key"},
	{ADV("\"interval_ms\": 10"), 3, "advertising.interval_ms", "10 ms is not from 20 to 10240"},
	{ADV("\"interval_ms\": \"250\""), 3, "advertising.interval_ms", "a number belongs here"},
	{ADV("\"name\": \"123456789012345678901234567890\""), 3, "advertising.name",
         "does not fit: 1 byte too many"},
	{"{\"services\": [{\"uuid\": \"180f\"}],\n\"name\": \"123456789012345678901234567890\"}", 2,
         "name", "in advertising it does not fit: 1 byte"},
	{ADV("\"services\": [\"180f\",\n\"180f\"]"), 4, "advertising.services[1]",
         "in the list already"},
	{ADV("\"manufacturer\": [1]"), 3, "advertising.manufacturer[0]", "an object belongs here"},
	{ADV("\"services\": \"180f\""), 3, "advertising.services", "a list belongs here"},
	{ADV("\"manufacturer\": {\"data\": \"00\"}"), 3, "advertising.manufacturer.company",
         "is missing"},
	{ADV("\"manufacturer\": [{\"company\": 1,\n\"data\": 5}]"), 4,
         "advertising.manufacturer[0].data", "needs a \"format\""},
	{ADV("\"manufacturer\": {\"company\": 1, \"data\": \"" RAW17 RAW17 "\"}"), 3,
         "advertising.manufacturer", "does not fit"},
	{ADV("\"service_data\": {\"uuid\": \"frob\", \"data\": \"00\"}"), 3,
         "advertising.service_data.uuid", "neither a UUID"},
	{ADV("\"tx_power\": 21"), 3, "advertising.tx_power", "21 is more than 20"},
	{ADV("\"extended\": true, \"secondary_phy\": \"3M\""), 3, "advertising.secondary_phy",
         "not 1M, 2M or coded"},
	{ADV("\"secondary_phy\": \"2M\""), 3, "advertising.secondary_phy", "only extended"},
	{ADV("\"timeout_ms\": -1"), 3, "advertising.timeout_ms", "less than 0"},
	{ADV("\"adv_data\": \"0201\""), 3, "advertising.adv_data", "whole AD structures"},
	{ADV("\"adv_data\": \"020106\",\n\"name\": \"x\""), 4, "advertising.name",
         "does not go with adv_data"},
	{"{\"services\": [{\"uuid\": \"6e400001-b5a3-f393-e0a9-e50e24dcca9e\"},{\"uuid\": "
         "\"6e400002-b5a3-f393-e0a9-e50e24dcca9e\"}]}",
         1, "services", "name some in advertising.services"},
};

static void show_errors(const struct serve_errors *e)
{
	for (size_t i = 0; i < e->count && i < SERVE_ERRORS_MAX; i++)
		print_error("%u:%u: %s: %s\n", e->list[i].line, e->list[i].column, e->list[i].path,
		            e->list[i].text);
}

static void test_bad(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_rows); i++) {
		const struct bad_row *row = &bad_rows[i];
		struct serve_errors e = {.count = 0};
		struct serve_file f;
		int r = serve_file_parse(row->s, strlen(row->s), &f, &e);

		if (r != -EINVAL || e.count != 1 || e.list[0].line != row->line ||
		    strcmp(e.list[0].path, row->path) != 0 || !strstr(e.list[0].text, row->text)) {
			show_errors(&e);
			fail_msg("%s", row->s);
		}
		serve_errors_free(&e);
		serve_file_free(&f);
	}
}

static void test_all_mistakes(void **state)
{
	static const char s[] = "{\"queue\": 0,\n\"services\": [{\"uuid\": "
	                        "\"frob\",\n\"characteristics\": [{\"uuid\": \"2a19\"},\n"
				"{\"read\": 1, \"foo\": 2}]}]}";
	static const unsigned int lines[] = {1, 2, 3, 4, 4, 4, 4};
	struct serve_errors e = {.count = 0};
	struct serve_file f;

	assert_int_equal(serve_file_parse(s, strlen(s), &f, &e), -EINVAL);
	if (e.count != ARRAY_SIZE(lines))
		show_errors(&e);
	assert_int_equal(e.count, ARRAY_SIZE(lines));
	for (size_t i = 0; i < e.count; i++)
		assert_int_equal(e.list[i].line, lines[i]);
	serve_errors_free(&e);
	serve_file_free(&f);
}

static void test_many_mistakes(void **state)
{
	struct serve_errors e = {.count = 0};
	struct serve_file f;
	struct text t = {0};

	text_adds(&t, "{\"services\":[0");
	for (int i = 0; i < 3 * SERVE_ERRORS_MAX; i++)
		text_adds(&t, ",\n0");
	text_adds(&t, "]}");
	assert_int_equal(serve_file_parse(t.s, t.len, &f, &e), -EINVAL);
	assert_true(e.count > 3 * SERVE_ERRORS_MAX);
	assert_int_equal(e.list[SERVE_ERRORS_MAX - 1].line, SERVE_ERRORS_MAX);
	serve_errors_free(&e);
	serve_file_free(&f);
	text_free(&t);
}

static void parse_good(const char *s, struct serve_file *f)
{
	struct serve_errors e = {.count = 0};

	if (serve_file_parse(s, strlen(s), f, &e) < 0)
		show_errors(&e);
	assert_int_equal(e.count, 0);
}

#define assert_text(t, bytes)                                                                      \
	do {                                                                                       \
		assert_int_equal((t).len, sizeof(bytes) - 1);                                      \
		assert_memory_equal(text_str(&(t)), bytes, sizeof(bytes) - 1);                     \
	} while (0)

static void test_good(void **state)
{
	static const char s[] =
		"{\"name\": \"temp\", \"appearance\": \"0x0300\", \"comment\": \"a sensor\",\n"
		"\"advertising\": {\"interval_ms\": 152.5, \"manufacturer\": [{\"company\": "
	        "\"0xabcd\", \"data\": \"1234\", \"format\": \"text\"}]},\n"
		"\"services\": [{\"uuid\": 6170, \"id\": \"env\", \"characteristics\": [\n"
		"  {\"uuid\": \"Temperature\", \"read\": true, \"notify\": true, \"format\": "
	        "\"i16\", \"initial\": -2,\n"
		"   \"description\": \"Out\", \"presentation\": {\"exponent\": -2, \"unit\": "
	        "\"0x272f\"}},\n"
		"  {\"uuid\": \"0x2a6f\", \"write\": true, \"max_len\": 7, \"read_security\": "
	        "\"encrypted\",\n"
		"   \"descriptors\": [{\"uuid\": \"valid_range\", \"read\": true, \"format\": "
	        "\"u8,u16\", \"initial\": [1, \"0x203\"]}]},\n"
		"  {\"uuid\": \"2a19\", \"indicate\": true, \"capture\": true}]},\n"
		"{\"uuid\": \"6e400001-b5a3-f393-e0a9-e50e24dcca9e\", \"secondary\": true, "
	        "\"includes\": [\"env\"]}]}";
	struct serve_attr *temp, *humidity;
	struct serve_file f;

	parse_good(s, &f);
	assert_string_equal(f.name, "temp");
	assert_int_equal(f.appearance, 768);
	assert_int_equal(f.n_services, 2);
	assert_int_equal(serve_file_characteristics(&f), 3);
	assert_true(uuid_equal16(&f.services[0].uuid, 0x181a));
	assert_true(f.services[1].secondary);
	assert_int_equal(f.services[1].n_includes, 1);
	assert_int_equal(f.services[1].includes[0], 0);
	temp = &f.services[0].characteristics[0];
	humidity = temp + 1;
	assert_true(uuid_equal16(&temp->uuid, 0x2a6e));
	assert_true(temp->read && temp->notify && !temp->write && !temp->indicate &&
	            !temp->capture);
	assert_text(temp->initial, "\xfe\xff");
	assert_int_equal(temp->n_descriptors, 2);
	assert_true(uuid_equal16(&temp->descriptors[0].uuid, 0x2901));
	assert_text(temp->descriptors[0].initial, "Out");
	assert_true(uuid_equal16(&temp->descriptors[1].uuid, 0x2904));
	assert_text(temp->descriptors[1].initial, "\x0e\xfe\x2f\x27\x01\x00\x00");
	assert_true(humidity->write && humidity->capture && !humidity->has_initial);
	assert_int_equal(humidity->max_len, 7);
	assert_string_equal(humidity->read_security, "encrypted");
	assert_text(humidity->descriptors[0].initial, "\x01\x03\x02");
	assert_false(humidity[1].capture); /* nobody writes to it */
	assert_int_equal(f.adv.interval_us, 152500);
	assert_true(f.adv.connectable && f.adv.keep);
	assert_int_equal(f.adv.n_services, 1); /* not the secondary one */
	assert_int_equal(f.adv.payload.adv_len, 3 + 4 + 6 + 4 + 8);
	assert_memory_equal(
		f.adv.payload.adv,
		"\x02\x01\x06\x03\x03\x1a\x18\x05\x09temp\x03\x19\x00\x03\x07\xff\xcd\xab"
		"1234",
		25);
	assert_int_equal(f.adv.payload.rsp_len, 0);
	serve_file_free(&f);
}

static void test_advertising(void **state)
{
	struct serve_file f;

	parse_good("{\"advertising\": {\"adv_data\": \"02 01 06\", \"resp_data\": \"02 09 41\", "
	           "\"connectable\": false}}",
	           &f);
	assert_text(f.adv.adv_data, "\x02\x01\x06");
	assert_int_equal(f.adv.payload.rsp_len, 3);
	assert_false(f.adv.connectable);
	serve_file_free(&f);
	parse_good("{\"name\": \"a\", \"advertising\": {\"name\": \"\", \"tx_power\": -4, "
	           "\"keep\": false,\n"
	           "\"service_data\": {\"uuid\": \"battery\", \"data\": 100, \"format\": \"u8\"}}}",
	           &f);
	assert_int_equal(f.adv.payload.adv_len,
	                 3 + 5 + 3); /* flags, service data, power; no name */
	assert_memory_equal(f.adv.payload.adv + 3, "\x04\x16\x0f\x18\x64\x02\x0a\xfc", 8);
	assert_false(f.adv.keep);
	serve_file_free(&f);
	parse_good("{\"services\": [{\"uuid\": \"180f\"}, {\"uuid\": \"180f\"}], \"advertising\": "
	           "true}",
	           &f);
	assert_int_equal(f.adv.n_services, 1); /* both, once */
	serve_file_free(&f);
	parse_good("{\"services\": [{\"uuid\": \"180f\"}], \"advertising\": {\"services\": []}}",
	           &f);
	assert_int_equal(f.adv.payload.adv_len, 3);
	serve_file_free(&f);
}

/* A path that the daemon gives leads to a line; one that leads nowhere, to what is nearest. */
static void test_paths(void **state)
{
	static const struct {
		const char *path;
		unsigned int line;
	} rows[] = {
		{"services[0].characteristics[1].max_len", 5},
		{"services[0].characteristics[1].frob", 4},
		{"services[0].characteristics[1]", 4},
		{"services[0].characteristics[9].max_len", 3},
		{"services[7]", 2},
		{"frob", 1},
		{"", 1},
		{"[0]", 1},
		{"services[", 2},
		{"services.x", 2},
		{"]].[.", 1},
	};
	struct serve_file f;

	parse_good("{\n\"services\": [{\"uuid\": \"180f\",\n\"characteristics\": [{\"uuid\": "
	           "\"2a19\", \"read\": true},\n"
	           "{\"uuid\": \"2a1a\", \"read\": true,\n\"max_len\": 3}]}]}",
	           &f);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(serve_file_place(&f, rows[i].path)->line, rows[i].line);
	serve_file_free(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json),          cmocka_unit_test(test_json_nul),
		cmocka_unit_test(test_json_members),  cmocka_unit_test(test_places),
		cmocka_unit_test(test_bad),           cmocka_unit_test(test_all_mistakes),
		cmocka_unit_test(test_many_mistakes), cmocka_unit_test(test_good),
		cmocka_unit_test(test_advertising),   cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
