/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Encryption of a link (Core 5.4, Vol 6, Part E): session key and MIC.
 *
 * The air shows payloads decrypted, so that captures can be read and faults can be aimed; the MIC behind them is the true
 * one. Whoever has another key notices as it would with ciphertext.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aes.h"

#define CCM_MIC_LEN 4

struct ccm {
	uint8_t key[AES_LEN]; /* most significant octet first */
	uint8_t iv[8];        /* as in LL_ENC_REQ, then as in LL_ENC_RSP */
};

/** ccm_init() - @ltk as in HCI commands; @skd and @iv: central's part, then peripheral's, as on the air */
void ccm_init(struct ccm *c, const uint8_t ltk[AES_LEN], const uint8_t skd[AES_LEN],
              const uint8_t iv[8]);

/**
 * ccm_mic() - of one data channel PDU
 * @header: first octet of the PDU; the bits that change when it is sent again are masked here
 * @counter: packets with a MIC before this one, in this direction
 */
void ccm_mic(const struct ccm *c, uint64_t counter, bool from_central, uint8_t header,
             const uint8_t *data, size_t len, uint8_t ret[CCM_MIC_LEN]);
