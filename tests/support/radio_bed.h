/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scene on a virtual clock: controllers whose packets are kept, radios that listen all the time, commands as text.
 */
#pragma once

#include "command.h"
#include "controller.h"

#define BED_PACKETS_MAX 64
#define BED_HEARD_MAX   4096

struct bed_host {
	struct controller *ctl;
	uint8_t packets[BED_PACKETS_MAX][64]; /* to the host; longer ones are cut */
	size_t lens[BED_PACKETS_MAX], n;
};

struct bed_heard {
	uint64_t start_us;
	const struct radio *from;
	uint8_t channel;
	int8_t rssi_dbm;
	uint8_t data[PDU_MAX];
	size_t len;
};

/* A receiver on one channel that hears everything. */
struct bed_ear {
	struct radio radio;
	struct air_listener listener;
	uint8_t channel;
	struct bed_heard heard[BED_HEARD_MAX];
	size_t n, missed; /* missed: no room */
};

struct radio_bed {
	struct loop *loop;
	struct air *air;
	struct scene *scene;
};

void bed_setup(struct radio_bed *b);
void bed_teardown(struct radio_bed *b);

void bed_host_new(struct radio_bed *b, const char *name, struct bed_host *h);
void bed_host_free(struct bed_host *h);

void bed_ear_new(struct radio_bed *b, const char *name, uint8_t channel, struct bed_ear *ear);
void bed_ear_free(struct bed_ear *ear);

/** bed_do() - a command that must succeed; its answer, valid until the next one */
json_object *bed_do(struct radio_bed *b, const char *text);

/** bed_refused() - a command that must fail, with @where as the key */
const char *bed_refused(struct radio_bed *b, const char *text, const char *where);

/** bed_parse() - JSON that may be written with ' for " */
json_object *bed_parse(const char *text);

/** bed_pass() - a PDU of @len bytes from one radio to another. Return: what of it arrived, or 0. */
size_t bed_pass(struct radio_bed *b, struct radio *from, struct radio *to, uint32_t access_addr,
                uint8_t channel, const void *pdu, size_t len, struct air_pdu *ret);
