#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: speed=4 timeout=400
"""Adapters that come, go, are switched off by others, or shared with bluetoothd, with work under way."""
import struct
import time

from aioble_test import *

RFKILL_BLUETOOTH, RFKILL_CHANGE_ALL = 2, 3
ABSENT = "C0:FF:EE:00:00:01"


def rfkill(blocked):
    with open("/dev/rfkill", "wb", buffering=0) as file:
        file.write(struct.pack("IBBBB", 0, RFKILL_BLUETOOTH, RFKILL_CHANGE_ALL, blocked, 0))


def next_report(scanner, timeout_ms=15000):
    return scanner.call("Next", options={"timeout_ms": timeout_ms, "max": 1})


with case("the adapter is ready, LE-only and not connectable to others"):
    start_service()
    adapter = Adapter()
    equal(adapter.get("State"), "ready")
    equal(adapter.get("Reason"), "")
    equal(adapter.get("AddressType"), "public")
    contains(run("hciconfig", "hci0"), "UP RUNNING")
    check("PSCAN" not in run("hciconfig", "hci0"), "connectable")

with case("an adapter is found by address, name, or as the first"):
    address = adapter.get("Address")
    for name in (address, address.lower(), "hci0", ""):
        equal(manager().call("FindAdapter", "s", name), adapter.path, name)
    for name in ("hci9", "hci1", "AA:BB:CC:DD:EE:FF"):
        with raises("NotFound"):
            manager().call("FindAdapter", "s", name)

with case("SetPowered off and on; a scan needs power and our own off is undone by it"):
    adapter = Adapter()
    adapter.call("SetPowered", "b", False)
    equal(adapter.get("Powered"), False)
    equal(adapter.get("State"), "off")
    scanner = Object(adapter.call("Scan"), "Scanner1")
    eventually(lambda: adapter.get("Powered"), why="Scan did not turn the radio on")
    scanner.call("Stop")

with case("power off from outside ends work with NotPowered, and power on heals"):
    adapter = Adapter()
    scanner = Object(adapter.call("Scan"), "Scanner1")
    waiting = adapter.send("Connect", "ss", ABSENT, "random", options={"timeout_ms": 60000})
    time.sleep(0.5)
    run("hciconfig", "hci0", "down")
    with raises("NotPowered"):
        adapter.result(waiting)
    eventually(lambda: adapter.get("State") == "off", why="state is not off")
    check(adapter.get("Reason"), "no reason given")
    eventually(lambda: not scanner.exists() or scanner.get("State") == "finished", why="the scanner goes on")
    with raises("NotPowered"):
        adapter.call("Connect", "ss", ABSENT, "random", options={"timeout_ms": 1000})
    run("hciconfig", "hci0", "up")
    Adapter()

with case("rfkill blocks and unblocks"):
    adapter = Adapter()
    waiting = adapter.send("Connect", "ss", ABSENT, "random", options={"timeout_ms": 60000})
    time.sleep(0.5)
    rfkill(True)
    with raises("NotPowered"):
        adapter.result(waiting)
    eventually(lambda: adapter.get("State") == "blocked", 15, "state is not blocked")
    with raises("NotPowered"):
        adapter.call("Scan")
    rfkill(False)
    eventually(lambda: adapter.get("State") == "ready", 40, "not ready after unblocking")

with case("unplugged with a scan, a pending connect and a link: everything is answered and gone"):
    adapter = Adapter()
    with peer("scripted-peer", "--device", "1", ready=None) as p:
        address = p.wait(r"^ready address=(\S+) type=(\S+)")
        connection = connect(adapter, address[1], address[2], timeout_ms=20000)
        scanner = Object(adapter.call("Scan"), "Scanner1")
        waiting = adapter.send("Connect", "ss", ABSENT, "random", options={"timeout_ms": 60000})
        time.sleep(0.5)
        controllers("stop")
        with raises("NotFound"):  # there is no such adapter any more
            adapter.result(waiting)
        connection.wait("Disconnected", 15)
        eventually(lambda: not objects("Connection1") and not objects("Scanner1") and not objects("Adapter1"), 15,
                   "objects are left behind")

with case("no adapter at all: the service lives and says so"):
    equal(service_state(), "active")
    with raises("NotFound"):
        manager().call("FindAdapter", "s", "")

with case("plugged in again it works again"):
    controllers("start", 2)
    adapter = Adapter()
    scanner = Object(adapter.call("Scan", options={"active": True, "interval_us": 30000, "window_us": 30000}), "Scanner1")
    with peer("scripted-peer", "--device", "1"):
        next_report(scanner)
    scanner.call("Stop")

with case("bluetoothd on the same adapter is named"):
    bluetoothd = subprocess.Popen(["/usr/libexec/bluetooth/bluetoothd", "-n"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: "bluetoothd" in Adapter(ready=False).get("Conflict"), 30, "no conflict reported")
        contains(Adapter(ready=False).get("Conflict"), str(bluetoothd.pid))
    finally:
        bluetoothd.terminate()
        bluetoothd.wait()
    eventually(lambda: "bluetoothd" not in Adapter(ready=False).get("Conflict"), 15, "the conflict stays")
    restart_service()
    Adapter()

finish()
