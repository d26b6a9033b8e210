/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options of a method. The input is a little program that builds an a{sv}: entries of a key (one of the table's, or any
 * bytes) and a value of some type, nested and listed as it likes; what sd-bus refuses to build is left out. Every message
 * is read against one table that has every type of option.
 */
#include "../../src/bus/bus_opts.h"

#include <errno.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"
#include "fuzz.h"

#define ENTRIES_MAX 40
#define TEXT_MAX    80

struct all {
	bool a_bool;
	int a_tri, an_enum;
	uint8_t a_u8;
	int8_t an_i8;
	uint16_t a_u16;
	uint32_t a_u32, a_ranged;
	struct opt_uuid a_uuid;
	struct opt_uuids uuids;
	struct opt_addrs addrs;
	struct opt_names names;
	struct opt_u16s u16s;
	const char *text, *path;
	struct opt_bytes bytes;
	uint32_t guard;
};

static const char *const words[] = {"one", "two", NULL};

static const struct opt table[] = {
	OPT("bool", struct all, a_bool, OPT_BOOL),
	OPT("tri", struct all, a_tri, OPT_TRI),
	OPT("enum", struct all, an_enum, OPT_ENUM, .names = words),
	OPT("u8", struct all, a_u8, OPT_U8),
	OPT("i8", struct all, an_i8, OPT_I8),
	OPT("u16", struct all, a_u16, OPT_U16),
	OPT("u32", struct all, a_u32, OPT_U32),
	OPT("ranged", struct all, a_ranged, OPT_U32, .min = 10, .max = 20),
	OPT("uuid", struct all, a_uuid, OPT_UUID),
	OPT("uuids", struct all, uuids, OPT_UUIDS),
	OPT("addrs", struct all, addrs, OPT_ADDRS),
	OPT("names", struct all, names, OPT_NAMES),
	OPT("u16s", struct all, u16s, OPT_U16S),
	OPT("text", struct all, text, OPT_TEXT, .max = 20),
	OPT("path", struct all, path, OPT_PATH),
	OPT("bytes", struct all, bytes, OPT_BYTES),
};

/* Text for the bus: the input's bytes as they are; sd-bus itself refuses what is not UTF-8. */
static void read_text(struct rd *r, char text[TEXT_MAX + 1])
{
	size_t n = rd_u8(r) % (TEXT_MAX + 1);
	const uint8_t *p;

	n = MIN(n, r->left);
	p = rd_bytes(r, n);
	if (n)
		memcpy(text, p, n);
	text[n] = '\0';
}

static void read_key(struct rd *r, char text[TEXT_MAX + 1])
{
	uint8_t pick = rd_u8(r);

	if (pick < 0xf0)
		(void)snprintf(text, TEXT_MAX + 1, "%s", table[pick % ARRAY_SIZE(table)].key);
	else
		read_text(r, text);
}

static int put_basic(sd_bus_message *m, char type, struct rd *r)
{
	char text[TEXT_MAX + 1];
	uint64_t v;
	int b;

	if (type == 's' || type == 'o' || type == 'g') {
		read_text(r, text);
		return sd_bus_message_append_basic(m, type, text);
	}
	v = rd_le64(r);
	if (type == 'b') {
		b = v & 1;
		return sd_bus_message_append_basic(m, type, &b);
	}
	return sd_bus_message_append_basic(
		m, type, &v); /* little-endian machines: the low bytes are the number */
}

/* One value of a type the input chooses, inside an open variant's place. */
static int put_variant(sd_bus_message *m, struct rd *r, int depth)
{
	static const char basics[] = "bynqiuxtdsog";
	char sig[3] = {0};
	uint8_t kind = rd_u8(r);
	unsigned int n = kind >> 4;
	int res;

	sig[0] = basics[kind % (sizeof(basics) - 1)];
	if (n == 15 && depth < 3) {
		res = sd_bus_message_open_container(m, 'v', "v");
		if (res >= 0)
			res = put_variant(m, r, depth + 1);
		return res < 0 ? res : sd_bus_message_close_container(m);
	}
	if (n < 8) {
		res = sd_bus_message_open_container(m, 'v', sig);
		if (res >= 0)
			res = put_basic(m, sig[0], r);
		return res < 0 ? res : sd_bus_message_close_container(m);
	}
	sig[1] = sig[0];
	sig[0] = 'a';
	n = rd_u8(r) % 80; /* more than OPTS_LIST_MAX is among them */
	res = sd_bus_message_open_container(m, 'v', sig);
	if (res >= 0)
		res = sd_bus_message_open_container(m, 'a', sig + 1);
	for (unsigned int i = 0; res >= 0 && i < n; i++)
		res = put_basic(m, sig[1], r);
	if (res >= 0)
		res = sd_bus_message_close_container(m);
	return res < 0 ? res : sd_bus_message_close_container(m);
}

static int put_entry(sd_bus_message *m, struct rd *r)
{
	char key[TEXT_MAX + 1];
	int res = sd_bus_message_open_container(m, 'e', "sv");

	read_key(r, key);
	if (res >= 0)
		res = sd_bus_message_append_basic(m, 's', key);
	if (res >= 0)
		res = put_variant(m, r, 0);
	return res < 0 ? res : sd_bus_message_close_container(m);
}

static int build(sd_bus_message *m, struct rd *r)
{
	int res = sd_bus_message_open_container(m, 'a', "{sv}");

	for (int i = 0; i < ENTRIES_MAX && r->left && res >= 0; i++)
		res = put_entry(m, r);
	if (res >= 0)
		res = sd_bus_message_close_container(m);
	return res < 0 ? res : sd_bus_message_seal(m, 1, 0);
}

static void check(sd_bus_message *m)
{
	struct all all = {.a_ranged = 10, .guard = 0x5a5a5a5a};
	struct bus_error err = {.res = 1};
	int r = bus_opts_read(m, table, ARRAY_SIZE(table), &all, &err);
	unsigned long sum = 0;

	FUZZ_CHECK(all.guard == 0x5a5a5a5a);
	FUZZ_CHECK(all.uuids.n <= OPTS_LIST_MAX && all.addrs.n <= OPTS_LIST_MAX &&
	           all.names.n <= OPTS_LIST_MAX && all.u16s.n <= OPTS_LIST_MAX);
	FUZZ_CHECK(all.a_ranged >= 10 && all.a_ranged <= 20);
	FUZZ_CHECK(all.an_enum == 0 || all.an_enum == 1);
	FUZZ_CHECK(!all.text || strlen(all.text) <= 20);
	FUZZ_CHECK(!all.path || *all.path == '/');
	FUZZ_CHECK(all.bytes.given || !all.bytes.n);
	for (size_t i = 0; i < all.bytes.n; i++)
		sum += all.bytes.v[i];
	FUZZ_CHECK(sum <= 255 * all.bytes.n); /* all of it is there */
	if (r == 0)
		return;
	FUZZ_CHECK(r == -EINVAL && err.res == -EINVAL && err.key && err.text);
	FUZZ_CHECK(strcmp(bus_error_suffix(&err), "InvalidArgument") == 0);
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
	if (build(m, &r) >= 0)
		check(m);
	return 0;
}
