/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the server says unasked: notifications and indications (Core 5.4, Vol 3, Part F, 3.4.7, and Part G, 4.10 to 4.12).
 *
 * A notification or indication that somebody waits for is his own op. An update is nobody's: all that is kept of it is a mark
 * at the subscription, and the value that is stored when its turn comes is sent, so a link that takes nothing costs nothing.
 * Indications share one slot: Service Changed goes first, then those that somebody waits for, then updates.
 */
#include <errno.h>
#include <stdlib.h>

#include "gatt_server_priv.h"

/* --- PDUs --- */

static size_t put_value(struct gatt_link *link, uint8_t opcode, uint16_t handle,
                        const uint8_t *value, size_t len, uint8_t *pdu)
{
	struct wr w = wr_init(pdu, ATT_MTU_MAX);
	size_t fits = MIN(len, att_mtu(link->att) - (size_t)ATT_HDR_HANDLE);

	if (opcode == ATT_NOTIFY)
		att_put_notify(&w, handle, value, fits);
	else
		att_put_indicate(&w, handle, value, fits);
	return wr_len(&w);
}

static int check_sending(const struct gatt_link *link, const struct gatt_local *local,
                         uint8_t property)
{
	if (link->down)
		return -ENOTCONN;
	if (!(local->properties & property))
		return -EOPNOTSUPP;
	return gatt_check_read_level(link, local) ? -EACCES : 0;
}

static bool is_cut(const struct gatt_link *link, size_t len)
{
	return len > (size_t)att_mtu(link->att) - ATT_HDR_HANDLE;
}

/* --- notifications that somebody waits for --- */

int gatt_server_notify(struct gatt_link *link, struct gatt_local *local, const void *value,
                       size_t len, struct att_cmd *cmd, uint32_t timeout_ms, bool *ret_cut)
{
	uint8_t pdu[ATT_MTU_MAX];
	int r = check_sending(link, local, GATT_NOTIFY);

	if (r == 0 && gatt_is_withheld(link))
		r = -EAGAIN;
	if (r < 0)
		return r;
	if (!value) {
		value = local->value;
		len = local->len;
	}
	r = att_notify(link->att, cmd, pdu,
	               put_value(link, ATT_NOTIFY, local->handle, value, len, pdu), timeout_ms);
	if (r < 0)
		return r;
	link->server->stats.notifications++;
	if (ret_cut)
		*ret_cut = is_cut(link, len);
	return 0;
}

/* --- the slot for indications --- */

static int put_on_wire(struct gatt_link *link, uint16_t handle, const uint8_t *value, size_t len)
{
	uint8_t pdu[ATT_MTU_MAX];
	int r = att_indicate(link->att, &link->wire, pdu,
	                     put_value(link, ATT_INDICATE, handle, value, len, pdu), 0);

	if (r == 0)
		link->server->stats.indications++;
	return r;
}

static int send_changed(struct gatt_link *link)
{
	uint8_t value[4];
	struct wr w = wr_init(value, sizeof(value));
	int r;

	wr_le16(&w, link->changed.start);
	wr_le16(&w, link->changed.end);
	r = put_on_wire(link, link->server->changed->handle, value, sizeof(value));
	if (r < 0)
		return r;
	link->sent_changed = link->changed;
	link->changed = (struct att_range){0, 0};
	return 0;
}

static void forget_value(struct gatt_indication *ind)
{
	free(ind->value);
	ind->value = NULL;
}

/* Return: 0: one is on the wire, or failed and the next may be tried. */
static int send_queued(struct gatt_link *link, struct gatt_indication *ind)
{
	int r = put_on_wire(link, ind->handle, ind->value, ind->len);

	if (r == -EBUSY || r == -ENOTCONN)
		return r; /* its turn will come, or the end of the link */
	list_del(&ind->op.link);
	link->n_indications--;
	forget_value(ind);
	if (r == 0)
		link->wire_ind = ind;
	else
		op_complete_later(&ind->op, r);
	return 0;
}

static struct gatt_local *subscribed_local(const struct gatt_link *link,
                                           const struct gatt_cccd *cccd)
{
	const struct gatt_attr *attr = gatt_db_find(link->server->db, cccd->handle);

	return attr && attr->kind == GATT_ATTR_CCCD ? attr->local : NULL;
}

/* The first one that an indication is due for. */
static struct gatt_cccd *due_indication(const struct gatt_link *link)
{
	struct gatt_cccd *cccd;
	uint16_t at = 0;

	if (!link->n_due)
		return NULL;
	while ((cccd = cccds_next(&link->cccds, at))) {
		if (cccd->due && !(cccd->value & GATT_CCCD_NOTIFY))
			return cccd;
		at = cccd->handle;
	}
	return NULL;
}

static void set_due(struct gatt_link *link, struct gatt_cccd *cccd, bool due)
{
	link->n_due += due - cccd->due;
	cccd->due = due;
}

void gatt_forget_due(struct gatt_link *link, uint16_t handle)
{
	struct gatt_cccd *cccd = cccds_find(&link->cccds, handle);

	if (cccd)
		set_due(link, cccd, false);
}

static int send_due_indication(struct gatt_link *link, struct gatt_cccd *cccd)
{
	struct gatt_local *local = subscribed_local(link, cccd);
	int r = 0;

	if (local && gatt_check_read_level(link, local) == 0)
		r = put_on_wire(link, local->handle, local->value, local->len);
	if (r == 0)
		set_due(link, cccd, false);
	return r;
}

void gatt_tell_next(struct gatt_link *link)
{
	int r = 0;

	while (r == 0 && !link->down && !op_live(&link->wire.op) && !att_indicating(link->att)) {
		struct gatt_indication *ind =
			list_first(&link->indications, struct gatt_indication, op.link);
		struct gatt_cccd *due;

		if (link->changed.start && gatt_wants_service_changed(link->server, &link->cccds))
			r = send_changed(link);
		else if (gatt_is_withheld(link))
			return;
		else if (ind)
			r = send_queued(link, ind);
		else if ((due = due_indication(link)))
			r = send_due_indication(link, due);
		else
			return;
	}
}

/* The peer confirmed, or it never will. */
static void on_wire_done(struct op *op, int res)
{
	struct gatt_link *link = container_of(op, struct gatt_link, wire.op);
	struct gatt_indication *ind = link->wire_ind;
	bool was_changed = link->sent_changed.start != 0;

	link->wire_ind = NULL;
	/* a bonded peer hears of it on its next link */
	if (res == -ENOTCONN || res == -ETIMEDOUT)
		gatt_merge_range(&link->changed, link->sent_changed);
	link->sent_changed = (struct att_range){0, 0};
	if (res == 0)
		link->server->stats.confirmations++;
	gatt_link_hold(link);
	if (ind)
		op_complete(&ind->op, res);
	if (!link->down && res == 0 && was_changed && !link->changed.start)
		gatt_became_aware(link);
	else
		gatt_tell_next(link);
	gatt_link_release(link);
}

/* --- indications that somebody waits for --- */

static void withdraw_indication(struct op *op)
{
	struct gatt_indication *ind = container_of(op, struct gatt_indication, op);
	struct gatt_link *link = ind->link;

	if (link->wire_ind == ind)
		link->wire_ind = NULL; /* the slot stays taken */
	else
		link->n_indications--;
	forget_value(ind);
}

int gatt_server_indicate(struct gatt_link *link, struct gatt_local *local, const void *value,
                         size_t len, struct gatt_indication *ind, uint32_t timeout_ms,
                         bool *ret_cut)
{
	int r = check_sending(link, local, GATT_INDICATE);

	if (r == 0 && link->n_indications >= GATT_INDICATIONS_MAX)
		r = -ENOBUFS;
	if (r < 0)
		return r;
	if (!value) {
		value = local->value;
		len = local->len;
	}
	ind->link = link;
	ind->app = local->service->app;
	ind->handle = local->handle;
	ind->len = MIN(len, ATT_VALUE_MAX);
	ind->value = malloc(ind->len + 1);
	if (!ind->value)
		return -ENOMEM;
	if (ind->len)
		memcpy(ind->value, value, ind->len);
	if (ret_cut)
		*ret_cut = is_cut(link, len);
	link->n_indications++;
	op_start(&ind->op, &link->indications, withdraw_indication, timeout_ms);
	gatt_tell_next(link);
	return 0;
}

/* --- updates --- */

/* Return: the kernel took it, or it is not to be sent at all; false: later. */
static bool notify_now(struct gatt_link *link, const struct gatt_cccd *cccd)
{
	struct gatt_local *local = subscribed_local(link, cccd);
	uint8_t pdu[ATT_MTU_MAX];
	bool sent;

	if (!local || gatt_check_read_level(link, local))
		return true;
	if (!att_writable(link->att) ||
	    att_notify(link->att, &link->update, pdu,
	               put_value(link, ATT_NOTIFY, local->handle, local->value, local->len, pdu),
	               0) < 0)
		return false;
	/* the kernel may have had enough this moment: nothing of ours waits in a queue, newer values come before that */
	sent = att_cmd_sent(&link->update);
	op_drop(&link->update.op);
	link->server->stats.notifications += sent;
	return sent;
}

static bool update_one(struct gatt_link *link, struct gatt_cccd *cccd)
{
	if (!(cccd->value & GATT_CCCD_NOTIFY) || gatt_is_withheld(link) || !notify_now(link, cccd))
		return false;
	set_due(link, cccd, false);
	return true;
}

static struct gatt_cccd *next_in_turn(struct gatt_link *link)
{
	struct gatt_cccd *cccd = cccds_next(&link->cccds, link->cursor);

	if (!cccd)
		cccd = cccds_next(&link->cccds, 0);
	link->cursor = cccd ? cccd->handle : 0;
	return cccd;
}

/* Once around, from where it stopped the last time: a busy value does not keep the others from theirs. */
void gatt_tell_due(struct gatt_link *link)
{
	size_t n = link->cccds.n;

	while (n-- > 0 && link->n_due && !link->down) {
		struct gatt_cccd *cccd = next_in_turn(link);

		if (cccd->due && cccd->value & GATT_CCCD_NOTIFY && !update_one(link, cccd))
			break;
	}
	gatt_tell_next(link);
}

static void update_link(struct gatt_link *link, struct gatt_cccd *cccd)
{
	link->server->stats.updates_merged += cccd->due;
	set_due(link, cccd, true);
	if (!update_one(link, cccd))
		gatt_tell_next(link);
}

void gatt_server_update(struct gatt_server *server, struct gatt_local *local)
{
	struct gatt_link *link;

	if (!local->cccd)
		return;
	list_for_each (link, &server->links, link) {
		struct gatt_cccd *cccd = cccds_find(&link->cccds, local->cccd);

		if (cccd)
			update_link(link, cccd);
	}
}

/* --- beginning and end --- */

static void on_update_done(_unused_ struct op *op, _unused_ int res)
{
	/* never: it is dropped in the call that starts it */
}

void gatt_tell_init(struct gatt_link *link)
{
	list_init(&link->indications);
	op_init(&link->wire.op, link->server->loop, on_wire_done);
	op_init(&link->update.op, link->server->loop, on_update_done);
}

/* Those of the application that is gone end from the loop: the caller is in the middle of something. */
void gatt_tell_app_gone(struct gatt_link *link, const struct gatt_app *app)
{
	struct gatt_indication *ind, *next;

	list_for_each_safe (ind, next, &link->indications, op.link) {
		if (ind->app != app)
			continue;
		link->n_indications--;
		forget_value(ind);
		op_complete_later(&ind->op, -ECANCELED);
	}
	ind = link->wire_ind;
	if (ind && ind->app == app) {
		link->wire_ind = NULL;
		op_complete_later(&ind->op, -ECANCELED);
	}
}

void gatt_tell_end(struct gatt_link *link)
{
	op_drop(&link->wire.op);
	if (link->sent_changed.start)
		gatt_merge_range(&link->changed, link->sent_changed); /* for the next link */
	if (link->wire_ind)
		op_fail(&link->wire_ind->op, -ENOTCONN);
	op_fail_all(&link->indications, -ENOTCONN);
}
