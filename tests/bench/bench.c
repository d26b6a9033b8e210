/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench-client SUBJECT ADDRESS MEASURE [NUMBER]: measures one thing and prints "name value" lines. BENCH_PID is the daemon
 * whose processor time is counted, or several with commas; without it that of this process is, for the floor has no daemon.
 * With "floor" as the central and bench-server as the peer it measures the peripheral side.
 */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "aiobled/bytes.h"
#include "aiobled/cleanup.h"

#define READS       60
#define LATENCIES   60
#define INTERVAL_US 5000 /* of the notifications whose latency is taken */
#define QUIET_MS    3000 /* after this long without anything, nothing more is coming */

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
	double cpu;

	s->connect(address);
	(void)s->resolve();
	s->choose(UUID_COUNT);
	(void)s->read(value);
	cpu = cpu_us();
	for (int i = 0; i < READS; i++) {
		begin = now_us();
		(void)s->read(value);
		took[i] = now_us() - begin;
	}
	say("read_cpu_us", (cpu_us() - cpu) / READS);
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

/* from the link to the value of one characteristic whose UUID is known */
static void measure_uuid(const struct subject *s, const char *address, _unused_ int number)
{
	uint8_t value[VALUE_MAX];
	uint64_t begin;

	s->connect(address);
	begin = now_us();
	if (s->read_uuid(UUID_COUNT, value) != 4)
		die("another value");
	say("uuid_ms", (double)(now_us() - begin) / 1000);
	s->disconnect();
}

static uint32_t count_of(const struct subject *s)
{
	uint8_t value[VALUE_MAX];
	struct rd r = rd_init(value, s->read(value));

	return rd_le32(&r);
}

/* Write Commands through a descriptor, until the peer has counted them all */
static void measure_command(const struct subject *s, const char *address, int count)
{
	static const uint8_t value[20] = {1};
	uint64_t begin, took;
	uint32_t before, got;
	double cpu;

	s->connect(address);
	(void)s->resolve();
	s->choose(UUID_COUNT);
	s->open_write();
	before = count_of(s);
	cpu = cpu_us();
	begin = now_us();
	for (int i = 0; i < count; i++)
		s->command(value, sizeof(value));
	do {
		got = count_of(s) - before;
		took = now_us() - begin;
	} while (got < (uint32_t)count && took < QUIET_MS * 1000);
	say("commands_per_s", got * 1e6 / (double)took);
	say("cpu_us", (cpu_us() - cpu) / count);
	say("lost", (double)count - got);
	s->disconnect();
}

/* Write Commands as fast as the link takes them; bench-server says what became of them. It is given time on the link. */
static void measure_push(const struct subject *s, const char *address, int count)
{
	uint8_t value[20] = {0}, ignored[VALUE_MAX];

	s->connect(address);
	(void)s->resolve();
	s->choose(UUID_COUNT);
	(void)s->read(ignored);
	for (int i = 0; i < count; i++) {
		struct wr w = wr_init(value, sizeof(value));

		wr_le32(&w, (uint32_t)i);
		wr_le64(&w, now_us());
		s->command(value, sizeof(value));
	}
	(void)s->next(ignored, 2 * QUIET_MS);
	s->disconnect();
}

/* ask the peer for values: 20 bytes, the time of sending behind their number */
static bool order(const struct subject *s, const char *address, int count, uint32_t interval_us,
                  bool by_fd, double *ret_cpu_us)
{
	uint8_t request[8];
	struct wr w = wr_init(request, sizeof(request));

	s->connect(address);
	(void)s->resolve();
	s->choose(UUID_FLOOD);
	if (!s->subscribe(by_fd))
		return false;
	wr_le16(&w, (uint16_t)count);
	wr_le16(&w, 20);
	wr_le32(&w, interval_us);
	*ret_cpu_us = cpu_us();
	s->write(request, wr_len(&w));
	return true;
}

static void flood(const struct subject *s, const char *address, int count, bool by_fd)
{
	uint64_t first = 0, last = 0;
	uint8_t value[VALUE_MAX];
	double cpu;
	int got = 0;

	if (!order(s, address, count, 0, by_fd, &cpu)) {
		s->disconnect();
		return;
	}
	while (got < count && s->next(value, QUIET_MS) >= 0) {
		last = now_us();
		if (got++ == 0)
			first = last;
	}
	say("delivered_per_s", got > 1 ? (got - 1) * 1e6 / (double)(last - first) : 0);
	say("cpu_us", got > 1 ? (cpu_us() - cpu) / got : 0);
	say("lost", count - got);
	say("said_lost", (double)s->dropped());
	s->disconnect();
}

/* the same of bench-server, whose values say when they were given away: from the first of these times to the last arrival */
static void measure_notified(const struct subject *s, const char *address, int count)
{
	uint64_t first = 0, last = 0;
	uint8_t value[VALUE_MAX];
	double cpu;
	int got = 0, len;

	(void)order(s, address, count, 0, true, &cpu);
	while (got < count && (len = s->next(value, QUIET_MS)) >= 0) {
		struct rd r = rd_init(value, (size_t)len);

		last = now_us();
		(void)rd_le32(&r);
		if (got++ == 0)
			first = rd_le64(&r);
	}
	say("delivered_per_s", got ? got * 1e6 / (double)(last - first) : 0);
	say("cpu_us", got ? (cpu_us() - cpu) / got : 0);
	say("lost", count - got);
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

/* from the peer's clock, which is ours, to the value in hand; nothing is in a hurry */
static void latency(const struct subject *s, const char *address, bool by_fd)
{
	uint64_t took[LATENCIES], now;
	uint8_t value[VALUE_MAX];
	int n = 0, len;
	double cpu;

	if (!order(s, address, LATENCIES, INTERVAL_US, by_fd, &cpu)) {
		s->disconnect();
		return;
	}
	while (n < LATENCIES && (len = s->next(value, QUIET_MS)) >= 0) {
		struct rd r = rd_init(value, (size_t)len);

		now = now_us();
		(void)rd_le32(&r);
		took[n++] = now - rd_le64(&r);
	}
	if (n < LATENCIES)
		die("%d of %d values", n, LATENCIES);
	qsort(took, LATENCIES, sizeof(took[0]), by_size);
	say("latency_us", (double)took[LATENCIES / 2]);
	say("latency_cpu_us", (cpu_us() - cpu) / LATENCIES);
	s->disconnect();
}

static void measure_latency_fd(const struct subject *s, const char *address, _unused_ int number)
{
	latency(s, address, true);
}

static void measure_latency_signal(const struct subject *s, const char *address,
                                   _unused_ int number)
{
	latency(s, address, false);
}

/* a first pass, in which every address is seen once, ends with silence */
static void warm_up(const struct subject *s)
{
	if (s->next_report(30000) < 0)
		die("no reports");
	while (s->next_report(QUIET_MS / 2) >= 0)
		;
	(void)puts("warm");
	(void)fflush(stdout);
}

/* reports until some quiet time has passed; the peer counts what it sends */
static void measure_scan(const struct subject *s, _unused_ const char *address, int count)
{
	uint64_t first = 0, last = 0;
	int got = 0, n;
	double cpu;

	s->scan();
	(void)puts("scanning");
	(void)fflush(stdout);
	warm_up(s);
	cpu = cpu_us();
	while (got < count && (n = s->next_report(QUIET_MS + (got ? 0 : 12000))) >= 0) {
		last = now_us();
		if (!got)
			first = last;
		got += n;
	}
	say("reports", got);
	say("cpu_us", got ? (cpu_us() - cpu) / got : 0);
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

int main(int argc, char **argv)
{
	static const struct subject *const subjects[] = {&subject_floor, &subject_bluez,
	                                                 &subject_aiobled};
	static const struct {
		const char *name;
		void (*run)(const struct subject *s, const char *address, int number);
		bool fresh;
	} measures[] = {
		{"read", measure_read, false},
		{"connect", measure_connect, true},
		{"reconnect", measure_connect, false},
		{"uuid", measure_uuid, true},
		{"command", measure_command, false},
		{"push", measure_push, false},
		{"notified", measure_notified, false},
		{"flood-fd", measure_flood_fd, false},
		{"flood-signal", measure_flood_signal, false},
		{"latency-fd", measure_latency_fd, false},
		{"latency-signal", measure_latency_signal, false},
		{"scan", measure_scan, false},
		{"hold", measure_hold, false},
	};

	if (argc >= 5 && strcmp(argv[1], "start") == 0)
		return measure_start(argv[2], argv[3], argv + 4);
	for (size_t i = 0; argc >= 4 && i < ARRAY_SIZE(subjects); i++) {
		if (strcmp(subjects[i]->name, argv[1]) != 0)
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(measures); j++) {
			if (strcmp(measures[j].name, argv[3]) != 0)
				continue;
			subjects[i]->open();
			if (subjects[i]->prepare && strcmp(argv[3], "scan") != 0)
				subjects[i]->prepare(argv[2], measures[j].fresh);
			measures[j].run(subjects[i], argv[2], argc > 4 ? atoi(argv[4]) : 0);
			return 0;
		}
	}
	(void)fputs("usage: bench-client floor|bluez|aiobled ADDRESS MEASURE [NUMBER]\n"
	            "       MEASURE: read connect reconnect uuid command push notified flood-fd "
	            "flood-signal latency-fd latency-signal scan hold\n"
	            "       bench-client start USER BUSNAME PROGRAM [ARGUMENT...]\n",
	            stderr);
	return 2;
}
