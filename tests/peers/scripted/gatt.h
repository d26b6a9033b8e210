/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small honest GATT server: an attribute table made from JSON, and the answer to each request. It
 * knows nothing of links or faults; what a script wants to go wrong goes wrong around it. Written
 * apart from the daemon's own codecs on purpose: one mistake must not agree with itself.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ATT_MAX_PDU = 517,
	ATT_MAX_VALUE = 512,
};

enum att_op {
	ATT_ERROR = 0x01,
	ATT_MTU = 0x02,
	ATT_FIND_INFO = 0x04,
	ATT_FIND_BY_TYPE = 0x06,
	ATT_READ_BY_TYPE = 0x08,
	ATT_READ = 0x0a,
	ATT_READ_BLOB = 0x0c,
	ATT_READ_MULTIPLE = 0x0e,
	ATT_READ_GROUP = 0x10,
	ATT_WRITE = 0x12,
	ATT_PREPARE = 0x16,
	ATT_EXECUTE = 0x18,
	ATT_NOTIFY = 0x1b,
	ATT_INDICATE = 0x1d,
	ATT_CONFIRM = 0x1e,
	ATT_READ_MULTIPLE_VARIABLE = 0x20,
	ATT_COMMAND = 0x52,
	ATT_SIGNED_COMMAND = 0xd2,
};

enum { /* Core 5.4, Vol 3, Part G, 3.3.1.1 */
       PROP_READ = 0x02,
       PROP_COMMAND = 0x04,
       PROP_WRITE = 0x08,
       PROP_NOTIFY = 0x10,
       PROP_INDICATE = 0x20,
};

enum attr_kind {
	ATTR_SERVICE,
	ATTR_INCLUDE,
	ATTR_DECLARATION,
	ATTR_VALUE,
	ATTR_CCCD,
	ATTR_DESCRIPTOR
};

enum attr_behaviour { /* what a write does besides storing */
	              BEHAVE_STORE,
	              BEHAVE_COUNT, /* count commands */
	              BEHAVE_ECHO,  /* indicate what was written */
	              BEHAVE_FLOOD, /* notify as often as was written */
};

struct attr {
	enum attr_kind kind;
	enum attr_behaviour behaviour;
	uint16_t handle;
	uint16_t end; /* of the service */
	uint8_t uuid[16];
	uint8_t uuid_len; /* 2 or 16, least significant byte first */
	uint8_t props;    /* of a value or descriptor: what may be done with it */
	uint8_t read_error, write_error;
	uint16_t len, max;
	uint8_t *value;
};

struct db {
	struct attr *attrs;
	size_t n, size;
	uint16_t last;
};

/**
 * db_build() - the table of @spec: an array of services, or {"services": N, "characteristics": N}
 * for a made-up one Return: 0, or -EINVAL with a sentence in *@ret_why
 */
int db_build(struct db *db, struct json_object *spec, const char **ret_why);
void db_clear(struct db *db);

struct attr *db_find(const struct db *db, uint16_t handle);

/** db_value_of() - the first characteristic value (or descriptor) of UUID @text ("2a37" or in
 * full), or NULL */
struct attr *db_value_of(const struct db *db, const char *text);

/** db_cccd_of() - the CCCD that belongs to a value, or NULL */
struct attr *db_cccd_of(const struct db *db, const struct attr *value);

/** db_default() - the database of a peer that was told nothing */
struct json_object *db_default(void);

int uuid_parse(const char *text, uint8_t *ret_uuid, uint8_t *ret_len);
void uuid_text(const struct attr *a, char *ret, size_t size);
int hex_parse(const char *text, uint8_t *ret, size_t size, size_t *ret_len);

struct server {
	struct db *db;
	uint16_t mtu;     /* in force */
	uint16_t our_mtu; /* what we offer */
	uint8_t prepared[4096];
	size_t prepared_len; /* records of handle, offset, length, bytes */
	void (*written)(struct server *s, struct attr *a, const uint8_t *value, size_t len,
	                bool command);
};

/** server_reset() - a new link: MTU 23, nothing prepared, nobody subscribed */
void server_reset(struct server *s);

/** server_answer() - the answer to @pdu in @rsp (ATT_MAX_PDU bytes). Return: its length, 0 for none
 */
size_t server_answer(struct server *s, const uint8_t *pdu, size_t len, uint8_t *rsp);
