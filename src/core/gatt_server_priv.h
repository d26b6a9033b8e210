/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the GATT server share. gatt_server.c owns the server, its applications and its links; gatt_respond.c
 * answers what reads, gatt_accept_write.c what writes; gatt_cccd.c keeps what peers configured; gatt_tell.c sends;
 * gatt_ask.c puts read requests aside while an application thinks.
 *
 * The rule a reader would break first: an event may remove another application, so no struct gatt_local and no struct
 * gatt_attr is touched after one was told. Handles are safe to keep: none is given away again while a link exists.
 */
#pragma once

#include "aiobled/gatt_client.h" /* enum gatt_property */
#include "aiobled/gatt_server.h"

#define UUID_PRIMARY        0x2800
#define UUID_SECONDARY      0x2801
#define UUID_INCLUDE        0x2802
#define UUID_CHARACTERISTIC 0x2803

#define GATT_CCCD_NOTIFY   0x0001
#define GATT_CCCD_INDICATE 0x0002

/* Client Supported Features (Core 5.4, Vol 3, Part G, 7.2): the bits that mean something */
#define GATT_FEATURE_ROBUST 0x01 /* Robust Caching */
#define GATT_FEATURES_KNOWN                                                                        \
	0x07 /* that, Enhanced ATT bearers, Multiple Handle Value Notifications */

/* --- what a peer configured --- */

struct gatt_cccd {
	uint16_t handle;
	uint16_t value; /* never 0: then there is no entry */
	/* of the characteristic and of its service: a bond finds out whether the handle means the same */
	struct uuid uuid, service;
	bool due; /* the stored value is to be sent */
};

/* Sorted by handle. */
struct gatt_cccds {
	struct gatt_cccd *v;
	size_t n, size;
};

struct gatt_cccd *cccds_find(const struct gatt_cccds *c, uint16_t handle);

/** cccds_next() - the first with a handle above @handle, or NULL: a walk that survives changes */
struct gatt_cccd *cccds_next(const struct gatt_cccds *c, uint16_t handle);

/** cccds_reserve() - room for @n more. Return: 0, -ENOMEM. */
int cccds_reserve(struct gatt_cccds *c, size_t n);

/** cccds_set() - of the characteristic @local. Return: 0, -ENOMEM. */
int cccds_set(struct gatt_cccds *c, const struct gatt_local *local, uint16_t value);

/* A bonded peer, here or away. While @holder is there its fields are the link's to keep. */
struct gatt_bond {
	struct list link; /* seen last first */
	struct addr identity;
	struct gatt_link *holder;
	struct gatt_cccds cccds;
	struct att_range changed;
	uint8_t features;
	bool aware;
};

/* --- the server --- */

/* gatt_app.data */
struct gatt_hooks {
	struct gatt_server *server;
	const struct gatt_app_events *events; /* NULL: our own services */
	void *data;
};

struct gatt_server {
	struct loop *loop;
	struct gatt_db *db;
	struct list links; /* struct gatt_link */
	struct list bonds; /* struct gatt_bond */
	size_t n_bonds;
	struct gatt_local *name, *appearance, *changed, *features, *hash; /* of our own services */
	uint32_t last_token;
	struct gatt_server_stats stats;
};

/* One Prepare Write. */
struct gatt_prepared {
	struct list link;
	uint16_t handle, offset;
	size_t run; /* which of the writes it is a part of; while they are carried out */
	size_t len;
	uint8_t value[];
};

struct gatt_decision {
	const struct gatt_app *app; /* whose; to compare with only */
	uint16_t handle;
	uint8_t code;
};

/* A request asks for no more values than handles fit into a PDU, or items into an answer. */
#define GATT_DECISIONS_MAX ((ATT_MTU_MAX - 1) / 2)

/* A request that waits for applications, and what they have said so far. */
struct gatt_ask {
	struct gatt_link *link;
	bool busy;            /* a request waits */
	uint32_t token;       /* of the open question; 0: none */
	struct gatt_app *app; /* of the open question; to compare with only */
	uint16_t handle;
	uint8_t fallback;
	struct timer deadline;
	struct defer resume;
	uint64_t budget_us; /* when the whole request is to be through */
	struct gatt_decision decisions[GATT_DECISIONS_MAX];
	size_t n;
	uint8_t pdu[ATT_MTU_MAX];
	size_t len;
};

struct gatt_link {
	struct list link; /* server->links */
	struct gatt_server *server;
	struct att *att;
	struct addr identity;
	void *data;
	bool down; /* gatt_link_free() has begun */
	unsigned int holds;
	bool freed;

	uint8_t level, key_size;
	bool bonded;
	void (*refused)(struct gatt_link *link); /* may be NULL */

	/* gatt_cccd.c */
	struct gatt_bond *bond;
	struct gatt_cccds cccds;
	uint8_t features;
	bool aware;               /* of all changes of the table (Part G, 2.5.2.1) */
	bool told_unaware;        /* got Database Out Of Sync since the last change */
	bool hash_read;           /* read the Database Hash since */
	struct att_range changed; /* to be sent as Service Changed; start 0: nothing */

	/* gatt_accept_write.c */
	struct list prepared; /* struct gatt_prepared, in their order */
	size_t n_prepared, prepared_bytes;

	/* gatt_ask.c */
	struct gatt_ask *ask;      /* NULL: never needed so far */
	struct gatt_local *wanted; /* with an unfinished answer: who is to be asked */
	uint16_t granted;          /* value with on_read that was read last; 0: none */
	uint16_t granted_to;       /* what follows there is the rest of the same read ... */
	bool granted_all;          /* ... of which there was no more */
	uint64_t granted_until_us;

	/* gatt_tell.c */
	struct list indications; /* struct gatt_indication by op.link, not sent yet */
	size_t n_indications;
	struct att_cmd wire;              /* live: an indication is on the wire */
	struct gatt_indication *wire_ind; /* whose; NULL: nobody waits */
	struct att_range sent_changed;    /* it is Service Changed; start 0: it is not */
	struct att_cmd update;            /* for notifications nobody waits for */
	size_t n_due;                     /* of cccds */
	uint16_t cursor;                  /* CCCD of the last of those */
};

/* Whoever tells an op its end holds the link, and looks at freed and down before touching it again. */
void gatt_link_hold(struct gatt_link *link);
void gatt_link_release(struct gatt_link *link);

/** gatt_link_respond() - the answer to @pdu. Return: false: link->wanted must be asked first, and @w does not count. */
bool gatt_link_respond(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w);

/** gatt_count_answer() - in the statistics */
void gatt_count_answer(struct gatt_link *link, const struct wr *w);

/** gatt_hooks() - those of the application of @local; NULL: it is one of our own */
const struct gatt_hooks *gatt_hooks(const struct gatt_local *local);

/**
 * gatt_check_level() - does the link have what an access asks for? (Core 5.4, Vol 3, Part C, 10.3.1)
 *
 * Return: 0, or the ATT error.
 */
uint8_t gatt_check_level(const struct gatt_link *link, uint8_t level, uint8_t key_size);
uint8_t gatt_check_read_level(const struct gatt_link *link, const struct gatt_local *local);

/**
 * gatt_is_outdated() - was the peer refused with @code for what the link is no more?
 *
 * Encryption and what was sent under it come to us by two ways. May tell of subscriptions.
 */
bool gatt_is_outdated(struct gatt_link *link, uint8_t code);

/** gatt_refuse() - append an Error Response. Return: true, as gatt_link_respond() does */
bool gatt_refuse(struct wr *w, uint8_t request, uint16_t handle, uint8_t code);

/* --- gatt_respond.c --- */

bool gatt_respond_read(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w);

/* --- gatt_accept_write.c --- */

bool gatt_accept_write(struct gatt_link *link, const uint8_t *pdu, size_t len, struct wr *w);
void gatt_accept_command(struct gatt_link *link, const uint8_t *pdu, size_t len);
void gatt_prepared_clear(struct gatt_link *link);

/* --- gatt_cccd.c --- */

/* Return: 0, or the ATT error. After the check the write of one with the same length does not fail, nor do further ones. */
uint8_t gatt_check_cccd(struct gatt_link *link, size_t len);
uint8_t gatt_write_cccd(struct gatt_link *link, struct gatt_local *local, const uint8_t *value,
                        size_t len);
uint8_t gatt_check_features(const struct gatt_link *link, const uint8_t *value, size_t len);
uint8_t gatt_write_features(struct gatt_link *link, const uint8_t *value, size_t len);

/** gatt_is_out_of_sync() - must @pdu be refused because the peer does not know the table any more? */
bool gatt_is_out_of_sync(struct gatt_link *link, const uint8_t *pdu, size_t len);

/** gatt_is_withheld() - may nothing but Service Changed be sent for the same reason? */
bool gatt_is_withheld(const struct gatt_link *link);

bool gatt_wants_service_changed(const struct gatt_server *server, const struct gatt_cccds *cccds);
void gatt_merge_range(struct att_range *range, struct att_range more);

/** gatt_became_aware() - the peer knows the table again */
void gatt_became_aware(struct gatt_link *link);

/** gatt_table_changed() - after each registration and removal: hash, Service Changed, subscriptions to what is gone */
void gatt_table_changed(struct gatt_server *server);

void gatt_bond_attach(struct gatt_link *link);
void gatt_bond_keep(struct gatt_link *link); /* the link ends */
void gatt_bond_hand_over(struct gatt_server *server, const struct addr *identity);
void gatt_bonds_clear(struct gatt_server *server);

/** gatt_cccds_end() - tell of every subscription of a link that ends; they stay where they are */
void gatt_cccds_end(struct gatt_link *link);

/* --- gatt_ask.c --- */

/**
 * gatt_ask_decision() - may the peer have the value of @local, from @offset on?
 *
 * Return: 0; an ATT error; -EAGAIN: link->wanted is set, its application must be asked first.
 */
int gatt_ask_decision(struct gatt_link *link, struct gatt_local *local, size_t offset);

/** gatt_ask_granted() - the peer got @local up to @end: it may go on from there */
void gatt_ask_granted(struct gatt_link *link, const struct gatt_local *local, size_t end);

/** gatt_ask_begin() - put the request aside and ask for link->wanted. Return: 0, -ENOMEM. */
int gatt_ask_begin(struct gatt_link *link, const uint8_t *pdu, size_t len);

/** gatt_ask_app_gone() - what @app has said no longer counts: whose a value is now is asked, within the same budget */
void gatt_ask_app_gone(struct gatt_link *link, const struct gatt_app *app);

/** gatt_ask_end() - the link ends: the application is told that the question is over */
void gatt_ask_end(struct gatt_link *link);

/* --- gatt_tell.c --- */

void gatt_tell_init(struct gatt_link *link);

/** gatt_tell_next() - send the next indication, if there is one and the slot is free */
void gatt_tell_next(struct gatt_link *link);

/** gatt_tell_due() - send what waited for the kernel, or for the peer to become aware */
void gatt_tell_due(struct gatt_link *link);

/** gatt_forget_due() - the subscription @cccd is going to be another one */
void gatt_forget_due(struct gatt_link *link, uint16_t cccd);
void gatt_tell_app_gone(struct gatt_link *link, const struct gatt_app *app);
void gatt_tell_end(struct gatt_link *link);
