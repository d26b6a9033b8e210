/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All that commands act upon, whether they come by a control socket or from a scenario file: the air and its controllers,
 * scripted advertisers, faults, walks, captures. And those who want to be told what happens.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <json-c/json.h>

#include "air.h"

struct capture;
struct faults;
struct replugs;
struct script;
struct walks;
struct world;

/* What can be subscribed to; bits are 1 << kind. */
enum scene_event {
	SCENE_CONTROLLERS, /* plugged in, unplugged */
	SCENE_LINKS,       /* as the hosts are told: up, updated, encrypted, down */
	SCENE_ADVERTS,     /* every advertising PDU */
	SCENE_FAULTS,      /* one struck */
	SCENE_SCENARIO,    /* a command of the file ran, the last one did */
	SCENE_EVENTS,
};

extern const char *const scene_event_names[SCENE_EVENTS + 1]; /* NULL at the end */

struct scene_listener {
	struct list link;
	unsigned int wants;                                          /* bits of enum scene_event */
	void (*event)(struct scene_listener *l, json_object *event); /* @event is borrowed */
};

struct scene {
	struct air *air;
	struct world *world; /* NULL in tests: nothing can be plugged in */
	uint64_t seed;
	struct script *script;
	struct faults *faults;
	struct walks *walks;
	struct replugs *replugs;
	struct capture *capture; /* NULL: none */
	struct list listeners;
	struct scene_watch *watch;         /* scene.c */
	void (*quit)(struct scene *scene); /* what the command "quit" does; NULL: it is refused */
	void *data;                        /* of the owner of quit() */
};

/** scene_new() - @world may be NULL */
int scene_new(struct air *air, struct world *world, uint64_t seed, struct scene **ret);

/** scene_free() - listeners have gone before; @air and @world stay. Takes NULL; returns NULL. */
struct scene *scene_free(struct scene *scene);

void scene_listen(struct scene *scene, struct scene_listener *l);
void scene_unlisten(struct scene_listener *l);

/** scene_wants() - is anybody interested? Asked before an event is made. */
bool scene_wants(const struct scene *scene, enum scene_event kind);

/** scene_event_new() - {"event": NAME of @kind, "what": @what, "at_ms": now}; NULL when there is no memory */
json_object *scene_event_new(struct scene *scene, enum scene_event kind, const char *what);

/** scene_tell() - to all that want it; @event is taken, NULL is told to nobody */
void scene_tell(struct scene *scene, enum scene_event kind, json_object *event);
