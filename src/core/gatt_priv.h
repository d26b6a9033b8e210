/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the GATT client share: the client itself, procedures, and the writing side of
 * the remote database.
 */
#pragma once

#include "aiobled/att.h"
#include "aiobled/gatt_client.h"

#define UUID_PRIMARY        0x2800
#define UUID_SECONDARY      0x2801
#define UUID_INCLUDE        0x2802
#define UUID_CHARACTERISTIC 0x2803
#define UUID_CCCD           0x2902

struct gatt_client {
	struct loop *loop;
	struct att *att;
	struct list procs; /* struct gatt_op by op.link */
	bool down;
	unsigned int holds;
	bool freed;

	/* gatt_remote.c */
	struct list services;
	struct list loose; /* characteristics without a service that is known */
	size_t n_attributes;
	uint32_t generation; /* of the newest discovery */

	/* gatt_write_long.c */
	struct list long_writes; /* the first has the queue at the peer */
	struct list cancels;     /* Execute Write 0x00 under way */
	bool cancel_due;         /* one could not be sent */

	/* gatt_sub.c */
	struct list listens; /* one for each characteristic with subscribers */
	uint64_t n_values;
};

void gatt_hold(struct gatt_client *gc);
void gatt_release(struct gatt_client *gc);

/* --- procedures --- */

/*
 * One procedure under way, the first member of its own kind. It lives from the starting call to its
 * op's end; what an op shows in done() (value) may point into it.
 */
struct gatt_proc {
	struct gatt_client *gc;
	struct gatt_op *g;
	struct att_req req;
	void (*next)(struct gatt_proc *p, int res); /* req is answered, or has failed */
	void (*leave)(struct gatt_proc *p); /* ends before its time, or after it; may be NULL */
	uint8_t *buf;                       /* freed with it */
};

/** proc_new() - @size: of the whole kind; nothing is started yet. Return: NULL without memory. */
struct gatt_proc *proc_new(struct gatt_client *gc, struct gatt_op *g, size_t size,
                           void (*next)(struct gatt_proc *p, int res));
struct gatt_proc *proc_free(struct gatt_proc *p);
DEFINE_CLEANUP(struct gatt_proc *, proc_free)

/**
 * proc_started() - the first request is under way (or stands in a queue): the op is live from here
 */
void proc_started(struct gatt_proc *p, uint32_t timeout_ms);

/**
 * proc_send() - the PDU in @w is the next request. Return: 0; -EMSGSIZE (@w is bad), and as
 * att_request().
 */
int proc_send(struct gatt_proc *p, const struct wr *w);

/** proc_end() - the result; @p is gone, and with it perhaps the client */
void proc_end(struct gatt_proc *p, int res);

/** proc_end_later() - the same from the loop */
void proc_end_later(struct gatt_proc *p, int res);

/** gatt_check() - may a procedure start? Clears the results in @g. */
int gatt_check(struct gatt_client *gc, struct gatt_op *g);

/** gatt_known() - @g ends with @res, which is known already */
int gatt_known(struct gatt_client *gc, struct gatt_op *g, int res);

/* --- remote database --- */

void remote_init(struct gatt_client *gc);
void remote_clear(struct gatt_client *gc);

/**
 * remote_service() - discovery @gen saw this service
 *
 * Services cannot overlap: older ones in its range are gone. Return: 0; -EBADMSG (overlaps one of
 * the same discovery), -ENOBUFS, -ENOMEM.
 */
int remote_service(struct gatt_client *gc, uint32_t gen, struct att_range range,
                   const struct uuid *uuid, bool primary, struct gatt_service **ret);

/** remote_service_at() - the service that @handle lies in, or NULL */
struct gatt_service *remote_service_at(struct gatt_client *gc, uint16_t handle);

struct remote_decl {
	uint16_t declaration, value;
	uint8_t properties;
	struct uuid uuid;
};

/**
 * remote_characteristic() - @gen saw this one in @service, or (NULL) outside of the known ones.
 * Return: 0, -ENOBUFS, -ENOMEM.
 */
int remote_characteristic(struct gatt_client *gc, uint32_t gen, struct gatt_service *service,
                          const struct remote_decl *decl, struct gatt_characteristic **ret);

/**
 * remote_characteristic_at() - the last one declared at or before @handle in the service there, or
 * NULL
 */
struct gatt_characteristic *remote_characteristic_at(struct gatt_client *gc, uint16_t handle);
struct gatt_characteristic *remote_declared_at(struct gatt_client *gc, uint16_t declaration);

/** remote_set_end() - where it ends: what was thought to follow before that is gone */
void remote_set_end(struct gatt_client *gc, struct gatt_characteristic *chr, uint16_t end);

/** remote_descriptor() - Return: 0, -ENOBUFS, -ENOMEM */
int remote_descriptor(struct gatt_client *gc, uint32_t gen, struct gatt_characteristic *chr,
                      uint16_t handle, const struct uuid *uuid);

/** remote_is_older() - was what is stamped @seen last seen by a discovery before @gen? */
bool remote_is_older(uint32_t seen, uint32_t gen);

/* What @gen should have seen and has not is gone. @uuid NULL: of any UUID. */
void remote_sweep_services(struct gatt_client *gc, uint32_t gen, const struct uuid *uuid);
void remote_sweep_characteristics(struct gatt_client *gc, uint32_t gen,
                                  struct gatt_service *service, const struct uuid *uuid);
void remote_sweep_descriptors(struct gatt_client *gc, uint32_t gen,
                              struct gatt_characteristic *chr);
void remote_sweep_outline(struct gatt_client *gc,
                          uint32_t gen); /* services and characteristics, all of them */
void remote_sweep_all(struct gatt_client *gc,
                      uint32_t gen); /* and descriptors: the picture is complete */

/* --- subscriptions --- */

void subs_fail(struct gatt_client *gc, int err);
void subs_clear(struct gatt_client *gc);

/** discover_cccd() - gatt_discover_descriptors() that ends with the first CCCD */
int discover_cccd(struct gatt_client *gc, struct gatt_op *g, struct gatt_characteristic *chr);

void long_writes_clear(struct gatt_client *gc);
