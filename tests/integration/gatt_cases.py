# SPDX-License-Identifier: GPL-2.0-or-later
"""What the interop and hostile tests share: a peer's attributes as objects, and cases that hold for every peer.

The cases use the vendor service of tests/peers/README.md, which all peers have.
"""
import os
import struct

from aioble_test import *

NOTIFIED, INDICATED, END = 1, 2, 0xff
RECORD = struct.Struct("<BBHIQQ")  # include/aiobled/stream.h


def vendor(number):
    return "a10b%04x-7c1d-4e2a-9f36-5b0e8d24c1f7" % number


LONG, COUNT, ECHO, FLOOD, REFUSED = map(vendor, range(1, 6))
LONG_VALUE = bytes(i & 0xff for i in range(300))


def address_of(p):
    """Address a peer printed when it became ready."""
    return re.search(r"^ready\b.* address=(\S+)", "\n".join(p.lines), re.M)[1].upper()


class Tree:
    """The whole database of a peer, asked for in one call."""

    def __init__(self, conn, **options):
        self.conn = conn
        self.services = conn.call("Discover", options=options)

    def service(self, uuid):
        """(path, uuid, handle, end handle, primary, characteristics)"""
        found = [s for s in self.services if s[1] == uuid]
        equal(len(found), 1, "services " + uuid)
        return found[0]

    def row(self, uuid):
        """(path, uuid, declaration, handle, end handle, properties, descriptors)"""
        found = [c for s in self.services for c in s[5] if c[1] == uuid]
        equal(len(found), 1, "characteristics " + uuid)
        return found[0]

    def char(self, uuid):
        row = self.row(uuid)
        made = Object(row[0], "Characteristic1", self.conn.bus)
        made.handle = row[3]
        return made

    def descriptor(self, characteristic, uuid):
        found = [d for d in self.row(characteristic)[6] if d[1] == uuid]
        equal(len(found), 1, "descriptors %s of %s" % (uuid, characteristic))
        return Object(found[0][0], "Descriptor1", self.conn.bus)


def subscribe(characteristic, **options):
    return Object(characteristic.call("Subscribe", options=options), "Subscription1", characteristic.bus)


def next_value(subscription, timeout_ms=20000):
    """(kind, value)"""
    kind, value, _ = subscription.call("Next", options={"timeout_ms": timeout_ms})
    return kind, value


class Stream:
    """Records of a descriptor the daemon handed out."""

    def __init__(self, fd):
        self.fd = fd
        self.dropped = 0

    def next(self, timeout=20):
        """(type, seq, payload), None when nothing comes in time"""
        if not select.select([self.fd], [], [], timeout)[0]:
            return None
        data = os.read(self.fd, 4096)
        check(data, "the descriptor ended without a record")
        kind, _, _, dropped, seq, _ = RECORD.unpack_from(data)
        self.dropped += dropped
        return kind, seq, data[RECORD.size:]

    def take(self, count, timeout=20):
        """Payloads of this many values."""
        values = []
        while len(values) < count:
            record = self.next(timeout)
            check(record, "only %d of %d values came" % (len(values), count))
            check(record[0] != END, "the stream ended after %d values: %r" % (len(values), record[2]))
            values.append(record[2])
        return values

    def close(self):
        os.close(self.fd)


def open_notify(characteristic, **options):
    fd, path = characteristic.call("OpenNotify", options=options)
    stream = Stream(fd)
    stream.subscription = Object(path, "Subscription1", characteristic.bus)
    return stream


def numbers(values):
    return [struct.unpack_from("<I", v)[0] for v in values]


def gone(conn):
    """The link has ended and left no object."""
    eventually(lambda: not conn.exists(), 10, "the connection is still there")
    left = [path for path in managed_objects(conn.bus) if path.startswith(conn.path + "/")]
    equal(left, [], "objects of the connection")


def disconnect(conn, p):
    conn.call("Disconnect", options={"timeout_ms": 10000})
    p.wait(r"^disconnected\b")
    gone(conn)


# Cases for every peer

def find_by_scan(adapter, name, uuid, address):
    with case("an active scan finds it by name and by service"):
        path = adapter.call("Scan", options={"active": True, "interval_us": 30000, "window_us": 30000, "uuids": ("as", [uuid])})
        scanner = Object(path, "Scanner1", adapter.bus)

        def named():
            reports, _ = scanner.call("Next", options={"timeout_ms": 20000})
            return next((r for r in reports if r.get("name") == name), None)
        report = eventually(named, 30, "no report carries the name")
        equal(report["address"].upper(), address, "address")
        contains(report["services"], uuid, "services")
        scanner.call("Stop")


def discovery(conn, tree, wanted):
    with case("the whole database is discovered"):
        for uuid, characteristics in wanted.items():
            found = [c[1] for c in tree.service(uuid)[5]]
            equal(found, characteristics, "characteristics of " + uuid)
    with case("handles are those of the specification's layout"):
        for service in tree.services:
            for row in service[5]:
                check(service[2] < row[2] < row[3] <= row[4] <= service[3], "handles of %s: %r" % (row[1], row[2:5]))
                for descriptor in row[6]:
                    check(row[3] < descriptor[2] <= row[4], "descriptor %r outside %r" % (descriptor, row[2:5]))
    with case("one service and one characteristic are found by UUID"):
        services = conn.call("DiscoverServices", options={"uuid": "180d"})
        equal([s[1] for s in services], ["180d"], "services")
        service = Object(services[0][0], "Service1", conn.bus)
        characteristics = service.call("DiscoverCharacteristics", options={"uuid": "2a38"})
        equal([c[1] for c in characteristics], ["2a38"], "characteristics")
        equal(conn.call("DiscoverServices", options={"uuid": "1820"}), [], "services that are not there")
    with case("descriptors are discovered by themselves"):
        found = tree.char(LONG).call("DiscoverDescriptors")
        contains([d[1] for d in found], "2901", "descriptors")
        equal(tree.descriptor(LONG, "2901").call("Read"), b"long value", "user description")


def reading(conn, tree):
    with case("a value is read by its object and by its UUID"):
        equal(tree.char("2a38").call("Read"), b"\x01", "body sensor location")
        value, handle = conn.call("ReadUuid", "s", "2a38")
        equal((value, handle), (b"\x01", tree.char("2a38").handle), "read by UUID")
        with raises("NotFound"):
            conn.call("ReadUuid", "s", "2a6e")
    with case("a long value is read whole, from an offset, and by UUID"):
        equal(tree.char(LONG).call("Read", options={"timeout_ms": 20000}), LONG_VALUE, "value")
        equal(tree.char(LONG).call("Read", options={"offset": 290, "timeout_ms": 20000}), LONG_VALUE[290:], "tail")
        equal(conn.call("ReadUuid", "s", LONG, options={"timeout_ms": 20000})[0], LONG_VALUE, "by UUID")
    with case("what the peer refuses carries its code and handle"):
        with raises("Gatt", att=0x80):
            tree.char(REFUSED).call("Read")
        with raises("Gatt", att=0x81):
            tree.char(REFUSED).call("Write", "ay", b"x")


def exchanging(conn, tree, wanted):
    with case("the MTU is exchanged once"):
        equal(conn.get("Mtu"), 23, "before")
        equal(conn.call("ExchangeMtu"), wanted, "result")
        equal(conn.get("Mtu"), wanted, "property")
        equal(conn.call("ExchangeMtu", options={"mtu": 100}), wanted, "second call")
        equal(tree.char(LONG).call("Read"), LONG_VALUE, "long value")


def writing(conn, tree, control_error=0x80, burst=300):
    with case("a request is answered, or refused"):
        tree.char("2a39").call("Write", "ay", b"\x01", options={"response": True})
        if control_error:
            with raises("Gatt", att=control_error):
                tree.char("2a39").call("Write", "ay", b"\x02", options={"response": True})
    with case("a value that does not fit is refused, cut, or written in parts, as asked"):
        long, room = tree.char(LONG), conn.get("Mtu") - 3
        with raises("TooLong", limit=room):
            long.call("Write", "ay", bytes(room + 1))
        equal(long.call("Read", options={"timeout_ms": 20000}), LONG_VALUE, "value after a refusal")
        value = bytes(range(255, 0, -1)) + b"end of a long value, written in several requests" * 4
        if room < len(value):
            long.call("Write", "ay", value, options={"truncate": True})
            equal(long.call("Read", options={"timeout_ms": 20000})[:room], value[:room], "cut value")
        long.call("Write", "ay", value, options={"long": True, "timeout_ms": 20000})
        equal(long.call("Read", options={"timeout_ms": 20000}), value, "long value")
        long.call("Write", "ay", LONG_VALUE, options={"long": True, "timeout_ms": 20000})
    with case("commands arrive, all of them"):
        counter = tree.char(COUNT)
        before = struct.unpack("<I", counter.call("Read"))[0]
        serials = [counter.send("Write", "ay", bytes([n]), options={"response": False}) for n in range(50)]
        for serial in serials:
            counter.result(serial)
        equal(struct.unpack("<I", counter.call("Read"))[0] - before, 50, "counted")
    with case("commands through a descriptor arrive, all of them"):
        counter = tree.char(COUNT)
        before = struct.unpack("<I", counter.call("Read"))[0]
        fd, room = counter.call("OpenWrite")
        equal(room, conn.get("Mtu") - 3, "room")
        for n in range(burst):
            os.write(fd, struct.pack("<I", n))
        os.close(fd)
        eventually(lambda: struct.unpack("<I", counter.call("Read"))[0] - before == burst, 30, "commands are missing")


def beating(tree, p):
    with case("notifications come, one after another"):
        subscription = subscribe(tree.char("2a37"))
        for _ in range(3):
            kind, value = next_value(subscription)
            equal(kind, "notified", "kind")
            between(value[1], 40, 200, "heart rate")
        subscription.call("Stop", options={"timeout_ms": 10000})
        p.wait(r"^unsubscribe\b|^cccd .*value=0000")
        check(not subscription.exists(), "the subscription is still there")


def bursting(tree):
    with case("a burst is delivered whole and in order through a descriptor"):
        stream = open_notify(tree.char(FLOOD))
        tree.char(FLOOD).call("Write", "ay", struct.pack("<H", 500), options={"response": True})
        equal(numbers(stream.take(500)), list(range(500)), "numbers")
        equal(stream.dropped, 0, "dropped")
        stream.close()
        eventually(lambda: not stream.subscription.exists(), 10, "closing the descriptor ends no subscription")
    with case("two subscribers share one CCCD, each gets everything"):
        one, two = open_notify(tree.char(FLOOD)), subscribe(tree.char(FLOOD), signals=True)
        tree.char(FLOOD).call("Write", "ay", struct.pack("<H", 20), options={"response": True})
        equal(numbers(one.take(20)), list(range(20)), "through the descriptor")
        values = []
        while len(values) < 20:
            values += [v[2] for v in two.wait("Notified", 20).body[0]]
        equal(numbers(values), list(range(20)), "by signals")
        one.close()
        two.call("Stop", options={"timeout_ms": 10000})


def indicating(conn, tree, p):
    with case("indications come and are confirmed"):
        subscription = subscribe(tree.char(ECHO), notify=False, indicate=True)
        for word in (b"one", b"two", b"three"):
            tree.char(ECHO).call("Write", "ay", word, options={"response": True})
            equal(next_value(subscription), ("indicated", word), "echo")
        subscription.call("Stop", options={"timeout_ms": 10000})
    with case("what a characteristic cannot do is said before anything is sent"):
        with raises("NotSupported"):
            tree.char("2a38").call("Subscribe")


def reconnecting(adapter, address, p, times=5):
    with case("it can be connected again right after a disconnect"):
        for _ in range(times):
            conn = connect(adapter, address, timeout_ms=30000)
            equal(conn.call("ReadUuid", "s", "2a38")[0], b"\x01", "value")
            disconnect(conn, p)
