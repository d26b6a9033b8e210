/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where foreign hosts come in: a unix stream socket, on which each client gets a controller of its own ("client0" ...),
 * and a pty, which is one controller ("pty0" ...). H4 on both.
 */
#pragma once

#include <stdbool.h>

#include "aiobled/cleanup.h"

#include "profile.h"

struct controller;
struct listen;
struct pty;
struct world;

#define LISTEN_CLIENTS_MAX 64 /* on one socket; the next is closed at once */

/** listen_new() - an old socket file at @path is replaced, anything else there is an error */
int listen_new(struct world *world, const char *path, const struct profile *profile,
               struct listen **ret);
struct listen *listen_free(struct listen *l);
DEFINE_CLEANUP(struct listen *, listen_free)
const char *listen_path(const struct listen *l);

/** listen_cut() - end the connection of the host that has @ctl. Return: is it one of this socket's? */
bool listen_cut(struct listen *l, const struct controller *ctl);

/** pty_new() - @path becomes a symbolic link to the terminal */
int pty_new(struct world *world, const char *path, const struct profile *profile, struct pty **ret);
struct pty *pty_free(struct pty *p);
DEFINE_CLEANUP(struct pty *, pty_free)
const char *pty_path(const struct pty *p);

/** listen_socket() - a unix stream socket that listens; an old socket file is replaced. Return: descriptor or -errno. */
int listen_socket(const char *path);
