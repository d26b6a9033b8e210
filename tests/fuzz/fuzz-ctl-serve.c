/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of aioblectl serve. What is JSON with places is JSON to json-c as well, and the same tree; each mistake has a line
 * that is there; what passes is within the limits that the daemon has.
 */
#include <json-c/json.h>

#include "serve-file.h"

#include "fuzz.h"

static void check_same(const struct place *p, json_object *o);

static void check_children(const struct place *p, json_object *o)
{
	size_t n = 0;

	for (const struct place *child = p->first; child; child = child->next, n++) {
		json_object *value = NULL;

		FUZZ_CHECK(child->parent == p && child->index == n && child->line >= p->line);
		FUZZ_CHECK((child->key != NULL) == (p->kind == PLACE_OBJECT));
		if (child->key)
			FUZZ_CHECK(json_object_object_get_ex(o, child->key, &value));
		else
			value = json_object_array_get_idx(o, n);
		check_same(child, value);
	}
	FUZZ_CHECK(n == p->count);
	FUZZ_CHECK(n == (p->kind == PLACE_OBJECT ? (size_t)json_object_object_length(o)
	                                         : json_object_array_length(o)));
}

static void check_same(const struct place *p, json_object *o)
{
	static const enum json_type types[] = {
		[PLACE_OBJECT] = json_type_object, [PLACE_ARRAY] = json_type_array,
		[PLACE_STRING] = json_type_string, [PLACE_NUMBER] = json_type_int,
		[PLACE_TRUE] = json_type_boolean,  [PLACE_FALSE] = json_type_boolean,
		[PLACE_NULL] = json_type_null,
	};
	struct text t = {0};

	FUZZ_CHECK(json_object_get_type(o) == types[p->kind] ||
	           (p->kind == PLACE_NUMBER && json_object_is_type(o, json_type_double)));
	if (p->kind == PLACE_OBJECT || p->kind == PLACE_ARRAY)
		check_children(p, o);
	if (p->kind == PLACE_TRUE || p->kind == PLACE_FALSE)
		FUZZ_CHECK(json_object_get_boolean(o) == (p->kind == PLACE_TRUE));
	if (p->kind != PLACE_STRING)
		return;
	place_string(p, &t);
	FUZZ_CHECK(t.len == (size_t)json_object_get_string_len(o) &&
	           memcmp(text_str(&t), json_object_get_string(o), t.len) == 0);
	text_free(&t);
}

static size_t count_lines(const uint8_t *data, size_t size)
{
	size_t n = 1;

	for (size_t i = 0; i < size; i++)
		n += data[i] == '\n';
	return n;
}

static void check_json(const uint8_t *data, size_t size)
{
	json_tokener *tok = json_tokener_new();
	struct place_error e = {.line = 0};
	struct place *tree = NULL;
	json_object *o;

	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS);
	if (place_parse((const char *)data, size, &tree, &e) == 0) {
		o = json_tokener_parse_ex(tok, (const char *)data, (int)size);
		if (json_tokener_get_error(tok) ==
		    json_tokener_continue) /* a number at the very end */
			o = json_tokener_parse_ex(tok, "", 1);
		FUZZ_CHECK(json_tokener_get_error(tok) == json_tokener_success);
		check_same(tree, o);
		json_object_put(o);
	} else {
		FUZZ_CHECK(!tree && e.text.len && e.column && e.line &&
		           e.line <= count_lines(data, size));
	}
	text_free(&e.text);
	place_free(tree);
	json_tokener_free(tok);
}

static void check_attr(const struct serve_attr *a)
{
	FUZZ_CHECK(a->initial.len <= (a->max_len ? a->max_len : VALUE_MAX) &&
	           a->max_len <= VALUE_MAX);
	FUZZ_CHECK(a->format.count > 0);
	FUZZ_CHECK(a->read || a->write || a->write_no_response || a->notify || a->indicate);
	FUZZ_CHECK(!a->capture || a->write || a->write_no_response);
	for (size_t i = 0; i < a->n_descriptors; i++)
		check_attr(&a->descriptors[i]);
}

static void check_good(const struct serve_file *f)
{
	FUZZ_CHECK(f->n_services || f->adv.place);
	for (size_t i = 0; i < f->n_services; i++) {
		for (size_t j = 0; j < f->services[i].n_includes; j++)
			FUZZ_CHECK(f->services[i].includes[j] < f->n_services);
		for (size_t j = 0; j < f->services[i].n_characteristics; j++)
			check_attr(&f->services[i].characteristics[j]);
	}
	FUZZ_CHECK(f->adv.payload.adv_len <= (f->adv.extended ? ADV_DATA_MAX : AD_LEGACY_MAX));
	FUZZ_CHECK(f->adv.payload.rsp_len <= AD_LEGACY_MAX);
}

static void check_errors(const struct serve_file *f, const struct serve_errors *e, size_t lines)
{
	for (size_t i = 0; i < e->count && i < SERVE_ERRORS_MAX; i++) {
		FUZZ_CHECK(e->list[i].line && e->list[i].line <= lines && e->list[i].text[0]);
		FUZZ_CHECK(!f->tree || serve_file_place(f, e->list[i].path));
		FUZZ_CHECK(i == 0 || e->list[i - 1].line <= e->list[i].line);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct serve_errors e = {.count = 0};
	struct serve_file f;
	int r;

	if (size > SERVE_FILE_MAX)
		return 0;
	check_json(data, size);
	r = serve_file_parse((const char *)data, size, &f, &e);
	FUZZ_CHECK((r == 0) == (e.count == 0));
	if (r == 0)
		check_good(&f);
	check_errors(&f, &e, count_lines(data, size));
	serve_errors_free(&e);
	serve_file_free(&f);
	return 0;
}
