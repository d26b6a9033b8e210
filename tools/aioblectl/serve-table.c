/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The services of a file in a table of the daemon's own making, so that what the daemon would refuse is refused here, in its
 * words, and the handles are those it would give when nobody else has services.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/gatt_server.h"
#include "aiobled/loop.h"
#include "ctl.h"
#include "serve-read.h"

static const char *const levels[] = {
	[GATT_LEVEL_NONE] = "none",
	[GATT_LEVEL_ENCRYPTED] = "encrypted",
	[GATT_LEVEL_AUTHENTICATED] = "authenticated",
	[GATT_LEVEL_SECURE] = "secure",
};

static uint8_t level(const char *word)
{
	for (size_t i = GATT_LEVEL_NONE; word && i < ARRAY_SIZE(levels); i++)
		if (strcmp(levels[i], word) == 0)
			return (uint8_t)i;
	return 0;
}

static void *list_of(size_t n, size_t size)
{
	void *list = calloc(n + 1, size);

	ctl_must(list ? 0 : -ENOMEM);
	return list;
}

/* ---- definitions: views of the file ---- */

static struct gatt_def_value define_value(const struct serve_attr *a)
{
	return (struct gatt_def_value){
		.uuid = a->uuid,
		.handle = a->handle,
		.initial = (const uint8_t *)text_str(&a->initial),
		.initial_len = a->initial.len,
		.max_len = a->max_len,
		.read = a->read,
		.write = a->write,
		.write_no_response = a->write_no_response,
		.notify = a->notify,
		.indicate = a->indicate,
		.capture = a->capture,
		.append = a->append,
		.truncate = a->truncate,
		.read_level = level(a->read_security),
		.write_level = level(a->write_security),
		.key_size = (uint8_t)a->key_size,
	};
}

static struct gatt_def_characteristic define_characteristic(const struct serve_attr *c)
{
	struct gatt_def_value *descriptors = list_of(c->n_descriptors, sizeof(*descriptors));

	for (size_t i = 0; i < c->n_descriptors; i++)
		descriptors[i] = define_value(&c->descriptors[i]);
	return (struct gatt_def_characteristic){
		.value = define_value(c),
		.descriptors = descriptors,
		.n_descriptors = c->n_descriptors,
	};
}

static struct gatt_def_service define_service(const struct serve_service *s)
{
	struct gatt_def_characteristic *characteristics =
		list_of(s->n_characteristics, sizeof(*characteristics));

	for (size_t i = 0; i < s->n_characteristics; i++)
		characteristics[i] = define_characteristic(&s->characteristics[i]);
	return (struct gatt_def_service){
		.uuid = s->uuid,
		.secondary = s->secondary,
		.handle = s->handle,
		.includes = s->includes,
		.n_includes = s->n_includes,
		.characteristics = characteristics,
		.n_characteristics = s->n_characteristics,
	};
}

static struct gatt_def_service *define(const struct serve_file *f)
{
	struct gatt_def_service *defs = list_of(f->n_services, sizeof(*defs));

	for (size_t i = 0; i < f->n_services; i++)
		defs[i] = define_service(&f->services[i]);
	return defs;
}

static void undefine(struct gatt_def_service *defs, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < defs[i].n_characteristics; j++)
			free((void *)defs[i].characteristics[j].descriptors);
		free((void *)defs[i].characteristics);
	}
	free(defs);
}

/* ---- what the daemon says to them ---- */

static const struct place *culprit(const struct serve_file *f, const struct gatt_def_error *e)
{
	const struct serve_service *s;
	const struct serve_attr *c;

	if (e->service < 0)
		return f->services_place;
	s = &f->services[e->service];
	if (e->characteristic < 0)
		return s->place;
	c = &s->characteristics[e->characteristic];
	return e->descriptor < 0 ? c->place : c->descriptors[e->descriptor].place;
}

static void tell(struct reader *r, const struct gatt_def_error *e)
{
	const struct place *p = culprit(r->file, e), *key = place_key(p, e->key);

	if (key)
		read_fail(r, key, "%s", e->text);
	else
		read_missing(r, p, e->key, "%s", e->text);
}

static void take_local(struct serve_attr *a, const struct gatt_local *local)
{
	const struct gatt_local *d;
	size_t i = 0;

	a->at = local->handle;
	list_for_each (d, &local->descriptors, link)
		a->descriptors[i++].at = d->handle;
}

/* The handles it got: both lists are in the order of the file */
static void take_handles(struct serve_file *f, const struct gatt_app *app)
{
	struct gatt_local_service *s;
	struct gatt_local *c;
	size_t i = 0, j;

	list_for_each (s, &app->services, link) {
		j = 0;
		f->services[i].at = s->handle;
		f->services[i].end = s->end_handle;
		list_for_each (c, &s->characteristics, link)
			take_local(&f->services[i].characteristics[j++], c);
		i++;
	}
}

static int add(struct serve_file *f, const struct gatt_def_service *defs,
               struct gatt_def_error *error)
{
	_cleanup_(gatt_server_freep) struct gatt_server *server = NULL;
	struct loop *loop;
	struct gatt_app *app;
	int r = loop_new_virtual(&loop);

	ctl_must(r);
	ctl_must(gatt_server_new(loop, &server));
	r = gatt_server_add(server, defs, f->n_services, NULL, NULL, NULL, &app, error);
	if (r >= 0) {
		take_handles(f, app);
		gatt_server_remove(app);
	}
	server = gatt_server_free(server);
	(void)loop_free(loop); /* NULL */
	return r;
}

void serve_table_check(struct reader *r)
{
	struct gatt_def_error error = {.service = -1, .characteristic = -1, .descriptor = -1};
	struct serve_file *f = r->file;
	struct gatt_def_service *defs;
	int result;

	if (!f->n_services)
		return;
	defs = define(f);
	result = add(f, defs, &error);
	undefine(defs, f->n_services);
	if (result == -EINVAL || result == -EEXIST)
		tell(r, &error);
	else if (result == -ENOBUFS)
		read_fail(r, f->services_place, "more attributes than a table has room for");
	else
		ctl_must(result);
}
