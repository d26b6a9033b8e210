/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A kernel made of socketpairs. It answers mgmt and HCI commands as a healthy kernel with LE controllers does, on the loop
 * of the test, and deviates where a rule says so: the test scripts the other side, not the program. The far ends of ATT
 * channels belong to the test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "aiobled/kernel.h"
#include "aiobled/loop.h"

#define FAKE_ADAPTERS_MAX 4
#define FAKE_LINKS_MAX    1024
#define FAKE_RULES_MAX    16
#define FAKE_LOG_MAX      512
#define FAKE_ANY          (-1)

struct fake_kernel;

struct fake_kernel *fake_kernel_new(struct loop *loop);
void fake_kernel_free(struct fake_kernel *fk);
const struct kernel *fake_kernel_table(struct fake_kernel *fk);

/* What the next calls of the table return instead of a descriptor; 0: normal. */
void fake_kernel_set_mgmt_error(struct fake_kernel *fk, int err);
void fake_kernel_set_hci_error(struct fake_kernel *fk, int err);
void fake_kernel_set_revision(struct fake_kernel *fk, uint16_t revision); /* of mgmt version 1; default 22 */

/* --- controllers --- */

struct fake_controller {
	const char *addr;       /* public; NULL: none */
	uint32_t supported;     /* 0: everything a dual-mode controller has */
	uint32_t settings;      /* current; default 0 */
	bool extended;          /* has the extended scan and advertising commands */
	uint8_t adv_sets;       /* instances of advertising; 0: three */
};

/** fake_adapter_plug() - appears as hci@index; announced when somebody listens */
void fake_adapter_plug(struct fake_kernel *fk, uint16_t index, const struct fake_controller *c);

/** fake_adapter_unplug() - as the kernel does it: New Settings (off), Index Removed, every socket dead */
void fake_adapter_unplug(struct fake_kernel *fk, uint16_t index);

/** fake_adapter_power() - by another program: with New Settings; off ends links and, as in the kernel, scanning */
void fake_adapter_power(struct fake_kernel *fk, uint16_t index, bool on);

/** fake_adapter_block() - rfkill; blocking powers off with New Settings, unblocking is silent */
void fake_adapter_block(struct fake_kernel *fk, uint16_t index, bool blocked);

/** fake_adapter_set() - another program changes settings bits, with New Settings */
void fake_adapter_set(struct fake_kernel *fk, uint16_t index, uint32_t settings);

bool fake_adapter_present(const struct fake_kernel *fk, uint16_t index);
uint32_t fake_adapter_settings(const struct fake_kernel *fk, uint16_t index);
bool fake_adapter_scanning(const struct fake_kernel *fk, uint16_t index);
bool fake_adapter_hci_open(const struct fake_kernel *fk, uint16_t index);

/* The scan parameters last set, as they were sent (without the header). */
const uint8_t *fake_adapter_scan_params(const struct fake_kernel *fk, uint16_t index, size_t *ret_len);

/* --- rules --- */

enum fake_action {
	FAKE_STATUS, /* refuse with @status */
	FAKE_SILENT, /* never answer, do nothing */
	FAKE_LOST,   /* do it, and never answer */
	FAKE_IGNORE, /* say it worked, do nothing */
	FAKE_SHORT,  /* do it, answer with the return parameters cut to @status bytes */
	FAKE_DELAY,  /* do it and answer after @delay_ms */
};

struct fake_rule {
	uint16_t opcode; /* mgmt or HCI; the numbers do not collide: HCI ones are over 0x0400 */
	int index;       /* or FAKE_ANY */
	unsigned int times; /* how often it applies; 0: for ever */
	enum fake_action action;
	uint8_t status;
	uint32_t delay_ms;
};

#define FAKE_RULE(op, idx, n, act, ...) { .opcode = (op), .index = (idx), .times = (n), .action = (act), __VA_ARGS__ }

void fake_rule(struct fake_kernel *fk, const struct fake_rule *rule);
void fake_rules_clear(struct fake_kernel *fk);

/* --- what came in --- */

/** fake_count() - commands of @opcode for @index (or FAKE_ANY) so far */
unsigned int fake_count(const struct fake_kernel *fk, uint16_t opcode, int index);

/** fake_log() - opcodes in order of arrival, mgmt and HCI; Return: how many */
size_t fake_log(const struct fake_kernel *fk, const uint16_t **ret_opcodes);
void fake_log_clear(struct fake_kernel *fk);

/* --- events --- */

void fake_mgmt_event(struct fake_kernel *fk, uint16_t code, uint16_t index, const void *data, size_t len);
void fake_mgmt_raw(struct fake_kernel *fk, const void *msg, size_t len);
void fake_mgmt_break(struct fake_kernel *fk); /* the control channel ends */
void fake_hci_event(struct fake_kernel *fk, uint16_t index, uint8_t code, const void *data, size_t len);
void fake_hci_raw(struct fake_kernel *fk, uint16_t index, const void *pkt, size_t len);

void fake_hci_break(struct fake_kernel *fk, uint16_t index); /* the raw channel ends, the adapter stays */

/* An advertising report with the flavour of the controller; @data up to 31 bytes; @evtype as in the legacy event. */
void fake_report(struct fake_kernel *fk, uint16_t index, uint8_t evtype, const struct addr *addr, int8_t rssi_dbm,
		 const void *data, size_t len);

/* --- advertising --- */

#define FAKE_ADVS_MAX 8

/* An instance as the kernel keeps it. */
struct fake_adv {
	uint8_t instance; /* 0: none */
	bool complete;    /* has data */
	bool on_air;
	uint32_t flags, min_interval, max_interval;
	uint16_t duration;
	int8_t tx_dbm;
	uint8_t adv[255], rsp[255];
	size_t adv_len, rsp_len;
	uint16_t link; /* the link that took it off the air, whose end brings it back; 0xffff: none */
};

/** fake_adv() - by number, or NULL */
const struct fake_adv *fake_adv(const struct fake_kernel *fk, uint16_t index, uint8_t instance);

/** fake_advs() - how many there are; fake_advs_on_air() - of them, how many are heard */
unsigned int fake_advs(const struct fake_kernel *fk, uint16_t index);
unsigned int fake_advs_on_air(const struct fake_kernel *fk, uint16_t index);

/** fake_adv_add(), fake_adv_remove() - by another program, with the event; an instance that is there is replaced */
void fake_adv_add(struct fake_kernel *fk, uint16_t index, uint8_t instance);
void fake_adv_remove(struct fake_kernel *fk, uint16_t index, uint8_t instance);

/** fake_adv_leave() - an instance that is there already, of nobody: no event */
void fake_adv_leave(struct fake_kernel *fk, uint16_t index, uint8_t instance);

/**
 * fake_adv_taken() - what a controller does when a central connects to @instance
 *
 * The instance is off the air (all of them when the controller has no sets) until the link ends; controllers with sets send LE
 * Advertising Set Terminated. The link itself: fake_link_incoming(), before.
 */
void fake_adv_taken(struct fake_kernel *fk, uint16_t index, uint8_t instance, uint16_t handle);

/* --- links --- */

enum fake_link_state { FAKE_LINK_PENDING, FAKE_LINK_UP, FAKE_LINK_DOWN };

struct fake_link {
	struct fake_kernel *fk;
	uint16_t index;
	struct addr local, peer;
	uint16_t handle;
	enum fake_link_state state;
	bool incoming; /* the peer made it: our role is peripheral */
	int listener;  /* whose queue it is in, until accepted; -1 */
	int near; /* the daemon's descriptor, for looking up only */
	int far;  /* the test's end; -1 when closed */
	int err;  /* what connecting ended with */
	uint8_t level, key_size;
};

/*
 * What att_connect(), att_listen(), att_accept() return next, instead of a descriptor; 0: normal. -ECONNABORTED takes a channel
 * from the queue.
 */
void fake_connect_error(struct fake_kernel *fk, int err);
void fake_listen_error(struct fake_kernel *fk, int err);
void fake_accept_error(struct fake_kernel *fk, int err);

/** fake_listens() - does somebody listen at the adapter? */
bool fake_listens(const struct fake_kernel *fk, uint16_t index);

/** fake_links() - how many attempts and incoming links there were; fake_link(n) is the n-th, oldest first */
size_t fake_links(const struct fake_kernel *fk);
struct fake_link *fake_link(struct fake_kernel *fk, size_t n);

/** fake_link_cancelled() - has the daemon closed its descriptor? */
bool fake_link_cancelled(struct fake_link *link);

/** fake_link_up() - the attempt succeeds: HCI connection complete, mgmt Device Connected, the socket gets writable */
void fake_link_up(struct fake_link *link, uint16_t handle);

/**
 * fake_link_incoming() - a peer makes a link to us; what the daemon sees of it is up to fake_link_tell()
 * @order: for fake_link_tell(); "ham" is the whole of it
 *
 * Return: a link that is up. Without a listener its far end is closed: the peer's PDUs go nowhere.
 */
struct fake_link *fake_link_incoming(struct fake_kernel *fk, uint16_t index, const struct addr *peer, uint16_t handle,
				     const char *order);

/**
 * fake_link_tell() - the sources that announce an incoming link, in this order
 * @order: 'h' LE Connection Complete, 'a' a channel to accept, 'm' mgmt Device Connected
 */
void fake_link_tell(struct fake_link *link, const char *order);

/** fake_link_fail() - it fails: the socket says @err; with a @hci_status, a connection complete with it comes first */
void fake_link_fail(struct fake_link *link, int err, uint8_t hci_status);

/* --- pairing: the events of mgmt, to be sent in whatever order --- */

/** fake_link_ask() - "may I pair?" when @hint, else a number to compare */
void fake_link_ask(struct fake_link *link, bool hint);

/** fake_link_ask_passkey() - a number to type */
void fake_link_ask_passkey(struct fake_link *link);

/** fake_link_key() - New LTK; @store: it is to be kept */
void fake_link_key(struct fake_link *link, bool store);

/** fake_link_identify() - New IRK: the peer is @identity; the kernel calls it so from here on */
void fake_link_identify(struct fake_link *link, const struct addr *identity);

/** fake_link_encrypt() - Encryption Change, after the socket's security changed */
void fake_link_encrypt(struct fake_link *link, uint8_t level, uint8_t key_size);

/** fake_link_drop() - the link ends: HCI and mgmt events, then the socket */
void fake_link_drop(struct fake_link *link, uint8_t hci_reason);

/** fake_link_send(), fake_link_recv() - PDUs on the far end; recv: length, or -1 when nothing is there */
void fake_link_send(struct fake_link *link, const void *pdu, size_t len);
ssize_t fake_link_recv(struct fake_link *link, void *buf, size_t size);
