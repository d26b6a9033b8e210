/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * HCI commands and events as they pass a raw HCI socket: packets with the type byte in front
 * (Core 5.4, Vol 4, Part E, 7). Everything is called hcip_ because libbluetooth's headers own the
 * plain hci_ names.
 *
 *  - hcip_put_*() append one whole packet to a cursor; HCIP_CMD_MAX bytes are always enough.
 *  - hcip_parse_*() return 0 or -EBADMSG and write outputs only on success. A field that is not
 * there is an error; bytes after the known fields are not (later versions of events grow at the
 * end). Views live as long as the packet.
 *  - The return parameters of a command are looked at only when its status is 0: with an error a
 * controller may send the status alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/addr.h"
#include "aiobled/bytes.h"

#define HCIP_CMD_MAX   (1 + 3 + 255)
#define HCIP_EVENT_MAX (1 + 2 + 255)

enum {
	HCIP_PKT_COMMAND = 0x01,
	HCIP_PKT_ACL = 0x02,
	HCIP_PKT_SCO = 0x03,
	HCIP_PKT_EVENT = 0x04,
	HCIP_PKT_ISO = 0x05,
};

enum hcip_opcode {
	HCIP_NOP =
		0x0000, /* in Command Complete and Status: only the number of free slots is told */
	HCIP_DISCONNECT = 0x0406,
	HCIP_READ_LOCAL_VERSION = 0x1001,
	HCIP_READ_LOCAL_COMMANDS = 0x1002,
	HCIP_READ_BD_ADDR = 0x1009,
	HCIP_READ_RSSI = 0x1405,
	HCIP_LE_READ_LOCAL_FEATURES = 0x2003,
	HCIP_LE_SET_SCAN_PARAMS = 0x200b,
	HCIP_LE_SET_SCAN_ENABLE = 0x200c,
	HCIP_LE_CREATE_CONN = 0x200d,
	HCIP_LE_CREATE_CONN_CANCEL = 0x200e,
	HCIP_LE_READ_ACCEPT_LIST_SIZE = 0x200f,
	HCIP_LE_CONN_UPDATE = 0x2013,
	HCIP_LE_READ_STATES = 0x201c,
	HCIP_LE_SET_EXT_SCAN_PARAMS = 0x2041,
	HCIP_LE_SET_EXT_SCAN_ENABLE = 0x2042,
	HCIP_LE_EXT_CREATE_CONN = 0x2043,
};

enum hcip_event_code {
	HCIP_EV_INQUIRY_COMPLETE = 0x01,
	HCIP_EV_BREDR_CONN_COMPLETE = 0x03,
	HCIP_EV_DISCONNECTED = 0x05,
	HCIP_EV_REMOTE_NAME = 0x07,
	HCIP_EV_ENCRYPTION_CHANGE = 0x08,
	HCIP_EV_REMOTE_VERSION = 0x0c,
	HCIP_EV_CMD_COMPLETE = 0x0e,
	HCIP_EV_CMD_STATUS = 0x0f,
	HCIP_EV_HARDWARE_ERROR = 0x10,
	HCIP_EV_COMPLETED_PACKETS = 0x13,
	HCIP_EV_BUFFER_OVERFLOW = 0x1a,
	HCIP_EV_KEY_REFRESH = 0x30, /* Encryption Key Refresh Complete */
	HCIP_EV_LE_META = 0x3e,
	HCIP_EV_AUTH_PAYLOAD_TIMEOUT = 0x57,
	HCIP_EV_ENCRYPTION_CHANGE_V2 = 0x59,
};

enum hcip_le_event {
	HCIP_LE_CONN_COMPLETE = 0x01,
	HCIP_LE_ADV_REPORT = 0x02,
	HCIP_LE_CONN_UPDATED = 0x03,
	HCIP_LE_REMOTE_FEATURES = 0x04,
	HCIP_LE_LTK_REQUEST = 0x05,
	HCIP_LE_REMOTE_CONN_PARAM = 0x06,
	HCIP_LE_DATA_LENGTH = 0x07,
	HCIP_LE_ENH_CONN_COMPLETE = 0x0a,
	HCIP_LE_DIRECT_REPORT = 0x0b,
	HCIP_LE_PHY_UPDATED = 0x0c,
	HCIP_LE_EXT_ADV_REPORT = 0x0d,
	HCIP_LE_SCAN_TIMEOUT = 0x11,
	HCIP_LE_ADV_SET_TERMINATED = 0x12,
	HCIP_LE_SCAN_REQUEST = 0x13,
	HCIP_LE_CHANNEL_SELECTION = 0x14,
};

/* The error codes of Core 5.4, Vol 1, Part F that decisions hang on; hci_error_name() has the
 * words for all. */
enum {
	HCIP_STATUS_OK = 0x00,
	HCIP_STATUS_UNKNOWN_COMMAND = 0x01,
	HCIP_STATUS_NO_CONNECTION = 0x02,
	HCIP_STATUS_PAGE_TIMEOUT = 0x04,
	HCIP_STATUS_AUTH_FAILURE = 0x05,
	HCIP_STATUS_KEY_MISSING = 0x06,
	HCIP_STATUS_MEMORY_EXCEEDED = 0x07,
	HCIP_STATUS_CONNECTION_TIMEOUT = 0x08,
	HCIP_STATUS_CONNECTION_LIMIT = 0x09,
	HCIP_STATUS_CONNECTION_EXISTS = 0x0b,
	HCIP_STATUS_DISALLOWED = 0x0c,
	HCIP_STATUS_LIMITED_RESOURCES = 0x0d,
	HCIP_STATUS_UNSUPPORTED_VALUE = 0x11,
	HCIP_STATUS_INVALID_PARAMS = 0x12,
	HCIP_STATUS_REMOTE_USER_ENDED = 0x13,
	HCIP_STATUS_LOCAL_HOST_ENDED = 0x16,
	HCIP_STATUS_UNSUPPORTED_REMOTE_FEATURE = 0x1a,
	HCIP_STATUS_INVALID_LL_PARAMS = 0x1e,
	HCIP_STATUS_UNSPECIFIED = 0x1f,
	HCIP_STATUS_LL_RESPONSE_TIMEOUT = 0x22,
	HCIP_STATUS_PROCEDURE_COLLISION = 0x23,
	HCIP_STATUS_INSTANT_PASSED = 0x28,
	HCIP_STATUS_DIFFERENT_COLLISION = 0x2a,
	HCIP_STATUS_CONTROLLER_BUSY = 0x3a,
	HCIP_STATUS_UNACCEPTABLE_INTERVAL = 0x3b,
	HCIP_STATUS_ADVERTISING_TIMEOUT = 0x3c,
	HCIP_STATUS_MIC_FAILURE = 0x3d,
	HCIP_STATUS_FAILED_TO_ESTABLISH = 0x3e,
	HCIP_STATUS_UNKNOWN_ADV_SET = 0x42,
	HCIP_STATUS_LIMIT_REACHED = 0x43,
	HCIP_STATUS_CANCELLED_BY_HOST = 0x44,
	HCIP_STATUS_TOO_LONG = 0x45,
};

/* --- commands --- */

/** hcip_put_cmd() - any command with its parameters ready; more than 255 bytes of them turn the
 * cursor bad */
void hcip_put_cmd(struct wr *w, uint16_t opcode, const void *params, size_t len);

#define HCIP_SCAN_UNIT_US   625
#define HCIP_SCAN_UNITS_MIN 0x0004 /* 2.5 ms */
#define HCIP_SCAN_UNITS_MAX 0x4000 /* 10.24 s: what legacy and extended scanning share */
#define HCIP_PHY_1M         0x01
#define HCIP_PHY_CODED      0x04

struct hcip_scan_params {
	bool active;
	uint16_t interval, window; /* units of 0.625 ms; window <= interval */
	uint8_t own_addr_type;     /* 0 public, 1 random */
	uint8_t policy;            /* 0: everything; 1: only the accept list */
};

/** hcip_put_scan_params() - LE Set Scan Parameters, the legacy flavour */
void hcip_put_scan_params(struct wr *w, const struct hcip_scan_params *p);
void hcip_put_scan_enable(struct wr *w, bool enable, bool filter_duplicates);

/** hcip_put_ext_scan_params() - LE Set Extended Scan Parameters, the same for each PHY of @phys
 * (HCIP_PHY_*) */
void hcip_put_ext_scan_params(struct wr *w, const struct hcip_scan_params *p, uint8_t phys);

/** hcip_put_ext_scan_enable() - without duration and period: until it is disabled */
void hcip_put_ext_scan_enable(struct wr *w, bool enable, bool filter_duplicates);

void hcip_put_read_local_version(struct wr *w);
void hcip_put_read_local_commands(struct wr *w);
void hcip_put_le_read_local_features(struct wr *w);
void hcip_put_le_read_accept_list_size(struct wr *w);
void hcip_put_le_read_states(struct wr *w);

/** hcip_put_disconnect() - @reason: one of those 7.1.6 allows, usually
 * HCIP_STATUS_REMOTE_USER_ENDED */
void hcip_put_disconnect(struct wr *w, uint16_t handle, uint8_t reason);
void hcip_put_read_rssi(struct wr *w, uint16_t handle);

struct hcip_conn_params {
	uint16_t min_interval, max_interval; /* 1.25 ms */
	uint16_t latency;                    /* connection events */
	uint16_t timeout;                    /* 10 ms */
};

void hcip_put_conn_update(struct wr *w, uint16_t handle, const struct hcip_conn_params *p);

/* --- any event --- */

struct hcip_event {
	uint8_t code;        /* enum hcip_event_code */
	uint8_t subevent;    /* enum hcip_le_event when @code is HCIP_EV_LE_META, else 0 */
	const uint8_t *data; /* view: what follows the length, or the subevent */
	size_t len;
};

/** hcip_parse_event() - one packet from the socket; its length field must say exactly what follows
 * it */
int hcip_parse_event(const uint8_t *pkt, size_t len, struct hcip_event *ret);

/* --- Command Complete (7.7.14), Command Status (7.7.15) --- */

struct hcip_cmd_done {
	uint16_t opcode;
	uint8_t slots;   /* commands the controller takes now */
	bool has_status; /* false only for a Command Complete without return parameters */
	uint8_t status;  /* 0, or a code for RES_HCI() */
	const uint8_t
		*data; /* view: return parameters after the status; empty for Command Status */
	size_t len;
};

/** hcip_parse_cmd_done() - of either event; any other is -EBADMSG */
int hcip_parse_cmd_done(const struct hcip_event *ev, struct hcip_cmd_done *ret);

struct hcip_local_version {
	uint8_t hci_version;
	uint16_t hci_revision;
	uint8_t lmp_version;
	uint16_t manufacturer;
	uint16_t lmp_subversion;
};

/* Return parameters: hcip_cmd_done.data and .len of the command with that name. */
int hcip_parse_local_version(const uint8_t *data, size_t len, struct hcip_local_version *ret);

#define HCIP_COMMANDS_LEN 64

/** hcip_parse_local_commands() - the 64 octets of 6.27 */
int hcip_parse_local_commands(const uint8_t *data, size_t len, uint8_t ret[HCIP_COMMANDS_LEN]);

/** hcip_has_command() - is the bit for a command set? Octets and bits as 6.27 numbers them. */
static inline bool hcip_has_command(const uint8_t commands[HCIP_COMMANDS_LEN], unsigned int octet,
                                    unsigned int bit)
{
	return octet < HCIP_COMMANDS_LEN && (commands[octet] >> bit & 1);
}

/** hcip_has_ext_scan() - both commands of extended scanning: the flavour the kernel takes too */
static inline bool hcip_has_ext_scan(const uint8_t commands[HCIP_COMMANDS_LEN])
{
	return hcip_has_command(commands, 37, 5) && hcip_has_command(commands, 37, 6);
}

/* Bits of the LE features (Core 5.4, Vol 6, Part B, 4.6). */
#define HCIP_FEATURE_CONN_PARAM_REQ (UINT64_C(1) << 1)
#define HCIP_FEATURE_2M             (UINT64_C(1) << 8)
#define HCIP_FEATURE_CODED          (UINT64_C(1) << 11)
#define HCIP_FEATURE_EXT_ADV        (UINT64_C(1) << 12)

int hcip_parse_le_features(const uint8_t *data, size_t len, uint64_t *ret);
int hcip_parse_accept_list_size(const uint8_t *data, size_t len, uint8_t *ret);
int hcip_parse_le_states(const uint8_t *data, size_t len, uint64_t *ret);

#define HCIP_DBM_UNKNOWN 127

int hcip_parse_read_rssi(const uint8_t *data, size_t len, uint16_t *ret_handle, int8_t *ret_dbm);

/* --- links --- */

struct hcip_disconnected {
	uint8_t status; /* not 0: the link is still there */
	uint16_t handle;
	uint8_t reason;
};

/** hcip_parse_disconnected() - Disconnection Complete (7.7.5) */
int hcip_parse_disconnected(const struct hcip_event *ev, struct hcip_disconnected *ret);

enum {
	HCIP_ROLE_CENTRAL = 0,
	HCIP_ROLE_PERIPHERAL = 1,
};

struct hcip_conn_complete {
	uint8_t status; /* not 0: nothing below means anything but, perhaps, @peer */
	uint16_t handle;
	uint8_t role;
	struct addr peer; /* the identity when the controller resolved it */
	bool resolved;
	uint8_t local_rpa[ADDR_LEN], peer_rpa[ADDR_LEN]; /* zero in the plain event */
	uint16_t interval;                               /* 1.25 ms */
	uint16_t latency;
	uint16_t timeout; /* 10 ms */
};

/** hcip_parse_conn_complete() - LE Connection Complete (7.7.65.1) or LE Enhanced Connection
 * Complete (7.7.65.10) */
int hcip_parse_conn_complete(const struct hcip_event *ev, struct hcip_conn_complete *ret);

struct hcip_conn_updated {
	uint8_t status; /* not 0: refused, the numbers below are the controller's whim */
	uint16_t handle;
	uint16_t interval, latency, timeout;
};

/** hcip_parse_conn_updated() - LE Connection Update Complete (7.7.65.3) */
int hcip_parse_conn_updated(const struct hcip_event *ev, struct hcip_conn_updated *ret);

struct hcip_adv_terminated {
	uint8_t status;  /* 0: a link was made of it */
	uint8_t adv_handle;
	uint16_t handle; /* of the link */
};

/** hcip_parse_adv_terminated() - LE Advertising Set Terminated (7.7.65.18) */
int hcip_parse_adv_terminated(const struct hcip_event *ev, struct hcip_adv_terminated *ret);

struct hcip_encryption {
	uint8_t status;
	uint16_t handle;
	bool enabled;     /* always true in a key refresh that succeeded */
	uint8_t key_size; /* 0: not told (only the second version of the event has it) */
};

/** hcip_parse_encryption() - Encryption Change in both versions (7.7.8), Encryption Key Refresh
 * Complete (7.7.39) */
int hcip_parse_encryption(const struct hcip_event *ev, struct hcip_encryption *ret);

/** hcip_parse_hardware_error() - 7.7.16: vendor's code; the controller is about to be reset */
int hcip_parse_hardware_error(const struct hcip_event *ev, uint8_t *ret_code);

/* --- advertising reports (7.7.65.2, 7.7.65.13) --- */

/* Event type bits of extended reports; legacy reports are translated to them. */
enum {
	HCIP_ADV_CONNECTABLE = 0x01,
	HCIP_ADV_SCANNABLE = 0x02,
	HCIP_ADV_DIRECTED = 0x04,
	HCIP_ADV_SCAN_RSP = 0x08,
	HCIP_ADV_LEGACY = 0x10,
};

/* The kinds of legacy PDU, in both events; whatever else comes is an extended PDU. */
enum hcip_adv_kind {
	HCIP_KIND_IND = 0,
	HCIP_KIND_DIRECT_IND = 1,
	HCIP_KIND_SCAN_IND = 2,
	HCIP_KIND_NONCONN_IND = 3,
	HCIP_KIND_SCAN_RSP = 4,
	HCIP_KIND_EXTENDED = 5,
};

enum hcip_data_status {
	HCIP_DATA_COMPLETE = 0,
	HCIP_DATA_MORE =
		1, /* a fragment: the next report of this advertiser and set continues it */
	HCIP_DATA_TRUNCATED = 2, /* the last fragment: what follows is lost */
};

#define HCIP_SID_NONE 0xff

struct hcip_report {
	struct addr addr; /* zero when @anonymous */
	bool anonymous;   /* extended PDUs need not carry an address */
	bool resolved;    /* @addr is an identity the controller resolved */
	uint8_t props;    /* HCIP_ADV_* */
	uint8_t kind;     /* enum hcip_adv_kind */
	uint8_t status;   /* enum hcip_data_status; always complete in legacy reports */
	int8_t rssi_dbm;  /* HCIP_DBM_UNKNOWN when not available */
	int8_t tx_dbm;    /* the same */
	uint8_t primary_phy, secondary_phy; /* 1 1M, 2 2M, 3 coded; secondary 0: none */
	uint8_t sid;                        /* advertising set, or HCIP_SID_NONE */
	const uint8_t *data;                /* view */
	size_t len;
};

struct hcip_reports {
	struct rd r;
	uint8_t left;
	bool extended;
};

/**
 * hcip_parse_reports() - check LE Advertising Report or LE Extended Advertising Report as a whole
 *
 * Return: 0, and hcip_next_report() will give at least one; -EBADMSG, also for no report at all,
 * legacy data over 31 bytes and legacy event types without a meaning.
 */
int hcip_parse_reports(const struct hcip_event *ev, struct hcip_reports *ret);
bool hcip_next_report(struct hcip_reports *l, struct hcip_report *ret);
