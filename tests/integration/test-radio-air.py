#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=240 controllers=2 radio=yes
"""What the daemon hears and feels of an air that behaves: distance, duty cycles, losses, many peers, controllers that fail."""
from radio_cases import *
from gatt_cases import FLOOD, LONG, Stream, Tree, numbers, open_notify

ME = "kernel0"

radio = Control(CONTROL)
start_service()
adapter = Adapter()


def scan(**options):
    return Object(adapter.call("Scan", options=options), "Scanner1")


def taken(scanner, seconds, where=lambda r: True):
    """Reports of this many seconds."""
    end, got = time.monotonic() + seconds, []
    while time.monotonic() < end:
        try:
            reports, _ = scanner.call("Next", options={"timeout_ms": 500, "max": 256})
        except BusError as error:
            equal(error.name, "org.aioble.Error.Timeout", "error")
            continue
        got += filter(where, reports)
    return got


with case("RSSI follows the way that an advertiser walks"):
    scanner = scan(interval_us=20000, window_us=20000, queue=4096)
    radio.ask("advert", name="walker", address="C0:00:00:00:00:01", interval_ms=50, data="[01 06]",
              walk=[{"at_ms": 0, "dbm": -40}, {"at_ms": 8000, "dbm": -90}])
    heard = taken(scanner, 9, lambda r: r["address"].upper() == "C0:00:00:00:00:01")
    scanner.call("Stop")
    quiet(radio)
    walk = [(r["time_us"], r["rssi"]) for r in heard if -88 <= r["rssi"] <= -42]
    check(len(walk) > 80, "only %d reports of the walk" % len(walk))
    equal([b for (_, a), (_, b) in zip(walk, walk[1:]) if b > a], [], "steps back")
    (first, top), (last, bottom) = walk[0], walk[-1]
    slope = (top - bottom) / (last - first) * 1e6
    print("# %d reports, %.2f dB a second" % (len(walk), slope))
    check(top >= -50 and bottom <= -80, "from %d to %d dBm" % (top, bottom))
    between(slope, 5.5, 7, "dB a second")  # 50 dB in 8 s

with case("two scanners with different duty cycles hear different shares"):
    radio.ask("advert", name="beacon", address="C0:00:00:00:00:02", interval_ms=30, data="[ff ffff {counter:4}]")
    with host(radio) as other:
        sent = lambda: radio.ask("adverts")["adverts"][0]["events"]  # noqa: E731
        other.command(0x200B, struct.pack("<BHHBB", 0, 0x00c8, 0x0014, 0, 0))  # 125 ms, of these 12.5 ms
        scanner = scan(interval_us=100000, window_us=50000, queue=4096)
        time.sleep(0.5)
        before = sent()
        other.command(0x200C, b"\1\0")
        mine = taken(scanner, 8, lambda r: r["address"].upper() == "C0:00:00:00:00:02")
        other.command(0x200C, b"\0\0")
        events = sent() - before
        theirs = len([1 for kind, head, body in other.packets if kind == 4 and head == 0x3e and body[0] == 2])
        scanner.call("Stop")
    quiet(radio)
    print("# of %d events heard: by the daemon %d (half of the time), by the other %d (a tenth)" % (events, len(mine), theirs))
    between(len(mine) / events, 0.4, 0.6, "the daemon's share")
    between(theirs / events, 0.05, 0.16, "the other's share")

with case("a pair that is parted: both sides are told 0x08, not before the supervision timeout"):
    with scripted(radio) as p:
        conn = connect(adapter, p.address, timeout_ms=20000, supervision_timeout_ms=1000)
        p.wait(r"^connected\b")
        began = time.monotonic()
        radio.ask("loss", **{"from": ME, "to": p.name, "out_of_range": True})
        reason = conn.wait("Disconnected", 20).body[0]
        passed = time.monotonic() - began
        equal(reason, 0x08, "reason here")
        equal(p.wait(r"^disconnected .*reason=(\S+)", 20)[1], "0x08", "reason there")
        between(passed, 0.9, 5, "seconds")
        radio.ask("loss", **{"from": ME, "to": p.name, "clear": True})
        connect(adapter, p.address, timeout_ms=20000).call("Disconnect")

with case("the first packets of a link get lost: 0x3e, which no client sees"):
    with scripted(radio) as p:
        radio.ask("subscribe", events=["links"])
        before = adapter.get("Stats")["connect_retries"]
        radio.ask("fault", name="first", match={"from": ME, "to": p.name, "pdus": ["data", "empty", "control"]}, do="drop", times=6)
        conn = connect(adapter, p.address, timeout_ms=20000)
        equal(conn.get("Connected"), True)
        equal(radio.ask("faults")["faults"][0]["done"], True, "six packets lost")
        check(adapter.get("Stats")["connect_retries"] > before, "nothing was retried")
        told = []
        eventually(lambda: told.append(radio.ask("air")) or [e for e in radio.events if e.get("reason") == 0x3e], 5,
                   "no link ended by 0x3e: %r" % radio.events)
        conn.call("Disconnect")
    quiet(radio)

with case("eight peripherals at once, each with its own data"), contextlib.ExitStack() as stack:
    peers = [stack.enter_context(scripted(radio)) for _ in range(8)]
    waiting = [adapter.send("Connect", "ss", p.address, "public", options={"timeout_ms": 60000}) for p in peers]
    links = [Object(adapter.result(serial, 70), "Connection1") for serial in waiting]
    equal(adapter.get("LinksInUse"), 8, "links")
    trees = [Tree(c, timeout_ms=30000) for c in links]
    for number, tree in enumerate(trees):
        tree.char(LONG).call("Write", "ay", bytes([number]) * 20, options={"timeout_ms": 20000})
    for number, tree in enumerate(trees):
        equal(tree.char(LONG).call("Read", options={"timeout_ms": 20000}), bytes([number]) * 20, "value of peer %d" % number)
    streams = [open_notify(tree.char(FLOOD)) for tree in trees]
    for number, tree in enumerate(trees):
        tree.char(FLOOD).call("Write", "ay", struct.pack("<H", 20 + number), options={"timeout_ms": 20000})
    for number, stream in enumerate(streams):
        equal(numbers(stream.take(20 + number, 40)), list(range(20 + number)), "numbers from peer %d" % number)
        stream.close()
    state = controller(radio, ME)
    equal(len({link["handle"] for link in state["links"]}), 8, "handles")
    for c in links:
        c.call("Disconnect", options={"timeout_ms": 20000})

with case("2,000 advertisers, each with its own counter: what the kernel hears the daemon hears, and tells or counts as lost"):
    count, each = 2000, 4
    raw = Reports(0)
    # A scanner that goes to the next channel at the wrong moment misses an event, or hears it twice: let it stay for long.
    scanner = scan(interval_us=1280000, window_us=1280000, queue=4096)
    stream = Stream(scanner.call("Open"))
    eventually(lambda: controller(radio, ME)["scanner"]["on"])
    before = controller(radio, ME)["scanner"]["heard"]
    radio.ask("advert", name="tag", count=count, address="C1:00:00:00:00:00", interval_ms=1000, events=each,
              data="[ff ffff {index:2}{counter:4}]")
    told = 0
    while stream.next(5):
        told += 1
    heard = [r for r in raw.stop() if r[1].startswith("C1:00:00:00:")]
    air = controller(radio, ME)["scanner"]["heard"] - before
    received = scanner.get("Received")
    span = heard[-1][0] - heard[0][0]
    print("# sent %d, heard by the controller %d, by the kernel %d, by the daemon %d, told %d, lost in its queue %d" % (
        count * each, air, len(heard), received, told, stream.dropped))
    print("# %.0f reports a second in %.1f s" % (len(heard) / span, span))
    different = len({(a, d) for _, a, d in heard})
    equal(len({a for _, a, _ in heard}), count, "addresses")
    equal((len(heard), received), (air, air), "reports in the kernel and in the daemon")
    equal(told + stream.dropped, received, "reports told or counted as lost")
    check(different >= 0.99 * count * each, "only %d of %d were heard" % (different, count * each))
    between(air - different, 0, count * each // 100, "reports heard twice")
    stream.close()
    quiet(radio)

with case("pulled and put in again: links and scans end, and the adapter comes back as it was"), scripted(radio) as p:
    address = adapter.get("Address")
    scanner = scan()
    conn = connect(adapter, p.address, timeout_ms=20000)
    p.wait(r"^connected\b")
    radio.ask("unplug", controller=ME, for_ms=1500)
    eventually(lambda: not adapter.exists() and not conn.exists(), why="adapter and link are still there")
    equal(p.wait(r"^disconnected .*reason=(\S+)", 20)[1], "0x08", "what the peer was told")
    adapter = Adapter(timeout=40)
    equal(adapter.get("Address"), address, "address")
    connect(adapter, p.address, timeout_ms=20000).call("Disconnect")

with case("a hardware error: the adapter is set up anew"), scripted(radio) as p:
    conn = connect(adapter, p.address, timeout_ms=20000)
    radio.ask("hardware-error", controller=ME, code=0x42)
    eventually(lambda: not conn.exists(), 20, "the link is still there")
    adapter = Adapter(timeout=40)
    connect(adapter, p.address, timeout_ms=30000).call("Disconnect")

with case("a command that is never answered costs time, and no more"), scripted(radio) as p:
    radio.ask("fault", name="deaf", match={"controller": ME, "command": "LE Set Extended Scan Enable"}, do="unanswered", times=1)
    began = time.monotonic()
    scanner = scan(interval_us=20000, window_us=20000)
    eventually(lambda: taken(scanner, 0.5, lambda r: r["address"].upper() == p.address), 40, "nothing is heard any more")
    print("# heard after %.1f s" % (time.monotonic() - began))
    equal(radio.ask("faults")["faults"][0]["done"], True, "the command was sent, and not answered")
    scanner.call("Stop")
    quiet(radio)

finish()
