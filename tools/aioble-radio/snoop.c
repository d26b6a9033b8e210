/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One btsnoop file (version 1, as btmon and Wireshark read it) for each name a controller ever had.
 */
#include "capture.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aiobled/cleanup.h"
#include "aiobled/log.h"

#include "controller.h"
#include "recfile.h"

#define SNOOP_H4       1002
#define SNOOP_TO_HOST  1                           /* flag: the controller sent it */
#define SNOOP_CONTROL  2                           /* flag: command or event */
#define SNOOP_EPOCH_US INT64_C(0x00dcddb30f2f8000) /* midnight of year 0 to 1970 */

struct snoop_head {
	char magic[8];
	uint32_t version, datalink; /* big endian, as all that follows */
};

struct snoop_record {
	uint32_t original, included, flags, drops;
	uint32_t time_us[2];
};

struct snoop_file {
	struct list link;
	char name[AIR_RADIO_NAME_MAX];
	struct controller *ctl; /* NULL while unplugged */
	struct recfile file;
};

struct snoop {
	struct air *air;
	char *dir;
	int64_t epoch_us;
	struct ctl_watch watch;
	struct list files;
	size_t n_files;
	uint64_t unrecorded;
};

static struct snoop_file *file_of(struct snoop *s, const struct controller *ctl)
{
	struct snoop_file *f;

	list_for_each (f, &s->files, link) {
		if (f->ctl == ctl)
			return f;
	}
	return NULL;
}

static void on_packet(struct ctl_watch *w, struct controller *ctl, bool to_host, const uint8_t *pkt,
                      size_t len)
{
	struct snoop *s = container_of(w, struct snoop, watch);
	struct snoop_file *f = file_of(s, ctl);
	uint64_t time = (uint64_t)(SNOOP_EPOCH_US + s->epoch_us) + air_now_us(s->air);
	bool control = len && (pkt[0] == HCIP_PKT_COMMAND || pkt[0] == HCIP_PKT_EVENT);
	struct snoop_record head = {
		.original = htobe32((uint32_t)len),
		.included = htobe32((uint32_t)len),
		.flags = htobe32((to_host ? SNOOP_TO_HOST : 0) | (control ? SNOOP_CONTROL : 0)),
		.time_us = {htobe32((uint32_t)(time >> 32)), htobe32((uint32_t)time)},
	};

	if (f)
		recfile_add(&f->file, &head, sizeof(head), pkt, len);
}

/* A name is a file name but for slashes and a dot in front. */
static char *file_path(const char *dir, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s.btsnoop", dir, name) < 0)
		return NULL;
	for (char *p = path + strlen(dir) + 1; *p; p++) {
		if (*p == '/' || (*p == '.' && p[-1] == '/'))
			*p = '_';
	}
	return path;
}

static int file_open(struct snoop *s, const char *name, struct snoop_file **ret)
{
	const struct snoop_head head = {"btsnoop", htobe32(1), htobe32(SNOOP_H4)};
	_cleanup_(freep) char *path = file_path(s->dir, name);
	_cleanup_(freep) struct snoop_file *f = calloc(1, sizeof(*f));
	int r;

	if (!f || !path)
		return -ENOMEM;
	if (s->n_files == SNOOP_FILES_MAX)
		return -ENFILE;
	r = recfile_open(&f->file, air_loop(s->air), path, &head, sizeof(head));
	if (r < 0)
		return r;
	(void)snprintf(f->name, sizeof(f->name), "%s", name); /* has the same size */
	list_init(&f->link);
	list_add_tail(&s->files, &f->link);
	s->n_files++;
	*ret = steal(&f);
	return 0;
}

static void on_added(struct ctl_watch *w, struct controller *ctl)
{
	struct snoop *s = container_of(w, struct snoop, watch);
	struct snoop_file *f;
	int r;

	list_for_each (f, &s->files, link) {
		if (!f->ctl && strcmp(f->name, ctl->radio.name) == 0) {
			f->ctl = ctl;
			return;
		}
	}
	r = file_open(s, ctl->radio.name, &f);
	if (r == 0)
		f->ctl = ctl;
	else if (!s->unrecorded++)
		log_error(ctl->radio.name, "is not recorded in %s: %s", s->dir, strerror(-r));
}

static void on_removed(struct ctl_watch *w, struct controller *ctl)
{
	struct snoop_file *f = file_of(container_of(w, struct snoop, watch), ctl);

	if (!f)
		return;
	f->ctl = NULL;
	recfile_flush(&f->file);
}

int snoop_new(struct air *air, const char *dir, int64_t epoch_us, struct snoop **ret)
{
	struct snoop *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	*s = (struct snoop){
		.air = air,
		.dir = strdup(dir),
		.epoch_us = epoch_us,
		.watch = {.packet = on_packet, .added = on_added, .removed = on_removed},
	};
	if (!s->dir) {
		free(s);
		return -ENOMEM;
	}
	list_init(&s->files);
	controller_watch(air, &s->watch);
	*ret = s;
	return 0;
}

struct snoop *snoop_free(struct snoop *s)
{
	struct snoop_file *f, *tmp;

	if (!s)
		return NULL;
	controller_unwatch(&s->watch);
	list_for_each_safe (f, tmp, &s->files, link) {
		recfile_close(&f->file);
		list_del(&f->link);
		free(f);
	}
	free(s->dir);
	free(s);
	return NULL;
}

void snoop_count(const struct snoop *s, struct capture_stats *stats)
{
	struct snoop_file *f;

	stats->files += s->n_files;
	stats->unrecorded += s->unrecorded;
	list_for_each (f, &s->files, link) {
		stats->records += f->file.records + f->file.batch;
		stats->lost += f->file.lost;
	}
}

void snoop_flush(struct snoop *s)
{
	struct snoop_file *f;

	list_for_each (f, &s->files, link)
		recfile_flush(&f->file);
}
