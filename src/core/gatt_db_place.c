/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which handle an attribute gets. Rows of an application come in their order, wanted handles in
 * them, 0 elsewhere; services stay in that order, and none lies inside of another's range. While
 * the table is pinned no handle goes to another attribute than the one that had it.
 */
#include <errno.h>

#include "aiobled/gatt_client.h"

#include "gatt_db_priv.h"

/* What a registration must stay clear of. */
struct clearance {
	struct handles taken; /* ranges of the services of others */
	struct handles used;  /* pinned: handles that belonged to other attributes */
	uint32_t top;         /* highest of either while pinned; else 0 */
};

/* The rows of one service. */
struct slice {
	struct gatt_attr *v;
	size_t n;
};

static uint32_t slice_end(const struct slice *s)
{
	return s->v[s->n - 1].handle;
}

/* --- the same again --- */

static size_t ordinal(const struct gatt_rows *rows, const struct gatt_local_service *service)
{
	size_t i = 0;

	while (i < rows->n && rows->v[i].service != service)
		i++;
	return i;
}

static bool same_row(const struct gatt_rows *a, const struct gatt_rows *b, size_t i)
{
	const struct gatt_attr *x = &a->v[i], *y = &b->v[i];

	if (x->kind != y->kind || !uuid_equal(&x->type, &y->type))
		return false;
	if (x->handle != 0 && x->handle != y->handle)
		return false;
	switch ((enum gatt_attr_kind)x->kind) {
	case GATT_ATTR_SERVICE:
		return uuid_equal(&x->service->uuid, &y->service->uuid);
	case GATT_ATTR_INCLUDE:
		return ordinal(a, x->included) == ordinal(b, y->included);
	case GATT_ATTR_DECLARATION:
		return x->local->properties == y->local->properties;
	case GATT_ATTR_VALUE:
	case GATT_ATTR_CCCD:
	case GATT_ATTR_DESCRIPTOR:
		return true;
	}
	return false;
}

/* Takes the handles over when it is. */
static bool same_shape(struct gatt_rows *rows, const struct gatt_rows *old)
{
	if (!old->v || rows->n != old->n)
		return false;
	for (size_t i = 0; i < rows->n; i++)
		if (!same_row(rows, old, i))
			return false;
	for (size_t i = 0; i < rows->n; i++)
		rows->v[i].handle = old->v[i].handle;
	return true;
}

/* --- what is in the way --- */

static void clear_of_services(struct clearance *c, const struct gatt_db *db,
                              const struct gatt_app *old)
{
	for (size_t i = 0; i < db->rows.n; i++) {
		const struct gatt_attr *a = &db->rows.v[i];

		if (a->kind != GATT_ATTR_SERVICE || a->service->app == old)
			continue;
		for (uint32_t h = a->service->handle; h <= a->service->end_handle; h++)
			handles_set(&c->taken, h, true);
	}
}

static void clearance_init(struct clearance *c, const struct gatt_db *db,
                           const struct gatt_app *old)
{
	memset(c, 0, sizeof(*c));
	clear_of_services(c, db, old);
	if (!db->pinned)
		return;
	c->used = db->used;
	for (uint32_t h = 1; h <= 0xffff; h++)
		if (handles_has(&c->used, h) || handles_has(&c->taken, h))
			c->top = h;
}

/* What had the handle of @a until now? */
static const struct gatt_attr *predecessor(const struct gatt_rows *old, const struct gatt_attr *a)
{
	for (size_t i = 0; i < old->n; i++)
		if (old->v[i].handle >= a->handle)
			return old->v[i].handle == a->handle ? &old->v[i] : NULL;
	return NULL;
}

static bool same_attribute(const struct gatt_attr *a, const struct gatt_rows *old)
{
	const struct gatt_attr *b = predecessor(old, a);

	if (!b || a->kind != b->kind || !uuid_equal(&a->type, &b->type))
		return false;
	return uuid_equal(&a->service->uuid, &b->service->uuid) &&
	       (!a->local || uuid_equal(&a->local->uuid, &b->local->uuid));
}

/* Return: the first handle of @s that it cannot have; 0: none. */
static uint32_t obstacle(const struct clearance *c, const struct slice *s,
                         const struct gatt_rows *old)
{
	for (uint32_t h = s->v[0].handle; h <= slice_end(s); h++)
		if (handles_has(&c->taken, h))
			return h;
	for (size_t i = 0; i < s->n; i++)
		if (handles_has(&c->used, s->v[i].handle) && !same_attribute(&s->v[i], old))
			return s->v[i].handle;
	return 0;
}

/* --- naming the culprit --- */

/* The place of row @at among the definitions; a CCCD is its characteristic's. */
static void locate(const struct gatt_rows *rows, const struct gatt_attr *at,
                   struct gatt_def_error *e)
{
	e->service = e->characteristic = e->descriptor = -1;
	for (const struct gatt_attr *a = rows->v; a <= at; a++) {
		if (a->kind == GATT_ATTR_SERVICE) {
			e->service++;
			e->characteristic = e->descriptor = -1;
		} else if (a->kind == GATT_ATTR_DECLARATION) {
			e->characteristic++;
			e->descriptor = -1;
		} else if (a->kind == GATT_ATTR_DESCRIPTOR) {
			e->descriptor++;
		}
	}
}

static int in_use(const struct gatt_rows *rows, const struct slice *s, uint32_t handle, bool taken,
                  struct gatt_def_error *e)
{
	const struct gatt_attr *at = s->v;

	for (size_t i = 0; i < s->n && s->v[i].handle <= handle; i++)
		at = &s->v[i];
	locate(rows, at, e);
	(void)gatt_def_complain(e, "handle",
	                        taken ? "0x%04x is in use"
	                              : "0x%04x belonged to another attribute, and a link is up",
	                        (unsigned int)handle);
	return -EEXIST;
}

/* --- wanted handles --- */

/* A service that wants none, but has one inside that does, lies right before that. */
static int start_of_wanted(const struct gatt_rows *rows, struct slice *s, struct gatt_def_error *e)
{
	size_t i = 0;

	while (i < s->n && s->v[i].handle == 0)
		i++;
	if (i == 0 || i == s->n)
		return 0;
	if (s->v[i].handle <= i) {
		locate(rows, &s->v[i], e);
		return gatt_def_complain(e, "handle",
		                         "0x%04x leaves no room for what stands before",
		                         s->v[i].handle);
	}
	s->v[0].handle = (uint16_t)(s->v[i].handle - i);
	return 0;
}

static int follow(const struct gatt_rows *rows, struct gatt_attr *a, uint32_t before,
                  struct gatt_def_error *e)
{
	if (a->handle == 0 && before < 0xffff) {
		a->handle = (uint16_t)(before + 1);
		return 0;
	}
	if (a->handle > before)
		return 0;
	locate(rows, a, e);
	if (a->handle == 0)
		return gatt_def_complain(e, "handle", "there is none behind 0xffff");
	return gatt_def_complain(e, "handle", "0x%04x does not follow 0x%04x", a->handle,
	                         (unsigned int)before);
}

static int place_wanted(const struct clearance *c, const struct gatt_rows *rows, struct slice *s,
                        uint32_t before, const struct gatt_rows *old, struct gatt_def_error *e)
{
	uint32_t handle;
	int r = follow(rows, &s->v[0], before, e);

	for (size_t i = 1; i < s->n && r == 0; i++)
		r = follow(rows, &s->v[i], s->v[i - 1].handle, e);
	if (r < 0)
		return r;
	handle = obstacle(c, s, old);
	return handle ? in_use(rows, s, handle, handles_has(&c->taken, handle), e) : 0;
}

/* --- free ones --- */

/* The last of @n handles from @start that is not free; 0: all are. */
static uint32_t last_obstacle(const struct clearance *c, uint32_t start, size_t n)
{
	for (uint32_t h = start + (uint32_t)n; h-- > start;)
		if (handles_has(&c->taken, h) || handles_has(&c->used, h))
			return h;
	return 0;
}

/* The lowest place of @n handles between @start and @limit; 0: there is none. */
static uint32_t find_room(const struct clearance *c, uint32_t start, uint32_t limit, size_t n)
{
	while (start + n - 1 <= limit) {
		uint32_t h = last_obstacle(c, start, n);

		if (h == 0)
			return start;
		start = h + 1;
	}
	return 0;
}

static int place_free(const struct clearance *c, struct slice *s, uint32_t before, uint32_t limit)
{
	uint32_t start = find_room(c, MAX(before, c->top) + 1, limit, s->n);

	/* pinned, and the end of the table was in use: what is free in between will do */
	if (start == 0)
		start = find_room(c, before + 1, limit, s->n);
	/* nor is there room before what is wanted next, which will be named then */
	if (start == 0)
		start = find_room(c, before + 1, 0xffff, s->n);
	if (start == 0)
		return -ENOBUFS;
	for (size_t i = 0; i < s->n; i++)
		s->v[i].handle = (uint16_t)(start + i);
	return 0;
}

/* --- all services --- */

static struct slice slice_at(const struct gatt_rows *rows, size_t from)
{
	size_t n = 1;

	while (from + n < rows->n && rows->v[from + n].kind != GATT_ATTR_SERVICE)
		n++;
	return (struct slice){&rows->v[from], n};
}

/* Up to where a service from @from on may go: before the next one that has its place. */
static uint32_t limit_of(const struct gatt_rows *rows, size_t from)
{
	for (size_t i = from; i < rows->n; i++)
		if (rows->v[i].kind == GATT_ATTR_SERVICE && rows->v[i].handle != 0)
			return rows->v[i].handle - 1U;
	return 0xffff;
}

static int place_all(const struct clearance *c, struct gatt_rows *rows, const struct gatt_rows *old,
                     struct gatt_def_error *e)
{
	uint32_t before = 0;
	struct slice s;
	int r = 0;

	for (size_t i = 0; i < rows->n && r == 0; i += s.n) {
		s = slice_at(rows, i);
		r = start_of_wanted(rows, &s, e);
	}
	for (size_t i = 0; i < rows->n && r == 0; i += s.n) {
		s = slice_at(rows, i);
		if (s.v[0].handle != 0)
			r = place_wanted(c, rows, &s, before, old, e);
		else
			r = place_free(c, &s, before, limit_of(rows, i + s.n));
		before = slice_end(&s);
	}
	return r;
}

static void tell_tree(struct gatt_rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		const struct gatt_attr *a = &rows->v[i];

		a->service->end_handle = a->handle;
		switch ((enum gatt_attr_kind)a->kind) {
		case GATT_ATTR_SERVICE:
			a->service->handle = a->handle;
			break;
		case GATT_ATTR_INCLUDE:
			break;
		case GATT_ATTR_DECLARATION:
			a->local->declaration = a->handle;
			break;
		case GATT_ATTR_CCCD:
			a->local->cccd = a->handle;
			break;
		case GATT_ATTR_VALUE:
		case GATT_ATTR_DESCRIPTOR:
			a->local->handle = a->handle;
			break;
		}
	}
}

int gatt_db_place(const struct gatt_db *db, struct gatt_rows *rows, const struct gatt_app *old_app,
                  const struct gatt_rows *old, struct gatt_def_error *ret_error)
{
	_cleanup_(freep) struct clearance *c = NULL;
	int r = 0;

	if (!same_shape(rows, old)) {
		c = malloc(sizeof(*c));
		if (!c)
			return -ENOMEM;
		clearance_init(c, db, old_app);
		r = place_all(c, rows, old, ret_error);
	}
	if (r == 0)
		tell_tree(rows);
	return r;
}
