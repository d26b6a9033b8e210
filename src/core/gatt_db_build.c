/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tree of one application: made of checked definitions, freed, and laid out as rows of the
 * table. Where a handle will be stands the wanted one until gatt_db_place() has been.
 */
#include <errno.h>

#include "aiobled/att_pdu.h"
#include "aiobled/gatt_client.h"

#include "gatt_db_priv.h"

/* --- freeing --- */

static void local_free(struct gatt_local *l);

static void locals_free(struct list *locals)
{
	struct gatt_local *l;

	while ((l = list_first(locals, struct gatt_local, link)))
		local_free(l);
}

static void local_free(struct gatt_local *l)
{
	locals_free(&l->descriptors);
	list_del(&l->link);
	free(l->value);
	free(l);
}

struct gatt_app *gatt_app_free(struct gatt_app *app)
{
	struct gatt_local_service *s;

	if (!app)
		return NULL;
	while ((s = list_first(&app->services, struct gatt_local_service, link))) {
		locals_free(&s->characteristics);
		list_del(&s->link);
		free(s->includes);
		free(s);
	}
	list_del(&app->link);
	free(app);
	return NULL;
}

/* --- making --- */

static uint8_t properties_of(const struct gatt_def_value *v)
{
	return (uint8_t)((v->read ? GATT_READ : 0) | (v->write ? GATT_WRITE : 0) |
	                 (v->write_no_response ? GATT_WRITE_NO_RESPONSE : 0) |
	                 (v->notify ? GATT_NOTIFY : 0) | (v->indicate ? GATT_INDICATE : 0));
}

static void copy_rules(struct gatt_local *l, const struct gatt_def_value *v)
{
	l->uuid = v->uuid;
	l->properties = properties_of(v);
	l->capture = v->capture;
	l->append = v->append;
	l->truncate = v->truncate;
	l->on_read = v->on_read;
	l->on_read_timeout_ms =
		v->on_read_timeout_ms ? v->on_read_timeout_ms : GATT_ON_READ_DEFAULT_MS;
	l->on_read_fallback = v->on_read_fallback;
	l->read_level = v->read_level ? v->read_level : GATT_LEVEL_NONE;
	l->write_level = v->write_level ? v->write_level : GATT_LEVEL_NONE;
	l->key_size = v->key_size;
	l->max_len = v->max_len ? v->max_len : ATT_VALUE_MAX;
	l->data = v->data;
}

/* @siblings: where it belongs; it is freed with them, also when this fails half way. */
static int add_local(struct gatt_local_service *s, struct list *siblings,
                     const struct gatt_def_value *v, struct gatt_local **ret)
{
	struct gatt_local *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	list_init(&l->link);
	list_init(&l->descriptors);
	list_add_tail(siblings, &l->link);
	l->service = s;
	copy_rules(l, v);
	*ret = l;
	return gatt_local_set(l, v->initial, v->initial_len);
}

static int add_descriptor(struct gatt_local *c, const struct gatt_def_value *v)
{
	struct gatt_local *d;
	int r = add_local(c->service, &c->descriptors, v, &d);

	if (r < 0)
		return r;
	d->characteristic = c;
	d->handle = v->handle;
	if (uuid_equal16(&v->uuid, UUID_EXTENDED))
		c->properties |= GATT_EXTENDED;
	return 0;
}

static int add_characteristic(struct gatt_local_service *s,
                              const struct gatt_def_characteristic *def)
{
	struct gatt_local *c;
	int r = add_local(s, &s->characteristics, &def->value, &c);

	if (r < 0)
		return r;
	c->declaration = def->value.handle;
	for (size_t i = 0; i < def->n_descriptors && r == 0; i++)
		r = add_descriptor(c, &def->descriptors[i]);
	return r;
}

static int add_service(struct gatt_app *app, const struct gatt_def_service *def)
{
	struct gatt_local_service *s = calloc(1, sizeof(*s));
	int r = 0;

	if (!s)
		return -ENOMEM;
	list_init(&s->link);
	list_init(&s->characteristics);
	list_add_tail(&app->services, &s->link);
	s->app = app;
	s->uuid = def->uuid;
	s->primary = !def->secondary;
	s->handle = def->handle;
	for (size_t i = 0; i < def->n_characteristics && r == 0; i++)
		r = add_characteristic(s, &def->characteristics[i]);
	return r;
}

static struct gatt_local_service *service_at(const struct gatt_app *app, size_t index)
{
	struct gatt_local_service *s;

	list_for_each (s, &app->services, link)
		if (index-- == 0)
			return s;
	return NULL; /* definitions were checked */
}

static int add_includes(struct gatt_app *app, struct gatt_local_service *s,
                        const struct gatt_def_service *def)
{
	if (def->n_includes == 0)
		return 0;
	s->includes = calloc(def->n_includes, sizeof(*s->includes));
	if (!s->includes)
		return -ENOMEM;
	for (size_t i = 0; i < def->n_includes; i++)
		s->includes[s->n_includes++] = service_at(app, def->includes[i]);
	return 0;
}

int gatt_app_build(const struct gatt_def_service *defs, size_t n, struct gatt_app **ret)
{
	_cleanup_(gatt_app_freep) struct gatt_app *app = calloc(1, sizeof(*app));
	struct gatt_local_service *s;
	size_t i = 0;
	int r = 0;

	if (!app)
		return -ENOMEM;
	list_init(&app->link);
	list_init(&app->services);
	while (i < n && r == 0)
		r = add_service(app, &defs[i++]);
	i = 0;
	if (r == 0)
		list_for_each (s, &app->services, link)
			if (r == 0)
				r = add_includes(app, s, &defs[i++]);
	if (r < 0)
		return r;
	*ret = steal(&app);
	return 0;
}

/* --- as rows --- */

static struct gatt_attr *add_row(struct gatt_rows *rows, enum gatt_attr_kind kind, uint16_t handle,
                                 struct gatt_local_service *s, struct gatt_local *l)
{
	struct gatt_attr *a = &rows->v[rows->n++];

	*a = (struct gatt_attr){.handle = handle, .kind = (uint8_t)kind, .service = s, .local = l};
	return a;
}

static void characteristic_rows(struct gatt_local *c, struct gatt_rows *rows)
{
	struct gatt_local *d;

	add_row(rows, GATT_ATTR_DECLARATION, c->declaration, c->service, c)->type =
		uuid_from16(UUID_CHARACTERISTIC);
	add_row(rows, GATT_ATTR_VALUE, c->handle, c->service, c)->type = c->uuid;
	if (c->properties & (GATT_NOTIFY | GATT_INDICATE))
		add_row(rows, GATT_ATTR_CCCD, c->cccd, c->service, c)->type =
			uuid_from16(UUID_CCCD);
	list_for_each (d, &c->descriptors, link)
		add_row(rows, GATT_ATTR_DESCRIPTOR, d->handle, c->service, d)->type = d->uuid;
}

static void service_rows(struct gatt_local_service *s, struct gatt_rows *rows)
{
	struct gatt_local *c;

	add_row(rows, GATT_ATTR_SERVICE, s->handle, s, NULL)->type =
		uuid_from16(s->primary ? UUID_PRIMARY : UUID_SECONDARY);
	for (size_t i = 0; i < s->n_includes; i++) {
		struct gatt_attr *a =
			add_row(rows, GATT_ATTR_INCLUDE,
		                s->handle ? (uint16_t)(s->handle + 1 + i) : 0, s, NULL);

		a->type = uuid_from16(UUID_INCLUDE);
		a->included = s->includes[i];
	}
	list_for_each (c, &s->characteristics, link)
		characteristic_rows(c, rows);
}

void gatt_app_rows(struct gatt_app *app, struct gatt_rows *rows)
{
	struct gatt_local_service *s;

	rows->n = 0;
	list_for_each (s, &app->services, link)
		service_rows(s, rows);
}
