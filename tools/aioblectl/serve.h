/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aioblectl serve, running: what its parts share. What is registered lives in the daemon and goes with our connection to
 * the bus; here is what it takes to do it again, and that is kept up to date: the values in serve.file are the newest.
 */
#pragma once

#include "attr.h"
#include "ctl.h"
#include "serve-file.h"

#define SERVE_PEERS_MAX  64  /* links, those that were included; controllers carry fewer at once */
#define SERVE_EVENTS_MAX 256 /* that wait for the address of a peer */

/* One value of the file, at the same place as its attribute in serve.db; services have none. */
struct served {
	struct serve_attr *def; /* NULL: a service */
	const char *id;         /* in the file; NULL: none */
	char *label;            /* what events and standard input call it */
};

/* A link to a central */
struct serve_peer {
	struct serve *s;
	char *path, *address, *type;
	bool known; /* the address, or that there is none to be had */
	bool gone;  /* stays in the table as long as there is room: events may come late */
	sd_bus_slot *asking;
	unsigned int events; /* that name it and wait */
};

struct serve_event {
	struct serve_event *next;
	const char *kind;
	struct serve_peer *peer; /* NULL: none, or over */
	const struct served *value;
	const struct attr *attr;
	uint64_t time_us;
	struct text bytes, words;
	json_object *more;
};

struct serve_input;

struct serve {
	struct ctl *c;
	const char *name; /* of the file */
	bool check, retry;
	struct serve_file file;
	struct attr_db db; /* the file's; paths and handles once they are registered */
	struct served *served;
	int64_t realtime_offset_us;

	char *adapter, *address, *app, *advertiser; /* NULL: not there */
	bool lost;                                  /* what is registered went, without our doing */
	bool daemon_gone, daemon_came;
	bool registering; /* with the values there were when that began: new ones wait */
	bool advertise_again;

	struct serve_peer *peers[SERVE_PEERS_MAX];
	struct serve_event *events, **events_end;
	size_t event_count;
	uint64_t dropped;
	struct serve_input *input;
};

/* ---- serve-call.c: registering ---- */

/** serve_table() - db and served from the file */
void serve_table(struct serve *s);
void serve_table_free(struct serve *s);

/** serve_find() - the index in db of an object path, or -1 */
long serve_find(const struct serve *s, const char *path);

/** serve_configure(), serve_register(), serve_advertise() - one call each. Return: 0 or an exit code. */
int serve_configure(struct serve *s);
int serve_register(struct serve *s);
int serve_advertise(struct serve *s);

/** serve_withdraw() - take it all back, unless that takes long */
void serve_withdraw(struct serve *s);

/* ---- serve-events.c: what peers do ---- */

/** serve_listen() - match the signals, before anything is registered. Return: 0 or an exit code. */
int serve_listen(struct serve *s);

/** serve_tell() - an event of ours, without a peer. @words may be NULL. */
void serve_tell(struct serve *s, const char *kind, const char *words);

/** serve_lost() - what is registered went: ends, or makes serve() try again */
void serve_lost(struct serve *s, int code, const char *name, const char *fmt, ...) _printf_(4, 5);

/** serve_peers_free() - tell what waits, and forget all peers */
void serve_peers_free(struct serve *s);

/* ---- serve-input.c: values from standard input ---- */

int serve_input_new(struct serve *s, struct serve_input **ret);
struct serve_input *serve_input_free(struct serve_input *in);

/** serve_input_update() - after s->registering has changed; @in may be NULL */
void serve_input_update(struct serve_input *in);

/** serve_set_value() - remember a value for the next time it is registered */
void serve_set_value(struct serve_attr *def, const void *data, size_t len);
