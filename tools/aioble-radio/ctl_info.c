/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Questions a controller answers about itself, and small settings that nothing hangs on but their answers.
 */
#include "controller.h"

#include <errno.h>

#include "aes.h"

#define MANUFACTURER_NONE 0xffff /* "for internal and interoperability tests" (Assigned Numbers) */
#define ACL_BREDR_LEN     1021
#define ACL_BREDR_COUNT   8
#define DATA_LEN_MIN      27
#define DATA_LEN_MAX      251
#define DATA_TIME_MIN     328
#define DATA_TIME_MAX     17040 /* 251 octets on the coded PHY (Vol 6, Part B, 4.5.10) */
#define DATA_TIME_1M      2120

static int run_version(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_u8(ret, ctl->profile.version);
	wr_le16(ret, 0);
	wr_u8(ret, ctl->profile.version);
	wr_le16(ret, MANUFACTURER_NONE);
	wr_le16(ret, 0);
	return HCIP_STATUS_OK;
}

static int run_commands(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_bytes(ret, ctl->commands, sizeof(ctl->commands));
	return HCIP_STATUS_OK;
}

/* LMP features (Vol 2, Part C, 3.3). Dual-mode: as little BR/EDR as a host needs to believe in it. */
static const uint8_t lmp_features_le[8] = {[4] = 0x60};
static const uint8_t lmp_features_dual[8] = {0xa7, 0x00, 0x00, 0x40, 0x40, 0x04, 0x0b, 0x82};

static const uint8_t *lmp_features(const struct controller *ctl)
{
	return ctl->profile.dual ? lmp_features_dual : lmp_features_le;
}

static int run_features(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_bytes(ret, lmp_features(ctl), 8);
	return HCIP_STATUS_OK;
}

static int run_ext_features(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint8_t host[8] = {(uint8_t)((ctl->bredr.ssp ? 1 : 0) | (ctl->bredr.le_host ? 2 : 0))};
	uint8_t page = rd_u8(p);

	if (page > 1)
		return HCIP_STATUS_INVALID_PARAMS;
	wr_u8(ret, page);
	wr_u8(ret, 1);
	wr_bytes(ret, page ? host : lmp_features(ctl), 8);
	return HCIP_STATUS_OK;
}

static int run_buffer_size(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_le16(ret, ctl->profile.dual ? ACL_BREDR_LEN : 0);
	wr_u8(ret, 0);
	wr_le16(ret, ctl->profile.dual ? ACL_BREDR_COUNT : 0);
	wr_le16(ret, 0);
	return HCIP_STATUS_OK;
}

static int run_bd_addr(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_bytes(ret, ctl->public_addr.b, ADDR_LEN);
	return HCIP_STATUS_OK;
}

static int run_le_buffer_size(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_le16(ret, ctl->profile.acl_len);
	wr_u8(ret, (uint8_t)ctl->profile.acl_count);
	return HCIP_STATUS_OK;
}

static int run_le_features(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_le64(ret, ctl->profile.features);
	return HCIP_STATUS_OK;
}

static int run_le_states(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_le64(ret, ctl->profile.le_states);
	return HCIP_STATUS_OK;
}

static int run_set_random_addr(struct controller *ctl, struct rd *p, struct wr *ret)
{
	if (controller_random_addr_busy(ctl))
		return HCIP_STATUS_DISALLOWED;
	rd_copy(p, ctl->random_addr.b, ADDR_LEN);
	ctl->random_addr.type = ADDR_RANDOM;
	ctl->has_random_addr = true;
	return HCIP_STATUS_OK;
}

/* 7.8.22: keys and blocks have their most significant octet last */
static int run_encrypt(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint8_t key[AES_LEN] = {0}, block[AES_LEN] = {0};

	rd_copy(p, key, sizeof(key));
	rd_copy(p, block, sizeof(block));
	aes_block_le(key, block, block);
	wr_bytes(ret, block, sizeof(block));
	return HCIP_STATUS_OK;
}

static int run_rand(struct controller *ctl, struct rd *p, struct wr *ret)
{
	air_rand_bytes(ctl->radio.air, wr_space(ret, 8), 8);
	return HCIP_STATUS_OK;
}

static int run_read_def_data_len(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_le16(ret, ctl->def_tx_len);
	wr_le16(ret, ctl->def_tx_time);
	return HCIP_STATUS_OK;
}

static int run_write_def_data_len(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint16_t len = rd_le16(p), time = rd_le16(p);

	if (len < DATA_LEN_MIN || len > DATA_LEN_MAX || time < DATA_TIME_MIN ||
	    time > DATA_TIME_MAX)
		return HCIP_STATUS_INVALID_PARAMS;
	ctl->def_tx_len = len;
	ctl->def_tx_time = time;
	return HCIP_STATUS_OK;
}

static int run_max_data_len(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint16_t time = controller_has(ctl, FEATURE_CODED) ? DATA_TIME_MAX : DATA_TIME_1M;

	for (int way = 0; way < 2; way++) {
		wr_le16(ret, DATA_LEN_MAX);
		wr_le16(ret, time);
	}
	return HCIP_STATUS_OK;
}

#define PHY_BITS 0x07

static int run_set_default_phy(struct controller *ctl, struct rd *p, struct wr *ret)
{
	uint8_t all = rd_u8(p), tx = rd_u8(p), rx = rd_u8(p);

	if ((!(all & 1) && !(tx & PHY_BITS)) || (!(all & 2) && !(rx & PHY_BITS)))
		return HCIP_STATUS_INVALID_PARAMS;
	ctl->def_all_phys = all;
	ctl->def_tx_phys = tx;
	ctl->def_rx_phys = rx;
	return HCIP_STATUS_OK;
}

static int run_transmit_power(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_u8(ret, (uint8_t)CTL_TX_MIN_DBM);
	wr_u8(ret, CTL_TX_MAX_DBM);
	return HCIP_STATUS_OK;
}

static int run_rf_path(struct controller *ctl, struct rd *p, struct wr *ret)
{
	wr_le32(ret, 0);
	return HCIP_STATUS_OK;
}

/* 7.8.95: tenths of a dB, -128 to 128 dB; our antennas lose nothing, whatever is compensated for */
static int run_write_rf_path(struct controller *ctl, struct rd *p, struct wr *ret)
{
	int16_t tx = (int16_t)rd_le16(p), rx = (int16_t)rd_le16(p);

	return tx < -1280 || tx > 1280 || rx < -1280 || rx > 1280 ? HCIP_STATUS_INVALID_PARAMS
	                                                          : HCIP_STATUS_OK;
}

/* clang-format off */
const struct ctl_cmd ctl_info_cmds[] = {
	{0x1001, 14, 3, .ret_len = 8, .name = "Read Local Version Information", .run = run_version},
	{0x1002, CTL_CMD_NO_BIT, .ret_len = 64, .name = "Read Local Supported Commands", .run = run_commands},
	{0x1003, 14, 5, .ret_len = 8, .name = "Read Local Supported Features", .run = run_features},
	{0x1004, 14, 6, .flags = CTL_CMD_DUAL, .len = 1, .ret_len = 10, .name = "Read Local Extended Features", .run = run_ext_features},
	{0x1005, 14, 7, .ret_len = 7, .name = "Read Buffer Size", .run = run_buffer_size},
	{0x1009, 15, 1, .ret_len = 6, .name = "Read BD_ADDR", .run = run_bd_addr},
	{0x2002, 25, 1, .ret_len = 3, .name = "LE Read Buffer Size", .run = run_le_buffer_size},
	{0x2003, 25, 2, .ret_len = 8, .name = "LE Read Local Supported Features", .run = run_le_features},
	{0x2005, 25, 4, .len = 6, .name = "LE Set Random Address", .run = run_set_random_addr},
	{0x2017, 27, 6, .len = 32, .ret_len = 16, .name = "LE Encrypt", .run = run_encrypt},
	{0x2018, 27, 7, .ret_len = 8, .name = "LE Rand", .run = run_rand},
	{0x201c, 28, 3, .ret_len = 8, .name = "LE Read Supported States", .run = run_le_states},
	{0x2023, 33, 7, .ret_len = 4, .features = FEATURE_DATA_LENGTH, .name = "LE Read Suggested Default Data Length", .run = run_read_def_data_len},
	{0x2024, 34, 0, .len = 4, .features = FEATURE_DATA_LENGTH, .name = "LE Write Suggested Default Data Length", .run = run_write_def_data_len},
	{0x202f, 35, 3, .ret_len = 8, .features = FEATURE_DATA_LENGTH, .name = "LE Read Maximum Data Length", .run = run_max_data_len},
	{0x2031, 35, 5, .len = 3, .features = FEATURE_2M, .name = "LE Set Default PHY", .run = run_set_default_phy},
	{0x204b, 38, 7, VERSION_5_0, .ret_len = 2, .name = "LE Read Transmit Power", .run = run_transmit_power},
	{0x204c, 39, 0, VERSION_5_0, .ret_len = 4, .name = "LE Read RF Path Compensation", .run = run_rf_path},
	{0x204d, 39, 1, VERSION_5_0, .len = 4, .name = "LE Write RF Path Compensation", .run = run_write_rf_path},
	{0},
};
/* clang-format on */
