/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local attribute table: what may be registered, which handles it gets and keeps, its hash, its
 * values.
 *
 * A registration is written as words: P180d a primary and S180d a secondary service, I1 an include,
 * C2a37:rn a characteristic with its properties (r w c: write without response, n i), D2901 a
 * descriptor that can be read; each may end with @ and a wanted handle. A leading L stands for a
 * UUID of 128 bits.
 */
#include "aiobled/gatt_db.h"

#include <ctype.h>

#include "aiobled/att_pdu.h"
#include "aiobled/gatt_client.h"

#include "../support/alloc.h"
#include "test.h"

#define ITEMS 64

/* A registration; the arrays its definitions point into. */
struct registration {
	struct gatt_def_service services[ITEMS];
	struct gatt_def_characteristic characteristics[ITEMS];
	struct gatt_def_value descriptors[ITEMS];
	uint16_t includes[ITEMS];
	size_t n, n_characteristics, n_descriptors, n_includes;
};

static struct gatt_db *db;
static struct registration reg;
static struct gatt_def_error error;

static int setup(void **state)
{
	return gatt_db_new(&db);
}

static int teardown(void **state)
{
	db = gatt_db_free(db);
	return 0;
}

/* --- words --- */

static struct uuid word_uuid(const char **s)
{
	char text[UUID_STR_MAX], four[5];
	bool is_long = **s == 'L';
	struct uuid u;

	(void)snprintf(four, sizeof(four), "%.4s", *s + is_long);
	(void)snprintf(text, sizeof(text), is_long ? "0000%s-1111-2222-3333-444455556666" : "%s",
	               four);
	assert_int_equal(uuid_parse(text, &u), 0);
	*s += 4 + is_long;
	return u;
}

static uint16_t word_handle(const char *s)
{
	s = strchr(s, '@');
	return s ? (uint16_t)strtoul(s + 1, NULL, 16) : 0;
}

static void add_characteristic(struct registration *r, const char *s)
{
	struct gatt_def_service *service = &r->services[r->n - 1];
	struct gatt_def_characteristic *c = &r->characteristics[r->n_characteristics++];

	if (service->n_characteristics++ == 0)
		service->characteristics = c;
	*c = (struct gatt_def_characteristic){.value.handle = word_handle(s)};
	c->value.uuid = word_uuid(&s);
	for (; *s && *s != '@'; s++) {
		c->value.read |= *s == 'r';
		c->value.write |= *s == 'w';
		c->value.write_no_response |= *s == 'c';
		c->value.notify |= *s == 'n';
		c->value.indicate |= *s == 'i';
	}
}

static void add_descriptor(struct registration *r, const char *s)
{
	struct gatt_def_characteristic *c = &r->characteristics[r->n_characteristics - 1];
	struct gatt_def_value *d = &r->descriptors[r->n_descriptors++];

	if (c->n_descriptors++ == 0)
		c->descriptors = d;
	*d = (struct gatt_def_value){.handle = word_handle(s), .read = true};
	d->uuid = word_uuid(&s);
	if (uuid_equal16(&d->uuid, 0x2900)) {
		d->initial = (const uint8_t *)"\0";
		d->initial_len = 2;
	}
}

static void add_include(struct registration *r, const char *s)
{
	struct gatt_def_service *service = &r->services[r->n - 1];

	if (service->n_includes++ == 0)
		service->includes = &r->includes[r->n_includes];
	r->includes[r->n_includes++] = (uint16_t)strtoul(s, NULL, 10);
}

static void add_word(struct registration *r, const char *s)
{
	char kind = *s++;

	switch (kind) {
	case 'P':
	case 'S':
		r->services[r->n] = (struct gatt_def_service){.secondary = kind == 'S',
		                                              .handle = word_handle(s)};
		r->services[r->n++].uuid = word_uuid(&s);
		break;
	case 'C':
		add_characteristic(r, s);
		break;
	case 'D':
		add_descriptor(r, s);
		break;
	case 'I':
		add_include(r, s);
		break;
	default:
		fail_msg("no such word: %s", s - 1);
	}
}

static const struct registration *parse(const char *words)
{
	char word[64];
	int n;

	memset(&reg, 0, sizeof(reg));
	for (; sscanf(words, " %63s%n", word, &n) == 1; words += n)
		add_word(&reg, word);
	return &reg;
}

static int try_add(const char *words, struct gatt_app *old, struct gatt_app **ret)
{
	const struct registration *r = parse(words);

	memset(&error, 0x55, sizeof(error));
	return gatt_db_add(db, r->services, r->n, old, ret, &error);
}

static struct gatt_app *must_add(const char *words, struct gatt_app *old)
{
	struct gatt_app *app;
	int r = try_add(words, old, &app);

	if (r < 0)
		fail_msg("\"%s\": %d", words, r);
	return app;
}

/* --- the table as text --- */

static size_t print_uuid(char *buf, const struct uuid *u)
{
	char text[UUID_STR_MAX];

	(void)uuid_format(u, text);
	return (size_t)sprintf(buf, strlen(text) > 4 ? "L%.4s" : "%.4s",
	                       strlen(text) > 4 ? text + 4 : text);
}

static size_t print_row(char *buf, const struct gatt_attr *a)
{
	static const char kinds[] = {
		[GATT_ATTR_SERVICE] = 'P', [GATT_ATTR_INCLUDE] = 'I', [GATT_ATTR_DECLARATION] = 'C',
		[GATT_ATTR_VALUE] = 'v',   [GATT_ATTR_CCCD] = 'n',    [GATT_ATTR_DESCRIPTOR] = 'D',
	};
	size_t n = (size_t)sprintf(buf, " %x%c", a->handle, kinds[a->kind]);

	if (a->kind == GATT_ATTR_SERVICE)
		n += print_uuid(buf + n, &a->service->uuid);
	else if (a->kind == GATT_ATTR_INCLUDE)
		n += (size_t)sprintf(buf + n, "%x", a->included->handle);
	else if (a->kind == GATT_ATTR_VALUE || a->kind == GATT_ATTR_DESCRIPTOR)
		n += print_uuid(buf + n, &a->type);
	return n;
}

static const char *table(void)
{
	static char buf[4096];
	size_t n = 0;

	buf[0] = '\0';
	for (const struct gatt_attr *a = gatt_db_next(db, 0); a; a = gatt_attr_next(db, a)) {
		assert_true(n < sizeof(buf) - 64);
		n += print_row(buf + n, a);
	}
	return buf[0] ? buf + 1 : buf;
}

/* --- order and handles --- */

static const struct {
	const char *words, *table;
} layouts[] = {
	{"", ""},
	{"P180d", "1P180d"},
	{"P180f C2a19:rn D2901", "1P180f 2C 3v2a19 4n 5D2901"},
	{"P180d I1 C2a37:n D2901 D2904 C2a38:r S180f C2a19:i",
         "1P180d 2Ia 3C 4v2a37 5n 6D2901 7D2904 8C 9v2a38 aP180f bC cv2a19 dn"},
	{"PL0001 CL0002:w DL0003", "1PL0001 2C 3vL0002 4DL0003"},
	{"P180d@10 C2a37:r C2a38:r", "10P180d 11C 12v2a37 13C 14v2a38"},
	{"P180d@10 C2a37:n@20 D2901@25 D2904 C2a38:r",
         "10P180d 20C 21v2a37 22n 25D2901 26D2904 27C 28v2a38"},
	/* no handle of its own, but something inside has one */
	{"P180d C2a37:r C2a38:r@10 P180f", "dP180d eC fv2a37 10C 11v2a38 12P180f"},
	/* before what is fixed if there is room, else behind */
	{"P1800 P180d@3 P180f", "1P1800 3P180d 4P180f"},
	{"P180d C2a37:r P180f@4 C2a19:r P1800", "1P180d 2C 3v2a37 4P180f 5C 6v2a19 7P1800"},
	{"P180d@fffd C2a37:r", "fffdP180d fffeC ffffv2a37"},
};

static void order_and_handles(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		struct gatt_app *app = must_add(layouts[i].words, NULL);

		assert_string_equal(table(), layouts[i].table);
		gatt_db_remove(app);
		assert_string_equal(table(), "");
	}
}

/* The tree says the same as the rows. */
static void tree_and_rows_agree(void **state)
{
	struct gatt_app *app =
		must_add("P180d@10 I1 C2a37:rni@20 D2901@30 D2900 C2a38:w S180f", NULL);
	struct gatt_local_service *s = list_first(&app->services, struct gatt_local_service, link);
	struct gatt_local *c = list_first(&s->characteristics, struct gatt_local, link), *d;

	assert_ptr_equal(app->db, db);
	assert_ptr_equal(list_first(gatt_db_apps(db), struct gatt_app, link), app);
	assert_true(s->primary);
	assert_ptr_equal(s->app, app);
	assert_int_equal(s->handle, 0x10);
	assert_int_equal(s->end_handle, 0x33);
	assert_int_equal(s->n_includes, 1);
	assert_false(s->includes[0]->primary);
	assert_int_equal(s->includes[0]->handle, 0x34);
	assert_int_equal(c->declaration, 0x20);
	assert_int_equal(c->handle, 0x21);
	assert_int_equal(c->cccd, 0x22);
	assert_int_equal(c->properties, GATT_READ | GATT_NOTIFY | GATT_INDICATE | GATT_EXTENDED);
	assert_null(c->characteristic);
	d = list_first(&c->descriptors, struct gatt_local, link);
	assert_int_equal(d->handle, 0x30);
	assert_int_equal(d->properties, GATT_READ);
	assert_ptr_equal(d->characteristic, c);
	assert_ptr_equal(gatt_db_find(db, 0x11)->included, s->includes[0]);
	assert_ptr_equal(gatt_db_find(db, 0x20)->local, c);
	assert_ptr_equal(gatt_db_find(db, 0x22)->local, c);
	assert_ptr_equal(gatt_db_find(db, 0x30)->local, d);
	assert_true(uuid_equal16(&gatt_db_find(db, 0x34)->type, 0x2801));
	assert_int_equal(list_last(&s->characteristics, struct gatt_local, link)->cccd, 0);
}

static void looking_up(void **state)
{
	must_add("P180d@10 C2a37:n@20", NULL);
	must_add("P180f@1", NULL);
	assert_null(gatt_db_find(db, 0));
	assert_null(gatt_db_find(db, 0x11));
	assert_null(gatt_db_find(db, 0xffff));
	assert_int_equal(gatt_db_find(db, 0x22)->handle, 0x22);
	assert_int_equal(gatt_db_next(db, 0)->handle, 1);
	assert_int_equal(gatt_db_next(db, 1)->handle, 1);
	assert_int_equal(gatt_db_next(db, 2)->handle, 0x10);
	assert_int_equal(gatt_db_next(db, 0x11)->handle, 0x20);
	assert_null(gatt_db_next(db, 0x23));
	assert_null(gatt_attr_next(db, gatt_db_find(db, 0x22)));
}

/* --- mistakes --- */

#define V(u, ...)                                                                                  \
	{                                                                                          \
		.value = {.uuid = UUID16_INIT(u), __VA_ARGS__ }                                    \
	}

static const struct {
	const char *key, *text;
	struct gatt_def_characteristic characteristic;
} wrong_values[] = {
	{"read", "it has no property at all", V(0x2a37)},
	{"uuid", "0x2803 is the type of a declaration", V(0x2803, .read = true)},
	{"uuid", "0x2800 is the type of a declaration", V(0x2800, .read = true)},
	{"uuid", "0x28ff is the type of a declaration", V(0x28ff, .read = true)},
	{"uuid", "0x2902 is added where notify or indicate is given", V(0x2902, .read = true)},
	{"uuid", "0x2901 is the type of a descriptor", V(0x2901, .read = true)},
	{"uuid", "0x29ff is the type of a descriptor", V(0x29ff, .read = true)},
	{NULL, NULL, V(0x27ff, .read = true)},
	{NULL, NULL, V(0x2a00, .read = true)},
	{"max_len", "513 is more than 512", V(0x2a37, .read = true, .max_len = 513)},
	{"initial", "5 bytes are more than the 4 of max_len",
         V(0x2a37, .read = true, .max_len = 4, .initial = (const uint8_t *)"12345",
           .initial_len = 5)},
	{"initial", "513 bytes are more than the 512 of max_len",
         V(0x2a37, .read = true, .initial_len = 513)},
	{NULL, NULL,
         V(0x2a37, .read = true, .max_len = 5, .initial = (const uint8_t *)"12345",
           .initial_len = 5)},
	{"append", "the value cannot be written", V(0x2a37, .read = true, .append = true)},
	{"capture", "the value cannot be written", V(0x2a37, .notify = true, .capture = true)},
	{"truncate", "the value cannot be written", V(0x2a37, .read = true, .truncate = true)},
	{NULL, NULL, V(0x2a37, .write_no_response = true, .append = true, .capture = true)},
	{"on_read", "the value cannot be read", V(0x2a37, .write = true, .on_read = true)},
	{"on_read_timeout_ms", "10001 is more than 10000",
         V(0x2a37, .read = true, .on_read = true, .on_read_timeout_ms = 10001)},
	{NULL, NULL, V(0x2a37, .read = true, .on_read = true, .on_read_timeout_ms = 10000)},
	{"read_level", "5 is more than 4", V(0x2a37, .read = true, .read_level = 5)},
	{"write_level", "200 is more than 4", V(0x2a37, .write = true, .write_level = 200)},
	{"key_size", "6 is not between 7 and 16", V(0x2a37, .read = true, .key_size = 6)},
	{"key_size", "17 is not between 7 and 16", V(0x2a37, .read = true, .key_size = 17)},
	{NULL, NULL, V(0x2a37, .read = true, .read_level = 4, .write_level = 4, .key_size = 16)},
};

static void assert_error(const struct gatt_def_error *expected, const char *key, const char *text)
{
	assert_int_equal(error.service, expected->service);
	assert_int_equal(error.characteristic, expected->characteristic);
	assert_int_equal(error.descriptor, expected->descriptor);
	assert_string_equal(error.key, key);
	assert_string_equal(error.text, text);
}

static int add_defs(const struct gatt_def_service *defs, size_t n)
{
	struct gatt_app *app = NULL;
	int r;

	memset(&error, 0x55, sizeof(error));
	r = gatt_db_add(db, defs, n, NULL, &app, &error);
	if (r == 0)
		gatt_db_remove(app);
	else
		assert_null(app);
	return r;
}

static void wrong_characteristics(void **state)
{
	static const struct gatt_def_characteristic fine = V(0x2a38, .read = true);
	const struct gatt_def_error at = {1, 1, -1, NULL, ""};

	for (size_t i = 0; i < ARRAY_SIZE(wrong_values); i++) {
		struct gatt_def_characteristic c[] = {fine, wrong_values[i].characteristic};
		struct gatt_def_service s[] = {
			{.uuid = UUID16_INIT(0x180d),
		         .characteristics = &fine,
		         .n_characteristics = 1},
			{.uuid = UUID16_INIT(0x180f), .characteristics = c, .n_characteristics = 2},
		};

		assert_int_equal(add_defs(s, 2), wrong_values[i].key ? -EINVAL : 0);
		if (wrong_values[i].key)
			assert_error(&at, wrong_values[i].key, wrong_values[i].text);
	}
	assert_int_equal(gatt_db_add(db, NULL, 0, NULL, &(struct gatt_app *){NULL}, NULL), 0);
}

static const struct {
	const char *key, *text;
	struct gatt_def_value descriptor;
} wrong_descriptor_values[] = {
	{"uuid",
         "0x2902 is added where notify or indicate is given",
         {.uuid = UUID16_INIT(0x2902), .read = true}},
	{"uuid",
         "0x2803 is the type of a declaration",
         {.uuid = UUID16_INIT(0x2803), .read = true}},
	{"read", "it can neither be read nor be written", {.uuid = UUID16_INIT(0x2901)}},
	{"notify",
         "a descriptor is not sent to anybody",
         {.uuid = UUID16_INIT(0x2901), .read = true, .notify = true}},
	{"indicate",
         "a descriptor is not sent to anybody",
         {.uuid = UUID16_INIT(0x2901), .read = true, .indicate = true}},
	{"write_no_response",
         "a descriptor is written with response",
         {.uuid = UUID16_INIT(0x2901), .write_no_response = true}},
	{"initial",
         "extended properties are two bytes, not 0",
         {.uuid = UUID16_INIT(0x2900), .read = true}},
	{"write",
         "extended properties do not change",
         {.uuid = UUID16_INIT(0x2900),
          .read = true,
          .write = true,
          .initial = (const uint8_t *)"\1",
          .initial_len = 2}},
	{"append",
         "the value cannot be written",
         {.uuid = UUID16_INIT(0x2901), .read = true, .append = true}},
	{"read_level",
         "9 is more than 4",
         {.uuid = UUID16_INIT(0x2901), .read = true, .read_level = 9}},
	{NULL, NULL, {.uuid = UUID16_INIT(0x2901), .write = true, .append = true, .capture = true}},
};

static void wrong_descriptors(void **state)
{
	const struct gatt_def_error at = {0, 0, 1, NULL, ""};

	for (size_t i = 0; i < ARRAY_SIZE(wrong_descriptor_values); i++) {
		struct gatt_def_value d[] = {{.uuid = UUID16_INIT(0x2904), .read = true},
		                             wrong_descriptor_values[i].descriptor};
		struct gatt_def_characteristic c = V(0x2a37, .read = true);
		struct gatt_def_service s = {
			.uuid = UUID16_INIT(0x180d), .characteristics = &c, .n_characteristics = 1};

		c.descriptors = d;
		c.n_descriptors = 2;
		assert_int_equal(add_defs(&s, 1), wrong_descriptor_values[i].key ? -EINVAL : 0);
		if (wrong_descriptor_values[i].key)
			assert_error(&at, wrong_descriptor_values[i].key,
			             wrong_descriptor_values[i].text);
	}
}

static const struct {
	const char *words;
	int res;
	struct gatt_def_error error;
} wrong_words[] = {
	{"P2800", -EINVAL, {0, -1, -1, "uuid", "0x2800 is the type of a declaration"}},
	{"P180d P2901", -EINVAL, {1, -1, -1, "uuid", "0x2901 is the type of a descriptor"}},
	{"P180d I1", -EINVAL, {0, -1, -1, "includes", "there is no service 1"}},
	{"P180d S180f I1", -EINVAL, {1, -1, -1, "includes", "1 is the service itself"}},
	{"P180d I1 I2 I1 S180f S1810", -EINVAL, {0, -1, -1, "includes", "1 is there twice"}},
	/* handles that do not rise */
	{"P180d C2a37:r P180f@3", -EINVAL, {1, -1, -1, "handle", "0x0003 does not follow 0x0003"}},
	{"P180d@10 P180f@10", -EINVAL, {1, -1, -1, "handle", "0x0010 does not follow 0x0010"}},
	{"P180d@10 C2a37:r P180f@11",
         -EINVAL,
         {1, -1, -1, "handle", "0x0011 does not follow 0x0012"}},
	{"P180d@10 C2a37:r@20 C2a38:r@21",
         -EINVAL,
         {0, 1, -1, "handle", "0x0021 does not follow 0x0021"}},
	{"P180d C2a37:n@20 D2901@21",
         -EINVAL,
         {0, 0, 0, "handle", "0x0021 does not follow 0x0022"}},
	{"P180d C2a37:n C2a38:r@4",
         -EINVAL,
         {0, 1, -1, "handle", "0x0004 leaves no room for what stands before"}},
	{"P180d@ffff C2a37:r", -EINVAL, {0, 0, -1, "handle", "there is none behind 0xffff"}},
	{"P180d@fff0 C2a37:r@ffff", -EINVAL, {0, 0, -1, "handle", "there is none behind 0xffff"}},
	{"P180d@ffff P180f", -ENOBUFS, {0}},
	/* in use: 0x0101 to 0x0103, 0x0106 */
	{"P180d@101", -EEXIST, {0, -1, -1, "handle", "0x0101 is in use"}},
	{"P180d@fe C2a37:r C2a38:r", -EEXIST, {0, 1, -1, "handle", "0x0101 is in use"}},
	{"P180d@fe C2a37:r@110", -EEXIST, {0, -1, -1, "handle", "0x0101 is in use"}},
	{"P180d@105", -EEXIST, {0, -1, -1, "handle", "0x0105 is in use"}}, /* a hole of a service */
	{"P180f P180d@104 C2a37:r", -EEXIST, {1, -1, -1, "handle", "0x0104 is in use"}},
	{"P180d@108", 0, {0}},
	{"P180d@fe C2a37:r", 0, {0}},
};

static void wrong_registrations(void **state)
{
	must_add("P1812@101 C2a4b:r C2a4a:r@106", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(wrong_words); i++) {
		struct gatt_app *app;
		int r = try_add(wrong_words[i].words, NULL, &app);

		if (r != wrong_words[i].res)
			fail_msg("\"%s\": %d", wrong_words[i].words, r);
		if (r == -EINVAL || r == -EEXIST)
			assert_error(&wrong_words[i].error, wrong_words[i].error.key,
			             wrong_words[i].error.text);
		if (r == 0)
			gatt_db_remove(app);
		assert_string_equal(table(), "101P1812 102C 103v2a4b 106C 107v2a4a");
	}
}

/* --- the limits --- */

static struct gatt_def_characteristic many[GATT_APP_CHARACTERISTICS_MAX + 1];
static struct gatt_def_value many_descriptors[GATT_DB_ATTRIBUTES_MAX];

static struct gatt_def_service many_characteristics(size_t n, size_t descriptors)
{
	for (size_t i = 0; i < n; i++)
		many[i] = (struct gatt_def_characteristic)V(0x2a37, .read = true);
	for (size_t i = 0; i < descriptors; i++)
		many_descriptors[i] =
			(struct gatt_def_value){.uuid = UUID16_INIT(0x2901), .read = true};
	many[0].descriptors = many_descriptors;
	many[0].n_descriptors = descriptors;
	return (struct gatt_def_service){
		.uuid = UUID16_INIT(0x180d), .characteristics = many, .n_characteristics = n};
}

static void as_many_as_promised(void **state)
{
	struct gatt_def_service s = many_characteristics(GATT_APP_CHARACTERISTICS_MAX, 0);

	assert_int_equal(add_defs(&s, 1), 0);
	s = many_characteristics(GATT_APP_CHARACTERISTICS_MAX + 1, 0);
	assert_int_equal(add_defs(&s, 1), -ENOBUFS);
	assert_string_equal(error.key, "characteristics");
	s = many_characteristics(1, GATT_DB_ATTRIBUTES_MAX - 3);
	assert_int_equal(add_defs(&s, 1), 0);
	must_add("P180d", NULL);
	assert_int_equal(add_defs(&s, 1), -ENOBUFS);
	assert_string_equal(error.key, "attributes");
	s = many_characteristics(1, GATT_DB_ATTRIBUTES_MAX - 2);
	assert_int_equal(add_defs(&s, 1), -ENOBUFS);
	assert_string_equal(error.key, "attributes");
}

/* What is replaced makes room. */
static void a_full_table_can_be_replaced(void **state)
{
	struct gatt_def_service s = many_characteristics(1, GATT_DB_ATTRIBUTES_MAX - 3);
	struct gatt_app *app, *other;

	assert_int_equal(gatt_db_add(db, &s, 1, NULL, &app, &error), 0);
	assert_int_equal(gatt_db_add(db, &s, 1, app, &other, &error), 0);
	assert_int_equal(add_defs(&s, 1), -ENOBUFS);
}

static void no_handles_left(void **state)
{
	struct gatt_app *app;

	assert_int_equal(try_add("P180d@ffff P180f", NULL, &app), -ENOBUFS);
	assert_string_equal(error.key, "handles");
}

static void as_many_applications_as_promised(void **state)
{
	struct gatt_app *app = NULL;

	for (int i = 0; i < GATT_DB_APPS_MAX; i++)
		app = must_add("P180d", NULL);
	assert_int_equal(try_add("P180d", NULL, &app), -ENOBUFS);
	assert_string_equal(error.key, "applications");
	app = must_add("P180d", app); /* one for another */
	assert_int_equal(try_add("P180d", NULL, &app), -ENOBUFS);
	gatt_db_remove(app);
	must_add("P180d", NULL);
}

/* --- coming and going --- */

static void free_handles_are_used_again(void **state)
{
	struct gatt_app *a = must_add("P180d C2a37:r", NULL);

	must_add("P180f", NULL);
	gatt_db_remove(a);
	must_add("P1810 C2a35:n", NULL); /* too large for the gap */
	must_add("P1811 C2a44:r", NULL);
	assert_string_equal(table(), "1P1811 2C 3v2a44 4P180f 5P1810 6C 7v2a35 8n");
}

static void pinned_handles_are_not(void **state)
{
	struct gatt_app *a = must_add("P180d C2a37:r", NULL), *b;

	must_add("P180f", NULL);
	gatt_db_pin(db, true);
	gatt_db_remove(a);
	b = must_add("P1811 C2a44:r", NULL);
	assert_string_equal(table(), "4P180f 5P1811 6C 7v2a44");
	gatt_db_remove(b);
	gatt_db_pin(db, true); /* it is already */
	b = must_add("P1812", NULL);
	assert_string_equal(table(), "4P180f 8P1812");
	assert_int_equal(try_add("P1813@6", NULL, &a), -EEXIST);
	assert_string_equal(error.text, "0x0006 belonged to another attribute, and a link is up");
	must_add("P1813@9", NULL); /* nobody's */
	gatt_db_pin(db, false);
	must_add("P1814 C2a44:r", NULL);
	assert_string_equal(table(), "1P1814 2C 3v2a44 4P180f 8P1812 9P1813");
}

/* Not even those that were free all the time: what is new lies behind what peers know. */
static void pinned_gaps_stay(void **state)
{
	must_add("P180f@20", NULL);
	gatt_db_pin(db, true);
	must_add("P1811", NULL);
	assert_string_equal(table(), "20P180f 21P1811");
}

/* Above the highest there is nothing, but there are gaps nobody ever had. */
static void pinned_with_the_last_handle_in_use(void **state)
{
	struct gatt_app *a;

	must_add("P180f@ffff", NULL);
	a = must_add("P180d C2a37:r", NULL);
	gatt_db_pin(db, true);
	gatt_db_remove(a);
	must_add("P1811", NULL);
	assert_string_equal(table(), "4P1811 ffffP180f");
}

static const struct {
	const char *name, *old, *new, *unpinned, *pinned; /* NULL: -EEXIST */
} replacements[] = {
	{"the same", "P180d C2a37:rn D2901 P180f I0", "P180d C2a37:rn D2901 P180f I0",
         "2P180d 3C 4v2a37 5n 6D2901 7P180f 8I2", "2P180d 3C 4v2a37 5n 6D2901 7P180f 8I2"},
	{"the same, wanted now", "P180d C2a37:r", "P180d@2 C2a37:r@3", "2P180d 3C 4v2a37",
         "2P180d 3C 4v2a37"},
	{"not wanted any more", "P180d@20 C2a37:r", "P180d C2a37:r", "20P180d 21C 22v2a37",
         "20P180d 21C 22v2a37"},
	{"other UUID", "P180d C2a37:r", "P180d C2a38:r", "2P180d 3C 4v2a38", "5P180d 6C 7v2a38"},
	{"other service", "P180d C2a37:r", "P180e C2a37:r", "2P180e 3C 4v2a37", "5P180e 6C 7v2a37"},
	{"secondary", "P180d", "S180d", "2P180d", "3P180d"},
	{"other property", "P180d C2a37:r", "P180d C2a37:rw", "2P180d 3C 4v2a37",
         "5P180d 6C 7v2a37"},
	{"a CCCD more", "P180d C2a37:r", "P180d C2a37:rn", "2P180d 3C 4v2a37 5n",
         "5P180d 6C 7v2a37 8n"},
	{"notify and indicate", "P180d C2a37:n", "P180d C2a37:i", "2P180d 3C 4v2a37 5n",
         "6P180d 7C 8v2a37 9n"},
	{"less", "P180d C2a37:r C2a38:r", "P180d C2a37:r", "2P180d 3C 4v2a37", "7P180d 8C 9v2a37"},
	{"more", "P180d C2a37:r", "P180d C2a37:r P180f", "2P180d 3C 4v2a37 5P180f",
         "5P180d 6C 7v2a37 8P180f"},
	{"nothing", "P180d C2a37:r", "", "", ""},
	{"something instead of nothing", "", "P180d", "2P180d", "2P180d"},
	{"other order", "P180d C2a37:r C2a38:r", "P180d C2a38:r C2a37:r",
         "2P180d 3C 4v2a38 5C 6v2a37", "7P180d 8C 9v2a38 aC bv2a37"},
	{"other include", "P180d I1 S180f S1810", "P180d I2 S180f S1810",
         "2P180d 3I5 4P180f 5P1810", "6P180d 7I9 8P180f 9P1810"},
	{"moved", "P180d@20", "P180d@30", "30P180d", "30P180d"},
	/* attributes that stay may keep their wanted handles */
	{"one in the middle is gone", "P180d@20 C2a37:r@21 C2a38:r@23 C2a39:w@25",
         "P180d@20 C2a37:r@21 C2a39:w@25", "20P180d 21C 22v2a37 25C 26v2a39",
         "20P180d 21C 22v2a37 25C 26v2a39"},
	{"another in its place", "P180d@20 C2a37:r@21 C2a38:r@23", "P180d@20 C2a37:r@21 C2a39:r@23",
         "20P180d 21C 22v2a37 23C 24v2a39", NULL},
	{"a characteristic where a CCCD was", "P180d@20 C2a37:n@21 D2901",
         "P180d@20 C2a37:r@21 D2901", "20P180d 21C 22v2a37 23D2901", NULL},
};

static void replace(size_t i, bool pinned)
{
	const char *expected = pinned ? replacements[i].pinned : replacements[i].unpinned;
	struct gatt_app *first = must_add("P1800", NULL),
			*app = must_add(replacements[i].old, NULL);
	char before[256], after[256];
	int r;

	(void)snprintf(before, sizeof(before), "%s", table());
	gatt_db_pin(db, pinned);
	r = try_add(replacements[i].new, app, &app);
	if (r != (expected ? 0 : -EEXIST))
		fail_msg("%s: %d", replacements[i].name, r);
	(void)snprintf(after, sizeof(after), expected && *expected ? "1P1800 %s" : "1P1800",
	               expected);
	assert_string_equal(table(), expected ? after : before);
	gatt_db_remove(app);
	gatt_db_remove(first);
	gatt_db_pin(db, false);
	assert_string_equal(table(), "");
}

static void replacing(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(replacements); i++) {
		replace(i, false);
		replace(i, true);
	}
}

/* A failure leaves the old one alone; a success puts the new one in its place. */
static void replacing_keeps_the_order_of_applications(void **state)
{
	struct gatt_app *a = must_add("P180d", NULL), *b = must_add("P180f", NULL), *c;

	assert_int_equal(try_add("P2800", a, &c), -EINVAL);
	assert_ptr_equal(list_first(gatt_db_apps(db), struct gatt_app, link), a);
	c = must_add("P1810", a);
	assert_ptr_equal(list_first(gatt_db_apps(db), struct gatt_app, link), c);
	assert_ptr_equal(list_last(gatt_db_apps(db), struct gatt_app, link), b);
	assert_string_equal(table(), "1P1810 2P180f");
}

/* --- ranges --- */

static void assert_range(uint16_t start, uint16_t end)
{
	uint16_t s = 0, e = 0;

	assert_int_equal(gatt_db_range(db, &s, &e), start != 0);
	assert_int_equal(s, start);
	assert_int_equal(e, end);
}

static void ranges_of_changes(void **state)
{
	struct gatt_app *a, *b;

	assert_range(0, 0);
	a = must_add("P180d@10 C2a37:r", NULL);
	assert_range(0x10, 0x12);
	assert_range(0, 0);
	b = must_add("P180f@20", NULL);
	a = must_add("P180d@10 C2a37:r", a); /* the same again is no change */
	assert_range(0x20, 0x20);
	a = must_add("P180d@10 C2a37:r C2a38:r", a); /* the service's end is another */
	assert_range(0x10, 0x14);
	a = must_add("P180d@10 C2a37:r C2a38:rw", a);
	assert_range(0x13, 0x13); /* only the declaration */
	a = must_add("P180d@10 C2a37:r C2a39:rw", a);
	assert_range(0x13, 0x14);
	gatt_db_remove(b);
	gatt_db_remove(a);
	assert_range(0x10, 0x20);
	must_add("", NULL);
	assert_range(0, 0);
}

static void ranges_of_includes(void **state)
{
	struct gatt_app *a = must_add("P180d@10 I1 S180f@20", NULL);

	assert_range(0x10, 0x20);
	a = must_add("P180d@10 I1 S180f@20 C2a19:r", a);
	assert_range(0x11, 0x22);
	a = must_add("P180d@10 I1 S180f@20 C2a19:r", a);
	assert_range(0, 0);
	gatt_db_remove(a);
}

/* Their value is a part of the hash, so a peer that knows the table knows it. */
static void ranges_of_extended_properties(void **state)
{
	static const uint8_t none[2] = {0, 0}, reliable[2] = {1, 0};
	struct gatt_def_value descriptor = {
		.uuid = UUID16_INIT(0x2900), .read = true, .initial = none, .initial_len = 2};
	const struct gatt_def_characteristic c = {
		.value = {.uuid = UUID16_INIT(0x2a37), .write = true},
		.descriptors = &descriptor,
		.n_descriptors = 1};
	const struct gatt_def_service service = {.uuid = UUID16_INIT(0x180d),
	                                         .handle = 0x10,
	                                         .characteristics = &c,
	                                         .n_characteristics = 1};
	uint8_t before[GATT_HASH_LEN], after[GATT_HASH_LEN];
	struct gatt_app *app;

	assert_int_equal(gatt_db_add(db, &service, 1, NULL, &app, &error), 0);
	gatt_db_hash(db, before);
	assert_range(0x10, 0x13);
	assert_int_equal(gatt_db_add(db, &service, 1, app, &app, &error), 0);
	assert_range(0, 0);
	descriptor.initial = reliable;
	assert_int_equal(gatt_db_add(db, &service, 1, app, &app, &error), 0);
	assert_range(0x13, 0x13);
	gatt_db_hash(db, after);
	assert_memory_not_equal(before, after, sizeof(before));
}

/* --- Database Hash --- */

/* The database of Core 5.4, Vol 3, Part G, Appendix B, and what it comes to. */
static void hash_of_the_specification(void **state)
{
	static const uint8_t expected[GATT_HASH_LEN] = {0xf1, 0xca, 0x2d, 0x48, 0xec, 0xf5,
	                                                0x8b, 0xac, 0x8a, 0x88, 0x30, 0xbb,
	                                                0xb9, 0xfb, 0xa9, 0x90};
	uint8_t hash[GATT_HASH_LEN];

	must_add("P1800 C2a00:rw C2a01:r P1801 C2a05:i C2b29:rw C2b2a:r P1808 I3 C2a18:ri D2900 "
	         "S180f "
	         "C2a19:r",
	         NULL);
	assert_string_equal(table(), "1P1800 2C 3v2a00 4C 5v2a01 6P1801 7C 8v2a05 9n aC bv2b29 cC "
	                             "dv2b2a eP1808 fI14 10C 11v2a18 12n 13D2900 14P180f 15C "
	                             "16v2a19");
	gatt_db_hash(db, hash);
	for (int i = 0; i < GATT_HASH_LEN; i++)
		assert_int_equal(hash[i], expected[GATT_HASH_LEN - 1 - i]);
}

static const struct {
	const char *a, *b;
	bool same;
} hashes[] = {
	{"P180d C2a37:r", "P180d C2a37:r", true},
	{"P180d C2a37:r", "P180d C2a37:rw", false},
	{"P180d C2a37:r", "P180d C2a38:r", false},
	{"P180d C2a37:r", "P180d@2 C2a37:r", false},
	{"P180d C2a37:r", "S180d C2a37:r", false},
	{"P180d C2a37:r D2901", "P180d C2a37:r", false},
	{"P180d C2a37:r D2901", "P180d C2a37:r D2904", false},
	{"P180d C2a37:r D2906", "P180d C2a37:r", true}, /* none of those that count */
	{"P180d C2a37:r DL2901", "P180d C2a37:r", true},
	{"P180d C2a37:n", "P180d C2a37:i", false},
	{"PL0001 CL0002:r", "PL0001 CL0003:r", false},
	{"P180d I1 SL0001", "P180d I1 SL0002", false},
	{"", "P180d", false},
};

static void hashes_differ(void **state)
{
	uint8_t a[GATT_HASH_LEN], b[GATT_HASH_LEN];

	for (size_t i = 0; i < ARRAY_SIZE(hashes); i++) {
		gatt_db_remove((must_add(hashes[i].a, NULL), gatt_db_hash(db, a),
		                list_first(gatt_db_apps(db), struct gatt_app, link)));
		gatt_db_remove((must_add(hashes[i].b, NULL), gatt_db_hash(db, b),
		                list_first(gatt_db_apps(db), struct gatt_app, link)));
		if ((memcmp(a, b, sizeof(a)) == 0) != hashes[i].same)
			fail_msg("\"%s\" and \"%s\"", hashes[i].a, hashes[i].b);
	}
}

/* Values do not count, but for extended properties, which stay as they are. */
static void values_and_the_hash(void **state)
{
	struct gatt_app *app = must_add("P180d C2a37:r D2900 D2901", NULL);
	struct gatt_local_service *s = list_first(&app->services, struct gatt_local_service, link);
	struct gatt_local *c = list_first(&s->characteristics, struct gatt_local, link);
	struct gatt_local *d = list_last(&c->descriptors, struct gatt_local, link);
	uint8_t a[GATT_HASH_LEN], b[GATT_HASH_LEN];

	gatt_db_hash(db, a);
	assert_int_equal(gatt_local_set(c, "x", 1), 0);
	assert_int_equal(gatt_local_set(d, "name", 4), 0);
	gatt_db_hash(db, b);
	assert_memory_equal(a, b, sizeof(a));
	d = list_first(&c->descriptors, struct gatt_local, link);
	assert_int_equal(gatt_local_set(d, "\1", 2), -EPERM);
	gatt_db_hash(db, b);
	assert_memory_equal(a, b, sizeof(a));
}

/* --- values --- */

static struct gatt_local *add_value(const struct gatt_def_value *v)
{
	struct gatt_def_characteristic c = {.value = *v};
	struct gatt_def_service s = {
		.uuid = UUID16_INIT(0x180d), .characteristics = &c, .n_characteristics = 1};
	struct gatt_app *app;

	assert_int_equal(gatt_db_add(db, &s, 1, NULL, &app, &error), 0);
	return gatt_db_find(db,
	                    list_first(&app->services, struct gatt_local_service, link)->end_handle)
	        ->local;
}

static void what_is_given_is_kept(void **state)
{
	struct gatt_def_value v = {.uuid = UUID16_INIT(0x2a37),
	                           .read = true,
	                           .write = true,
	                           .capture = true,
	                           .append = true,
	                           .truncate = true,
	                           .on_read = true,
	                           .on_read_timeout_ms = 77,
	                           .on_read_fallback = 0x80,
	                           .read_level = 2,
	                           .write_level = 3,
	                           .key_size = 8,
	                           .max_len = 5,
	                           .initial = (const uint8_t *)"abc",
	                           .initial_len = 3,
	                           .data = &reg};
	const struct gatt_local *l = add_value(&v);

	assert_true(l->capture && l->append && l->truncate && l->on_read);
	assert_int_equal(l->on_read_timeout_ms, 77);
	assert_int_equal(l->on_read_fallback, 0x80);
	assert_int_equal(l->read_level, 2);
	assert_int_equal(l->write_level, 3);
	assert_int_equal(l->key_size, 8);
	assert_int_equal(l->max_len, 5);
	assert_int_equal(l->len, 3);
	assert_memory_equal(l->value, "abc", 3);
	assert_ptr_equal(l->data, &reg);
}

static void what_is_not_given_has_a_meaning(void **state)
{
	const struct gatt_local *l =
		add_value(&(struct gatt_def_value){.uuid = UUID16_INIT(0x2a37), .read = true});

	assert_int_equal(l->on_read_timeout_ms, GATT_ON_READ_DEFAULT_MS);
	assert_int_equal(l->read_level, GATT_LEVEL_NONE);
	assert_int_equal(l->write_level, GATT_LEVEL_NONE);
	assert_int_equal(l->max_len, ATT_VALUE_MAX);
	assert_int_equal(l->len, 0);
}

static void the_local_side_writes(void **state)
{
	struct gatt_local *l = add_value(&(struct gatt_def_value){.uuid = UUID16_INIT(0x2a37),
	                                                          .read = true,
	                                                          .write = true,
	                                                          .append = true,
	                                                          .max_len = 40});
	uint8_t big[41];

	memset(big, 7, sizeof(big));
	assert_int_equal(gatt_local_set(l, "abc", 3), 0);
	assert_int_equal(gatt_local_set(l, "de", 2), 0); /* not behind, although it appends */
	assert_int_equal(l->len, 2);
	assert_memory_equal(l->value, "de", 2);
	assert_int_equal(gatt_local_set(l, big, 41), -EMSGSIZE);
	assert_memory_equal(l->value, "de", 2);
	assert_int_equal(gatt_local_set(l, big, 40), 0);
	assert_int_equal(l->len, 40);
	assert_memory_equal(l->value, big, 40);
	assert_int_equal(gatt_local_set(l, l->value + 1, 3), 0); /* a part of itself */
	assert_int_equal(gatt_local_set(l, NULL, 0), 0);
	assert_int_equal(l->len, 0);
}

static const struct {
	bool append, truncate;
	const char *before, *bytes; /* max_len is 8 */
	uint8_t code;
	const char *after;
	unsigned int truncated;
} written[] = {
	{false, false, "abc", "de", 0, "de", 0},
	{false, false, "abc", "", 0, "", 0},
	{false, false, "abc", "12345678", 0, "12345678", 0},
	{false, false, "abc", "123456789", ATT_ERR_INVALID_LENGTH, "abc", 0},
	{false, true, "abc", "123456789a", 0, "12345678", 2},
	{true, false, "abc", "de", 0, "abcde", 0},
	{true, false, "abc", "defgh", 0, "abcdefgh", 0},
	{true, false, "abc", "defghi", ATT_ERR_INVALID_LENGTH, "abc", 0},
	{true, true, "abc", "defghijk", 0, "abcdefgh", 3},
	{true, true, "abcdefgh", "ijk", 0, "abcdefgh", 3},
	{true, false, "abcdefgh", "", 0, "abcdefgh", 0},
	{true, false, "", "a", 0, "a", 0},
};

static void the_peer_writes(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(written); i++) {
		struct gatt_local *l =
			add_value(&(struct gatt_def_value){.uuid = UUID16_INIT(0x2a37),
		                                           .write = true,
		                                           .append = written[i].append,
		                                           .truncate = written[i].truncate,
		                                           .max_len = 8});
		size_t len = strlen(written[i].bytes);

		assert_int_equal(gatt_local_set(l, written[i].before, strlen(written[i].before)),
		                 0);
		assert_int_equal(gatt_local_put(l, (const uint8_t *)written[i].bytes, len),
		                 written[i].code);
		assert_int_equal(l->len, strlen(written[i].after));
		assert_memory_equal(l->value, written[i].after, l->len);
		assert_int_equal(l->truncated, written[i].truncated);
		gatt_local_clear(l);
		assert_int_equal(l->len, 0);
		gatt_db_remove(l->service->app);
	}
}

/* --- memory --- */

static const char *const trees[] = {
	"P180d I1 C2a37:rn D2901 D2904 C2a38:w S180f C2a19:r",
	"P180d@10 C2a37:r",
	"",
};

static void every_allocation_of_a_registration_may_fail(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(trees); i++) {
		struct gatt_app *app = must_add("P1800 C2a00:r", NULL);
		uint16_t start, end;
		int r;

		(void)gatt_db_range(db, &start, &end);
		for (long n = 0;; n++) {
			alloc_fail_after = n;
			r = try_add(trees[i], i % 2 ? app : NULL, &app);
			if (alloc_fail_after >= 0)
				break;
			assert_int_equal(r, -ENOMEM);
			assert_string_equal(table(), "1P1800 2C 3v2a00");
			assert_false(gatt_db_range(db, &start, &end));
		}
		alloc_fail_after = -1;
		assert_int_equal(r, 0);
		db = gatt_db_free(db);
		assert_int_equal(gatt_db_new(&db), 0);
	}
}

static void no_table_without_memory(void **state)
{
	struct gatt_db *other = NULL;

	for (long n = 0; n < 2; n++) {
		alloc_fail_after = n;
		assert_int_equal(gatt_db_new(&other), -ENOMEM);
		assert_null(other);
	}
	alloc_fail_after = 2;
	assert_int_equal(gatt_db_new(&other), 0);
	alloc_fail_after = -1;
	gatt_db_free(other);
}

static void long_values_need_memory(void **state)
{
	struct gatt_local *l = add_value(&(struct gatt_def_value){
		.uuid = UUID16_INIT(0x2a37), .write = true, .append = true});
	uint8_t big[100] = {0};

	assert_int_equal(gatt_local_put(l, (const uint8_t *)"abc", 3), 0);
	alloc_fail_after = 0;
	assert_int_equal(gatt_local_put(l, big, 29), 0); /* what is short has its room */
	assert_int_equal(gatt_local_put(l, big, 1), ATT_ERR_RESOURCES);
	alloc_fail_after = 0;
	assert_int_equal(gatt_local_set(l, big, 100), -ENOMEM);
	alloc_fail_after = -1;
	assert_int_equal(l->len, 32);
	assert_memory_equal(l->value, "abc", 3);
	assert_int_equal(gatt_local_put(l, big, 100), 0);
	alloc_fail_after = 0;
	assert_int_equal(gatt_local_put(l, big, 100), 0); /* and what is long all of it */
	alloc_fail_after = -1;
}

/* --- anything --- */

static uint32_t seed;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void random_words(char *buf, size_t size)
{
	uint32_t services = random_below(4);
	size_t n = 0;

	buf[0] = '\0';
	for (uint32_t i = 0; i < services; i++) {
		n += (size_t)snprintf(buf + n, size - n, " P18%02x", random_below(3));
		if (random_below(6) == 0)
			n += (size_t)snprintf(buf + n, size - n, "@%x", 1 + random_below(120));
		if (random_below(4) == 0)
			n += (size_t)snprintf(buf + n, size - n, " I%u", random_below(services));
		for (uint32_t k = random_below(3); k > 0; k--) {
			n += (size_t)snprintf(buf + n, size - n, " C2a%02x:r%s", random_below(3),
			                      random_below(2) ? "n" : "");
			if (random_below(8) == 0)
				n += (size_t)snprintf(buf + n, size - n, "@%x",
				                      1 + random_below(120));
			if (random_below(3) == 0)
				n += (size_t)snprintf(buf + n, size - n, " D2901");
		}
	}
}

/* What had a handle since the table was pinned: nothing else may get it. */
static struct owner {
	int kind;
	struct uuid type, service, local;
} owners[0x10000];

static void check_table(bool pinned)
{
	const struct gatt_attr *a, *before = NULL;
	const struct gatt_local_service *s = NULL;

	if (!pinned)
		memset(owners, 0, sizeof(owners));
	for (a = gatt_db_next(db, 0); a; before = a, a = gatt_attr_next(db, a)) {
		struct owner is = {a->kind + 1, a->type, a->service->uuid, {{0}}};

		assert_true(a->handle != 0 && (!before || a->handle > before->handle));
		if (a->kind == GATT_ATTR_SERVICE) {
			assert_true(!s || a->handle > s->end_handle);
			s = a->service;
			assert_int_equal(a->handle, s->handle);
		}
		assert_ptr_equal(a->service, s);
		assert_true(a->handle <= s->end_handle);
		if (a->local)
			is.local = a->local->uuid;
		if (owners[a->handle].kind)
			assert_memory_equal(&owners[a->handle], &is, sizeof(is));
		owners[a->handle] = is;
		assert_ptr_equal(gatt_db_find(db, a->handle), a);
	}
}

static void any_order_of_changes(void **state)
{
	struct gatt_app *apps[4] = {NULL};
	bool pinned = false;
	char words[512];
	int res[3] = {0};

	seed = 42;
	for (int i = 0; i < 4000; i++) {
		struct gatt_app **app = &apps[random_below(4)];
		uint32_t what = random_below(10);

		if (what == 0) {
			pinned = !pinned;
			gatt_db_pin(db, pinned);
		} else if (what < 3 && *app) {
			gatt_db_remove(*app);
			*app = NULL;
		} else {
			int r;

			random_words(words, sizeof(words));
			r = try_add(words, *app, app);
			assert_true(r == 0 || r == -EINVAL || r == -EEXIST);
			res[-r == EEXIST ? 2 : -r == EINVAL]++;
		}
		check_table(pinned);
	}
	assert_true(res[0] > 1000 && res[1] > 100 && res[2] > 50);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(order_and_handles),
		T(tree_and_rows_agree),
		T(looking_up),
		T(wrong_characteristics),
		T(wrong_descriptors),
		T(wrong_registrations),
		T(as_many_as_promised),
		T(a_full_table_can_be_replaced),
		T(as_many_applications_as_promised),
		T(no_handles_left),
		T(free_handles_are_used_again),
		T(pinned_handles_are_not),
		T(pinned_gaps_stay),
		T(pinned_with_the_last_handle_in_use),
		T(replacing),
		T(replacing_keeps_the_order_of_applications),
		T(ranges_of_changes),
		T(ranges_of_includes),
		T(ranges_of_extended_properties),
		T(hash_of_the_specification),
		T(hashes_differ),
		T(values_and_the_hash),
		T(what_is_given_is_kept),
		T(what_is_not_given_has_a_meaning),
		T(the_local_side_writes),
		T(the_peer_writes),
		T(every_allocation_of_a_registration_may_fail),
		T(no_table_without_memory),
		T(long_values_need_memory),
		T(any_order_of_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
