/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A file of records that is whole at any time: records are written in batches of whole ones, at least every RECFILE_FLUSH_MS,
 * and a batch that could not be written completely (disk full) is cut off again. So a reader never meets half a record,
 * even when the program is killed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "aiobled/loop.h"

#define RECFILE_FLUSH_MS 100
#define RECFILE_BUFFER   16384

struct recfile {
	char *path;
	int fd;
	bool failed; /* the last write did not succeed; reported when this becomes true */
	int64_t end; /* of the last record that is in the file */
	struct timer flush;
	uint8_t *buf;
	size_t used;
	uint64_t batch; /* records in the buffer */
	uint64_t records, lost;
};

/**
 * recfile_open() - a new file at @path, an old one is emptied
 * @head: what the file begins with; written at once
 *
 * Return: 0 or -errno of creating or writing it; then there is nothing to close.
 */
int recfile_open(struct recfile *f, struct loop *loop, const char *path, const void *head,
                 size_t len);

/** recfile_close() - safe on a zeroed one */
void recfile_close(struct recfile *f);

/** recfile_add() - one record, made of two parts; what cannot be written is counted, the first failure reported */
void recfile_add(struct recfile *f, const void *head, size_t head_len, const void *body,
                 size_t body_len);

/** recfile_flush() - now, instead of soon */
void recfile_flush(struct recfile *f);
