/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "alloc.h"

#include <stdbool.h>
#include <stddef.h>

unsigned long alloc_count;
long alloc_fail_after = -1;

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static bool granted(void)
{
	alloc_count++;
	if (alloc_fail_after < 0)
		return true;
	return alloc_fail_after-- != 0;
}

void *__wrap_malloc(size_t size)
{
	return granted() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return granted() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *p, size_t size)
{
	return granted() ? __real_realloc(p, size) : NULL;
}
