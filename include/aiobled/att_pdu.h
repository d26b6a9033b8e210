/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every PDU of the Attribute Protocol, parse beside write (Core 5.4, Vol 3, Part F, 3.4).
 *
 * One contract for all of them:
 *  - att_parse_*() take the whole PDU, opcode included. They return 0, or -EBADMSG when the opcode
 * is not the function's own or a length breaks the format; outputs are written only on success.
 * Byte pointers in outputs are views into the PDU and live as long as it does.
 *  - Formats only: handle 0, start > end, an offset beyond the value are for the caller to judge (a
 * server answers them with errors other than "invalid PDU").
 *  - att_put_*() append a whole PDU to a cursor set up over a buffer of the bearer's MTU; check
 * wr_ok() once at the end. A PDU that does not fit turns the cursor bad; nothing is shortened
 * behind the caller's back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/bytes.h"
#include "aiobled/uuid.h"

#define ATT_CID 4
#define ATT_MTU_DEFAULT                                                                            \
	23 /* Core 5.4, Vol 3, Part G, 5.2.1: on LE, and the least any bearer has                  \
	    */
#define ATT_MTU_MAX                517 /* the longest value in the PDU with the longest header, Prepare Write */
#define ATT_VALUE_MAX              512 /* Core 5.4, Vol 3, Part F, 3.2.9 */
#define ATT_HANDLE_MIN             0x0001
#define ATT_HANDLE_MAX             0xffff
#define ATT_SIGNATURE_LEN          12
#define ATT_TRANSACTION_TIMEOUT_MS 30000 /* Core 5.4, Vol 3, Part F, 3.3.3 */
#define ATT_HDR_HANDLE             3 /* opcode and handle: a value in one PDU has MTU - 3 at most */

enum att_opcode {
	ATT_ERROR_RSP = 0x01,
	ATT_MTU_REQ = 0x02,
	ATT_MTU_RSP = 0x03,
	ATT_FIND_INFO_REQ = 0x04,
	ATT_FIND_INFO_RSP = 0x05,
	ATT_FIND_BY_TYPE_REQ = 0x06, /* Find By Type Value */
	ATT_FIND_BY_TYPE_RSP = 0x07,
	ATT_READ_BY_TYPE_REQ = 0x08,
	ATT_READ_BY_TYPE_RSP = 0x09,
	ATT_READ_REQ = 0x0a,
	ATT_READ_RSP = 0x0b,
	ATT_READ_BLOB_REQ = 0x0c,
	ATT_READ_BLOB_RSP = 0x0d,
	ATT_READ_MULTI_REQ = 0x0e,
	ATT_READ_MULTI_RSP = 0x0f,
	ATT_READ_BY_GROUP_REQ = 0x10,
	ATT_READ_BY_GROUP_RSP = 0x11,
	ATT_WRITE_REQ = 0x12,
	ATT_WRITE_RSP = 0x13,
	ATT_PREPARE_REQ = 0x16,
	ATT_PREPARE_RSP = 0x17,
	ATT_EXECUTE_REQ = 0x18,
	ATT_EXECUTE_RSP = 0x19,
	ATT_NOTIFY = 0x1b, /* Handle Value Notification */
	ATT_INDICATE = 0x1d,
	ATT_CONFIRM = 0x1e,
	ATT_READ_MULTI_VAR_REQ = 0x20,
	ATT_READ_MULTI_VAR_RSP = 0x21,
	ATT_NOTIFY_MULTI = 0x23, /* Multiple Handle Value Notification */
	ATT_WRITE_CMD = 0x52,
	ATT_SIGNED_WRITE_CMD = 0xd2,
};

/* Bits of every opcode, known or not (Core 5.4, Vol 3, Part F, 3.3.1). */
#define ATT_OPCODE_COMMAND 0x40
#define ATT_OPCODE_SIGNED  0x80

/* Error codes of Core 5.4, Vol 3, Part F, 3.4.1.1; the last four are profile-common (CSS, Part
 * B, 1.2). */
enum att_error_code {
	ATT_ERR_INVALID_HANDLE = 0x01,
	ATT_ERR_READ_NOT_PERMITTED = 0x02,
	ATT_ERR_WRITE_NOT_PERMITTED = 0x03,
	ATT_ERR_INVALID_PDU = 0x04,
	ATT_ERR_AUTHENTICATION = 0x05,
	ATT_ERR_NOT_SUPPORTED = 0x06, /* request not supported */
	ATT_ERR_INVALID_OFFSET = 0x07,
	ATT_ERR_AUTHORIZATION = 0x08,
	ATT_ERR_PREPARE_QUEUE_FULL = 0x09,
	ATT_ERR_NOT_FOUND = 0x0a, /* attribute not found: also the regular end of a discovery */
	ATT_ERR_NOT_LONG = 0x0b,
	ATT_ERR_KEY_SIZE = 0x0c,
	ATT_ERR_INVALID_LENGTH = 0x0d, /* of an attribute's value */
	ATT_ERR_UNLIKELY = 0x0e,
	ATT_ERR_ENCRYPTION = 0x0f,
	ATT_ERR_UNSUPPORTED_GROUP = 0x10,
	ATT_ERR_RESOURCES = 0x11,
	ATT_ERR_DB_OUT_OF_SYNC = 0x12,
	ATT_ERR_VALUE_NOT_ALLOWED = 0x13,
	ATT_ERR_APPLICATION_MIN = 0x80,
	ATT_ERR_APPLICATION_MAX = 0x9f,
	ATT_ERR_WRITE_REJECTED = 0xfc,
	ATT_ERR_CCCD_IMPROPER = 0xfd,
	ATT_ERR_IN_PROGRESS = 0xfe,
	ATT_ERR_OUT_OF_RANGE = 0xff,
};

enum att_kind {
	ATT_KIND_REQUEST,
	ATT_KIND_RESPONSE, /* ATT_ERROR_RSP among them */
	ATT_KIND_COMMAND,  /* also every unknown opcode with the command bit: to be ignored in
	                      silence */
	ATT_KIND_NOTIFICATION,
	ATT_KIND_INDICATION,
	ATT_KIND_CONFIRMATION,
	ATT_KIND_UNKNOWN, /* neither known nor a command: a server answers "request not supported"
	                   */
};

/** att_kind() - what sort of PDU an opcode starts; it decides who on the bearer handles it */
enum att_kind att_kind(uint8_t opcode);

/** att_response_of() - the opcode that answers @request successfully; 0 when @request is no request
 * or indication */
uint8_t att_response_of(uint8_t request);

/** att_opcode_name() - "Read Request" and so on, for debug lines; "unknown" otherwise */
const char *att_opcode_name(uint8_t opcode);

/* --- Error Response: opcode, request opcode, handle, code (3.4.1.1) --- */

struct att_error {
	uint8_t request;
	uint16_t handle; /* 0 when the request had none */
	uint8_t code;    /* enum att_error_code, or a number without a name; 0 is possible from a
	                    broken peer */
};

int att_parse_error(const uint8_t *pdu, size_t len, struct att_error *ret);
void att_put_error(struct wr *w, uint8_t request, uint16_t handle, uint8_t code);

/* --- Exchange MTU: opcode, MTU (3.4.2). Values under 23 arrive as they are: take max(23, min(own,
 * theirs)). --- */

/** att_parse_mtu() - request or response */
int att_parse_mtu(const uint8_t *pdu, size_t len, uint16_t *ret_mtu);
void att_put_mtu_req(struct wr *w, uint16_t mtu);
void att_put_mtu_rsp(struct wr *w, uint16_t mtu);

/* --- Requests over a range of handles (3.4.3.1, 3.4.3.3, 3.4.4.1, 3.4.4.9) --- */

struct att_range {
	uint16_t start, end;
};

int att_parse_find_info_req(const uint8_t *pdu, size_t len, struct att_range *ret);
void att_put_find_info_req(struct wr *w, struct att_range range);

struct att_find_by_type {
	struct att_range range;
	uint16_t type;        /* always a 16-bit UUID here */
	const uint8_t *value; /* view; @value_len may be 0 */
	size_t value_len;
};

int att_parse_find_by_type_req(const uint8_t *pdu, size_t len, struct att_find_by_type *ret);
void att_put_find_by_type_req(struct wr *w, const struct att_find_by_type *req);

struct att_by_type {
	struct att_range range;
	struct uuid type;
};

/** att_parse_read_by_type_req() - of Read By Type and of Read By Group Type, which differ in the
 * opcode alone */
int att_parse_read_by_type_req(const uint8_t *pdu, size_t len, struct att_by_type *ret);
void att_put_read_by_type_req(struct wr *w, struct att_range range, const struct uuid *type);
void att_put_read_by_group_req(struct wr *w, struct att_range range, const struct uuid *type);

/* --- Responses that are lists of equal items (3.4.3.2, 3.4.3.4, 3.4.4.2, 3.4.4.10) --- */

/*
 * A checked list: at least one item, all of the length the PDU says, nothing left over. Each
 * att_next_*() call consumes one item and returns false after the last, so a walk ends whatever the
 * bytes are. The order and sanity of the handles (0, falling, end < start) are not checked: a
 * discovery must see to it that it moves forward.
 */
struct att_list {
	struct rd r;
	size_t item_len;
};

/** att_parse_find_info_rsp() - items are handle + 16-bit UUID (format 1) or handle + 128-bit UUID
 * (format 2) */
int att_parse_find_info_rsp(const uint8_t *pdu, size_t len, struct att_list *ret);
bool att_next_info(struct att_list *l, uint16_t *ret_handle, struct uuid *ret_uuid);

/** att_parse_find_by_type_rsp() - items are found handle + group end handle */
int att_parse_find_by_type_rsp(const uint8_t *pdu, size_t len, struct att_list *ret);
bool att_next_handles(struct att_list *l, struct att_range *ret);

/** att_parse_read_by_type_rsp() - items are handle + value; the item length (2 at least) stands in
 * the PDU */
int att_parse_read_by_type_rsp(const uint8_t *pdu, size_t len, struct att_list *ret);
bool att_next_typed(struct att_list *l, uint16_t *ret_handle, const uint8_t **ret_value,
                    size_t *ret_len);

/** att_parse_read_by_group_rsp() - items are handle + group end + value; the item length (4 at
 * least) stands in the PDU */
int att_parse_read_by_group_rsp(const uint8_t *pdu, size_t len, struct att_list *ret);
bool att_next_group(struct att_list *l, struct att_range *ret_range, const uint8_t **ret_value,
                    size_t *ret_len);

/*
 * Writing them: one head, then items. The caller keeps all items at the length announced (255 is
 * the most a head can say) and stops before the MTU: values are cut there by the caller, who knows
 * what the clause allows.
 */
#define ATT_INFO_FORMAT16  1
#define ATT_INFO_FORMAT128 2

void att_put_find_info_rsp(struct wr *w, uint8_t format);
void att_put_info(struct wr *w, uint16_t handle, const struct uuid *uuid);
void att_put_find_by_type_rsp(struct wr *w);
void att_put_handles(struct wr *w, struct att_range found);
void att_put_read_by_type_rsp(struct wr *w, uint8_t item_len);
void att_put_typed(struct wr *w, uint16_t handle, const uint8_t *value, size_t len);
void att_put_read_by_group_rsp(struct wr *w, uint8_t item_len);
void att_put_group(struct wr *w, struct att_range group, const uint8_t *value, size_t len);

/* --- Reading by handle (3.4.4.3 to 3.4.4.6) --- */

int att_parse_read_req(const uint8_t *pdu, size_t len, uint16_t *ret_handle);
void att_put_read_req(struct wr *w, uint16_t handle);

int att_parse_read_blob_req(const uint8_t *pdu, size_t len, uint16_t *ret_handle,
                            uint16_t *ret_offset);
void att_put_read_blob_req(struct wr *w, uint16_t handle, uint16_t offset);

/** att_parse_read_rsp() - the value in a Read, Read Blob or Read Multiple Response; may be empty */
int att_parse_read_rsp(const uint8_t *pdu, size_t len, const uint8_t **ret_value, size_t *ret_len);
void att_put_read_rsp(struct wr *w, const uint8_t *value, size_t len);
void att_put_read_blob_rsp(struct wr *w, const uint8_t *value, size_t len);
void att_put_read_multi_rsp(struct wr *w, const uint8_t *values, size_t len);

/* --- Reading several (3.4.4.7, 3.4.4.8, 3.4.4.11, 3.4.4.12) --- */

/** att_parse_read_multi_req() - Read Multiple or Read Multiple Variable: two handles at least */
int att_parse_read_multi_req(const uint8_t *pdu, size_t len, struct att_list *ret);
bool att_next_handle(struct att_list *l, uint16_t *ret_handle);
void att_put_read_multi_req(struct wr *w, const uint16_t *handles, size_t n);
void att_put_read_multi_var_req(struct wr *w, const uint16_t *handles, size_t n);

/* One value of a Read Multiple Variable Response; the last may be cut off by the MTU (3.4.4.12). */
struct att_tuple {
	const uint8_t *value; /* view */
	size_t len;           /* bytes that are there */
	size_t full_len;      /* bytes the attribute has; more than @len means cut off */
};

int att_parse_read_multi_var_rsp(const uint8_t *pdu, size_t len, struct att_list *ret);
bool att_next_tuple(struct att_list *l, struct att_tuple *ret);
void att_put_read_multi_var_rsp(struct wr *w);

/** att_put_tuple() - length and value; what does not fit any more is cut as 3.4.4.12 wants. Return:
 * all of it fitted. */
bool att_put_tuple(struct wr *w, const uint8_t *value, size_t len);

/* --- Writing and being told: opcode, handle, value (3.4.5.1, 3.4.5.3, 3.4.7.1, 3.4.7.2) --- */

struct att_value {
	uint16_t handle;
	const uint8_t *value; /* view; may be empty */
	size_t len;
};

/** att_parse_value() - Write Request, Write Command, Handle Value Notification or Handle Value
 * Indication */
int att_parse_value(const uint8_t *pdu, size_t len, struct att_value *ret);
void att_put_write_req(struct wr *w, uint16_t handle, const uint8_t *value, size_t len);
void att_put_write_cmd(struct wr *w, uint16_t handle, const uint8_t *value, size_t len);
void att_put_notify(struct wr *w, uint16_t handle, const uint8_t *value, size_t len);
void att_put_indicate(struct wr *w, uint16_t handle, const uint8_t *value, size_t len);

/** att_parse_empty() - Write Response, Execute Write Response or Confirmation: the opcode is all
 * there is */
int att_parse_empty(const uint8_t *pdu, size_t len);
void att_put_write_rsp(struct wr *w);
void att_put_execute_rsp(struct wr *w);
void att_put_confirm(struct wr *w);

/* Signed Write Command: value, then 12 bytes of signature over everything before them (3.4.5.4). */
struct att_signed_write {
	struct att_value v;
	const uint8_t *signature; /* view of ATT_SIGNATURE_LEN bytes */
};

int att_parse_signed_write(const uint8_t *pdu, size_t len, struct att_signed_write *ret);
void att_put_signed_write(struct wr *w, uint16_t handle, const uint8_t *value, size_t len,
                          const uint8_t signature[ATT_SIGNATURE_LEN]);

/* --- Queued writes (3.4.6) --- */

struct att_prepare {
	uint16_t handle;
	uint16_t offset;
	const uint8_t *value; /* view; may be empty */
	size_t len;
};

/** att_parse_prepare() - Prepare Write Request or Response: the response must echo the request byte
 * for byte */
int att_parse_prepare(const uint8_t *pdu, size_t len, struct att_prepare *ret);
void att_put_prepare_req(struct wr *w, const struct att_prepare *p);
void att_put_prepare_rsp(struct wr *w, const struct att_prepare *p);

#define ATT_EXECUTE_CANCEL 0
#define ATT_EXECUTE_WRITE  1

/** att_parse_execute_req() - *@ret_flags is ATT_EXECUTE_CANCEL or ATT_EXECUTE_WRITE; other values
 * are -EBADMSG */
int att_parse_execute_req(const uint8_t *pdu, size_t len, uint8_t *ret_flags);
void att_put_execute_req(struct wr *w, uint8_t flags);

/* --- Multiple Handle Value Notification: handle, length, value, repeated (3.4.7.4) --- */

/** att_parse_notify_multi() - one value at least; each must be whole, unlike in a Read Multiple
 * Variable Response */
int att_parse_notify_multi(const uint8_t *pdu, size_t len, struct att_list *ret);
bool att_next_value(struct att_list *l, struct att_value *ret);
void att_put_notify_multi(struct wr *w);

/** att_put_value() - append one whole value, or nothing and return false when it does not fit */
bool att_put_value(struct wr *w, uint16_t handle, const uint8_t *value, size_t len);
