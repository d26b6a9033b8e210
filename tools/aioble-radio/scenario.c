/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading a scenario, and playing it by one timer. Commands of the same time run in the order of the file; one that fails (a
 * radio that is not there) is reported with its line, and the others still run.
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "command.h"

#define AT_ONCE 1000 /* commands in one go */

struct step {
	json_object *cmd;
	uint64_t at_us;
	size_t line, number;
};

struct scenario {
	char *path;
	struct step *steps;
	size_t n, size, next, failed;
	struct scene *scene;
	struct air_timer timer;
	uint64_t start_us;
	void (*done)(struct scenario *s, void *data);
	void *data;
};

DEFINE_CLEANUP(struct scenario *, scenario_free);

/* --- reading --- */

struct reader {
	const char *text, *at, *end;
	size_t line; /* of @at */
	size_t wrong;
	void (*report)(void *data, size_t line, const char *key, const char *text);
	void *data;
};

static int slurp(const char *path, char **ret, size_t *ret_len)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	_cleanup_(freep) char *buf = NULL;
	size_t len = 0, size = 65536;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	for (; n > 0; len += (size_t)n) {
		if (!buf || len == size) {
			char *more = realloc(buf, size * 2);

			if (!more)
				return -ENOMEM;
			buf = more;
			size *= 2;
		}
		n = read(fd, buf + len, size - len);
		if (n < 0)
			return -errno;
		if (len + (size_t)n > SCENARIO_FILE_MAX)
			return -EFBIG;
	}
	*ret = steal(&buf);
	*ret_len = len;
	return 0;
}

static void advance(struct reader *r, size_t n)
{
	for (; n; n--, r->at++)
		r->line += *r->at == '\n';
}

/* Only lines between commands can be remarks. */
static bool find_command(struct reader *r)
{
	while (r->at < r->end) {
		bool begins_line = r->at == r->text || r->at[-1] == '\n';

		if (begins_line && *r->at == '#') {
			const char *nl = memchr(r->at, '\n', (size_t)(r->end - r->at));

			advance(r, (size_t)((nl ? nl : r->end) - r->at));
		} else if (strchr(" \t\r\n", *r->at)) {
			advance(r, 1);
		} else {
			return true;
		}
	}
	return false;
}

static void wrong(struct reader *r, size_t line, const char *key, const char *text)
{
	r->wrong++;
	r->report(r->data, line, key, text);
}

/* The line on which the last part of @where stands as a key between @from and @to; that of @from when it is not there. */
static size_t line_of_key(const struct reader *r, const char *from, const char *to, size_t line,
                          const char *where)
{
	const char *dot = strrchr(where, '.');
	char key[KEYS_WHERE_MAX + 2];
	size_t len, at = line;

	(void)snprintf(key, sizeof(key), "\"%s\"", dot ? dot + 1 : where);
	len = strlen(key);
	for (const char *p = from; p + len <= to; p++) {
		if (memcmp(p, key, len) == 0)
			return at;
		at += *p == '\n';
	}
	return line;
}

static int add_step(struct scenario *s, json_object *cmd, size_t line)
{
	uint64_t before = s->n ? s->steps[s->n - 1].at_us : 0;

	if (s->n == s->size) {
		size_t size = s->size ? 2 * s->size : 64;
		struct step *more = realloc(s->steps, size * sizeof(*more));

		if (!more)
			return -ENOMEM;
		s->steps = more;
		s->size = size;
	}
	s->steps[s->n] = (struct step){
		.cmd = json_object_get(cmd),
		.at_us = keys_ms(cmd, "at_ms", before),
		.line = line,
		.number = s->n,
	};
	s->n++;
	return 0;
}

static int take_command(struct scenario *s, struct reader *r)
{
	_cleanup_(json_putp) json_object *cmd = NULL;
	const char *from = r->at, *why = NULL;
	size_t line = r->line, used;
	struct complaint c = {0};
	int res = json_read(r->at, (size_t)(r->end - r->at), &cmd, &used, &why);

	advance(r, used);
	if (res == -EAGAIN)
		wrong(r, line, "", "the command that begins here does not end");
	else if (res < 0)
		wrong(r, r->line, "", why);
	if (res < 0) {
		r->at = r->end; /* where the next one begins cannot be known */
		return 0;
	}
	if (command_check(cmd, &c) < 0) {
		wrong(r, line_of_key(r, from, r->at, line, c.where), c.where, c.text);
		return 0;
	}
	if (s->n == SCENARIO_COMMANDS_MAX) {
		wrong(r, line, "", "there are too many commands");
		r->at = r->end;
		return 0;
	}
	return add_step(s, cmd, line);
}

static int by_time(const void *a, const void *b)
{
	const struct step *x = a, *y = b;

	if (x->at_us != y->at_us)
		return x->at_us < y->at_us ? -1 : 1;
	return x->number < y->number ? -1 : 1;
}

int scenario_load(const char *path,
                  void (*report)(void *data, size_t line, const char *key, const char *text),
                  void *data, struct scenario **ret)
{
	_cleanup_(scenario_freep) struct scenario *s = calloc(1, sizeof(*s));
	_cleanup_(freep) char *text = NULL;
	struct reader r = {.line = 1, .report = report, .data = data};
	size_t len = 0;
	int res;

	if (!s)
		return -ENOMEM;
	res = slurp(path, &text, &len);
	if (res < 0)
		return res;
	s->path = strdup(path);
	if (!s->path)
		return -ENOMEM;
	r.text = r.at = text;
	r.end = text + len;
	while (res == 0 && find_command(&r))
		res = take_command(s, &r);
	if (res == 0 && r.wrong)
		res = -EINVAL;
	if (res < 0)
		return res;
	if (s->n)
		qsort(s->steps, s->n, sizeof(*s->steps), by_time);
	*ret = steal(&s);
	return 0;
}

/* --- playing --- */

static void tell(struct scenario *s, const struct step *step, const struct complaint *c)
{
	json_object *e;

	if (c)
		log_error(s->path, "line %zu: %s%s%s", step->line, c->where, *c->where ? ": " : "",
		          c->text);
	if (!scene_wants(s->scene, SCENE_SCENARIO))
		return;
	e = scene_event_new(s->scene, SCENE_SCENARIO, c ? "failed" : "ran");
	if (!e)
		return;
	json_add_int(e, "line", (int64_t)step->line);
	json_add_str(e, "error", c ? c->text : NULL);
	scene_tell(s->scene, SCENE_SCENARIO, e);
}

static void run_step(struct scenario *s, const struct step *step)
{
	_cleanup_(json_putp) json_object *answer = json_object_new_object();
	struct complaint c = {.text = "no memory"};
	int r = answer ? command_run(s->scene, step->cmd, answer, &c) : -ENOMEM;

	s->failed += r < 0;
	tell(s, step, r < 0 ? &c : NULL);
}

static void finish(struct scenario *s)
{
	if (scene_wants(s->scene, SCENE_SCENARIO))
		scene_tell(s->scene, SCENE_SCENARIO,
		           scene_event_new(s->scene, SCENE_SCENARIO, "finished"));
	if (s->done)
		s->done(s, s->data);
}

static void on_timer(struct air_timer *t)
{
	struct scenario *s = container_of(t, struct scenario, timer);
	uint64_t passed = air_now_us(s->scene->air) - s->start_us;

	for (int i = 0; i < AT_ONCE && s->next < s->n && s->steps[s->next].at_us <= passed; i++)
		run_step(s, &s->steps[s->next++]);
	if (s->next < s->n)
		air_timer_start_at(t, s->start_us + s->steps[s->next].at_us);
	else
		finish(s);
}

void scenario_start(struct scenario *s, struct scene *scene,
                    void (*done)(struct scenario *s, void *data), void *data)
{
	s->scene = scene;
	s->done = done;
	s->data = data;
	air_sync(scene->air);
	s->start_us = air_now_us(scene->air);
	air_timer_init(&s->timer, scene->air, on_timer);
	air_timer_start(&s->timer, 0);
}

struct scenario *scenario_free(struct scenario *s)
{
	if (!s)
		return NULL;
	if (s->scene)
		air_timer_stop(&s->timer);
	for (size_t i = 0; i < s->n; i++)
		json_put(s->steps[i].cmd);
	free(s->steps);
	free(s->path);
	free(s);
	return NULL;
}

struct scenario_stats scenario_stats(const struct scenario *s)
{
	return (struct scenario_stats){.commands = s->n, .done = s->next, .failed = s->failed};
}
