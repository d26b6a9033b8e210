/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading aiobled.conf. The syntax is libinih's; what a key means stands in one table, so that
 * reading, printing and the man page cannot drift apart unnoticed (a test compares them).
 */
#include "aiobled/config.h"

#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DROPINS_MAX 256

enum key_kind { KEY_NUMBER, KEY_SECONDS, KEY_LEVEL, KEY_ADAPTERS, KEY_NAME };

struct key {
	const char *section, *name;
	enum key_kind kind;
	size_t offset;
	uint32_t min, max;
};

#define NUMBER(section, name, field, min, max)                                                     \
	{                                                                                          \
		section, name, KEY_NUMBER, offsetof(struct config, field), min, max                \
	}

static const struct key keys[] = {
	{"General", "Adapters", KEY_ADAPTERS, 0, 0, 0},
	{"General", "LogLevel", KEY_LEVEL, offsetof(struct config, log_level), 0, 0},
	{"General", "LingerSec", KEY_SECONDS, offsetof(struct config, linger_ms), 1, 86400},
	{"General", "DeviceName", KEY_NAME, offsetof(struct config, device_name), 0, 0},
	NUMBER("General", "Appearance", appearance, 0, 65535),
	NUMBER("Limits", "LinksPerAdapter", links_per_adapter, 0, 255),
	NUMBER("Limits", "CallsPerClient", calls, 1, 120),
	NUMBER("Limits", "ScannersPerClient", scanners, 1, 64),
	NUMBER("Limits", "AdvertisersPerClient", advertisers, 1, 32),
	NUMBER("Limits", "ConnectionsPerClient", connections, 1, 255),
	NUMBER("Limits", "SubscriptionsPerClient", subscriptions, 1, 4096),
	NUMBER("Limits", "StreamsPerClient", streams, 1, 64),
	NUMBER("Limits", "ApplicationsPerClient", applications, 1, 64),
};

void config_init(struct config *config)
{
	*config = (struct config){
		.log_level = LOG_LEVEL_INFO,
		.linger_ms = 30000,
		.calls = 64,
		.scanners = 8,
		.advertisers = 8,
		.connections = 32,
		.subscriptions = 256,
		.streams = 32,
		.applications = 8,
	};
}

static void config_clear_adapters(struct config *config)
{
	for (size_t i = 0; i < config->n_adapters; i++)
		free(config->adapters[i]);
	config->n_adapters = 0;
	config->adapters[0] = NULL;
}

void config_deinit(struct config *config)
{
	config_clear_adapters(config);
}

/* --- one file --- */

struct reading {
	struct config *config;
	FILE *file;
	const char *path;
	int line;
	int mistakes;
	config_complain complain;
	void *data;
};

static void _printf_(2, 3) mistake(struct reading *rd, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap); /* a longer complaint is cut */
	va_end(ap);
	rd->mistakes++;
	if (rd->complain)
		rd->complain(rd->path, rd->line, text, rd->data);
}

static void *field(struct config *config, const struct key *key)
{
	return (char *)config + key->offset;
}

static void set_number(struct reading *rd, const struct key *key, const char *value)
{
	uint32_t scale = key->kind == KEY_SECONDS ? 1000 : 1;
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(value, &end, 10);
	if (*value < '0' || *value > '9' || *end || errno || n < key->min || n > key->max) {
		mistake(rd, "%s=%s is not a number from %u to %u", key->name, value, key->min,
		        key->max);
		return;
	}
	*(uint32_t *)field(rd->config, key) = (uint32_t)n * scale;
}

/* What an adapter may be called; the addresses themselves are compared where adapters are known. */
static bool adapter_name_valid(const char *s)
{
	unsigned int b[6];
	int n = 0;

	if (sscanf(s, "hci%u%n", &b[0], &n) == 1 && s[n] == '\0')
		return true;
	n = 0;
	return strlen(s) == 17 &&
	       sscanf(s, "%2x:%2x:%2x:%2x:%2x:%2x%n", &b[0], &b[1], &b[2], &b[3], &b[4], &b[5],
	              &n) == 6 &&
	       n == 17;
}

static void add_adapter(struct reading *rd, const char *name)
{
	struct config *config = rd->config;
	char *copy;

	/* on the list nevertheless: it allows nothing, where an empty list would allow every adapter */
	if (!adapter_name_valid(name))
		mistake(rd, "Adapters: \"%s\" is neither hciN nor an address", name);
	if (config->n_adapters == CONFIG_ADAPTERS_MAX) {
		mistake(rd, "Adapters: more than %d, \"%s\" is left out", CONFIG_ADAPTERS_MAX,
		        name);
		return;
	}
	copy = strdup(name);
	if (!copy) {
		mistake(rd, "no memory");
		return;
	}
	config->adapters[config->n_adapters++] = copy;
	config->adapters[config->n_adapters] = NULL;
}

static void set_adapters(struct reading *rd, const char *value)
{
	_cleanup_(freep) char *words = strdup(value);
	char *rest, *word;

	if (!words) {
		mistake(rd, "no memory");
		return;
	}
	config_clear_adapters(rd->config);
	for (word = strtok_r(words, " \t,", &rest); word; word = strtok_r(NULL, " \t,", &rest))
		add_adapter(rd, word);
}

static void set_level(struct reading *rd, const struct key *key, const char *value)
{
	enum log_level level;

	if (log_level_parse(value, &level) < 0)
		mistake(rd, "%s=%s is none of error, warning, notice, info, debug", key->name,
		        value);
	else
		*(enum log_level *)field(rd->config, key) = level;
}

static void set_name(struct reading *rd, const struct key *key, const char *value)
{
	if (strlen(value) > CONFIG_DEVICE_NAME_MAX)
		mistake(rd, "%s is longer than %d bytes", key->name, CONFIG_DEVICE_NAME_MAX);
	else
		strcpy(field(rd->config, key), value); /* its length was just checked */
}

static const struct key *find_key(const char *section, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	}
	return NULL;
}

/* A section that is not ours is the mistake, not each of its keys. */
static void unknown(struct reading *rd, const char *section, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(keys[i].section, section) == 0) {
			mistake(rd, "unknown key \"%s\" in section [%s]", name, section);
			return;
		}
	}
	mistake(rd, "\"%s\" stands in an unknown section, [%s]; there are [General] and [Limits]",
	        name, section);
}

/* libinih's callback; 1: go on */
static int on_pair(void *user, const char *section, const char *name, const char *value)
{
	struct reading *rd = user;
	const struct key *key = find_key(section, name);

	if (!key) {
		unknown(rd, section, name);
		return 1;
	}
	switch (key->kind) {
	case KEY_NUMBER:
	case KEY_SECONDS:
		set_number(rd, key, value);
		break;
	case KEY_LEVEL:
		set_level(rd, key, value);
		break;
	case KEY_ADAPTERS:
		set_adapters(rd, value);
		break;
	case KEY_NAME:
		set_name(rd, key, value);
		break;
	}
	return 1;
}

/* The rest of a line that the buffer could not hold. */
static void skip_line(FILE *file)
{
	int c;

	do {
		c = getc(file);
	} while (c != EOF && c != '\n');
}

/*
 * libinih's reader; ours counts the lines, which its callback is not told, and takes none for two: what does not fit into
 * the buffer would come as a line of its own.
 */
static char *read_line(char *buf, int size, void *stream)
{
	struct reading *rd = stream;

	if (!fgets(buf, size, rd->file))
		return NULL;
	rd->line++;
	if (strchr(buf, '\n') || feof(rd->file))
		return buf;
	skip_line(rd->file);
	mistake(rd, "the line is longer than %d bytes", size - 2);
	*buf = '\0';
	return buf;
}

/* libinih hands one pointer to the reader and one to the callback: both are the struct reading. */
static void read_file(struct reading *rd)
{
	_cleanup_(fclosep) FILE *file = fopen(rd->path, "re");
	int bad;

	rd->line = 0;
	if (!file) {
		if (errno != ENOENT)
			mistake(rd, "%s", strerror(errno));
		return;
	}
	rd->file = file;
	bad = ini_parse_stream(read_line, rd, on_pair, rd);
	if (ferror(file))
		mistake(rd, "cannot be read");
	if (bad < 0)
		mistake(rd, "no memory");
	if (bad > 0) {
		rd->line = bad;
		mistake(rd, "neither [Section] nor Key=Value");
	}
}

/* --- drop-ins --- */

struct dropin {
	char name[NAME_MAX + 1];
	size_t folder;
};

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct dropin *)a)->name, ((const struct dropin *)b)->name);
}

static bool is_conf(const char *name)
{
	size_t n = strlen(name);

	return name[0] != '.' && n > 5 && strcmp(name + n - 5, ".conf") == 0;
}

static bool is_hidden(const struct dropin *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(list[i].name, name) == 0)
			return true;
	}
	return false;
}

static size_t list_folder(struct reading *rd, const char *path, size_t folder, struct dropin *list,
                          size_t n)
{
	DIR *dir = opendir(path);
	struct dirent *e;

	rd->path = path;
	rd->line = 0;
	if (!dir) {
		if (errno != ENOENT)
			mistake(rd, "%s", strerror(errno));
		return n;
	}
	while ((e = readdir(dir))) {
		if (!is_conf(e->d_name) || is_hidden(list, n, e->d_name))
			continue;
		if (n == DROPINS_MAX) {
			mistake(rd, "more than %d drop-ins, %s is left out", DROPINS_MAX,
			        e->d_name);
			continue;
		}
		(void)snprintf(list[n].name, sizeof(list[n].name), "%s", e->d_name);
		list[n++].folder = folder;
	}
	(void)closedir(dir); /* it was only read */
	return n;
}

int config_load(struct config *config, const char *file, const char *const *dropins,
                config_complain complain, void *data)
{
	struct reading rd = {.config = config, .path = file, .complain = complain, .data = data};
	_cleanup_(freep) struct dropin *list = calloc(DROPINS_MAX, sizeof(*list));
	size_t n = 0;

	if (!list)
		return -ENOMEM;
	read_file(&rd);
	for (size_t i = 0; dropins && dropins[i]; i++)
		n = list_folder(&rd, dropins[i], i, list, n);
	qsort(list, n, sizeof(*list), by_name);
	for (size_t i = 0; i < n; i++) {
		char path[PATH_MAX];

		if (snprintf(path, sizeof(path), "%s/%s", dropins[list[i].folder], list[i].name) >=
		    (int)sizeof(path))
			continue; /* opendir() would have refused such a folder */
		rd.path = path;
		read_file(&rd);
	}
	return rd.mistakes;
}

static const char *level_name(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return "error";
	case LOG_LEVEL_WARNING:
		return "warning";
	case LOG_LEVEL_NOTICE:
		return "notice";
	case LOG_LEVEL_INFO:
		return "info";
	case LOG_LEVEL_DEBUG:
		break;
	}
	return "debug";
}

static void print_key(const struct config *config, const struct key *key, FILE *to)
{
	const void *value = (const char *)config + key->offset;

	(void)fprintf(to, "%s=", key->name);
	switch (key->kind) {
	case KEY_NUMBER:
		(void)fprintf(to, "%u", *(const uint32_t *)value);
		break;
	case KEY_SECONDS:
		(void)fprintf(to, "%u", *(const uint32_t *)value / 1000);
		break;
	case KEY_LEVEL:
		(void)fprintf(to, "%s", level_name(*(const enum log_level *)value));
		break;
	case KEY_ADAPTERS:
		for (size_t i = 0; i < config->n_adapters; i++)
			(void)fprintf(to, "%s%s", i ? " " : "", config->adapters[i]);
		break;
	case KEY_NAME:
		(void)fprintf(to, "%s", (const char *)value);
		break;
	}
	(void)fputc('\n', to);
}

void config_print(const struct config *config, FILE *to)
{
	const char *section = "";

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(section, keys[i].section) != 0)
			(void)fprintf(to, "%s[%s]\n", i ? "\n" : "", keys[i].section);
		section = keys[i].section;
		print_key(config, &keys[i], to);
	}
}
