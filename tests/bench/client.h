/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the two subjects behind D-Bus share: one connection, calls that must succeed, a queue of notified values.
 */
#pragma once

#include <systemd/sd-bus.h>

#include "aiobled/cleanup.h"
#include "bench.h"

#define CALL_TIMEOUT_US 60000000

extern sd_bus *bus;

void bus_open_system(void);

/* call and take the reply; ends the program on an error. @types may be NULL. Unref the reply. */
sd_bus_message *must_call(const char *service, const char *path, const char *interface,
                          const char *member, const char *types, ...);

/* one step of the connection: handlers run; Return: false when nothing came in @timeout_ms */
bool bus_step(int timeout_ms);

/* values that signal handlers have put aside */
void values_put(const void *value, size_t len);
int values_take(uint8_t value[VALUE_MAX]); /* length, or -1 */
