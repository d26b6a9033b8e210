/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Allocations counted, and refused on demand: for tests linked with --wrap=malloc, calloc and
 * realloc.
 */
#pragma once

extern unsigned long alloc_count; /* asked for since the start */
extern long alloc_fail_after;     /* so many succeed, the next fails once; -1: all succeed */
