/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A live link. Its end has two halves that come in any order: the channel dies (and may have PDUs to deliver before), and the
 * controller says why. Each waits for the other, not for long; then everybody is told.
 *
 * The rule a reader would break first: conn_end() frees the ATT bearer, so it never runs on the bearer's own stack. What
 * the bearer, the controller or mgmt have to say only sets fields and arms the timer.
 */
#include "aiobled/conn.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "adapter_priv.h"
#include "aiobled/att.h"
#include "aiobled/gatt_client.h"
#include "aiobled/gatt_server.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/log.h"
#include "links_priv.h"

struct conn {
	struct list link;
	struct links *links;
	struct acl *acl; /* NULL: the link is down */
	struct addr addr;
	struct addr identity;         /* zero: not known */
	struct connect_params params; /* asked for */
	uint16_t handle;
	bool central, up;
	bool announced; /* conn_announce() */
	uint16_t interval, latency, timeout;
	uint8_t level, key_size;
	uint8_t reason; /* 0: not known */
	bool channel_dead;
	int channel_err;
	struct att *att;
	struct gatt_client *gatt;
	struct gatt_link *gatt_link;
	struct list observers;
	struct list joined; /* struct connect_op by op.link, to be told of this link */
	struct defer tell_joined;
	struct list disconnects; /* struct op */
	struct timer end;
	struct timer security;
	unsigned int security_reads;
};

/* --- observers --- */

void conn_observe(struct conn *conn, struct conn_observer *observer)
{
	list_add_tail(&conn->observers, &observer->link);
}

void conn_unobserve(struct conn_observer *observer)
{
	list_del(&observer->link);
}

/*
 * A marker walks the list, so that observers may come and go in between. There is one at a time: changes come from the
 * loop, and nothing that an observer may call tells of one.
 */
static void tell_changed(struct conn *conn)
{
	struct list marker, *at;

	list_init(&marker);
	list_add_head(&conn->observers, &marker);
	while ((at = marker.next) != &conn->observers) {
		struct conn_observer *observer = list_entry(at, struct conn_observer, link);

		list_del(&marker);
		list_add_head(at, &marker);
		if (observer->changed)
			observer->changed(conn, observer);
	}
	list_del(&marker);
}

/* --- those who asked for a link and found this one --- */

static void on_tell_joined(struct defer *d)
{
	struct conn *conn = container_of(d, struct conn, tell_joined);
	struct connect_op *c;

	while ((c = list_first(&conn->joined, struct connect_op, op.link))) {
		c->conn = conn;
		op_complete(&c->op, 0);
	}
}

void conn_join(struct conn *conn, struct connect_op *c)
{
	list_add_tail(&conn->joined, &c->op.link);
	defer_post(&conn->tell_joined);
}

/* --- the end --- */

static uint8_t reason_of_errno(int err)
{
	switch (err) {
	case -ETIMEDOUT:
		return HCIP_STATUS_CONNECTION_TIMEOUT;
	case -ECONNRESET:
		return HCIP_STATUS_REMOTE_USER_ENDED;
	case -ECONNABORTED:
		return HCIP_STATUS_LOCAL_HOST_ENDED;
	case -EACCES:
		return HCIP_STATUS_AUTH_FAILURE;
	}
	return HCIP_STATUS_UNSPECIFIED;
}

static void conn_free(struct conn *conn)
{
	if (conn->acl)
		conn->acl->conn = NULL;
	list_del(&conn->link);
	defer_cancel(&conn->tell_joined);
	timer_stop(&conn->end);
	timer_stop(&conn->security);
	gatt_link_free(conn->gatt_link);
	gatt_client_free(conn->gatt);
	att_free(conn->att);
	free(conn);
}

static void tell_disconnected(struct conn *conn)
{
	struct conn_observer *observer;
	struct op *op;

	while ((op = list_first(&conn->disconnects, struct op, link)))
		op_complete(op, 0);
	while ((observer = list_first(&conn->observers, struct conn_observer, link))) {
		list_del(&observer->link);
		if (observer->disconnected)
			observer->disconnected(conn, observer);
	}
}

void conn_end(struct conn *conn, uint8_t reason)
{
	struct links *links = conn->links;
	struct addr addr = conn->addr, identity = conn->identity;
	struct connect_op *c;
	char text[ADDR_STR_MAX];

	if (!conn->reason)
		conn->reason = reason ? reason : reason_of_errno(conn->channel_err);
	conn->up = false;
	list_del(&conn->link);
	log_debug(links->adapter->name, "link %s ended: HCI 0x%02x", addr_format(&addr, text),
	          conn->reason);
	links->adapter->stats.disconnects++;
	while ((c = list_first(&conn->joined, struct connect_op, op.link)))
		connect_requeue(links, c, &conn->params);
	conn->gatt_link = gatt_link_free(conn->gatt_link);
	gatt_client_fail_all(conn->gatt, -ENOTCONN);
	att_fail_all(conn->att, -ENOTCONN);
	tell_disconnected(conn);
	conn_free(conn);
	adapter_changed(links->adapter);
	connect_poke(links, &addr, 0);
	connect_poke(links, &identity, 0);
	links_settled(links);
}

static void on_end(struct timer *t)
{
	struct conn *conn = container_of(t, struct conn, end);

	if (conn->acl && conn->channel_dead && !conn->acl->leaving) {
		acl_drop(conn->acl); /* only the channel died */
		timer_start_ms(&conn->end, CONN_DROP_MS);
		return;
	}
	conn_end(conn, 0);
}

/* One half of the end has come, or both. */
static void consider_end(struct conn *conn)
{
	if (!conn->acl && conn->channel_dead)
		timer_start(&conn->end, 0);
	else if (conn->acl && conn->acl->leaving)
		timer_start_ms(&conn->end, CONN_DROP_MS);
	else
		timer_start_ms(&conn->end, conn->acl ? CONN_REASON_MS : CONN_DRAIN_MS);
}

void conn_link_gone(struct conn *conn, uint8_t reason)
{
	conn->acl->conn = NULL;
	conn->acl = NULL;
	conn->reason = reason;
	consider_end(conn);
}

bool conn_is_leaving(const struct conn *conn)
{
	return !conn->up || !conn->acl || conn->acl->leaving || conn->channel_dead;
}

int conn_disconnect(struct conn *conn, struct op *op, uint32_t timeout_ms)
{
	if (op)
		op_start(op, conn->up ? &conn->disconnects : NULL, NULL, timeout_ms);
	if (op && !conn->up)
		op_complete_later(op, 0);
	else if (conn->up && conn->acl)
		acl_drop(conn->acl);
	return 0;
}

/* --- the channel --- */

static void on_value(uint16_t handle, const uint8_t *value, size_t len, bool indication, void *data)
{
	struct conn *conn = data;

	gatt_client_value(conn->gatt, handle, value, len, indication);
}

static void on_mtu(uint16_t mtu, void *data)
{
	tell_changed(data);
}

static void on_closed(int err, void *data)
{
	struct conn *conn = data;

	conn->channel_dead = true;
	conn->channel_err = err;
	if (err == -ETIMEDOUT && conn->acl)
		acl_drop(
			conn->acl); /* no answer for 30 s, or supervision timeout: then this does nothing */
	consider_end(conn);
}

static const struct att_events att_events = {.value = on_value, .mtu = on_mtu, .closed = on_closed};

/* --- what changes while it is up --- */

void conn_updated(struct conn *conn)
{
	conn->interval = conn->acl->interval;
	conn->latency = conn->acl->latency;
	conn->timeout = conn->acl->timeout;
	tell_changed(conn);
}

/*
 * What permissions are judged by. The link has a key to use also while it does not yet use it. That brings back what the peer
 * configured, so applications hear of it: not before they can know the link.
 */
static void tell_server(struct conn *conn)
{
	if (!conn->gatt_link)
		return;
	if (!addr_is_any(&conn->identity))
		gatt_link_set_identity(conn->gatt_link, &conn->identity);
	gatt_link_set_security(conn->gatt_link, conn->level, conn->key_size,
	                       conn->announced && bond_known(conn->links, &conn->identity));
}

static void read_security(struct conn *conn)
{
	const struct kernel *kernel = conn->links->adapter->kernel;
	uint8_t level, key_size;

	if (conn->channel_dead ||
	    kernel->att_security(kernel, att_fd(conn->att), &level, &key_size) < 0)
		return; /* stays as it was: the channel's end is on its way */
	if (level == conn->level && key_size == conn->key_size)
		return;
	conn->level = level;
	conn->key_size = key_size;
	tell_server(conn);
	tell_changed(conn);
}

/* The word of the encryption may be behind the request that came under it: two sockets have no order. */
static void on_refused(struct gatt_link *link)
{
	read_security(gatt_link_data(link));
}

void conn_set_identity(struct conn *conn, const struct addr *identity)
{
	conn->identity = *identity;
	tell_server(conn);
	tell_changed(conn);
}

void conn_keys_changed(struct conn *conn)
{
	tell_server(conn);
	tell_changed(conn);
}

static void on_security(struct timer *t)
{
	struct conn *conn = container_of(t, struct conn, security);

	if (++conn->security_reads < CONN_SECURITY_READS)
		timer_start_ms(t, CONN_SECURITY_MS << conn->security_reads);
	read_security(conn);
}

/* The kernel reads the same event, perhaps after us: so its state is asked for more than once. */
void conn_encrypted(struct conn *conn)
{
	conn->security_reads = 0;
	timer_start(&conn->security, 0);
}

/* --- making one --- */

struct conn *conn_find(struct links *links, const struct addr *peer)
{
	struct conn *conn, *leaving = NULL;

	list_for_each (conn, &links->conns, link) {
		if (!addr_equal(&conn->addr, peer) && !addr_equal(&conn->identity, peer))
			continue;
		if (!conn_is_leaving(conn))
			return conn;
		leaving = conn;
	}
	return leaving;
}

/* The facts of the controller never came: what can be said without. */
static struct acl *acl_unknown(struct links *links, int fd, const struct addr *peer)
{
	const struct kernel *kernel = links->adapter->kernel;
	struct acl *acl = NULL;
	uint16_t handle;

	if (kernel->att_handle(kernel, fd, &handle) == 0)
		acl = acl_new(links, handle, peer, true);
	if (acl)
		acl->established = true;
	return acl;
}

static void conn_link(struct conn *conn, struct links *links, struct acl *acl)
{
	if (acl->conn)
		conn_link_gone(acl->conn,
		               0); /* one channel a link: the end of the other was missed */
	timer_stop(&acl->channel);
	acl->peer =
		conn->addr; /* the controller may know it by a private address, the kernel does by this */
	conn->acl = acl;
	conn->handle = acl->handle;
	conn->central = acl->central;
	conn->interval = acl->interval;
	conn->latency = acl->latency;
	conn->timeout = acl->timeout;
	conn->up = true;
	acl->conn = conn;
	list_add_tail(&links->conns, &conn->link);
}

int conn_new(struct links *links, int fd, struct acl *acl, const struct addr *peer,
             const struct connect_params *params, struct conn **ret)
{
	struct loop *loop = links->adapter->loop;
	_cleanup_(closep) int taken = fd;
	struct conn *conn = calloc(1, sizeof(*conn));
	int r = -ENOMEM;

	if (!conn)
		return -ENOMEM;
	conn->links = links;
	conn->addr = *peer;
	if (addr_kind(peer) == ADDR_KIND_PUBLIC || addr_kind(peer) == ADDR_KIND_STATIC)
		conn->identity = *peer;
	conn->params = *params;
	conn->level = 1;
	list_init(&conn->link);
	list_init(&conn->observers);
	list_init(&conn->joined);
	list_init(&conn->disconnects);
	defer_init(&conn->tell_joined, loop, on_tell_joined);
	timer_init(&conn->end, loop, on_end);
	timer_init(&conn->security, loop, on_security);
	if (!acl)
		acl = acl_unknown(links, fd, peer);
	if (acl)
		r = att_new(loop, steal_fd(&taken), &att_events, conn, &conn->att);
	if (r == 0)
		r = gatt_client_new(loop, conn->att, &conn->gatt);
	if (r == 0)
		r = gatt_link_new(links->adapter->gatt_server, conn->att, peer, conn, &conn->gatt_link);
	if (r < 0) {
		conn_free(conn);
		return r;
	}
	conn_link(conn, links, acl);
	gatt_link_set_refused(conn->gatt_link, on_refused);
	tell_server(conn);
	read_security(conn);
	*ret = conn;
	return 0;
}

void conn_announce(struct conn *conn)
{
	conn->announced = true;
	adapter_emit_conn(conn->links->adapter, conn);
	tell_server(conn);
}

/* --- asking --- */

struct adapter *conn_adapter(const struct conn *conn)
{
	return conn->links->adapter;
}

const struct addr *conn_addr(const struct conn *conn)
{
	return &conn->addr;
}

const struct addr *conn_identity(const struct conn *conn)
{
	return addr_is_any(&conn->identity) ? NULL : &conn->identity;
}

bool conn_bonded(const struct conn *conn)
{
	return conn->level >= 2 && bond_known(conn->links, &conn->identity);
}

bool conn_is_central(const struct conn *conn)
{
	return conn->central;
}

bool conn_is_up(const struct conn *conn)
{
	return conn->up;
}

uint16_t conn_handle(const struct conn *conn)
{
	return conn->handle;
}

uint16_t conn_interval(const struct conn *conn)
{
	return conn->interval;
}

uint16_t conn_latency(const struct conn *conn)
{
	return conn->latency;
}

uint16_t conn_supervision_timeout(const struct conn *conn)
{
	return conn->timeout;
}

uint8_t conn_security_level(const struct conn *conn)
{
	return conn->level;
}

uint8_t conn_key_size(const struct conn *conn)
{
	return conn->key_size;
}

uint8_t conn_disconnect_reason(const struct conn *conn)
{
	return conn->up ? 0 : conn->reason;
}

struct att *conn_att(const struct conn *conn)
{
	return conn->att;
}

struct gatt_client *conn_gatt(const struct conn *conn)
{
	return conn->gatt;
}

struct gatt_link *conn_gatt_link(const struct conn *conn)
{
	return conn->gatt_link;
}

struct list *conn_links(struct adapter *adapter)
{
	return &adapter->links->conns;
}

struct conn *conn_from_link(struct list *link)
{
	return list_entry(link, struct conn, link);
}
