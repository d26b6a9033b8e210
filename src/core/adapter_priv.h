/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inside of an adapter, shared by the files of src/core: adapter.c and adapter_bringup.c own all fields unless said
 * otherwise; scan.c (observer) and connect.c/conn.c (links) hang their state on `scan` and `links` and are driven by the
 * hooks below. manager.c feeds mgmt events in. The rule a reader would break first: a hook may end ops whose done() frees
 * clients' objects, but nobody frees an adapter except the manager, and never from inside a hook or an adapter event.
 */
#pragma once

#include "aiobled/adapter.h"
#include "aiobled/hci_chan.h"
#include "aiobled/kernel.h"
#include "aiobled/loop.h"
#include "aiobled/manager.h"
#include "aiobled/mgmt.h"

struct advs;  /* adv.c */
struct scan;  /* scan.c */
struct links; /* connect.c */

#define ADAPTER_NAME_MAX   12 /* "hci65535" */
#define ADAPTER_REASON_MAX 192

/* "Off" is followed by "removed" when the controller was pulled out, on a busy machine after 160 ms. */
#define ADAPTER_UNPLUG_SETTLE_MS  500
#define ADAPTER_BLOCKED_POLL_MS   2000   /* while rfkill blocks: no event tells that it ended */
#define ADAPTER_RETRY_MIN_MS      2000   /* after a failed bring-up; doubles each time ... */
#define ADAPTER_RETRY_MAX_MS      300000 /* ... up to this ... */
#define ADAPTER_HEALTHY_MS        60000  /* ... and starts over after being ready for so long */
#define ADAPTER_FOREIGN_FORGET_MS 600000 /* a change by another program is named for so long */
#define ADAPTER_WHO_LEAVES_MS     5000   /* so soon after another manager left, it was its doing */

struct bringup_step; /* adapter_steps.h */

/* A sequence of steps under way: bring-up, or turning the radio off. */
struct bringup {
	const struct bringup_step *step; /* NULL: nothing under way */
	struct defer kick;               /* nothing may end inside the call that starts it */
	struct mgmt_cmd mgmt;
	struct hci_cmd hci;
	struct timer pause; /* before the step is tried again */
	unsigned int tries; /* of this step */
	bool off;           /* the sequence is the one that turns the radio off */
	bool adopt;         /* turned on from outside: no power cycle when the settings suit */
	struct timer retry; /* FAILED or BLOCKED: the next bring-up */
	uint32_t backoff_ms;
};

/* adapter_stop() under way (adapter_power.c) */
struct stopping {
	struct op advs, links, scan, off;
	bool done;
};

struct adapter {
	struct list link; /* in the manager's list */
	struct manager *manager;
	struct loop *loop;
	const struct kernel *kernel;
	const struct manager_config *config;
	struct mgmt *mgmt;    /* the manager's; never NULL, answers -EIO once its socket broke */
	struct hci_chan *hci; /* NULL but in READY and at the end of STARTING: check before use */
	uint16_t index;
	char name[ADAPTER_NAME_MAX];
	struct addr addr; /* identity: public, or our static one for a controller that has none */
	bool known;       /* the address is known and the adapter announced */
	bool discard;     /* not on the allow-list: the manager is about to free it */
	bool initial;     /* was there at the start and has not settled yet */

	enum adapter_state state;
	char reason[ADAPTER_REASON_MAX];
	bool off_by_us;            /* ADAPTER_OFF by adapter_power(): the next work turns it on */
	bool up;                   /* the modules were told up, and not yet down */
	int closing;               /* no new work: -ENETDOWN stopping, -ENODEV unplugged; else 0 */
	bool found, found_powered; /* settings before we touched them */
	uint64_t ready_us;         /* when it became ready */
	struct timer unplug;       /* powered off from outside: give "removed" a moment */
	struct defer broken;       /* the controller reported ... */
	uint8_t hardware_error;    /* ... this */
	struct list await_ops, on_ops, off_ops;

	char conflict[ADAPTER_REASON_MAX]; /* made of the next two */
	const char *who;                   /* another manager on the bus; NULL: none */
	uint64_t who_left_us;              /* when it went; 0: it did not */
	bool off_with_who;                 /* ADAPTER_OFF from outside while it was there */
	char foreign[64]; /* what another program did to this adapter; "": nothing lately */
	struct timer foreign_forget;

	uint32_t supported, settings; /* enum mgmt_setting, as last told by the kernel */
	bool extended;                /* use the extended scan commands */
	uint8_t hci_version;
	uint16_t manufacturer;
	uint64_t le_features; /* HCIP_FEATURE_* */
	uint64_t le_states;   /* LE Read Supported States; 0: not known */
	uint32_t adv_flags;   /* enum mgmt_adv_flag: what the controller can do */
	uint32_t adv_max;     /* instances the kernel has for it; 0: not known */
	uint32_t adv_found;   /* instances that were there at the end of bring-up */

	struct adapter_stats stats; /* each module counts its own */
	struct scan *scan;          /* scan.c's, between scan_attach() and scan_detach() */
	struct links *links;        /* connect.c's, between links_attach() and links_detach() */
	struct gatt_server *gatt_server; /* the same */
	struct advs *advs;          /* adv.c's, between adv_attach() and adv_detach() */

	const struct adapter_events *events;
	void *events_data;
	struct defer changed;
	struct bringup bringup;
	struct stopping stopping;
};

/** adapter_changed() - tell the listener, later in this loop pass; several calls become one */
void adapter_changed(struct adapter *adapter);

/** adapter_note_foreign() - another program did something to the adapter: "advertises" */
void adapter_note_foreign(struct adapter *adapter, const char *what);

/** adapter_emit_conn() - a link is usable: tell the listener now, before the done() of those who wait for it */
void adapter_emit_conn(struct adapter *adapter, struct conn *conn);

/**
 * adapter_want() - work for the radio has arrived
 *
 * Turns the radio on when our own adapter_power(off) turned it off.
 *
 * Return: 0 in ADAPTER_READY: go ahead; -EAGAIN when it is starting: keep the work, scan_adapter_up()/links_adapter_up() or
 * ..._down() follows; -ENETDOWN else (adapter_reason()).
 */
int adapter_want(struct adapter *adapter);

/* --- between adapter.c, adapter_bringup.c and manager.c --- */

/** adapter_new() - a controller the kernel told of; bring-up starts at once, manager_adapter_known() follows */
int adapter_new(struct manager *manager, struct loop *loop, const struct kernel *kernel,
                const struct manager_config *config, struct mgmt *mgmt, uint16_t index,
                struct adapter **ret);

/** adapter_free() - after adapter_gone(); what is still live is dropped silently */
struct adapter *adapter_free(struct adapter *adapter);

/** adapter_gone() - unplugged: everything ends with -ENODEV, the raw channel is closed */
void adapter_gone(struct adapter *adapter);

/** adapter_mgmt_event() - an event of this index, but for Index Added and Removed */
void adapter_mgmt_event(struct adapter *adapter, const struct mgmt_msg *msg);

/**
 * adapter_stop() - the daemon stops: no new work, scan off, links disconnected, radio as it was found
 *
 * manager_adapter_stopped() follows, perhaps from inside.
 */
void adapter_stop(struct adapter *adapter);
void adapter_stop_init(struct adapter *adapter);
void adapter_stop_cancel(struct adapter *adapter);

/** adapter_set_who() - name of another manager on the bus (borrowed), or NULL */
void adapter_set_who(struct adapter *adapter, const char *who);

/** adapter_enter_state() - the only way to change the state: tells modules, waiting ops and the listener what it means */
void adapter_enter_state(struct adapter *adapter, enum adapter_state state, int res,
                         const char *fmt, ...) _printf_(4, 5);

/** adapter_update_settings() - as told by an answer to a command of ours */
void adapter_update_settings(struct adapter *adapter, uint32_t settings);

/** adapter_open_hci(), adapter_close_hci() - the raw channel. Return: 0 or -errno. */
int adapter_open_hci(struct adapter *adapter);
void adapter_close_hci(struct adapter *adapter);

void bringup_init(struct adapter *adapter);

/** bringup_start() - from any state; a sequence under way is given up. Ends in READY, BLOCKED, FAILED. */
void bringup_start(struct adapter *adapter, bool adopt);

/** bringup_power_off() - turn the radio off and complete adapter->off_ops */
void bringup_power_off(struct adapter *adapter);

/** bringup_retry_later() - arm the next bring-up: FAILED with growing delays, BLOCKED polled */
void bringup_retry_later(struct adapter *adapter);

/** bringup_cancel() - no sequence and no retry */
void bringup_cancel(struct adapter *adapter);

/** bringup_busy() - a sequence of ours is under way: changes of settings are ours */
bool bringup_busy(const struct adapter *adapter);

/** bringup_release() - go on with a bring-up that waits for manager_begin() */
void bringup_release(struct adapter *adapter);

/** manager_is_held() - must the adapters be left as they are for now? */
bool manager_is_held(const struct manager *manager);

/** manager_adapter_known() - address and settings were read. Return: false: not on the allow-list, touch it no more. */
bool manager_adapter_known(struct manager *manager, struct adapter *adapter);

/** manager_adapter_stopped() - adapter->stopping.done of one was set */
void manager_adapter_stopped(struct manager *manager);

/** manager_adapter_settled() - bring-up has come to an end, whichever */
void manager_adapter_settled(struct manager *manager, struct adapter *adapter);

/*
 * Hooks: every adapter calls them in this order: attach, (up, events ..., down) any number of times, detach. All take
 * effect at once and must not block; none may free the adapter.
 */

/**
 * scan_attach() - the adapter exists (not ready yet): make adapter->scan
 *
 * Return: 0 or -ENOMEM (the adapter is given up).
 */
int scan_attach(struct adapter *adapter);

/** scan_detach() - free adapter->scan (which may be NULL); scan_adapter_down(-ENODEV) was called before */
void scan_detach(struct adapter *adapter);

/** scan_adapter_up() - ADAPTER_READY, and adapter->hci is usable: the controller is not scanning; start what is wanted */
void scan_adapter_up(struct adapter *adapter);

/**
 * scan_adapter_down() - the radio is off, or the adapter gone: finish every scanner, waiting ones too, with @err
 * @err: -ENETDOWN or -ENODEV
 *
 * Drop every hci_cmd in flight: adapter->hci is freed right after. Called also when bring-up fails (there was no up), and
 * after it the hook may be called again with -ENODEV.
 */
void scan_adapter_down(struct adapter *adapter, int err);

/** scan_hci_event() - each event of the raw channel while adapter->hci exists, answers to other commands too */
void scan_hci_event(struct adapter *adapter, const struct hcip_event *ev);

/** scan_stop() - the daemon stops: turn the controller's scan off and finish scanners with -ECANCELED; done(): 0, always */
void scan_stop(struct adapter *adapter, struct op *op);

/** links_*() - the same for attempts and links */
int links_attach(struct adapter *adapter);
void links_detach(struct adapter *adapter);
void links_adapter_up(struct adapter *adapter);

/**
 * links_adapter_down() - end every link (reason 0x08 is not ours to invent: 0x16) and fail every attempt with @err
 *
 * The kernel may or may not have sent Device Disconnected: observers are told by this call at the latest.
 */
void links_adapter_down(struct adapter *adapter, int err);
void links_hci_event(struct adapter *adapter, const struct hcip_event *ev);

/** links_mgmt_event() - mgmt events of this adapter's index, whatever the state */
void links_mgmt_event(struct adapter *adapter, const struct mgmt_msg *msg);

/** links_stop() - cancel attempts (-ECANCELED), disconnect every link; done() when all are down, at latest by its deadline */
void links_stop(struct adapter *adapter, struct op *op, uint32_t timeout_ms);

/** links_count() - links up or going down now */
uint32_t links_count(const struct adapter *adapter);

/** links_max() - links the adapter carries: as configured, or learned from a refusal if that is less; 0: not known */
uint32_t links_max(const struct adapter *adapter);

/** scan_engaged() - we use the scan engine, or are about to: the kernel (6.12) reports an active raw scan as discovery */
bool scan_engaged(const struct adapter *adapter);

/** scan_discovering() - mgmt's event Discovering: the kernel believes in a discovery, perhaps ours, or not any more */
void scan_discovering(struct adapter *adapter, uint8_t type, bool on);

/** scan_active() - the controller is scanning for clients now: adapter_scanning() */
bool scan_active(const struct adapter *adapter);

/** adv_*() - the same for advertisers: power off pauses those that were on the air */
int adv_attach(struct adapter *adapter);
void adv_detach(struct adapter *adapter);
void adv_adapter_up(struct adapter *adapter);
void adv_adapter_down(struct adapter *adapter, int err);

/** adv_hci_event() - before the links see the event: the advertiser of a link is known when its conn is made */
void adv_hci_event(struct adapter *adapter, const struct hcip_event *ev);
void adv_mgmt_event(struct adapter *adapter, const struct mgmt_msg *msg);

/** adv_conn_added() - a link is usable, and the listener has been told */
void adv_conn_added(struct adapter *adapter, struct conn *conn);

/** adv_stop_all() - end every advertiser (-ECANCELED); done(): 0, always, when the kernel has none of ours any more */
void adv_stop_all(struct adapter *adapter, struct op *op);
