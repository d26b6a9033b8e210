/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration of the daemon: aiobled.conf and its drop-ins, as aiobled.conf(5) describes them.
 *
 * A mistake never stops the daemon: what is wrong is named with file and line, and the default or the earlier value stays.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#define CONFIG_ADAPTERS_MAX    32
#define CONFIG_DEVICE_NAME_MAX 248 /* bytes, Core 5.4, Vol 3, Part C, 12.1 */

struct config {
	char *adapters[CONFIG_ADAPTERS_MAX + 1]; /* "hciN" or addresses, NULL-terminated; none: every adapter */
	size_t n_adapters;
	enum log_level log_level;
	char device_name[CONFIG_DEVICE_NAME_MAX + 1]; /* "": the host's */
	uint32_t appearance;
	uint32_t linger_ms;
	uint32_t links_per_adapter; /* 0: what the controller takes */
	uint32_t calls, scanners, advertisers, connections, subscriptions, streams, applications; /* per client */
};

void config_init(struct config *config); /* the defaults */
void config_deinit(struct config *config);

/* Told of each mistake: @file:@line (line 0: the file as a whole). */
typedef void (*config_complain)(const char *file, int line, const char *text, void *data);

/**
 * config_load() - read one file and the *.conf of its drop-in folders, over what @config holds
 * @file:    the main file; one that does not exist is no mistake
 * @dropins: NULL-terminated folders, most important first: a name in an earlier one hides it in the later ones; what is
 *           left is read in the order of the names
 *
 * Return: 0, or the number of mistakes told; -ENOMEM.
 */
int config_load(struct config *config, const char *file, const char *const *dropins, config_complain complain, void *data);

/** config_print() - write all settings in the syntax of the file */
void config_print(const struct config *config, FILE *to);
