/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The other end of the control socket, for shell scripts: aioble-radio --ask SOCKET COMMAND... */
#pragma once

#define ASK_CONNECT_MS 3000 /* so long a radio may take to come up */

enum ask_result {
	ASK_OK = 0,
	ASK_REFUSED = 1, /* a command was answered by an error */
	ASK_BROKEN = 2,  /* nobody there, or gone before the last answer */
};

/**
 * ask() - send commands one by one and print what comes back, a line each
 * @commands: @n of them; with none they are read from standard input, a line each
 *
 * After a "subscribe" it goes on until the radio ends, and prints events. It blocks: it is a program of its own.
 */
enum ask_result ask(const char *path, char *const *commands, int n);
