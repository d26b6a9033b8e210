/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BR/EDR of a dual-mode controller: what a host configures is kept and can be read back (Core 5.4, Vol 4, Part E, 7.3);
 * inquiries and pages take their time and find nobody.
 */
#include "ctl_bredr.h"

#include "aiobled/cleanup.h"

#include "controller.h"

#define INQUIRY_UNIT_US 1280000
#define PAGE_UNIT_US    625
#define NAME_LEN        248
#define LINK_TYPE_ACL   0x01
#define LAP_GENERAL     {0x33, 0x8b, 0x9e}

static void on_inquiry(struct air_timer *t)
{
	struct controller *ctl = container_of(t, struct controller, bredr.inquiry);
	uint8_t status = HCIP_STATUS_OK;

	controller_event(ctl, HCIP_EV_INQUIRY_COMPLETE, &status, sizeof(status));
}

/* 7.7.3, 7.7.7: nobody answered */
static void on_page(struct air_timer *t)
{
	struct controller *ctl = container_of(t, struct controller, bredr.page);
	uint8_t buf[1 + ADDR_LEN + NAME_LEN] = {0};
	struct wr w = wr_init(buf, sizeof(buf));

	wr_u8(&w, ctl->bredr.page_status);
	if (ctl->bredr.page_for_name) {
		wr_bytes(&w, ctl->bredr.page_addr, ADDR_LEN);
		controller_event(ctl, HCIP_EV_REMOTE_NAME, buf, sizeof(buf));
		return;
	}
	wr_le16(&w, 0);
	wr_bytes(&w, ctl->bredr.page_addr, ADDR_LEN);
	wr_u8(&w, LINK_TYPE_ACL);
	wr_u8(&w, 0); /* not encrypted */
	controller_event(ctl, HCIP_EV_BREDR_CONN_COMPLETE, buf, wr_len(&w));
}

void ctl_bredr_stop(struct controller *ctl)
{
	air_timer_stop(&ctl->bredr.inquiry);
	air_timer_stop(&ctl->bredr.page);
}

void ctl_bredr_reset(struct controller *ctl)
{
	ctl_bredr_stop(ctl);
	ctl->bredr = (struct ctl_bredr){
		.accept_timeout = 0x1fa0,
		.page_timeout = 0x2000,
		.page_scan = {0x0800, 0x0012},
		.inquiry_scan = {0x1000, 0x0012},
		.voice = 0x0060,
		.iac_count = 1,
		.iac = {LAP_GENERAL},
	};
	air_timer_init(&ctl->bredr.inquiry, ctl->radio.air, on_inquiry);
	air_timer_init(&ctl->bredr.page, ctl->radio.air, on_page);
}

/* --- looking for somebody --- */

/* 7.1.1 */
static int run_inquiry(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint8_t length;

	(void)rd_bytes(p, 3); /* the LAP: nobody listens to any */
	length = rd_u8(p);
	if (ctl->bredr.inquiry.armed)
		return HCIP_STATUS_DISALLOWED;
	if (length < 1 || length > 0x30)
		return HCIP_STATUS_INVALID_PARAMS;
	air_timer_start(&ctl->bredr.inquiry, (uint64_t)length * INQUIRY_UNIT_US);
	return HCIP_STATUS_OK;
}

static int run_inquiry_cancel(struct controller *ctl, struct rd *p, struct wr *ret)
{
	if (!ctl->bredr.inquiry.armed)
		return HCIP_STATUS_DISALLOWED;
	air_timer_stop(&ctl->bredr.inquiry);
	return HCIP_STATUS_OK;
}

static int page(struct controller *ctl, struct rd *p, bool for_name)
{
	if (ctl->bredr.page.armed)
		return HCIP_STATUS_DISALLOWED;
	rd_copy(p, ctl->bredr.page_addr, ADDR_LEN);
	ctl->bredr.page_for_name = for_name;
	ctl->bredr.page_status = HCIP_STATUS_PAGE_TIMEOUT;
	air_timer_start(&ctl->bredr.page, (uint64_t)ctl->bredr.page_timeout * PAGE_UNIT_US);
	return HCIP_STATUS_OK;
}

static int run_create_conn(struct controller *ctl, struct rd *p, struct wr *ret)
{
	return page(ctl, p, false);
}

static int run_remote_name(struct controller *ctl, struct rd *p, struct wr *ret)
{
	return page(ctl, p, true);
}

/* 7.1.7, 7.1.20: what was started fails as "unknown connection", a moment after the answer */
static int cancel(struct controller *ctl, struct rd *p, struct wr *ret, bool for_name)
{
	const uint8_t *addr = rd_bytes(p, ADDR_LEN);

	wr_bytes(ret, addr, ADDR_LEN);
	if (!ctl->bredr.page.armed || ctl->bredr.page_for_name != for_name ||
	    memcmp(addr, ctl->bredr.page_addr, ADDR_LEN) != 0)
		return HCIP_STATUS_NO_CONNECTION;
	ctl->bredr.page_status = HCIP_STATUS_NO_CONNECTION;
	air_timer_start(&ctl->bredr.page, 0);
	return HCIP_STATUS_OK;
}

static int run_create_conn_cancel(struct controller *ctl, struct rd *p, struct wr *ret)
{
	return cancel(ctl, p, ret, false);
}

static int run_remote_name_cancel(struct controller *ctl, struct rd *p, struct wr *ret)
{
	return cancel(ctl, p, ret, true);
}

/* --- settings: write, and read what was written --- */

#define SETTING8(noun, field)                                                                                      \
	static int run_read_##noun(struct controller *ctl, struct rd *p, struct wr *ret)                           \
	{                                                                                                          \
		wr_u8(ret, ctl->bredr.field);                                                                      \
		return HCIP_STATUS_OK;                                                                             \
	}                                                                                                          \
	static int run_write_##noun(struct controller *ctl, struct rd *p, struct wr *ret)                          \
	{                                                                                                          \
		ctl->bredr.field = rd_u8(p);                                                                       \
		return HCIP_STATUS_OK;                                                                             \
	}

#define SETTING16(noun, field)                                                                                     \
	static int run_read_##noun(struct controller *ctl, struct rd *p, struct wr *ret)                           \
	{                                                                                                          \
		wr_le16(ret, ctl->bredr.field);                                                                    \
		return HCIP_STATUS_OK;                                                                             \
	}                                                                                                          \
	static int run_write_##noun(struct controller *ctl, struct rd *p, struct wr *ret)                          \
	{                                                                                                          \
		ctl->bredr.field = rd_le16(p);                                                                     \
		return HCIP_STATUS_OK;                                                                             \
	}

#define SETTING16X2(noun, field)                                                                                   \
	static int run_read_##noun(struct controller *ctl, struct rd *p, struct wr *ret)                           \
	{                                                                                                          \
		wr_le16(ret, ctl->bredr.field[0]);                                                                 \
		wr_le16(ret, ctl->bredr.field[1]);                                                                 \
		return HCIP_STATUS_OK;                                                                             \
	}                                                                                                          \
	static int run_write_##noun(struct controller *ctl, struct rd *p, struct wr *ret)                          \
	{                                                                                                          \
		ctl->bredr.field[0] = rd_le16(p);                                                                  \
		ctl->bredr.field[1] = rd_le16(p);                                                                  \
		return HCIP_STATUS_OK;                                                                             \
	}

#define SETTING_BYTES(noun, field)                                                                                 \
	static int run_read_##noun(struct controller *ctl, struct rd *p, struct wr *ret)                           \
	{                                                                                                          \
		wr_bytes(ret, ctl->bredr.field, sizeof(ctl->bredr.field));                                         \
		return HCIP_STATUS_OK;                                                                             \
	}                                                                                                          \
	static int run_write_##noun(struct controller *ctl, struct rd *p, struct wr *ret)                          \
	{                                                                                                          \
		rd_copy(p, ctl->bredr.field, sizeof(ctl->bredr.field));                                            \
		return HCIP_STATUS_OK;                                                                             \
	}

SETTING8(scan_enable, scan_enable)
SETTING8(auth_enable, auth_enable)
SETTING8(inquiry_mode, inquiry_mode)
SETTING8(inquiry_type, inquiry_type)
SETTING8(page_type, page_type)
SETTING8(ssp, ssp)
SETTING16(accept_timeout, accept_timeout)
SETTING16(page_timeout, page_timeout)
SETTING16(voice, voice)
SETTING16(link_policy, link_policy)
SETTING16X2(page_activity, page_scan)
SETTING16X2(inquiry_activity, inquiry_scan)
SETTING_BYTES(name, name)
SETTING_BYTES(class, class)
SETTING_BYTES(eir, eir)

/* 7.3.78, 7.3.79: the second octet says no more than it did in 4.0 */
static int run_read_le_host(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_u8(ret, ctl->bredr.le_host);
	return HCIP_STATUS_OK;
}

static int run_write_le_host(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint8_t le = rd_u8(p);

	if (le > 1)
		return HCIP_STATUS_INVALID_PARAMS;
	ctl->bredr.le_host = le;
	return HCIP_STATUS_OK;
}

/* 7.3.3: it would filter what never comes */
static int run_event_filter(struct controller *ctl, struct rd *p, struct wr *ret)
{
	return rd_u8(p) <= 2 ? HCIP_STATUS_OK : HCIP_STATUS_INVALID_PARAMS;
}

static int run_read_iac_count(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_u8(ret, ARRAY_SIZE(ctl->bredr.iac));
	return HCIP_STATUS_OK;
}

static int run_read_iac(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_u8(ret, ctl->bredr.iac_count);
	wr_bytes(ret, ctl->bredr.iac, sizeof(ctl->bredr.iac[0]) * ctl->bredr.iac_count);
	return HCIP_STATUS_OK;
}

static int run_write_iac(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint8_t n = rd_u8(p);

	if (n < 1 || n > ARRAY_SIZE(ctl->bredr.iac) || p->left < n * sizeof(ctl->bredr.iac[0]))
		return HCIP_STATUS_INVALID_PARAMS;
	rd_copy(p, ctl->bredr.iac, n * sizeof(ctl->bredr.iac[0]));
	ctl->bredr.iac_count = n;
	return HCIP_STATUS_OK;
}

/* 7.3.8, 7.3.10: there is room for no link key, and none is stored */
static int run_link_keys(struct controller *ctl, struct rd *p, struct wr *ret)
{
	return HCIP_STATUS_OK;
}

static int run_inquiry_tx(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_u8(ret, CTL_TX_DBM);
	return HCIP_STATUS_OK;
}

#define DUAL        .flags = CTL_CMD_DUAL
#define DUAL_STATUS .flags = CTL_CMD_DUAL | CTL_CMD_STATUS
#define DUAL_LONGER .flags = CTL_CMD_DUAL | CTL_CMD_VARIABLE

/* clang-format off */
const struct ctl_cmd ctl_bredr_cmds[] = {
	{0x0401, 0, 0, DUAL_STATUS, .len = 5, .name = "Inquiry", .run = run_inquiry},
	{0x0402, 0, 1, DUAL, .name = "Inquiry Cancel", .run = run_inquiry_cancel},
	{0x0405, 0, 4, DUAL_STATUS, .len = 13, .name = "Create Connection", .run = run_create_conn},
	{0x0408, 0, 7, DUAL, .len = 6, .ret_len = 6, .name = "Create Connection Cancel", .run = run_create_conn_cancel},
	{0x0419, 2, 3, DUAL_STATUS, .len = 10, .name = "Remote Name Request", .run = run_remote_name},
	{0x041a, 2, 4, DUAL, .len = 6, .ret_len = 6, .name = "Remote Name Request Cancel", .run = run_remote_name_cancel},
	{0x080e, 5, 3, DUAL, .ret_len = 2, .name = "Read Default Link Policy Settings", .run = run_read_link_policy},
	{0x080f, 5, 4, DUAL, .len = 2, .name = "Write Default Link Policy Settings", .run = run_write_link_policy},
	{0x0c05, 6, 0, DUAL_LONGER, .len = 1, .name = "Set Event Filter", .run = run_event_filter},
	{0x0c0d, 6, 5, DUAL, .len = 7, .ret_len = 4, .name = "Read Stored Link Key", .run = run_link_keys},
	{0x0c12, 6, 7, DUAL, .len = 7, .ret_len = 2, .name = "Delete Stored Link Key", .run = run_link_keys},
	{0x0c13, 7, 0, DUAL, .len = NAME_LEN, .name = "Write Local Name", .run = run_write_name},
	{0x0c14, 7, 1, DUAL, .ret_len = NAME_LEN, .name = "Read Local Name", .run = run_read_name},
	{0x0c15, 7, 2, DUAL, .ret_len = 2, .name = "Read Connection Accept Timeout", .run = run_read_accept_timeout},
	{0x0c16, 7, 3, DUAL, .len = 2, .name = "Write Connection Accept Timeout", .run = run_write_accept_timeout},
	{0x0c17, 7, 4, DUAL, .ret_len = 2, .name = "Read Page Timeout", .run = run_read_page_timeout},
	{0x0c18, 7, 5, DUAL, .len = 2, .name = "Write Page Timeout", .run = run_write_page_timeout},
	{0x0c19, 7, 6, DUAL, .ret_len = 1, .name = "Read Scan Enable", .run = run_read_scan_enable},
	{0x0c1a, 7, 7, DUAL, .len = 1, .name = "Write Scan Enable", .run = run_write_scan_enable},
	{0x0c1b, 8, 0, DUAL, .ret_len = 4, .name = "Read Page Scan Activity", .run = run_read_page_activity},
	{0x0c1c, 8, 1, DUAL, .len = 4, .name = "Write Page Scan Activity", .run = run_write_page_activity},
	{0x0c1d, 8, 2, DUAL, .ret_len = 4, .name = "Read Inquiry Scan Activity", .run = run_read_inquiry_activity},
	{0x0c1e, 8, 3, DUAL, .len = 4, .name = "Write Inquiry Scan Activity", .run = run_write_inquiry_activity},
	{0x0c1f, 8, 4, DUAL, .ret_len = 1, .name = "Read Authentication Enable", .run = run_read_auth_enable},
	{0x0c20, 8, 5, DUAL, .len = 1, .name = "Write Authentication Enable", .run = run_write_auth_enable},
	{0x0c23, 9, 0, DUAL, .ret_len = 3, .name = "Read Class of Device", .run = run_read_class},
	{0x0c24, 9, 1, DUAL, .len = 3, .name = "Write Class of Device", .run = run_write_class},
	{0x0c25, 9, 2, DUAL, .ret_len = 2, .name = "Read Voice Setting", .run = run_read_voice},
	{0x0c26, 9, 3, DUAL, .len = 2, .name = "Write Voice Setting", .run = run_write_voice},
	{0x0c38, 11, 2, DUAL, .ret_len = 1, .name = "Read Number Of Supported IAC", .run = run_read_iac_count},
	{0x0c39, 11, 3, DUAL, .ret_len = 4, .name = "Read Current IAC LAP", .run = run_read_iac},
	{0x0c3a, 11, 4, DUAL_LONGER, .len = 1, .name = "Write Current IAC LAP", .run = run_write_iac},
	{0x0c42, 12, 4, DUAL, .ret_len = 1, .name = "Read Inquiry Scan Type", .run = run_read_inquiry_type},
	{0x0c43, 12, 5, DUAL, .len = 1, .name = "Write Inquiry Scan Type", .run = run_write_inquiry_type},
	{0x0c44, 12, 6, DUAL, .ret_len = 1, .name = "Read Inquiry Mode", .run = run_read_inquiry_mode},
	{0x0c45, 12, 7, DUAL, .len = 1, .name = "Write Inquiry Mode", .run = run_write_inquiry_mode},
	{0x0c46, 13, 0, DUAL, .ret_len = 1, .name = "Read Page Scan Type", .run = run_read_page_type},
	{0x0c47, 13, 1, DUAL, .len = 1, .name = "Write Page Scan Type", .run = run_write_page_type},
	{0x0c51, 17, 0, DUAL, .ret_len = 241, .name = "Read Extended Inquiry Response", .run = run_read_eir},
	{0x0c52, 17, 1, DUAL, .len = 241, .name = "Write Extended Inquiry Response", .run = run_write_eir},
	{0x0c55, 17, 5, DUAL, .ret_len = 1, .name = "Read Simple Pairing Mode", .run = run_read_ssp},
	{0x0c56, 17, 6, DUAL, .len = 1, .name = "Write Simple Pairing Mode", .run = run_write_ssp},
	{0x0c58, 18, 0, DUAL, .ret_len = 1, .name = "Read Inquiry Response Transmit Power Level", .run = run_inquiry_tx},
	{0x0c6c, 24, 5, DUAL, .ret_len = 2, .name = "Read LE Host Support", .run = run_read_le_host},
	{0x0c6d, 24, 6, DUAL, .len = 2, .name = "Write LE Host Support", .run = run_write_le_host},
	{0},
};
/* clang-format on */
