/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Log lines to the journal (structured, when stderr is connected to it) or to stderr with <N> prefixes.
 *
 * Below src/bus and main only debug lines; the top logs each failure once. Keys, passkeys and values of attributes are
 * never logged. A line that a peer can provoke goes through log_limited().
 */
#pragma once

#include <stdbool.h>

#include "aiobled/cleanup.h"
#include "aiobled/loop.h"

enum log_level {
	LOG_LEVEL_ERROR = 3, /* syslog numbers */
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/** log_level_parse() - "error", "warning", "notice", "info", "debug"; Return: 0 or -EINVAL */
int log_level_parse(const char *s, enum log_level *ret);

/** log_write() - one line, without newline; @object names what it is about ("hci0", "hci0 c0:ff:..."), or NULL */
void log_write(enum log_level level, const char *object, const char *fmt, ...) _printf_(3, 4);

#define log_at(level, object, ...)                            \
	do {                                                  \
		if ((level) <= log_get_level())               \
			log_write(level, object, __VA_ARGS__); \
	} while (0)

#define log_error(object, ...)   log_at(LOG_LEVEL_ERROR, object, __VA_ARGS__)
#define log_warning(object, ...) log_at(LOG_LEVEL_WARNING, object, __VA_ARGS__)
#define log_notice(object, ...)  log_at(LOG_LEVEL_NOTICE, object, __VA_ARGS__)
#define log_info(object, ...)    log_at(LOG_LEVEL_INFO, object, __VA_ARGS__)
#define log_debug(object, ...)   log_at(LOG_LEVEL_DEBUG, object, __VA_ARGS__)

/* At most @burst lines in any @interval_us; what was held back is counted into the next line that passes. */
struct log_limit {
	uint64_t interval_us;
	unsigned int burst;
	uint64_t window_us;
	unsigned int used;
	unsigned int suppressed;
};

/** log_limit_pass() - may a line be written now? *@ret_suppressed: lines held back since the last that passed */
bool log_limit_pass(struct log_limit *limit, uint64_t now_us, unsigned int *ret_suppressed);
