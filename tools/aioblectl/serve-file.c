/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Services out of a file. First everything is read where it stands; what depends on a neighbour (the value on its format,
 * an included service on a name further down) is looked at afterwards.
 */
#include "serve-file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/gatt_db.h"
#include "ctl.h"
#include "serve-read.h"

#define NAME_MAX_BYTES 248 /* Core 5.4, Vol 3, Part C, 12.1 */
#define ID_MAX         64

/* Assigned numbers */
#define UUID_GAP          0x1800
#define UUID_GATT         0x1801
#define UUID_DESCRIPTION  0x2901
#define UUID_PRESENTATION 0x2904

static void read_security(struct reader *r, const struct place *p, const struct field *f,
                          void *into);
static void read_descriptors(struct reader *r, const struct place *p, const struct field *f,
                             void *into);
static void read_characteristics(struct reader *r, const struct place *p, const struct field *f,
                                 void *into);
static void read_services(struct reader *r, const struct place *p, const struct field *f,
                          void *into);
static void read_advertising(struct reader *r, const struct place *p, const struct field *f,
                             void *into);
static void read_appearance(struct reader *r, const struct place *p, const struct field *f,
                            void *into);

static const struct field descriptor_fields[] = {
	FIELD_RANGE("id", read_text, serve_attr, id, 0, ID_MAX),
	FIELD("uuid", read_place, serve_attr, uuid_place),
	FIELD("handle", read_place, serve_attr, handle_place),
	FIELD("read", read_bool, serve_attr, read),
	FIELD("write", read_bool, serve_attr, write),
	FIELD("format", read_place, serve_attr, format_place),
	FIELD("initial", read_place, serve_attr, initial_place),
	FIELD_RANGE("max_len", read_u16, serve_attr, max_len, 1, VALUE_MAX),
	FIELD("truncate", read_bool, serve_attr, truncate),
	FIELD("read_security", read_security, serve_attr, read_security),
	FIELD("write_security", read_security, serve_attr, write_security),
	FIELD_RANGE("key_size", read_u16, serve_attr, key_size, 7, 16),
	{.key = NULL},
};

static const struct field characteristic_fields[] = {
	FIELD_RANGE("id", read_text, serve_attr, id, 0, ID_MAX),
	FIELD("uuid", read_place, serve_attr, uuid_place),
	FIELD("handle", read_place, serve_attr, handle_place),
	FIELD("read", read_bool, serve_attr, read),
	FIELD("write", read_bool, serve_attr, write),
	FIELD("write_no_response", read_bool, serve_attr, write_no_response),
	FIELD("notify", read_bool, serve_attr, notify),
	FIELD("indicate", read_bool, serve_attr, indicate),
	FIELD("format", read_place, serve_attr, format_place),
	FIELD("initial", read_place, serve_attr, initial_place),
	FIELD_RANGE("max_len", read_u16, serve_attr, max_len, 1, VALUE_MAX),
	FIELD("append", read_bool, serve_attr, append),
	FIELD("truncate", read_bool, serve_attr, truncate),
	FIELD("capture", read_bool, serve_attr, capture),
	FIELD("read_security", read_security, serve_attr, read_security),
	FIELD("write_security", read_security, serve_attr, write_security),
	FIELD_RANGE("key_size", read_u16, serve_attr, key_size, 7, 16),
	FIELD("description", read_place, serve_attr, description_place),
	FIELD("presentation", read_place, serve_attr, presentation_place),
	FIELD_WHOLE("descriptors", read_descriptors),
	{.key = NULL},
};

static const struct field service_fields[] = {
	FIELD_RANGE("id", read_text, serve_service, id, 0, ID_MAX),
	FIELD("uuid", read_place, serve_service, uuid_place),
	FIELD("handle", read_place, serve_service, handle_place),
	FIELD("secondary", read_bool, serve_service, secondary),
	FIELD("includes", read_place, serve_service, includes_place),
	FIELD_WHOLE("characteristics", read_characteristics),
	{.key = NULL},
};

static const struct field file_fields[] = {
	FIELD_RANGE("name", read_text, serve_file, name, 0, NAME_MAX_BYTES),
	FIELD_WHOLE("appearance", read_appearance),
	FIELD_RANGE("queue", read_u32, serve_file, queue, 1, 4096),
	FIELD("advertising", read_advertising, serve_file, adv),
	FIELD_WHOLE("services", read_services),
	{.key = NULL},
};

/* ---- attributes ---- */

static void read_security(struct reader *r, const struct place *p, const struct field *f,
                          void *into)
{
	static const char *const words[] = {"none", "encrypted", "authenticated", "secure"};

	read_word(r, p, words, ARRAY_SIZE(words), into);
}

static void check_id(struct reader *r, const struct place *p, const char *id)
{
	const struct place *place = place_key(p, "id");

	if (id && (!*id || strpbrk(id, "/ \t\r\n")))
		read_fail(r, place, "an id is a word without blanks and slashes");
}

static void finish_initial(struct reader *r, struct serve_attr *a)
{
	size_t max = a->max_len ? a->max_len : VALUE_MAX;

	a->has_initial = a->initial_place != NULL;
	if (!read_value(r, a->initial_place, a->format_place, &a->format, &a->initial))
		return;
	if (a->initial.len > max)
		read_fail(r, a->initial_place, "%zu bytes are more than the %zu of max_len",
		          a->initial.len, max);
}

static void finish_handle(struct reader *r, const struct place *p, uint16_t *ret)
{
	long v = 0;

	if (p && read_long(r, p, 1, 0xffff, &v))
		*ret = (uint16_t)v;
}

/* What characteristics and descriptors have in common */
static void finish_attr(struct reader *r, struct serve_attr *a, uint16_t first, uint16_t last,
                        const char *what)
{
	check_id(r, a->place, a->id);
	finish_handle(r, a->handle_place, &a->handle);
	finish_initial(r, a);
	if (a->uuid_place)
		(void)read_uuid(r, a->uuid_place, first, last, what, &a->uuid); /* reports */
	else
		read_missing(r, a->place, "uuid", "is missing");
}

static void finish_descriptor(struct reader *r, struct serve_attr *d)
{
	finish_attr(r, d, 0x2900, 0x29ff, "a descriptor");
	if (!d->read && !d->write)
		read_fail(r, d->place, "neither read nor write is true: nobody could use it");
}

static void read_descriptors(struct reader *r, const struct place *p, const struct field *f,
                             void *into)
{
	struct serve_attr *c = into, *d = read_list(r, p, sizeof(*d), &c->n_descriptors);

	c->descriptors = d;
	for (p = p->first; d && p; p = p->next, d++) {
		d->place = p;
		read_object(r, p, "a descriptor", descriptor_fields, d);
	}
}

static struct serve_attr *add_descriptor(struct serve_attr *c, const struct place *p, uint16_t uuid)
{
	struct serve_attr *list = reallocarray(c->descriptors, c->n_descriptors + 1, sizeof(*list)),
			  *d;

	ctl_must(list ? 0 : -ENOMEM);
	c->descriptors = list;
	d = &list[c->n_descriptors++];
	*d = (struct serve_attr){
		.place = p, .uuid = uuid_from16(uuid), .read = true, .has_initial = true};
	return d;
}

static void add_description(struct reader *r, struct serve_attr *c)
{
	struct serve_attr *d;

	if (!c->description_place || !read_is(r, c->description_place, PLACE_STRING))
		return;
	d = add_descriptor(c, c->description_place, UUID_DESCRIPTION);
	(void)value_format_parse("text", &d->format); /* it is one */
	place_string(c->description_place, &d->initial);
	if (d->initial.len > VALUE_MAX)
		read_fail(r, c->description_place, "%zu bytes are more than %d", d->initial.len,
		          VALUE_MAX);
}

/* Assigned Numbers, 2.4.1: what a value of this one field is called in a presentation format; 0: nothing */
static uint8_t presentation_code(const struct value_format *f)
{
	static const struct {
		enum value_kind kind;
		uint8_t size, code;
	} codes[] = {
		{VALUE_UINT, 1, 0x04},      {VALUE_UINT, 2, 0x06},  {VALUE_UINT, 3, 0x07},
		{VALUE_UINT, 4, 0x08},      {VALUE_UINT, 6, 0x09},  {VALUE_UINT, 8, 0x0a},
		{VALUE_INT, 1, 0x0c},       {VALUE_INT, 2, 0x0e},   {VALUE_INT, 3, 0x0f},
		{VALUE_INT, 4, 0x10},       {VALUE_INT, 6, 0x11},   {VALUE_INT, 8, 0x12},
		{VALUE_FLOAT, 4, 0x14},     {VALUE_FLOAT, 8, 0x15}, {VALUE_IEEE11073, 2, 0x16},
		{VALUE_IEEE11073, 4, 0x17}, {VALUE_TEXT, 0, 0x19},
	};

	for (size_t i = 0; f->count == 1 && i < ARRAY_SIZE(codes); i++)
		if (codes[i].kind == f->fields[0].kind && codes[i].size == f->fields[0].size &&
		    !f->fields[0].big_endian)
			return codes[i].code;
	return 0;
}

struct presentation {
	const struct place *exponent, *unit;
	uint16_t format, name_space, description;
};

/* Core 5.4, Vol 3, Part G, 3.3.3.5: format, exponent, unit, name space, description */
static void add_presentation(struct reader *r, struct serve_attr *c)
{
	static const struct field fields[] = {
		FIELD_RANGE("format", read_u16, presentation, format, 1, 0xff),
		FIELD("exponent", read_place, presentation, exponent),
		FIELD("unit", read_place, presentation, unit),
		FIELD_RANGE("namespace", read_u16, presentation, name_space, 0, 0xff),
		FIELD_RANGE("description", read_u16, presentation, description, 0, 0xffff),
		{.key = NULL},
	};
	struct presentation v = {.format = presentation_code(&c->format), .name_space = 1};
	long exponent = 0, unit = 0x2700; /* without a unit */
	struct serve_attr *d;
	uint8_t b[7];

	if (!c->presentation_place)
		return;
	read_object(r, c->presentation_place, "a presentation format", fields, &v);
	if (v.exponent)
		(void)read_long(r, v.exponent, -128, 127, &exponent); /* reports */
	if (v.unit)
		(void)read_long(r, v.unit, 0, 0xffff, &unit); /* as above */
	if (!v.format)
		read_missing(r, c->presentation_place, "format",
		             "is missing, and does not follow from that of the value");
	b[0] = (uint8_t)v.format;
	b[1] = (uint8_t)exponent;
	b[2] = unit & 0xff;
	b[3] = (uint8_t)(unit >> 8);
	b[4] = (uint8_t)v.name_space;
	b[5] = v.description & 0xff;
	b[6] = (uint8_t)(v.description >> 8);
	d = add_descriptor(c, c->presentation_place, UUID_PRESENTATION);
	(void)value_format_parse("hex", &d->format); /* it is one */
	text_add(&d->initial, b, sizeof(b));
}

static void finish_characteristic(struct reader *r, struct serve_attr *c)
{
	bool writable = c->write || c->write_no_response;

	finish_attr(r, c, 0x2a00, 0x2cff, "a characteristic");
	for (size_t i = 0; i < c->n_descriptors; i++)
		if (c->descriptors[i].place->kind == PLACE_OBJECT)
			finish_descriptor(r, &c->descriptors[i]);
	add_description(r, c);
	add_presentation(r, c);
	if (!c->read && !writable && !c->notify && !c->indicate)
		read_fail(r, c->place,
		          "none of read, write, write_no_response, notify and indicate is true: "
		          "nobody could use it");
	c->capture = c->capture && writable;
}

static void read_characteristics(struct reader *r, const struct place *p, const struct field *f,
                                 void *into)
{
	struct serve_service *s = into;
	struct serve_attr *c = read_list(r, p, sizeof(*c), &s->n_characteristics);

	s->characteristics = c;
	for (p = p->first; c && p; p = p->next, c++) {
		c->place = p;
		c->capture = true; /* every write is shown, unless the file says otherwise */
		read_object(r, p, "a characteristic", characteristic_fields, c);
	}
}

/* ---- services ---- */

static void read_services(struct reader *r, const struct place *p, const struct field *f,
                          void *into)
{
	struct serve_file *file = into;
	struct serve_service *s = read_list(r, p, sizeof(*s), &file->n_services);

	file->services = s;
	file->services_place = p;
	for (p = p->first; s && p; p = p->next, s++) {
		s->place = p;
		read_object(r, p, "a service", service_fields, s);
	}
}

/* A service by its id, or by its place in the list from 0 */
static bool find_service(struct reader *r, const struct place *p, uint16_t *ret)
{
	_cleanup_(text_free) struct text id = {0};
	const struct serve_file *f = r->file;
	long v;

	if (p->kind == PLACE_NUMBER) {
		if (!read_long(r, p, 0, (long)f->n_services - 1, &v))
			return false;
		*ret = (uint16_t)v;
		return true;
	}
	if (!read_is(r, p, PLACE_STRING))
		return false;
	place_string(p, &id);
	for (size_t i = 0; i < f->n_services; i++) {
		if (!f->services[i].id || strcmp(f->services[i].id, text_str(&id)) != 0)
			continue;
		*ret = (uint16_t)i;
		return true;
	}
	read_fail(r, p, "no service has this id");
	return false;
}

static void finish_includes(struct reader *r, struct serve_service *s)
{
	const struct place *p = s->includes_place;
	size_t count = 0;

	if (!p)
		return;
	s->includes = read_list(r, p, sizeof(*s->includes), &count);
	for (p = p->first; count && p; p = p->next) {
		uint16_t *index = &s->includes[s->n_includes];

		s->n_includes += find_service(r, p, index);
	}
}

static void finish_service(struct reader *r, struct serve_service *s)
{
	uint16_t n;

	check_id(r, s->place, s->id);
	finish_handle(r, s->handle_place, &s->handle);
	finish_includes(r, s);
	for (size_t i = 0; i < s->n_characteristics; i++)
		if (s->characteristics[i].place->kind == PLACE_OBJECT)
			finish_characteristic(r, &s->characteristics[i]);
	if (!s->uuid_place)
		read_missing(r, s->place, "uuid", "is missing");
	else if (read_uuid(r, s->uuid_place, 0x1800, 0x18ff, "a service", &s->uuid) &&
	         uuid_is16(&s->uuid, &n) && (n == UUID_GAP || n == UUID_GATT))
		read_fail(r, s->uuid_place,
		          "the daemon has this service itself; its values are \"name\" and "
		          "\"appearance\" of the file");
}

/* ---- the whole ---- */

static void read_appearance(struct reader *r, const struct place *p, const struct field *f,
                            void *into)
{
	struct serve_file *file = into;
	long v;

	file->has_appearance = read_long(r, p, 0, 0xffff, &v);
	if (file->has_appearance)
		file->appearance = (uint16_t)v;
}

/* false: serve, but do not advertise */
static void read_advertising(struct reader *r, const struct place *p, const struct field *f,
                             void *into)
{
	struct serve_adv *adv = into;

	adv->place = p;
	adv->on = p->kind != PLACE_FALSE;
	if (adv->on && p->kind != PLACE_TRUE)
		read_object(r, p, "advertising", serve_adv_fields, adv);
}

struct ids {
	struct reader *r;
	const struct place **list;
	size_t count;
};

static void check_unique(struct ids *ids, const struct place *object)
{
	const struct place *p = place_key(object, "id");

	if (!p || p->kind != PLACE_STRING)
		return;
	for (size_t i = 0; i < ids->count; i++) {
		if (ids->list[i]->len != p->len || memcmp(ids->list[i]->s, p->s, p->len) != 0)
			continue;
		read_fail(ids->r, p, "line %u has this id already", ids->list[i]->line);
		return;
	}
	ids->list[ids->count++] = p;
}

static void check_ids(struct reader *r, const struct serve_file *f)
{
	_cleanup_(freep) const struct place **list = NULL;
	struct ids ids = {.r = r};
	size_t max = f->n_services;

	for (size_t i = 0; i < f->n_services; i++)
		for (size_t j = 0; j < f->services[i].n_characteristics; j++)
			max += 1 + f->services[i].characteristics[j].n_descriptors;
	ids.list = list = calloc(max + 1, sizeof(const struct place *));
	ctl_must(list ? 0 : -ENOMEM);
	for (size_t i = 0; i < f->n_services; i++) {
		const struct serve_service *s = &f->services[i];

		check_unique(&ids, s->place);
		for (size_t j = 0; j < s->n_characteristics; j++) {
			const struct serve_attr *c = &s->characteristics[j];

			check_unique(&ids, c->place);
			for (size_t k = 0; k < c->n_descriptors; k++)
				check_unique(&ids, c->descriptors[k].place);
		}
	}
}

static void finish(struct reader *r, const struct place *tree)
{
	struct serve_file *f = r->file;

	for (size_t i = 0; i < f->n_services; i++)
		if (f->services[i].place->kind == PLACE_OBJECT)
			finish_service(r, &f->services[i]);
	if (serve_file_characteristics(f) > GATT_APP_CHARACTERISTICS_MAX)
		read_fail(r, f->services_place, "%zu characteristics are more than %d",
		          serve_file_characteristics(f), GATT_APP_CHARACTERISTICS_MAX);
	else
		check_ids(r, f);
	if (!f->n_services && (!f->adv.on || !f->adv.place) && r->errors->count == 0)
		read_fail(r, tree, "there are no services and no advertising: nothing to do");
	serve_adv_finish(r, f);
	if (r->errors->count == 0)
		serve_table_check(r);
}

static int by_place(const void *a, const void *b)
{
	const struct serve_error *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->column < y->column ? -1 : x->column > y->column;
}

static void not_json(struct serve_errors *errors, struct place_error *e)
{
	errors->list[errors->count++] = (struct serve_error){
		.line = e->line,
		.column = e->column,
		.path = strdup(""),
		.text = text_steal(&e->text),
	};
}

int serve_file_parse(const char *s, size_t len, struct serve_file *f, struct serve_errors *errors)
{
	struct reader r = {.errors = errors, .file = f};
	struct place_error e = {.line = 0};

	*f = (struct serve_file){.source = malloc(len + 1)};
	ctl_must(f->source ? 0 : -ENOMEM);
	memcpy(f->source, s, len);
	f->source[len] = 0;
	serve_adv_init(&f->adv);
	if (place_parse(f->source, len, &f->tree, &e) < 0) {
		not_json(errors, &e);
		return -EINVAL;
	}
	read_object(&r, f->tree, "a file for serve", file_fields, f);
	if (f->tree->kind == PLACE_OBJECT)
		finish(&r, f->tree);
	qsort(errors->list, MIN(errors->count, (size_t)SERVE_ERRORS_MAX), sizeof(errors->list[0]),
	      by_place);
	return errors->count ? -EINVAL : 0;
}

size_t serve_file_characteristics(const struct serve_file *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_services; i++)
		n += f->services[i].n_characteristics;
	return n;
}

/* The part that @word names, "[2]" or "uuid" */
static const struct place *part(const struct place *p, const char *word)
{
	long index = *word == '[' ? atol(word + 1) : 0;

	if (*word != '[')
		return place_key(p, word);
	p = p->kind == PLACE_ARRAY ? p->first : NULL;
	while (p && index-- > 0)
		p = p->next;
	return p;
}

const struct place *serve_file_place(const struct serve_file *f, const char *path)
{
	const struct place *p = f->tree;

	while (p && *path) {
		size_t n = *path == '[' ? strcspn(path, "]") : strcspn(path, ".[");
		_cleanup_(text_free) struct text word = {0};
		const struct place *next;

		text_add(&word, path, n);
		next = part(p, text_str(&word));
		if (!next)
			break;
		p = next;
		path += n;
		path += *path == ']';
		path += *path == '.';
	}
	return p;
}

/* ---- the end ---- */

static void attr_free(struct serve_attr *a)
{
	for (size_t i = 0; i < a->n_descriptors; i++)
		attr_free(&a->descriptors[i]); /* which have none */
	free(a->descriptors);
	free(a->id);
	free(a->read_security);
	free(a->write_security);
	text_free(&a->initial);
}

static void service_free(struct serve_service *s)
{
	for (size_t i = 0; i < s->n_characteristics; i++)
		attr_free(&s->characteristics[i]);
	free(s->characteristics);
	free(s->includes);
	free(s->id);
}

void serve_file_free(struct serve_file *f)
{
	for (size_t i = 0; i < f->n_services; i++)
		service_free(&f->services[i]);
	free(f->services);
	free(f->name);
	serve_adv_free(&f->adv);
	f->tree = place_free(f->tree);
	free(f->source);
	*f = (struct serve_file){.source = NULL};
}

void serve_errors_free(struct serve_errors *e)
{
	for (size_t i = 0; i < MIN(e->count, (size_t)SERVE_ERRORS_MAX); i++) {
		free(e->list[i].path);
		free(e->list[i].text);
	}
	*e = (struct serve_errors){.count = 0};
}
