#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: speed=4 timeout=400
"""Connecting, holding and losing links, by one client and by several, with peers that come late or never."""
import time

from aioble_test import *

ABSENT = "C0:FF:EE:00:00:01"


@contextlib.contextmanager
def scripted(*arguments):
    """The scripted peer on hci1, with its address."""
    with peer("scripted-peer", "--device", "1", *arguments, ready=None) as p:
        found = p.wait(r"^ready address=(\S+) type=(\S+)", 60)
        p.address, p.kind = found[1].upper(), found[2]
        yield p
        # btvirt goes on advertising for a controller that was closed while it did
        p.say('{"advertise": false, "sync": 1}')
        p.wait(r"^sync", 20)


def nothing_left(adapter):
    eventually(lambda: not objects("Connection1"), 15, "a connection object is left")
    eventually(lambda: adapter.get("LinksInUse") == 0, 15, "a link is left")


start_service()
adapter = Adapter()

with case("an absent peer: Timeout when the deadline passes, and not much later"):
    began = time.monotonic()
    with raises("Timeout"):
        adapter.call("Connect", "ss", ABSENT, "random", options={"timeout_ms": 1500})
    between(time.monotonic() - began, 1.4, 6, "seconds")
    nothing_left(adapter)

with case("arguments are checked and named"):
    for address, kind, options, key in ((ABSENT, "random", {"colour": "red"}, "colour"),
                                        (ABSENT, "random", {"timeout_ms": "soon"}, "timeout_ms"),
                                        (ABSENT, "random", {"min_conn_interval_us": 100}, "min_conn_interval_us"),
                                        (ABSENT, "random", {"lifetime": "short"}, "lifetime")):
        with raises("InvalidArgument", key=key):
            adapter.call("Connect", "ss", address, kind, options=options)
    for address, kind in (("C0:FF:EE", "random"), (ABSENT, "secret"), ("", "public")):
        with raises("InvalidArgument"):
            adapter.call("Connect", "ss", address, kind)

with case("a peer that appears late is connected inside the deadline"):
    with scripted() as p:
        address, kind = p.address, p.kind
    waiting = adapter.send("Connect", "ss", address, kind, options={"timeout_ms": 60000})
    time.sleep(2)
    with scripted():
        connection = Object(adapter.result(waiting, 70), "Connection1")
        equal(connection.get("Connected"), True)
        equal(connection.get("Address"), address)
        equal(connection.get("Mtu"), 23)
        connection.call("Disconnect")
    nothing_left(adapter)

with case("CancelConnect ends the caller's wait, and a peer that appears later is left alone"):
    waiting = adapter.send("Connect", "ss", address, kind, options={"timeout_ms": 60000})
    time.sleep(0.5)
    adapter.call("CancelConnect", "ss", address, kind)
    with raises("Canceled"):
        adapter.result(waiting)
    with raises("NotFound"):
        adapter.call("CancelConnect", "ss", address, kind)
    with scripted() as p:
        time.sleep(3)
        p.read(time.monotonic())
        check(not any(line.startswith("connected") for line in p.lines), "it was connected")
    nothing_left(adapter)

with case("a caller that dies takes its wait along"):
    other = listening_bus()
    Object(adapter.path, "Adapter1", other).send("Connect", "ss", address, kind, options={"timeout_ms": 60000})
    time.sleep(0.5)
    other.close()
    with scripted() as p:
        time.sleep(3)
        p.read(time.monotonic())
        check(not any(line.startswith("connected") for line in p.lines), "it was connected")
    nothing_left(adapter)

with scripted() as p:
    with case("two clients that connect to one peer get one link and both hold it"):
        other = listening_bus()
        mine = adapter.send("Connect", "ss", p.address, p.kind, options={"lifetime": "caller"})
        theirs = Object(adapter.path, "Adapter1", other)
        serial = theirs.send("Connect", "ss", p.address, p.kind, options={"lifetime": "caller"})
        path = adapter.result(mine)
        equal(theirs.result(serial), path, "the other's connection")
        connection = Object(path, "Connection1")
        equal(len(connection.get("Holders")), 2, "holders")
        equal(connect(adapter, p.address, p.kind, lifetime="caller").path, path, "a third call's connection")

    with case("a killed client leaves the link to the other, the last one takes it down"):
        other.close()
        eventually(lambda: len(connection.get("Holders")) == 1, why="the dead client still holds")
        equal(connection.get("Connected"), True)
        connection.call("Release")
        connection.wait("Disconnected", 15)
        nothing_left(adapter)

    with case("fifty connects in a row, each straight after the disconnect"):
        for i in range(50):
            connection = connect(adapter, p.address, p.kind, timeout_ms=20000)
            connection.call("Disconnect", options={"timeout_ms": 10000})
        nothing_left(adapter)

    with case("connection parameters are as asked"):
        connection = connect(adapter, p.address, p.kind, min_conn_interval_us=15000, max_conn_interval_us=30000,
                             supervision_timeout_ms=4000, latency=2)
        between(connection.get("IntervalUs"), 15000, 30000, "interval")
        equal(connection.get("Latency"), 2)
        equal(connection.get("SupervisionTimeoutMs"), 4000)
        connection.call("Disconnect")
        nothing_left(adapter)

    with case("nothing is sent to a peer unasked"):
        p.say('{"reset_stats": true, "trace": true}')
        connection = connect(adapter, p.address, p.kind)
        time.sleep(2)
        p.read(time.monotonic())
        p.say('{"trace": false, "sync": 1}')
        p.wait(r"^sync")
        check(not any(line.startswith("rx") for line in p.lines), "the peer received something")
        connection.call("Disconnect")
        nothing_left(adapter)

    with case("Disconnect of a connection that is gone is NotFound to the bus and hurts nobody"):
        try:
            connection.call("Disconnect")
            fail("answered")
        except BusError as error:
            contains(("org.freedesktop.DBus.Error.UnknownObject", "org.aioble.Error.NotConnected"), error.name, "errors")

    with case("the peer's disconnect reason is told, calls under way are answered before it"):
        connection = connect(adapter, p.address, p.kind)
        p.say('{"rules": [{"on": "read", "do": [{"wait_ms": 500}, {"disconnect": 21}]}]}')
        services = connection.call("Discover")
        characteristic = next(c for s in services for c in s[5] if c[5] & 2)
        serial = Object(characteristic[0], "Characteristic1").send("Read", options={"timeout_ms": 20000})
        with raises("Disconnected", hci=21) if os.environ.get("AIR_HAS_REASONS") else raises("Disconnected"):
            connection.result(serial)
        reason = connection.wait("Disconnected", 15)
        check(reason.body[0] != 0, "no reason")
        p.say('{"rules": []}')
        nothing_left(adapter)

    with case("kill -9 of the daemon with a link up: the next one starts clean and can connect"):
        connection = connect(adapter, p.address, p.kind)
        before = service_pid()
        kill_service()
        eventually(lambda: service_pid() not in (0, before), 20, "not restarted")
        adapter = Adapter()
        equal(objects("Connection1"), [])
        connection = connect(adapter, p.address, p.kind, timeout_ms=20000)
        connection.call("Disconnect")
        nothing_left(adapter)

    with case("systemctl stop with a link up takes the link down"):
        connect(adapter, p.address, p.kind)
        p.wait(r"^connected")
        stop_service()
        p.wait(r"^disconnected", 15)
        start_service()
        adapter = Adapter()

with case("quotas: too many scanners are refused, the rest works on"):
    limit = manager().get("Limits")["scanners"]
    scanners = [Object(adapter.call("Scan"), "Scanner1") for _ in range(limit)]
    with raises("LimitExceeded", limit=limit):
        adapter.call("Scan")
    other = listening_bus()
    Object(Object(adapter.path, "Adapter1", other).call("Scan", options={"lifetime": "caller"}), "Scanner1", other).get("State")
    other.close()
    for scanner in scanners:
        scanner.call("Stop")
    eventually(lambda: not objects("Scanner1"), why="scanners are left")

finish()
