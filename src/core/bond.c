/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel asks and tells while a peer pairs. There is nobody to look at numbers: "just works" is accepted, everything
 * else is refused. Who is bonded is remembered as long as the adapter is plugged in, which is as long as the kernel keeps the
 * keys; the keys themselves are the kernel's, and are neither kept nor logged here.
 */
#include <stdlib.h>
#include <string.h>

#include "adapter_priv.h"
#include "aiobled/gatt_server.h"
#include "aiobled/log.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/result.h"
#include "links_priv.h"

#define BONDS_MAX                                                                                  \
	64 /* identities remembered of an adapter; then the oldest without a link is forgotten */

struct bond {
	struct list link;
	struct addr identity;
};

static struct bond *bond_find(const struct links *links, const struct addr *identity)
{
	struct bond *b;

	list_for_each (b, &links->bond.known, link)
		if (addr_equal(&b->identity, identity))
			return b;
	return NULL;
}

bool bond_known(const struct links *links, const struct addr *identity)
{
	return bond_find(links, identity);
}

static void bond_free(struct links *links, struct bond *b)
{
	gatt_server_forget(links->adapter->gatt_server, &b->identity);
	list_del(&b->link);
	links->bond.n_known--;
	free(b);
}

static void bond_forget(struct links *links, const struct addr *identity)
{
	struct bond *b = bond_find(links, identity);

	if (b)
		bond_free(links, b);
}

static struct bond *bond_to_forget(struct links *links)
{
	struct bond *b;

	list_for_each (b, &links->bond.known, link)
		if (!conn_find(links, &b->identity))
			return b;
	return list_first(&links->bond.known, struct bond, link);
}

static void bond_remember(struct links *links, const struct addr *identity)
{
	struct bond *b;

	bond_forget(links, identity); /* it is the newest now */
	if (links->bond.n_known >= BONDS_MAX)
		bond_free(links, bond_to_forget(links));
	b = malloc(sizeof(*b));
	if (!b)
		return; /* a later link with it is taken for one that is encrypted only */
	*b = (struct bond){.identity = *identity};
	list_add_tail(&links->bond.known, &b->link);
	links->bond.n_known++;
}

/* --- questions --- */

static void on_answered(_unused_ struct op *op, int res)
{
	char text[RES_TEXT_MAX];

	if (res) /* the link went meanwhile, or the pairing */
		log_debug(NULL, "answer to a pairing: %s", res_text(res, text, sizeof(text)));
}

static struct mgmt_cmd *free_answer(struct links *links)
{
	for (size_t i = 0; i < BOND_ANSWERS_MAX; i++)
		if (!op_live(&links->bond.answers[i].op))
			return &links->bond.answers[i];
	return NULL;
}

static void answer(struct links *links, uint16_t opcode, const struct addr *peer)
{
	struct adapter *adapter = links->adapter;
	struct mgmt_cmd *cmd = free_answer(links);
	uint8_t buf[MGMT_HDR_LEN + 16];
	struct wr w = wr_init(buf, sizeof(buf));
	char text[ADDR_STR_MAX];
	bool yes = opcode == MGMT_CONFIRM_REPLY;

	log_debug(adapter->name, "pairing with %s: %s", addr_format(peer, text),
	          yes ? "accepted" : "refused");
	adapter->stats.pairings_refused += !yes;
	mgmt_put_addr_cmd(&w, opcode, adapter->index, peer);
	/* unanswered, the pairing ends by its own time */
	if (!cmd || mgmt_send_msg(adapter->mgmt, cmd, &w, MGMT_TIMEOUT_MS) < 0)
		adapter->stats.pairings_refused += yes;
}

/* By the kernel's name for it, which may be the identity of one that we know by its private address so far. */
static bool has_link(struct links *links, const struct addr *peer)
{
	const struct acl *acl;

	list_for_each (acl, &links->acls, link)
		if (addr_equal(&acl->peer, peer) ||
		    (!acl->conn && addr_kind(&acl->peer) == ADDR_KIND_RESOLVABLE))
			return true;
	return conn_find(links, peer);
}

static int on_user_confirm(struct links *links, const struct mgmt_msg *msg)
{
	struct addr peer;
	uint32_t value;
	bool hint, yes;

	if (mgmt_parse_user_confirm(msg->data, msg->len, &peer, &hint, &value) < 0)
		return -1;
	yes = hint && has_link(links, &peer);
	answer(links, yes ? MGMT_CONFIRM_REPLY : MGMT_CONFIRM_NEG_REPLY, &peer);
	return 0;
}

static int on_passkey_request(struct links *links, const struct mgmt_msg *msg)
{
	struct addr peer;

	if (mgmt_parse_addr(msg->data, msg->len, &peer) < 0)
		return -1;
	answer(links, MGMT_PASSKEY_NEG_REPLY, &peer);
	return 0;
}

/* --- news --- */

static void tell_conn(struct links *links, const struct addr *identity)
{
	struct conn *conn = conn_find(links, identity);

	if (conn)
		conn_keys_changed(conn);
}

static int on_new_ltk(struct links *links, const struct mgmt_msg *msg)
{
	struct mgmt_ltk ltk;
	struct addr identity;
	bool store;

	if (mgmt_parse_new_ltk(msg->data, msg->len, &store, &ltk) < 0)
		return -1;
	identity = ltk.addr;
	explicit_bzero(&ltk, sizeof(ltk));
	if (store)
		bond_remember(links, &identity);
	else
		bond_forget(links, &identity); /* this key has replaced the one that was to stay */
	links->adapter->stats.new_keys++;
	tell_conn(links, &identity);
	return 0;
}

/* From here on the kernel calls the peer by its identity. */
static int on_new_irk(struct links *links, const struct mgmt_msg *msg)
{
	struct mgmt_irk irk;
	struct addr rpa, identity;
	struct acl *acl;
	bool store;

	if (mgmt_parse_new_irk(msg->data, msg->len, &store, &rpa, &irk) < 0)
		return -1;
	identity = irk.addr;
	explicit_bzero(&irk, sizeof(irk));
	list_for_each (acl, &links->acls, link) {
		if (!addr_equal(&acl->peer, &rpa))
			continue;
		acl->peer = identity;
		if (acl->conn) {
			conn_set_identity(acl->conn, &identity); /* last: it tells */
			return 0;
		}
	}
	return 0;
}

static int on_unpaired(struct links *links, const struct mgmt_msg *msg)
{
	struct addr peer;

	if (mgmt_parse_addr(msg->data, msg->len, &peer) < 0)
		return -1;
	bond_forget(links, &peer);
	tell_conn(links, &peer);
	return 0;
}

static int on_auth_failed(struct links *links, const struct mgmt_msg *msg)
{
	struct addr peer;
	uint8_t status;
	char text[ADDR_STR_MAX];

	if (mgmt_parse_addr_status(msg->data, msg->len, &peer, &status) < 0)
		return -1;
	links->adapter->stats.pairing_failures++;
	log_debug(links->adapter->name, "pairing with %s failed: mgmt 0x%02x",
	          addr_format(&peer, text), status);
	return 0;
}

static int on_event(struct links *links, const struct mgmt_msg *msg)
{
	switch (msg->code) {
	case MGMT_EV_USER_CONFIRM:
		return on_user_confirm(links, msg);
	case MGMT_EV_PASSKEY_REQUEST:
		return on_passkey_request(links, msg);
	case MGMT_EV_NEW_LTK:
		return on_new_ltk(links, msg);
	case MGMT_EV_NEW_IRK:
		return on_new_irk(links, msg);
	case MGMT_EV_DEVICE_UNPAIRED:
		return on_unpaired(links, msg);
	case MGMT_EV_AUTH_FAILED:
		return on_auth_failed(links, msg);
	}
	return 0;
}

void bond_mgmt_event(struct links *links, const struct mgmt_msg *msg)
{
	if (on_event(links, msg) < 0)
		links->adapter->stats.events_malformed++;
}

/* --- life --- */

void bond_init(struct links *links)
{
	list_init(&links->bond.known);
	for (size_t i = 0; i < BOND_ANSWERS_MAX; i++)
		op_init(&links->bond.answers[i].op, links->adapter->loop, on_answered);
}

void bond_deinit(struct links *links)
{
	struct bond *b;

	while ((b = list_first(&links->bond.known, struct bond, link)))
		bond_free(links, b);
	for (size_t i = 0; i < BOND_ANSWERS_MAX; i++)
		op_drop(&links->bond.answers[i].op);
}
