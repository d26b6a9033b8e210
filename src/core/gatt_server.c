/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The server of an adapter: its own services (GAP, GATT), applications and links, and where a PDU goes. The server's half of
 * the bearer is set here.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "gatt_server_priv.h"

#define UUID_GAP             0x1800
#define UUID_GATT            0x1801
#define UUID_DEVICE_NAME     0x2a00
#define UUID_APPEARANCE      0x2a01
#define UUID_SERVICE_CHANGED 0x2a05
#define UUID_CLIENT_FEATURES 0x2b29
#define UUID_DATABASE_HASH   0x2b2a

#define GAP_NAME_MAX 248 /* Core 5.4, Vol 3, Part C, 12.1 */

/* --- requests --- */

bool gatt_refuse(struct wr *w, uint8_t request, uint16_t handle, uint8_t code)
{
	att_put_error(w, request, handle, code);
	return true;
}

bool gatt_link_respond(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	switch (pdu[0]) {
	case ATT_WRITE_REQ:
	case ATT_PREPARE_REQ:
	case ATT_EXECUTE_REQ:
		return gatt_accept_write(link, pdu, len, w);
	}
	return gatt_respond_read(link, pdu, len, w);
}

static void count_answer(struct gatt_server_stats *stats, const struct wr *w)
{
	switch (w->start[0]) {
	case ATT_ERROR_RSP:
		stats->refused += w->start[4] != ATT_ERR_NOT_FOUND;
		break;
	case ATT_READ_BY_TYPE_RSP:
	case ATT_READ_RSP:
	case ATT_READ_BLOB_RSP:
	case ATT_READ_MULTI_RSP:
	case ATT_READ_MULTI_VAR_RSP:
		stats->reads++;
		break;
	case ATT_WRITE_RSP:
	case ATT_EXECUTE_RSP:
		stats->writes++;
		break;
	}
}

/* What was to be executed is not kept for a later time (Core 5.4, Vol 3, Part F, 3.4.6.3): the peer takes it for refused. */
static bool refuse_out_of_sync(struct gatt_link *link, uint8_t request, uint16_t handle,
                               struct wr *w)
{
	if (request == ATT_EXECUTE_REQ) {
		gatt_prepared_clear(link);
		handle = 0;
	}
	return gatt_refuse(w, request, handle, ATT_ERR_DB_OUT_OF_SYNC);
}

static bool answer(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w)
{
	uint16_t handle = len >= 3 ? pdu[1] | pdu[2] << 8 : 0;

	if (gatt_is_out_of_sync(link, pdu, len))
		return refuse_out_of_sync(link, pdu[0], handle, w);
	if (gatt_link_respond(link, pdu, len, w))
		return true;
	if (gatt_ask_begin(link, pdu, len) == 0)
		return false;
	*w = wr_init(w->start, wr_len(w) + w->left);
	return gatt_refuse(w, pdu[0], link->wanted->handle, ATT_ERR_RESOURCES);
}

/* An execution that is refused has emptied its queue, and what was queued had the right to be. */
static bool is_to_be_repeated(struct gatt_link *link, const struct wr *rsp)
{
	const uint8_t *pdu = rsp->start;

	return wr_ok(rsp) && pdu[0] == ATT_ERROR_RSP && pdu[1] != ATT_EXECUTE_REQ &&
	       gatt_is_outdated(link, pdu[4]);
}

static bool on_request(const uint8_t *pdu, size_t len, struct wr *rsp, void *data)
{
	struct gatt_link *link = data;

	if (!answer(link, pdu, len, rsp))
		return false;
	if (is_to_be_repeated(link, rsp)) {
		*rsp = wr_init(rsp->start, wr_len(rsp) + rsp->left);
		if (!answer(link, pdu, len, rsp))
			return false;
	}
	if (wr_ok(rsp))
		count_answer(&link->server->stats, rsp);
	return true;
}

void gatt_count_answer(struct gatt_link *link, const struct wr *w)
{
	count_answer(&link->server->stats, w);
}

static void on_command(const uint8_t *pdu, size_t len, void *data)
{
	gatt_accept_command(data, pdu, len);
}

static void on_confirmed(void *data)
{
	gatt_tell_next(data);
}

static void on_writable(void *data)
{
	gatt_tell_due(data);
}

static const struct att_server att_side = {
	.request = on_request,
	.command = on_command,
	.confirmed = on_confirmed,
	.writable = on_writable,
};

/* --- security --- */

uint8_t gatt_check_level(const struct gatt_link *link, uint8_t level, uint8_t key_size)
{
	if (level <= GATT_LEVEL_NONE)
		return 0;
	if (link->level <= GATT_LEVEL_NONE)
		return link->bonded ? ATT_ERR_ENCRYPTION : ATT_ERR_AUTHENTICATION;
	if (link->level < level)
		return ATT_ERR_AUTHENTICATION;
	return link->key_size < key_size ? ATT_ERR_KEY_SIZE : 0;
}

uint8_t gatt_check_read_level(const struct gatt_link *link, const struct gatt_local *local)
{
	return gatt_check_level(link, local->read_level, local->key_size);
}

bool gatt_is_outdated(struct gatt_link *link, uint8_t code)
{
	uint8_t level = link->level, key_size = link->key_size;

	if (!link->refused || (code != ATT_ERR_AUTHENTICATION && code != ATT_ERR_ENCRYPTION &&
	                       code != ATT_ERR_KEY_SIZE))
		return false;
	link->refused(link);
	return link->level != level || link->key_size != key_size;
}

void gatt_link_set_refused(struct gatt_link *link, void (*refused)(struct gatt_link *link))
{
	link->refused = refused;
}

/* --- links --- */

void gatt_link_hold(struct gatt_link *link)
{
	link->holds++;
}

void gatt_link_release(struct gatt_link *link)
{
	if (--link->holds == 0 && link->freed)
		free(link);
}

int gatt_link_new(struct gatt_server *server, struct att *att, const struct addr *identity,
                  void *data, struct gatt_link **ret)
{
	struct gatt_link *link = calloc(1, sizeof(*link));

	if (!link)
		return -ENOMEM;
	link->server = server;
	link->att = att;
	link->identity = *identity;
	link->data = data;
	link->level = GATT_LEVEL_NONE;
	link->aware = true;
	list_init(&link->prepared);
	gatt_tell_init(link);
	list_add_tail(&server->links, &link->link);
	gatt_db_pin(server->db, true);
	att_set_server(att, &att_side, link);
	*ret = link;
	return 0;
}

/* Off first, then tell: whoever is told and looks finds no link. */
struct gatt_link *gatt_link_free(struct gatt_link *link)
{
	struct gatt_server *server;

	if (!link)
		return NULL;
	server = link->server;
	link->down = true;
	list_del(&link->link);
	att_set_server(link->att, &att_server_empty, NULL);
	gatt_link_hold(link);
	gatt_prepared_clear(link);
	gatt_ask_end(link);
	gatt_tell_end(link);
	gatt_cccds_end(link);
	gatt_bond_keep(link);
	gatt_bond_hand_over(server, &link->identity);
	if (list_empty(&server->links))
		gatt_db_pin(server->db, false);
	link->freed = true;
	gatt_link_release(link);
	return NULL;
}

void gatt_link_set_security(struct gatt_link *link, uint8_t level, uint8_t key_size, bool bonded)
{
	link->level = level;
	link->key_size = key_size;
	link->bonded = bonded;
	if (bonded && level > GATT_LEVEL_NONE && !link->bond)
		gatt_bond_attach(link);
}

void gatt_link_set_identity(struct gatt_link *link, const struct addr *identity)
{
	link->identity = *identity;
}

void *gatt_link_data(const struct gatt_link *link)
{
	return link->data;
}

struct gatt_link *gatt_server_next_link(struct gatt_server *server, struct gatt_link *link)
{
	struct list *next = link ? link->link.next : server->links.next;

	return next == &server->links ? NULL : list_entry(next, struct gatt_link, link);
}

/* --- applications --- */

const struct gatt_hooks *gatt_hooks(const struct gatt_local *local)
{
	const struct gatt_hooks *hooks = local->service->app->data;

	return hooks->events ? hooks : NULL;
}

/* @app is a number by now. */
static void app_gone(struct gatt_server *server, const struct gatt_app *app)
{
	struct gatt_link *link;

	list_for_each (link, &server->links, link) {
		gatt_ask_app_gone(link, app);
		gatt_tell_app_gone(link, app);
	}
}

static int add_app(struct gatt_server *server, const struct gatt_def_service *defs, size_t n,
                   struct gatt_app *old, const struct gatt_app_events *events, void *data,
                   struct gatt_app **ret, struct gatt_def_error *ret_error)
{
	struct gatt_hooks *hooks = calloc(1, sizeof(*hooks));
	_cleanup_(freep) void *old_hooks = NULL;
	struct gatt_app *app;
	int r;

	if (!hooks)
		return -ENOMEM;
	*hooks = (struct gatt_hooks){.server = server, .events = events, .data = data};
	if (old)
		old_hooks = old->data;
	r = gatt_db_add(server->db, defs, n, old, &app, ret_error);
	if (r < 0) {
		old_hooks = NULL;
		free(hooks);
		return r;
	}
	app->data = hooks;
	if (old)
		app_gone(server, old);
	gatt_table_changed(server);
	*ret = app;
	return 0;
}

/* There is one GAP and one GATT service (Core 5.4, Vol 3, Part C, 12; Part G, 7), and they are the server's. */
static int refuse_own_services(const struct gatt_def_service *defs, size_t n,
                               struct gatt_def_error *ret_error)
{
	for (size_t i = 0; i < n; i++) {
		if (!uuid_equal16(&defs[i].uuid, UUID_GAP) &&
		    !uuid_equal16(&defs[i].uuid, UUID_GATT))
			continue;
		*ret_error = (struct gatt_def_error){
			.service = (int)i, .characteristic = -1, .descriptor = -1, .key = "uuid"};
		(void)snprintf(ret_error->text, sizeof(ret_error->text),
		               "is a service that the daemon has itself");
		return -EINVAL;
	}
	return 0;
}

int gatt_server_add(struct gatt_server *server, const struct gatt_def_service *defs, size_t n,
                    struct gatt_app *old, const struct gatt_app_events *events, void *data,
                    struct gatt_app **ret, struct gatt_def_error *ret_error)
{
	int r = refuse_own_services(defs, n, ret_error);

	return r < 0 ? r : add_app(server, defs, n, old, events, data, ret, ret_error);
}

void gatt_server_remove(struct gatt_app *app)
{
	_cleanup_(freep) struct gatt_hooks *hooks = app->data;
	struct gatt_server *server = hooks->server;

	gatt_db_remove(app);
	app_gone(server, app);
	gatt_table_changed(server);
}

/* --- our own services --- */

static const struct gatt_def_characteristic gap_characteristics[] = {
	{.value = {.uuid = UUID16_INIT(UUID_DEVICE_NAME), .read = true, .max_len = GAP_NAME_MAX}},
	{.value = {.uuid = UUID16_INIT(UUID_APPEARANCE), .read = true, .max_len = 2}},
};

static const struct gatt_def_characteristic gatt_characteristics[] = {
	{.value = {.uuid = UUID16_INIT(UUID_SERVICE_CHANGED), .indicate = true, .max_len = 4}},
	{.value = {.uuid = UUID16_INIT(UUID_CLIENT_FEATURES), .read = true, .write = true}},
	{.value = {.uuid = UUID16_INIT(UUID_DATABASE_HASH),
                   .read = true,
                   .max_len = GATT_HASH_LEN}},
};

static const struct gatt_def_service own_services[] = {
	{.uuid = UUID16_INIT(UUID_GAP),
         .characteristics = gap_characteristics,
         .n_characteristics = ARRAY_SIZE(gap_characteristics)},
	{.uuid = UUID16_INIT(UUID_GATT),
         .characteristics = gatt_characteristics,
         .n_characteristics = ARRAY_SIZE(gatt_characteristics)},
};

static struct gatt_local *find_local(const struct gatt_app *app, uint16_t uuid)
{
	struct gatt_local_service *service;
	struct gatt_local *local;

	list_for_each (service, &app->services, link)
		list_for_each (local, &service->characteristics, link)
			if (uuid_equal16(&local->uuid, uuid))
				return local;
	return NULL;
}

static int add_own_services(struct gatt_server *server)
{
	struct gatt_def_error error;
	struct gatt_app *app;
	int r = add_app(server, own_services, ARRAY_SIZE(own_services), NULL, NULL, NULL, &app,
	                &error);

	if (r < 0)
		return r;
	server->name = find_local(app, UUID_DEVICE_NAME);
	server->appearance = find_local(app, UUID_APPEARANCE);
	server->changed = find_local(app, UUID_SERVICE_CHANGED);
	server->features = find_local(app, UUID_CLIENT_FEATURES);
	server->hash = find_local(app, UUID_DATABASE_HASH);
	gatt_table_changed(server); /* now the hash has a place */
	return gatt_server_set_gap(server, "", 0);
}

int gatt_server_new(struct loop *loop, struct gatt_server **ret)
{
	_cleanup_(gatt_server_freep) struct gatt_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	server->loop = loop;
	list_init(&server->links);
	list_init(&server->bonds);
	r = gatt_db_new(&server->db);
	if (r == 0)
		r = add_own_services(server);
	if (r < 0)
		return r;
	*ret = steal(&server);
	return 0;
}

struct gatt_server *gatt_server_free(struct gatt_server *server)
{
	struct gatt_app *app;

	if (!server)
		return NULL;
	assert(list_empty(&server->links));
	if (server->db)
		list_for_each (app, gatt_db_apps(server->db), link)
			free(app->data);
	server->db = gatt_db_free(server->db);
	gatt_bonds_clear(server);
	free(server);
	return NULL;
}

static int set_appearance(struct gatt_server *server, uint16_t appearance)
{
	uint8_t bytes[2];
	struct wr w = wr_init(bytes, sizeof(bytes));

	wr_le16(&w, appearance);
	return gatt_local_set(server->appearance, bytes, sizeof(bytes));
}

int gatt_server_set_gap(struct gatt_server *server, const char *name, int appearance)
{
	int r = 0;

	if (appearance > UINT16_MAX || (name && strlen(name) > GAP_NAME_MAX))
		return -EINVAL;
	if (name)
		r = gatt_local_set(server->name, name, strlen(name));
	return r < 0 || appearance < 0 ? r : set_appearance(server, (uint16_t)appearance);
}

struct gatt_db *gatt_server_db(struct gatt_server *server)
{
	return server->db;
}

const struct gatt_server_stats *gatt_server_stats(const struct gatt_server *server)
{
	return &server->stats;
}
