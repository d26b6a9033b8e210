/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The scene and its events. What happens is read from what everybody may read: the air, and the packets that controllers send
 * to their hosts. So a link event says what the host was told.
 */
#include "scene.h"

#include <errno.h>
#include <stdlib.h>

#include "controller.h"
#include "fault.h"
#include "keys.h"
#include "pdu_kind.h"
#include "replug.h"
#include "script.h"
#include "walks.h"

const char *const scene_event_names[SCENE_EVENTS + 1] = {
	[SCENE_CONTROLLERS] = "controllers", [SCENE_LINKS] = "links",
	[SCENE_ADVERTS] = "adverts",         [SCENE_FAULTS] = "faults",
	[SCENE_SCENARIO] = "scenario",
};

struct scene_watch {
	struct scene *scene;
	struct ctl_watch hosts;
	struct air_watch air;
	bool listing; /* those that are there already come, too: nobody is told */
};

/* --- telling --- */

void scene_listen(struct scene *scene, struct scene_listener *l)
{
	list_add_tail(&scene->listeners, &l->link);
}

void scene_unlisten(struct scene_listener *l)
{
	list_del(&l->link);
}

bool scene_wants(const struct scene *scene, enum scene_event kind)
{
	struct scene_listener *l;

	list_for_each (l, &scene->listeners, link) {
		if (l->wants & 1u << kind)
			return true;
	}
	return false;
}

json_object *scene_event_new(struct scene *scene, enum scene_event kind, const char *what)
{
	json_object *e = json_object_new_object();

	if (!e)
		return NULL;
	json_add_str(e, "event", scene_event_names[kind]);
	json_add_str(e, "what", what);
	json_add_int(e, "at_ms", (int64_t)(air_now_us(scene->air) / 1000));
	return e;
}

void scene_tell(struct scene *scene, enum scene_event kind, json_object *event)
{
	struct scene_listener *l, *tmp;

	if (!event)
		return;
	list_for_each_safe (l, tmp, &scene->listeners, link) {
		if (l->wants & 1u << kind)
			l->event(l, event);
	}
	json_object_put(event);
}

/* --- what hosts are told --- */

static void tell_link(struct scene *scene, const struct controller *ctl, const char *what,
                      struct rd r, void (*add)(json_object *e, struct rd *r))
{
	json_object *e = scene_event_new(scene, SCENE_LINKS, what);

	if (!e)
		return;
	json_add_str(e, "controller", ctl->radio.name);
	json_add_int(e, "status", rd_u8(&r));
	json_add_int(e, "handle", rd_le16(&r));
	add(e, &r);
	if (rd_ok(&r))
		scene_tell(scene, SCENE_LINKS, e);
	else
		json_object_put(e);
}

static void add_parameters(json_object *e, struct rd *r)
{
	json_add_int(e, "interval_us", rd_le16(r) * 1250);
	json_add_int(e, "latency", rd_le16(r));
	json_add_int(e, "timeout_ms", rd_le16(r) * 10);
}

static void add_peer(json_object *e, struct rd *r)
{
	uint8_t role = rd_u8(r), type = rd_u8(r), b[ADDR_LEN] = {0};
	struct addr peer;

	rd_copy(r, b, sizeof(b));
	peer = addr_from_bytes(b, type);
	json_add_str(e, "role", role == HCIP_ROLE_CENTRAL ? "central" : "peripheral");
	json_add_addr(e, "peer", &peer);
	json_add_str(e, "peer_type", addr_type_name(peer.type));
}

static void add_connection(json_object *e, struct rd *r)
{
	add_peer(e, r);
	add_parameters(e, r);
}

static void add_enhanced_connection(json_object *e, struct rd *r)
{
	add_peer(e, r);
	(void)rd_bytes(r, 2 * ADDR_LEN); /* resolvable addresses */
	add_parameters(e, r);
}

static void add_reason(json_object *e, struct rd *r)
{
	json_add_int(e, "reason", rd_u8(r));
}

static void add_encryption(json_object *e, struct rd *r)
{
	json_add_bool(e, "encrypted", rd_u8(r));
}

static void add_nothing(json_object *e, struct rd *r)
{
}

static void on_le_event(struct scene *scene, const struct controller *ctl, struct rd r)
{
	switch (rd_u8(&r)) {
	case HCIP_LE_CONN_COMPLETE:
		tell_link(scene, ctl, "up", r, add_connection);
		break;
	case HCIP_LE_ENH_CONN_COMPLETE:
		tell_link(scene, ctl, "up", r, add_enhanced_connection);
		break;
	case HCIP_LE_CONN_UPDATED:
		tell_link(scene, ctl, "updated", r, add_parameters);
		break;
	}
}

static void on_packet(struct ctl_watch *w, struct controller *ctl, bool to_host, const uint8_t *pkt,
                      size_t len)
{
	struct scene *scene = container_of(w, struct scene_watch, hosts)->scene;
	struct rd r = rd_init(pkt, len);
	uint8_t code;

	if (!to_host || rd_u8(&r) != HCIP_PKT_EVENT || !scene_wants(scene, SCENE_LINKS))
		return;
	code = rd_u8(&r);
	(void)rd_u8(&r);
	switch (code) {
	case HCIP_EV_LE_META:
		on_le_event(scene, ctl, r);
		break;
	case HCIP_EV_DISCONNECTED:
		tell_link(scene, ctl, "down", r, add_reason);
		break;
	case HCIP_EV_ENCRYPTION_CHANGE:
		tell_link(scene, ctl, "encryption", r, add_encryption);
		break;
	case HCIP_EV_KEY_REFRESH:
		tell_link(scene, ctl, "key_refreshed", r, add_nothing);
		break;
	}
}

static void tell_controller(struct ctl_watch *w, const struct controller *ctl, const char *what)
{
	struct scene_watch *watch = container_of(w, struct scene_watch, hosts);
	json_object *e;

	if (watch->listing || !scene_wants(watch->scene, SCENE_CONTROLLERS))
		return;
	e = scene_event_new(watch->scene, SCENE_CONTROLLERS, what);
	if (e)
		json_add_str(e, "controller", ctl->radio.name);
	scene_tell(watch->scene, SCENE_CONTROLLERS, e);
}

static void on_added(struct ctl_watch *w, struct controller *ctl)
{
	tell_controller(w, ctl, "added");
}

static void on_removed(struct ctl_watch *w, struct controller *ctl)
{
	tell_controller(w, ctl, "removed");
}

/* --- what is on the air --- */

static void on_sent(struct air_watch *w, const struct air_pdu *pdu)
{
	struct scene *scene = container_of(w, struct scene_watch, air)->scene;
	enum pdu_kind kind = pdu_kind(pdu);
	char hex[2 * PDU_MAX + 1] = "";
	json_object *e;

	if (!pdu_kind_is_advertising(kind) || !scene_wants(scene, SCENE_ADVERTS))
		return;
	e = scene_event_new(scene, SCENE_ADVERTS, pdu_kind_names[kind]);
	if (!e)
		return;
	for (size_t i = 0; i < pdu->len; i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", pdu->data[i]);
	json_add_str(e, "from", pdu->from->name);
	json_add_int(e, "channel", pdu->channel);
	json_add_int(e, "tx_dbm", pdu->tx_dbm);
	json_add_str(e, "pdu", hex);
	scene_tell(scene, SCENE_ADVERTS, e);
}

/* --- life --- */

static int watch_new(struct scene *scene)
{
	struct scene_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->scene = scene;
	w->hosts.packet = on_packet;
	w->hosts.added = on_added;
	w->hosts.removed = on_removed;
	w->air.sent = on_sent;
	w->listing = true;
	controller_watch(scene->air, &w->hosts);
	w->listing = false;
	air_add_watch(scene->air, &w->air);
	scene->watch = w;
	return 0;
}

int scene_new(struct air *air, struct world *world, uint64_t seed, struct scene **ret)
{
	struct scene *scene = calloc(1, sizeof(*scene));
	int r;

	if (!scene)
		return -ENOMEM;
	*scene = (struct scene){.air = air, .world = world, .seed = seed};
	list_init(&scene->listeners);
	r = watch_new(scene);
	if (r == 0)
		r = script_new(air, &scene->script);
	if (r == 0)
		r = walks_new(air, &scene->walks);
	if (r == 0)
		r = faults_new(scene, &scene->faults);
	if (r == 0)
		r = replugs_new(scene, &scene->replugs);
	if (r < 0)
		scene_free(scene);
	else
		*ret = scene;
	return r;
}

struct scene *scene_free(struct scene *scene)
{
	if (!scene)
		return NULL;
	scene->replugs = replugs_free(scene->replugs);
	scene->faults = faults_free(scene->faults);
	scene->walks = walks_free(scene->walks);
	scene->script = script_free(scene->script);
	if (scene->watch) {
		controller_unwatch(&scene->watch->hosts);
		air_remove_watch(&scene->watch->air);
		free(scene->watch);
	}
	free(scene);
	return NULL;
}
