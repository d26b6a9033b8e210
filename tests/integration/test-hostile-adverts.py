#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: speed=4 timeout=240 controllers=2 kind=le
"""Advertising data that is cut, lies about its lengths or wants to write into terminals; more advertisers than anybody needs."""
from hostile_cases import *

ADDRESS = "C0:00:00:00:00:01"


def hear(scanner, where, timeout=20):
    """The first report that is where() says."""
    def look():
        reports, _ = scanner.call("Next", options={"timeout_ms": 20000, "max": 64})
        return next((r for r in reports if where(r)), None)
    return eventually(look, timeout, "no such report")


# advertising data, and what must be parsed from it (None: the key must be missing)
PAYLOADS = [
    ("nothing", "", {"name": None}),
    ("a length of 0 first", "00 020106", {}),
    ("zeroes behind the end", "020106 0000000000", {"flags": 6}),
    ("a length over the end", "020106 1f09414243", {"flags": 6}),
    ("a length of 255", "ff", {"name": None}),
    ("a field without data", "0109 020106", {"flags": 6}),
    ("a cut list of 16-bit UUIDs", "04030d180f", {}),
    ("a cut list of 128-bit UUIDs", "0507010203 04", {}),
    ("cut manufacturer data", "02ff5d", {"manufacturer": None}),
    ("cut service data", "02160d", {"service_data": None}),
    ("a cut appearance", "021940", {"appearance": None}),
    ("an appearance that is too long", "0419400300", {}),
    ("cut flags", "0101", {"flags": None}),
    ("a name that is no UTF-8", "0609 ff41c3 28fe", {"name": "\ufffdA\ufffd(\ufffd"}),
    ("a name with a NUL in it", "0509 41004200", {}),
    ("a name with escape sequences", "0909 1b5b324a41 071b63", {}),
    ("a name that ends in the middle of a character", "0409 41e282", {}),
    ("the longest name", "1e09" + "41" * 29, {"name": "A" * 29}),
    ("manufacturer data twice", "04ff5d0201 04ff5d0202", {}),
    ("an unknown field", "03f10102 020106", {"flags": 6}),
]

start_service()
pid = service_pid()
adapter = Adapter()
with peer("scripted-peer", "--device", 1) as p:
    path = adapter.call("Scan", options={"interval_us": 30000, "window_us": 30000, "active": True, "queue": 4096})
    scanner = Object(path, "Scanner1", adapter.bus)

    for number, (name, data, wanted) in enumerate(PAYLOADS):
        for response in (False, True):
            # an address of its own: the daemon keeps the last packet of either kind
            ADDRESS = "C0:00:00:00:%02X:%02X" % (response, number)
            with case("%s carries %s" % ("a scan response" if response else "an advertisement", name)):
                raw = bytes.fromhex(data)
                script(p, advertise={"address": ADDRESS, "data": "" if response else data, "response": data if response else "",
                                     "kind": "scan", "interval_ms": 200})
                key = "resp_data" if response else "adv_data"
                report = hear(scanner, lambda r: r["address"].upper() == ADDRESS and r.get(key) == raw
                              and (not response or r["event_type"] == "scan_rsp"))
                for field, value in wanted.items():
                    equal(report.get(field), value, field)
                equal(service_pid(), pid, "process of the daemon")

    with case("names reach JSON readers as JSON"):
        scanner.call("Stop")
        script(p, advertise={"address": ADDRESS, "data": "0909 1b5b3222 5cff0a 41", "kind": "nonconn", "interval_ms": 200})
        scanner = Object(adapter.call("Scan", options={"interval_us": 30000, "window_us": 30000}), "Scanner1", adapter.bus)
        stream = Stream(scanner.call("Open", options={"json": True}))
        kind, _, payload = stream.next(20)
        record = json.loads(payload.decode())
        equal(record["address"].upper(), ADDRESS, "address")
        contains(record["name"], "A", "name")
        stream.close()

    with case("2000 advertisers in a minute cost a bounded amount of memory"):
        script(p, commands=24, advertise=False)
        scanner = Object(adapter.call("Scan", options={"interval_us": 30000, "window_us": 30000, "duplicates": "first", "queue": 64}),
                         "Scanner1", adapter.bus)
        script(p, advertise={"address": "C2:00:00:00:00:00", "addresses": 200, "kind": "nonconn", "data": "0bff5d02{time}", "per_s": 200})
        eventually(lambda: scanner.get("Received") > 250, 60, "reports do not come")
        with memory(pid, 2048):  # 2000 entries of the table of advertisers are 0.5 MB
            script(p, advertise={"address": "C1:00:00:00:00:00", "addresses": 2000, "kind": "nonconn", "data": "0bff5d02{time}", "per_s": 200})
            start = scanner.get("Received")
            eventually(lambda: scanner.get("Received") - start > 2000, 90, "reports do not come", 0.5)
        check(scanner.get("Dropped") > 0, "nothing was dropped of what nobody fetched")
        equal([path for path in managed_objects() if path.startswith(adapter.path + "/") and path != scanner.path], [], "objects")
        scanner.call("Stop")

    with case("a scanner is gone when it is stopped"):
        if scanner.exists():
            scanner.call("Stop")
        check(not scanner.exists(), "the scanner is still there")
        eventually(lambda: not adapter.get("Scanning"), 10, "the controller still scans")

finish()
