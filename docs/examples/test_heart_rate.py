# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests of a BLE application as its author might write them: bleak on bluetoothd on one controller, a heart-rate belt made
with bleno on another, and the air between them in our hand. See docs/testing-without-hardware.md for how to run them.

RADIO names the control socket of aioble-radio, CENTRAL and PERIPHERAL the controllers (as the radio calls them).
"""
import asyncio
import json
import os
import subprocess
import time

import pytest
from bleak import BleakClient, BleakScanner

RADIO = os.environ.get("RADIO", "/run/guest-radio")
CENTRAL = os.environ.get("CENTRAL", "kernel0")
PERIPHERAL = os.environ.get("PERIPHERAL", "kernel1")
MEASUREMENT = "00002a37-0000-1000-8000-00805f9b34fb"


# --- what a test suite needs of the radio ---

def radio(cmd, **keys):
    """A command to the radio; its answer."""
    done = subprocess.run(["aioble-radio", "--ask", RADIO, json.dumps({"cmd": cmd, **keys})], capture_output=True, text=True)
    answer = json.loads(done.stdout)
    assert answer.get("ok"), answer
    return answer


def distance(db):
    radio("loss", **{"from": CENTRAL, "to": PERIPHERAL, "db": db})


@pytest.fixture(autouse=True)
def clean_air():
    """Every test begins and ends with the two next to each other and nothing in between."""
    yield
    radio("fault-remove", all=True)
    radio("advert-remove", name="*") if radio("adverts")["adverts"] else None
    distance(50)


# --- the application: small, but with the things that go wrong in practice ---

async def find(name, timeout=20):
    return await BleakScanner.find_device_by_filter(lambda d, ad: ad.local_name == name, timeout=timeout)


async def beats(client, count, timeout=20):
    """So many heart rates."""
    got = asyncio.Queue()
    await client.start_notify(MEASUREMENT, lambda _, data: got.put_nowait(data[1]))
    try:
        return [await asyncio.wait_for(got.get(), timeout) for _ in range(count)]
    finally:
        if client.is_connected:
            await client.stop_notify(MEASUREMENT)


# --- tests ---

def test_it_measures():
    async def run():
        async with BleakClient(await find("Belt")) as client:
            rates = await beats(client, 3)
        assert all(30 <= rate <= 220 for rate in rates)

    asyncio.run(run())


def test_signal_strength_follows_the_distance():
    async def strength():
        found = asyncio.Queue()
        async with BleakScanner(lambda d, ad: ad.local_name == "Belt" and found.put_nowait(ad.rssi)):
            return await asyncio.wait_for(found.get(), 20)

    distance(40)
    assert asyncio.run(strength()) == -40
    distance(85)
    assert asyncio.run(strength()) == -85


def test_it_finds_the_belt_among_many():
    radio("advert", name="crowd", count=300, interval_ms=200, data="[01 06] [09 'Tag'] [ff ffff {random:8}]")
    assert asyncio.run(find("Belt"))


def test_it_notices_that_the_belt_walked_away():
    async def run():
        gone = asyncio.Event()
        async with BleakClient(await find("Belt"), disconnected_callback=lambda _: gone.set()) as client:
            await beats(client, 1)
            began = time.monotonic()
            radio("loss", **{"from": CENTRAL, "to": PERIPHERAL, "out_of_range": True})
            await asyncio.wait_for(gone.wait(), 60)
        return time.monotonic() - began

    assert asyncio.run(run()) > 0.3  # a supervision timeout, not a goodbye


def test_it_lives_with_a_bad_link():
    async def run():
        async with BleakClient(await find("Belt")) as client:
            radio("noise", percent=30, **{"from": CENTRAL, "to": PERIPHERAL})
            assert len(await beats(client, 3)) == 3

    asyncio.run(run())
