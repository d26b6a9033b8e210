/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model_db.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "../unit/test.h"

void model_init(struct model_db *db)
{
	db->n = 0;
	db->next = 1;
	db->requests = 0;
}

static struct model_attr *attr_new(struct model_db *db, uint16_t type)
{
	struct model_attr *a = &db->attrs[db->n++];

	assert_true(db->n < MODEL_MAX && db->next != 0);
	*a = (struct model_attr){.handle = db->next, .end = db->next, .type = uuid_from16(type)};
	db->next++;
	return a;
}

static struct uuid token_uuid(const char *s)
{
	struct uuid u;
	char full[UUID_STR_MAX];

	if (*s == 'L') {
		(void)snprintf(full, sizeof(full), "0000%.4s-1111-2222-3333-444455556666", s + 1);
		s = full;
	}
	assert_int_equal(uuid_parse(s, &u), 0);
	return u;
}

static void put(struct model_attr *a, const void *bytes, size_t n)
{
	assert_true(a->len + n <= sizeof(a->value));
	memcpy(a->value + a->len, bytes, n);
	a->len += n;
}

static void put16(struct model_attr *a, uint16_t v)
{
	put(a, (uint8_t[]){v & 0xff, v >> 8}, 2);
}

static void put_uuid(struct model_attr *a, const struct uuid *u)
{
	uint8_t b[UUID_WIRE_MAX];

	put(a, b, uuid_wire(u, b));
}

static void add_characteristic(struct model_db *db, const struct uuid *u)
{
	struct model_attr *decl = attr_new(db, 0x2803);

	put(decl, "\x02", 1);
	put16(decl, db->next);
	put_uuid(decl, u);
	attr_new(db, 0)->type = *u;
}

static struct model_attr *last_of(struct model_db *db, uint16_t type, uint16_t other_type)
{
	for (size_t i = db->n; i > 0; i--)
		if (uuid_equal16(&db->attrs[i - 1].type, type) ||
		    uuid_equal16(&db->attrs[i - 1].type, other_type))
			return &db->attrs[i - 1];
	return NULL;
}

static void add_descriptor(struct model_db *db, const struct uuid *u)
{
	struct model_attr *decl = last_of(db, 0x2803, 0x2803);

	attr_new(db, 0)->type = *u;
	if (decl && uuid_equal16(u, 0x2902))
		decl->value[0] |= 0x10;
}

static void add_include(struct model_db *db, const char *range)
{
	struct model_attr *a = attr_new(db, 0x2802);
	unsigned int start = 0, end = 0;

	assert_int_equal(sscanf(range, "%u-%u", &start, &end), 2);
	put16(a, (uint16_t)start);
	put16(a, (uint16_t)end);
	for (size_t i = 0; i < db->n; i++)
		if (db->attrs[i].handle == start && db->attrs[i].len == 2)
			put(a, db->attrs[i].value,
			    2); /* a short UUID is told along (Part G, 3.2) */
}

static void add_one(struct model_db *db, const char *token)
{
	struct model_attr *s = last_of(db, 0x2800, 0x2801);
	struct uuid u;

	switch (*token) {
	case '@':
		db->next = (uint16_t)strtoul(token + 1, NULL, 10);
		return;
	case 'E':
		s->end = (uint16_t)strtoul(token + 1, NULL, 10);
		db->next = s->end + 1;
		return;
	case 'I':
		add_include(db, token + 1);
		break;
	case 'P':
	case 'S':
		u = token_uuid(token + 1);
		s = attr_new(db, *token == 'P' ? 0x2800 : 0x2801);
		put_uuid(s, &u);
		return;
	case 'C':
		u = token_uuid(token + 1);
		add_characteristic(db, &u);
		break;
	case 'D':
		u = token_uuid(token + 1);
		add_descriptor(db, &u);
		break;
	default:
		fail_msg("no such token: %s", token);
	}
	s->end = db->next - 1;
}

void model_add(struct model_db *db, const char *text)
{
	char *copy = strdup(text), *save = NULL;

	assert_non_null(copy);
	for (char *t = strtok_r(copy, " ", &save); t; t = strtok_r(NULL, " ", &save))
		add_one(db, t);
	free(copy);
}

/* --- the server --- */

struct answer {
	struct wr *w;
	size_t item; /* length of the items; 0: none yet */
};

static bool in(const struct model_attr *a, struct att_range r)
{
	return r.start <= a->handle && a->handle <= r.end;
}

static bool same_length(struct answer *an, size_t item)
{
	if (an->item && an->item != item)
		return false;
	if (item > an->w->left)
		return false;
	an->item = item;
	return true;
}

static void answer_group(struct model_db *db, const struct att_by_type *req, struct wr *w)
{
	struct answer an = {w, 0};

	for (size_t i = 0; i < db->n; i++) {
		const struct model_attr *a = &db->attrs[i];

		if (!in(a, req->range) || !uuid_equal(&a->type, &req->type))
			continue;
		if (!an.item)
			att_put_read_by_group_rsp(w, (uint8_t)(a->len + 4));
		if (!same_length(&an, a->len + 4))
			break;
		att_put_group(w, (struct att_range){a->handle, a->end}, a->value, a->len);
	}
}

static void answer_type(struct model_db *db, const struct att_by_type *req, struct wr *w)
{
	struct answer an = {w, 0};

	for (size_t i = 0; i < db->n; i++) {
		const struct model_attr *a = &db->attrs[i];

		if (!in(a, req->range) || !uuid_equal(&a->type, &req->type))
			continue;
		if (!an.item)
			att_put_read_by_type_rsp(w, (uint8_t)(a->len + 2));
		if (!same_length(&an, a->len + 2))
			break;
		att_put_typed(w, a->handle, a->value, a->len);
	}
}

static void answer_info(struct model_db *db, struct att_range range, struct wr *w)
{
	struct answer an = {w, 0};

	for (size_t i = 0; i < db->n; i++) {
		const struct model_attr *a = &db->attrs[i];
		bool is16 = uuid_is16(&a->type, NULL);

		if (!in(a, range))
			continue;
		if (!an.item)
			att_put_find_info_rsp(w, is16 ? ATT_INFO_FORMAT16 : ATT_INFO_FORMAT128);
		if (!same_length(&an, is16 ? 4 : 18))
			break;
		att_put_info(w, a->handle, &a->type);
	}
}

static void answer_find(struct model_db *db, const struct att_find_by_type *req, struct wr *w)
{
	struct answer an = {w, 0};

	for (size_t i = 0; i < db->n; i++) {
		const struct model_attr *a = &db->attrs[i];

		if (!in(a, req->range) || !uuid_equal16(&a->type, req->type) ||
		    a->len != req->value_len || memcmp(a->value, req->value, a->len) != 0)
			continue;
		if (!an.item)
			att_put_find_by_type_rsp(w);
		if (!same_length(&an, 4))
			break;
		att_put_handles(w, (struct att_range){a->handle, a->end});
	}
}

static void answer_read(struct model_db *db, uint16_t handle, struct wr *w)
{
	for (size_t i = 0; i < db->n; i++)
		if (db->attrs[i].handle == handle)
			att_put_read_rsp(w, db->attrs[i].value, MIN(db->attrs[i].len, w->left - 1));
}

static bool model_request(const uint8_t *pdu, size_t len, struct wr *w, void *data)
{
	struct model_db *db = data;
	struct att_by_type by_type;
	struct att_find_by_type find;
	struct att_prepare prepare;
	struct att_range range;
	uint16_t handle = pdu[1] | pdu[2] << 8;

	db->requests++;
	if (pdu[0] == ATT_READ_BY_GROUP_REQ && att_parse_read_by_type_req(pdu, len, &by_type) == 0)
		answer_group(db, &by_type, w);
	else if (pdu[0] == ATT_READ_BY_TYPE_REQ &&
	         att_parse_read_by_type_req(pdu, len, &by_type) == 0)
		answer_type(db, &by_type, w);
	else if (pdu[0] == ATT_FIND_INFO_REQ && att_parse_find_info_req(pdu, len, &range) == 0)
		answer_info(db, range, w);
	else if (pdu[0] == ATT_FIND_BY_TYPE_REQ && att_parse_find_by_type_req(pdu, len, &find) == 0)
		answer_find(db, &find, w);
	else if (pdu[0] == ATT_READ_REQ)
		answer_read(db, handle, w);
	else if (pdu[0] == ATT_WRITE_REQ)
		att_put_write_rsp(w);
	else if (pdu[0] == ATT_PREPARE_REQ && att_parse_prepare(pdu, len, &prepare) == 0)
		att_put_prepare_rsp(w, &prepare);
	else if (pdu[0] == ATT_EXECUTE_REQ)
		att_put_execute_rsp(w);
	if (wr_len(w) == 0)
		att_put_error(w, pdu[0], handle, ATT_ERR_NOT_FOUND);
	return true;
}

const struct att_server model_server = {.request = model_request};
