#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A central as most Python programs have one: bleak on a bluetoothd of its own. It looks for a peer by its name, connects,
and works through the heart-rate and vendor services of README.md, or does what --do says. "done" is printed when all went well.
"""
import argparse
import asyncio
import signal
import struct
import sys

from bleak import BleakClient, BleakScanner
from bleak.exc import BleakError

import own_bluetoothd

LONG, COUNT, ECHO, FLOOD = ("a10b%04x-7c1d-4e2a-9f36-5b0e8d24c1f7" % n for n in (1, 2, 3, 4))


def log(event, **fields):
    print(event + "".join(" %s=%s" % (k, bytes(v).hex() if isinstance(v, (bytes, bytearray)) else str(v).replace(" ", "_"))
                          for k, v in fields.items()), flush=True)


def full(uuid):
    return uuid if len(uuid) > 4 else "0000%s-0000-1000-8000-00805f9b34fb" % uuid


async def power_on(adapter):
    """bluetoothd, once it manages the controller, is told to turn it on."""
    for _ in range(300):
        process = await asyncio.create_subprocess_exec(
            "busctl", "set-property", "org.bluez", "/org/bluez/" + adapter, "org.bluez.Adapter1", "Powered", "b", "true",
            stderr=asyncio.subprocess.DEVNULL)
        if await process.wait() == 0:
            return
        await asyncio.sleep(0.1)
    raise BleakError("bluetoothd does not manage " + adapter)


async def take(client, uuid, count, start=None):
    """The next values of a characteristic; start() makes the peer send them, if it does not by itself."""
    values, all_there = [], asyncio.Event()

    def on_value(_, value):
        values.append(bytes(value))
        if len(values) == count:
            all_there.set()

    await client.start_notify(full(uuid), on_value)
    if start:
        await start()
    await asyncio.wait_for(all_there.wait(), 60)
    await client.stop_notify(full(uuid))
    return values[:count]


async def work(client, options):
    log("read", char="2a38", value=await client.read_gatt_char(full("2a38")))
    longer = bytes(255 - i for i in range(100))
    await client.write_gatt_char(LONG, longer, response=True)
    log("written", same=bytes(await client.read_gatt_char(LONG)) == longer)
    for _ in range(5):
        await client.write_gatt_char(COUNT, b"x", response=False)
    echo = await take(client, ECHO, 1, lambda: client.write_gatt_char(ECHO, b"bleak", response=True))
    log("echo", value=echo[0])
    log("counted", value=await client.read_gatt_char(COUNT))
    for value in await take(client, "2a37", options.beats):
        log("beat", value=value)
    values = await take(client, FLOOD, options.flood,
                        lambda: client.write_gatt_char(FLOOD, struct.pack("<H", options.flood), response=True))
    log("flooded", count=len(values), ordered=all(struct.unpack_from("<I", v)[0] == i for i, v in enumerate(values)))


async def sensor(client, options):
    """One value read, some notified."""
    log("read", char=options.sensor, value=await client.read_gatt_char(full(options.sensor)))
    for value in await take(client, options.sensor, options.beats):
        log("notified", char=options.sensor, value=value)


async def main(options):
    adapter = "hci%d" % options.device
    await power_on(adapter)
    log("ready", device=options.device)
    found = await BleakScanner.find_device_by_filter(
        lambda device, data: data.local_name == options.name or device.name == options.name, timeout=60, adapter=adapter)
    if not found:
        raise BleakError("nobody is called " + options.name)
    log("found", address=found.address)
    async with BleakClient(found, adapter=adapter, timeout=40) as client:
        log("connected", address=client.address, mtu=client.mtu_size)
        await (sensor if options.sensor else work)(client, options)
    log("done")


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--name", default="Heart Rate", help="of the peer to look for")
    parser.add_argument("--beats", type=int, default=3, help="notifications to wait for")
    parser.add_argument("--flood", type=int, default=100, help="notifications to ask for in one go")
    parser.add_argument("--sensor", metavar="UUID", help="only read this characteristic, and be notified of it")
    own_bluetoothd.add_options(parser, "Bleak")
    return parser.parse_args()


def run():
    options = parse()
    process, config = own_bluetoothd.start(options)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        asyncio.run(main(options))
        return 0
    except (BleakError, asyncio.TimeoutError, OSError) as error:
        log("failed", what="central", error="%s: %s" % (type(error).__name__, error))
        return 1
    finally:
        process.terminate()
        config.close()


sys.exit(run())
