/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One ATT PDU: whatever parses is written again byte for byte.
 */
#include "aiobled/att_pdu.h"

#include "../support/att-echo.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t out[FUZZ_INPUT_MAX];
	struct wr w = wr_init(out, size);
	int r;

	if (size > sizeof(out))
		return 0;
	r = att_echo(data, size, &w);
	FUZZ_CHECK(r == 0 || r == -EBADMSG);
	if (r == 0)
		FUZZ_CHECK(wr_ok(&w) && wr_len(&w) == size && memcmp(out, data, size) == 0);
	if (size)
		FUZZ_CHECK(att_opcode_name(data[0]) &&
		           (r < 0 || att_kind(data[0]) != ATT_KIND_UNKNOWN));
	return 0;
}
