/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * GATT client of one link (Core 5.4, Vol 3, Part G, 4): procedures over a bearer, the picture of the remote database that
 * they draw, and who listens to which value.
 *
 * Nothing is asked of the peer that the caller did not ask for. Every procedure is one gatt_op with one deadline over all
 * its PDUs. Procedures queue; their PDUs interleave on the bearer in the order they are ready.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/att_pdu.h"
#include "aiobled/cleanup.h"
#include "aiobled/list.h"
#include "aiobled/loop.h"
#include "aiobled/op.h"
#include "aiobled/uuid.h"

struct att;
struct gatt_client;

#define GATT_ATTRIBUTES_MAX 16384 /* remembered attributes of a peer; a larger database ends discovery with -ENOBUFS */
#define GATT_VALUE_MAX      512   /* Core 5.4, Vol 3, Part F, 3.2.9 */

enum gatt_property {
	GATT_BROADCAST = 0x01,
	GATT_READ = 0x02,
	GATT_WRITE_NO_RESPONSE = 0x04,
	GATT_WRITE = 0x08,
	GATT_NOTIFY = 0x10,
	GATT_INDICATE = 0x20,
	GATT_SIGNED_WRITE = 0x40,
	GATT_EXTENDED = 0x80,
};

/*
 * --- the remote database, as far as discovered; sorted by handle ---
 *
 * A later discovery brings it up to date: what is still there stays where it is, what is gone is freed before the op's
 * done(). So handles may be kept, pointers only where no discovery can come between. All of it goes with the client.
 */

struct gatt_service {
	struct list link;
	struct list characteristics; /* struct gatt_characteristic by link */
	struct uuid uuid;
	uint16_t handle, end_handle;
	bool primary;
	bool characteristics_known; /* all of them were discovered */
	uint32_t seen;              /* private: the discovery that saw it last; likewise below */
};

struct gatt_characteristic {
	struct list link;
	struct list descriptors; /* struct gatt_descriptor by link */
	struct gatt_service *service; /* NULL: found by gatt_find_by_uuid() where no service was discovered yet */
	struct uuid uuid;
	uint16_t declaration, handle, end_handle; /* end_handle: last handle that belongs to it, as far as known */
	uint8_t properties;
	bool descriptors_known;
	uint32_t seen;
};

struct gatt_descriptor {
	struct list link;
	struct gatt_characteristic *characteristic;
	struct uuid uuid;
	uint16_t handle;
	uint32_t seen;
};

struct list *gatt_services(struct gatt_client *gc);

/** gatt_find_service() - by the handle of its declaration */
struct gatt_service *gatt_find_service(struct gatt_client *gc, uint16_t handle);
struct gatt_characteristic *gatt_find_characteristic(struct gatt_client *gc, uint16_t value_handle);

/** gatt_find_characteristic_uuid() - the first of this UUID */
struct gatt_characteristic *gatt_find_characteristic_uuid(struct gatt_client *gc, const struct uuid *uuid);
struct gatt_descriptor *gatt_find_descriptor(struct gatt_client *gc, uint16_t handle);

/* --- the client --- */

/** gatt_client_new() - over @att (borrowed, outlives it); forward att_events.value to gatt_client_value() */
int gatt_client_new(struct loop *loop, struct att *att, struct gatt_client **ret);

/** gatt_client_free() - procedures must have ended (gatt_client_fail_all()); subscribers left are off without being told */
struct gatt_client *gatt_client_free(struct gatt_client *gc);
DEFINE_CLEANUP(struct gatt_client *, gatt_client_free)

/**
 * gatt_client_fail_all() - the link is down: fail every procedure, then end every subscription, with @err
 *
 * Later calls return -ENOTCONN; the database can still be looked at.
 */
void gatt_client_fail_all(struct gatt_client *gc, int err);

void gatt_client_value(struct gatt_client *gc, uint16_t handle, const uint8_t *value, size_t len, bool indication);

/*
 * A starting call returns 0, or at once -ENOTCONN, -ENOBUFS (the bearer's queue), -ENOMEM, and -EINVAL where an argument can
 * be wrong.
 *
 * One procedure. Owner: op_init(&g->op, ...); the rest belongs to the client while live. Results are valid in done() only.
 * Common results of done(): 0, RES_ATT(code) with err_handle, -ETIMEDOUT, -ENOTCONN, -EBADMSG (the peer broke the
 * specification), -ENOBUFS (GATT_ATTRIBUTES_MAX, bearer's queue), -ENOMEM.
 */
struct gatt_op {
	struct op op;
	uint16_t err_handle;
	const uint8_t *value; /* reads */
	size_t value_len;
	uint16_t handle; /* gatt_read_by_uuid(), gatt_find_by_uuid() */
	void *proc;      /* private */
};

/**
 * gatt_discover_all() - services, characteristics, descriptors, with as few requests as the bearer's MTU allows
 *
 * What was found stands in gatt_services(); an earlier picture is brought up to date, structs of attributes that are still
 * there stay where they are. Secondary services are looked for only where characteristics outside of the primary ones show
 * that there are some: one without characteristics is found by gatt_discover_included() alone.
 *
 * Read By Group Type (4.4.1), Read By Type over all services at once (4.6.1), Find Information where descriptors can be,
 * neighbouring gaps together (4.7.1); a single handle behind a value that notifies or indicates is its CCCD (3.3.3.3) without
 * being asked for. Included services are not asked for.
 */
int gatt_discover_all(struct gatt_client *gc, struct gatt_op *g, uint32_t timeout_ms);

/** gatt_discover_services() - primary services; with @uuid only those (Find By Type Value, 4.4.2) */
int gatt_discover_services(struct gatt_client *gc, struct gatt_op *g, const struct uuid *uuid, uint32_t timeout_ms);

#define GATT_INCLUDES_MAX 256 /* of a service; beyond it: -ENOBUFS */

/**
 * gatt_discover_included() - of @service (4.5.1); those found are added to gatt_services()
 *
 * A service not known before counts as secondary until gatt_discover_services() or gatt_discover_all() sees it.
 */
int gatt_discover_included(struct gatt_client *gc, struct gatt_op *g, struct gatt_service *service, uint32_t timeout_ms);

/** gatt_included() - in done() of gatt_discover_included(): the @i-th included service, or NULL */
struct gatt_service *gatt_included(struct gatt_op *g, size_t i);

/** gatt_discover_characteristics() - of @service; @uuid (or NULL): only these are remembered (4.6.1, 4.6.2) */
int gatt_discover_characteristics(struct gatt_client *gc, struct gatt_op *g, struct gatt_service *service,
				  const struct uuid *uuid, uint32_t timeout_ms);
int gatt_discover_descriptors(struct gatt_client *gc, struct gatt_op *g, struct gatt_characteristic *chr,
			      uint32_t timeout_ms);

/**
 * gatt_find_by_uuid() - the first characteristic of this UUID, from memory or by one targeted procedure
 *
 * done(): 0 with g->handle the value handle, and the characteristic in memory; -ENOENT.
 */
int gatt_find_by_uuid(struct gatt_client *gc, struct gatt_op *g, const struct uuid *uuid, uint32_t timeout_ms);

/**
 * gatt_read() - from @offset on, long values included (4.8.1, 4.8.3); descriptors as well (4.12.1, 4.12.2)
 *
 * A peer that answers the continuation with Attribute Not Long, Invalid Offset or Request Not Supported has given all it
 * has. A value above GATT_VALUE_MAX is -EBADMSG.
 */
int gatt_read(struct gatt_client *gc, struct gatt_op *g, uint16_t handle, uint16_t offset, uint32_t timeout_ms);

/**
 * gatt_read_by_uuid() - first value in the handle range, g->handle names it (4.8.2); -ENOENT when there is none
 *
 * A value that may have been cut by the answer's size is continued with Read Blob.
 */
int gatt_read_by_uuid(struct gatt_client *gc, struct gatt_op *g, const struct uuid *uuid, uint16_t start, uint16_t end,
		      uint32_t timeout_ms);

/** gatt_read_multiple() - the values of @n (2 at least) @handles one after the other, as the peer sends them (4.8.4) */
int gatt_read_multiple(struct gatt_client *gc, struct gatt_op *g, const uint16_t *handles, size_t n, uint32_t timeout_ms);

/** gatt_write() - Write Request; -EMSGSIZE at once when longer than ATT_MTU - 3 (4.9.3) */
int gatt_write(struct gatt_client *gc, struct gatt_op *g, uint16_t handle, const void *value, size_t len,
	       uint32_t timeout_ms);

/** gatt_write_command() - done when the kernel took it (4.9.1) */
int gatt_write_command(struct gatt_client *gc, struct gatt_op *g, uint16_t handle, const void *value, size_t len,
		       uint32_t timeout_ms);

/** gatt_write_signed() - Signed Write Command (4.9.2); @signature covers the whole PDU and is the caller's to compute */
int gatt_write_signed(struct gatt_client *gc, struct gatt_op *g, uint16_t handle, const void *value, size_t len,
		      const uint8_t signature[ATT_SIGNATURE_LEN], uint32_t timeout_ms);

/**
 * gatt_write_long() - Prepare and Execute Write (4.9.4); what the peer echoes is compared, a difference cancels: -EBADMSG
 *
 * When the op ends early after something was prepared, the queue at the peer is cancelled (Execute Write 0x00). The peer
 * has one such queue for us, so long and reliable writes take turns. At once -EMSGSIZE: @offset + @len above GATT_VALUE_MAX.
 */
int gatt_write_long(struct gatt_client *gc, struct gatt_op *g, uint16_t handle, uint16_t offset, const void *value,
		    size_t len, uint32_t timeout_ms);

struct gatt_part {
	uint16_t handle, offset;
	const void *value;
	size_t len;
};

#define GATT_PARTS_MAX 64

/** gatt_write_reliable() - @n values (at most GATT_PARTS_MAX) written by one Execute Write, all or none (4.9.5) */
int gatt_write_reliable(struct gatt_client *gc, struct gatt_op *g, const struct gatt_part *parts, size_t n,
			uint32_t timeout_ms);

/**
 * struct gatt_sub - one local subscriber of a characteristic
 *
 * Embedded by its owner, who sets value() and ended() and calls gatt_subscribe(). It hears values from the call on, before the
 * CCCD is written. The CCCD is the union of what the subscribers of the characteristic want; it is found by discovery when
 * not known, written when the union changes, and cleared with the last. One write per characteristic is under way at a time.
 */
struct gatt_sub {
	struct list link; /* private */
	bool notify, indicate;
	uint16_t handle; /* the value's, while subscribed */
	uint64_t since;  /* private: values before this one are not for it */
	/* a value of the kind this subscriber asked for; may unsubscribe inside */
	void (*value)(struct gatt_sub *sub, const uint8_t *value, size_t len, bool indication);
	/* the link is gone; the sub is off already */
	void (*ended)(struct gatt_sub *sub, int err);
};

/**
 * gatt_subscribe() - add @sub for @chr and make the CCCD say so
 *
 * Of notify and indicate what the characteristic has is taken; neither: -EOPNOTSUPP.
 *
 * Return: 0; -EINVAL (wants nothing), -ENOTCONN, -ENOBUFS, -ENOMEM; @sub is off.
 * done(): 0; -ENOENT (no CCCD); -EOPNOTSUPP (the characteristic lacks the property); common results. On failure, and after
 * op_drop(), @sub is off.
 */
int gatt_subscribe(struct gatt_client *gc, struct gatt_op *g, struct gatt_sub *sub, struct gatt_characteristic *chr,
		   uint32_t timeout_ms);

/**
 * gatt_unsubscribe() - no value after this; the CCCD follows; @g may be NULL: nobody waits. @sub may be freed at once.
 *
 * A gatt_subscribe() of @sub that still waits ends with -ECANCELED. @sub that is off: 0, and nothing happens.
 * Return and done(): as gatt_subscribe(); @sub is off whatever comes.
 */
int gatt_unsubscribe(struct gatt_client *gc, struct gatt_op *g, struct gatt_sub *sub, uint32_t timeout_ms);

/** gatt_owns_cccd() - whether @handle is a CCCD that belongs to a subscription */
bool gatt_owns_cccd(struct gatt_client *gc, uint16_t handle);
