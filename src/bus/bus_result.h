/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What went wrong, as clients hear it: a name below org.aioble.Error, a sentence, and details for programs. The same
 * struct serves error replies, Finished signals and the last record of a descriptor.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define BUS_ERROR_PREFIX   "org.aioble.Error."
#define BUS_ERROR_TEXT_MAX 256

/* Zeroed fields are details that are not given; result.h says what @res can be. */
struct bus_error {
	int res;
	const char *suffix; /* name, when @res alone does not tell it: "ConnectFailed" */
	const char *text;   /* sentence, when a better one than that of @res is known */
	const char *key;    /* the option or argument */
	const char *holder; /* who has it */
	const char *what;   /* the quota */
	uint32_t limit;
	uint16_t handle; /* the attribute an ATT error is about */
	uint8_t hci;     /* why the link went away */
};

/** bus_error_suffix() - the name below org.aioble.Error: "Timeout" */
const char *bus_error_suffix(const struct bus_error *e);

/** bus_error_name() - the whole name */
const char *bus_error_name(const struct bus_error *e);

/** bus_error_text() - a sentence for people. Return: @buf or e->text. */
const char *bus_error_text(const struct bus_error *e, char buf[BUS_ERROR_TEXT_MAX]);

/** bus_text_fit() - how many bytes of @s fit into @max without cutting a character: half of one the bus would not carry */
size_t bus_text_fit(const char *s, size_t max);

/** bus_error_append() - the details, an a{sv}. Return: < 0 when the message cannot take it. */
int bus_error_append(sd_bus_message *m, const struct bus_error *e);

/** bus_error_append_entries() - the same into an a{sv} that is open */
int bus_error_append_entries(sd_bus_message *m, const struct bus_error *e);

/**
 * bus_fail() - answer the call @m with @e
 *
 * Return: 1, what a method handler returns when it has answered; < 0 when even that was not possible.
 */
int bus_fail(sd_bus_message *m, const struct bus_error *e);

/** bus_fail_res() - the same for an error without details of its own */
int bus_fail_res(sd_bus_message *m, int res);
