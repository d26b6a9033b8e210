/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A link as the controller knows it, and how to end it.
 *
 * mgmt Disconnect is the way: the kernel answers it when the link is down. But it must never be sent for a link that the
 * kernel does not hold for up yet: it would not be answered, and every later one would be refused. When mgmt refuses or
 * takes too long, HCI Disconnect goes to the handle itself.
 */
#include <stdlib.h>

#include "adapter_priv.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/log.h"
#include "aiobled/mgmt_pdu.h"
#include "aiobled/result.h"
#include "links_priv.h"

static void drop_by_hci(struct acl *acl)
{
	struct hci_chan *hci = acl->links->adapter->hci;
	uint8_t buf[HCIP_CMD_MAX];
	struct wr w = wr_init(buf, sizeof(buf));

	if (!hci || op_live(&acl->hci_cmd.op))
		return;
	hcip_put_disconnect(&w, acl->handle, HCIP_STATUS_REMOTE_USER_ENDED);
	(void)hci_chan_send_pkt(hci, &acl->hci_cmd, &w,
	                        HCI_CMD_TIMEOUT_MS); /* last resort: nothing is left to try */
}

/* Command Status only: the end itself comes as Disconnection Complete. */
static void on_hci_done(struct op *op, int res)
{
	struct acl *acl = container_of(op, struct acl, hci_cmd.op);

	if (res == RES_HCI(HCIP_STATUS_NO_CONNECTION))
		links_acl_gone(acl, 0);
	else if (res)
		acl->leaving = false; /* may be tried again */
}

static void on_drop_done(struct op *op, int res)
{
	struct acl *acl = container_of(op, struct acl, drop_cmd.op);

	timer_stop(&acl->slow);
	if (res) {
		drop_by_hci(acl);
		return;
	}
	acl->down = true;
	timer_start_ms(&acl->slow, ACL_REASON_MS);
}

static void on_slow(struct timer *t)
{
	struct acl *acl = container_of(t, struct acl, slow);

	if (acl->down)
		links_acl_gone(acl, HCIP_STATUS_LOCAL_HOST_ENDED);
	else
		drop_by_hci(acl);
}

/* Another link to the same peer: an earlier one whose end was not read yet, or made by both sides at once. */
static bool has_twin(const struct acl *acl)
{
	const struct acl *other;

	list_for_each (other, &acl->links->acls, link)
		if (other != acl && addr_equal(&other->peer, &acl->peer))
			return true;
	return false;
}

void acl_drop(struct acl *acl)
{
	struct adapter *adapter = acl->links->adapter;
	uint8_t buf[MGMT_HDR_LEN + 16];
	struct wr w = wr_init(buf, sizeof(buf));
	int r;

	if (acl->leaving)
		return;
	acl->leaving = true;
	timer_stop(&acl->late);
	/* mgmt has not answered the try before; or it could take one link for the other */
	if (op_live(&acl->drop_cmd.op) || has_twin(acl)) {
		drop_by_hci(acl);
		return;
	}
	mgmt_put_addr_cmd(&w, MGMT_DISCONNECT, adapter->index, &acl->peer);
	r = mgmt_send_msg(adapter->mgmt, &acl->drop_cmd, &w, MGMT_TIMEOUT_MS);
	if (r < 0)
		drop_by_hci(acl);
	else
		timer_start_ms(&acl->slow, ACL_DROP_MS);
}

static void on_late(struct timer *t)
{
	acl_drop(container_of(t, struct acl, late));
}

void acl_drop_late(struct acl *acl)
{
	timer_start_ms(&acl->late, ACL_LATE_MS);
}

/* --- has it a channel? --- */

static void on_no_channel(struct timer *t)
{
	struct acl *acl = container_of(t, struct acl, channel);

	if (!acl->conn)
		accept_missed(acl);
}

/* The kernel gives it when it has exchanged features with the peer, where it does that: a few intervals. */
void acl_expect_channel(struct acl *acl)
{
	timer_start_ms(&acl->channel,
	               ACL_CHANNEL_MS + (ESTABLISH_EVENTS + 1) * acl->interval * 5 / 4);
}

/* --- is it still there? --- */

static uint8_t reason_of_mgmt(uint8_t mgmt_reason)
{
	switch (mgmt_reason) {
	case MGMT_REASON_TIMEOUT:
		return HCIP_STATUS_CONNECTION_TIMEOUT;
	case MGMT_REASON_LOCAL:
	case MGMT_REASON_LOCAL_SUSPEND:
		return HCIP_STATUS_LOCAL_HOST_ENDED;
	case MGMT_REASON_REMOTE:
		return HCIP_STATUS_REMOTE_USER_ENDED;
	case MGMT_REASON_AUTH_FAILURE:
		return HCIP_STATUS_AUTH_FAILURE;
	}
	return 0;
}

static void on_list_done(struct op *op, int res)
{
	struct acl *acl = container_of(op, struct acl, list_cmd.op);
	struct mgmt_list list;
	struct addr addr;

	if (res || mgmt_parse_connections(acl->list_cmd.rsp, acl->list_cmd.rsp_len, &list) < 0)
		return; /* nothing is known: the controller's word is still to come */
	while (mgmt_next_addr(&list, &addr))
		if (addr_equal(&addr, &acl->peer))
			return; /* the event was about an earlier link */
	links_acl_gone(acl, reason_of_mgmt(acl->mgmt_reason));
}

static void on_verify(struct timer *t)
{
	struct acl *acl = container_of(t, struct acl, verify);
	struct adapter *adapter = acl->links->adapter;

	if (!op_live(&acl->list_cmd.op))
		(void)mgmt_send(adapter->mgmt, &acl->list_cmd, MGMT_GET_CONNECTIONS, adapter->index,
		                NULL, 0,
		                MGMT_TIMEOUT_MS); /* a broken mgmt takes the whole adapter down */
}

void acl_disputed(struct acl *acl, uint8_t mgmt_reason)
{
	acl->mgmt_reason = mgmt_reason;
	timer_start_ms(&acl->verify, ACL_VERIFY_MS);
}

/* --- life --- */

struct acl *acl_find(struct links *links, uint16_t handle)
{
	struct acl *acl;

	list_for_each (acl, &links->acls, link)
		if (acl->handle == handle)
			return acl;
	return NULL;
}

bool acl_is_leaving(struct links *links, const struct addr *peer)
{
	struct acl *acl;

	list_for_each (acl, &links->acls, link)
		if (acl->leaving && addr_equal(&acl->peer, peer))
			return true;
	return false;
}

struct acl *acl_new(struct links *links, uint16_t handle, const struct addr *peer, bool central)
{
	struct loop *loop = links->adapter->loop;
	struct acl *acl = acl_find(links, handle);

	if (acl)
		links_acl_gone(acl, 0); /* its end was missed */
	if (links->n_acls >= ACLS_MAX)
		return NULL;
	acl = calloc(1, sizeof(*acl));
	if (!acl)
		return NULL;
	acl->links = links;
	acl->handle = handle;
	acl->peer = *peer;
	acl->central = central;
	acl->up_us = loop_now_us(loop);
	timer_init(&acl->late, loop, on_late);
	timer_init(&acl->verify, loop, on_verify);
	timer_init(&acl->slow, loop, on_slow);
	timer_init(&acl->channel, loop, on_no_channel);
	op_init(&acl->drop_cmd.op, loop, on_drop_done);
	op_init(&acl->list_cmd.op, loop, on_list_done);
	op_init(&acl->hci_cmd.op, loop, on_hci_done);
	list_add_tail(&links->acls, &acl->link);
	links->n_acls++;
	return acl;
}

struct acl *acl_free(struct acl *acl)
{
	if (!acl)
		return NULL;
	list_del(&acl->link);
	acl->links->n_acls--;
	timer_stop(&acl->late);
	timer_stop(&acl->verify);
	timer_stop(&acl->slow);
	timer_stop(&acl->channel);
	op_drop(&acl->drop_cmd.op);
	op_drop(&acl->list_cmd.op);
	op_drop(&acl->hci_cmd.op);
	free(acl);
	return NULL;
}
