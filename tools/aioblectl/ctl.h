/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aioblectl: what all its files share. A function that "returns an exit code" has told the user
 * about the failure already (ctl_fail), so its caller only passes the number on: one failure, one
 * line.
 */
#pragma once

#include <getopt.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "aiobled/cleanup.h"

#define CTL_SERVICE "org.aioble"
#define CTL_ROOT    "/org/aioble"
#define CTL_ERROR   "org.aioble.Error."

/* Documented in aioblectl(1); never renumber. 124 and 128+n stay free for timeout(1) and signals.
 */
enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_TIMEOUT = 3,
	CTL_NOT_FOUND = 4,
	CTL_DISCONNECTED = 5,
	CTL_AUTH = 6,
	CTL_BUSY = 7,
	CTL_UNREACHABLE = 8,
	CTL_NO_ADAPTER = 9,
	CTL_INTERRUPTED = 130,
};

/* JSON_AUTO: a document is indented on a terminal and one line elsewhere; streams are lines in
 * every mode */
enum ctl_json {
	JSON_OFF,
	JSON_AUTO,
	JSON_SHORT,
	JSON_PRETTY,
};

enum ctl_bus {
	BUS_SYSTEM,
	BUS_USER,
	BUS_ADDRESS,
};

/* Why a stream or a wait stops; 0 goes on. */
enum ctl_stop {
	STOP_NONE,
	STOP_SIGNAL,
	STOP_READER, /* nobody reads our output any more */
	STOP_TIMEOUT,
	STOP_DONE, /* exit code in ctl.result */
};

struct ctl {
	const struct command *command;
	const char *adapter; /* as given; "" for the first one */
	enum ctl_json json;
	bool quiet;
	bool no_color;
	bool tty; /* of standard output */
	bool timeout_given;
	uint64_t timeout_ms;
	uint64_t deadline_us; /* CLOCK_MONOTONIC; UINT64_MAX: none */
	enum ctl_bus bus_kind;
	const char *bus_address;
	const char *where; /* put before the message of a failure; NULL: it was the command line */
	bool mute;         /* failures are not told: they do not matter */
	bool once;         /* one that says what the last one said is not told */
	char *last;        /* what that was */

	sd_bus *bus;
	sd_event *event;
	enum ctl_stop stop;
	int result;
};

struct command {
	const char *name;
	const char *arguments;
	const char *summary;
	const char *help; /* options, one a line */
	int (*run)(struct ctl *c, int argc, char **argv);
};

extern const struct command ctl_commands[];

int cmd_status(struct ctl *c, int argc, char **argv);
int cmd_adapters(struct ctl *c, int argc, char **argv);
int cmd_connections(struct ctl *c, int argc, char **argv);
int cmd_scan(struct ctl *c, int argc, char **argv);
int cmd_advertise(struct ctl *c, int argc, char **argv);
int cmd_connect(struct ctl *c, int argc, char **argv);
int cmd_disconnect(struct ctl *c, int argc, char **argv);
int cmd_discover(struct ctl *c, int argc, char **argv);
int cmd_read(struct ctl *c, int argc, char **argv);
int cmd_write(struct ctl *c, int argc, char **argv);
int cmd_notify(struct ctl *c, int argc, char **argv);
int cmd_serve(struct ctl *c, int argc, char **argv);

/* ---- report.c: failures ---- */

/**
 * ctl_fail() - tell the user about one failure: a line on standard error, or {"error": ...} there
 * with --json
 * @name:    for programs: the part of an error name after org.aioble.Error., or the full name of
 * another bus error
 * @details: object for programs, or NULL; taken over
 *
 * Return: @code.
 */
int ctl_fail(struct ctl *c, int code, const char *name, json_object *details, const char *fmt, ...)
	_printf_(5, 6);

/** ctl_usage() - ctl_fail() for a mistake on the command line, with a pointer to --help */
int ctl_usage(struct ctl *c, const char *fmt, ...) _printf_(2, 3);

/** ctl_note() - a remark on standard error; nothing with -q */
void ctl_note(struct ctl *c, const char *fmt, ...) _printf_(2, 3);

/** ctl_must() - leave the program when building a message failed: only lack of memory can do that
 */
void ctl_must(int r);

/** ctl_exit_code() - the exit code for a bus error name and its details (may be NULL) */
int ctl_exit_code(const char *name, json_object *details);

/** ctl_short_name() - an error name without org.aioble.Error. */
const char *ctl_short_name(const char *name);

/** ctl_fail_message() - ctl_fail() for an error reply. @culprit: what was tried on what, e.g. "read
 * 0x0025" */
int ctl_fail_message(struct ctl *c, sd_bus_message *error, const char *culprit);

/** ctl_fail_reason() - ctl_fail() for the reason in an end record; @hci 0: none */
int ctl_fail_reason(struct ctl *c, const char *reason, uint8_t hci, const char *culprit);

/* ---- options.c: the command line ---- */

enum {
	OPT_END = -1,
	OPT_BAD = '?',
	OPT_GLOBAL = 0x1000, /* commands number their own options from 0x100 */
	OPT_ADDRESS = OPT_GLOBAL,
	OPT_JSON,
	OPT_NO_COLOR,
	OPT_SYSTEM,
	OPT_TIMEOUT,
	OPT_USER,
};

#define CTL_GLOBAL_OPTIONS                                                                         \
	{"adapter", required_argument, NULL, 'a'},                                                 \
		{"address", required_argument, NULL, OPT_ADDRESS},                                 \
		{"help", no_argument, NULL, 'h'}, {"json", optional_argument, NULL, OPT_JSON},     \
		{"no-color", no_argument, NULL, OPT_NO_COLOR}, {"quiet", no_argument, NULL, 'q'},  \
		{"system", no_argument, NULL, OPT_SYSTEM},                                         \
		{"timeout", required_argument, NULL, OPT_TIMEOUT},                                 \
		{"user", no_argument, NULL, OPT_USER}, {"version", no_argument, NULL, 'V'},        \
	{                                                                                          \
		NULL, 0, NULL, 0                                                                   \
	}

/**
 * ctl_getopt() - the next option of a command; global ones are dealt with inside
 * @options: the command's own, then CTL_GLOBAL_OPTIONS
 *
 * Return: a value of the command's options, OPT_END, or OPT_BAD when the user has been told.
 */
int ctl_getopt(struct ctl *c, int argc, char **argv, const struct option *options);

/** ctl_globals() - as ctl_getopt() for what stands before the command's name. Return: 0 or an exit
 * code. */
int ctl_globals(struct ctl *c, int argc, char **argv);

/** ctl_no_options() - for commands with none of their own. Return: 0 or an exit code; optind is at
 * the arguments. */
int ctl_no_options(struct ctl *c, int argc, char **argv);

/** opt_number() - @text as an integer of @min to @max. Return: 0 or an exit code. */
int opt_number(struct ctl *c, const char *option, const char *text, long min, long max, long *ret);

/** opt_milli() - a decimal number of @unit (for the message) in thousandths, at most @max. Return:
 * 0 or an exit code. */
int opt_milli(struct ctl *c, const char *option, const char *text, const char *unit, uint64_t max,
              uint64_t *ret);

/* ---- bus.c: calls ---- */

/** ctl_connect_bus() - open the bus and make the event loop, once. Return: 0 or an exit code. */
int ctl_connect_bus(struct ctl *c);

/** ctl_close() - give everything back */
void ctl_close(struct ctl *c);

/** call_new() - a method call to the daemon; @iface without the prefix "org.aioble." */
sd_bus_message *call_new(struct ctl *c, const char *path, const char *iface, const char *member);

/* The a{sv} that ends every call: call_options_open(), any number of the others,
 * call_options_close(). */
void call_options_open(sd_bus_message *m);
void call_option_u32(sd_bus_message *m, const char *key, uint32_t value);
void call_option_bool(sd_bus_message *m, const char *key, bool value);
void call_option_str(sd_bus_message *m, const char *key, const char *value);
void call_options_close(sd_bus_message *m);

/** call_option_timeout() - timeout_ms from what --timeout leaves; nothing without --timeout */
void call_option_timeout(struct ctl *c, sd_bus_message *m);

/** call_option_timeout_or() - the same, and @otherwise_ms without --timeout */
void call_option_timeout_or(struct ctl *c, sd_bus_message *m, uint32_t otherwise_ms);

/** call_no_options() - an empty a{sv} */
void call_no_options(sd_bus_message *m);

/**
 * ctl_call_raw() - send @m (taken over) and wait, longer than the daemon itself would
 * @ret: the reply, a method return or a method error; unref it
 *
 * Return: 0, or an exit code when there is none (told; CTL_INTERRUPTED is not worth telling).
 */
int ctl_call_raw(struct ctl *c, sd_bus_message *m, const char *culprit, sd_bus_message **ret);

/** ctl_call() - ctl_call_raw() that tells of an error reply too. @ret may be NULL. Return: 0 or an
 * exit code. */
int ctl_call(struct ctl *c, sd_bus_message *m, const char *culprit, sd_bus_message **ret);

/**
 * ctl_read() - take fields off a reply
 *
 * Return: 0, or CTL_FAILED after telling that the daemon's answer is not of the expected type.
 */
int ctl_read(struct ctl *c, sd_bus_message *m, const char *types, ...);
int ctl_read_bytes(struct ctl *c, sd_bus_message *m, const void **ret, size_t *ret_len);
int ctl_bad_reply(struct ctl *c);

/** message_json() - the next complete value of a message as JSON; ay in hexadecimal, variants
 * opened. NULL at its end */
json_object *message_json(sd_bus_message *m);

/** ctl_objects() - GetManagedObjects as {path: {interface: {property: value}}}. Return: 0 or an
 * exit code. */
int ctl_objects(struct ctl *c, json_object **ret);

/** ctl_properties() - GetAll of an interface (without "org.aioble.") as an object. Return: 0 or an
 * exit code. */
int ctl_properties(struct ctl *c, const char *path, const char *iface, const char *culprit,
                   json_object **ret);

/** ctl_on_adapter() - the exit code of what was asked of an adapter: the only thing that can be missing is that itself */
static inline int ctl_on_adapter(int code)
{
	return code == CTL_NOT_FOUND ? CTL_NO_ADAPTER : code;
}

/** ctl_find_adapter() - path of the adapter of -a, or of the first. Return: 0 or an exit code. */
int ctl_find_adapter(struct ctl *c, char **ret);

/**
 * ctl_watch() - from now on signals, a vanished reader of our output and the end of --timeout set
 * c->stop instead of killing the process. For streams and long waits only: a one-shot command
 * simply dies of SIGINT.
 * @deadline: whether --timeout counts; calls obey it anyway
 *
 * Return: 0 or an exit code.
 */
int ctl_watch(struct ctl *c, bool deadline);

/** ctl_signaled() - has one of these signals come, or does one wait? For when the loop does not run. */
bool ctl_signaled(struct ctl *c);

/** ctl_run() - dispatch events until c->stop is set */
void ctl_run(struct ctl *c);

/** ctl_done() - end ctl_run() with this exit code; the first one stays */
void ctl_done(struct ctl *c, int code);

/** ctl_now_us() - CLOCK_MONOTONIC */
uint64_t ctl_now_us(void);

static inline json_object *json_put(json_object *o)
{
	if (o)
		(void)json_object_put(o); /* 1 when it was the last reference: nobody asks */
	return NULL;
}
DEFINE_CLEANUP(json_object *, json_put)
