/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Definitions of services. The input is a little program that builds an aa{sv}: services with characteristics with
 * descriptors, their keys with values of the right type or of some other, keys that nobody knows. What is read goes into a
 * table as it would on the bus; every error must be one that the bus can carry.
 */
#include "../../src/bus/app_defs.h"

#include <errno.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"
#include "fuzz.h"

#define DICTS_MAX 40 /* of one array, unless the program repeats one */
#define TEXT_MAX  250

enum { SERVICE, CHARACTERISTIC, DESCRIPTOR };

/* Rows of keys and the type each wants; '[' is the array of the level below. */
static const struct {
	const char *key;
	char type;
} keys[] = {
	{"uuid", 'u'},
	{"handle", 'q'},
	{"secondary", 'b'},
	{"includes", 'i'},
	{"characteristics", '['},
	{"read", 'b'},
	{"write", 'b'},
	{"write_no_response", 'b'},
	{"notify", 'b'},
	{"indicate", 'b'},
	{"initial", 'y'},
	{"max_len", 'q'},
	{"append", 'b'},
	{"truncate", 'b'},
	{"capture", 'b'},
	{"on_read", 'b'},
	{"on_read_timeout_ms", 'q'},
	{"on_read_fallback", 'q'},
	{"read_security", 's'},
	{"write_security", 's'},
	{"key_size", 'q'},
	{"descriptors", '['},
};

static int put_dicts(sd_bus_message *m, struct rd *r, int level);

/* --- values, each inside an open variant's place --- */

static int put_text(sd_bus_message *m, struct rd *r)
{
	char text[TEXT_MAX + 1];
	size_t n = rd_u8(r) % (TEXT_MAX + 1);
	const uint8_t *p;

	n = MIN(n, r->left);
	p = rd_bytes(r, n);
	if (n)
		memcpy(text, p, n);
	text[n] = '\0';
	return sd_bus_message_append(m, "v", "s", text);
}

static int put_uuid(sd_bus_message *m, struct rd *r)
{
	static const char *const uuids[] = {"180d",
	                                    "2901",
	                                    "2902",
	                                    "2803",
	                                    "0x1800",
	                                    "0000180f",
	                                    "12345678-1234-5678-1234-56789abcdef0"};

	return sd_bus_message_append(m, "v", "s", uuids[rd_u8(r) % ARRAY_SIZE(uuids)]);
}

static int put_security(sd_bus_message *m, struct rd *r)
{
	static const char *const words[] = {"none", "encrypted", "authenticated", "secure"};

	return sd_bus_message_append(m, "v", "s", words[rd_u8(r) % ARRAY_SIZE(words)]);
}

static int put_bytes(sd_bus_message *m, struct rd *r)
{
	static const uint8_t bytes[600];
	int res = sd_bus_message_open_container(m, 'v', "ay");

	if (res >= 0)
		res = sd_bus_message_append_array(m, 'y', bytes, rd_le16(r) % sizeof(bytes));
	return res < 0 ? res : sd_bus_message_close_container(m);
}

static int put_includes(sd_bus_message *m, struct rd *r)
{
	uint16_t includes[80];
	size_t n = rd_u8(r) % ARRAY_SIZE(includes);
	int res = sd_bus_message_open_container(m, 'v', "aq");

	for (size_t i = 0; i < n; i++)
		includes[i] = rd_u8(r) % 8;
	if (res >= 0)
		res = sd_bus_message_append_array(m, 'q', includes, n * sizeof(includes[0]));
	return res < 0 ? res : sd_bus_message_close_container(m);
}

static int put_below(sd_bus_message *m, struct rd *r, int level)
{
	int res = sd_bus_message_open_container(m, 'v', "aa{sv}");

	if (res >= 0)
		res = put_dicts(m, r, level);
	return res < 0 ? res : sd_bus_message_close_container(m);
}

static int put_value(sd_bus_message *m, struct rd *r, char type, int level)
{
	switch (type) {
	case 'u':
		return put_uuid(m, r);
	case 'q':
		return sd_bus_message_append(m, "v", "q", rd_le16(r));
	case 'b':
		return sd_bus_message_append(m, "v", "b", rd_u8(r) & 1);
	case 'i':
		return put_includes(m, r);
	case 'y':
		return put_bytes(m, r);
	case 's':
		return put_security(m, r);
	case '[':
		return put_below(m, r, level + 1);
	}
	return put_text(m, r);
}

/* --- dictionaries --- */

static int put_key(sd_bus_message *m, struct rd *r, const char *known)
{
	char text[TEXT_MAX + 1];
	size_t n;

	if (known)
		return sd_bus_message_append_basic(m, 's', known);
	n = rd_u8(r) % sizeof(text);
	/* two bytes a character, so that cutting has something to cut */
	for (size_t i = 0; i + 1 < n; i += 2)
		memcpy(text + i, "\xc3\xa9", 2);
	text[n & ~(size_t)1] = '\0';
	return sd_bus_message_append_basic(m, 's', text);
}

static int put_entry(sd_bus_message *m, struct rd *r, int level)
{
	uint8_t pick = rd_u8(r), other = rd_u8(r);
	size_t i = pick % ARRAY_SIZE(keys);
	char type = other < 0xf0 ? keys[i].type : "uqbiys[t"[other % 8];
	int res = sd_bus_message_open_container(m, 'e', "sv");

	if (type == '[' && level >= DESCRIPTOR)
		type = 'b'; /* deep enough for any reader */
	if (res >= 0)
		res = put_key(m, r, pick < 0xfa ? keys[i].key : NULL);
	if (res >= 0)
		res = put_value(m, r, type, level);
	return res < 0 ? res : sd_bus_message_close_container(m);
}

/* One that is as it should be, but for @n more entries. */
static int put_dict(sd_bus_message *m, struct rd *r, int level, bool uuid, unsigned int n)
{
	int res = sd_bus_message_open_container(m, 'a', "{sv}");

	if (res >= 0 && uuid)
		res = sd_bus_message_append(m, "{sv}", "uuid", "s", "2a37");
	for (unsigned int i = 0; i < n && res >= 0; i++)
		res = put_entry(m, r, level);
	return res < 0 ? res : sd_bus_message_close_container(m);
}

static int put_dicts(sd_bus_message *m, struct rd *r, int level)
{
	unsigned int n = rd_u8(r) % DICTS_MAX;
	int res = sd_bus_message_open_container(m, 'a', "a{sv}");

	for (unsigned int i = 0; i < n && r->left && res >= 0; i++) {
		uint8_t shape = rd_u8(r);
		unsigned int times = shape >= 0xfc ? 600 : 1; /* above the limits, in the end */

		for (unsigned int j = 0; j < times && res >= 0; j++)
			res = put_dict(m, r, level, shape & 1, times > 1 ? 0 : shape >> 1 & 7);
	}
	return res < 0 ? res : sd_bus_message_close_container(m);
}

/* --- reading --- */

/* An error reply with these words must be a message. */
static void check_error(sd_bus *sd, const struct bus_error *err)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	char buf[BUS_ERROR_TEXT_MAX];

	FUZZ_CHECK(err->res == -EINVAL || err->res == -ENOBUFS);
	FUZZ_CHECK((err->res == -EINVAL) == (err->key != NULL));
	FUZZ_CHECK(!err->key || strncmp(err->key, "services", strlen("services")) == 0);
	FUZZ_CHECK(sd_bus_message_new_signal(sd, &m, "/a", "a.b", "C") >= 0);
	FUZZ_CHECK(sd_bus_message_append(m, "s", bus_error_text(err, buf)) >= 0);
	FUZZ_CHECK(bus_error_append(m, err) >= 0);
	FUZZ_CHECK(sd_bus_message_seal(m, 1, 0) >= 0);
}

static void check_value(const struct gatt_def_value *v, unsigned long *sum)
{
	FUZZ_CHECK(v->max_len <= 512 && v->on_read_timeout_ms <= GATT_ON_READ_MAX_MS);
	FUZZ_CHECK(v->read_level >= GATT_LEVEL_NONE && v->read_level <= GATT_LEVEL_SECURE);
	FUZZ_CHECK(v->write_level >= GATT_LEVEL_NONE && v->write_level <= GATT_LEVEL_SECURE);
	FUZZ_CHECK(v->key_size == 0 || (v->key_size >= 7 && v->key_size <= 16));
	for (size_t i = 0; i < v->initial_len; i++)
		*sum += v->initial[i];
}

/* Everything can be looked at. */
static unsigned long check_defs(const struct app_defs *defs)
{
	unsigned long sum = 0;
	size_t n = 0;

	FUZZ_CHECK(defs->n);
	for (size_t i = 0; i < defs->n; i++) {
		const struct gatt_def_service *s = &defs->services[i];

		for (size_t j = 0; j < s->n_includes; j++)
			sum += s->includes[j];
		for (size_t j = 0; j < s->n_characteristics; j++, n++) {
			const struct gatt_def_characteristic *c = &s->characteristics[j];

			check_value(&c->value, &sum);
			for (size_t k = 0; k < c->n_descriptors; k++)
				check_value(&c->descriptors[k], &sum);
		}
	}
	FUZZ_CHECK(n == defs->n_characteristics && n <= GATT_APP_CHARACTERISTICS_MAX);
	return sum;
}

static void check(sd_bus *sd, sd_bus_message *m)
{
	_cleanup_(app_defs_deinit) struct app_defs defs = {0};
	_cleanup_(gatt_db_freep) struct gatt_db *db = NULL;
	struct gatt_def_error e = {.service = -1, .characteristic = -1, .descriptor = -1};
	struct bus_error err = {.res = 0};
	struct gatt_app *app;
	int r = app_defs_read(m, &defs, &err);

	if (r == 0) {
		(void)check_defs(&defs);
		FUZZ_CHECK(gatt_db_new(&db) == 0);
		r = gatt_db_add(db, defs.services, defs.n, NULL, &app, &e);
		if (r < 0)
			(void)app_defs_error(&defs, r, &e, &err);
	}
	FUZZ_CHECK(r <= 0);
	if (r < 0)
		check_error(sd, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static sd_bus *sd;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
	struct rd r = rd_init(data, size);

	if (!sd) {
		FUZZ_CHECK(sd_bus_new(&sd) >= 0);
		FUZZ_CHECK(sd_bus_set_address(sd, "unix:path=/nonexistent/of/course") >= 0);
		(void)sd_bus_start(sd); /* there is nobody; messages want a bus that was started */
	}
	if (sd_bus_message_new_method_call(sd, &m, "a.b", "/", "a.b", "C") < 0)
		return 0;
	if (put_dicts(m, &r, SERVICE) >= 0 && sd_bus_message_seal(m, 1, 0) >= 0)
		check(sd, m);
	return 0;
}
