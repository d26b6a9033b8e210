/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands that read back what controllers do. */
#include <errno.h>
#include <string.h>

#include "command.h"
#include "controller.h"
#include "lookup.h"

static const char *version_name(uint8_t version)
{
	static const struct {
		uint8_t version;
		const char *name;
	} names[] = {
		{VERSION_4_0, "4.0"}, {VERSION_4_1, "4.1"}, {VERSION_4_2, "4.2"},
		{VERSION_5_0, "5.0"}, {VERSION_5_1, "5.1"}, {VERSION_5_2, "5.2"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (names[i].version == version)
			return names[i].name;
	}
	return "?";
}

/* In the words that "plug" and --profile take. */
static void add_profile(json_object *o, const struct profile *p)
{
	char name[32];

	(void)snprintf(name, sizeof(name), "%s%s%s", version_name(p->version),
	               p->dual ? ",dual" : "", p->all_states ? ",le-states" : "");
	json_add_str(o, "profile", name);
}

static int add_stats(json_object *o, const struct controller *ctl)
{
	json_object *s = json_object_new_object();

	if (!s || json_object_object_add(o, "stats", s) < 0) {
		json_put(s);
		return -ENOMEM;
	}
	json_add_int(s, "commands", (int64_t)ctl->stats.commands);
	json_add_int(s, "unknown", (int64_t)ctl->stats.unknown);
	json_add_int(s, "events", (int64_t)ctl->stats.events);
	json_add_int(s, "acl_in", (int64_t)ctl->stats.acl_in);
	json_add_int(s, "acl_out", (int64_t)ctl->stats.acl_out);
	json_add_int(s, "malformed", (int64_t)ctl->stats.malformed);
	return 0;
}

static int add_controller(json_object *list, struct controller *ctl)
{
	json_object *o = json_object_new_object();

	if (!o || json_object_array_add(list, o) < 0) {
		json_put(o);
		return -ENOMEM;
	}
	json_add_str(o, "name", ctl->radio.name);
	json_add_addr(o, "address", &ctl->public_addr);
	if (ctl->has_random_addr)
		json_add_addr(o, "random_address", &ctl->random_addr);
	add_profile(o, &ctl->profile);
	json_add_bool(o, "hung", ctl->hung);
	json_add_int(o, "loss_db", ctl->radio.loss_db);
	return add_stats(o, ctl);
}

static const struct key controllers_keys[] = {
	{"controller", KEY_STRING, .min = 1, .max = AIR_RADIO_NAME_MAX - 1},
	{0},
};

static int run_controllers(struct scene *scene, json_object *cmd, json_object *answer,
                           struct complaint *c)
{
	json_object *list = json_object_new_array();
	struct controller *ctl, *only = NULL;

	if (!list || json_object_object_add(answer, "controllers", list) < 0)
		return complain(c, "", "no memory");
	if (keys_has(cmd, "controller"))
		only = lookup_controller(scene, cmd, "controller", c);
	if (keys_has(cmd, "controller") && !only)
		return -EINVAL;
	list_for_each (ctl, air_controllers(scene->air), link) {
		if ((!only || ctl == only) && add_controller(list, ctl) < 0)
			return complain(c, "", "no memory");
	}
	return 0;
}

const struct command cmd_state_table[] = {
	{"controllers", controllers_keys, NULL, run_controllers},
	{0},
};
