/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scenario: a file of commands as the control socket takes them, each with an optional "at_ms", the air time after the
 * start at which it runs (without it: the time of the one before). Objects may span lines; lines that begin with # and blank
 * ones are passed over. A file is read and checked completely before anything of it runs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "scene.h"

#define SCENARIO_FILE_MAX     (64 * 1024 * 1024) /* bytes */
#define SCENARIO_COMMANDS_MAX 100000

struct scenario;

struct scenario_stats {
	size_t commands, done, failed;
};

/**
 * scenario_load() - read and check @path
 * @report: called with the line, the key ("" for none) and what is wrong; for every command that is wrong
 *
 * Return: 0; -EINVAL when @report was called; -errno of reading, -EFBIG, -ENOMEM.
 */
int scenario_load(const char *path,
                  void (*report)(void *data, size_t line, const char *key, const char *text),
                  void *data, struct scenario **ret);

/** scenario_start() - from now on; @done may be NULL and runs after the last command */
void scenario_start(struct scenario *s, struct scene *scene,
                    void (*done)(struct scenario *s, void *data), void *data);

/** scenario_free() - what has not run will not. Takes NULL; returns NULL. */
struct scenario *scenario_free(struct scenario *s);

struct scenario_stats scenario_stats(const struct scenario *s);
