/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The adapters of this machine: follows the kernel's mgmt events and keeps one struct adapter for every controller the
 * configuration allows.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "aiobled/cleanup.h"
#include "aiobled/kernel.h"
#include "aiobled/list.h"
#include "aiobled/loop.h"

struct adapter;
struct manager;

struct manager_config {
	const char *const *adapters; /* NULL-terminated allow-list of "hciN" or addresses; NULL: every adapter. Borrowed. */
	uint32_t links_max;          /* links per adapter; 0: what the controller takes */
	const char *device_name;     /* of the GAP service; NULL: none. Borrowed. */
	uint16_t appearance;
	bool held;                   /* adapters are only looked at until manager_begin() */
};

struct manager_events {
	/* the adapter's address is known; bring-up may still be going on */
	void (*adapter_added)(struct adapter *adapter, void *data);
	/* unplugged or lost: its links, attempts and scanners have been ended and told before; freed after this call */
	void (*adapter_removed)(struct adapter *adapter, void *data);
	/* once, before settled(): every adapter that was there at the start has been told with adapter_added(); not from the loop */
	void (*identified)(void *data);
	/* once: every adapter that was there at the start is ready, off, blocked or failed (no adapters: at once) */
	void (*settled)(void *data);
	/* the mgmt socket broke, or the kernel is too old: nothing works any more; manager_reason() */
	void (*failed)(int err, void *data);
};

/**
 * manager_new() - open mgmt and start following
 * @kernel, @config, @events: borrowed
 *
 * Return: 0; -EPROTONOSUPPORT or -EAFNOSUPPORT (no Bluetooth in this kernel), -EPERM, -EACCES, -ENOMEM. Adapters follow as events.
 */
int manager_new(struct loop *loop, const struct kernel *kernel, const struct manager_config *config,
		const struct manager_events *events, void *data, struct manager **ret);

/**
 * manager_begin() - whose start was held: bring the adapters up
 *
 * For a program that must first be sure to be the only one of its kind. identified() is told before, settled() after.
 */
void manager_begin(struct manager *manager);

/** manager_reason() - why manager_events.failed() was told, a sentence; "" before */
const char *manager_reason(const struct manager *manager);

/** manager_free() - drop everything at once: scans, links and attempts end with the sockets */
struct manager *manager_free(struct manager *manager);
DEFINE_CLEANUP(struct manager *, manager_free)

#define MANAGER_STOP_MS 5000

/**
 * manager_stop() - leave the controllers clean: scans off, attempts canceled, links disconnected
 * @done: once, later, at latest after MANAGER_STOP_MS; then manager_free()
 *
 * A controller that was off when we met it is turned off again; one that was on stays on. The other settings stay ours
 * (LE only): whoever manages the controller next sets its own.
 */
void manager_stop(struct manager *manager, void (*done)(void *data), void *data);

/** manager_adapters() - list of struct adapter, for adapter_from_link(), sorted by index */
struct list *manager_adapters(struct manager *manager);

/** manager_find() - "hciN", an address, or "" (the first that is ready, else the first). Return: adapter or NULL. */
struct adapter *manager_find(struct manager *manager, const char *name);

/** manager_set_conflict() - another manager was seen (@who: a sentence) or is gone (NULL); told to every adapter */
void manager_set_conflict(struct manager *manager, const char *who);
