/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What air.c (radios and PDUs) and air_time.c (clock, timers, chance) share. */
#pragma once

#include "air.h"

struct air_clock {
	struct loop *loop;
	struct timer wake;
	struct air_timer *heap;
	uint64_t seq;
	uint64_t now_us;                /* air time; moves only in air_sync() */
	uint64_t base_us, loop_base_us; /* air time @base_us was clock time @loop_base_us */
	unsigned int speed;
	bool running;
};

struct air {
	struct air_clock clock;
	uint64_t rand;
	struct list radios, listeners, watches;
	struct list controllers, ctl_watches; /* controller.c's */
	int loss_db;
	struct air_stats stats;
	struct list delayed; /* PDUs a watch holds back */
	size_t n_delayed;
	/* while a PDU is offered: the answers to it */
	struct air_pdu answer;
	uint8_t answer_buf[PDU_MAX];
	unsigned int answers;
	int second_dbm; /* the strongest of the others */
	uint8_t rx_buf[PDU_MAX], ret_buf[PDU_MAX];
};

void air_clock_init(struct air *air, struct loop *loop);
void air_clock_deinit(struct air *air);
