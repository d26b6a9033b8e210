/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench-client SUBJECT ADDRESS MEASURE [NUMBER]: measures one thing and prints "name value" lines.
 */
#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"

#define READS 60

uint64_t now_us(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)fputs("bench-client: ", stderr);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

bool wait_fd(int fd, short events, int timeout_ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	return poll(&p, 1, timeout_ms) > 0;
}

static void say(const char *name, double value)
{
	(void)printf("%s %.3f\n", name, value);
}

static int by_size(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* time of each of some reads, one outstanding */
static void measure_read(const struct subject *s, const char *address, _unused_ int number)
{
	uint64_t took[READS], begin;
	uint8_t value[VALUE_MAX];

	s->connect(address);
	(void)s->resolve();
	s->choose(UUID_READ);
	(void)s->read(value);
	for (int i = 0; i < READS; i++) {
		begin = now_us();
		(void)s->read(value);
		took[i] = now_us() - begin;
	}
	qsort(took, READS, sizeof(took[0]), by_size);
	say("read_us", (double)took[READS / 2]);
	s->disconnect();
}

/* from the call to the link, and from the link to the last characteristic */
static void measure_connect(const struct subject *s, const char *address, int characteristics)
{
	uint64_t begin = now_us(), up, usable;
	int n;

	s->connect(address);
	up = now_us();
	n = s->resolve();
	usable = now_us();
	if (n < characteristics)
		die("%d characteristics instead of %d", n, characteristics);
	say("link_up_ms", (double)(up - begin) / 1000);
	say("usable_ms", (double)(usable - up) / 1000);
	begin = now_us();
	s->disconnect();
	say("disconnect_ms", (double)(now_us() - begin) / 1000);
}

static void flood(const struct subject *s, const char *address, int count, bool by_fd)
{
	uint8_t request[8], value[VALUE_MAX];
	struct wr w = wr_init(request, sizeof(request));
	uint64_t first = 0, last = 0;
	int got = 0;

	s->connect(address);
	(void)s->resolve();
	s->choose(UUID_FLOOD);
	if (!s->subscribe(by_fd)) {
		s->disconnect();
		return;
	}
	wr_le16(&w, (uint16_t)count);
	wr_le16(&w, 20);
	wr_le32(&w, 0);
	s->write(request, wr_len(&w));
	while (got < count && s->next(value, 3000) >= 0) {
		last = now_us();
		if (got++ == 0)
			first = last;
	}
	say("delivered_per_s", got > 1 ? (got - 1) * 1e6 / (double)(last - first) : 0);
	say("lost", count - got);
	say("said_lost", (double)s->dropped());
	s->disconnect();
}

static void measure_flood_fd(const struct subject *s, const char *address, int count)
{
	flood(s, address, count, true);
}

static void measure_flood_signal(const struct subject *s, const char *address, int count)
{
	flood(s, address, count, false);
}

/* reports until three quiet seconds have passed; the peer counts what it sends */
static void measure_scan(const struct subject *s, _unused_ const char *address, int count)
{
	uint64_t first = 0, last = 0;
	int got = 0, n;

	s->scan();
	(void)puts("scanning");
	(void)fflush(stdout);
	while (got < count && (n = s->next_report(3000 + (got ? 0 : 12000))) >= 0) {
		last = now_us();
		if (!got)
			first = last;
		got += n;
	}
	say("reports", got);
	say("reports_per_s", got > 1 ? (got - 1) * 1e6 / (double)(last - first) : 0);
}

/* keep a link to a resolved peer until standard input ends: for somebody who looks at the daemon's memory */
static void measure_hold(const struct subject *s, const char *address, _unused_ int number)
{
	char c;

	s->connect(address);
	(void)s->resolve();
	(void)puts("holding");
	(void)fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
	s->disconnect();
}

/* start NAME PROGRAM ARGUMENT...: from exec to the bus name; leaves the program running and prints its process */
static int measure_start(char **argv)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(freep) char *match = NULL;
	uint64_t begin;
	pid_t pid;

	if (sd_bus_open_system(&bus) < 0)
		die("no system bus");
	if (asprintf(&match, "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'", argv[0]) < 0)
		die("no memory");
	if (sd_bus_add_match(bus, NULL, match, NULL, NULL) < 0)
		die("no match");
	begin = now_us();
	pid = fork();
	if (pid == 0) {
		(void)execv(argv[1], argv + 1);
		_exit(127);
	}
	for (;;) {
		_cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
		int r = sd_bus_process(bus, &m);

		if (r > 0 && m && sd_bus_message_is_signal(m, "org.freedesktop.DBus", "NameOwnerChanged"))
			break;
		if (r == 0 && sd_bus_wait(bus, 10000000) <= 0)
			die("%s never took the name %s", argv[1], argv[0]);
	}
	say("start_ms", (double)(now_us() - begin) / 1000);
	(void)printf("pid %d\n", (int)pid);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct subject *const subjects[] = { &subject_floor, &subject_bluez, &subject_aiobled };
	static const struct {
		const char *name;
		void (*run)(const struct subject *s, const char *address, int number);
	} measures[] = {
		{ "read", measure_read },	  { "connect", measure_connect },
		{ "flood-fd", measure_flood_fd }, { "flood-signal", measure_flood_signal },
		{ "scan", measure_scan },	  { "hold", measure_hold },
	};

	if (argc >= 4 && strcmp(argv[1], "start") == 0)
		return measure_start(argv + 2);
	for (size_t i = 0; argc >= 4 && i < ARRAY_SIZE(subjects); i++) {
		if (strcmp(subjects[i]->name, argv[1]) != 0)
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(measures); j++) {
			if (strcmp(measures[j].name, argv[3]) != 0)
				continue;
			subjects[i]->open();
			if (subjects[i]->prepare && strcmp(argv[3], "scan") != 0)
				subjects[i]->prepare(argv[2]);
			measures[j].run(subjects[i], argv[2], argc > 4 ? atoi(argv[4]) : 0);
			return 0;
		}
	}
	(void)fputs("usage: bench-client floor|bluez|aiobled ADDRESS read|connect|flood-fd|flood-signal|scan|hold [NUMBER]\n"
		    "       bench-client start BUSNAME PROGRAM [ARGUMENT...]\n",
		    stderr);
	return 2;
}
