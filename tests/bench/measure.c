/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
	(void)fprintf(stderr, "%s: ", program_invocation_short_name);
	(void)vfprintf(stderr, fmt, ap);
	(void)fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

bool wait_fd(int fd, short events, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, timeout_ms) > 0;
}

static double cpu_of(pid_t pid)
{
	clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
	struct timespec ts;

	if ((pid && clock_getcpuclockid(pid, &clock) != 0) || clock_gettime(clock, &ts) < 0)
		die("no processor time of %d", (int)pid);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

double cpu_us(void)
{
	const char *pid = getenv("BENCH_PID");
	double sum = 0;

	if (!pid)
		return cpu_of(0);
	for (; pid; pid = strchr(pid, ',')) {
		pid += *pid == ',';
		sum += cpu_of(atoi(pid));
	}
	return sum;
}

void say(const char *name, double value)
{
	(void)printf("%s %.3f\n", name, value);
}
