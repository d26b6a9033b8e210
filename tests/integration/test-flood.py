#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: speed=4 timeout=400
"""Ten thousand notifications at link speed, to a descriptor and to signals, beside a subscriber that never reads."""
import os
import socket
import struct
import time

from aioble_test import *

COUNT = 10000
SIZE = 20
FLOOD = "a10b0004-7c1d-4e2a-9f36-5b0e8d24c1f7"
HEADER = struct.Struct("<BBHIQQ")
NOTIFIED, END = 1, 0xff


class Stream:
    """The reader of a descriptor: counts values, checks their order and the dropped numbers."""

    def __init__(self, fd):
        self.sock = socket.socket(fileno=fd)
        self.sock.setblocking(False)
        self.got, self.dropped, self.last, self.numbers, self.end = 0, 0, 0, [], None

    def drain(self):
        while self.end is None:
            try:
                record = self.sock.recv(65536)
            except BlockingIOError:
                return
            check(record, "a silent end")
            kind, flags, handle, dropped, seq, when = HEADER.unpack_from(record)
            if kind == END:
                self.end = record[25:].decode()
                return
            equal(kind, NOTIFIED, "record type")
            equal(seq, self.last + 1 + dropped, "sequence number")
            self.last = seq
            self.dropped += dropped
            self.got += 1
            self.numbers.append(struct.unpack_from("<I", record, HEADER.size)[0])


def find(connection, uuid):
    return next(c for s in connection.call("Discover", options={"timeout_ms": 30000}) for c in s[5] if c[1] == uuid)


def flood(connection, count):
    connection.call("WriteUuid", "say", FLOOD, struct.pack("<HHI", count, SIZE, 0), options={"timeout_ms": 30000})


def rss_kb():
    with open("/proc/%d/status" % service_pid()) as file:
        return int(next(line for line in file if line.startswith("VmRSS:")).split()[1])


start_service()
adapter = Adapter()
with peer("scripted-peer", "--device", "1", ready=None) as p:
    found = p.wait(r"^ready address=(\S+) type=(\S+)", 60)
    connection = connect(adapter, found[1], found[2], timeout_ms=30000)
    connection.call("ExchangeMtu", options={"timeout_ms": 10000})
    path = find(connection, FLOOD)[0]
    characteristic = Object(path, "Characteristic1")

    with case("%d notifications through a descriptor, none lost, a sleeper beside it" % COUNT):
        sleeper = Bus()  # subscribes to signals and never reads its connection again
        Object(path, "Characteristic1", sleeper).send("Subscribe", options={"signals": True, "queue": 256, "timeout_ms": 30000})
        time.sleep(2)
        fd, _ = characteristic.call("OpenNotify", options={"timeout_ms": 30000, "queue": 4096})
        stream = Stream(fd)
        flood(connection, COUNT)
        deadline = time.monotonic() + 120
        while stream.got + stream.dropped < COUNT and time.monotonic() < deadline:
            select.select([stream.sock], [], [], 1)
            stream.drain()
        equal((stream.got, stream.dropped), (COUNT, 0), "got and dropped")
        equal(stream.numbers, list(range(COUNT)), "order")
        stream.sock.close()

    with case("the sleeper costs nobody anything, and what it misses is counted"):
        between(rss_kb(), 1, 400000, "resident kB")  # sanitizers included; growth is what the next line is about
        before = rss_kb()
        other = listening_bus()
        subscription = Object(Object(path, "Characteristic1", other).call("Subscribe", options={"timeout_ms": 30000}),
                              "Subscription1", other)
        began = time.monotonic()
        flood(connection, COUNT)
        for _ in range(50):
            connection.get("Mtu")
        between(time.monotonic() - began, 0, 60, "seconds for fifty calls in a flood")
        eventually(lambda: subscription.get("Received") == COUNT, 90, "not all arrived", step=0.5)
        between(rss_kb() - before, -100000, 16384, "growth in kB")
        queued, dropped = subscription.get("Queued"), subscription.get("Dropped")
        equal(queued + dropped, COUNT, "queued and dropped")
        subscription.call("Stop")
        other.close()
        sleeper.close()

    with case("%d notifications through signals: none lost, or exactly counted" % COUNT):
        subscription = Object(characteristic.call("Subscribe", options={"signals": True, "queue": 4096, "timeout_ms": 30000}),
                              "Subscription1")
        serial = connection.send("WriteUuid", "say", FLOOD, struct.pack("<HHI", COUNT, SIZE, 0), options={"timeout_ms": 60000})
        got, dropped, last = 0, 0, 0
        deadline = time.monotonic() + 120
        while got + dropped < COUNT and time.monotonic() < deadline:
            values, dropped = subscription.wait("Notified", 60).body
            for seq, when, value in values:
                check(seq > last, "order")
                last = seq
                got += 1
        equal(got + dropped, COUNT, "got and dropped")
        print("# signals: %d got, %d dropped" % (got, dropped))
        connection.result(serial, 60)
        subscription.call("Stop")

    with case("write commands through a descriptor push back and all arrive"):
        counter = find(connection, "a10b0002-7c1d-4e2a-9f36-5b0e8d24c1f7")
        fd, mtu = Object(counter[0], "Characteristic1").call("OpenWrite")
        before = struct.unpack("<I", Object(counter[0], "Characteristic1").call("Read", options={"timeout_ms": 30000})[:4])[0]
        with socket.socket(fileno=fd) as sock:
            sock.settimeout(60)
            for i in range(2000):
                sock.send(struct.pack("<I", i) * 5)
            # closed only when all is taken: what is in the socket still belongs to the link
        eventually(lambda: struct.unpack("<I", Object(counter[0], "Characteristic1").call(
            "Read", options={"timeout_ms": 30000})[:4])[0] == before + 2000, 60, "not all commands arrived", step=0.5)

    with case("a stream ends with a reason when the link does"):
        fd, _ = characteristic.call("OpenNotify", options={"timeout_ms": 30000})
        stream = Stream(fd)
        connection.call("Disconnect", options={"timeout_ms": 10000})
        eventually(lambda: stream.drain() or stream.end, 15, "no end record")
        equal(stream.end, "org.aioble.Error.Disconnected", "reason")

finish()
