/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The local attribute table: one array of rows in the order of the handles, which are views of the
 * trees of the applications. A change builds the new array first and then swaps, so it happens
 * whole or not at all.
 */
#include <errno.h>

#include "aiobled/att_pdu.h"

#include "gatt_db_priv.h"

/* --- the table --- */

/* calloc() of nothing may be NULL. */
static int rows_new(size_t n, struct gatt_rows *ret)
{
	*ret = (struct gatt_rows){.v = calloc(n + 1, sizeof(*ret->v))};
	return ret->v ? 0 : -ENOMEM;
}

static void rows_clear(struct gatt_rows *rows)
{
	free(rows->v);
}

int gatt_db_new(struct gatt_db **ret)
{
	_cleanup_(gatt_db_freep) struct gatt_db *db = calloc(1, sizeof(*db));

	if (!db)
		return -ENOMEM;
	list_init(&db->apps);
	if (rows_new(0, &db->rows) < 0)
		return -ENOMEM;
	*ret = steal(&db);
	return 0;
}

struct gatt_db *gatt_db_free(struct gatt_db *db)
{
	struct gatt_app *app;

	if (!db)
		return NULL;
	while ((app = list_first(&db->apps, struct gatt_app, link)))
		gatt_app_free(app);
	free(db->rows.v);
	free(db);
	return NULL;
}

struct list *gatt_db_apps(struct gatt_db *db)
{
	return &db->apps;
}

void gatt_db_pin(struct gatt_db *db, bool pinned)
{
	if (db->pinned == pinned)
		return;
	db->pinned = pinned;
	memset(&db->used, 0, sizeof(db->used));
	for (size_t i = 0; i < db->rows.n && pinned; i++)
		handles_set(&db->used, db->rows.v[i].handle, true);
}

/* --- lookups --- */

/* The index of the first row with a handle of at least @handle. */
static size_t row_at(const struct gatt_rows *rows, uint16_t handle)
{
	size_t from = 0, to = rows->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (rows->v[mid].handle < handle)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

const struct gatt_attr *gatt_db_next(const struct gatt_db *db, uint16_t handle)
{
	size_t i = row_at(&db->rows, handle);

	return i < db->rows.n ? &db->rows.v[i] : NULL;
}

const struct gatt_attr *gatt_db_find(const struct gatt_db *db, uint16_t handle)
{
	const struct gatt_attr *a = gatt_db_next(db, handle);

	return a && a->handle == handle ? a : NULL;
}

const struct gatt_attr *gatt_attr_next(const struct gatt_db *db, const struct gatt_attr *attr)
{
	return attr + 1 < db->rows.v + db->rows.n ? attr + 1 : NULL;
}

/* --- what changed --- */

/* All that a peer may remember of an attribute; values are not among it, but for extended properties, which do not change. */
static size_t remembered(const struct gatt_attr *a, uint8_t buf[64])
{
	struct wr w = wr_init(buf, 64);

	wr_bytes(&w, a->type.b, sizeof(a->type.b));
	switch ((enum gatt_attr_kind)a->kind) {
	case GATT_ATTR_SERVICE:
		wr_bytes(&w, a->service->uuid.b, sizeof(a->service->uuid.b));
		wr_le16(&w, a->service->end_handle);
		break;
	case GATT_ATTR_INCLUDE:
		wr_bytes(&w, a->included->uuid.b, sizeof(a->included->uuid.b));
		wr_le16(&w, a->included->handle);
		wr_le16(&w, a->included->end_handle);
		break;
	case GATT_ATTR_DECLARATION:
		wr_bytes(&w, a->local->uuid.b, sizeof(a->local->uuid.b));
		wr_u8(&w, a->local->properties);
		break;
	case GATT_ATTR_DESCRIPTOR:
		if (uuid_equal16(&a->type, UUID_EXTENDED))
			wr_bytes(&w, a->local->value, a->local->len);
		break;
	case GATT_ATTR_VALUE:
	case GATT_ATTR_CCCD:
		break;
	}
	return wr_len(&w);
}

static bool looks_the_same(const struct gatt_attr *a, const struct gatt_attr *b)
{
	uint8_t x[64], y[64];
	size_t n = remembered(a, x);

	return n == remembered(b, y) && memcmp(x, y, n) == 0;
}

static void changed(struct gatt_db *db, uint16_t handle)
{
	if (db->changed_start == 0 || handle < db->changed_start)
		db->changed_start = handle;
	if (handle > db->changed_end)
		db->changed_end = handle;
}

/* Both are in the order of handles. */
static void note_changes(struct gatt_db *db, const struct gatt_rows *was,
                         const struct gatt_rows *is)
{
	size_t i = 0, k = 0;

	while (i < was->n || k < is->n) {
		const struct gatt_attr *a = i < was->n ? &was->v[i] : NULL;
		const struct gatt_attr *b = k < is->n ? &is->v[k] : NULL;

		if (!b || (a && a->handle < b->handle)) {
			changed(db, a->handle);
			i++;
		} else if (!a || b->handle < a->handle) {
			changed(db, b->handle);
			k++;
		} else {
			if (a->service != b->service && !looks_the_same(a, b))
				changed(db, a->handle);
			i++;
			k++;
		}
	}
}

bool gatt_db_range(struct gatt_db *db, uint16_t *ret_start, uint16_t *ret_end)
{
	if (db->changed_start == 0)
		return false;
	*ret_start = db->changed_start;
	*ret_end = db->changed_end;
	db->changed_start = db->changed_end = 0;
	return true;
}

/* --- applications come and go --- */

/* The rows of @db without those of @without, and @more: into @ret, which has room. */
static void merge(const struct gatt_db *db, const struct gatt_app *without,
                  const struct gatt_rows *more, struct gatt_rows *ret)
{
	size_t i = 0, k = 0;

	ret->n = 0;
	while (i < db->rows.n || k < more->n) {
		const struct gatt_attr *a = &db->rows.v[i];

		if (i < db->rows.n && a->service->app == without) {
			i++;
		} else if (k == more->n || (i < db->rows.n && a->handle < more->v[k].handle)) {
			ret->v[ret->n++] = *a;
			i++;
		} else {
			ret->v[ret->n++] = more->v[k++];
		}
	}
}

static size_t count_rows(const struct gatt_db *db, const struct gatt_app *app)
{
	size_t n = 0;

	for (size_t i = 0; i < db->rows.n; i++)
		n += db->rows.v[i].service->app == app;
	return n;
}

/* From here on nothing fails. @table is taken. */
static void commit(struct gatt_db *db, struct gatt_app *app, struct gatt_app *old,
                   const struct gatt_rows *rows, struct gatt_rows *table)
{
	for (size_t i = 0; i < rows->n && db->pinned; i++)
		handles_set(&db->used, rows->v[i].handle, true);
	note_changes(db, &db->rows, table);
	free(db->rows.v);
	db->rows = *table;
	*table = (struct gatt_rows){0};
	app->db = db;
	list_add_before(old ? &old->link : &db->apps, &app->link);
	db->n_apps++;
	if (old) {
		db->n_apps--;
		gatt_app_free(old);
	}
}

static int add(struct gatt_db *db, struct gatt_app *app, size_t n, struct gatt_app *old,
               size_t n_old, struct gatt_def_error *ret_error)
{
	_cleanup_(rows_clear) struct gatt_rows rows = {0}, old_rows = {0}, table = {0};
	int r = rows_new(n, &rows);

	if (r == 0 && old)
		r = rows_new(n_old, &old_rows);
	if (r == 0)
		r = rows_new(db->rows.n - n_old + n, &table);
	if (r < 0)
		return r;
	gatt_app_rows(app, &rows);
	if (old)
		gatt_app_rows(old, &old_rows);
	r = gatt_db_place(db, &rows, old, &old_rows, ret_error);
	if (r < 0)
		return r;
	merge(db, old, &rows, &table);
	commit(db, app, old, &rows, &table);
	return 0;
}

/* @more: attributes; may wrap below zero */
static int check_room(const struct gatt_db *db, size_t more, const struct gatt_app *old,
                      struct gatt_def_error *e)
{
	if (db->rows.n + more > GATT_DB_ATTRIBUTES_MAX)
		e->key = "attributes";
	else if (!old && db->n_apps >= GATT_DB_APPS_MAX)
		e->key = "applications";
	return e->key ? -ENOBUFS : 0;
}

int gatt_db_add(struct gatt_db *db, const struct gatt_def_service *defs, size_t n,
                struct gatt_app *old, struct gatt_app **ret, struct gatt_def_error *ret_error)
{
	_cleanup_(gatt_app_freep) struct gatt_app *app = NULL;
	size_t attributes, n_old = old ? count_rows(db, old) : 0;
	struct gatt_def_error e = {-1, -1, -1, NULL, ""};
	int r = gatt_db_check(defs, n, &attributes, &e);

	if (r == 0)
		r = check_room(db, attributes - n_old, old, &e);
	if (r == 0)
		r = gatt_app_build(defs, n, &app);
	if (r == 0) {
		r = add(db, app, attributes, old, n_old, &e);
		if (r == -ENOBUFS)
			e.key = "handles";
	}
	if (ret_error && e.key)
		*ret_error = e;
	if (r < 0)
		return r;
	*ret = steal(&app);
	return 0;
}

void gatt_db_remove(struct gatt_app *app)
{
	struct gatt_db *db = app->db;
	size_t n = 0;

	for (size_t i = 0; i < db->rows.n; i++) {
		if (db->rows.v[i].service->app == app)
			changed(db, db->rows.v[i].handle);
		else
			db->rows.v[n++] = db->rows.v[i];
	}
	db->rows.n = n;
	db->n_apps--;
	gatt_app_free(app);
}
