/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One measuring program, three subjects behind one table of calls: raw kernel sockets (the floor), bluetoothd, aiobled.
 * Everything here blocks: it is a client, and one that measures.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VALUE_MAX 512

/* characteristics of the scripted peer's vendor service (tests/peers/README.md); the first counts commands and reads the
 * count as u32 */
#define UUID_COUNT "a10b0002-7c1d-4e2a-9f36-5b0e8d24c1f7"
#define UUID_FLOOD "a10b0004-7c1d-4e2a-9f36-5b0e8d24c1f7"

struct subject {
	const char *name;
	void (*open)(void);
	/* what must be there before connect() can be called; @fresh: nothing about the peer may be known. NULL: nothing */
	void (*prepare)(const char *address, bool fresh);
	/* a link to the peer; returns when it is up */
	void (*connect)(const char *address);
	/* until every characteristic of the peer could be used; Return: how many */
	int (*resolve)(void);
	/* use the characteristic of this UUID from now on */
	void (*choose)(const char *uuid);
	size_t (*read)(uint8_t value[VALUE_MAX]);
	/* the shortest way to the value of a characteristic on a link nothing was done on yet; ends with its value here */
	size_t (*read_uuid)(const char *uuid, uint8_t value[VALUE_MAX]);
	/* with response; does not wait for it, since what it sets off may come before */
	void (*write)(const uint8_t *value, size_t len);
	/* a descriptor each packet to which is a Write Command; the floor has no daemon to ask and builds the PDU itself */
	void (*open_write)(void);
	void (*command)(const uint8_t *value, size_t len);
	/* by_fd: through a descriptor instead of signals, where there is the choice; Return: there is */
	bool (*subscribe)(bool by_fd);
	/* next notified value; Return: its length, or -1 after timeout_ms */
	int (*next)(uint8_t value[VALUE_MAX], int timeout_ms);
	/* values the subject itself says it lost since subscribe() */
	uint64_t (*dropped)(void);
	void (*disconnect)(void);
	/* all reports, duplicates too; next_report returns how many arrived together, or -1 */
	void (*scan)(void);
	int (*next_report)(int timeout_ms);
};

extern const struct subject subject_floor, subject_bluez, subject_aiobled;

uint64_t now_us(void);

/* say why and end with status 1 */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* processor time of the processes named by BENCH_PID, else of this one */
double cpu_us(void);

/* print "name value" */
void say(const char *name, double value);

/* wait until @fd is ready for @events; Return: whether it is */
bool wait_fd(int fd, short events, int timeout_ms);

/**
 * measure_start() - start a daemon and wait for its bus name; it goes on running
 * @user: "root", or whom it runs as with CAP_NET_ADMIN and CAP_NET_RAW
 * @argv: program and arguments, ended by NULL
 *
 * Prints "start_ms" from fork to name, and "pid". Return: exit status.
 */
int measure_start(const char *user, const char *name, char **argv);
