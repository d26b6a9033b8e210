/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a JSON object to the row that runs it. */
#include "command.h"

#include <errno.h>
#include <string.h>

static const struct command *const tables[] = {
	cmd_air_table,
	cmd_state_table,
	cmd_script_table,
	cmd_fault_table,
};

static const struct command *command_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(tables); i++) {
		for (const struct command *row = tables[i]; row->name; row++) {
			if (strcmp(row->name, name) == 0)
				return row;
		}
	}
	return NULL;
}

/* Keys of every command are checked apart and hidden from the command's own. */
static int check_common(json_object *cmd, const struct command **ret, struct complaint *c)
{
	json_object *name;

	if (!json_object_is_type(cmd, json_type_object))
		return complain(c, "", "a command is an object: {\"cmd\": ...}");
	name = keys_get(cmd, "cmd");
	if (!name)
		return complain(c, "cmd", "is missing");
	if (!json_object_is_type(name, json_type_string))
		return complain(c, "cmd", "is not a string");
	*ret = command_find(json_object_get_string(name));
	if (!*ret)
		return complain(c, "cmd", "\"%.30s\" is no command", json_object_get_string(name));
	return 0;
}

static int check_own(const struct command *row, json_object *cmd, struct complaint *c)
{
	static const struct key at[] = {{"at_ms", KEY_NUMBER, .min = 0, .max = 1e12}, {0}};
	_cleanup_(json_putp) json_object *own = json_object_new_object();
	_cleanup_(json_putp) json_object *common = json_object_new_object();

	if (!own || !common)
		return complain(c, "", "no memory");
	json_object_object_foreach (cmd, name, v) {
		bool is_at = strcmp(name, "at_ms") == 0;

		if (strcmp(name, "cmd") == 0 || strcmp(name, "id") == 0)
			continue;
		if (json_object_object_add(is_at ? common : own, name, json_object_get(v)) < 0) {
			json_object_put(v);
			return complain(c, "", "no memory");
		}
	}
	if (keys_check(common, at, c) < 0 || keys_check(own, row->keys, c) < 0)
		return -EINVAL;
	return row->check ? row->check(own, c) : 0;
}

int command_check(json_object *cmd, struct complaint *c)
{
	const struct command *row;

	if (check_common(cmd, &row, c) < 0)
		return -EINVAL;
	return check_own(row, cmd, c);
}

int command_run(struct scene *scene, json_object *cmd, json_object *answer, struct complaint *c)
{
	const struct command *row;

	if (check_common(cmd, &row, c) < 0 || check_own(row, cmd, c) < 0)
		return -EINVAL;
	return row->run(scene, cmd, answer, c);
}

json_object *command_error(const char *where, const char *text)
{
	json_object *answer = json_object_new_object();

	if (!answer)
		return NULL;
	json_add_str(answer, "error", text);
	json_add_str(answer, "where", where);
	return answer;
}

json_object *command_answer(struct scene *scene, json_object *cmd)
{
	json_object *answer = json_object_new_object(), *id = NULL;
	struct complaint c = {0};

	if (!answer)
		return NULL;
	json_add_bool(answer, "ok", true);
	if (command_run(scene, cmd, answer, &c) < 0) {
		json_object_put(answer);
		answer = command_error(c.where, c.text);
	}
	if (json_object_is_type(cmd, json_type_object))
		id = keys_get(cmd, "id");
	if (answer && id && json_object_object_add(answer, "id", json_object_get(id)) < 0)
		json_object_put(id);
	return answer;
}
