/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One LE controller: what stands behind one HCI. Packets from its host come in by controller_input(), whole, with the H4
 * type byte in front; packets for the host go out by controller_send(). Whatever the host sends, the answer is an event:
 * nothing is asserted on.
 *
 * Commands are rows of tables (struct ctl_cmd), one table a file: length checks, Supported Commands, profile and the form
 * of the answer all follow from the row. Commands that a profile lacks do not exist for its host.
 *
 * The rule a reader would break first: controller_send() never calls back into the controller, so that events may be
 * sent from anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/addr.h"
#include "aiobled/bytes.h"
#include "aiobled/hci_pdu.h"
#include "aiobled/list.h"

#include "accept_list.h"
#include "air.h"
#include "profile.h"

#define CTL_PACKET_MAX (1 + 4 + 65535) /* H4 type, ACL header, data: what a frame can say */
#define CTL_TX_DBM     0               /* transmit power unless a command asks for another */
#define CTL_TX_MIN_DBM (-20)
#define CTL_TX_MAX_DBM 10

struct controller;
struct ctl_adv;   /* ctl_adv.c: the advertising sets */
struct ctl_scan;  /* ctl_scan.c: the scanner and its reports */
struct links;     /* link.h */
struct resolving; /* resolving.h */

/* --- the host's side --- */

struct controller_ops {
	/* a whole packet for the host; called from anywhere, must not call the controller */
	void (*packet)(struct controller *ctl, const uint8_t *pkt, size_t len);
	/* is the way to the host so full that data had better wait? May be NULL: never. */
	bool (*congested)(struct controller *ctl);
};

#define FLOW_LINKS_MAX 32 /* links with data that the host has not done; more are not counted */

struct ctl_bredr { /* what dual-mode hosts write and read back */
	uint8_t name[248];
	uint8_t class[3];
	uint16_t voice, page_timeout, accept_timeout, link_policy;
	uint16_t page_scan[2], inquiry_scan[2];
	struct air_timer inquiry, page; /* going on */
	uint8_t page_addr[ADDR_LEN], page_status;
	bool page_for_name;
	uint8_t scan_enable, auth_enable, inquiry_mode, inquiry_type, page_type, ssp, le_host;
	uint8_t eir[241];
	uint8_t iac_count, iac[2][3];
};

/* Legacy and extended advertising commands exclude each other until reset (Vol 4, Part E, 3.1.1). */
enum ctl_flavour { CTL_ADV_UNDECIDED, CTL_ADV_LEGACY, CTL_ADV_EXTENDED };

struct controller {
	struct list link; /* air_controllers() */
	struct radio radio;
	const struct controller_ops *ops;
	void *data; /* of the owner of @ops */
	struct profile profile;
	struct addr public_addr;
	struct addr random_addr;
	bool has_random_addr;
	bool hung; /* takes and gives nothing until it is reset from outside */
	uint64_t event_mask, event_mask2, le_event_mask;
	uint8_t commands[HCIP_COMMANDS_LEN]; /* Supported Commands, from the tables */
	enum ctl_flavour flavour;
	struct accept_list accept;
	struct ctl_adv *adv;
	struct ctl_scan *scan;
	struct links *links;
	struct resolving *resolving;
	struct ctl_bredr bredr;
	struct {
		bool on;
		uint16_t free; /* ACL packets the host has room for */
		struct {
			uint16_t handle, n; /* those it has not done yet */
		} out[FLOW_LINKS_MAX];
	} flow;                                         /* towards the host (7.3.38 to 7.3.40) */
	uint16_t def_tx_len, def_tx_time;               /* LE Write Suggested Default Data Length */
	uint8_t def_all_phys, def_tx_phys, def_rx_phys; /* LE Set Default PHY */
	struct {
		uint64_t commands, unknown, events, acl_in, acl_out, malformed;
	} stats;
};

/**
 * controller_new() - a controller that takes part in @air from now on
 * @name: of its radio, as scenarios call it
 */
int controller_new(struct air *air, const char *name, const struct profile *profile,
                   const struct addr *public_addr, const struct controller_ops *ops, void *data,
                   struct controller **ret);
struct controller *controller_free(struct controller *ctl);

/** controller_of() - the controller whose radio this is, or NULL for a scripted advertiser */
struct controller *controller_of(const struct radio *radio);

/** controller_input() - a whole packet from the host, H4 type byte first; what makes no sense is counted and answered */
void controller_input(struct controller *ctl, const uint8_t *pkt, size_t len);

/** controller_reset() - what HCI_Reset does: links vanish without a word on the air, everything is as at power-on */
void controller_reset(struct controller *ctl);

/* --- to the host --- */

/** controller_send() - any packet; events should go by those below */
void controller_send(struct controller *ctl, const uint8_t *pkt, size_t len);

/** controller_event() - unless the event mask forbids it (Command Complete and Status, Completed Packets: always) */
void controller_event(struct controller *ctl, uint8_t code, const void *params, size_t len);

/** controller_le_event() - an LE Meta event; the LE event mask decides. @params: after the subevent. */
void controller_le_event(struct controller *ctl, uint8_t subevent, const void *params, size_t len);

/** controller_wants_le() - would controller_le_event() pass? For events that have two forms. */
bool controller_wants_le(const struct controller *ctl, uint8_t subevent);

/** controller_host_done() - the host has room again for @n packets of a link */
void controller_host_done(struct controller *ctl, uint16_t handle, uint16_t n);

/** controller_congested() - had data better wait? Its way is full, or the host has said that it has no room. */
bool controller_congested(struct controller *ctl);

static inline bool controller_has(const struct controller *ctl, uint64_t features)
{
	return (ctl->profile.features & features) == features;
}

/* --- commands --- */

enum {
	CTL_CMD_STATUS =
		1, /* answered by Command Status; what comes of it is told by later events */
	CTL_CMD_VARIABLE = 2, /* @len is the least, not the exact length of the parameters */
	CTL_CMD_DUAL = 4,     /* only with BR/EDR */
};

#define CTL_CMD_NO_BIT 0xff /* @octet of commands that have no bit */
#define CTL_ANSWERED                                                                               \
	(-1) /* the handler has called controller_cmd_status() itself, or wants no answer */

struct ctl_cmd {
	uint16_t opcode;
	uint8_t octet, bit; /* in Supported Commands (Vol 4, Part E, 6.27) */
	uint8_t since;      /* VERSION_*: older profiles do not know it; 0: all do */
	uint8_t flags;      /* CTL_CMD_* */
	uint8_t len;        /* parameters */
	uint8_t ret_len;   /* return parameters after the status; missing ones are sent as zeroes */
	uint64_t features; /* FEATURE_*: profiles without them do not know it */
	const char *name;
	/*
	 * @p: the parameters, of a length the row allows; leftovers are ignored. @ret: return parameters after the status
	 * (CTL_CMD_STATUS: none). Return: HCIP_STATUS_* or CTL_ANSWERED. An event that must follow the answer is sent
	 * after controller_cmd_status(), or later.
	 */
	int (*run)(struct controller *ctl, struct rd *p, struct wr *ret);
};

/* Tables end with a row without a function. */
extern const struct ctl_cmd
	ctl_base_cmds[]; /* ctl_base.c: reset, masks, what every host asks first */
extern const struct ctl_cmd
	ctl_info_cmds[]; /* ctl_info.c: informational, LE reads and small LE settings */
extern const struct ctl_cmd ctl_bredr_cmds[]; /* ctl_bredr.c: what a dual-mode host configures */
extern const struct ctl_cmd ctl_adv_cmds[];   /* ctl_adv.c, ctl_ext_adv.c */
extern const struct ctl_cmd ctl_ext_adv_cmds[];
extern const struct ctl_cmd ctl_scan_cmds[];
extern const struct ctl_cmd ctl_accept_cmds[];
extern const struct ctl_cmd ctl_init_cmds[];  /* ctl_init.c: initiating */
extern const struct ctl_cmd ctl_conn_cmds[];  /* ctl_conn.c: links */
extern const struct ctl_cmd ctl_crypt_cmds[]; /* ctl_crypt.c: encryption */
extern const struct ctl_cmd ctl_list_cmds[];  /* ctl_list.c: resolving list */

/** controller_cmd_status() - Command Status for the command that is being executed; once, before its other events */
void controller_cmd_status(struct controller *ctl, uint16_t opcode, uint8_t status);

/** controller_cmd_complete() - Command Complete with @len zeroes after the status: an answer without execution */
void controller_cmd_complete(struct controller *ctl, uint16_t opcode, uint8_t status, size_t len);

/** controller_execute() - a command as if it came from the host just now, past the watches: what a fault held back */
void controller_execute(struct controller *ctl, uint16_t opcode, const uint8_t *params, size_t len);

/** ctl_cmd_at() - the @n-th row of all tables, whatever the profile; NULL after the last */
const struct ctl_cmd *ctl_cmd_at(size_t n);

/** ctl_cmd_find() - the row of an opcode that @ctl's profile has, or NULL */
const struct ctl_cmd *ctl_cmd_find(const struct controller *ctl, uint16_t opcode);

/**
 * controller_use() - may a command of this flavour be executed (3.1.1)? The first one since reset decides,
 * unless the profile lets hosts mix them.
 * @flavour: CTL_ADV_LEGACY or CTL_ADV_EXTENDED; of advertising, scanning and initiating commands alike
 */
bool controller_use(struct controller *ctl, enum ctl_flavour flavour);

/* --- addresses --- */

/**
 * controller_own_addr() - the address to transmit with
 * @own_type: as in commands: 0 public, 1 random, 2 and 3 resolvable, else public or random
 * @peer: identity whose entry of the resolving list gives the local IRK; may be NULL
 *
 * Return: 0, or -ENOENT when it is to be random and none was set.
 */
int controller_own_addr(struct controller *ctl, uint8_t own_type, const struct addr *peer,
                        struct addr *ret);

/** controller_random_addr_busy() - is a role active that LE Set Random Address must not disturb (7.8.4)? */
bool controller_random_addr_busy(struct controller *ctl);

/** controller_is_own() - is @a, as seen on the air, an address of this controller? */
bool controller_is_own(struct controller *ctl, const struct addr *a);

/* --- captures and faults --- */

enum ctl_verdict {
	CTL_EXECUTE,
	CTL_UNANSWERED, /* not executed, no answer */
	CTL_HANG,       /* the same, and the controller is hung from now on */
};

struct ctl_watch {
	struct list link;
	/* every packet either way, before anything else happens to it; may be NULL */
	void (*packet)(struct ctl_watch *w, struct controller *ctl, bool to_host,
	               const uint8_t *pkt, size_t len);
	/* a command about to be executed; the first that does not say CTL_EXECUTE decides; may be NULL */
	enum ctl_verdict (*command)(struct ctl_watch *w, struct controller *ctl, uint16_t opcode,
	                            const uint8_t *params, size_t len);
	void (*added)(struct ctl_watch *w,
	              struct controller *ctl); /* may be NULL; also for those there already */
	void (*removed)(struct ctl_watch *w, struct controller *ctl); /* may be NULL */
};

/** controller_watch() - @air's controllers, also those that come later */
void controller_watch(struct air *air, struct ctl_watch *w);
void controller_unwatch(struct ctl_watch *w);
