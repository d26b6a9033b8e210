/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of records. After a failure each batch is tried anew: a disk that was full may have room again.
 */
#include "recfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

static void on_flush(struct timer *t)
{
	recfile_flush(container_of(t, struct recfile, flush));
}

/* The file keeps what it had: nothing of @parts, or all. Return: 0 or -errno. */
static int write_whole(struct recfile *f, const struct iovec *parts, int n)
{
	int64_t want = 0;
	ssize_t got;

	for (int i = 0; i < n; i++)
		want += (int64_t)parts[i].iov_len;
	got = pwritev(f->fd, parts, n, f->end);
	if (got == want) {
		f->end += want;
		return 0;
	}
	got = got < 0 ? -errno : -ENOSPC;
	(void)!ftruncate(f->fd, f->end); /* what cannot be cut is overwritten by the next batch */
	return (int)got;
}

int recfile_open(struct recfile *f, struct loop *loop, const char *path, const void *head,
                 size_t len)
{
	struct iovec part = {.iov_base = (void *)head, .iov_len = len};
	int r;

	*f = (struct recfile){.fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)};
	if (f->fd < 0)
		return -errno;
	timer_init(&f->flush, loop, on_flush);
	f->path = strdup(path);
	f->buf = malloc(RECFILE_BUFFER);
	r = f->path && f->buf ? write_whole(f, &part, 1) : -ENOMEM;
	if (r < 0) {
		closep(&f->fd);
		free(steal(&f->path));
		free(steal(&f->buf));
	}
	return r;
}

void recfile_close(struct recfile *f)
{
	if (!f->path)
		return;
	recfile_flush(f);
	timer_stop(&f->flush);
	closep(&f->fd);
	free(steal(&f->path));
	free(steal(&f->buf));
}

static void written(struct recfile *f, int r, uint64_t records)
{
	if (r < 0)
		f->lost += records;
	else
		f->records += records;
	if (r < 0 && !f->failed)
		log_error(f->path, "cannot be written, records are lost: %s", strerror(-r));
	else if (r == 0 && f->failed)
		log_notice(f->path, "can be written again after %llu lost records",
		           (unsigned long long)f->lost);
	f->failed = r < 0;
}

void recfile_flush(struct recfile *f)
{
	struct iovec part = {.iov_base = f->buf, .iov_len = f->used};

	timer_stop(&f->flush);
	if (!f->used)
		return;
	written(f, write_whole(f, &part, 1), f->batch);
	f->used = 0;
	f->batch = 0;
}

static void write_past_buffer(struct recfile *f, const void *head, size_t head_len,
                              const void *body, size_t body_len)
{
	struct iovec parts[] = {
		{.iov_base = (void *)head, .iov_len = head_len},
		{.iov_base = (void *)body, .iov_len = body_len},
	};

	written(f, write_whole(f, parts, ARRAY_SIZE(parts)), 1);
}

void recfile_add(struct recfile *f, const void *head, size_t head_len, const void *body,
                 size_t body_len)
{
	if (f->used + head_len + body_len > RECFILE_BUFFER)
		recfile_flush(f);
	if (head_len + body_len > RECFILE_BUFFER) {
		write_past_buffer(f, head, head_len, body, body_len);
		return;
	}
	memcpy(f->buf + f->used, head, head_len);
	memcpy(f->buf + f->used + head_len, body, body_len);
	f->used += head_len + body_len;
	f->batch++;
	if (!timer_armed(&f->flush))
		timer_start_ms(&f->flush, RECFILE_FLUSH_MS);
}
