/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counts the allocations of the program under test and lets them fail. For the one source file of a test that is linked
 * with --wrap for malloc, calloc, realloc and strdup; what libraries allocate is not seen.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
char *__wrap_strdup(const char *s);

static unsigned long allocations;
static long fail_after = -1; /* this many succeed; -1: all */

static bool may_allocate(void)
{
	allocations++;
	return fail_after < 0 || fail_after-- > 0;
}

void *__wrap_malloc(size_t size)
{
	return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return may_allocate() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t size)
{
	return may_allocate() ? __real_realloc(p, size) : NULL;
}

char *__wrap_strdup(const char *s)
{
	return may_allocate() ? __real_strdup(s) : NULL;
}
