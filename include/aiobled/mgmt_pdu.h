/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages of the kernel's Bluetooth management channel, as far as this program speaks it. No
 * library ships a header for them. Everything is little-endian: a header (code, controller index,
 * length), then parameters; one message per datagram in both directions.
 *
 *  - mgmt_put_*() append one whole command to a cursor; check wr_ok() once.
 *  - mgmt_parse_*() take the parameters (not the header) of an event or of a Command Complete with
 * status 0. They return 0 or -EBADMSG and write outputs only on success. Longer parameters than
 * known are accepted, since the kernel adds fields at the end; counted lists must be whole. Views
 * live as long as the datagram.
 *  - Addresses leave as struct addr with HCI numbering of types. An address that is not LE is
 * -EBADMSG where it is the subject, and passed over in lists.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/addr.h"
#include "aiobled/bytes.h"

#define MGMT_HDR_LEN    6
#define MGMT_INDEX_NONE 0xffff
#define MGMT_MSG_MAX    (MGMT_HDR_LEN + 65535) /* what a length field can say */
#define MGMT_KEY_LEN    16

enum mgmt_opcode {
	MGMT_READ_VERSION = 0x0001,
	MGMT_READ_COMMANDS = 0x0002,
	MGMT_READ_INDEX_LIST = 0x0003,
	MGMT_READ_INFO = 0x0004,
	MGMT_SET_POWERED = 0x0005,
	MGMT_SET_DISCOVERABLE = 0x0006,
	MGMT_SET_CONNECTABLE = 0x0007,
	MGMT_SET_FAST_CONNECTABLE = 0x0008,
	MGMT_SET_BONDABLE = 0x0009,
	MGMT_SET_LINK_SECURITY = 0x000a,
	MGMT_SET_SSP = 0x000b,
	MGMT_SET_LE = 0x000d,
	MGMT_LOAD_LTKS = 0x0013,
	MGMT_DISCONNECT = 0x0014,
	MGMT_GET_CONNECTIONS = 0x0015,
	MGMT_SET_IO_CAP = 0x0018,
	MGMT_PAIR_DEVICE = 0x0019,
	MGMT_CANCEL_PAIR = 0x001a,
	MGMT_UNPAIR_DEVICE = 0x001b,
	MGMT_CONFIRM_REPLY = 0x001c,
	MGMT_CONFIRM_NEG_REPLY = 0x001d,
	MGMT_PASSKEY_REPLY = 0x001e,
	MGMT_PASSKEY_NEG_REPLY = 0x001f,
	MGMT_START_DISCOVERY = 0x0023,
	MGMT_STOP_DISCOVERY = 0x0024,
	MGMT_SET_ADVERTISING = 0x0029,
	MGMT_SET_BREDR = 0x002a,
	MGMT_SET_STATIC_ADDRESS = 0x002b,
	MGMT_SET_SC = 0x002d, /* Secure Connections */
	MGMT_SET_DEBUG_KEYS = 0x002e,
	MGMT_SET_PRIVACY = 0x002f,
	MGMT_LOAD_IRKS = 0x0030,
	MGMT_GET_CONN_INFO = 0x0031,
	MGMT_LOAD_CONN_PARAMS = 0x0035,
	MGMT_READ_EXT_INDEX_LIST = 0x003c,
	MGMT_READ_ADV_FEATURES = 0x003d,
	MGMT_REMOVE_ADVERTISING = 0x003f,
	MGMT_READ_EXT_INFO = 0x0042,
	MGMT_READ_DEF_SYSTEM_CONFIG = 0x004b,
	MGMT_SET_DEF_SYSTEM_CONFIG = 0x004c,
	MGMT_ADD_EXT_ADV_PARAMS = 0x0054,
	MGMT_ADD_EXT_ADV_DATA = 0x0055,
};

enum mgmt_event {
	MGMT_EV_CMD_COMPLETE = 0x0001,
	MGMT_EV_CMD_STATUS = 0x0002,
	MGMT_EV_CONTROLLER_ERROR = 0x0003,
	MGMT_EV_INDEX_ADDED = 0x0004,
	MGMT_EV_INDEX_REMOVED = 0x0005,
	MGMT_EV_NEW_SETTINGS = 0x0006,
	MGMT_EV_CLASS_CHANGED = 0x0007,
	MGMT_EV_LOCAL_NAME_CHANGED = 0x0008,
	MGMT_EV_NEW_LINK_KEY = 0x0009,
	MGMT_EV_NEW_LTK = 0x000a,
	MGMT_EV_DEVICE_CONNECTED = 0x000b,
	MGMT_EV_DEVICE_DISCONNECTED = 0x000c,
	MGMT_EV_CONNECT_FAILED = 0x000d,
	MGMT_EV_USER_CONFIRM = 0x000f,
	MGMT_EV_PASSKEY_REQUEST = 0x0010,
	MGMT_EV_AUTH_FAILED = 0x0011,
	MGMT_EV_DEVICE_FOUND = 0x0012,
	MGMT_EV_DISCOVERING = 0x0013,
	MGMT_EV_DEVICE_UNPAIRED = 0x0016,
	MGMT_EV_PASSKEY_NOTIFY = 0x0017,
	MGMT_EV_NEW_IRK = 0x0018,
	MGMT_EV_NEW_CSRK = 0x0019,
	MGMT_EV_NEW_CONN_PARAM = 0x001c,
	MGMT_EV_UNCONF_INDEX_ADDED = 0x001d,
	MGMT_EV_UNCONF_INDEX_REMOVED = 0x001e,
	MGMT_EV_EXT_INDEX_ADDED = 0x0020,
	MGMT_EV_EXT_INDEX_REMOVED = 0x0021,
	MGMT_EV_ADVERTISING_ADDED = 0x0023,
	MGMT_EV_ADVERTISING_REMOVED = 0x0024,
};

/* Status of a reply; RES_MGMT() carries it on, res_text() has the words. */
enum mgmt_status {
	MGMT_STATUS_SUCCESS = 0x00,
	MGMT_STATUS_UNKNOWN_COMMAND = 0x01,
	MGMT_STATUS_NOT_CONNECTED = 0x02,
	MGMT_STATUS_FAILED = 0x03,
	MGMT_STATUS_CONNECT_FAILED = 0x04,
	MGMT_STATUS_AUTH_FAILED = 0x05,
	MGMT_STATUS_NOT_PAIRED = 0x06,
	MGMT_STATUS_NO_RESOURCES = 0x07,
	MGMT_STATUS_TIMEOUT = 0x08,
	MGMT_STATUS_ALREADY_CONNECTED = 0x09,
	MGMT_STATUS_BUSY = 0x0a,
	MGMT_STATUS_REJECTED = 0x0b,
	MGMT_STATUS_NOT_SUPPORTED = 0x0c,
	MGMT_STATUS_INVALID_PARAMS = 0x0d,
	MGMT_STATUS_DISCONNECTED = 0x0e,
	MGMT_STATUS_NOT_POWERED = 0x0f,
	MGMT_STATUS_CANCELLED = 0x10,
	MGMT_STATUS_INVALID_INDEX = 0x11,
	MGMT_STATUS_RFKILLED = 0x12,
	MGMT_STATUS_ALREADY_PAIRED = 0x13,
	MGMT_STATUS_PERMISSION_DENIED = 0x14,
};

/* Bits of "supported settings" and "current settings". */
enum mgmt_setting {
	MGMT_SETTING_POWERED = 1u << 0,
	MGMT_SETTING_CONNECTABLE = 1u << 1,
	MGMT_SETTING_FAST_CONNECTABLE = 1u << 2,
	MGMT_SETTING_DISCOVERABLE = 1u << 3,
	MGMT_SETTING_BONDABLE = 1u << 4,
	MGMT_SETTING_LINK_SECURITY = 1u << 5,
	MGMT_SETTING_SSP = 1u << 6,
	MGMT_SETTING_BREDR = 1u << 7,
	MGMT_SETTING_HS = 1u << 8,
	MGMT_SETTING_LE = 1u << 9,
	MGMT_SETTING_ADVERTISING = 1u << 10,
	MGMT_SETTING_SC = 1u << 11,
	MGMT_SETTING_DEBUG_KEYS = 1u << 12,
	MGMT_SETTING_PRIVACY = 1u << 13,
	MGMT_SETTING_CONFIGURATION = 1u << 14,
	MGMT_SETTING_STATIC_ADDRESS = 1u << 15,
	MGMT_SETTING_PHY = 1u << 16,
	MGMT_SETTING_WIDEBAND = 1u << 17,
};

/* Why a link ended, in Device Disconnected. The HCI reason says more: prefer the raw event when
 * there is one. */
enum mgmt_disconnect_reason {
	MGMT_REASON_UNKNOWN = 0,
	MGMT_REASON_TIMEOUT = 1,
	MGMT_REASON_LOCAL = 2,
	MGMT_REASON_REMOTE = 3,
	MGMT_REASON_AUTH_FAILURE = 4, /* the peer lost its key */
	MGMT_REASON_LOCAL_SUSPEND = 5,
};

enum mgmt_io_cap {
	MGMT_IO_DISPLAY_ONLY = 0,
	MGMT_IO_DISPLAY_YES_NO = 1,
	MGMT_IO_KEYBOARD_ONLY = 2,
	MGMT_IO_NONE = 3,
	MGMT_IO_KEYBOARD_DISPLAY = 4,
};

/* --- any message --- */

struct mgmt_msg {
	uint16_t code;       /* enum mgmt_event, or a command's opcode */
	uint16_t index;      /* controller, or MGMT_INDEX_NONE */
	const uint8_t *data; /* view: the parameters */
	size_t len;
};

/** mgmt_parse_msg() - one datagram; its length field must say exactly what follows it */
int mgmt_parse_msg(const uint8_t *buf, size_t len, struct mgmt_msg *ret);

/** mgmt_put_cmd() - any command with its parameters ready; up to 65535 bytes of them */
void mgmt_put_cmd(struct wr *w, uint16_t opcode, uint16_t index, const void *params, size_t len);

/* The answer to a command: Command Complete with its parameters, or Command Status (then @len is
 * 0). */
struct mgmt_reply {
	uint16_t opcode;
	uint8_t status; /* enum mgmt_status */
	const uint8_t *data;
	size_t len;
};

/** mgmt_parse_reply() - of MGMT_EV_CMD_COMPLETE and MGMT_EV_CMD_STATUS; any other code is -EBADMSG
 */
int mgmt_parse_reply(const struct mgmt_msg *msg, struct mgmt_reply *ret);

/* --- commands --- */

/** mgmt_put_mode() - the many commands whose only parameter is one byte: Set Powered, LE, BR/EDR,
 * SC, IO Cap, ... */
void mgmt_put_mode(struct wr *w, uint16_t opcode, uint16_t index, uint8_t value);

/** mgmt_put_addr_cmd() - commands whose only parameter is an address: Disconnect, Get Conn Info,
 * ... */
void mgmt_put_addr_cmd(struct wr *w, uint16_t opcode, uint16_t index, const struct addr *addr);

/** mgmt_put_static_address() - @addr NULL: none. Only while powered off. */
void mgmt_put_static_address(struct wr *w, uint16_t index, const struct addr *addr);

/** mgmt_put_privacy() - 0 off, 1 on, 2 limited; @irk as the kernel wants it, least significant byte
 * first */
void mgmt_put_privacy(struct wr *w, uint16_t index, uint8_t mode, const uint8_t irk[MGMT_KEY_LEN]);

/* A long-term key: 36 bytes on the wire, the same in New LTK and Load LTKs. */
struct mgmt_ltk {
	struct addr addr; /* the peer's identity */
	uint8_t type;     /* 0/1 legacy unauthenticated/authenticated, 2/3 the same of Secure
	                     Connections, 4 debug */
	uint8_t central;
	uint8_t key_size; /* 7 to 16; the kernel does not check */
	uint16_t ediv;
	uint8_t rand[8];
	uint8_t val[MGMT_KEY_LEN];
};

struct mgmt_irk {
	struct addr addr;
	uint8_t val[MGMT_KEY_LEN];
};

struct mgmt_conn_param {
	struct addr addr;
	uint16_t min_interval, max_interval; /* 1.25 ms */
	uint16_t latency;                    /* connection events */
	uint16_t timeout;                    /* 10 ms */
};

/** mgmt_put_load_ltks() - replaces the kernel's whole list; @n 0 empties it. The same for IRKs. */
void mgmt_put_load_ltks(struct wr *w, uint16_t index, const struct mgmt_ltk *keys, size_t n);
void mgmt_put_load_irks(struct wr *w, uint16_t index, const struct mgmt_irk *keys, size_t n);

/** mgmt_put_load_conn_params() - adds or replaces; entries not named may stay */
void mgmt_put_load_conn_params(struct wr *w, uint16_t index, const struct mgmt_conn_param *params,
                               size_t n);

/* Set Default System Configuration: the numbers with 16-bit values that concern LE. */
enum mgmt_config {
	MGMT_CONFIG_ADV_MIN_INTERVAL = 0x000a,
	MGMT_CONFIG_ADV_MAX_INTERVAL = 0x000b,
	MGMT_CONFIG_ADV_ROTATION = 0x000c,
	MGMT_CONFIG_AUTO_SCAN_INTERVAL =
		0x000d, /* the accept-list scan of a pending connect; 0.625 ms */
	MGMT_CONFIG_AUTO_SCAN_WINDOW = 0x000e,
	MGMT_CONFIG_DISCOVERY_INTERVAL = 0x0011,
	MGMT_CONFIG_DISCOVERY_WINDOW = 0x0012,
	MGMT_CONFIG_CONNECT_SCAN_INTERVAL = 0x0015,
	MGMT_CONFIG_CONNECT_SCAN_WINDOW = 0x0016,
	MGMT_CONFIG_MIN_CONN_INTERVAL = 0x0017, /* 1.25 ms */
	MGMT_CONFIG_MAX_CONN_INTERVAL = 0x0018,
	MGMT_CONFIG_CONN_LATENCY = 0x0019,
	MGMT_CONFIG_CONN_TIMEOUT = 0x001a, /* 10 ms */
};

struct mgmt_config16 {
	uint16_t type; /* enum mgmt_config */
	uint16_t value;
};

void mgmt_put_default_config(struct wr *w, uint16_t index, const struct mgmt_config16 *conf,
                             size_t n);

/* Flags of an advertising instance, and in Read Advertising Features those the controller can do. */
enum mgmt_adv_flag {
	MGMT_ADV_CONNECTABLE = 1u << 0,
	MGMT_ADV_SECONDARY_1M = 1u << 7, /* offered only where the kernel uses the extended commands */
	MGMT_ADV_SECONDARY_2M = 1u << 8,
	MGMT_ADV_SECONDARY_CODED = 1u << 9,
	MGMT_ADV_CAN_SET_TX_POWER = 1u << 10,
	MGMT_ADV_HAS_DURATION = 1u << 12, /* of the parameters, these are given */
	MGMT_ADV_HAS_TIMEOUT = 1u << 13,
	MGMT_ADV_HAS_INTERVALS = 1u << 14,
	MGMT_ADV_HAS_TX_POWER = 1u << 15,
	MGMT_ADV_HAS_SCAN_RSP = 1u << 16, /* scan response data will follow */
};

#define MGMT_ADV_DATA_MAX 251 /* of the length bytes in Add Extended Advertising Data, what the kernel takes */

struct mgmt_adv_params {
	uint8_t instance;
	uint32_t flags;                      /* enum mgmt_adv_flag */
	uint16_t duration, timeout;          /* seconds */
	uint32_t min_interval, max_interval; /* 0.625 ms */
	int8_t tx_dbm;
};

/** mgmt_put_adv_params() - Add Extended Advertising Parameters: makes the instance, or sets it up anew without data */
void mgmt_put_adv_params(struct wr *w, uint16_t index, const struct mgmt_adv_params *params);

/** mgmt_put_adv_data() - Add Extended Advertising Data: puts the instance on the air, or changes what it says */
void mgmt_put_adv_data(struct wr *w, uint16_t index, uint8_t instance, const uint8_t *adv, size_t adv_len,
                       const uint8_t *rsp, size_t rsp_len);

/** mgmt_put_adv_remove() - Remove Advertising; @instance 0: all */
void mgmt_put_adv_remove(struct wr *w, uint16_t index, uint8_t instance);

/* --- answers --- */

struct mgmt_version {
	uint8_t version;
	uint16_t revision;
};

int mgmt_parse_version(const uint8_t *data, size_t len, struct mgmt_version *ret);

/* A checked list of 16-bit numbers. */
struct mgmt_list {
	struct rd r;
};

bool mgmt_next(struct mgmt_list *l, uint16_t *ret);

/** mgmt_parse_commands() - the opcodes and event codes this kernel allows to this process */
int mgmt_parse_commands(const uint8_t *data, size_t len, struct mgmt_list *ret_commands,
                        struct mgmt_list *ret_events);

/** mgmt_parse_index_list() - indexes of configured controllers */
int mgmt_parse_index_list(const uint8_t *data, size_t len, struct mgmt_list *ret);

struct mgmt_ext_index {
	uint16_t index;
	uint8_t type; /* 0 primary, 1 unconfigured, 2 AMP */
	uint8_t bus;  /* 0 virtual, 1 USB, 3 UART, ... */
};

int mgmt_parse_ext_index_list(const uint8_t *data, size_t len, struct mgmt_list *ret);
bool mgmt_next_ext_index(struct mgmt_list *l, struct mgmt_ext_index *ret);

#define MGMT_NAME_MAX 249 /* with its NUL */

struct mgmt_info {
	uint8_t addr[ADDR_LEN]; /* the public address; zero when there is none. A static one is not
	                           told. */
	uint8_t hci_version;
	uint16_t manufacturer;
	uint32_t supported, current; /* enum mgmt_setting */
	char name[MGMT_NAME_MAX]; /* as set by somebody: any bytes, but always ended; "" from Read
	                             Ext Info */
};

int mgmt_parse_info(const uint8_t *data, size_t len, struct mgmt_info *ret);

/** mgmt_parse_ext_info() - Read Extended Controller Information; @ret_eir is a view, to be walked
 * with ad_iter() */
int mgmt_parse_ext_info(const uint8_t *data, size_t len, struct mgmt_info *ret,
                        const uint8_t **ret_eir, size_t *ret_eir_len);

/** mgmt_parse_settings() - the answer to most Set commands, and New Settings */
int mgmt_parse_settings(const uint8_t *data, size_t len, uint32_t *ret);

/** mgmt_parse_connections() - Get Connections; mgmt_next_addr() passes over what is not LE */
int mgmt_parse_connections(const uint8_t *data, size_t len, struct mgmt_list *ret);
bool mgmt_next_addr(struct mgmt_list *l, struct addr *ret);

#define MGMT_DBM_UNKNOWN 127

struct mgmt_conn_info {
	struct addr addr;
	int8_t rssi_dbm, tx_dbm,
		max_tx_dbm; /* MGMT_DBM_UNKNOWN when the controller does not tell */
};

int mgmt_parse_conn_info(const uint8_t *data, size_t len, struct mgmt_conn_info *ret);

/** mgmt_parse_addr() - parameters that start with an address: answers to Disconnect, Passkey
 * Request, Device Unpaired */
int mgmt_parse_addr(const uint8_t *data, size_t len, struct addr *ret);

struct mgmt_adv_features {
	uint32_t flags; /* enum mgmt_adv_flag */
	uint8_t max_adv_len, max_rsp_len;
	uint8_t max_instances;
	uint32_t instances; /* there are now: bit n stands for number n; those above 31 are passed over */
};

/** mgmt_parse_adv_features() - Read Advertising Features */
int mgmt_parse_adv_features(const uint8_t *data, size_t len, struct mgmt_adv_features *ret);

/* --- events --- */

/** mgmt_parse_adv_instance() - Advertising Added, Advertising Removed */
int mgmt_parse_adv_instance(const uint8_t *data, size_t len, uint8_t *ret_instance);

/** mgmt_parse_ext_index() - Extended Index Added or Removed; the index itself stands in the header
 */
int mgmt_parse_ext_index(const uint8_t *data, size_t len, uint8_t *ret_type, uint8_t *ret_bus);

int mgmt_parse_controller_error(const uint8_t *data, size_t len, uint8_t *ret_code);

#define MGMT_CONNECTED_INITIATED 0x08u /* we connected, not the peer */

struct mgmt_connected {
	struct addr addr;
	uint32_t flags;
	const uint8_t *eir; /* view */
	size_t eir_len;
};

int mgmt_parse_connected(const uint8_t *data, size_t len, struct mgmt_connected *ret);

/** mgmt_parse_disconnected() - *@ret_reason: enum mgmt_disconnect_reason, or a newer number */
int mgmt_parse_disconnected(const uint8_t *data, size_t len, struct addr *ret_addr,
                            uint8_t *ret_reason);

/** mgmt_parse_addr_status() - Connect Failed, Authentication Failed: address and enum mgmt_status
 */
int mgmt_parse_addr_status(const uint8_t *data, size_t len, struct addr *ret_addr,
                           uint8_t *ret_status);

/** mgmt_parse_discovering() - somebody's mgmt discovery started or stopped; *@ret_types: bits of
 * address types */
int mgmt_parse_discovering(const uint8_t *data, size_t len, uint8_t *ret_types, bool *ret_on);

int mgmt_parse_new_ltk(const uint8_t *data, size_t len, bool *ret_store, struct mgmt_ltk *ret);

/** mgmt_parse_new_irk() - *@ret_rpa: the address it was using (all zero: it was using its identity)
 */
int mgmt_parse_new_irk(const uint8_t *data, size_t len, bool *ret_store, struct addr *ret_rpa,
                       struct mgmt_irk *ret);

int mgmt_parse_new_conn_param(const uint8_t *data, size_t len, bool *ret_store,
                              struct mgmt_conn_param *ret);

/** mgmt_parse_user_confirm() - *@ret_hint: no number to compare, the question is only "may I pair?"
 */
int mgmt_parse_user_confirm(const uint8_t *data, size_t len, struct addr *ret_addr, bool *ret_hint,
                            uint32_t *ret_value);

/** mgmt_parse_passkey_notify() - show @ret_passkey; @ret_entered digits were typed on the other
 * side */
int mgmt_parse_passkey_notify(const uint8_t *data, size_t len, struct addr *ret_addr,
                              uint32_t *ret_passkey, uint8_t *ret_entered);
