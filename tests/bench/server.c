/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench-server SUBJECT fd|bus COMMANDS: offers a service and does what a central asks for until it is killed. After COMMANDS
 * commands, or silence behind the first, it prints "name value" lines of them. A value begins with its number, and a time of
 * the clock that all processes share: rates count from the sending of the first to the arrival of the last.
 */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"

#define QUIET_MS 3000

static struct {
	int got;
	uint64_t first, last;
} commands;

/* count u16, length u16, interval in us u32: as the scripted peer's, but always as fast as it goes */
static void flood(const struct server *s, const uint8_t *order, size_t order_len)
{
	struct rd r = rd_init(order, order_len);
	uint8_t value[VALUE_MAX] = {0};
	uint16_t count = rd_le16(&r);
	size_t len = rd_le16(&r);

	if (!rd_ok(&r) || len < 12 || len > sizeof(value))
		die("a broken order");
	for (uint32_t i = 0; i < count; i++) {
		struct wr w = wr_init(value, sizeof(value));

		wr_le32(&w, i);
		wr_le64(&w, now_us());
		s->notify(value, len);
	}
}

static void take_command(const uint8_t *value, size_t len)
{
	struct rd r = rd_init(value, len);

	(void)rd_le32(&r);
	if (commands.got++ == 0)
		commands.first = rd_le64(&r);
	commands.last = now_us();
}

static void report(int wanted)
{
	double took = (double)(commands.last - commands.first);

	say("received_per_s", commands.got * 1e6 / took);
	say("lost", wanted - commands.got);
	(void)fflush(stdout);
	commands.got = 0;
}

static void serve(const struct server *s, int wanted)
{
	uint8_t value[VALUE_MAX];
	size_t len;

	for (;;) {
		enum heard heard = s->next(value, &len, QUIET_MS);

		if (heard == HEARD_ORDER)
			flood(s, value, len);
		if (heard == HEARD_COMMAND)
			take_command(value, len);
		if (commands.got && (heard == HEARD_NOTHING || commands.got == wanted))
			report(wanted);
	}
}

int main(int argc, char **argv)
{
	static const struct server *const servers[] = {&server_floor, &server_bluez,
	                                               &server_aiobled};

	for (size_t i = 0; argc == 4 && i < ARRAY_SIZE(servers); i++) {
		if (strcmp(servers[i]->name, argv[1]) != 0)
			continue;
		servers[i]->open(strcmp(argv[2], "fd") == 0);
		(void)puts("ready");
		(void)fflush(stdout);
		serve(servers[i], atoi(argv[3]));
	}
	(void)fputs("usage: bench-server floor|bluez|aiobled fd|bus COMMANDS\n", stderr);
	return 2;
}
