/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * AES-128, the one block cipher of Bluetooth LE (FIPS 197).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define AES_LEN 16

/** aes_block() - one block, most significant octet first, as FIPS 197 writes them; @out may be @in */
void aes_block(const uint8_t key[AES_LEN], const uint8_t in[AES_LEN], uint8_t out[AES_LEN]);

/** aes_block_le() - the same with key and blocks least significant octet first, as HCI and the air carry them */
void aes_block_le(const uint8_t key[AES_LEN], const uint8_t in[AES_LEN], uint8_t out[AES_LEN]);
