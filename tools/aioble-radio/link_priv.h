/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One end of a link, as the files share it:
 *
 *   link.c          life of links; the host's data and events
 *   link_event.c    connection events: when, and who sends next
 *   link_data.c     data channel PDUs: acknowledgement, fragments, MIC
 *   link_ctrl.c     Link Layer control procedures
 *   link_instant.c  those of them that change something at an instant
 *   link_crypt.c    those of encryption
 *
 * Both ends are alike but for their role. The central's timer plays the connection events for both; an end whose other
 * end has gone (reset, unplugged) is left to its supervision timeout.
 *
 * The rule a reader would break first: link_end() frees. After whatever may take a PDU, ask for the link again.
 */
#pragma once

#include "aiobled/addr.h"
#include "aiobled/bytes.h"
#include "aiobled/list.h"

#include "air.h"
#include "ccm.h"
#include "chan.h"
#include "link.h"
#include "pdu.h"

#define LINKS_MAX        16 /* of a controller */
#define LINK_HANDLE_MAX  0x0eff
#define LL_OCTETS_MIN    27
#define LL_OCTETS_MAX    251
#define LL_TIME_MIN_US   328
#define LINK_CTRL_MAX    12   /* control PDUs that wait to be sent */
#define LINK_CTRL_LEN    26   /* the longest, with its opcode */
#define LINK_ESTABLISH   6    /* events in which the first packet must have come (4.5.2) */
#define LINK_AUTH_10MS   3000 /* authenticated payload timeout, until told otherwise */
#define LINK_PROC_MAX_US (40 * 1000000ull) /* a procedure without an answer (5.2) */

#define LINK_UNIT_US      1250  /* of intervals */
#define LINK_TIMEOUT_UNIT 10000 /* of supervision timeouts */

/* First octet of a data channel PDU (2.4.1) */
#define LL_LLID         0x03
#define LL_LLID_MORE    0x01 /* continuation, or empty */
#define LL_LLID_START   0x02
#define LL_LLID_CONTROL 0x03
#define LL_NESN         0x04
#define LL_SN           0x08
#define LL_MD           0x10

struct link_params {
	uint16_t interval; /* 1.25 ms */
	uint16_t latency;
	uint16_t timeout; /* 10 ms */
};

/* An ACL packet of the host on its way. */
struct link_acl {
	struct list link;
	uint16_t len, sent, acked;
	bool start; /* of an L2CAP PDU */
	uint8_t data[];
};

struct link_ctrl {
	uint8_t len;
	uint8_t data[LINK_CTRL_LEN]; /* opcode first */
};

/* Procedures an end starts; one at a time, in this order when several are wanted. */
enum link_proc {
	PROC_NONE,
	PROC_VERSION,
	PROC_FEATURES,
	PROC_ENC,
	PROC_LENGTH,
	PROC_PHY,
	PROC_UPDATE,
	PROC_CHANNELS,
	PROC_PING,
	PROC_LAST = PROC_PING,
};

enum link_phase {
	PHASE_WAIT,   /* for the next event */
	PHASE_ANSWER, /* the central has sent, the peripheral is next */
	PHASE_TURN,   /* the other way round */
};

/* Something that becomes true at a connection event. */
struct link_instant {
	bool on;
	uint16_t at; /* connEventCounter */
};

struct link {
	struct list entry; /* links->list */
	struct links *links;
	struct controller *ctl;
	struct link *peer; /* the other end; NULL: gone */
	uint16_t handle;
	uint8_t role;        /* HCIP_ROLE_* */
	bool told;           /* the host knows it; false while AUX_CONNECT_RSP is due */
	struct addr peer_id; /* identity when it was resolved */
	struct addr peer_air, own_air;
	bool peer_resolved;
	int8_t tx_dbm;

	/* timing; what belongs to the events is kept at the central's end */
	struct link_params params;
	struct chan_plan plan;
	enum link_phase phase;
	struct air_timer timer;
	uint64_t base_us;   /* anchor point of ... */
	uint32_t base;      /* ... this event; events count without wrapping here */
	int64_t played;     /* the last event that took place; -1: none yet */
	uint32_t playing;   /* the one that takes place, or the next */
	uint32_t listen_at; /* an event at which the peripheral listened or must */
	bool failing;       /* the last event went wrong */
	int crowded;        /* events lost to other links since the last one of ours */
	bool lost;          /* the ends have different ideas: no PDU arrives any more */
	uint8_t tx_phy, rx_phy;

	/* supervision */
	struct air_timer watchdog;
	uint64_t heard_us;
	bool established; /* a packet came */
	uint64_t created_us;

	/* acknowledgement (4.5.9) */
	uint8_t sn, nesn;
	bool in_flight;
	uint8_t tx[PDU_MAX], rx[PDU_MAX];
	size_t tx_len, rx_len; /* rx_len 0: nothing came */
	uint8_t tx_payload;    /* without MIC */
	bool tx_mic, peer_md, refused;
	int8_t rssi_dbm;

	/* data */
	struct list acl;
	uint16_t completed;                              /* not yet told to the host */
	uint16_t tx_octets, tx_time, rx_octets, rx_time; /* in effect */
	uint16_t own_tx_octets, own_tx_time;             /* asked for by the host */
	uint16_t frag; /* LL payload that tx_octets and tx_time allow on tx_phy */

	/* control */
	struct link_ctrl ctrl[LINK_CTRL_MAX];
	unsigned int n_ctrl;
	uint16_t wanted; /* bits of enum link_proc */
	enum link_proc active;
	bool awaited; /* by the host: its event is due also if nothing changes */
	uint64_t proc_due_us;
	uint8_t leaving; /* reason: LL_TERMINATE_IND was sent or is to be */
	uint8_t ending;  /* reason: it came, and ends the link when acknowledged */
	bool version_sent, has_version, has_features;
	uint8_t peer_version[5];
	uint64_t peer_features;
	bool no_length, no_params; /* the peer does not know the procedure */
	struct link_instant update, channels, phys;
	struct link_params next_params, wish; /* wish.interval is the upper bound */
	uint16_t wish_min;
	bool params_asked; /* LL_CONNECTION_PARAM_REQ waits for the host's reply */
	uint64_t next_map;
	uint8_t next_tx_phy, next_rx_phy; /* 0: unchanged */
	uint8_t tx_phys, rx_phys;         /* preferred, bits */

	/* encryption */
	bool encrypted;      /* as the host was told */
	bool tx_enc, rx_enc; /* of the packets */
	bool paused;         /* only PDUs of the procedure pass */
	bool refresh;        /* of a key, not the first */
	bool ltk_asked;
	struct ccm ccm;
	uint64_t tx_count, rx_count;
	uint8_t ltk[AES_LEN], skd[AES_LEN], iv[8], rand[8], ediv[2];
	uint16_t auth_10ms;
	uint64_t auth_us; /* the last PDU with a MIC */
	struct air_timer auth;

	struct {
		uint64_t pdus, retransmitted, missed;
	} stats;
};

struct initiator;

struct links {
	struct controller *ctl;
	struct list list;
	unsigned int n;
	uint16_t last_handle;
	unsigned int acl_used;  /* buffers the host has filled */
	uint64_t map;           /* LE Set Host Channel Classification */
	uint64_t busy_until_us; /* the radio, with a connection event */
	struct initiator *initiator;
	uint64_t overflows, strays; /* ACL packets without a buffer, without a link */
};

/* --- link.c --- */

struct link *link_find(struct links *links, uint16_t handle);

/* What both ends of a new link know: LLData of CONNECT_IND or AUX_CONNECT_REQ, and the PDU that brought it. */
struct link_start {
	uint8_t role;
	struct addr own, peer; /* as on the air */
	bool chan_sel_2;
	bool aux;
	uint8_t phy;
	int8_t tx_dbm;
	uint64_t end_us; /* of that PDU */
	uint8_t ll[PDU_CONNECT_LL_LEN];
};

/** link_new() - an end of a link. Return: 0, -EBADMSG, -ENOBUFS or -ENOMEM. */
int link_new(struct links *links, const struct link_start *s, struct link **ret);

/** link_tell() - LE (Enhanced) Connection Complete, and what follows it */
void link_tell(struct link *l);

/** link_end() - Disconnection Complete with @reason; @l is freed */
void link_end(struct link *l, uint8_t reason);

/** link_drop() - the same without a word */
void link_drop(struct link *l);

/** link_report_completed() - Number Of Completed Packets for what was acknowledged */
void link_report_completed(struct link *l);

/** links_conn_failed() - LE (Enhanced) Connection Complete without a link */
void links_conn_failed(struct links *links, uint8_t status, uint8_t role, const struct addr *peer);

/** links_connected() - is there a link to that identity? */
bool links_connected(const struct links *links, const struct addr *peer);

/** link_phys_supported() - bits as in LE Set PHY */
uint8_t link_phys_supported(const struct controller *ctl);

/** link_params_ok() - as 7.8.12 and 7.8.18 want them; @min is the least interval */
bool link_params_ok(uint16_t min, const struct link_params *p);

/* --- link_event.c --- */

/** link_begin() - the central's end: play events from the first on */
void link_begin(struct link *central);

/** link_kick() - there is something new to send at this end, or it waits for an event */
void link_kick(struct link *l);

/** link_counter() - connEventCounter of the event that takes place, or was the last to */
uint16_t link_counter(const struct link *l);

struct link *link_central(struct link *l);

/* --- link_data.c --- */

/** link_compose() - l->tx and l->tx_len: what this end sends next */
void link_compose(struct link *l);

/** link_take() - what came in l->rx. Return: false when that was the end of @l. */
bool link_take(struct link *l);

/** link_has_data() - is there something to send, or to be acknowledged? */
bool link_has_data(const struct link *l);

/** link_set_phys(), link_set_length() - with all that follows from it; @l's side only, no events */
void link_set_phys(struct link *l, uint8_t tx, uint8_t rx);
void link_fit_fragments(struct link *l);

/* --- link_ctrl.c --- */

enum ll_opcode {
	LL_CONNECTION_UPDATE_IND = 0x00,
	LL_CHANNEL_MAP_IND = 0x01,
	LL_TERMINATE_IND = 0x02,
	LL_ENC_REQ = 0x03,
	LL_ENC_RSP = 0x04,
	LL_START_ENC_REQ = 0x05,
	LL_START_ENC_RSP = 0x06,
	LL_UNKNOWN_RSP = 0x07,
	LL_FEATURE_REQ = 0x08,
	LL_FEATURE_RSP = 0x09,
	LL_PAUSE_ENC_REQ = 0x0a,
	LL_PAUSE_ENC_RSP = 0x0b,
	LL_VERSION_IND = 0x0c,
	LL_REJECT_IND = 0x0d,
	LL_PERIPHERAL_FEATURE_REQ = 0x0e,
	LL_CONNECTION_PARAM_REQ = 0x0f,
	LL_CONNECTION_PARAM_RSP = 0x10,
	LL_REJECT_EXT_IND = 0x11,
	LL_PING_REQ = 0x12,
	LL_PING_RSP = 0x13,
	LL_LENGTH_REQ = 0x14,
	LL_LENGTH_RSP = 0x15,
	LL_PHY_REQ = 0x16,
	LL_PHY_RSP = 0x17,
	LL_PHY_UPDATE_IND = 0x18,
};

/** link_put_ctrl() - queue a control PDU; one too many ends the procedure by its timeout */
void link_put_ctrl(struct link *l, uint8_t opcode, const void *params, size_t len);

/** link_ctrl_sendable() - index of the first control PDU that may go now, or -1 */
int link_ctrl_sendable(const struct link *l);

/** link_ctrl_leaves() - a control PDU is about to be sent for the first time: it gets its instant */
void link_ctrl_leaves(struct link *l, uint8_t *pdu, size_t len);

/** link_ctrl_input() - a control PDU of the peer. Return: false when that was the end of @l. */
bool link_ctrl_input(struct link *l, const uint8_t *pdu, size_t len);

/** link_want() - start a procedure, or let it wait for its turn */
void link_want(struct link *l, enum link_proc proc);

/** link_proc_done() - the active one is over */
void link_proc_done(struct link *l);

/** link_leave() - disconnect: LL_TERMINATE_IND, then Disconnection Complete */
void link_leave(struct link *l, uint8_t reason);

/** link_reject() - LL_REJECT_EXT_IND, or LL_REJECT_IND for a peer that has only that */
void link_reject(struct link *l, uint8_t opcode, uint8_t reason);

/** link_instants() - apply at @l what is due at @counter */
void link_instants(struct link *l, uint32_t event);

/** link_next_instant() - the soonest instant of @l at or after @event; UINT32_MAX: none */
uint32_t link_next_instant(const struct link *l, uint32_t event);

/** link_answer_params() - the host's word on LL_CONNECTION_PARAM_REQ: 0 or the reason to refuse */
void link_answer_params(struct link *l, uint8_t reason);

/** link_ctrl_auto() - what a controller starts by itself on a new link */
void link_ctrl_auto(struct link *l);

/* Events that commands answered from memory send too. */
void link_tell_version(struct link *l, uint8_t status);
void link_tell_features(struct link *l, uint8_t status);
void link_tell_update(struct link *l, uint8_t status);
void link_tell_phys(struct link *l, uint8_t status);

/* --- link_instant.c: starters, and handlers of control PDUs (as link_ctrl_input()) --- */

void link_start_update(struct link *l);
void link_start_channels(struct link *l);
void link_start_phys(struct link *l);
bool link_on_update_ind(struct link *l, struct rd *p);
bool link_on_param_req(struct link *l, struct rd *p);
bool link_on_channel_map(struct link *l, struct rd *p);
bool link_on_phy_req(struct link *l, struct rd *p);
bool link_on_phy_rsp(struct link *l, struct rd *p);
bool link_on_phy_update(struct link *l, struct rd *p);

/* --- link_crypt.c --- */

void link_crypt_start(struct link *l);
bool link_crypt_input(struct link *l, uint8_t opcode, const uint8_t *params, size_t len);
void link_crypt_rejected(struct link *l, uint8_t reason);

/** link_crypt_reply() - the host's LTK, or NULL: it has none */
void link_crypt_reply(struct link *l, const uint8_t *ltk);

/** link_crypt_allows() - may a control PDU go while a procedure of encryption is under way? */
bool link_crypt_allows(uint8_t opcode);

/** link_auth_arm() - (re)start the authenticated payload timeout */
void link_auth_arm(struct link *l);
