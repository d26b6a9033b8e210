/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scope-bound ownership: an owning pointer is declared with _cleanup_() and given away with steal().
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _unused_ __attribute__((unused))
#define _printf_(fmt, args) __attribute__((format(printf, fmt, args)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* steal(&p): the pointer, which is NULL afterwards */
#define steal(pp)                                  \
	__extension__({                            \
		__typeof__(*(pp)) _stolen = *(pp); \
		*(pp) = NULL;                      \
		_stolen;                           \
	})

static inline int steal_fd(int *fd)
{
	int r = *fd;

	*fd = -1;
	return r;
}

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd); /* nothing to do about an error on a descriptor that is given up */
}

static inline void fclosep(FILE **f)
{
	if (*f)
		(void)fclose(*f); /* read-only uses; writers check fclose themselves */
}

/* DEFINE_CLEANUP(struct conn *, conn_free) makes conn_freep() from conn_free() */
#define DEFINE_CLEANUP(type, func)                    \
	static inline _unused_ void func##p(type *p)  \
	{                                             \
		if (*p)                               \
			*p = func(*p);                \
	}
