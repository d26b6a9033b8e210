/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small client. What belongs to standard output is what the radio said; what goes wrong in between goes to standard error.
 */
#include "ask.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "aiobled/cleanup.h"

#include "keys.h"

#define RETRY_MS 20

struct asker {
	const char *path;
	FILE *in, *out;
	char *line;
	size_t size;
	bool subscribed, refused;
};

static int complain_of(const char *path, int err)
{
	(void)fprintf(stderr, "aioble-radio: %s: %s\n", path, strerror(err));
	return ASK_BROKEN;
}

static int connect_once(const struct sockaddr_un *sa)
{
	_cleanup_(closep) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)sa, sizeof(*sa)) < 0)
		return -errno;
	return steal_fd(&fd);
}

/* A script starts the radio and asks at once: the socket may not be there yet. */
static int connect_soon(const char *path)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000};
	int fd = -ENOENT;

	if (strlen(path) >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, path, strlen(path) + 1);
	for (int ms = 0; ms <= ASK_CONNECT_MS; ms += RETRY_MS) {
		fd = connect_once(&sa);
		if (fd != -ENOENT && fd != -ECONNREFUSED)
			break;
		(void)nanosleep(&pause, NULL); /* woken early it asks early */
	}
	return fd;
}

static int open_streams(struct asker *a)
{
	int fd = connect_soon(a->path), copy;

	if (fd < 0)
		return fd;
	copy = dup(fd);
	a->in = fdopen(fd, "r");
	a->out = copy < 0 ? NULL : fdopen(copy, "w");
	return a->in && a->out ? 0 : -ENOMEM;
}

enum said { SAID_END, SAID_EVENT, SAID_OK, SAID_ERROR };

static enum said print_line(struct asker *a)
{
	ssize_t n = getline(&a->line, &a->size, a->in);
	_cleanup_(json_putp) json_object *o = NULL;
	const char *why;
	size_t used;

	if (n <= 0)
		return SAID_END;
	(void)fwrite(a->line, 1, (size_t)n, stdout);
	if (fflush(stdout) != 0) /* now, its reader may wait for it */
		return SAID_END;
	if (json_read(a->line, (size_t)n, &o, &used, &why) < 0 ||
	    !json_object_is_type(o, json_type_object))
		return SAID_ERROR;
	if (keys_has(o, "event"))
		return SAID_EVENT;
	return keys_has(o, "error") ? SAID_ERROR : SAID_OK;
}

static bool is_subscribe(const char *command)
{
	_cleanup_(json_putp) json_object *o = NULL;
	const char *why, *name;
	size_t used;

	if (json_read(command, strlen(command), &o, &used, &why) < 0 ||
	    !json_object_is_type(o, json_type_object))
		return false;
	name = keys_str(o, "cmd", NULL);
	return name && strcmp(name, "subscribe") == 0;
}

/* One line of what was asked, whatever line ends the command has in it. Return: 0, or -EPIPE. */
static int ask_one(struct asker *a, const char *command)
{
	enum said said;

	if (!command[strspn(command, " \t\r\n")])
		return 0;
	for (const char *p = command; *p; p++)
		(void)fputc(*p == '\n' ? ' ' : *p, a->out);
	(void)fputc('\n', a->out);
	if (fflush(a->out) != 0)
		return -EPIPE;
	do {
		said = print_line(a);
	} while (said == SAID_EVENT);
	if (said == SAID_END)
		return -EPIPE;
	a->refused |= said == SAID_ERROR;
	a->subscribed |= said == SAID_OK && is_subscribe(command);
	return 0;
}

static int ask_input(struct asker *a)
{
	_cleanup_(freep) char *line = NULL;
	size_t size = 0;
	int r = 0;

	while (r == 0 && getline(&line, &size, stdin) > 0)
		r = ask_one(a, line);
	return r;
}

static enum ask_result talk(struct asker *a, char *const *commands, int n)
{
	int r = open_streams(a);

	if (r < 0)
		return complain_of(a->path, -r);
	for (int i = 0; r == 0 && i < n; i++)
		r = ask_one(a, commands[i]);
	if (n == 0)
		r = ask_input(a);
	if (r < 0)
		return complain_of(a->path, -r);
	while (a->subscribed && print_line(a) != SAID_END)
		;
	return a->refused ? ASK_REFUSED : ASK_OK;
}

enum ask_result ask(const char *path, char *const *commands, int n)
{
	struct asker a = {.path = path};
	enum ask_result r;

	(void)signal(SIGPIPE, SIG_IGN); /* whoever hangs up is met by the next write */
	r = talk(&a, commands, n);

	if (a.in)
		(void)fclose(a.in);
	if (a.out)
		(void)fclose(a.out);
	free(a.line);
	return r;
}
