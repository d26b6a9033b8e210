/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The links of an adapter: the lists, the hooks the adapter calls, and the way of every event to those it concerns.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "adapter_priv.h"
#include "aiobled/gatt_server.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/log.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/result.h"
#include "links_priv.h"

/* --- peers whose attempt was given up, so that a link that comes nevertheless is not kept --- */

struct cancelled {
	struct list link;
	struct addr peer;
	uint64_t until_us;
};

static void cancelled_free(struct links *links, struct cancelled *c)
{
	list_del(&c->link);
	links->n_cancelled--;
	free(c);
}

static struct cancelled *cancelled_find(struct links *links, const struct addr *peer)
{
	uint64_t now_us = loop_now_us(links->adapter->loop);
	struct cancelled *c, *next, *found = NULL;

	list_for_each_safe (c, next, &links->cancelled, link) {
		if (c->until_us <= now_us)
			cancelled_free(links, c);
		else if (addr_equal(&c->peer, peer))
			found = c;
	}
	return found;
}

void links_wanted(struct links *links, const struct addr *peer)
{
	struct cancelled *c = cancelled_find(links, peer);

	if (c)
		cancelled_free(links, c);
}

void links_cancelled(struct links *links, const struct addr *peer)
{
	struct cancelled *c;

	links_wanted(links, peer);
	if (links->n_cancelled >= CANCELLED_MAX)
		cancelled_free(links, list_first(&links->cancelled, struct cancelled, link));
	c = malloc(sizeof(*c));
	if (!c)
		return; /* the kernel drops a link without a user after 2 s, too */
	*c = (struct cancelled){.peer = *peer,
	                        .until_us = loop_now_us(links->adapter->loop) + CANCELLED_MAX_US};
	list_add_tail(&links->cancelled, &c->link);
	links->n_cancelled++;
}

/* --- the controller's events --- */

static struct links *links_of(struct adapter *adapter)
{
	return adapter->links;
}

void links_acl_gone(struct acl *acl, uint8_t reason)
{
	struct links *links = acl->links;
	struct addr peer = acl->peer;

	connect_link_lost(links, acl, reason);
	if (acl->conn)
		conn_link_gone(acl->conn, reason);
	acl_free(acl);
	connect_poke(links, &peer, CONNECT_AFTER_MS);
	adapter_changed(links->adapter);
	links_settled(links);
}

/* A peer made it. */
static void incoming_up(struct links *links, struct acl *acl)
{
	acl->established = true; /* we were heard: we answered */
	if (links_is_full(links, &acl->peer)) {
		log_debug(links->adapter->name, "one link too many: it is ended");
		links->adapter->stats.accept_failures++;
		acl_drop_late(acl);
		return;
	}
	acl_expect_channel(acl);
	connect_check_places(links);
}

/* We made it, perhaps for somebody who does not want it any more. */
static void outgoing_up(struct links *links, struct acl *acl)
{
	struct cancelled *cancelled = cancelled_find(links, &acl->peer);

	if (!cancelled)
		return;
	cancelled_free(links, cancelled);
	if (!connect_wants(links, &acl->peer))
		acl_drop_late(acl);
}

static void link_up(struct links *links, const struct hcip_conn_complete *cc)
{
	struct acl *acl = acl_new(links, cc->handle, &cc->peer, cc->role == HCIP_ROLE_CENTRAL);

	if (!acl)
		return; /* its conn does without */
	if (links->links_max && links->n_acls > links->links_max)
		links->links_max = 0; /* the refusal had another cause */
	acl->interval = cc->interval;
	acl->latency = cc->latency;
	acl->timeout = cc->timeout;
	adapter_changed(links->adapter);
	if (acl->central)
		outgoing_up(links, acl);
	else
		incoming_up(links, acl);
	/* a channel may be there already; those who are told of the link may bring everything down */
	connect_link_up(links, acl);
	accept_link_up(links, cc->handle);
}

static int on_conn_complete(struct links *links, const struct hcip_event *ev)
{
	struct hcip_conn_complete cc;

	if (hcip_parse_conn_complete(ev, &cc) < 0)
		return -EBADMSG;
	if (cc.status)
		connect_creation_failed(links, &cc.peer, cc.status);
	else
		link_up(links, &cc);
	return 0;
}

static int on_disconnected(struct links *links, const struct hcip_event *ev)
{
	struct hcip_disconnected d;
	struct acl *acl;

	if (hcip_parse_disconnected(ev, &d) < 0)
		return -EBADMSG;
	acl = acl_find(links, d.handle);
	if (acl && d.status == 0)
		links_acl_gone(acl, d.reason);
	return 0;
}

static int on_conn_updated(struct links *links, const struct hcip_event *ev)
{
	struct hcip_conn_updated u;
	struct acl *acl;

	if (hcip_parse_conn_updated(ev, &u) < 0)
		return -EBADMSG;
	acl = acl_find(links, u.handle);
	if (!acl || u.status)
		return 0;
	acl->interval = u.interval;
	acl->latency = u.latency;
	acl->timeout = u.timeout;
	if (acl->conn)
		conn_updated(acl->conn);
	return 0;
}

/*
 * LE Read Remote Features Complete (Core 5.4, Vol 4, Part E, 7.7.65.4): status 1, handle 2, features 8. The kernel asks for
 * them on every new link; any answer of the peer proves it.
 */
static int on_remote_features(struct links *links, const struct hcip_event *ev)
{
	struct rd r = rd_init(ev->data, ev->len);
	uint8_t status = rd_u8(&r);
	struct acl *acl = acl_find(links, rd_le16(&r));

	if (!rd_ok(&r))
		return -EBADMSG;
	if (!acl || (status && status != HCIP_STATUS_UNSUPPORTED_REMOTE_FEATURE))
		return 0;
	acl->established = true;
	connect_link_up(links, acl);
	return 0;
}

static int on_encryption(struct links *links, const struct hcip_event *ev)
{
	struct hcip_encryption e;
	struct acl *acl;

	if (hcip_parse_encryption(ev, &e) < 0)
		return -EBADMSG;
	acl = acl_find(links, e.handle);
	if (acl && acl->conn && !e.status)
		conn_encrypted(acl->conn);
	return 0;
}

static int on_le_meta(struct links *links, const struct hcip_event *ev)
{
	switch (ev->subevent) {
	case HCIP_LE_CONN_COMPLETE:
	case HCIP_LE_ENH_CONN_COMPLETE:
		return on_conn_complete(links, ev);
	case HCIP_LE_CONN_UPDATED:
		return on_conn_updated(links, ev);
	case HCIP_LE_REMOTE_FEATURES:
		return on_remote_features(links, ev);
	}
	return 0;
}

static int on_event(struct links *links, const struct hcip_event *ev)
{
	switch (ev->code) {
	case HCIP_EV_LE_META:
		return on_le_meta(links, ev);
	case HCIP_EV_DISCONNECTED:
		return on_disconnected(links, ev);
	case HCIP_EV_ENCRYPTION_CHANGE:
	case HCIP_EV_ENCRYPTION_CHANGE_V2:
	case HCIP_EV_KEY_REFRESH:
		return on_encryption(links, ev);
	}
	return 0;
}

void links_hci_event(struct adapter *adapter, const struct hcip_event *ev)
{
	if (on_event(links_of(adapter), ev) < 0)
		adapter->stats.events_malformed++;
}

void links_mgmt_event(struct adapter *adapter, const struct mgmt_msg *msg)
{
	struct links *links = links_of(adapter);
	struct addr peer;
	struct acl *acl;
	uint8_t reason;

	if (!links)
		return;
	if (msg->code != MGMT_EV_DEVICE_DISCONNECTED) {
		bond_mgmt_event(links, msg);
		return;
	}
	if (mgmt_parse_disconnected(msg->data, msg->len, &peer, &reason) < 0) {
		adapter->stats.events_malformed++;
		return;
	}
	list_for_each (acl, &links->acls, link)
		if (addr_equal(&acl->peer, &peer))
			acl_disputed(acl, reason);
}

/* --- hooks --- */

bool links_is_full(const struct links *links, const struct addr *peer)
{
	uint32_t max = links->adapter->config->links_max;
	size_t n = links->n_acls + 1;
	const struct acl *acl;

	list_for_each (acl, &links->acls, link)
		n -= addr_equal(&acl->peer, peer); /* it has its place */
	return max && n > max;
}

uint32_t links_count(const struct adapter *adapter)
{
	return adapter->links ? (uint32_t)adapter->links->n_acls : 0;
}

uint32_t links_max(const struct adapter *adapter)
{
	uint32_t learned = adapter->links ? adapter->links->links_max : 0;
	uint32_t configured = adapter->config->links_max;

	if (!learned || !configured)
		return MAX(learned, configured);
	return MIN(learned, configured);
}

static int server_new(struct adapter *adapter)
{
	const struct manager_config *config = adapter->config;
	int r = gatt_server_new(adapter->loop, &adapter->gatt_server);

	if (r == 0)
		r = gatt_server_set_gap(adapter->gatt_server,
		                        config->device_name ? config->device_name : "",
		                        config->appearance);
	return r;
}

int links_attach(struct adapter *adapter)
{
	struct links *links;
	int r = server_new(adapter);

	if (r < 0)
		return r;
	links = calloc(1, sizeof(*links));
	if (!links)
		return -ENOMEM;
	links->adapter = adapter;
	list_init(&links->acls);
	list_init(&links->attempts);
	list_init(&links->conns);
	list_init(&links->cancelled);
	list_init(&links->stops);
	accept_init(links);
	bond_init(links);
	adapter->links = links;
	return 0;
}

void links_detach(struct adapter *adapter)
{
	struct links *links = adapter->links;

	if (links) {
		links_adapter_down(adapter, -ENODEV);
		assert(list_empty(&links->conns) && list_empty(&links->attempts));
		op_fail_all(&links->stops, -ENODEV);
		bond_deinit(links);
		free(links);
		adapter->links = NULL;
	}
	adapter->gatt_server = gatt_server_free(adapter->gatt_server);
}

void links_adapter_up(struct adapter *adapter)
{
	accept_up(links_of(adapter));
	connect_adapter_up(links_of(adapter));
}

/* Without Disconnection Complete: no reason of the controller, so it is we who ended it. */
static void end_all(struct links *links)
{
	struct acl *acl;

	while (!list_empty(&links->conns))
		conn_end(conn_from_link(links->conns.next), HCIP_STATUS_LOCAL_HOST_ENDED);
	while ((acl = list_first(&links->acls, struct acl, link)))
		acl_free(acl);
}

void links_adapter_down(struct adapter *adapter, int err)
{
	struct links *links = links_of(adapter);
	struct cancelled *c;

	if (!links)
		return;
	accept_down(links);
	connect_fail_all(links, err);
	end_all(links);
	while ((c = list_first(&links->cancelled, struct cancelled, link)))
		cancelled_free(links, c);
	links->failure = 0;
	links_settled(links);
}

/* --- the daemon stops --- */

void links_settled(struct links *links)
{
	struct op *op;

	if (!list_empty(&links->conns) || !list_empty(&links->attempts))
		return;
	while ((op = list_first(&links->stops, struct op, link)))
		op_complete_later(op, 0);
}

void links_stop(struct adapter *adapter, struct op *op, uint32_t timeout_ms)
{
	struct links *links = links_of(adapter);
	struct list *at;

	accept_down(links);
	connect_fail_all(links, -ECANCELED);
	op_start(op, &links->stops, NULL, timeout_ms);
	for (at = links->conns.next; at != &links->conns; at = at->next)
		(void)conn_disconnect(conn_from_link(at), NULL,
		                      0); /* waits for nobody: cannot fail */
	links_settled(links);
}
