#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=200 controllers=2
"""Against our own scripted peer while it is honest: extended advertising, an MTU of 517, a database of 200 characteristics."""
from gatt_cases import *

start_service()
adapter = Adapter()
with peer("scripted-peer", "--device", 1) as p:
    address = address_of(p)
    p.say(json.dumps({"advertise": {"data": "020106 03030d18 09095363726970746564", "interval_ms": 300}}))
    find_by_scan(adapter, "Scripted", "180d", address)
    conn = connect(adapter, address, timeout_ms=30000)
    tree = Tree(conn, timeout_ms=30000)
    discovery(conn, tree, {
        "1800": ["2a00", "2a01"],
        "1801": ["2a05"],
        "180d": ["2a37", "2a38", "2a39"],
        "180f": ["2a19"],
        vendor(0): [LONG, COUNT, ECHO, FLOOD, REFUSED],
    })
    reading(conn, tree)
    exchanging(conn, tree, 517)
    writing(conn, tree, control_error=0)
    bursting(tree)
    indicating(conn, tree, p)
    with case("a disconnect ends the link"):
        disconnect(conn, p)

with peer("scripted-peer", "--device", 1, "--set",
          json.dumps({"services": {"services": 30, "characteristics": 200}})) as p:
    conn = connect(adapter, address_of(p), timeout_ms=30000)
    conn.call("ExchangeMtu")
    listener = listening_bus()

    with case("200 characteristics are discovered in few requests"):
        p.say(json.dumps({"do": {"reset_stats": True}}))
        tree = Tree(conn, timeout_ms=30000)
        equal(len(tree.services), 30, "services")
        equal(sum(len(s[5]) for s in tree.services), 200, "characteristics")
        p.say(json.dumps({"do": {"stats": True}}))
        requests = int(p.wait(r"^stats requests=(\d+)")[1])
        between(requests, 5, 200, "requests")
        print("# requests: %d" % requests)

    with case("and announced by no signal"):
        listener.settle(1)
        equal([s for s in listener.signals if s.member == "InterfacesAdded"], [], "signals")

    with case("all of them can be read"):
        # several at once, and fewer than one client may have waiting
        waiting, count = [], 0
        for service in tree.services:
            for row in service[5]:
                if row[5] & 2 and row[1] != REFUSED:
                    c = Object(row[0], "Characteristic1", conn.bus)
                    waiting.append((c, c.send("Read", options={"timeout_ms": 30000})))
                    count += 1
                if len(waiting) == 32:
                    c, serial = waiting.pop(0)
                    c.result(serial)
        for c, serial in waiting:
            c.result(serial)
        check(count > 80, "only %d can be read" % count)
    disconnect(conn, p)

finish()
