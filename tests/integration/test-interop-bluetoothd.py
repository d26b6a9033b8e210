#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=300 controllers=2
"""Against bluetoothd, which asks us questions on the same link while we ask ours."""
from gatt_cases import *

start_service()
adapter = Adapter()
with peer("bluetoothd-gatt.py", "--device", 1, "--name", "BlueZ", "--interval-ms", 200, timeout=90) as p:
    address = address_of(p)
    find_by_scan(adapter, "BlueZ", "180d", address)

    with case("it is connected to, and asks us for our MTU and services at once"):
        conn = connect(adapter, address, timeout_ms=30000)
        p.wait(r"^connected\b")

    with case("its own questions get answers while ours do"):
        for _ in range(20):
            equal(conn.call("ReadUuid", "s", "2a38", options={"timeout_ms": 10000})[0], b"\x01", "value")

    tree = Tree(conn, timeout_ms=30000)
    discovery(conn, tree, {
        "180d": ["2a37", "2a38", "2a39"],
        vendor(0): [LONG, COUNT, ECHO, FLOOD, REFUSED, vendor(6), vendor(7), vendor(8)],
    })

    with case("an included secondary service is found"):
        service = Object(tree.service(vendor(0))[0], "Service1", conn.bus)
        included = service.call("DiscoverIncluded", options={"timeout_ms": 10000})
        equal([(s[1], s[4]) for s in included], [(vendor(0x20), False)], "included")
        inside = Object(included[0][0], "Service1", conn.bus).call("DiscoverCharacteristics", options={"timeout_ms": 10000})
        equal([c[1] for c in inside], [vendor(0x21)], "characteristics")
        equal(Object(inside[0][0], "Characteristic1", conn.bus).call("Read"), b"second", "value")

    reading(conn, tree)

    with case("a descriptor of the application is written and read"):
        free = tree.descriptor(LONG, vendor(0x11))
        free.call("Write", "ay", b"changed", options={"timeout_ms": 10000})
        equal(free.call("Read", options={"timeout_ms": 10000}), b"changed", "value")

    with case("what needs encryption is refused, and the link stays"):
        for uuid in (vendor(6), vendor(7)):
            try:
                tree.char(uuid).call("Read", options={"timeout_ms": 10000})
            except BusError as error:
                equal(error.name, "org.aioble.Error.Gatt", "error")
                contains((0x05, 0x0f), error.details["att"], "codes")
            else:
                fail("a protected value was read")
        equal(tree.char("2a38").call("Read"), b"\x01", "value")

    with case("the MTU, which it may have asked for first, is in force on both sides"):
        equal(conn.call("ExchangeMtu", options={"timeout_ms": 10000}), 517, "MTU")
        equal(tree.char(LONG).call("Read", options={"timeout_ms": 10000}), LONG_VALUE, "long value")

    writing(conn, tree, burst=40)  # of hundreds it loses some itself, on their way to its application
    beating(tree, p)
    bursting(tree)
    indicating(conn, tree, p)

    with case("a disconnect ends the link"):
        disconnect(conn, p)

    reconnecting(adapter, address, p, times=3)

    with case("we are not managed by it"):
        equal(adapter.get("State"), "ready", "state")

finish()
