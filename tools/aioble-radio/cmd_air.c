/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Commands about the air: time, distances, who takes part. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "air_priv.h"
#include "capture.h"
#include "command.h"
#include "controller.h"
#include "lookup.h"
#include "radio.h"
#include "replug.h"
#include "walks.h"

#define NAME_KEY(key, need)                                                                        \
	{                                                                                          \
		key, KEY_STRING, need, .min = 1, .max = AIR_RADIO_NAME_MAX - 1                     \
	}

static const struct key no_keys[] = {{0}};

/* --- air --- */

static int add_object(json_object *answer, const char *name, json_object **ret, struct complaint *c)
{
	*ret = json_object_new_object();
	if (*ret && json_object_object_add(answer, name, *ret) == 0)
		return 0;
	json_put(*ret);
	return complain(c, "", "no memory");
}

static int add_stats(struct scene *scene, json_object *answer, struct complaint *c)
{
	const struct air_stats *s = air_stats(scene->air);
	json_object *o;

	if (add_object(answer, "stats", &o, c) < 0)
		return -EINVAL;
	json_add_int(o, "pdus", (int64_t)s->pdus);
	json_add_int(o, "deliveries", (int64_t)s->deliveries);
	json_add_int(o, "lost", (int64_t)s->lost);
	json_add_int(o, "collisions", (int64_t)s->collisions);
	json_add_int(o, "slipped_ms", (int64_t)(s->slipped_us / 1000));
	return 0;
}

static int add_capture(struct scene *scene, json_object *answer, struct complaint *c)
{
	struct capture_stats s;
	json_object *o;

	if (!scene->capture)
		return 0;
	if (add_object(answer, "capture", &o, c) < 0)
		return -EINVAL;
	s = capture_stats(scene->capture);
	json_add_str(o, "dir", capture_dir(scene->capture));
	json_add_int(o, "files", (int64_t)s.files);
	json_add_int(o, "records", (int64_t)s.records);
	json_add_int(o, "lost", (int64_t)s.lost);
	json_add_int(o, "unrecorded", (int64_t)s.unrecorded);
	return 0;
}

static int run_air(struct scene *scene, json_object *cmd, json_object *answer, struct complaint *c)
{
	json_add_int(answer, "now_ms", (int64_t)(air_now_us(scene->air) / 1000));
	json_add_str(answer, "version", RADIO_VERSION);
	json_add_int(answer, "speed", scene->air->clock.speed);
	json_add_int(answer, "loss_db", scene->air->loss_db);
	if (json_object_object_add(answer, "seed", json_object_new_uint64(scene->seed)) < 0)
		return complain(c, "", "no memory");
	json_add_bool(answer, "ready", !scene->world || world_ready(scene->world));
	if (add_stats(scene, answer, c) < 0)
		return -EINVAL;
	return add_capture(scene, answer, c);
}

static const struct key speed_keys[] = {
	{"factor", KEY_INT, true, .min = 1, .max = AIR_SPEED_MAX},
	{0},
};

static int run_speed(struct scene *scene, json_object *cmd, json_object *answer,
                     struct complaint *c)
{
	air_set_speed(scene->air, (unsigned int)keys_int(cmd, "factor", 1));
	return 0;
}

static int run_quit(struct scene *scene, json_object *cmd, json_object *answer, struct complaint *c)
{
	if (!scene->quit)
		return complain(c, "cmd", "cannot be stopped from here");
	scene->quit(scene);
	return 0;
}

/* --- distances --- */

static const struct key loss_keys[] = {
	NAME_KEY("from", false),
	NAME_KEY("to", false),
	{"db", KEY_INT, .min = -AIR_LOSS_MAX_DB, .max = AIR_LOSS_MAX_DB},
	{"out_of_range", .type = KEY_BOOL},
	{"clear", .type = KEY_BOOL},
	{"walk", .type = KEY_ANY},
	{0},
};

static int loss_read_walk(json_object *cmd, struct walk *walk, struct complaint *c)
{
	int r = walk_read(keys_get(cmd, "walk"), "db", -AIR_LOSS_MAX_DB, AIR_LOSS_MAX_DB, walk, c);

	return r == -EINVAL ? complain_in(c, "walk") : r;
}

static int check_loss(json_object *cmd, struct complaint *c)
{
	int said = keys_has(cmd, "db") + keys_bool(cmd, "out_of_range", false) +
	           keys_bool(cmd, "clear", false) + keys_has(cmd, "walk");
	struct walk walk;

	if (said != 1)
		return complain(c, "db", "one of db, walk, out_of_range and clear is needed");
	if (keys_has(cmd, "to") && !keys_has(cmd, "from"))
		return complain(c, "from", "is missing");
	if (!keys_has(cmd, "from") && !keys_has(cmd, "db"))
		return complain(c, "from", "is missing");
	if (!keys_has(cmd, "walk"))
		return 0;
	if (loss_read_walk(cmd, &walk, c) < 0)
		return -EINVAL;
	walk_clear(&walk);
	return 0;
}

static int start_walk(struct scene *scene, json_object *cmd, const char *from, const char *to,
                      struct complaint *c)
{
	struct walk walk;
	int r = loss_read_walk(cmd, &walk, c);

	if (r < 0)
		return -EINVAL;
	r = walks_start(scene->walks, from, to, &walk);
	if (r == 0)
		return 0;
	walk_clear(&walk);
	return complain(c, "walk", r == -ENOBUFS ? "there are too many walks" : "no memory");
}

static int run_loss(struct scene *scene, json_object *cmd, json_object *answer, struct complaint *c)
{
	int db = (int)keys_int(cmd, "db", keys_has(cmd, "out_of_range") ? AIR_LOSS_MAX_DB : 0);
	struct radio *from = NULL, *to = NULL;

	if (!keys_has(cmd, "from")) {
		air_set_loss(scene->air, db);
		return 0;
	}
	from = lookup_radio(scene, cmd, "from", c);
	to = from && keys_has(cmd, "to") ? lookup_radio(scene, cmd, "to", c) : NULL;
	if (!from || (!to && keys_has(cmd, "to")))
		return -EINVAL;
	if (from == to)
		return complain(c, "to", "is the same radio");
	if (keys_has(cmd, "walk"))
		return start_walk(scene, cmd, from->name, to ? to->name : NULL, c);
	(void)walks_stop(scene->walks, from->name, to ? to->name : NULL);
	if (!to)
		from->loss_db = (int16_t)db;
	else if (keys_bool(cmd, "clear", false))
		radio_clear_loss(from, to);
	else if (radio_set_loss(from, to, db) < 0)
		return complain(c, "", "no memory");
	return 0;
}

#define LOSSES_MAX 1000

static int add_loss(json_object *list, const char *from, const char *to, int db, bool walks)
{
	json_object *o = json_object_new_object();

	if (!o || json_object_array_add(list, o) < 0) {
		json_put(o);
		return -ENOMEM;
	}
	json_add_str(o, "from", from);
	json_add_str(o, "to", to);
	json_add_int(o, "db", db);
	if (walks)
		json_add_bool(o, "walks", true);
	return 0;
}

/* Pairs once, and what controllers have towards all; scripted advertisers show theirs in "adverts". */
static int add_losses_of(struct scene *scene, struct radio *radio, json_object *list)
{
	bool walks = walks_goes(scene->walks, radio->name, NULL);
	struct radio *other;
	struct list *at;

	if ((radio->loss_db && controller_of(radio)) || walks)
		(void)add_loss(list, radio->name, NULL, radio->loss_db, walks);
	if (list_empty(&radio->pairs))
		return 0;
	for (at = radio->link.next; at != air_radios(scene->air); at = at->next) {
		other = container_of(at, struct radio, link);
		if (!radio_has_loss(radio, other))
			continue;
		walks = walks_goes(scene->walks, radio->name, other->name);
		if (add_loss(list, radio->name, other->name, radio_loss_db(radio, other), walks) <
		    0)
			return -ENOMEM;
	}
	return 0;
}

static int run_losses(struct scene *scene, json_object *cmd, json_object *answer,
                      struct complaint *c)
{
	json_object *list = json_object_new_array();
	struct radio *radio;

	if (!list || json_object_object_add(answer, "losses", list) < 0)
		return complain(c, "", "no memory");
	json_add_int(answer, "default_db", scene->air->loss_db);
	list_for_each (radio, air_radios(scene->air), link) {
		if (json_object_array_length(list) >= LOSSES_MAX)
			return complain(c, "", "there are more than %d", LOSSES_MAX);
		if (add_losses_of(scene, radio, list) < 0)
			return complain(c, "", "no memory");
	}
	return 0;
}

/* --- who takes part --- */

static const char *const plug_kinds[] = {"kernel", "socket", "pty", NULL};

enum { PLUG_KERNEL, PLUG_SOCKET, PLUG_PTY };

static const struct key plug_keys[] = {
	{"kind", KEY_STRING, .words = plug_kinds},
	NAME_KEY("name", false),
	{"path", KEY_STRING, .min = 1, .max = 4000},
	{"profile", KEY_STRING, .min = 1, .max = 64},
	{"address", .type = KEY_ADDR},
	{0},
};

static int check_plug(json_object *cmd, struct complaint *c)
{
	int kind = keys_word(cmd, "kind", plug_kinds, PLUG_KERNEL);
	const char *profile = keys_str(cmd, "profile", NULL);
	struct profile p;

	if (profile && profile_parse(profile, &p) < 0)
		return complain(c, "profile", "is none of: %s", profile_names());
	if ((kind == PLUG_KERNEL) == keys_has(cmd, "path"))
		return complain(c, "path",
		                kind == PLUG_KERNEL ? "is for sockets and terminals"
		                                    : "is missing");
	if (kind != PLUG_KERNEL && keys_has(cmd, "name"))
		return complain(c, "name", "is for controllers of the kernel");
	if (kind != PLUG_KERNEL && keys_has(cmd, "address"))
		return complain(c, "address", "is for controllers of the kernel");
	return 0;
}

static int plug(struct scene *scene, json_object *cmd, const struct profile *profile)
{
	const char *path = keys_str(cmd, "path", NULL);
	struct addr addr;

	switch (keys_word(cmd, "kind", plug_kinds, PLUG_KERNEL)) {
	case PLUG_SOCKET:
		return world_listen(scene->world, path, profile);
	case PLUG_PTY:
		return world_pty(scene->world, path, profile);
	}
	return world_plug(scene->world, keys_str(cmd, "name", NULL), profile,
	                  keys_addr(cmd, "address", ADDR_PUBLIC, &addr) ? &addr : NULL);
}

static int run_plug(struct scene *scene, json_object *cmd, json_object *answer, struct complaint *c)
{
	const char *name = keys_str(cmd, "profile", NULL);
	struct profile profile;
	int r;

	if (!scene->world)
		return complain(c, "cmd", "nothing can be plugged in here");
	if (name && profile_parse(name, &profile) < 0)
		return complain(c, "profile", "is unknown");
	r = plug(scene, cmd, name ? &profile : NULL);
	if (r == -EEXIST && keys_has(cmd, "name"))
		return complain(c, "name", "is taken");
	if (r < 0)
		return complain(c, "", "%s", strerror(-r));
	return 0;
}

static const struct key unplug_keys[] = {
	NAME_KEY("controller", false),
	{"path", KEY_STRING, .min = 1, .max = 4000},
	{"for_ms", KEY_NUMBER, .min = 0.001, .max = 1e9},
	{0},
};

static int check_unplug(json_object *cmd, struct complaint *c)
{
	if (keys_has(cmd, "controller") == keys_has(cmd, "path"))
		return complain(c, "controller", "one of controller and path is needed");
	if (keys_has(cmd, "path") && keys_has(cmd, "for_ms"))
		return complain(c, "for_ms", "is for controllers of the kernel");
	return 0;
}

/* Those of the kernel can come back; a host on a socket comes back by itself, or not. */
static int unplug(struct scene *scene, json_object *cmd, struct controller *ctl,
                  struct complaint *c)
{
	bool returns = keys_has(cmd, "for_ms");
	int r = replugs_unplug(scene->replugs, ctl, keys_ms(cmd, "for_ms", 0));

	if (r == -ENOENT && !returns)
		r = world_cut(scene->world, ctl);
	if (r == -ENOENT)
		return complain(c, returns ? "for_ms" : "controller",
		                returns ? "is for controllers of the kernel"
		                        : "is behind a terminal, which goes by its path");
	return r < 0 ? complain(c, "", "%s", strerror(-r)) : 0;
}

static int run_unplug(struct scene *scene, json_object *cmd, json_object *answer,
                      struct complaint *c)
{
	const char *path = keys_str(cmd, "path", NULL);
	struct controller *ctl = path ? NULL : lookup_controller(scene, cmd, "controller", c);

	if (!path && !ctl)
		return -EINVAL;
	if (!scene->world)
		return complain(c, "cmd", "nothing can be unplugged here");
	if (ctl)
		return unplug(scene, cmd, ctl, c);
	if (world_close(scene->world, path) < 0)
		return complain(c, "path", "no socket and no terminal is there");
	return 0;
}

const struct command cmd_air_table[] = {
	{"air", no_keys, NULL, run_air},
	{"speed", speed_keys, NULL, run_speed},
	{"loss", loss_keys, check_loss, run_loss},
	{"losses", no_keys, NULL, run_losses},
	{"plug", plug_keys, check_plug, run_plug},
	{"unplug", unplug_keys, check_unplug, run_unplug},
	{"quit", no_keys, NULL, run_quit},
	{0},
};
