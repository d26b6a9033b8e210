#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=240 controllers=2 kind=le
"""Against bleno, a stack of its own on a bare controller. It offers an MTU of 256 and advertises with legacy commands."""
from gatt_cases import *

start_service()
adapter = Adapter()
with peer("heart-rate.js", "--device", 1, "--name", "Belt", "--interval-ms", 200) as p:
    address = address_of(p)
    find_by_scan(adapter, "Belt", "180d", address)

    with case("it is connected to by its address"):
        conn = connect(adapter, address, timeout_ms=30000)
        p.wait(r"^connected\b")
        equal(conn.get("Role"), "central", "role")

    tree = Tree(conn, timeout_ms=30000)
    discovery(conn, tree, {
        "1800": ["2a00", "2a01"],
        "180d": ["2a37", "2a38", "2a39"],
        "180f": ["2a19"],
        vendor(0): [LONG, COUNT, ECHO, FLOOD, REFUSED],
    })
    reading(conn, tree)
    exchanging(conn, tree, 256)
    writing(conn, tree)
    beating(tree, p)
    bursting(tree)
    indicating(conn, tree, p)

    with case("two characteristics notify at the same time"):
        heart, battery = subscribe(tree.char("2a37")), subscribe(tree.char("2a19"))
        equal(next_value(heart)[0], "notified")
        equal(next_value(battery, 30000)[0], "notified")

    with case("a disconnect ends the link, the subscriptions and the objects"):
        disconnect(conn, p)
        check(not heart.exists() and not battery.exists(), "subscriptions are left")

    reconnecting(adapter, address, p, times=3)  # bleno itself answers no more after five or six links

    with case("a peer that dies leaves a link that can be ended"):
        conn = connect(adapter, address, timeout_ms=30000)
        p.kill()
        conn.call("Disconnect", options={"timeout_ms": 10000})
        gone(conn)

finish()
