/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The advertisers of one adapter, from inside. Three files:
 *
 *  - adv.c: what clients wish of an advertiser, and what they are told;
 *  - adv_kernel.c: bringing the kernel's instances to what is wished, one command at a time;
 *  - adv_link.c: whose link it is that a central has made.
 *
 * An instance is the kernel's number for an advertiser. It outlives an advertiser that is freed: until the kernel has confirmed
 * that it is gone its bit stays in advs.ours.
 */
#pragma once

#include "aiobled/adv.h"
#include "aiobled/conn.h"
#include "aiobled/hci_chan.h"
#include "aiobled/list.h"
#include "aiobled/loop.h"
#include "aiobled/mgmt.h"

struct advs;

#define ADV_UNIT_US            625
#define ADV_KERNEL_INTERVAL_US 150000 /* see adv_interval_us() */

#define ADV_LINKS_MAX                                                                              \
	16 /* links that are remembered; beyond it the oldest settled one is forgotten, or the oldest */
#define ADV_ROTATION_SEC                                                                           \
	1 /* on controllers without sets the kernel gives each so long, in turn; its least */
#define ADV_BUSY_MS    100 /* the kernel is changing a setting: once more, after so long ... */
#define ADV_BUSY_TRIES 20  /* ... so many times */
#define ADV_TIMEOUT_TRIES                                                                          \
	8 /* as many of these one without an answer counts for: each takes seconds */
#define ADV_BESIDE_MS                                                                              \
	1000 /* the controller does not advertise beside its links: asked again so often */
#define ADV_LOSS_MS       200   /* an instance went: perhaps the radio is just being turned off */
#define ADV_LOSS_AGAIN_MS 60000 /* and if it goes again so soon, somebody wants it so */
#define ADV_REFRESH_MS                                                                             \
	20 /* after a link the set is enabled again; the kernel reads the controller's word later than we */
#define ADV_SET_WAIT_MS                                                                            \
	50 /* a link is up: how long the word which set it came from is waited for */

struct adv {
	struct list link;
	struct advs *advs; /* NULL: the adapter is gone */
	struct adv_params params;
	struct adv_payload wanted, sent;
	const struct adv_events *events;
	void *data;
	struct list starting; /* the op of adv_new(), until it is told; empty when that is over */
	struct list updates;  /* ops of adv_update() */
	enum adv_state state, told_state;
	bool started; /* was on the air once: failures are told by finished() */

	uint8_t instance; /* the kernel's number; 0: none */
	bool has_params;  /* the kernel has its parameters */
	bool on_air;      /* and its data */
	bool dirty;       /* the data is to be sent (again) */
	bool refresh; /* ... only to put the instance on the air again, where the controller can */
	bool heard;   /* a central took it before the kernel had answered */
	unsigned int tries;

	bool ending; /* finishes as soon as the kernel has let go of it */
	enum adv_end end;
	int res;
	bool finished_due;

	bool taken; /* off the air because of a link that has not been told yet */
	uint16_t taken_by;
	uint64_t lost_us; /* when its instance was removed by others ... */
	bool lost_again;  /* ... and that soon after the last time */
	struct timer timeout, pause;
};

/* A link of the peripheral role. */
struct adv_link {
	struct advs *advs;
	bool used;
	bool settled; /* told, or its advertiser is gone */
	uint16_t handle;
	struct adv *adv;   /* NULL: the controller has not said which */
	struct conn *conn; /* NULL: not usable yet */
	struct conn_observer observer;
	struct timer wait;
	uint64_t since_us;
};

enum adv_job { ADV_JOB_NONE, ADV_JOB_REMOVE, ADV_JOB_PARAMS, ADV_JOB_DATA };

struct advs {
	struct adapter *adapter;
	struct list list;
	bool up, stopping;
	uint32_t ours, foreign,
		drop; /* instances in the kernel: ours, others', those of ours to be removed; bit n is number n */

	enum adv_job job; /* the command under way, or ... */
	struct mgmt_cmd cmd;
	struct timer again; /* ... waited for */
	unsigned int tries;
	uint8_t job_instance;
	struct adv *job_adv; /* NULL: freed meanwhile */
	struct adv_payload job_payload;
	struct list job_updates;

	struct defer tell;
	struct adv *telling; /* inside a callback of it; NULL: freed there */
	struct list stops;
	struct adv_link links[ADV_LINKS_MAX];
};

/* --- adv.c --- */

/** adv_enter_state() - told later in this pass */
void adv_enter_state(struct adv *adv, enum adv_state state);

/** adv_end() - it is over for this reason; the first counts. Told when the kernel has let go. */
void adv_end(struct adv *adv, enum adv_end end, int res);

/** adv_released() - the kernel has let go of it (or never had it): finish when that was waited for */
void adv_released(struct adv *adv);

/** adv_tell_start() - it was on the air: the op of adv_new() is done. It may be freed inside. */
void adv_tell_start(struct adv *adv);

/** adv_took_data() - the kernel has its data: started, running, updates told */
void adv_took_data(struct adv *adv);

/** adv_refused() - it cannot be on the air: the start fails, or it ends */
void adv_refused(struct adv *adv, int res);

/** adv_lost() - others removed its instance */
void adv_lost(struct adv *adv);

/** adv_live() - neither over nor about to be */
bool adv_live(const struct adv *adv);

/* --- adv_kernel.c --- */

void adv_kernel_init(struct advs *advs);

/** adv_work() - do what is to be done next, unless a command is under way */
void adv_work(struct advs *advs);

/** adv_unset() - its instance is to go, now; it has none any more */
void adv_unset(struct adv *adv);

/** adv_kernel_forget() - the adapter is off: no command, no instances */
void adv_kernel_forget(struct advs *advs);

/* --- adv_link.c --- */

void adv_links_init(struct advs *advs);

/** adv_refresh_later() - a link came or went: on the air again, if it was */
void adv_refresh_later(struct adv *adv);

/** adv_links_forget() - all links, or (@adv) what is known of them about an advertiser that goes */
void adv_links_clear(struct advs *advs);
void adv_links_forget(struct advs *advs, struct adv *adv);
