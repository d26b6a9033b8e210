#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=420 controllers=1 radio=yes adapters=all
"""What our advertisers put on the air, heard by hosts without a stack; hci0 has advertising sets, one more controller has none."""
from radio_cases import *

IND, DIRECT, SCAN_IND, NONCONN, SCAN_RSP = range(5)
LE_EVENT_MASK, SET_EXT_SCAN_PARAMS, SET_EXT_SCAN_ENABLE = 0x2001, 0x2041, 0x2042
LE_EXT_REPORT = 0x0d

radio, mgmt = Control(CONTROL), Mgmt()
start_service()
adapter = Adapter()
us = adapter.get("Address").upper()
bus = shared_bus()


class Heard:
    """One report: when, kind, address, its type, data."""

    def __init__(self, when, kind, address, kind_of_address, data):
        self.when, self.kind, self.address, self.random, self.data = when, kind, address, kind_of_address == 1, data

    def __repr__(self):
        return "%s %s %s" % (self.kind, self.address, self.data.hex())


class Observer:
    """A host that scans all the time, legacy packets or all of them."""

    def __init__(self, active=False, extended=False):
        self.active, self.extended = active, extended

    def __enter__(self):
        self.context = host(radio)
        self.host = self.context.__enter__()
        if self.extended:
            self.host.command(LE_EVENT_MASK, b"\x1f\x10" + bytes(6))
            self.host.command(SET_EXT_SCAN_PARAMS, struct.pack("<BBBBHH", 0, 0, 1, self.active, 0x20, 0x20))
            self.host.command(SET_EXT_SCAN_ENABLE, struct.pack("<BBHH", 1, 0, 0, 0))
        else:
            self.host.command(0x200B, struct.pack("<BHHBB", self.active, 0x20, 0x20, 0, 0))
            self.host.command(0x200C, b"\1\0")
        return self

    def __exit__(self, *error):
        self.context.__exit__(*error)

    def reports(self, packet, when):
        kind, head, body = packet
        if kind != 4 or head != 0x3e:
            return
        if body[0] == 0x02:
            at = 2
            for _ in range(body[1]):
                length = body[at + 8]
                yield Heard(when, body[at], body[at + 2:at + 8][::-1].hex(":").upper(), body[at + 1],
                            body[at + 9:at + 9 + length])
                at += 10 + length
        elif body[0] == LE_EXT_REPORT:
            at = 2
            for _ in range(body[1]):
                properties, length = struct.unpack_from("<H", body, at)[0], body[at + 23]
                legacy = {0x13: IND, 0x12: SCAN_IND, 0x10: NONCONN, 0x1b: SCAN_RSP, 0x1a: SCAN_RSP}
                yield Heard(when, legacy.get(properties, "extended"), body[at + 3:at + 9][::-1].hex(":").upper(), body[at + 2],
                            body[at + 24:at + 24 + length])
                at += 24 + length

    def packets(self, end):
        """What has come and what comes until then."""
        while self.host.packets:
            yield self.host.packets.pop(0)
        while time.monotonic() < end:
            if self.host.buf or select.select([self.host.sock], [], [], max(0, end - time.monotonic()))[0]:
                yield self.host.read()

    def take(self, seconds, where=lambda r: True):
        """Reports of this many seconds."""
        return [r for packet in self.packets(time.monotonic() + seconds) for r in self.reports(packet, time.monotonic()) if where(r)]

    def drain(self):
        self.take(0.3)

    def wait(self, where, seconds=15, what="report"):
        """The first report like this."""
        for packet in self.packets(time.monotonic() + seconds):
            for r in self.reports(packet, time.monotonic()):
                if where(r):
                    return r
        fail("no %s within %g s" % (what, seconds))


def advertise(interval_us=100000, on=None, **options):
    return Object((on or adapter).call("Advertise", "t", interval_us, options=options), "Advertiser1")


def named(name):
    return lambda r: name.encode() in r.data


def finished(adv, reason, timeout=15):
    equal(adv.wait("Finished", timeout).body[0], reason, "reason")


def manufacturer(company, data):
    return ("(qay)", (company, data))


@contextlib.contextmanager
def on_air(*args, **kw):
    adv = advertise(*args, **kw)
    try:
        yield adv
    finally:
        with contextlib.suppress(BusError):
            adv.call("Stop")


with case("aioble's sensor: its bytes, its kind, its address, its interval"), Observer() as o:
    data = bytes.fromhex("020106 03031a18 0b0974656d702d73656e7365 03190003 07ffcdab31323334")
    with on_air(250000, name="temp-sense", services=("as", ["181a"]), appearance=("q", 768),
                manufacturer=manufacturer(0xabcd, b"1234")) as adv:
        p = adv.get_all()
        equal((p["AdvData"], p["RespData"], p["IntervalUs"], p["State"]), (data, b"", 250000, "running"))
        heard = o.take(8, lambda r: r.data == data)
        check(len(heard) > 20, "only %d packets in 8 s" % len(heard))
        equal({(r.kind, r.address, r.random) for r in heard}, {(IND, us, False)}, "kind and address")
        steps = sorted(b.when - a.when for a, b in zip(heard, heard[1:]))
        print("# %d packets, median interval %.1f ms" % (len(heard), steps[len(steps) // 2] * 1000))
        between(steps[len(steps) // 2], 0.245, 0.275, "seconds between packets")
        equal(o.take(0.5, lambda r: r.kind == SCAN_RSP), [], "scan responses that nobody asked for")

with case("what does not fit is in the scan response, for those who ask"), Observer(active=True) as o:
    with on_air(name="a name of 25 characters..", services=("as", ["180d"])):
        response = o.wait(lambda r: r.kind == SCAN_RSP and r.address == us, what="scan response")
        equal(response.data, b"\x1a\x09a name of 25 characters..")
        equal(o.wait(lambda r: r.kind == IND and r.address == us).data, bytes.fromhex("020106 03030d18"))

with case("what is not connectable: its kind with and without a scan response, an address that is not ours"), Observer() as o:
    with on_air(connectable=False, name="beacon"):
        one = o.wait(named("beacon"))
        equal((one.kind, one.random, int(one.address[:2], 16) >> 6), (NONCONN, True, 0), "kind, a private address")
    with on_air(connectable=False, name="beacon", manufacturer=manufacturer(1, bytes(20))):
        other = o.wait(lambda r: named("beacon")(r) and r.kind == SCAN_IND, what="scannable packet")
        check(other.address not in (us, one.address), "the address is the same")

with case("stopped it is off the air when Stop answers"), Observer() as o:
    adv = advertise(20000, name="brief")
    o.wait(named("brief"))
    adv.call("Stop")
    finished(adv, "stopped")
    o.drain()
    equal(o.take(1, named("brief")), [], "packets")
    check(not adv.exists(), "the object is still there")

with case("an update in place: no packet of the old after the answer, none missing"), Observer() as o:
    with on_air(50000, name="old") as adv:
        o.wait(named("old"))
        adv.call("Update", options={"name": "new"})
        changed = time.monotonic()
        heard = o.take(2, lambda r: r.address == us)
        check(not [r for r in heard if b"old" in r.data and r.when > changed + 0.3], "the old data goes on")
        check([r for r in heard if b"new" in r.data], "the new data is not heard")
        check(max(b.when - a.when for a, b in zip(heard, heard[1:])) < 0.25, "a gap")
        adv.call("Update", options={"name": "a name of 25 characters..", "services": ("as", ["180d"])})
        equal(len(adv.get("RespData")), 27)
        adv.call("Update", options={"name": "short"})
        equal(adv.get("RespData"), b"", "the scan response is gone")
        with Observer(active=True) as active:
            active.wait(named("short"))
            equal([r for r in active.take(1, lambda r: r.kind == SCAN_RSP and r.address == us) if r.data], [], "scan response")

with case("as many at once as the controller has sets, and one too many"), Observer() as o, contextlib.ExitStack() as stack:
    limit = adapter.get("AdvertisersMax")
    print("# %d sets" % limit)
    check(limit >= 3, "only %d" % limit)
    for i in range(limit):
        stack.enter_context(on_air(100000, name="set-%d" % i))
    equal(adapter.get("AdvertisersInUse"), limit)
    heard = o.take(4, lambda r: b"set-" in r.data)
    for i in range(limit):
        check(len([r for r in heard if b"set-%d" % i in r.data]) > 10, "set-%d is hardly heard" % i)
    with raises("NoSlots", limit=limit, holder=bus.name):
        advertise(on=Adapter(bus=listening_bus()))  # the quota of the one who has them all is used up, too
    stack.close()
    equal(adapter.get("AdvertisersInUse"), 0)

with case("its time is over after timeout_ms"), Observer() as o:
    began = time.monotonic()
    adv = advertise(20000, name="timed", timeout_ms=1500)
    finished(adv, "timeout")
    passed = time.monotonic() - began
    o.drain()
    equal(o.take(1, named("timed")), [], "packets")
    between(passed, 1.4, 3, "seconds")
    equal(adv.call("Next")[:2], ["finished", "/"], "event")

with case("the adapter goes off and on: so does it"), Observer() as o:
    with on_air(50000, name="steady") as adv:
        o.wait(named("steady"))
        adapter.call("SetPowered", "b", False)
        equal(adv.get("State"), "paused", "state")
        o.drain()
        equal(o.take(1, named("steady")), [], "packets")
        adapter.call("SetPowered", "b", True)
        o.wait(named("steady"))
        equal(adv.get("State"), "running", "state")
        mgmt.power(0, False)  # somebody else
        eventually(lambda: adv.get("State") == "paused", 10)
        o.drain()
        mgmt.power(0, True)
        o.wait(named("steady"))
        eventually(lambda: adv.get("State") == "running", 10)

with case("removed by others it comes back once"), Observer() as o:
    with on_air(50000, name="again") as adv:
        o.wait(named("again"))
        mgmt.done(0x3f, 0, b"\1")
        eventually(lambda: adv.get("State") == "paused", 5)
        eventually(lambda: adv.get("State") == "running", 5)
        o.drain()
        o.wait(named("again"))
        mgmt.done(0x3f, 0, b"\1")
        finished(adv, "org.aioble.Error.Busy")


def connected(adv, timeout=20):
    return Object(adv.wait("Connected", timeout).body[0], "Connection1")


with case("a central connects: who, to whom, whose, and silence after it"), Observer() as o, host(radio) as phone:
    adv = advertise(30000, name="mirror")
    other = advertise(100000, connectable=False, name="beside")
    status, handle = phone.connect(us)
    equal(status, 0, "status")
    conn = connected(adv)
    finished(adv, "connected")
    p = conn.get_all()
    equal((p["Address"].upper(), p["Role"], p["Holders"], p["Lifetime"]), (phone.address.upper(), "peripheral", [bus.name], "linger"))
    equal(phone.att(handle, b"\x02\x17\x00")[0], 3, "answer to Exchange MTU")
    o.drain()
    equal(o.take(1, named("mirror")), [], "packets beside the link")
    o.wait(named("beside"))
    phone.command(DISCONNECT, struct.pack("<HB", handle, 0x13))
    conn.wait("Disconnected")
    o.drain()
    equal(o.take(2, named("mirror")), [], "packets after the link")
    o.wait(named("beside"))
    other.call("Stop")
    equal(adapter.get("AdvertisersInUse"), 0)

with case("two connectable ones: the controller says which"), contextlib.ExitStack() as stack:
    first, second = (stack.enter_context(on_air(30000, name=n)) for n in ("first", "second"))
    phones = [stack.enter_context(host(radio)) for _ in range(2)]
    for phone in phones:
        equal(phone.connect(us)[0], 0, "status")
    conns = [connected(adv) for adv in (first, second)]
    equal({c.get("Address").upper() for c in conns}, {phone.address.upper() for phone in phones})
    finished(first, "connected")
    finished(second, "connected")
    for c in conns:
        c.call("Disconnect")

with case("with keep it goes on, beside the link and after it"), Observer() as o, contextlib.ExitStack() as stack:
    adv = stack.enter_context(on_air(30000, name="keeper", keep=True))
    for number in range(3):
        phone = stack.enter_context(host(radio))
        status, handle = phone.connect(us)
        equal(status, 0, "status")
        conn = connected(adv)
        equal(conn.get("Address").upper(), phone.address.upper())
        o.drain()
        o.wait(named("keeper"), 3, "packet beside %d links" % (number + 1))
    equal(adv.get("Connections"), 3)
    conn.call("Disconnect")
    o.drain()
    o.wait(named("keeper"), 3)
    equal(adv.get("State"), "running")
    for path in objects("Connection1"):
        Object(path, "Connection1").call("Disconnect")

with case("a central that comes just as the time is over is told, or there is none"), host(radio) as phone:
    told = []
    for step in range(10):
        adv = advertise(20000, name="edge", timeout_ms=300 + 4 * step)
        time.sleep(0.29)
        phone.send_command(0x200D, struct.pack("<HHBB6sBHHHHHH", 0x60, 0x60, 0, 0, bytes.fromhex(us.replace(":", ""))[::-1],
                                               0, 24, 24, 0, 100, 0, 0))
        reason = adv.wait("Finished", 15).body[0]
        told.append(reason)
        if reason == "connected":
            equal(adv.call("Next")[0], "connected")
            Object(adv.get("Connection"), "Connection1").call("Disconnect")
        else:
            equal((reason, adv.get("Connection")), ("timeout", "/"))
            phone.send_command(0x200E)  # LE Create Connection Cancel
        equal(phone.event(0x3e, 1)[0], 0 if reason == "connected" else 2, "status of the connection there")
        if reason == "connected":
            phone.event(DISCONNECTED)
    print("# %r" % told)
    equal(objects("Connection1"), [], "links")

with case("extended: long payloads for those who hear them"), Observer(extended=True) as new, Observer() as old:
    name = "".join(chr(ord("a") + i % 26) for i in range(200))
    for phy in ("1M", "2M"):
        with on_air(50000, extended=True, secondary_phy=phy, name=name) as adv:
            got = new.wait(lambda r: r.kind == "extended" and r.address == us, what="extended packet")
            equal(got.data, bytes.fromhex("020106") + bytes([201, 9]) + name.encode())
            equal(adv.get("AdvData"), got.data)
            equal(old.take(1, lambda r: r.address == us), [], "legacy packets")
    with raises("TooLong", key="name"):
        advertise(extended=True, name="x" * 247)

with case("the daemon is killed: what it advertised goes with its next start"), Observer() as o:
    adv = advertise(50000, name="orphan", lifetime="persistent")
    o.wait(named("orphan"))
    kill_service()
    eventually(lambda: service_state() == "active", 20)
    adapter = Adapter()
    o.drain()
    equal(o.take(1, named("orphan")), [], "packets")
    equal(adapter.get("AdvertisersInUse"), 0)

with case("stopped the daemon leaves nothing on the air"), Observer() as o:
    advertise(50000, name="leaving")
    o.wait(named("leaving"))
    stop_service()
    o.drain()
    equal(o.take(1, named("leaving")), [], "packets")
    start_service()
    adapter = Adapter()

with case("busctl alone: Advertise, Next, and something on the connection, each its own process"), host(radio) as phone:
    path = busctl("call", "org.aioble", adapter.path, "org.aioble.Adapter1", "Advertise", "ta{sv}", "30000", "1", "name", "s", "shell")
    path = path["data"][0]
    status, handle = phone.connect(us)
    equal(status, 0, "status")
    event, conn, _ = busctl("call", "org.aioble", path, "org.aioble.Advertiser1", "Next", "a{sv}", "1", "timeout_ms", "u", "20000")["data"]
    equal(event, "connected", "event")
    address = busctl("get-property", "org.aioble", conn, "org.aioble.Connection1", "Address")["data"]
    equal(address.upper(), phone.address.upper(), "address")
    busctl("call", "org.aioble", conn, "org.aioble.Connection1", "Disconnect", "a{sv}", "0")

with case("aioblectl advertise prints who connects"), host(radio) as phone:
    ctl = subprocess.Popen(["aioblectl", "advertise", "--name", "mirror", "--interval", "30"], stdout=subprocess.PIPE, text=True)
    eventually(lambda: adapter.get("AdvertisersInUse") == 1, 15)
    equal(phone.connect(us)[0], 0, "status")
    out, _ = ctl.communicate(timeout=30)
    address, kind, path = out.split()
    equal((ctl.returncode, address.upper(), kind), (0, phone.address.upper(), "public"))
    Object(path, "Connection1").call("Disconnect")

# --- a controller without advertising sets: one after the other, by the kernel ---

before = mgmt.indexes()
radio.ask("plug", name="old", profile="4.2,le-states")
eventually(lambda: mgmt.indexes() > before, 20)
index, = mgmt.indexes() - before
old = Adapter("hci%d" % index)
theirs = old.get("Address").upper()

with case("without sets: kind, interval, scan response"), Observer(active=True) as o:
    with on_air(200000, on=old, name="a name of 25 characters..", services=("as", ["180d"])) as adv:
        heard = o.take(6, lambda r: r.address == theirs and r.kind == IND)
        steps = sorted(b.when - a.when for a, b in zip(heard, heard[1:]))
        check(len(steps) > 15, "only %d packets" % len(heard))
        between(steps[len(steps) // 2], 0.195, 0.225, "seconds between packets")
        equal(o.wait(lambda r: r.address == theirs and r.kind == SCAN_RSP).data, b"\x1a\x09a name of 25 characters..")
    with on_air(1000000, on=old, connectable=False, name="beacon") as adv:
        equal(adv.get("IntervalUs"), 150000)
        heard = o.take(4, named("beacon"))
        steps = sorted(b.when - a.when for a, b in zip(heard, heard[1:]))
        print("# not connectable, a second asked: %.1f ms" % (steps[len(steps) // 2] * 1000))
        between(steps[len(steps) // 2], 0.095, 0.165, "seconds between packets")
    with raises("NotSupported"):
        advertise(on=old, extended=True)

with case("without sets: several take turns"), Observer() as o, contextlib.ExitStack() as stack:
    for i in range(3):
        stack.enter_context(on_air(50000, on=old, name="turn-%d" % i))
    heard = o.take(9, lambda r: b"turn-" in r.data)
    shares = [len([r for r in heard if b"turn-%d" % i in r.data]) for i in range(3)]
    print("# packets of each in 9 s: %r" % shares)
    check(min(shares) > 20, "one is hardly heard: %r" % shares)

with case("without sets: a central gets the oldest; the others go on"), Observer() as o, host(radio) as phone:
    first = advertise(30000, on=old, name="first")
    second = advertise(30000, on=old, name="second")
    status, handle = phone.connect(theirs)
    equal(status, 0, "status")
    conn = connected(first)
    finished(first, "connected")
    o.drain()
    o.wait(named("second"), 5)
    equal(o.take(2, named("first")), [], "packets of the first")
    conn.call("Disconnect")
    o.drain()
    equal(o.take(2, named("first")), [], "packets of the first after the link")
    o.wait(named("second"), 5)
    second.call("Stop")

with case("without sets: with keep it goes on beside the link"), Observer() as o, host(radio) as phone:
    with on_air(30000, on=old, name="keeper", keep=True) as adv:
        equal(phone.connect(theirs)[0], 0, "status")
        conn = connected(adv)
        o.drain()
        o.wait(named("keeper"), 3)
        conn.call("Disconnect")
        o.drain()
        o.wait(named("keeper"), 3)

with case("unplugged while it advertises"):
    adv = advertise(on=old, name="pulled")
    radio.ask("unplug", controller="old")
    finished(adv, "org.aioble.Error.NotFound")

quiet(radio)
finish()
