/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What goes wrong, and when: rules ("on this, do that") and runs (a list of steps being worked off)
 * around the honest server. tests/peers/README.md has the language.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "adv.h"
#include "aiobled/list.h"
#include "aiobled/loop.h"
#include "gatt.h"
#include "hci.h"

struct stats {
	uint64_t requests, commands, confirmations,
		unhandled; /* unhandled: PDUs that need no answer from a server */
	uint64_t sent, notifications, indications;
	uint64_t first_command_us, last_command_us;
};

struct peer {
	struct loop *loop;
	struct hci *hci;
	struct adv adv;
	struct db db;
	struct server server;
	struct json_object *rules; /* array, or NULL */
	struct list rule_states;
	struct list runs;
	struct stats stats;
	bool linked, silent, trace;
	bool confirm_pending;
	uint32_t bad_steps;
};

void script_init(struct peer *p);
void script_deinit(struct peer *p);

/** script_apply() - settings and steps of one JSON object, from a file or from standard input.
 * Return: 0 or -EINVAL (said) */
int script_apply(struct peer *p, struct json_object *o);

/** script_event() - "connect", "disconnect": start what the rules want */
void script_event(struct peer *p, const char *event);

/** script_pdu() - an ATT PDU arrived */
void script_pdu(struct peer *p, const uint8_t *pdu, size_t len);

/** script_room() - the controller took packets: floods go on */
void script_room(struct peer *p);

/** script_link() - the link came (true) or went; what was running on it ends */
void script_link(struct peer *p, bool linked);

/** say() - one line of the log */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
