/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The folder of captures. */
#include "capture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "aiobled/cleanup.h"

struct capture {
	char *dir;
	struct snoop *snoop;
	struct pcap *pcap;
};

DEFINE_CLEANUP(struct capture *, capture_free);

int64_t capture_epoch_us(struct air *air)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail */
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000 - (int64_t)air_now_us(air);
}

static int open_air(struct capture *c, struct air *air, int64_t epoch_us)
{
	_cleanup_(freep) char *path = NULL;

	if (asprintf(&path, "%s/air.pcap", c->dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return pcap_new(air, path, epoch_us, &c->pcap);
}

int capture_new(struct air *air, const char *dir, int64_t epoch_us, struct capture **ret)
{
	_cleanup_(capture_freep) struct capture *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	c->dir = strdup(dir);
	if (!c->dir)
		return -ENOMEM;
	r = open_air(c, air, epoch_us);
	if (r == 0)
		r = snoop_new(air, dir, epoch_us, &c->snoop);
	if (r == 0)
		*ret = steal(&c);
	return r;
}

struct capture *capture_free(struct capture *c)
{
	if (!c)
		return NULL;
	c->snoop = snoop_free(c->snoop);
	c->pcap = pcap_free(c->pcap);
	free(c->dir);
	free(c);
	return NULL;
}

const char *capture_dir(const struct capture *c)
{
	return c->dir;
}

struct capture_stats capture_stats(const struct capture *c)
{
	struct capture_stats stats = {0};

	snoop_count(c->snoop, &stats);
	pcap_count(c->pcap, &stats);
	return stats;
}

void capture_flush(struct capture *c)
{
	snoop_flush(c->snoop);
	pcap_flush(c->pcap);
}
