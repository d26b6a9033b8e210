/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "server_bed.h"

#include <sys/socket.h>
#include <unistd.h>

#include "../unit/test.h"

#define BYTES(s)  .initial = (const uint8_t *)(s), .initial_len = sizeof(s) - 1
#define SHORT(n)  .uuid = UUID16_INIT(n)
#define WIDE(n)   .uuid = {{n, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}}
#define ENCRYPTED .read_level = GATT_LEVEL_ENCRYPTED, .write_level = GATT_LEVEL_ENCRYPTED

static const char note[] = "dddddddddddddddddddddddddddddddddddddddd";
static const char sixty[] = "LLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLL";

static const struct gatt_def_value plain_descriptors[] = {
	{SHORT(0x2901), BYTES("text"), .read = true},
	{SHORT(0xa901), BYTES(note), .read = true, .write = true, .max_len = 50},
	{SHORT(0xa902), .write = true},
};

static const struct gatt_def_characteristic main_characteristics[] = {
	{.value = {SHORT(0xa101), BYTES("\x01\x02\x03"), .read = true, .write = true},
         .descriptors = plain_descriptors,
         .n_descriptors = ARRAY_SIZE(plain_descriptors)},
	{.value = {SHORT(0xa102), .write = true, .max_len = 5}},
	{.value = {SHORT(0xa103), BYTES(sixty), .read = true}},
	{.value = {SHORT(0xa104), BYTES("e"), .read = true, .write = true, ENCRYPTED}},
	{.value = {SHORT(0xa105), BYTES("a"), .read = true, .write = true,
                   .read_level = GATT_LEVEL_AUTHENTICATED,
                   .write_level = GATT_LEVEL_AUTHENTICATED}},
	{.value = {SHORT(0xa106), BYTES("k"), .read = true, .write = true, ENCRYPTED,
                   .key_size = 16}},
	{.value = {SHORT(0xa107), BYTES("\x10\x11"), .read = true, .notify = true,
                   .indicate = true}},
	{.value = {SHORT(0xa108), BYTES("s"), .notify = true, .read_level = GATT_LEVEL_ENCRYPTED}},
	{.value = {SHORT(0xa10c), BYTES("i"), .indicate = true}},
	{.value = {SHORT(0xa10b), .write_no_response = true, .max_len = 20}},
	{.value = {SHORT(0xa10d), .read = true, .write = true, .append = true, .max_len = 10}},
	{.value = {SHORT(0xa10e), .read = true, .write = true, .truncate = true, .max_len = 4}},
	{.value = {WIDE(0xb1), BYTES("\x20\x21\x22"), .read = true}},
};

static const struct gatt_def_characteristic asked_characteristics[] = {
	{.value = {SHORT(0xa109), BYTES("one"), .read = true, .write = true, .on_read = true}},
	{.value = {SHORT(0xa109), BYTES("two"), .read = true, .on_read = true,
                   .on_read_fallback = 0x80}},
	{.value = {SHORT(0xa109), BYTES("six"), .read = true, .on_read = true, ENCRYPTED}},
	{.value = {SHORT(0xa109), BYTES("tri"), .read = true}},
};

static const struct gatt_def_characteristic secondary_characteristics[] = {
	{.value = {SHORT(0xa10f), BYTES("aaaa"), .read = true}},
};

static const struct gatt_def_characteristic including_characteristics[] = {
	{.value = {SHORT(0xa10f), BYTES("bbbb"), .read = true}},
	{.value = {SHORT(0xa10f), BYTES("ccccc"), .read = true}},
	{.value = {SHORT(0xa10f), BYTES("dddd"), .read = true, ENCRYPTED}},
};

static const uint16_t includes[] = {2, 0};

#define CHARACTERISTICS(a) .characteristics = a, .n_characteristics = ARRAY_SIZE(a)

static const struct gatt_def_service services[] = {
	{SHORT(0xa001), .handle = H_SERVICE, CHARACTERISTICS(main_characteristics)},
	{SHORT(0xa002), .handle = 0x50, CHARACTERISTICS(asked_characteristics)},
	{SHORT(0xa003), .handle = H_SECONDARY, .secondary = true,
         CHARACTERISTICS(secondary_characteristics)},
	{WIDE(0xa4), .handle = H_INCLUDING, CHARACTERISTICS(including_characteristics),
         .includes = includes, .n_includes = ARRAY_SIZE(includes)},
};

/* --- the log --- */

static void _printf_(2, 3) say(struct server_bed *sb, const char *fmt, ...)
{
	size_t at = strlen(sb->log);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(sb->log + at, sizeof(sb->log) - at, fmt, ap);
	va_end(ap);
}

static const char *gap(const struct server_bed *sb)
{
	return *sb->log ? " " : "";
}

static int peer_of(struct gatt_link *link)
{
	return (int)(intptr_t)gatt_link_data(link);
}

static void on_written(struct gatt_app *app, struct gatt_local *local, struct gatt_link *link,
                       const uint8_t *value, size_t len, void *data)
{
	struct server_bed *sb = data;

	say(sb, "%swritten(%d %04x ", gap(sb), peer_of(link), local->handle);
	for (size_t i = 0; i < len; i++)
		say(sb, "%02x", value[i]);
	say(sb, ")");
	if (sb->on_written)
		sb->on_written(sb, local);
}

static void on_subscribed(struct gatt_app *app, struct gatt_local *local, struct gatt_link *link,
                          uint16_t cccd, void *data)
{
	struct server_bed *sb = data;

	assert_int_equal(gatt_link_cccd(link, local), cccd);
	say(sb, "%ssubscribed(%d %04x %x)", gap(sb), peer_of(link), local->handle, cccd);
}

static void on_read(struct gatt_app *app, struct gatt_local *local, struct gatt_link *link,
                    uint32_t token, uint64_t deadline_us, void *data)
{
	struct server_bed *sb = data;

	say(sb, "%sread(%d %04x)", gap(sb), peer_of(link), local->handle);
	sb->token = token;
	sb->deadline_us = deadline_us;
	if (sb->on_read)
		sb->on_read(sb, local, token);
}

static void on_read_over(struct gatt_app *app, uint32_t token, void *data)
{
	struct server_bed *sb = data;

	say(sb, "%sover%s", gap(sb), token == sb->token ? "" : "(another)");
}

const struct gatt_app_events server_bed_events = {
	.written = on_written,
	.subscribed = on_subscribed,
	.read = on_read,
	.read_over = on_read_over,
};

void server_bed_said(struct server_bed *sb, const char *words)
{
	if (strcmp(sb->log, words) != 0)
		fail_msg("told: \"%s\"\nexpected: \"%s\"", sb->log, words);
	sb->log[0] = '\0';
}

/* --- the bed --- */

void server_bed_open(struct server_bed *sb)
{
	struct gatt_def_error error = {0};
	int r;

	*sb = (struct server_bed){0};
	assert_int_equal(loop_new_virtual(&sb->loop), 0);
	assert_int_equal(gatt_server_new(sb->loop, &sb->server), 0);
	assert_int_equal(gatt_server_set_gap(sb->server, "aiobled", 0x0300), 0);
	r = gatt_server_add(sb->server, services, ARRAY_SIZE(services), NULL, &server_bed_events,
	                    sb, &sb->app, &error);
	if (r < 0)
		fail_msg("the table: %d, service %d, characteristic %d, descriptor %d, %s: %s", r,
		         error.service, error.characteristic, error.descriptor, error.key,
		         error.text);
}

void server_bed_close(struct server_bed *sb)
{
	for (int i = 0; i < SERVER_PEERS; i++)
		if (sb->links[i])
			server_bed_disconnect(sb, i);
	sb->server = gatt_server_free(sb->server);
	assert_int_equal(loop_settle(sb->loop), 0);
	sb->loop = loop_free(sb->loop);
}

static void peer_value(uint16_t handle, const uint8_t *value, size_t len, bool indication,
                       void *data)
{
}

static void peer_closed(int err, void *data)
{
	struct bed *bed = data;

	bed->closed_count++;
	bed->closed_err = err;
}

struct addr server_bed_identity(int i)
{
	return (struct addr){{(uint8_t)i, 0, 0, 0, 0, 0xc0}, ADDR_RANDOM};
}

void server_bed_connect(struct server_bed *sb, int i, uint16_t mtu)
{
	static const struct att_events events = {.value = peer_value, .closed = peer_closed};
	struct addr identity = server_bed_identity(i);
	struct bed *bed = &sb->peers[i];
	char script[64];
	int fds[2];

	assert_null(sb->links[i]);
	*bed = (struct bed){.loop = sb->loop};
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	                 0);
	bed->peer = fds[1];
	assert_int_equal(att_new(sb->loop, fds[0], &events, bed, &bed->att), 0);
	assert_int_equal(
		gatt_link_new(sb->server, bed->att, &identity, (void *)(intptr_t)i, &sb->links[i]),
		0);
	if (mtu == ATT_MTU_DEFAULT)
		return;
	(void)snprintf(script, sizeof(script), "< 02 %02x %02x; > 03 05 02", mtu & 0xff, mtu >> 8);
	bed_play(bed, "setup", script);
}

void server_bed_disconnect(struct server_bed *sb, int i)
{
	struct bed *bed = &sb->peers[i];

	sb->links[i] = gatt_link_free(sb->links[i]);
	att_fail_all(bed->att, -ENOTCONN);
	bed->att = att_free(bed->att);
	if (bed->peer >= 0)
		(void)close(bed->peer);
	bed->peer = -1;
}

void server_bed_secure(struct server_bed *sb, int i, uint8_t level, uint8_t key_size, bool bonded)
{
	gatt_link_set_security(sb->links[i], level, key_size, bonded);
}

struct gatt_local *server_bed_local(struct server_bed *sb, uint16_t handle)
{
	const struct gatt_attr *attr = gatt_db_find(gatt_server_db(sb->server), handle);

	assert_non_null(attr);
	assert_non_null(attr->local);
	return attr->local;
}

struct gatt_app *server_bed_add(struct server_bed *sb, uint16_t n, struct gatt_app *old)
{
	const struct gatt_def_characteristic chr = {
		.value = {SHORT(0xa1f0), BYTES("x"), .read = true, .write = true, .notify = true,
	                  .indicate = true, .on_read = n == 2}};
	const struct gatt_def_service service = {
		.uuid = uuid_from16(0xa0f0 | n), .characteristics = &chr, .n_characteristics = 1};
	struct gatt_def_error error;
	struct gatt_app *app;

	assert_int_equal(
		gatt_server_add(sb->server, &service, 1, old, &server_bed_events, sb, &app, &error),
		0);
	return app;
}
