/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A step of a sequence: what to send, and how to judge the answer. The steps are data (adapter_steps.c), the running of
 * them is adapter_bringup.c.
 */
#pragma once

#include "adapter_priv.h"

struct bringup_step {
	const char *name; /* NULL: the end */
	/* send the command: 0, 1 when there is nothing to do, or -errno */
	int (*run)(struct adapter *a);
	/* judge the answer: 0; -EAGAIN: once more, after a pause; else a result that ends the sequence */
	int (*judge)(struct adapter *a, int res, const uint8_t *data, size_t len);
	/* steps that set one thing */
	uint16_t opcode;
	uint8_t value;
	uint32_t bit;   /* what the settings must show then */
	uint32_t needs; /* bits of the supported settings, without which the step is left out */
	bool optional;  /* a refusal is tolerated */
	bool raw;       /* where an adapter that is on already with our settings joins in */
};

extern const struct bringup_step bringup_up_steps[];
extern const struct bringup_step bringup_off_steps[];

/** bringup_is_held() - does the sequence wait for manager_begin()? */
bool bringup_is_held(const struct adapter *adapter);

/** bringup_settings_suit() - on, and nothing set that a bring-up would change */
bool bringup_settings_suit(const struct adapter *adapter);
