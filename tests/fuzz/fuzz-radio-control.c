/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands of the radio's control socket and scenarios. Input: lines, each a command, into a scene with two controllers; the
 * air's time goes on a little after each.
 */
#include <errno.h>

#include "command.h"
#include "controller.h"

#include "fuzz.h"

#define LINES_MAX  32
#define STEP_MS    20
#define TAGS_LIMIT 300 /* above it a run takes long and shows nothing new */

static void ignore_packet(struct controller *ctl, const uint8_t *pkt, size_t len)
{
}

static struct controller *plug(struct air *air, const char *name, uint8_t number)
{
	static const struct controller_ops ops = {.packet = ignore_packet};
	const struct addr addr = {.b = {number}};
	struct controller *ctl;
	struct profile profile;

	FUZZ_CHECK(profile_parse("5.2", &profile) == 0);
	FUZZ_CHECK(controller_new(air, name, &profile, &addr, &ops, NULL, &ctl) == 0);
	return ctl;
}

/* Many advertisers or a fast air only cost time: such commands are checked, not run. */
static bool is_costly(json_object *cmd)
{
	const char *name =
		json_object_is_type(cmd, json_type_object) ? keys_str(cmd, "cmd", NULL) : NULL;

	if (!name)
		return false;
	return strcmp(name, "speed") == 0 || keys_int(cmd, "count", 1) > TAGS_LIMIT;
}

static void run(struct scene *scene, json_object *cmd)
{
	struct complaint c = {0};
	bool good = command_check(cmd, &c) == 0;
	json_object *answer;

	FUZZ_CHECK(good || *c.text);
	if (good && is_costly(cmd))
		return;
	answer = command_answer(scene, cmd);
	FUZZ_CHECK(answer && keys_has(answer, "ok") != keys_has(answer, "error"));
	FUZZ_CHECK(good || keys_has(answer, "error"));
	FUZZ_CHECK(keys_has(answer, "error") == keys_has(answer, "where"));
	FUZZ_CHECK(json_object_to_json_string(answer));
	json_put(answer);
}

static void run_line(struct loop *loop, struct scene *scene, const char *line, size_t len)
{
	const char *why = NULL;
	json_object *cmd;
	size_t used;
	int r = json_read(line, len, &cmd, &used, &why);

	FUZZ_CHECK(r != -EINVAL || why);
	FUZZ_CHECK(used <= len);
	if (r < 0)
		return;
	run(scene, cmd);
	json_put(cmd);
	loop_advance(loop, STEP_MS);
}

static void run_lines(struct loop *loop, struct scene *scene, const char *at, size_t left)
{
	for (int i = 0; i < LINES_MAX && left; i++) {
		const char *end = memchr(at, '\n', left);
		size_t len = end ? (size_t)(end - at) : left;

		run_line(loop, scene, at, len);
		left -= end ? len + 1 : len;
		at += end ? len + 1 : len;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct controller *a, *b;
	struct scene *scene;
	struct loop *loop;
	struct air *air;

	if (size > FUZZ_INPUT_MAX)
		return 0;
	FUZZ_CHECK(loop_new_virtual(&loop) == 0 && air_new(loop, 1, &air) == 0);
	FUZZ_CHECK(scene_new(air, NULL, 1, &scene) == 0);
	a = plug(air, "alice", 1);
	b = plug(air, "bob", 2);
	run_lines(loop, scene, (const char *)data, size);
	controller_free(a);
	controller_free(b);
	scene_free(scene);
	air_free(air);
	loop_free(loop);
	return 0;
}
