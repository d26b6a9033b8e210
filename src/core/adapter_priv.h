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

struct scan;    /* scan.c */
struct links;   /* connect.c */
struct bringup; /* adapter_bringup.c */

#define ADAPTER_NAME_MAX   12 /* "hci65535" */
#define ADAPTER_REASON_MAX 160

struct adapter {
	struct list link; /* in the manager's list; linked from the moment the address is known */
	struct loop *loop;
	const struct kernel *kernel;
	const struct manager_config *config;
	struct mgmt *mgmt;    /* the manager's; never NULL, answers -EIO once its socket broke */
	struct hci_chan *hci; /* open in READY and in the last steps of STARTING; NULL else: check before every use */
	uint16_t index;
	char name[ADAPTER_NAME_MAX];
	struct addr addr; /* identity address */

	enum adapter_state state;
	char reason[ADAPTER_REASON_MAX];
	char conflict[ADAPTER_REASON_MAX];
	uint32_t supported, settings; /* enum mgmt_setting, as last told by the kernel */
	bool extended;                /* use the extended scan commands */
	bool simultaneous;            /* scanning and central links side by side, as far as LE Read Supported States tells */
	uint8_t hci_version;
	uint16_t manufacturer;
	uint64_t le_features; /* HCIP_FEATURE_* */
	uint64_t le_states;   /* LE Read Supported States; 0: not known */

	struct adapter_stats stats; /* scan.c and connect.c count their own fields here */
	struct scan *scan;          /* scan.c's, between scan_attach() and scan_detach() */
	struct links *links;        /* connect.c's, between links_attach() and links_detach() */

	const struct adapter_events *events;
	void *events_data;
	struct defer changed;
	struct bringup *bringup;
};

/** adapter_changed() - tell the listener, later in this loop pass; several calls become one */
void adapter_changed(struct adapter *adapter);

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

/** scan_active() - the controller is scanning for clients now: adapter_scanning() */
bool scan_active(const struct adapter *adapter);
