/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GATT server of one adapter (Core 5.4, Vol 3, Part F, 3.4, and Part G): answers every request of every link from the
 * table of gatt_db.h, sends notifications and indications, and tells applications what peers do.
 *
 * One struct gatt_server an adapter; one struct gatt_link a bearer, whichever role the link has. It knows bearers, not
 * connections: conn.c makes the gatt_link, tells it what the link's security is, and frees it. Nothing here waits for an
 * application: a read hook is a question with a deadline, and everything else is answered at once from stored values.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/addr.h"
#include "aiobled/att.h"
#include "aiobled/cleanup.h"
#include "aiobled/gatt_db.h"
#include "aiobled/list.h"
#include "aiobled/loop.h"
#include "aiobled/op.h"

struct gatt_server;
struct gatt_link;

#define GATT_PREPARED_MAX       64 /* prepared writes of a link; beyond it: Prepare Queue Full */
#define GATT_PREPARED_BYTES_MAX (8 * 1024) /* of one link */
#define GATT_INDICATIONS_MAX    64         /* waiting indications of a link; beyond it: -ENOBUFS */
#define GATT_BONDS_MAX          64 /* peers whose CCCDs are kept; the one not seen longest goes */
#define GATT_REQUEST_BUDGET_MS                                                                     \
	25000 /* all questions of one request together: under the peer's 30 s */

/* What peers do with the services of one application. Nothing may be freed inside but by gatt_server_remove() of another. */
struct gatt_app_events {
	/*
	 * @local was written, its new value is stored; @value is what was written, without what was truncated. A long write is
	 * one; one that began in the middle tells the whole value that results. A reliable write is told when all of it is
	 * stored, in the order of its parts. Also for Write Commands. Views are valid during the call.
	 */
	void (*written)(struct gatt_app *app, struct gatt_local *local, struct gatt_link *link,
	                const uint8_t *value, size_t len, void *data);
	/* the CCCD of @local on @link is another one now: written, brought back by a bond, or 0 because the link goes */
	void (*subscribed)(struct gatt_app *app, struct gatt_local *local, struct gatt_link *link,
	                   uint16_t cccd, void *data);
	/*
	 * @link wants to read @local, which has on_read: gatt_server_allow(@token) before @deadline_us, also from inside. The
	 * value may be set before. Once for a value in a request, and not again for the rest of a long one, which is a Read Blob
	 * from where the piece before ended, within ATT_TRANSACTION_TIMEOUT_MS of it. Without this hook nobody is asked.
	 */
	void (*read)(struct gatt_app *app, struct gatt_local *local, struct gatt_link *link,
	             uint32_t token, uint64_t deadline_us, void *data);
	/* the question behind @token needs no answer any more: deadline, or the link went; not told of one that was answered */
	void (*read_over)(struct gatt_app *app, uint32_t token, void *data);
};

struct gatt_server_stats {
	uint64_t reads, writes; /* requests and commands answered with success, values */
	uint64_t refused;       /* Error Responses, but for Attribute Not Found */
	uint64_t read_timeouts; /* questions nobody answered in time */
	uint64_t notifications, indications, confirmations;
	uint64_t
		updates_merged; /* values of send_update that a newer one replaced before the link took them */
	uint64_t
		writes_dropped; /* Write Commands not carried out: no permission, too long, no memory */
};

/** gatt_server_new() - with the GAP and GATT services in the table; name and appearance as gatt_server_set_gap() */
int gatt_server_new(struct loop *loop, struct gatt_server **ret);

/** gatt_server_free() - all links must be gone; applications go silently */
struct gatt_server *gatt_server_free(struct gatt_server *server);
DEFINE_CLEANUP(struct gatt_server *, gatt_server_free)

struct gatt_db *gatt_server_db(struct gatt_server *server);
const struct gatt_server_stats *gatt_server_stats(const struct gatt_server *server);

/**
 * gatt_server_set_gap() - Device Name and Appearance of the GAP service (Core 5.4, Vol 3, Part C, 12)
 * @name: UTF-8, at most 248 bytes; NULL: stays as it is
 * @appearance: -1: stays as it is
 *
 * Return: 0; -EINVAL, -ENOMEM.
 */
int gatt_server_set_gap(struct gatt_server *server, const char *name, int appearance);

/**
 * gatt_server_add() - register services, or replace those of @old
 *
 * As gatt_db_add(). Links that subscribed to Service Changed are told of the handles that changed; others that know Robust
 * Caching get Database Out Of Sync (Part G, 2.5.2.1). Subscriptions to what is gone end without an event; what keeps its
 * handles keeps its subscribers.
 */
int gatt_server_add(struct gatt_server *server, const struct gatt_def_service *defs, size_t n,
                    struct gatt_app *old, const struct gatt_app_events *events, void *data,
                    struct gatt_app **ret, struct gatt_def_error *ret_error);

/** gatt_server_remove() - questions are over without read_over(), indications of its values end with -ECANCELED */
void gatt_server_remove(struct gatt_app *app);

/**
 * gatt_server_allow() - the application's answer to a question of gatt_app_events.read
 * @code: 0: the peer gets the value as it is now; else this ATT error
 *
 * Return: 0; -ENOENT (no such question, or its time is over).
 */
int gatt_server_allow(struct gatt_server *server, uint32_t token, uint8_t code);

/* --- links --- */

/**
 * gatt_link_new() - serve @att from now on
 * @att:      borrowed; outlives the link. Its server is set here, so before the first PDU is read.
 * @identity: of the peer, for what is kept for bonded ones
 * @data:     the owner's, see gatt_link_data()
 */
int gatt_link_new(struct gatt_server *server, struct att *att, const struct addr *identity,
                  void *data, struct gatt_link **ret);

/**
 * gatt_link_free() - subscribers are told off, ops fail with -ENOTCONN, questions are over, prepared writes forgotten
 *
 * What a bonded peer configured is kept.
 */
struct gatt_link *gatt_link_free(struct gatt_link *link);
DEFINE_CLEANUP(struct gatt_link *, gatt_link_free)

/**
 * gatt_link_set_security() - what the kernel says of the link
 * @level: 1 to 4
 * @bonded: and a key is kept: CCCDs of the last link with @identity come back the first time this is true with level > 1
 */
void gatt_link_set_security(struct gatt_link *link, uint8_t level, uint8_t key_size, bool bonded);

/** gatt_link_set_identity() - it was not known before, or the peer's private address was resolved; before set_security() */
void gatt_link_set_identity(struct gatt_link *link, const struct addr *identity);

/**
 * gatt_link_set_refused() - @refused is called before the peer is refused something for what the security of the link is
 *
 * It may call gatt_link_set_security() with what is the case now; the request is looked at again then.
 */
void gatt_link_set_refused(struct gatt_link *link, void (*refused)(struct gatt_link *link));

void *gatt_link_data(const struct gatt_link *link);

/** gatt_link_cccd() - what the peer configured for the characteristic @local: bits 0 notify, 1 indicate */
uint16_t gatt_link_cccd(const struct gatt_link *link, const struct gatt_local *local);

/** gatt_server_next_link() - walk the links: NULL starts; NULL ends */
struct gatt_link *gatt_server_next_link(struct gatt_server *server, struct gatt_link *link);

/** gatt_server_forget() - what was kept for the bonded peer @identity */
void gatt_server_forget(struct gatt_server *server, const struct addr *identity);

/* --- sending --- */

/**
 * gatt_server_notify() - a notification to one link, whatever it subscribed to (the caller has asked, or knows better)
 * @value: NULL: the stored one. Cut to ATT_MTU - 3 (Part F, 3.4.7.1); *@ret_cut says whether, may be NULL.
 * @cmd:   caller-owned
 *
 * Return: 0; -EOPNOTSUPP (no notify property), -EACCES (the link lacks what reading the value asks for), -EAGAIN (the peer uses
 * Robust Caching and has not heard yet that the table changed: Part G, 2.5.2.1), -ENOTCONN, -ENOBUFS, -ENOMEM.
 * done(): 0 (the kernel took it), -ETIMEDOUT, -ENOTCONN.
 */
int gatt_server_notify(struct gatt_link *link, struct gatt_local *local, const void *value,
                       size_t len, struct att_cmd *cmd, uint32_t timeout_ms, bool *ret_cut);

/* An indication. Owner: op_init(). */
struct gatt_indication {
	struct op op;
	struct gatt_link *link; /* the rest is private */
	struct gatt_app *app;   /* to compare with only */
	uint16_t handle;
	uint8_t *value; /* NULL once it was sent */
	size_t len;
};

/**
 * gatt_server_indicate() - an indication to one link; they leave in order, one at a time
 *
 * An op that ends early leaves its indication on the wire; the next one waits for the confirmation. 30 s without one end
 * the bearer (Part F, 3.3.3).
 *
 * Return: as gatt_server_notify(), but for -EAGAIN: it waits.
 * done(): 0 (confirmed), -ETIMEDOUT, -ENOTCONN, -ECANCELED (its application went), -EBADMSG (the peer answered something else).
 */
int gatt_server_indicate(struct gatt_link *link, struct gatt_local *local, const void *value,
                         size_t len, struct gatt_indication *ind, uint32_t timeout_ms,
                         bool *ret_cut);

/**
 * gatt_server_update() - send the stored value to every link that subscribed to @local: notify wins over indicate
 *
 * Nobody waits. A link that cannot take it at once gets the newest value when it can: one slot for each link and value,
 * what is replaced is counted (updates_merged).
 */
void gatt_server_update(struct gatt_server *server, struct gatt_local *local);
