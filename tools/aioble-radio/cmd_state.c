/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that read back what controllers do. */
#include <errno.h>
#include <string.h>

#include "command.h"
#include "controller.h"
#include "ctl_adv.h"
#include "ctl_scan.h"
#include "link_priv.h"
#include "lookup.h"
#include "scanner.h"

static const char *version_name(uint8_t version)
{
	static const struct {
		uint8_t version;
		const char *name;
	} names[] = {
		{VERSION_4_0, "4.0"}, {VERSION_4_1, "4.1"}, {VERSION_4_2, "4.2"},
		{VERSION_5_0, "5.0"}, {VERSION_5_1, "5.1"}, {VERSION_5_2, "5.2"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].version == version)
			return names[i].name;
	}
	return "?";
}

/* In the words that "plug" and --profile take. */
static void add_profile(json_object *o, const struct profile *p)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "%s%s%s%s", version_name(p->version),
	               p->dual ? ",dual" : "", p->all_states ? ",le-states" : "",
	               p->mixed ? ",mixed" : "");
	json_add_str(o, "profile", name);
}

/* An empty object or list as a member of @o, or NULL. */
static json_object *add_member(json_object *o, const char *name, json_object *member)
{
	if (member &&
	    (name ? json_object_object_add(o, name, member) : json_object_array_add(o, member)) < 0)
		return json_put(member);
	return member;
}

static int add_stats(json_object *o, const struct controller *ctl)
{
	json_object *s = add_member(o, "stats", json_object_new_object());

	if (!s)
		return -ENOMEM;
	json_add_int(s, "commands", (int64_t)ctl->stats.commands);
	json_add_int(s, "unknown", (int64_t)ctl->stats.unknown);
	json_add_int(s, "events", (int64_t)ctl->stats.events);
	json_add_int(s, "acl_in", (int64_t)ctl->stats.acl_in);
	json_add_int(s, "acl_out", (int64_t)ctl->stats.acl_out);
	json_add_int(s, "malformed", (int64_t)ctl->stats.malformed);
	return 0;
}

/* --- advertising --- */

static const char *adv_kind(const struct advertiser *adv)
{
	if (!(adv->props & ADV_LEGACY))
		return "extended";
	if (adv->props & ADV_DIRECTED)
		return "adv_direct_ind";
	if (adv->props & ADV_CONNECTABLE)
		return "adv_ind";
	return adv->props & ADV_SCANNABLE ? "adv_scan_ind" : "adv_nonconn_ind";
}

static int add_set(json_object *list, const struct adv_set *set)
{
	const struct advertiser *adv = &set->adv;
	json_object *o = add_member(list, NULL, json_object_new_object());

	if (!o)
		return -ENOMEM;
	if (!adv_set_is_legacy(set))
		json_add_int(o, "handle", set->handle);
	json_add_bool(o, "on", adv->on);
	json_add_str(o, "pdu", adv_kind(adv));
	json_add_addr(o, "address", &adv->addr);
	json_add_str(o, "address_type", addr_type_name(adv->addr.type));
	json_add_int(o, "interval_us", adv->interval_us);
	json_add_int(o, "tx_dbm", adv->tx_dbm);
	json_add_int(o, "data_len", adv->adv_len);
	json_add_int(o, "response_len", adv->rsp_len);
	json_add_int(o, "events", adv->events);
	return 0;
}

static int add_sets(json_object *o, const struct ctl_adv *a)
{
	json_object *list = add_member(o, "advertising", json_object_new_array());
	int r = list ? 0 : -ENOMEM;

	if (r == 0 && a->legacy.adv.on)
		r = add_set(list, &a->legacy);
	for (size_t i = 0; r == 0 && i < ADV_SETS_MAX; i++) {
		if (a->sets[i].used)
			r = add_set(list, &a->sets[i]);
	}
	return r;
}

/* --- scanning --- */

static int add_scanner(json_object *o, struct controller *ctl)
{
	const struct scanner *s = ctl_scan_scanner(ctl->scan);
	const struct scan_window *w = &s->window[s->window[0].interval_us ? 0 : 1];
	json_object *scan = add_member(o, "scanner", json_object_new_object());

	if (!scan)
		return -ENOMEM;
	json_add_bool(scan, "on", s->on);
	json_add_bool(scan, "active", s->active[0] || s->active[1]);
	json_add_bool(scan, "filter_duplicates", s->filter_duplicates);
	json_add_int(scan, "interval_us", w->interval_us);
	json_add_int(scan, "window_us", w->window_us);
	json_add_int(scan, "heard", (int64_t)s->stats.heard);
	json_add_int(scan, "duplicates", (int64_t)s->stats.duplicates);
	json_add_int(scan, "requests", (int64_t)s->stats.requests);
	json_add_int(scan, "responses", (int64_t)s->stats.responses);
	json_add_bool(o, "initiating", links_initiating(ctl->links));
	return 0;
}

/* --- links --- */

static const char *phy_name(uint8_t phy)
{
	switch (phy) {
	case PHY_2M:
		return "2m";
	case PHY_CODED:
		return "coded";
	}
	return "1m";
}

static int add_link(json_object *list, const struct link *l)
{
	json_object *o = add_member(list, NULL, json_object_new_object());

	if (!o)
		return -ENOMEM;
	json_add_int(o, "handle", l->handle);
	json_add_str(o, "role", l->role == HCIP_ROLE_CENTRAL ? "central" : "peripheral");
	json_add_addr(o, "peer", &l->peer_id);
	json_add_str(o, "peer_type", addr_type_name(l->peer_id.type));
	if (l->peer)
		json_add_str(o, "peer_controller", l->peer->ctl->radio.name);
	json_add_int(o, "interval_us", l->params.interval * LINK_UNIT_US);
	json_add_int(o, "latency", l->params.latency);
	json_add_int(o, "timeout_ms", l->params.timeout * LINK_TIMEOUT_UNIT / 1000);
	json_add_str(o, "tx_phy", phy_name(l->tx_phy));
	json_add_str(o, "rx_phy", phy_name(l->rx_phy));
	json_add_int(o, "tx_octets", l->tx_octets);
	json_add_int(o, "rx_octets", l->rx_octets);
	json_add_bool(o, "encrypted", l->encrypted);
	json_add_int(o, "rssi_dbm", l->rssi_dbm);
	json_add_int(o, "pdus", (int64_t)l->stats.pdus);
	json_add_int(o, "retransmitted", (int64_t)l->stats.retransmitted);
	json_add_int(o, "missed", (int64_t)l->stats.missed);
	return 0;
}

static int add_links(json_object *o, const struct links *links)
{
	json_object *list = add_member(o, "links", json_object_new_array());
	struct link *l;

	if (!list)
		return -ENOMEM;
	list_for_each (l, &links->list, entry) {
		if (add_link(list, l) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int add_controller(json_object *list, struct controller *ctl)
{
	json_object *o = add_member(list, NULL, json_object_new_object());

	if (!o)
		return -ENOMEM;
	json_add_str(o, "name", ctl->radio.name);
	json_add_addr(o, "address", &ctl->public_addr);
	if (ctl->has_random_addr)
		json_add_addr(o, "random_address", &ctl->random_addr);
	add_profile(o, &ctl->profile);
	json_add_bool(o, "hung", ctl->hung);
	json_add_int(o, "loss_db", ctl->radio.loss_db);
	if (add_sets(o, ctl->adv) < 0 || add_scanner(o, ctl) < 0 || add_links(o, ctl->links) < 0)
		return -ENOMEM;
	return add_stats(o, ctl);
}

static const struct key controllers_keys[] = {
	{"controller", KEY_STRING, .min = 1, .max = AIR_RADIO_NAME_MAX - 1},
	{0},
};

static int run_controllers(struct scene *scene, json_object *cmd, json_object *answer,
                           struct complaint *c)
{
	json_object *list = json_object_new_array();
	struct controller *ctl, *only = NULL;

	if (!list || json_object_object_add(answer, "controllers", list) < 0)
		return complain(c, "", "no memory");
	if (keys_has(cmd, "controller"))
		only = lookup_controller(scene, cmd, "controller", c);
	if (keys_has(cmd, "controller") && !only)
		return -EINVAL;
	list_for_each (ctl, air_controllers(scene->air), link) {
		if ((!only || ctl == only) && add_controller(list, ctl) < 0)
			return complain(c, "", "no memory");
	}
	return 0;
}

const struct command cmd_state_table[] = {
	{"controllers", controllers_keys, NULL, run_controllers},
	{0},
};
