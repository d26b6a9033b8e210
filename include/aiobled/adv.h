/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Broadcaster and peripheral: what is sent, and one advertiser that sends it. Several run side by side, each in an instance
 * of the kernel of its own; the controller's own sets or the kernel's rotation put all of them on the air.
 *
 * An advertiser lives through power cycles: while the adapter is off it is paused. It ends when somebody connects (unless
 * it is to go on), when its time is over, or when the adapter goes; its owner hears finished() once, and frees it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/ad.h"
#include "aiobled/cleanup.h"
#include "aiobled/op.h"
#include "aiobled/uuid.h"

struct adapter;
struct adv;
struct conn;

#define ADV_INTERVAL_US_MIN 20000    /* 0x20 units of 625 us: Core 5.4, Vol 4, Part E, 7.8.5 */
#define ADV_INTERVAL_US_MAX 10240000 /* 0x4000 units */
#define ADV_DATA_MAX        251      /* the kernel's limit for extended advertising; legacy: AD_LEGACY_MAX */
#define ADV_RECORDS_MAX     64       /* manufacturer or service data of one payload */
#define ADVERTISERS_MAX     32       /* of an adapter, whatever its controller says */
#define ADV_FLAGS_LEN       3        /* what the kernel puts before data without a Flags structure */

/* --- what is sent --- */

struct adv_payload {
	uint8_t adv[ADV_DATA_MAX], rsp[ADV_DATA_MAX];
	size_t adv_len, rsp_len;
};

/* Data under a company identifier or under a UUID. */
struct adv_record {
	uint16_t company;
	struct uuid uuid;
	const uint8_t *data;
	size_t len;
};

/* What a payload is made of; all borrowed. Zeroed fields are left out. */
struct adv_fields {
	const uint8_t *adv_data, *resp_data; /* when one is given (not empty), nothing below counts */
	size_t adv_data_len, resp_data_len;
	bool limited_disc, br_edr;
	const struct uuid *services;
	size_t n_services;
	const char *name;
	uint16_t appearance;
	const struct adv_record *manufacturer;
	size_t n_manufacturer;
	const struct adv_record *service_data;
	size_t n_service_data;
	bool has_tx_power;
	int8_t tx_power_dbm;
};

/* Why there is no payload: the field, by the name of its option, and a sentence that goes on from it. */
struct adv_fault {
	const char *field;
	char text[128];
};

/**
 * adv_payload_build() - fields to bytes, in aioble's order
 * @extended: one packet of up to ADV_DATA_MAX bytes, without a scan response, instead of two of AD_LEGACY_MAX
 *
 * Flags; complete lists of 16, 32 and 128 bit; complete name; appearance; manufacturer data; then service data and tx power.
 * A field goes whole into the advertising data when it fits there, else into the scan response; nothing is cut. Raw data is
 * taken as it is when the kernel would: whole structures, no Flags in the scan response. Data without Flags gets them from
 * the kernel on an LE-only adapter, and the payload tells of that.
 *
 * Return: 0; -EMSGSIZE (too long) or -EINVAL (malformed) with @ret_fault.
 */
int adv_payload_build(const struct adv_fields *fields, bool extended, struct adv_payload *ret,
		      struct adv_fault *ret_fault);

/* --- the advertiser --- */

enum adv_phy { ADV_PHY_1M, ADV_PHY_2M, ADV_PHY_CODED };

struct adv_params {
	uint32_t interval_us;
	uint32_t timeout_ms; /* counted from the first moment on the air; 0: none */
	bool connectable;
	bool keep; /* go on when somebody connects */
	bool extended;
	enum adv_phy secondary_phy; /* of extended advertising */
	bool has_tx_power;
	int8_t tx_power_dbm; /* asked of controllers that let the kernel choose */
};

enum adv_state {
	ADV_STARTING, /* the kernel has not taken it yet */
	ADV_RUNNING,
	ADV_PAUSED, /* the adapter is off, or does not advertise while it has the link; comes back by itself */
	ADV_FINISHED,
};

enum adv_end {
	ADV_END_STOPPED,   /* adv_stop() */
	ADV_END_TIMEOUT,   /* its timeout_ms */
	ADV_END_CONNECTED, /* connected() was told just before */
	ADV_END_FAILED,    /* by a result */
};

struct adv_events {
	/* a central has connected to it; @conn is borrowed. The advertiser may be freed inside. */
	void (*connected)(struct adv *adv, struct conn *conn, void *data);
	/* RUNNING or PAUSED; may be NULL. The advertiser may be freed inside. */
	void (*state)(struct adv *adv, void *data);
	/*
	 * Once, after the start succeeded: it is off the air. @res is of ADV_END_FAILED: -ENODEV; -ECANCELED the daemon stops;
	 * -EBUSY another program took its place, twice; RES_MGMT(status), -ETIMEDOUT the kernel refuses to have it again.
	 * The owner still has to free it, here or later.
	 */
	void (*finished)(struct adv *adv, enum adv_end end, int res, void *data);
};

/**
 * adv_new() - start advertising
 * @payload: copied; its lengths must suit params->extended
 * @op:      done() when the kernel took it: 0; -ENOSPC no instance is free, -EOPNOTSUPP (extended, or this PHY),
 *           -ENETDOWN, -ENODEV, -ECANCELED, -ETIMEDOUT, RES_MGMT(status). After a failure nothing more is told of it.
 *
 * Turns the radio on when our own adapter_power(off) turned it off; while the adapter is starting it waits.
 *
 * Return: 0; -EINVAL (interval), -EMSGSIZE, -ENOSPC, -EOPNOTSUPP, -ENETDOWN (adapter_reason()), -ENODEV, -ENOMEM.
 */
int adv_new(struct adapter *adapter, const struct adv_params *params, const struct adv_payload *payload,
	    const struct adv_events *events, void *data, struct op *op, uint32_t timeout_ms, struct adv **ret);

/** adv_free() - off the air, silently; ops of it are dropped. Also after the adapter has gone. */
struct adv *adv_free(struct adv *adv);
DEFINE_CLEANUP(struct adv *, adv_free)

/**
 * adv_update() - other data, in place
 *
 * Without a gap, but for one case: the kernel cannot take a scan response away, so an update to none sets the instance up
 * anew. While paused the data is kept for later. Several updates under way become one.
 *
 * Return: 0; -EMSGSIZE, -ESHUTDOWN (it has finished).
 * done(): 0 the kernel took it; -ESHUTDOWN it finished first; RES_MGMT(status), -ETIMEDOUT: as before.
 */
int adv_update(struct adv *adv, const struct adv_payload *payload, struct op *op, uint32_t timeout_ms);

/** adv_stop() - off the air; finished() follows, with what came first: a link that was just being made is told before */
void adv_stop(struct adv *adv);

enum adv_state adv_state(const struct adv *adv);
const struct adv_params *adv_params(const struct adv *adv);

/** adv_payload() - what was asked for last; adv_air_data() as it is sent, with Flags of the kernel's. Return: length. */
const struct adv_payload *adv_payload(const struct adv *adv);
size_t adv_air_data(const struct adv *adv, uint8_t ret[ADV_DATA_MAX]);

/**
 * adv_interval_us() - in effect: a multiple of 625 us
 *
 * Without the extended commands the kernel (to 6.12 at least) advertises what is not connectable every 100 to 150 ms.
 */
uint32_t adv_interval_us(const struct adv *adv);

/** adv_count(), adv_max() - advertisers there are (others' instances included), and may be; 0: not known yet */
uint32_t adv_count(const struct adapter *adapter);
uint32_t adv_max(const struct adapter *adapter);

/** adv_extended() - has the controller extended advertising? */
bool adv_extended(const struct adapter *adapter);
