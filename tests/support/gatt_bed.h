/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A test bed with one GATT operation, and what came out of it. */
#pragma once

#include "transcript.h"

struct gatt_bed {
	struct bed bed;
	struct gatt_op g;
	struct outcome out;
	void (*then)(struct gatt_bed *gb); /* in done(); may be NULL */
};

static inline void gatt_bed_done(struct op *op, int res)
{
	struct gatt_bed *gb = container_of(op, struct gatt_bed, g.op);
	struct outcome *out = &gb->out;

	out->count++;
	out->res = res;
	out->handle = gb->g.handle;
	out->err_handle = gb->g.err_handle;
	out->value_len = res == 0 ? gb->g.value_len : 0;
	if (out->value_len)
		memcpy(out->value, gb->g.value, out->value_len);
	if (gb->then)
		gb->then(gb);
}

static inline void gatt_bed_open(struct gatt_bed *gb, uint16_t mtu)
{
	*gb = (struct gatt_bed){0};
	bed_open(&gb->bed, mtu);
	op_init(&gb->g.op, gb->bed.loop, gatt_bed_done);
}

static inline void gatt_bed_close(struct gatt_bed *gb)
{
	op_drop(&gb->g.op);
	bed_close(&gb->bed);
}
