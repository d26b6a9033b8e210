/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cmocka with the headers it forgets to include; every unit test includes this last. */
#pragma once

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
