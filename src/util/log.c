/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where log lines go. The journal is chosen when $JOURNAL_STREAM names our stderr, so that a unit
 * gets structured fields and a person at a terminal gets text.
 */
#include "aiobled/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#define LINE_MAX_BYTES 512

static enum log_level max_level = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	max_level = level;
}

enum log_level log_get_level(void)
{
	return max_level;
}

int log_level_parse(const char *s, enum log_level *ret)
{
	static const struct {
		const char *name;
		enum log_level level;
	} names[] = {
		{"error", LOG_LEVEL_ERROR},   {"warning", LOG_LEVEL_WARNING},
		{"notice", LOG_LEVEL_NOTICE}, {"info", LOG_LEVEL_INFO},
		{"debug", LOG_LEVEL_DEBUG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(names[i].name, s) == 0) {
			*ret = names[i].level;
			return 0;
		}
	}
	return -EINVAL;
}

/* sd-daemon(7): $JOURNAL_STREAM is "DEVICE:INODE" of the stream that leads to the journal */
static bool stderr_is_journal(void)
{
	static int known = -1;
	const char *env = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (known < 0)
		known = env && sscanf(env, "%llu:%llu", &dev, &ino) == 2 &&
		        fstat(STDERR_FILENO, &st) == 0 && st.st_dev == dev && st.st_ino == ino;
	return known;
}

void log_write(enum log_level level, const char *object, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap); /* a longer line is cut, by intent */
	va_end(ap);
	if (stderr_is_journal()) {
		if (object)
			(void)sd_journal_send("MESSAGE=%s: %s", object, line, "PRIORITY=%d", level,
			                      "AIOBLE_OBJECT=%s", object, NULL);
		else
			(void)sd_journal_send("MESSAGE=%s", line, "PRIORITY=%d", level, NULL);
		return;
	}
	(void)fprintf(stderr, "<%d>%s%s%s\n", level, object ? object : "", object ? ": " : "",
	              line);
}

bool log_limit_pass(struct log_limit *limit, uint64_t now_us, unsigned int *ret_suppressed)
{
	if (now_us - limit->window_us >= limit->interval_us) {
		limit->window_us = now_us;
		limit->used = 0;
	}
	if (limit->used >= limit->burst) {
		limit->suppressed++;
		return false;
	}
	limit->used++;
	*ret_suppressed = limit->suppressed;
	limit->suppressed = 0;
	return true;
}
