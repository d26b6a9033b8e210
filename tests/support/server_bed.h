/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A test bed for the GATT server: a table with something of every kind, up to three peers as scripts (see transcript.h), and
 * a log of what the application was told.
 *
 * The log is words separated by blanks: "written(0 0022 0102)" is link, handle, value; "subscribed(0 0030 1)"; "read(0 0035)";
 * "over(0035)".
 */
#pragma once

#include "aiobled/gatt_server.h"

#include "transcript.h"

#define SERVER_PEERS 3

/* Handles of the table, after our own services (1 to 0x0d). Every service but these is found by them. */
enum {
	H_NAME = 0x0003,
	H_APPEARANCE = 0x0005,
	H_CHANGED = 0x0008,
	H_CHANGED_CCCD = 0x0009,
	H_FEATURES = 0x000b,
	H_HASH = 0x000d,

	H_SERVICE = 0x0020,    /* primary a001 */
	H_PLAIN = 0x0022,      /* a101, read and write: 01 02 03 */
	H_TEXT = 0x0023,       /* its 2901, read: "text" */
	H_NOTE = 0x0024,       /* its a901, read and write, 40 bytes of 0x64 */
	H_LOCKED = 0x0025,     /* its a902, write */
	H_WRITE_ONLY = 0x0027, /* a102, write, at most 5 bytes */
	H_LONG = 0x0029,       /* a103, read: 60 bytes of 0x4c */
	H_ENCRYPTED = 0x002b,  /* a104, read and write: "e" */
	H_AUTH = 0x002d,       /* a105, read and write with protection: "a" */
	H_KEY = 0x002f,        /* a106, read and write with a key of 16 bytes: "k" */
	H_TELL = 0x0031,       /* a107, read, notify and indicate: 10 11 */
	H_TELL_CCCD = 0x0032,
	H_SECRET = 0x0034, /* a108, notify, encrypted: "s" */
	H_SECRET_CCCD = 0x0035,
	H_INDICATE = 0x0037, /* a10c, indicate: "i" */
	H_INDICATE_CCCD = 0x0038,
	H_COMMAND = 0x003a,  /* a10b, write_no_response */
	H_APPEND = 0x003c,   /* a10d, read and write, append, 10 bytes */
	H_TRUNCATE = 0x003e, /* a10e, read and write, truncate, 4 bytes */
	H_WIDE = 0x0040,     /* 128-bit UUID 0...b1, read: 20 21 22 */

	H_ASKED = 0x0052,   /* in primary a002 at 0x50: a109, read and write, on_read: "one" */
	H_ASKED_2 = 0x0054, /* a109 too, fallback 0x80: "two" */
	H_ASKED_3 = 0x0056, /* a109 too, encrypted: "six" */
	H_FREE = 0x0058,    /* a109, without on_read: "tri" */

	H_SECONDARY = 0x0060, /* secondary a003 */
	H_SAME_A = 0x0062,    /* a10f, read: 4 bytes */
	H_INCLUDING = 0x0070, /* primary 0...a4, includes the secondary and a001 */
	H_SAME_B = 0x0074,    /* a10f, read: 4 bytes */
	H_SAME_C = 0x0076,    /* a10f, read: 5 bytes */
	H_SAME_D = 0x0078,    /* a10f, read, encrypted: 4 bytes */
	H_LAST = 0x0078,
};

struct server_bed {
	struct loop *loop;
	struct gatt_server *server;
	struct gatt_app *app;
	struct bed peers[SERVER_PEERS];
	struct gatt_link *links[SERVER_PEERS];
	char log[16384];
	uint32_t token; /* of the newest question */
	uint64_t deadline_us;
	/* instead of the log's own: may be NULL */
	void (*on_read)(struct server_bed *sb, struct gatt_local *local, uint32_t token);
	void (*on_written)(struct server_bed *sb, struct gatt_local *local);
};

extern const struct gatt_app_events
	server_bed_events; /* for one more application; its data: the bed */

/** server_bed_open() - with the table and no peer */
void server_bed_open(struct server_bed *sb);
void server_bed_close(struct server_bed *sb);

/** server_bed_connect() - peer @i, 1 to SERVER_PEERS, has the identity @i; its link is not secure */
void server_bed_connect(struct server_bed *sb, int i, uint16_t mtu);
void server_bed_disconnect(struct server_bed *sb, int i);
void server_bed_secure(struct server_bed *sb, int i, uint8_t level, uint8_t key_size, bool bonded);

/** server_bed_local() - the value with @handle, or of the CCCD with it */
struct gatt_local *server_bed_local(struct server_bed *sb, uint16_t handle);
struct addr server_bed_identity(int i);

/** server_bed_add() - one more application: a primary service a0f@n with the characteristics a1f0 (read, notify, indicate) */
struct gatt_app *server_bed_add(struct server_bed *sb, uint16_t n, struct gatt_app *old);

/** server_bed_said() - fails unless the log is @words; clears it */
void server_bed_said(struct server_bed *sb, const char *words);
