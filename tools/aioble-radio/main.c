/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aioble-radio: Bluetooth LE controllers in one simulated air.
 */
#include <stdio.h>

int main(void)
{
	return 0;
}
