# SPDX-License-Identifier: GPL-2.0-or-later
"""Scan and Scanner1: reports in their three forms, filters, ends."""
import asyncio
import json
import struct

from dbus_fast import Variant

from harness import (ADAPTER, HCI0, ROOT, SCANNER, Daemon, TestCase, main, options, plain, record, until)

ADDRESS = "C0:11:22:33:44:55"


def ad(*fields):
    return b"".join(bytes([len(v) + 1, t]) + v for t, v in fields)


BELT = ad((1, b"\x06"), (9, b"belt"), (3, b"\x0d\x18\x0f\x18"))
EVERYTHING = ad((1, b"\x06"), (8, b"x\xffy"), (0xff, b"\x4c\x00\x01"), (0x16, b"\x0f\x18\x64"), (0x19, b"\x41\x03"),
                (0x0a, b"\xf4"))


async def next_reports(client, scanner, **kw):
    reports, dropped = await client.call(scanner, SCANNER, "Next", "a{sv}", [options(**kw)])
    return plain(reports), dropped


async def scanning(d):
    while await d.tell("scanning", 0) != "1":
        await asyncio.sleep(0.005)


class Reports(TestCase):
    async def test_fields(self):
        async with Daemon() as d:
            s = await d.client.scan()
            await scanning(d)
            await d.report(ADDRESS, EVERYTHING, rssi=-42)
            (r,), dropped = await next_reports(d.client, s)
            self.assertEqual(dropped, 0)
            self.assertGreater(r.pop("time_us"), 0)
            self.assertEqual(r, {
                "seq": 1, "address": ADDRESS, "address_type": "random", "event_type": "ind", "connectable": True,
                "scannable": True, "rssi": -42, "adv_data": EVERYTHING, "name": "x\ufffdy",
                "manufacturer": {0x4c: b"\x01"}, "service_data": {"180f": b"\x64"}, "appearance": 0x341,
                "tx_power": -12, "flags": 6, "primary_phy": "1M"})

    async def test_scan_response_beside_the_advertisement(self):
        async with Daemon() as d:
            s = await d.client.scan(active=True)
            await scanning(d)
            await d.report(ADDRESS, BELT, event=0)
            await d.report(ADDRESS, ad((9, b"other"), (3, b"\x0d\x18")), event=4)
            (first, second), _ = await self.gather(d, s, 2)
            self.assertNotIn("resp_data", first)
            self.assertEqual((second["event_type"], second["adv_data"], second["name"]), ("scan_rsp", BELT, "belt"))
            self.assertEqual(second["services"], ["180d", "180f"], "each once")
            self.assertTrue(second["resp_data"])

    async def gather(self, d, s, n):
        while await d.client.get(s, SCANNER, "Queued") < n:
            await asyncio.sleep(0.005)
        return await next_reports(d.client, s)

    async def test_rssi_not_measured(self):
        async with Daemon() as d:
            s = await d.client.scan()
            await scanning(d)
            await d.report(ADDRESS, BELT, rssi=127)
            (r,), _ = await next_reports(d.client, s)
            self.assertNotIn("rssi", r)

    async def test_views_of_their_own(self):
        async with Daemon() as d:
            c = d.client
            scans = {"all": await c.scan(), "name": await c.scan(names=["be*"]), "uuid": await c.scan(uuids=["180d"]),
                     "company": await c.scan(companies=Variant("aq", [0x4c])), "rssi": await c.scan(rssi=-50),
                     "address": await c.scan(addresses=[ADDRESS]), "first": await c.scan(duplicates="first"),
                     "changed": await c.scan(duplicates="changed")}
            self.assertEqual((await c.get_all(scans["first"], SCANNER))["Duplicates"], "first")
            await scanning(d)
            await d.report(ADDRESS, BELT, rssi=-40)
            await d.report(ADDRESS, BELT, rssi=-40)
            await d.report("C0:00:00:00:00:02", ad((0xff, b"\x4c\x00\x07")), rssi=-90)
            while await c.get(scans["all"], SCANNER, "Passed") < 3:
                await asyncio.sleep(0.005)
            passed = {k: await c.get(s, SCANNER, "Passed") for k, s in scans.items()}
            self.assertEqual(passed, {"all": 3, "name": 2, "uuid": 2, "company": 1, "rssi": 2, "address": 2, "first": 2,
                                      "changed": 2})
            self.assertEqual(await c.get(scans["company"], SCANNER, "Received"), 3)

    async def test_queue_drops_the_oldest(self):
        async with Daemon() as d:
            s = await d.client.scan(queue=4)
            await scanning(d)
            for i in range(10):
                await d.report(ADDRESS, ad((0xff, b"\x01\x00" + bytes([i]))))
            while await d.client.get(s, SCANNER, "Passed") < 10:
                await asyncio.sleep(0.005)
            reports, dropped = await next_reports(d.client, s, max=3)
            self.assertEqual(([r["seq"] for r in reports], dropped), ([7, 8, 9], 6))
            reports, dropped = await next_reports(d.client, s)
            self.assertEqual(([r["seq"] for r in reports], dropped), ([10], 6))
            await self.fails("Timeout", next_reports(d.client, s, timeout_ms=30))
            await self.invalid("max", next_reports(d.client, s, max=257))


class Signals(TestCase):
    async def test_to_the_caller_only(self):
        async with Daemon() as d:
            other = await d.new_client()
            await other.match("type='signal',sender='org.aioble',member='Reports'")
            s = await d.client.scan(signals=True)
            await scanning(d)
            await d.report(ADDRESS, BELT, repeat=50)
            await until(lambda: sum(len(m.body[0]) for m in d.client.signals("Reports", s)) == 50)
            seqs = [plain(r)["seq"] for m in d.client.signals("Reports", s) for r in m.body[0]]
            self.assertEqual(seqs, list(range(1, 51)))
            self.assertLess(len(d.client.signals("Reports", s)), 25, "batched")
            self.assertEqual(other.signals("Reports"), [])
            await self.fails("Busy", next_reports(d.client, s))

    async def test_broadcast(self):
        async with Daemon() as d:
            other = await d.new_client()
            await other.match("type='signal',sender='org.aioble'")
            caller = await d.new_client()
            s = await caller.scan(broadcast=True, duration_ms=300)
            caller.close()  # everybody goes on hearing it
            await scanning(d)
            await d.report(ADDRESS, BELT)
            self.assertEqual((await other.signal("Reports", s))[0][0]["address"], ADDRESS)
            self.assertEqual(await other.signal("Finished", s), ["duration", {}])


class Streams(TestCase):
    async def test_binary(self):
        async with Daemon() as d:
            s = await d.client.scan(active=True)
            await scanning(d)
            await d.report(ADDRESS, BELT, rssi=-42)
            while await d.client.get(s, SCANNER, "Queued") < 1:
                await asyncio.sleep(0.005)
            sock, = await d.client.open(s, SCANNER, "Open")
            await self.fails("Busy", d.client.open(s, SCANNER, "Open"))
            rsp = ad((9, b"long name"))
            await d.report(ADDRESS, rsp, event=4)
            r = await record(sock)
            self.assertEqual((r.type, r.handle, r.seq, r.dropped), (3, 0, 1, 0))
            p = r.payload
            self.assertEqual((p[:6].hex(":").upper(), p[6], p[7], p[8], struct.unpack("b", p[9:10])[0]),
                             (ADDRESS, 1, 0, 3, -42))
            self.assertEqual((p[10], p[11], p[12], struct.unpack_from("<HH", p, 14)), (127, 0xff, 1, (len(BELT), 0xffff)))
            self.assertEqual(p[18:], BELT)
            r = await record(sock)
            self.assertEqual(struct.unpack_from("<HH", r.payload, 14), (len(BELT), len(rsp)))
            self.assertEqual(r.payload[18:], BELT + rsp)
            await d.client.call(s, SCANNER, "Stop", "a{sv}", [{}])
            r = await record(sock)
            self.assertEqual((r.type, r.reason, r.seq), (0xff, "stopped", 2))
            self.assertIsNone(await record(sock))

    async def test_json(self):
        async with Daemon() as d:
            s = await d.client.scan()
            sock, = await d.client.open(s, SCANNER, "Open", "a{sv}", [options(json=True)])
            await scanning(d)
            await d.report(ADDRESS, EVERYTHING, rssi=-42)
            r = await record(sock)
            self.assertEqual(r.type, 4)
            o = json.loads(r.payload)
            self.assertGreater(o.pop("time_us"), 0)
            self.assertEqual(o, {"seq": 1, "address": ADDRESS, "address_type": "random", "event_type": "ind",
                                 "connectable": True, "scannable": True, "rssi": -42, "adv_data": EVERYTHING.hex(),
                                 "name": "x\ufffdy", "manufacturer": {"76": "01"}, "service_data": {"180f": "64"},
                                 "appearance": 0x341, "tx_power": -12, "flags": 6, "primary_phy": "1M"})

    async def test_reader_that_closes_stops_it(self):
        async with Daemon() as d:
            s = await d.client.scan()
            await scanning(d)
            sock, = await d.client.open(s, SCANNER, "Open")
            sock.close()
            self.assertEqual(await d.client.signal("Finished", s), ["stopped", {}])
            while await d.tell("scanning", 0) != "0":
                await asyncio.sleep(0.005)
            await self.fails("NotFound", next_reports(d.client, s))

    async def test_slow_reader(self):
        async with Daemon() as d:
            s = await d.client.scan(queue=8)
            await scanning(d)
            sock, = await d.client.open(s, SCANNER, "Open", "a{sv}", [options(json=True)])
            for _ in range(80):
                await d.report(ADDRESS, BELT, repeat=50)
            while await d.client.get(s, SCANNER, "Passed") < 4000:
                await asyncio.sleep(0.01)
            lost = await d.client.get(s, SCANNER, "Dropped")
            self.assertGreater(lost, 0)
            await d.client.call(s, SCANNER, "Stop", "a{sv}", [{}])
            got = dropped = 0
            while (r := await record(sock)).type != 0xff:
                got += 1
                dropped += r.dropped
                self.assertEqual(got + dropped, r.seq)
            self.assertEqual((got + dropped + r.dropped, dropped + r.dropped), (4000, lost))


class Ends(TestCase):
    async def test_duration(self):
        async with Daemon() as d:
            s = await d.client.scan(duration_ms=200)
            await scanning(d)
            await d.report(ADDRESS, BELT)
            self.assertEqual(await d.client.signal("Finished", s), ["duration", {}])
            self.assertEqual(await d.client.get(s, SCANNER, "State"), "finished")
            self.assertEqual(len((await next_reports(d.client, s))[0]), 1, "what was heard is still there")
            e = await self.fails("Canceled", next_reports(d.client, s))
            self.assertIn("finished", e.text)
            await d.client.call(s, SCANNER, "Stop", "a{sv}", [{}])
            await self.fails("NotFound", d.client.call(s, SCANNER, "Stop", "a{sv}", [{}]))

    async def test_waiting_next(self):
        async with Daemon() as d:
            s = await d.client.scan(duration_ms=100)
            e = await self.fails("Canceled", next_reports(d.client, s))
            self.assertIn("finished", e.text)
            s = await d.client.scan()
            waiting = asyncio.ensure_future(next_reports(d.client, s))
            await asyncio.sleep(0.05)
            await d.client.call(s, SCANNER, "Stop", "a{sv}", [{}])
            await self.fails("Canceled", waiting)

    async def test_power_off(self):
        async with Daemon() as d:
            s = await d.client.scan()
            await scanning(d)
            waiting = asyncio.ensure_future(next_reports(d.client, s))
            sock, = await d.client.open(await d.client.scan(), SCANNER, "Open")
            await asyncio.sleep(0.05)
            await d.tell("power", 0, 0)
            await self.fails("NotPowered", waiting)
            self.assertEqual((await d.client.signal("Finished", s))[0], "org.aioble.Error.NotPowered")
            r = await record(sock)
            self.assertEqual((r.type, r.reason), (0xff, "org.aioble.Error.NotPowered"))

    async def test_lifetimes(self):
        async with Daemon("--linger-ms", "300") as d:
            other = await d.new_client()
            caller = await other.scan(lifetime="caller")
            linger = await other.scan()
            persistent = await other.scan(lifetime="persistent")
            other.close()
            while caller in await d.client.objects():
                await asyncio.sleep(0.01)
            self.assertEqual(await d.client.get(linger, SCANNER, "Holders"), [])
            for _ in range(4):
                await asyncio.sleep(0.15)
                await self.fails("Timeout", next_reports(d.client, linger, timeout_ms=1))
            while linger in await d.client.objects():
                await asyncio.sleep(0.01)
            self.assertEqual(await d.client.get(persistent, SCANNER, "State"), "running")
            await d.client.call(persistent, SCANNER, "Stop", "a{sv}", [{}])

    async def test_object_before_reply_and_properties(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            s = await d.client.scan(interval_us=100000, window_us=50000, active=True)
            self.assertEqual(s, HCI0 + "/scan/1")
            added = next(i for i, m in enumerate(d.client.log) if m.member == "InterfacesAdded")
            replied = next(i for i, m in enumerate(d.client.log) if m.body == [s])
            self.assertLess(added, replied)
            p = await d.client.get_all(s, SCANNER)
            self.assertEqual((p["Active"], p["IntervalUs"], p["WindowUs"], p["Duplicates"], p["Lifetime"]),
                             (True, 100000, 50000, "all", "linger"))
            self.assertEqual((p["Holders"], p["ExpiresUs"], p["Queued"]), ([d.client.name], 0, 0))

    async def test_scan_while_starting_waits(self):
        async with Daemon() as d:
            await d.tell("rule", 0x0005, 1, 1, 5, 0, 400)  # SetPowered answered late
            await d.tell("plug", 1, "00:11:22:33:44:01")
            await until_exists(d, ROOT + "/hci1")
            self.assertEqual(await d.client.get(ROOT + "/hci1", ADAPTER, "State"), "starting")
            s = await d.client.scan(ROOT + "/hci1")
            self.assertEqual(await d.client.get(s, SCANNER, "State"), "paused")
            while await d.client.get(s, SCANNER, "State") != "running":
                await asyncio.sleep(0.01)


async def until_exists(d, path):
    while path not in await d.client.objects():
        await asyncio.sleep(0.005)


if __name__ == "__main__":
    main()
