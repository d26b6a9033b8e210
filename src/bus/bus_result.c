/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The one table from results to error names. dbus/org.aioble.Manager1.xml lists the same names, and tools/check-contract
 * holds this file to it: a name that is not documented there must not appear here.
 */
#include "bus_result.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aiobled/cleanup.h"
#include "aiobled/result.h"

#define HCI_LIMITED_RESOURCES 0x0d /* Core 5.4, Vol 1, Part F, 2.13 */
#define HCI_CONNECTION_LIMIT  0x09 /* the same, 2.9 */
#define MGMT_RFKILLED         0x12

#define KEY_TEXT_MAX 192 /* bytes of a key in a sentence; the details have all of it */

static const struct {
	int res;
	const char *suffix, *text;
} errnos[] = {
	{-ETIMEDOUT, "Timeout", "the time given by timeout_ms is over"},
	{-ENOTCONN, "Disconnected", "the link went away"},
	{-ESHUTDOWN, "NotConnected", "the connection is over"},
	{-ENETDOWN, "NotPowered", "the adapter is off or blocked"},
	{-ENODEV, "NotFound", "the adapter is gone"},
	{-ENOENT, "NotFound", "no such attribute, object or adapter"},
	{-EOPNOTSUPP, "NotSupported", "the other side cannot do this"},
	{-EINVAL, "InvalidArgument", "an argument is out of its range"},
	{-EMSGSIZE, "TooLong", "the value does not fit"},
	{-EBUSY, "Busy", "somebody else has it"},
	{-ENOBUFS, "LimitExceeded", "a limit is reached"},
	{-EACCES, "Denied", "not permitted"},
	{-EPERM, "Denied", "not permitted"},
	{-ECANCELED, "Canceled", "somebody stopped it"},
	{-EBADMSG, "Protocol", "the peer broke the specification"},
};

static bool hci_no_slots(int res)
{
	return res == RES_HCI(HCI_LIMITED_RESOURCES) || res == RES_HCI(HCI_CONNECTION_LIMIT);
}

const char *bus_error_suffix(const struct bus_error *e)
{
	for (size_t i = 0; i < ARRAY_SIZE(errnos); i++)
		if (e->res == errnos[i].res)
			return errnos[i].suffix;
	if (hci_no_slots(e->res))
		return "NoSlots";
	if (res_domain(e->res) == RES_DOMAIN_ATT)
		return "Gatt";
	if (e->res == RES_MGMT(MGMT_RFKILLED))
		return "NotPowered";
	return e->suffix ? e->suffix : "Failed";
}

const char *bus_error_name(const struct bus_error *e)
{
	static char name[64];

	(void)snprintf(name, sizeof(name), BUS_ERROR_PREFIX "%s", bus_error_suffix(e));
	return name;
}

size_t bus_text_fit(const char *s, size_t max)
{
	size_t n = strnlen(s, max + 1);

	if (n <= max)
		return n;
	for (n = max; n && ((unsigned char)s[n] & 0xc0) == 0x80; n--)
		;
	return n;
}

const char *bus_error_text(const struct bus_error *e, char buf[BUS_ERROR_TEXT_MAX])
{
	const char *text = e->text;
	char res[RES_TEXT_MAX];

	for (size_t i = 0; !text && i < ARRAY_SIZE(errnos); i++)
		if (e->res == errnos[i].res)
			text = errnos[i].text;
	if (!text)
		text = res_text(e->res, res, sizeof(res));
	if (e->key)
		(void)snprintf(buf, BUS_ERROR_TEXT_MAX, e->text ? "%.*s %s" : "%.*s: %s",
		               (int)bus_text_fit(e->key, KEY_TEXT_MAX), e->key, text);
	else if (e->res == -ENOTCONN && e->hci)
		(void)snprintf(buf, BUS_ERROR_TEXT_MAX, "%s: %s", text,
		               res_text(RES_HCI(e->hci), res, sizeof(res)));
	else if (text == res)
		(void)snprintf(buf, BUS_ERROR_TEXT_MAX, "%s", res);
	else
		return text;
	return buf;
}

static int append_byte(sd_bus_message *m, const char *key, uint8_t v)
{
	return sd_bus_message_append(m, "{sv}", key, "y", v);
}

static int append_string(sd_bus_message *m, const char *key, const char *s)
{
	return s ? sd_bus_message_append(m, "{sv}", key, "s", s) : 0;
}

static int append_origin(sd_bus_message *m, const struct bus_error *e)
{
	switch (res_domain(e->res)) {
	case RES_DOMAIN_ATT:
		return append_byte(m, "att", res_code(e->res));
	case RES_DOMAIN_HCI:
		return append_byte(m, "hci", res_code(e->res));
	case RES_DOMAIN_MGMT:
		return append_byte(m, "mgmt", res_code(e->res));
	case RES_DOMAIN_L2CAP:
	case RES_DOMAIN_SMP:
	case RES_DOMAIN_ERRNO:
		break;
	}
	return e->hci ? append_byte(m, "hci", e->hci) : 0;
}

int bus_error_append_entries(sd_bus_message *m, const struct bus_error *e)
{
	int r = append_origin(m, e);

	if (r >= 0 && e->handle)
		r = sd_bus_message_append(m, "{sv}", "handle", "q", e->handle);
	if (r >= 0 && e->limit)
		r = sd_bus_message_append(m, "{sv}", "limit", "u", e->limit);
	if (r >= 0)
		r = append_string(m, "key", e->key);
	if (r >= 0)
		r = append_string(m, "holder", e->holder);
	if (r >= 0)
		r = append_string(m, "what", e->what);
	return r;
}

int bus_error_append(sd_bus_message *m, const struct bus_error *e)
{
	int r = sd_bus_message_open_container(m, 'a', "{sv}");

	if (r >= 0)
		r = bus_error_append_entries(m, e);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

int bus_fail(sd_bus_message *m, const struct bus_error *e)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	char buf[BUS_ERROR_TEXT_MAX];
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r;

	error.name = bus_error_name(e);
	error.message = bus_error_text(e, buf);
	r = sd_bus_message_new_method_error(m, &reply, &error);
	if (r >= 0)
		r = bus_error_append(reply, e);
	if (r >= 0)
		r = sd_bus_send(NULL, reply, NULL);
	return r < 0 ? r : 1;
}

int bus_fail_res(sd_bus_message *m, int res)
{
	return bus_fail(m, &(struct bus_error){.res = res});
}
