/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A manager over a fake kernel, and a log of what it told. For one test file each: everything is static. */
#pragma once

#include "aiobled/adapter.h"
#include "aiobled/loop.h"
#include "aiobled/manager.h"
#include "fake_kernel.h"

#define ADDR0 "00:AA:01:00:00:42"
#define ADDR1 "00:AA:01:01:00:42"

static struct world {
	struct loop *loop;
	struct fake_kernel *fk;
	struct manager_config config;
	struct manager *manager;
	struct adapter *adapter; /* the newest */
	int added, removed, identified, settled, failed, failed_err, changed;
} world;

static struct fake_controller healthy = { .addr = ADDR0, .extended = true };

static void world_changed(struct adapter *adapter, void *data)
{
	world.changed++;
}

static void world_added(struct adapter *adapter, void *data)
{
	static const struct adapter_events events = { .changed = world_changed };

	world.added++;
	world.adapter = adapter;
	adapter_set_events(adapter, &events, NULL);
}

static void world_removed(struct adapter *adapter, void *data)
{
	world.removed++;
	if (world.adapter == adapter)
		world.adapter = NULL;
}

static void world_identified(void *data)
{
	assert_int_equal(world.settled, 0);
	world.identified++;
}

static void world_settled(void *data)
{
	assert_int_equal(world.identified, 1);
	world.settled++;
}

static void world_failed(int err, void *data)
{
	world.failed++;
	world.failed_err = err;
}

static int world_setup(void **state)
{
	world = (struct world){ 0 };
	if (loop_new_virtual(&world.loop) < 0)
		return -1;
	world.fk = fake_kernel_new(world.loop);
	return 0;
}

static int world_teardown(void **state)
{
	world.manager = manager_free(world.manager);
	(void)loop_settle(world.loop);
	fake_kernel_free(world.fk);
	loop_free(world.loop);
	return 0;
}

static int world_start(void)
{
	static const struct manager_events events = {
		.adapter_added = world_added,
		.adapter_removed = world_removed,
		.identified = world_identified,
		.settled = world_settled,
		.failed = world_failed,
	};
	int r = manager_new(world.loop, fake_kernel_table(world.fk), &world.config, &events, NULL, &world.manager);

	return r < 0 ? r : loop_settle(world.loop);
}

static void world_advance(uint32_t ms)
{
	assert_int_equal(loop_advance(world.loop, ms), 0);
}

/* A manager with one healthy controller, hci0, that is ready. */
static void world_ready(void)
{
	fake_adapter_plug(world.fk, 0, &healthy);
	assert_int_equal(world_start(), 0);
	assert_non_null(world.adapter);
	assert_int_equal(adapter_state(world.adapter), ADAPTER_READY);
}
