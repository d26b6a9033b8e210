/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Definitions as they come from the bus: what arrives of them, and that nothing stays behind when memory ends. */
#include "../../src/bus/app_defs.h"

#include "../support/alloc.h"
#include "aiobled/uuid.h"
#include "test.h"

static sd_bus *sd;
static sd_bus_message *m;
static struct app_defs defs;
static struct bus_error err;

static int setup(void **state)
{
	assert_true(sd_bus_message_new_method_call(sd, &m, "a.b", "/", "a.b", "C") >= 0);
	return 0;
}

static int teardown(void **state)
{
	app_defs_deinit(&defs);
	m = sd_bus_message_unref(m);
	return 0;
}

#define PUT(...)                                                                                   \
	do {                                                                                       \
		assert_true(sd_bus_message_append(m, "aa{sv}", __VA_ARGS__) >= 0);                 \
		assert_true(sd_bus_message_seal(m, 1, 0) >= 0);                                    \
	} while (0)

static void put_all(void)
{
	PUT(2,
	    /* service 0 */
	    3, "uuid", "s", "181a", "includes", "aq", 2, 1, 1, "characteristics", "aa{sv}", 2,
	    /* its first characteristic */
	    18, "initial", "ay", 3, 1, 2, 3, "uuid", "s", "2a6e", "handle", "u", 256, "read", "b",
	    1, "write", "b", 1, "write_no_response", "b", 1, "notify", "b", 1, "indicate", "b", 1,
	    "max_len", "q", 20, "append", "b", 1, "truncate", "b", 1, "capture", "b", 1, "on_read",
	    "b", 1, "on_read_timeout_ms", "u", 500, "on_read_fallback", "y", 0x80, "read_security",
	    "s", "secure", "write_security", "s", "encrypted", "key_size", "y", 16,
	    /* its second, with descriptors */
	    2, "descriptors", "aa{sv}", 2, 2, "uuid", "s", "2901", "initial", "s", "text", 1,
	    "uuid", "s", "2904", "uuid", "s", "2a6f",
	    /* service 1 */
	    3, "secondary", "b", 1, "handle", "q", 512, "uuid", "s", "180f");
}

static void check_first(const struct gatt_def_characteristic *c)
{
	static const uint8_t initial[] = {1, 2, 3};
	const struct gatt_def_value *v = &c->value;

	assert_true(uuid_equal16(&v->uuid, 0x2a6e));
	assert_int_equal(v->handle, 256);
	assert_int_equal(v->initial_len, 3);
	assert_memory_equal(v->initial, initial, 3);
	assert_int_equal(v->max_len, 20);
	assert_true(v->read && v->write && v->write_no_response && v->notify && v->indicate);
	assert_true(v->append && v->truncate && v->capture && v->on_read);
	assert_int_equal(v->on_read_timeout_ms, 500);
	assert_int_equal(v->on_read_fallback, 0x80);
	assert_int_equal(v->read_level, GATT_LEVEL_SECURE);
	assert_int_equal(v->write_level, GATT_LEVEL_ENCRYPTED);
	assert_int_equal(v->key_size, 16);
	assert_int_equal(c->n_descriptors, 0);
}

static void everything_arrives(void **state)
{
	const struct gatt_def_service *s;
	const struct gatt_def_characteristic *c;

	put_all();
	assert_int_equal(app_defs_read(m, &defs, &err), 0);
	assert_int_equal(defs.n, 2);
	assert_int_equal(defs.n_characteristics, 2);
	s = &defs.services[0];
	assert_true(uuid_equal16(&s->uuid, 0x181a));
	assert_false(s->secondary);
	assert_int_equal(s->n_includes, 2);
	assert_int_equal(s->includes[1], 1);
	assert_int_equal(s->n_characteristics, 2);
	check_first(&s->characteristics[0]);
	c = &s->characteristics[1];
	assert_true(uuid_equal16(&c->value.uuid, 0x2a6f));
	assert_false(c->value.read || c->value.notify || c->value.capture || c->value.on_read);
	assert_int_equal(c->value.max_len, 0);
	assert_int_equal(c->value.read_level, GATT_LEVEL_NONE);
	assert_int_equal(c->n_descriptors, 2);
	assert_true(uuid_equal16(&c->descriptors[0].uuid, 0x2901));
	assert_int_equal(c->descriptors[0].initial_len, 4);
	assert_memory_equal(c->descriptors[0].initial, "text", 4);
	assert_null(c->descriptors[1].initial);
	assert_true(defs.services[1].secondary);
	assert_int_equal(defs.services[1].handle, 512);
	assert_int_equal(defs.services[1].n_characteristics, 0);
}

static void memory_ends_anywhere(void **state)
{
	long n = 0;
	int r;

	put_all();
	do {
		assert_true(sd_bus_message_rewind(m, 1) >= 0);
		app_defs_deinit(&defs);
		err = (struct bus_error){0};
		alloc_fail_after = n++;
		r = app_defs_read(m, &defs, &err);
		assert_true(r == 0 || (r == -ENOMEM && err.res == -ENOMEM));
	} while (r < 0);
	assert_true(n > 4); /* there were places to fail at */
	alloc_fail_after = -1;
}

static void what_the_engine_says_has_a_path(void **state)
{
	static const struct {
		struct gatt_def_error e;
		int res;
		const char *key;
	} rows[] = {
		{{-1, -1, -1, "services", "there is none"}, -EINVAL, "services"},
		{{3, -1, -1, "handle", "0x0003 is in use"}, -EEXIST, "services[3].handle"},
		{{0, 511, -1, "initial", "no"},
	         -EINVAL,
	         "services[0].characteristics[511].initial"},
		{{1, 2, 3, "uuid", "no"},
	         -EINVAL,
	         "services[1].characteristics[2].descriptors[3].uuid"},
		{{1, 2, 3, NULL, "no"}, -EINVAL, "services[1].characteristics[2].descriptors[3]"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(app_defs_error(&defs, rows[i].res, &rows[i].e, &err), rows[i].res);
		assert_int_equal(err.res, -EINVAL);
		assert_string_equal(err.key, rows[i].key);
		assert_non_null(strstr(err.text, rows[i].e.text));
	}
	assert_int_equal(app_defs_error(&defs, -ENOBUFS,
	                                &(struct gatt_def_error){-1, -1, -1, "attributes", ""},
	                                &err),
	                 -ENOBUFS);
	assert_string_equal(err.what, "attributes");
	assert_null(err.key);
	assert_int_equal(app_defs_error(&defs, -ENOMEM, &rows[0].e, &err), -ENOMEM);
	assert_int_equal(err.res, -ENOMEM);
}

static int open_bus(void **state)
{
	assert_true(sd_bus_new(&sd) >= 0);
	assert_true(sd_bus_set_address(sd, "unix:path=/nonexistent/of/course") >= 0);
	(void)sd_bus_start(sd); /* there is nobody; messages want a bus that was started */
	return 0;
}

static int close_bus(void **state)
{
	sd = sd_bus_close_unref(sd);
	return 0;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		T(everything_arrives),
		T(memory_ends_anywhere),
		T(what_the_engine_says_has_a_path),
	};

	return cmocka_run_group_tests(tests, open_bus, close_bus);
}
