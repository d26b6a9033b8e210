#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: speed=4 timeout=400 controllers=3 kind=le peer=1,2
"""A peer that leaves in the middle of each operation: the call says so, Disconnected is the last word, nothing stays."""
from hostile_cases import *

REASON = 0x15  # "low resources": nobody's default
SOON = {"timeout_ms": 15000}

leave = [{"disconnect": REASON}]


def char(uuid):
    return lambda stage: stage.tree.char(uuid)


# at which request the peer leaves, and the call that makes it
LEAVING = [
    ("an MTU exchange", "mtu", lambda s: s.conn.call("ExchangeMtu", options=SOON)),
    ("the discovery of services", "read_group", lambda s: s.conn.call("DiscoverServices", options=SOON)),
    ("the discovery of one service", "find_by_type", lambda s: s.conn.call("DiscoverServices", options=dict(SOON, uuid="180d"))),
    ("the discovery of everything", "read_by_type", lambda s: s.conn.call("Discover", options=SOON)),
    ("the discovery of descriptors", "find_info", lambda s: s.tree.char(LONG).call("DiscoverDescriptors", options=SOON)),
    ("a read", "read", lambda s: s.tree.char("2a38").call("Read", options=SOON)),
    ("a read by UUID", "read_by_type", lambda s: s.conn.call("ReadUuid", "s", "2a38", options=SOON)),
    ("the rest of a long read", "read_blob", lambda s: s.tree.char(LONG).call("Read", options=SOON)),
    ("a write", "write", lambda s: s.tree.char("2a39").call("Write", "ay", b"\1", options=dict(SOON, response=True))),
    ("a long write", "prepare", lambda s: s.tree.char(LONG).call("Write", "ay", bytes(100), options=dict(SOON, long=True))),
    ("the end of a long write", "execute", lambda s: s.tree.char(LONG).call("Write", "ay", bytes(100), options=dict(SOON, long=True))),
    ("a subscription", "write", lambda s: s.tree.char("2a37").call("Subscribe", options=SOON)),
]

with contextlib.ExitStack() as stack:
    stage = Stage(stack)

    for name, on, call in LEAVING:
        with case("it leaves during " + name):
            conn = stage.link()
            script(stage.peer, rules=[{"on": on, "do": leave}])
            details = one_of(lambda: call(stage), "Disconnected")
            equal(details.get("hci"), REASON, "reason in the error")
            equal(conn.wait("Disconnected", 10).body[0], REASON, "reason in the signal")
            gone(conn)
            stage.alive()

    with case("the answers come before the last signal, for every waiting call"):
        conn = stage.link()
        target = stage.tree.char("2a38")
        script(stage.peer, rules=[{"on": "read", "nth": 3, "do": leave}])
        serials = [target.send("Read", options=SOON) for _ in range(20)]
        results = [outcome(lambda n=n: target.result(n)) for n in serials]
        names = [r[0] for r in results]
        equal(names[:3], ["ok", "ok", "Disconnected"], "first outcomes")
        # calls that were still in the bus when the link ended were made too late
        equal(sorted(names[3:]), names[3:], "order of the outcomes")
        check(set(names[3:]) <= {"Disconnected", "NotConnected"}, "outcomes %r" % names)
        conn.wait("Disconnected", 10)
        gone(conn)

    with case("a call after the end says that there is no link"):
        try:
            target.call("Read")
        except BusError as error:
            contains(("org.aioble.Error.NotConnected", "org.freedesktop.DBus.Error.UnknownObject",
                      "org.freedesktop.DBus.Error.UnknownMethod"), error.name, "error")
        else:
            fail("a dead link was read")

    with case("it leaves as soon as it is connected to"):
        script(stage.peer, rules=[{"on": "connect", "times": 1, "do": leave}])
        name, result = outcome(stage.connect)
        contains(("ok", "ConnectFailed", "Disconnected"), name, "outcome")
        if name == "ok":
            gone(result)
        stage.link()
        stage.still_linked()

    with case("it leaves in the middle of a flood"):
        conn = stage.link()
        stream = open_notify(stage.tree.char(FLOOD))
        path = stage.tree.char(FLOOD)
        script(stage.peer, trace=False, rules=[{"on": "write", "do": [
            {"answer": True}, {"flood": {"handle": FLOOD, "count": 200}}, {"wait_ms": 1000}, {"disconnect": REASON}]}])
        path.call("Write", "ay", b"\0\0", options={"response": True})
        equal(numbers(stream.take(200)), list(range(200)), "numbers")
        kind, _, payload = stream.next(20)
        equal((kind, payload[0]), (END, REASON), "last record")
        equal(payload[1:], b"org.aioble.Error.Disconnected", "reason")
        stream.close()
        gone(conn)
        stage.alive()

    with case("a waiting Next is answered"):
        conn = stage.link()
        subscription = subscribe(stage.tree.char("2a37"))
        serial = subscription.send("Next", options={"timeout_ms": 30000})
        do(stage.peer, {"disconnect": REASON})
        with raises("Disconnected", hci=REASON):
            subscription.result(serial)
        gone(conn)

    with case("it leaves twenty times in a row"):
        for n in range(20):
            conn = stage.connect()
            do(stage.peer, {"disconnect": 0x13})
            equal(conn.wait("Disconnected", 10).body[0], 0x13, "reason")
            gone(conn)
        stage.alive()

    with case("a client that dies takes its waiting calls with it"):
        stage.conn = None
        stage.link()
        script(stage.peer, rules=[{"on": "read", "times": 1, "do": [{"wait_ms": 1500}, {"answer": True}]}])
        other = Bus()
        Object(stage.tree.char("2a38").path, "Characteristic1", other).send("Read", options={"timeout_ms": 0})
        stage.peer.wait(r"^rule on=read\b")
        other.close()
        stage.still_linked()
        eventually(lambda: stage.conn.get("QueuedRequests") == 0, 10, "a request is left")

    with case("nothing was left behind"):
        stage.nothing_left()

finish()
