/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands: JSON objects with the key "cmd" and those that the command's row names. The same tables serve the control
 * socket, scenario files and the check of a file without running it.
 */
#pragma once

#include "keys.h"
#include "scene.h"

struct command {
	const char *name;
	const struct key *keys;
	/* what keys cannot say; must not depend on anything but @cmd. May be NULL. */
	int (*check)(json_object *cmd, struct complaint *c);
	/* @cmd was checked. Members of the answer go to @answer. Return: 0 or -EINVAL with *@c filled in. */
	int (*run)(struct scene *scene, json_object *cmd, json_object *answer, struct complaint *c);
};

/* Tables end with a row without a name. */
extern const struct command cmd_air_table[];
extern const struct command cmd_state_table[];
extern const struct command cmd_script_table[];
extern const struct command cmd_fault_table[];

/** command_check() - could it be run, as far as it tells itself? "id" and "at_ms" may stand in every command. */
int command_check(json_object *cmd, struct complaint *c);

/** command_run() - check and run. Return: 0 or -EINVAL. */
int command_run(struct scene *scene, json_object *cmd, json_object *answer, struct complaint *c);

/**
 * command_answer() - command_run() as the socket answers it
 *
 * Return: {"ok": true, ...} or {"error": TEXT, "where": KEY}, with the "id" of the command; NULL without memory.
 */
json_object *command_answer(struct scene *scene, json_object *cmd);

/** command_error() - such an answer for what is no command at all */
json_object *command_error(const char *where, const char *text);
