/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about scripted advertisers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "script.h"

#define LIST_DEFAULT 1000
#define LIST_MAX     5000

enum { PDU_WORD_IND, PDU_WORD_DIRECT, PDU_WORD_NONCONN, PDU_WORD_SCAN, PDU_WORD_EXT };

static const char *const pdu_words[] = {"adv_ind",      "adv_direct_ind", "adv_nonconn_ind",
                                        "adv_scan_ind", "extended",       NULL};
static const char *const type_words[] = {"public", "random", NULL};
static const char *const phy_words[] = {"1m", "2m", "coded", NULL};
static const char *const primary_phy_words[] = {"1m", "coded", NULL};

static const struct key advert_keys[] = {
	{"name", KEY_STRING, true, .min = 1, .max = SCRIPT_NAME_MAX - 1},
	{"address", .type = KEY_ADDR},
	{"address_type", KEY_STRING, .words = type_words},
	{"count", KEY_INT, .min = 1, .max = SCRIPT_TAGS_MAX},
	{"pdu", KEY_STRING, .words = pdu_words},
	{"target", .type = KEY_ADDR},
	{"target_type", KEY_STRING, .words = type_words},
	{"interval_ms", KEY_NUMBER, .min = 5, .max = 40959},
	{"channels", KEY_ARRAY, .min = 1, .max = 3},
	{"data", .type = KEY_STRING},
	{"payloads", KEY_ARRAY, .min = 1, .max = SCRIPT_PAYLOADS_MAX},
	{"cycle_ms", KEY_NUMBER, .min = 1, .max = 1e9},
	{"every_ms", KEY_NUMBER, .min = 1, .max = 1e9},
	{"response", .type = KEY_STRING},
	{"tx_dbm", KEY_INT, .min = -127, .max = 20},
	{"rssi_dbm", KEY_NUMBER, .min = -250, .max = 20},
	{"walk", .type = KEY_ANY},
	{"start_ms", KEY_NUMBER, .min = 0, .max = 1e9},
	{"for_ms", KEY_NUMBER, .min = 1, .max = 4e6},
	{"events", KEY_INT, .min = 1, .max = 1e9},
	{"rotate_ms", KEY_NUMBER, .min = 1, .max = 1e9},
	{"irk", KEY_HEX, .min = 16, .max = 16},
	{"scannable", .type = KEY_BOOL},
	{"connectable", .type = KEY_BOOL},
	{"primary_phy", KEY_STRING, .words = primary_phy_words},
	{"secondary_phy", KEY_STRING, .words = phy_words},
	{"sid", KEY_INT, .min = 0, .max = 15},
	{"rows", KEY_ARRAY, .min = 1, .max = SCRIPT_ROWS_MAX},
	{0},
};

/* --- reading --- */

static size_t data_max(const struct script_spec *s)
{
	if (s->props & ADV_DIRECTED)
		return 0;
	return s->props & ADV_LEGACY ? 31 : ADV_DATA_MAX;
}

static int read_kind(json_object *o, struct script_spec *s, struct complaint *c)
{
	static const uint16_t props[] = {
		[PDU_WORD_IND] = ADV_LEGACY | ADV_CONNECTABLE | ADV_SCANNABLE,
		[PDU_WORD_DIRECT] = ADV_LEGACY | ADV_CONNECTABLE | ADV_DIRECTED,
		[PDU_WORD_NONCONN] = ADV_LEGACY,
		[PDU_WORD_SCAN] = ADV_LEGACY | ADV_SCANNABLE,
		[PDU_WORD_EXT] = 0,
	};
	static const char *const of_extended[] = {"scannable", "connectable", "primary_phy",
	                                          "secondary_phy", "sid"};
	static const uint8_t primary_phys[] = {PHY_1M, PHY_CODED};
	int kind = keys_word(o, "pdu", pdu_words,
	                     keys_has(o, "response") ? PDU_WORD_SCAN : PDU_WORD_NONCONN);

	for (size_t i = 0; kind != PDU_WORD_EXT && i < ARRAY_SIZE(of_extended); i++) {
		if (keys_has(o, of_extended[i]))
			return complain(c, of_extended[i], "is for \"pdu\": \"extended\"");
	}
	s->props = props[kind];
	s->props |= keys_bool(o, "scannable", false) ? ADV_SCANNABLE : 0;
	s->props |= keys_bool(o, "connectable", false) ? ADV_CONNECTABLE : 0;
	if (kind == PDU_WORD_EXT && (s->props & ADV_SCANNABLE) && (s->props & ADV_CONNECTABLE))
		return complain(c, "connectable", "does not go with scannable in extended PDUs");
	s->primary_phy = primary_phys[keys_word(o, "primary_phy", primary_phy_words, 0)];
	s->secondary_phy = (uint8_t)(PHY_1M + keys_word(o, "secondary_phy", phy_words, 0));
	s->sid = (uint8_t)keys_int(o, "sid", 0);
	return 0;
}

/* Without an address the name gives one, so that it is the same in every run. */
static struct addr addr_of_name(const char *name)
{
	uint32_t hash = 2166136261u;

	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return (struct addr){.b = {0, 0, hash & 0xff, hash >> 8 & 0xff, hash >> 16 & 0xff, 0xc0},
	                     .type = ADDR_RANDOM};
}

static int read_addresses(json_object *o, struct script_spec *s, struct complaint *c)
{
	bool directed = s->props & ADV_DIRECTED;

	s->addr = addr_of_name(s->name);
	(void)keys_addr(o, "address", ADDR_RANDOM, &s->addr);
	s->addr.type = (uint8_t)keys_word(o, "address_type", type_words, ADDR_RANDOM);
	if (keys_addr(o, "target", ADDR_PUBLIC, &s->target) != directed)
		return complain(c, "target",
		                directed ? "is missing" : "is for \"pdu\": \"adv_direct_ind\"");
	s->target.type = (uint8_t)keys_word(o, "target_type", type_words, ADDR_PUBLIC);
	s->rotate_us = keys_ms(o, "rotate_ms", 0);
	s->has_irk = keys_hex(o, "irk", s->irk, sizeof(s->irk));
	if (s->has_irk && !s->rotate_us)
		return complain(c, "rotate_ms", "is missing beside irk");
	return 0;
}

static int read_channels(json_object *list, struct script_spec *s, struct complaint *c)
{
	s->channels = list ? 0 : 7;
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		json_object *v = json_object_array_get_idx(list, i);
		int64_t n = json_object_get_int64(v);

		if (!json_object_is_type(v, json_type_int) || n < PHY_PRIMARY_FIRST ||
		    n > PHY_PRIMARY_LAST)
			return complain(c, "channels", "has something other than 37 to 39 in it");
		s->channels |= (uint8_t)(1 << (n - PHY_PRIMARY_FIRST));
	}
	return 0;
}

static int add_payload(struct script_spec *s, json_object *v, struct complaint *c)
{
	int r;

	if (!json_object_is_type(v, json_type_string))
		return complain(c, "", "is not a string");
	r = payload_parse(json_object_get_string(v), data_max(s), &s->payloads[s->n_payloads], c);
	if (r == 0)
		s->n_payloads++;
	return r;
}

static int read_payloads(json_object *o, struct script_spec *s, struct complaint *c)
{
	json_object *one = keys_get(o, "data"), *list = keys_get(o, "payloads");
	size_t n = list ? json_object_array_length(list) : 1;
	char where[24];
	int r = 0;

	if (one && list)
		return complain(c, "payloads", "does not go with data");
	if (!one && !list)
		return 0;
	s->payloads = calloc(n, sizeof(*s->payloads));
	if (!s->payloads)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = add_payload(s, one ? one : json_object_array_get_idx(list, i), c);
		if (r == -EINVAL && list) {
			(void)snprintf(where, sizeof(where), "%zu", i);
			(void)complain_in(c, where);
		}
	}
	return r == -EINVAL ? complain_in(c, one ? "data" : "payloads") : r;
}

static int read_response(json_object *o, struct script_spec *s, struct complaint *c)
{
	const char *text = keys_str(o, "response", NULL);
	int r;

	if (!text)
		return 0;
	if (!(s->props & ADV_SCANNABLE))
		return complain(c, "response", "is for scannable PDUs");
	r = payload_parse(text, data_max(s), &s->response, c);
	return r == -EINVAL ? complain_in(c, "response") : r;
}

static int read_strength(json_object *o, struct script_spec *s, struct complaint *c)
{
	double rssi;
	int r;

	s->tx_dbm = (int8_t)keys_int(o, "tx_dbm", 0);
	rssi = keys_num(o, "rssi_dbm", s->tx_dbm - AIR_LOSS_DEFAULT_DB);
	s->rssi_dbm = (int)(rssi < 0 ? rssi - 0.5 : rssi + 0.5);
	s->walks = keys_has(o, "walk");
	if (!s->walks)
		return 0;
	if (keys_has(o, "rssi_dbm"))
		return complain(c, "rssi_dbm", "does not go with walk");
	r = walk_read(keys_get(o, "walk"), "dbm", -250, 20, &s->walk, c);
	return r == -EINVAL ? complain_in(c, "walk") : r;
}

static void read_times(json_object *o, struct script_spec *s)
{
	s->interval_us = keys_ms(o, "interval_ms", 100000);
	s->start_us = keys_ms(o, "start_ms", 0);
	s->for_us = keys_ms(o, "for_ms", 0);
	s->events = (uint32_t)keys_int(o, "events", 0);
	s->cycle_us = keys_ms(o, "cycle_ms", 0);
	s->every_us = keys_ms(o, "every_ms", 0);
}

int script_read(json_object *o, struct script_spec *ret, struct complaint *c)
{
	struct script_spec s = {.count = (unsigned int)keys_int(o, "count", 1)};
	int r;

	(void)snprintf(s.name, sizeof(s.name), "%s", keys_str(o, "name", "")); /* was checked */
	read_times(o, &s);
	r = read_kind(o, &s, c);
	if (r == 0)
		r = read_addresses(o, &s, c);
	if (r == 0)
		r = read_channels(keys_get(o, "channels"), &s, c);
	if (r == 0)
		r = read_payloads(o, &s, c);
	if (r == 0)
		r = read_response(o, &s, c);
	if (r == 0)
		r = read_strength(o, &s, c);
	if (r == 0)
		*ret = s;
	else
		script_spec_clear(&s);
	return r;
}

/* --- one description, or a table of them --- */

static int copy_members(json_object *to, json_object *from, const char *but)
{
	json_object_object_foreach (from, name, v) {
		if (but && strcmp(name, but) == 0)
			continue;
		if (json_object_object_add(to, name, json_object_get(v)) < 0) {
			json_object_put(v);
			return -ENOMEM;
		}
	}
	return 0;
}

/* A row is the command with some keys of its own. Its name is the command's and its number. */
static int read_row(json_object *cmd, json_object *row, size_t n, struct script_spec *ret,
                    struct complaint *c)
{
	_cleanup_(json_putp) json_object *o = json_object_new_object();
	char name[SCRIPT_NAME_MAX + 8];

	if (!json_object_is_type(row, json_type_object))
		return complain(c, "", "is not an object");
	if (keys_has(row, "name") || keys_has(row, "rows") || keys_has(row, "count"))
		return complain(c, "", "name, rows and count cannot stand in a row");
	if (!o || copy_members(o, cmd, "rows") < 0 || copy_members(o, row, NULL) < 0)
		return -ENOMEM;
	(void)snprintf(name, sizeof(name), "%s.%zu", keys_str(cmd, "name", ""), n);
	json_add_str(o, "name", name);
	json_object_object_del(o, "cmd");
	json_object_object_del(o, "id");
	json_object_object_del(o, "at_ms");
	if (keys_check(o, advert_keys, c) < 0)
		return -EINVAL;
	return script_read(o, ret, c);
}

/* NULL @s: only checked. */
static int take(struct script *s, struct script_spec *spec, struct complaint *c)
{
	int r = s ? script_add(s, spec) : 0;

	if (r == -EEXIST)
		(void)complain(c, "name", "\"%s\" is taken", spec->name);
	else if (r == -ENOBUFS)
		(void)complain(c, "count", "there would be more than %d advertisers",
		               SCRIPT_TAGS_MAX);
	else if (r < 0)
		(void)complain(c, "", "no memory");
	script_spec_clear(spec);
	return r < 0 ? -EINVAL : 0;
}

static int take_row(struct script *s, json_object *cmd, json_object *row, size_t n,
                    struct complaint *c)
{
	struct script_spec spec;
	char where[24];
	int r = read_row(cmd, row, n, &spec, c);

	if (r == -ENOMEM)
		return complain(c, "", "no memory");
	if (r == 0)
		r = take(s, &spec, c);
	if (r == 0)
		return 0;
	(void)snprintf(where, sizeof(where), "%zu", n);
	(void)complain_in(c, where);
	return complain_in(c, "rows");
}

/* All of a table or nothing. */
static void remove_rows(struct script *s, const char *name, size_t n)
{
	char row[SCRIPT_NAME_MAX + 24];

	while (n--) {
		(void)snprintf(row, sizeof(row), "%s.%zu", name, n);
		(void)script_do(s, row, SCRIPT_REMOVE);
	}
}

static int take_advert(struct script *s, json_object *cmd, struct complaint *c)
{
	json_object *rows = keys_get(cmd, "rows");
	struct script_spec spec;
	int r = 0;

	if (!rows) {
		r = script_read(cmd, &spec, c);
		if (r == -ENOMEM)
			return complain(c, "", "no memory");
		return r < 0 ? r : take(s, &spec, c);
	}
	if (keys_has(cmd, "count"))
		return complain(c, "count", "does not go with rows");
	for (size_t i = 0; r == 0 && i < json_object_array_length(rows); i++) {
		r = take_row(s, cmd, json_object_array_get_idx(rows, i), i, c);
		if (r < 0 && s)
			remove_rows(s, keys_str(cmd, "name", ""), i);
	}
	return r;
}

static int check_advert(json_object *cmd, struct complaint *c)
{
	return take_advert(NULL, cmd, c);
}

static int run_advert(struct scene *scene, json_object *cmd, json_object *answer,
                      struct complaint *c)
{
	return take_advert(scene->script, cmd, c);
}

/* --- afterwards --- */

static const struct key name_keys[] = {
	{"name", KEY_STRING, true, .min = 1, .max = AIR_RADIO_NAME_MAX},
	{0},
};

static int told(size_t n, json_object *cmd, json_object *answer, struct complaint *c)
{
	if (!n)
		return complain(c, "name", "there is no advertiser \"%s\"",
		                keys_str(cmd, "name", ""));
	json_add_int(answer, "matched", (int64_t)n);
	return 0;
}

static int run_start(struct scene *scene, json_object *cmd, json_object *answer,
                     struct complaint *c)
{
	return told(script_do(scene->script, keys_str(cmd, "name", ""), SCRIPT_START), cmd, answer,
	            c);
}

static int run_stop(struct scene *scene, json_object *cmd, json_object *answer, struct complaint *c)
{
	return told(script_do(scene->script, keys_str(cmd, "name", ""), SCRIPT_STOP), cmd, answer,
	            c);
}

static int run_remove(struct scene *scene, json_object *cmd, json_object *answer,
                      struct complaint *c)
{
	return told(script_do(scene->script, keys_str(cmd, "name", ""), SCRIPT_REMOVE), cmd, answer,
	            c);
}

static const struct key rssi_keys[] = {
	{"name", KEY_STRING, true, .min = 1, .max = AIR_RADIO_NAME_MAX},
	{"rssi_dbm", KEY_INT, true, .min = -250, .max = 20},
	{0},
};

static int run_rssi(struct scene *scene, json_object *cmd, json_object *answer, struct complaint *c)
{
	int dbm = (int)keys_int(cmd, "rssi_dbm", 0);

	return told(script_set_rssi(scene->script, keys_str(cmd, "name", ""), dbm), cmd, answer, c);
}

static const struct key list_keys[] = {
	{"first", KEY_INT, .min = 0, .max = SCRIPT_TAGS_MAX},
	{"count", KEY_INT, .min = 1, .max = LIST_MAX},
	{0},
};

static int run_list(struct scene *scene, json_object *cmd, json_object *answer, struct complaint *c)
{
	size_t tags, groups = script_count(scene->script, &tags);
	json_object *list = script_list(scene->script, (size_t)keys_int(cmd, "first", 0),
	                                (size_t)keys_int(cmd, "count", LIST_DEFAULT));

	if (!list || json_object_object_add(answer, "adverts", list) < 0)
		return complain(c, "", "no memory");
	json_add_int(answer, "groups", (int64_t)groups);
	json_add_int(answer, "advertisers", (int64_t)tags);
	return 0;
}

const struct command cmd_script_table[] = {
	{"advert", advert_keys, check_advert, run_advert},
	{"advert-start", name_keys, NULL, run_start},
	{"advert-stop", name_keys, NULL, run_stop},
	{"advert-remove", name_keys, NULL, run_remove},
	{"advert-rssi", rssi_keys, NULL, run_rssi},
	{"adverts", list_keys, NULL, run_list},
	{0},
};
