/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Failures: one line on standard error that names what failed, a name for programs, and the exit
 * code that goes with it. Messages of the daemon are shown as they come, made harmless; the numbers
 * are spelt out when the message lacks them.
 */
#include "ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/result.h"
#include "output.h"
#include "text.h"

/* Was just this told last? Remembers it. */
static bool repeated(struct ctl *c, const char *message)
{
	bool same = c->last && strcmp(c->last, message) == 0;

	if (same)
		return c->once;
	free(c->last);
	c->last = strdup(message);
	return false;
}

static void report_json(const char *name, const char *message, json_object *details)
{
	_cleanup_(json_putp) json_object *doc = json_object_new_object();
	json_object *error = json_object_new_object();

	json_object_object_add(error, "name", json_object_new_string(name));
	json_object_object_add(error, "message", json_object_new_string(message));
	json_object_object_foreach (details, key, value)
		if (!json_object_object_get_ex(error, key, NULL))
			json_object_object_add(error, key, json_object_get(value));
	json_object_object_add(doc, "error", error);
	out_json_to(stderr, doc, false);
}

int ctl_fail(struct ctl *c, int code, const char *name, json_object *details, const char *fmt, ...)
{
	_cleanup_(json_putp) json_object *d = details ? details : json_object_new_object();
	_cleanup_(text_free) struct text safe = {0};
	_cleanup_(freep) char *message = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&message, fmt, ap);
	va_end(ap);
	if (c->mute)
		return code;
	if (c->where)
		text_addf(&safe, "%s: ", c->where);
	if (n < 0)
		message = NULL;
	else
		text_safe(&safe, message, (size_t)n);
	if (repeated(c, text_str(&safe)))
		return code;
	(void)fflush(stdout); /* data before the error it ends with; a failure shows when stdout is
	                         closed */
	if (c->json != JSON_OFF)
		report_json(name, text_str(&safe), d);
	else
		fprintf(stderr, "aioblectl: %s\n", text_str(&safe));
	return code;
}

int ctl_usage(struct ctl *c, const char *fmt, ...)
{
	_cleanup_(freep) char *message = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&message, fmt, ap) < 0)
		message = NULL;
	va_end(ap);
	if (c->where)
		return ctl_fail(c, CTL_USAGE, "Usage", NULL, "%s", message ? message : "");
	return ctl_fail(c, CTL_USAGE, "Usage", NULL, "%s (try 'aioblectl %s%s--help')",
	                message ? message : "", c->command ? c->command->name : "",
	                c->command ? " " : "");
}

void ctl_note(struct ctl *c, const char *fmt, ...)
{
	_cleanup_(text_free) struct text safe = {0};
	_cleanup_(freep) char *message = NULL;
	va_list ap;
	int n;

	if (c->quiet)
		return;
	va_start(ap, fmt);
	n = vasprintf(&message, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	text_safe(&safe, message, (size_t)n);
	free(message);
	message = NULL;
	fprintf(stderr, "aioblectl: %s\n", text_str(&safe));
}

void ctl_must(int r)
{
	if (r >= 0)
		return;
	fprintf(stderr, "aioblectl: cannot build a message: %s\n", strerror(-r));
	exit(CTL_FAILED);
}

static int detail(json_object *details, const char *key)
{
	json_object *o;

	return details && json_object_object_get_ex(details, key, &o) ? json_object_get_int(o) : -1;
}

/* Core 5.4, Vol 3, Part F, 3.4.1.1: what pairing or a permission would change */
static bool att_is_auth(int att)
{
	return att == 0x05 || att == 0x08 || att == 0x0c || att == 0x0f;
}

/* Core 5.4, Vol 1, Part F: authentication failure, PIN or key missing, insufficient security */
static bool hci_is_auth(int hci)
{
	return hci == 0x05 || hci == 0x06 || hci == 0x2f;
}

static const struct {
	const char *name;
	enum ctl_exit code;
} exit_codes[] = {
	{CTL_ERROR "Timeout", CTL_TIMEOUT},
	{CTL_ERROR "Disconnected", CTL_DISCONNECTED},
	{CTL_ERROR "NotConnected", CTL_DISCONNECTED},
	{CTL_ERROR "NotPowered", CTL_NO_ADAPTER},
	{CTL_ERROR "NotFound", CTL_NOT_FOUND},
	{CTL_ERROR "InvalidArgument", CTL_USAGE},
	{CTL_ERROR "Busy", CTL_BUSY},
	{CTL_ERROR "NoSlots", CTL_BUSY},
	{CTL_ERROR "LimitExceeded", CTL_BUSY},
	{CTL_ERROR "Denied", CTL_AUTH},
	{CTL_ERROR "Pairing", CTL_AUTH},
	{SD_BUS_ERROR_ACCESS_DENIED, CTL_AUTH},
	{SD_BUS_ERROR_AUTH_FAILED, CTL_AUTH},
	{SD_BUS_ERROR_INTERACTIVE_AUTHORIZATION_REQUIRED, CTL_AUTH},
	{SD_BUS_ERROR_LIMITS_EXCEEDED, CTL_BUSY},
	{SD_BUS_ERROR_UNKNOWN_OBJECT, CTL_NOT_FOUND},
	{SD_BUS_ERROR_NO_REPLY, CTL_UNREACHABLE},
	{SD_BUS_ERROR_TIMEOUT, CTL_UNREACHABLE},
	{SD_BUS_ERROR_SERVICE_UNKNOWN, CTL_UNREACHABLE},
	{SD_BUS_ERROR_NAME_HAS_NO_OWNER, CTL_UNREACHABLE},
	{SD_BUS_ERROR_DISCONNECTED, CTL_UNREACHABLE},
};

int ctl_exit_code(const char *name, json_object *details)
{
	if (strcmp(name, CTL_ERROR "Gatt") == 0)
		return att_is_auth(detail(details, "att")) ? CTL_AUTH : CTL_FAILED;
	if (strcmp(name, CTL_ERROR "ConnectFailed") == 0)
		return hci_is_auth(detail(details, "hci")) ? CTL_AUTH : CTL_FAILED;
	for (size_t i = 0; i < ARRAY_SIZE(exit_codes); i++)
		if (strcmp(name, exit_codes[i].name) == 0)
			return exit_codes[i].code;
	/* the bus could not start the daemon; systemd's way of saying it differs from the bus
	 * daemon's own */
	if (strncmp(name, "org.freedesktop.DBus.Error.Spawn.", 33) == 0 ||
	    strncmp(name, "org.freedesktop.systemd1.", 25) == 0)
		return CTL_UNREACHABLE;
	return CTL_FAILED;
}

const char *ctl_short_name(const char *name)
{
	size_t n = strlen(CTL_ERROR);

	return strncmp(name, CTL_ERROR, n) == 0 ? name + n : name;
}

/* " (ATT 0x05 insufficient authentication)" unless the message says the number already */
static void spell(struct text *t, const char *message, json_object *details, const char *key,
                  const char *label, const char *(*name)(uint8_t))
{
	int code = detail(details, key);
	const char *words;
	char number[8];

	if (code <= 0 || code > 0xff)
		return;
	words = name((uint8_t)code);
	if (words) {
		_cleanup_(text_free) struct text k = {0};

		text_addf(&k, "%s_name", key);
		json_object_object_add(details, text_str(&k), json_object_new_string(words));
	}
	(void)snprintf(number, sizeof(number), "0x%02x", code); /* always fits */
	if (!strstr(message, number))
		text_addf(t, " (%s %s%s%s)", label, number, words ? " " : "", words ? words : "");
}

static int fail_named(struct ctl *c, const char *name, const char *message, json_object *details,
                      const char *culprit)
{
	_cleanup_(text_free) struct text extra = {0};
	int code = ctl_exit_code(name, details);

	spell(&extra, message, details, "att", "ATT", att_error_name);
	spell(&extra, message, details, "hci", "HCI", hci_error_name);
	if (code == CTL_UNREACHABLE)
		return ctl_fail(c, code, ctl_short_name(name), details,
		                "the daemon cannot be reached: %s", message);
	return ctl_fail(c, code, ctl_short_name(name), details, "%s: %s%s", culprit, message,
	                text_str(&extra));
}

int ctl_fail_message(struct ctl *c, sd_bus_message *error, const char *culprit)
{
	const sd_bus_error *e = sd_bus_message_get_error(error);
	json_object *details = NULL;
	const char *message = NULL;

	if (sd_bus_message_peek_type(error, NULL, NULL) > 0 &&
	    sd_bus_message_is_empty(error) == 0 && sd_bus_message_read(error, "s", &message) > 0)
		details = message_json(error);
	if (details && !json_object_is_type(details, json_type_object))
		details = json_put(details);
	if (!details)
		details = json_object_new_object();
	return fail_named(c, e->name, message && *message ? message : e->name, details, culprit);
}

int ctl_fail_reason(struct ctl *c, const char *reason, uint8_t hci, const char *culprit)
{
	_cleanup_(text_free) struct text name = {0};
	json_object *details = json_object_new_object();

	if (hci)
		json_object_object_add(details, "hci", json_object_new_int(hci));
	if (strncmp(reason, CTL_ERROR, strlen(CTL_ERROR)) != 0 && strchr(reason, '.') == NULL)
		text_addf(&name, CTL_ERROR "%s", reason);
	else
		text_adds(&name, reason);
	return fail_named(c, text_str(&name), ctl_short_name(reason), details, culprit);
}
