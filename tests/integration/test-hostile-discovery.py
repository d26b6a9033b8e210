#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: speed=4 timeout=400 controllers=3 kind=le peer=1,2
"""Discoveries that never end, go backwards, change their shape or lie: the daemon ends them all and keeps the link."""
from hostile_cases import *

TIMEOUT = {"timeout_ms": 4000}


def services(stage):
    return stage.conn.call("DiscoverServices", options=TIMEOUT)


def one_service(stage):
    return stage.conn.call("DiscoverServices", options=dict(TIMEOUT, uuid="180d"))


def characteristics(stage):
    return Object(stage.tree.service(vendor(0))[0], "Service1", stage.conn.bus).call("DiscoverCharacteristics", options=TIMEOUT)


def included(stage):
    return Object(stage.tree.service(vendor(0))[0], "Service1", stage.conn.bus).call("DiscoverIncluded", options=TIMEOUT)


def descriptors(stage):
    return stage.tree.char(LONG).call("DiscoverDescriptors", options=TIMEOUT)


def by_uuid(stage):
    return stage.conn.call("ReadUuid", "s", "2a38", options=TIMEOUT)


def whole(stage):
    return stage.conn.call("Discover", options=TIMEOUT)


ENDS = ["Protocol"]
BOUNDED = ["Timeout", "LimitExceeded", "Protocol"]

# discovery, the request that is answered (each time), how it is called, the answer, how the discovery may end
CASES = [
    (services, "read_group", "nothing behind the opcode", "11", ENDS),
    (services, "read_group", "no items", "1106", ENDS),
    (services, "read_group", "items of length 0", "1100", ENDS),
    (services, "read_group", "items of length 0 with bytes behind", "1100 0100 0200 0d18", ENDS),
    (services, "read_group", "items of length 1", "1101 01", ENDS),
    (services, "read_group", "items of length 5", "1105 {start} {end} 0d", ENDS),
    (services, "read_group", "items of length 7", "1107 {start} {end} 0d1800", ENDS),
    (services, "read_group", "an item that is cut", "1106 {start} {start} 0d", ENDS),
    (services, "read_group", "an item and a half", "1106 {start} {start} 0d18 2000", ENDS),
    (services, "read_group", "handle 0", "1106 0000 0500 0d18", ENDS),
    (services, "read_group", "an end before the start", "1106 0900 0500 0d18", ENDS),
    (services, "read_group", "the same service for ever", "1106 0100 0300 0d18", ENDS),
    (services, "read_group", "a service for every handle", "1106 {start} {start} 0d18", BOUNDED + ["ok"]),
    (services, "read_group", "services in the wrong order", "1106 2000 2f00 0d18 0100 0f00 0f18", ENDS),
    (services, "read_group", "services that overlap", "1106 0100 0f00 0d18 0500 2f00 0f18", ENDS + ["ok"]),
    (services, "read_group", "a service up to 0xffff", "1106 {start} ffff 0d18", ["ok"]),
    (one_service, "find_by_type", "nothing behind the opcode", "07", ENDS),
    (one_service, "find_by_type", "a range that is cut", "07 010002", ENDS),
    (one_service, "find_by_type", "an end before the start", "07 09000500", ENDS),
    (one_service, "find_by_type", "the same range for ever", "07 01000200", ENDS),
    (one_service, "find_by_type", "a range for every handle", "07 {start}{start}", BOUNDED + ["ok"]),
    (characteristics, "read_by_type", "nothing behind the opcode", "09", ENDS),
    (characteristics, "read_by_type", "items of length 0", "0900", ENDS),
    (characteristics, "read_by_type", "items of length 2", "0902 {start}", ENDS),
    (characteristics, "read_by_type", "items of length 8", "0908 {start} 02 {next} 382a 00", ENDS),
    (characteristics, "read_by_type", "items of length 6", "0906 {start} 02 {start} 38", ENDS),
    (characteristics, "read_by_type", "an item that is cut", "0907 {start} 02 {start}", ENDS),
    (characteristics, "read_by_type", "a handle before the range", "0907 0100 02 0200 382a", ENDS),
    (characteristics, "read_by_type", "a handle behind the range", "0907 f0ff 02 f1ff 382a", ENDS),
    (characteristics, "read_by_type", "a declaration for every handle", "0907 {start} 02 {start} 382a", BOUNDED + ["ok"]),
    (characteristics, "read_by_type", "a value handle of 0", "0907 {start} 02 0000 382a", ENDS + ["ok"]),
    (included, "read_by_type", "items of length 5", "0905 {start} 0100 02", ENDS),
    (included, "read_by_type", "an include of handle 0", "0908 {start} 0000 0000 0d18", ENDS + ["ok"]),
    (included, "read_by_type", "an include for every handle", "0908 {start} 0100 0200 0d18", BOUNDED + ["ok"]),
    (descriptors, "find_info", "nothing behind the opcode", "05", ENDS),
    (descriptors, "find_info", "format 0", "0500 {start} 0229", ENDS),
    (descriptors, "find_info", "format 3", "0503 {start} 0229", ENDS),
    (descriptors, "find_info", "no items", "0501", ENDS),
    (descriptors, "find_info", "an item that is cut", "0501 {start} 02", ENDS),
    (descriptors, "find_info", "a long item that is short", "0502 {start} 0229", ENDS),
    (descriptors, "find_info", "a handle before the range", "0501 0100 0229", ENDS),
    (descriptors, "find_info", "a handle behind the range", "0501 ffff 0229", ENDS),
    (by_uuid, "read_by_type", "items of length 0", "0900 0100", ENDS),
    (by_uuid, "read_by_type", "items of length 1", "0901 01", ENDS),
    (by_uuid, "read_by_type", "handle 0", "0903 0000 01", ENDS),
    (by_uuid, "read_by_type", "an item that is cut", "090a 0f00 01", ENDS),
    (whole, "read_group", "the same service for ever", "1106 0100 0300 0d18", ENDS),
    (whole, "read_by_type", "a declaration before the range", "0907 0100 02 0200 382a", ENDS),
]

with contextlib.ExitStack() as stack:
    stage = Stage(stack)

    for discovery_of, on, name, answer, wanted in CASES:
        with case("%s: %s" % (discovery_of.__name__.replace("_", " "), name)):
            stage.drop()  # what an earlier lie left in the daemon's picture of the peer is none of this case's business
            stage.link()
            script(stage.peer, trace=False, rules=[{"on": on, "do": [{"send": answer}]}])
            began = time.monotonic()
            one_of(lambda: discovery_of(stage), *wanted)
            between(time.monotonic() - began, 0, 15, "seconds")
            stage.alive()
            stage.still_linked()

    with case("lengths may change from answer to answer, as long as each is right"):
        stage.link()
        script(stage.peer, rules=[
            {"on": "read_group", "times": 1, "do": [{"send": "1106 0100 0500 0018"}]},
            {"on": "read_group", "do": [{"send": "1114 0600 ffff f7c1248d0e5b369f2a4e1d7c00000ba1"}]}])
        equal([s[1] for s in services(stage)], ["1800", vendor(0)], "services")

    with case("a peer with more attributes than the daemon keeps is refused, not kept"):
        stage.drop()
        stage.conn = stage.connect()
        script(stage.peer, rules=[{"on": "read_group", "do": [{"send": "1106 {start} {start} 0d18"}]}])
        with memory(stage.pid, 4096):
            for _ in range(5):
                one_of(lambda: services(stage), *BOUNDED, "ok")
        stage.alive()

    with case("nothing was left behind"):
        stage.nothing_left()

finish()
