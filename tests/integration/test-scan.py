#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=150
"""Scanning beside connecting: whoever has the scan engine, scans come back and peers are heard."""
import time

from aioble_test import *


def scan(**options):
    """All the time: what is not heard at once was not there."""
    return Object(adapter.call("Scan", options={"interval_us": 30000, "window_us": 30000, **options}), "Scanner1")


def reports(scanner, timeout_ms=5000):
    return scanner.call("Next", options={"timeout_ms": timeout_ms})[0]


def heard(scanner, kind, deadline=10):
    """A report of our peer of this kind."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        for r in reports(scanner):
            if r["address"] == p.address and r["event_type"] == kind:
                return r
    raise Failure("no %s report of %s within %u s" % (kind, p.address, deadline))


start_service()
adapter = Adapter()

with peer("scripted-peer", "--device", "1", ready=None) as p:
    found = p.wait(r"^ready address=(\S+) type=(\S+)", 60)
    p.address, p.kind = found[1].upper(), found[2]

    with case("an active scan hears advertisement and scan response apart"):
        s = scan(active=True)
        check("adv_data" in heard(s, "ind"), "no advertising data")
        heard(s, "scan_rsp")
        s.call("Stop")

    with case("a passive scan hears no scan responses, whatever others ask for"):
        passive, active = scan(), scan(active=True)
        heard(active, "scan_rsp")
        time.sleep(1)
        check(all(r["event_type"] == "ind" for r in reports(passive)), "something else than advertisements")
        passive.call("Stop")
        active.call("Stop")

    with case("a peer is found by a connect after an active scan has ended"):
        s = scan(active=True)
        heard(s, "ind")
        s.call("Stop")
        time.sleep(1)
        connect(adapter, p.address, p.kind, timeout_ms=10000).call("Disconnect")

    for active in (False, True):
        how = "an active" if active else "a passive"
        with case("%s scan comes back after a connect" % how):
            s = scan(active=active)
            heard(s, "ind")
            connection = connect(adapter, p.address, p.kind, timeout_ms=10000)
            eventually(lambda: s.get("State") == "running", 5, "the scan does not run beside the link")
            connection.call("Disconnect")
            reports(s)
            heard(s, "ind")
            s.call("Stop")

        with case("%s scan that ends while a connect is pending leaves somebody who listens" % how):
            p.say('{"advertise": false, "sync": 1}')
            p.wait(r"^sync")
            waiting = adapter.send("Connect", "ss", p.address, p.kind, options={"timeout_ms": 20000})
            time.sleep(0.5)
            s = scan(active=active)
            time.sleep(0.5)
            s.call("Stop")
            time.sleep(0.5)
            p.say('{"advertise": {}}')
            Object(adapter.result(waiting), "Connection1").call("Disconnect")

    with case("the scan restarts are counted"):
        check(adapter.get("Stats")["scan_restarts"] > 0, "none was")

finish()
