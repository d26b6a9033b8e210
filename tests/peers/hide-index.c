/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded into bluetoothd: hides the controllers listed in HIDE_INDEX ("0" or "0,2") from it, since it has no option to
 * leave one alone. Works on what it reads from the kernel's management channel: hidden indexes are taken out of the index
 * lists, and whatever concerns them becomes an event nobody knows. An error instead would end its reader.
 *
 * Relies on bluetoothd reading that socket with read(), one message a call.
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bluetooth/bluetooth.h>
#include <bluetooth/hci.h>

enum {
	HEADER = 6, /* event, index, length */
	EVENT_COMPLETE = 0x0001,
	EVENT_NOBODY_KNOWS = 0xfffe,
	READ_INDEX_LIST = 0x0003,
	READ_UNCONFIGURED_LIST = 0x0036,
	READ_EXTENDED_LIST = 0x003c,
	LIST_COUNT = HEADER + 3, /* behind opcode and status */
	LIST_ENTRIES = LIST_COUNT + 2,
};

static uint16_t get16(const uint8_t *p)
{
	return p[0] | p[1] << 8;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = v & 0xff;
	p[1] = v >> 8;
}

static bool hidden(uint16_t index)
{
	const char *at = getenv("HIDE_INDEX");

	while (at && *at) {
		char *end;

		if (strtoul(at, &end, 10) == index && end != at)
			return true;
		at = *end ? end + 1 : end;
	}
	return false;
}

/* The kernel does not tell the channel of a socket that is bound to no controller; bluetoothd reads from no other HCI socket. */
static bool is_mgmt(int fd)
{
	int domain = 0, protocol = -1;
	socklen_t len = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 || domain != AF_BLUETOOTH)
		return false;
	len = sizeof(protocol);
	return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 &&
	       protocol == BTPROTO_HCI;
}

/* Entries begin with the index; the rest moves up. Returns the new length of the message. */
static size_t filter_list(uint8_t *msg, size_t len, size_t entry)
{
	uint8_t *out = msg + LIST_ENTRIES;
	uint16_t count = len < LIST_ENTRIES ? 0 : get16(msg + LIST_COUNT), kept = 0;

	for (uint8_t *in = out; count-- && in + entry <= msg + len; in += entry) {
		if (hidden(get16(in)))
			continue;
		memmove(out, in, entry);
		out += entry;
		kept++;
	}
	if (len < LIST_ENTRIES)
		return len;
	put16(msg + LIST_COUNT, kept);
	put16(msg + 4, out - msg - HEADER);
	return out - msg;
}

static size_t filter(uint8_t *msg, size_t len)
{
	if (len < HEADER)
		return len;
	if (hidden(get16(msg + 2))) {
		put16(msg, EVENT_NOBODY_KNOWS);
		put16(msg + 2, HCI_DEV_NONE);
		put16(msg + 4, 0);
		return HEADER;
	}
	if (get16(msg) != EVENT_COMPLETE || len < HEADER + 3)
		return len;
	switch (get16(msg + HEADER)) {
	case READ_INDEX_LIST:
	case READ_UNCONFIGURED_LIST:
		return filter_list(msg, len, 2);
	case READ_EXTENDED_LIST:
		return filter_list(msg, len, 4);
	default:
		return len;
	}
}

ssize_t read(int fd, void *buf, size_t size)
{
	static ssize_t (*next)(int, void *, size_t);
	ssize_t n;

	if (!next)
		next = (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
	n = next(fd, buf, size);
	return n > 0 && is_mgmt(fd) ? (ssize_t)filter(buf, n) : n;
}
