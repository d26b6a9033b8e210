# SPDX-License-Identifier: GPL-2.0-or-later
"""Advertise and Advertiser1: what reaches the kernel, every end, who holds what, and what a shell can do."""
import asyncio

from dbus_fast import Variant

from harness import (ADAPTER, ADVERTISER, CONNECTION, HCI0, ROOT, Daemon, Error, TestCase, main, options, plain, until)

PHONE = "C0:11:22:33:44:55"
TABLET = "C0:11:22:33:44:66"

CONNECTABLE = 1
SCAN_RSP = 0x10000
INTERVALS = 0x4000
DURATION = 0x1000
ADD_PARAMS, ADD_DATA, REMOVE = 0x54, 0x55, 0x3f


async def next_event(client, adv, **kw):
    event, connection, details = await client.call(adv, ADVERTISER, "Next", "a{sv}", [options(**kw)])
    return event, connection, plain(details)


async def update(client, adv, **kw):
    await client.call(adv, ADVERTISER, "Update", "a{sv}", [options(**kw)])


async def stop(client, adv):
    await client.call(adv, ADVERTISER, "Stop", "a{sv}", [{}])


class Payloads(TestCase):
    async def test_aiobles_sensor(self):
        async with Daemon() as d:
            adv = await d.client.advertise(250000, name="temp-sense", services=["181a"], appearance=768,
                                           manufacturer=Variant("(qay)", [0xabcd, b"1234"]))
            flags, units, data, response = await d.on_air()
            self.assertEqual((flags, units), (CONNECTABLE | INTERVALS | DURATION, 400))
            self.assertEqual(data, bytes.fromhex("020106 03031a18 0b0974656d702d73656e7365 03190003 07ffcdab31323334"))
            self.assertEqual(response, b"")
            p = await d.client.get_all(adv, ADVERTISER)
            self.assertEqual((p["AdvData"], p["RespData"], p["State"], p["IntervalUs"]), (data, b"", "running", 250000))
            self.assertEqual((p["Connectable"], p["Keep"], p["Extended"], p["SecondaryPhy"]), (True, False, False, ""))
            self.assertEqual((p["Connection"], p["Connections"], p["Dropped"]), ("/", 0, 0))
            self.assertEqual((p["Holders"], p["Lifetime"], p["ExpiresUs"]), ([d.client.name], "linger", 0))

    async def test_the_rest_goes_into_the_scan_response(self):
        async with Daemon() as d:
            await d.client.advertise(name="a name of 25 characters..", services=["180d"], connectable=False)
            flags, _, data, response = await d.on_air()
            self.assertEqual(flags & (CONNECTABLE | SCAN_RSP), SCAN_RSP)
            self.assertEqual((len(data), len(response)), (7, 27))

    async def test_several_records(self):
        async with Daemon() as d:
            for kind in "a(qay)", "a{qay}":
                value = [[1, b"a"], [2, b"b"]] if kind == "a(qay)" else {1: b"a", 2: b"b"}
                adv = await d.client.advertise(manufacturer=Variant(kind, value))
                self.assertEqual((await d.on_air())[2], bytes.fromhex("020106 04ff010061 04ff020062"))
                await stop(d.client, adv)
            for kind in "(say)", "a(say)", "a{say}":
                value = {"(say)": ["180f", b"d"], "a(say)": [["180f", b"d"]], "a{say}": {"180f": b"d"}}[kind]
                adv = await d.client.advertise(service_data=Variant(kind, value), tx_power=-8)
                self.assertEqual((await d.on_air())[2], bytes.fromhex("020106 04160f1864 020af8"))
                await stop(d.client, adv)

    async def test_raw(self):
        async with Daemon() as d:
            adv = await d.client.advertise(adv_data=Variant("ay", b"\x02\x0a\x00"), resp_data=Variant("ay", b"\x03\x09ab"),
                                           name="not used")
            _, _, data, response = await d.on_air()
            self.assertEqual((data, response), (b"\x02\x0a\x00", b"\x03\x09ab"))
            self.assertEqual(await d.client.get(adv, ADVERTISER, "AdvData"), b"\x02\x01\x04\x02\x0a\x00",
                             "with what the kernel adds")

    async def test_flags(self):
        async with Daemon() as d:
            for kw, flags in (({}, 6), ({"limited_disc": True}, 5), ({"br_edr": True}, 0x1a)):
                adv = await d.client.advertise(**kw)
                self.assertEqual((await d.on_air())[2], bytes([2, 1, flags]))
                await stop(d.client, adv)

    async def test_what_is_wrong_is_named(self):
        async with Daemon() as d:
            for key, kw in (("adv_data", {"adv_data": Variant("ay", b"\x05\x09a")}),
                            ("resp_data", {"resp_data": Variant("ay", b"\x02\x01\x06")}),
                            ("manufacturer", {"manufacturer": Variant("(uay)", [1, b""])}),
                            ("manufacturer", {"manufacturer": "x"}),
                            ("manufacturer", {"manufacturer": Variant("a(qay)", [[n, b""] for n in range(65)])}),
                            ("service_data", {"service_data": Variant("(say)", ["no uuid", b""])}),
                            ("services", {"services": ["no uuid"]}),
                            ("tx_power", {"tx_power": 21}),
                            ("name", {"name": 5}),
                            ("secondary_phy", {"secondary_phy": "2M"}),
                            ("secondary_phy", {"extended": True, "secondary_phy": "3M"}),
                            ("interval_ms", {"interval_ms": 5})):
                await self.invalid(key, d.client.advertise(**kw))
            for us in 0, 19999, 10240001, 2 ** 64 - 1:
                await self.invalid("interval_us", d.client.advertise(us))
            e = await self.fails("TooLong", d.client.advertise(name="n" * 31))
            self.assertEqual(e.details["key"], "name")
            self.assertIn("2 bytes too many", e.text)
            e = await self.fails("TooLong", d.client.advertise(adv_data=Variant("ay", b"\x1c\x09" + bytes(27))))
            self.assertIn("28 at most", e.text)
            self.assertEqual(await d.client.get(HCI0, ADAPTER, "AdvertisersInUse"), 0)
            self.assertEqual([p for p in await d.client.objects() if "/adv/" in p], [])

    async def test_interval_in_effect(self):
        async with Daemon() as d:
            adv = await d.client.advertise(20999)
            self.assertEqual(await d.client.get(adv, ADVERTISER, "IntervalUs"), 20625)
            adv = await d.client.advertise(1000000, connectable=False)  # the controller of this test has no sets
            self.assertEqual(await d.client.get(adv, ADVERTISER, "IntervalUs"), 150000)

    async def test_extended(self):
        async with Daemon() as d:
            await self.fails("NotSupported", d.client.advertise(extended=True))
            await d.tell("plug", 1, "00:11:22:33:44:01", 1)
            hci1 = ROOT + "/hci1"
            while "ready" not in await self.state(d, hci1):
                await asyncio.sleep(0.01)
            adv = await d.client.advertise(adapter=hci1, extended=True, secondary_phy="2M", name="n" * 100)
            flags, _, data, response = await d.on_air(index=1)
            self.assertEqual((flags & 0x380, len(data), response), (0x100, 105, b""))
            self.assertEqual(await d.client.get(adv, ADVERTISER, "SecondaryPhy"), "2M")
            await self.fails("NotSupported", d.client.advertise(adapter=hci1, extended=True, secondary_phy="coded"))
            await self.invalid("resp_data", d.client.advertise(adapter=hci1, extended=True,
                                                               resp_data=Variant("ay", b"\x02\x0a\x00")))

    async def state(self, d, path):
        try:
            return await d.client.get(path, ADAPTER, "State")
        except Error:
            return ""


class Updates(TestCase):
    async def test_in_place(self):
        async with Daemon() as d:
            adv = await d.client.advertise(name="one")
            await update(d.client, adv, name="two", limited_disc=True)
            self.assertEqual((await d.on_air())[2], b"\x02\x01\x05\x04\x09two")
            await d.client.match("type='signal',interface='org.freedesktop.DBus.Properties'")
            await update(d.client, adv, manufacturer=Variant("(qay)", [1, b"x"]))
            interface, changed, _ = await d.client.signal("PropertiesChanged", adv)
            self.assertEqual((interface, set(changed)), (ADVERTISER, {"AdvData", "RespData"}))
            await update(d.client, adv)
            self.assertEqual((await d.on_air())[2], b"\x02\x01\x06", "what is not given is not sent")

    async def test_wrong(self):
        async with Daemon() as d:
            adv = await d.client.advertise(name="one")
            await self.invalid("keep", update(d.client, adv, keep=True))
            await self.fails("TooLong", update(d.client, adv, name="n" * 40))
            await d.tell("rule", ADD_DATA, 0, 1, 0, 3, 0)
            e = await self.fails("Failed", update(d.client, adv, name="two"))
            self.assertEqual(e.details["mgmt"], 3)
            self.assertEqual(await d.client.get(adv, ADVERTISER, "AdvData"), b"\x02\x01\x06\x04\x09one")
            self.assertEqual(await d.client.get(adv, ADVERTISER, "State"), "running")


class Ends(TestCase):
    async def test_timeout(self):
        async with Daemon("--linger-ms", "200") as d:
            adv = await d.client.advertise(timeout_ms=50)
            self.assertEqual(await d.client.signal("Finished", adv), ["timeout", {}])
            self.assertIsNone(await d.on_air())
            self.assertEqual(await d.client.get(adv, ADVERTISER, "State"), "finished")
            self.assertEqual(await d.client.get(adv, ADVERTISER, "AdvData"), b"\x02\x01\x06")
            self.assertEqual(await next_event(d.client, adv), ("finished", "/", {"reason": "timeout"}))
            await self.fails("Canceled", next_event(d.client, adv))
            await self.fails("Canceled", update(d.client, adv))
            while True:
                try:
                    await d.client.get(adv, ADVERTISER, "State")
                except Error:
                    break
                await asyncio.sleep(0.02)
            await self.fails("NotFound", next_event(d.client, adv))

    async def test_stop(self):
        async with Daemon() as d:
            adv = await d.client.advertise()
            waiting = d.client.start(adv, ADVERTISER, "Next", "a{sv}", [{}])
            second = d.client.start(adv, ADVERTISER, "Next", "a{sv}", [{}])
            await asyncio.sleep(0.05)
            await stop(d.client, adv)
            self.assertIsNone(await d.on_air(), "off the air when answered")
            self.assertEqual((await waiting)[0], "finished")
            await self.fails("Canceled", second)
            self.assertEqual(await d.client.signal("Finished", adv), ["stopped", {}])
            await self.fails("NotFound", stop(d.client, adv))
            self.assertEqual(await d.client.get(HCI0, ADAPTER, "AdvertisersInUse"), 0)

    async def test_stop_of_what_has_finished(self):
        async with Daemon() as d:
            adv = await d.client.advertise(timeout_ms=10)
            await d.client.signal("Finished", adv)
            await stop(d.client, adv)
            await self.fails("NotFound", stop(d.client, adv))

    async def test_refused(self):
        async with Daemon() as d:
            await d.tell("rule", ADD_PARAMS, 0, 1, 0, 0x0d, 0)
            e = await self.fails("Failed", d.client.advertise())
            self.assertEqual(e.details["mgmt"], 0x0d)
            await d.tell("rule", ADD_DATA, 0, 1, 0, 0x03, 0)
            await self.fails("Failed", d.client.advertise())
            self.assertEqual(await d.client.get(HCI0, ADAPTER, "AdvertisersInUse"), 0)
            await d.client.advertise()

    async def test_unplugged(self):
        async with Daemon() as d:
            adv = await d.client.advertise()
            waiting = d.client.start(adv, ADVERTISER, "Next", "a{sv}", [{}])
            await asyncio.sleep(0.05)
            await d.tell("unplug", 0)
            reason, _ = await d.client.signal("Finished", adv)
            self.assertEqual(reason, "org.aioble.Error.NotFound")
            self.assertEqual((await waiting)[0], "finished")
            await self.fails("NotFound", next_event(d.client, adv))

    async def test_removed_by_others(self):
        async with Daemon() as d:
            adv = await d.client.advertise()
            await d.tell("adv_remove", 0, 1)
            while not await d.on_air():
                await asyncio.sleep(0.01)
            while await d.client.get(adv, ADVERTISER, "State") != "running":
                await asyncio.sleep(0.01)
            await d.tell("adv_remove", 0, 1)
            reason, _ = await d.client.signal("Finished", adv)
            self.assertEqual(reason, "org.aioble.Error.Busy")
            event, _, details = await next_event(d.client, adv)
            self.assertEqual((event, details["reason"]), ("finished", "org.aioble.Error.Busy"))

    async def test_the_daemon_stops(self):
        async with Daemon() as d:
            adv = await d.client.advertise()
            d.process.terminate()
            await d.process.wait()
            reason, _ = await d.client.signal("Finished", adv)
            self.assertEqual(reason, "org.aioble.Error.Canceled")

    async def test_adapter_off_and_on(self):
        async with Daemon() as d:
            adv = await d.client.advertise(name="on")
            await d.tell("power", 0, 0)
            while await d.client.get(adv, ADVERTISER, "State") != "paused":
                await asyncio.sleep(0.01)
            await update(d.client, adv, name="again")
            await d.tell("power", 0, 1)
            while await d.client.get(adv, ADVERTISER, "State") != "running":
                await asyncio.sleep(0.01)
            self.assertEqual((await d.on_air())[2], b"\x02\x01\x06\x06\x09again")
            self.assertEqual(d.client.signals("Finished"), [])


class Centrals(TestCase):
    async def test_one_connects(self):
        async with Daemon() as d:
            adv = await d.client.advertise()
            await d.central(PHONE)
            (connection,) = await d.client.signal("Connected", adv)
            self.assertEqual(await d.client.signal("Finished", adv), ["connected", {}])
            p = await d.client.get_all(connection, CONNECTION)
            self.assertEqual((p["Address"], p["Role"], p["Lifetime"]), (PHONE, "peripheral", "linger"))
            self.assertEqual(p["Holders"], [d.client.name], "what the advertiser's holders hold")
            self.assertIsNone(await d.on_air())
            p = await d.client.get_all(adv, ADVERTISER)
            self.assertEqual((p["Connection"], p["Connections"], p["State"]), (connection, 1, "finished"))
            self.assertEqual((await next_event(d.client, adv))[:2], ("connected", connection))
            self.assertEqual(await next_event(d.client, adv), ("finished", "/", {"reason": "connected"}))
            members = [m.member for m in d.client.log if m.path == adv and m.member in ("Connected", "Finished")]
            self.assertEqual(members, ["Connected", "Finished"])

    async def test_the_trap_of_the_kernel(self):
        async with Daemon() as d:
            adv = await d.client.advertise()
            number, _ = await d.central(PHONE)
            await d.client.signal("Finished", adv)
            await d.tell("drop", number, 0x13)
            await asyncio.sleep(0.1)
            self.assertEqual(await d.tell("adv", 0, 1), "", "not on the air again when the link ends")

    async def test_keep(self):
        async with Daemon() as d:
            adv = await d.client.advertise(keep=True)
            await d.central(PHONE)
            (first,) = await d.client.signal("Connected", adv)
            while not await d.on_air():
                await asyncio.sleep(0.01)
            await d.central(TABLET)
            (second,) = await d.client.signal("Connected", adv, 2)
            self.assertNotEqual(first, second)
            self.assertEqual(await d.client.get(adv, ADVERTISER, "Connections"), 2)
            self.assertEqual((await next_event(d.client, adv))[:2], ("connected", first))
            self.assertEqual((await next_event(d.client, adv))[:2], ("connected", second))
            await self.fails("Timeout", next_event(d.client, adv, timeout_ms=30))
            self.assertEqual(d.client.signals("Finished"), [])

    async def test_events_are_bounded(self):
        async with Daemon() as d:
            adv = await d.client.advertise(keep=True)
            for i in range(18):
                await d.central(f"C0:11:22:33:55:{i:02X}")
                await d.client.signal("Connected", adv, i + 1)
                while not await d.on_air():
                    await asyncio.sleep(0.005)
            _, connection, details = await next_event(d.client, adv)
            self.assertEqual((connection, details["dropped"]), (d.client.signals("Connected", adv)[2].body[0], 2))
            self.assertEqual(await d.client.get(adv, ADVERTISER, "Dropped"), 2)

    async def test_broadcast(self):
        async with Daemon() as d:
            other = await d.new_client()
            await other.match("type='signal',sender='org.aioble'")
            adv = await d.client.advertise(broadcast=True)
            quiet = await d.client.advertise()
            await d.central(PHONE, 1)
            await d.central(TABLET, 2)
            await d.client.signal("Finished", quiet)
            await other.signal("Finished", adv)
            self.assertEqual(len(other.signals("Connected")), 1)
            self.assertEqual(len(other.signals("Finished")), 1)


class Holders(TestCase):
    async def test_caller_leaves(self):
        async with Daemon() as d:
            caller = await d.new_client()
            await caller.advertise(lifetime="caller")
            self.assertTrue(await d.on_air())
            caller.close()
            while await d.on_air():
                await asyncio.sleep(0.01)
            self.assertEqual([p for p in await d.client.objects() if "/adv/" in p], [])

    async def test_linger_and_a_shell(self):
        """Advertise, then Next, then something on the connection: three clients, each gone before the next comes"""
        async with Daemon("--linger-ms", "400") as d:
            caller = await d.new_client()
            adv = await caller.advertise(name="shell")
            caller.close()
            second = await d.new_client()
            waiting = second.start(adv, ADVERTISER, "Next", "a{sv}", [options(timeout_ms=10000)])
            await asyncio.sleep(1.0)  # who waits keeps it alive
            await d.central(PHONE)
            event, connection, _ = await waiting
            self.assertEqual(event, "connected")
            second.close()
            p = await d.client.get_all(connection, CONNECTION)
            self.assertEqual((p["Lifetime"], p["Holders"], p["Connected"]), ("linger", [], True))
            while [p for p in await d.client.objects() if "/conn/" in p or "/adv/" in p]:
                await asyncio.sleep(0.02)  # nobody touches it: it goes

    async def test_linger_ends(self):
        async with Daemon("--linger-ms", "100") as d:
            caller = await d.new_client()
            await caller.advertise()
            caller.close()
            while await d.on_air():
                await asyncio.sleep(0.01)

    async def test_persistent(self):
        async with Daemon("--linger-ms", "50") as d:
            caller = await d.new_client()
            adv = await caller.advertise(lifetime="persistent")
            caller.close()
            await asyncio.sleep(0.3)
            self.assertTrue(await d.on_air())
            e = await self.fails("Busy", d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [False, {}]))
            self.assertEqual(e.details["holder"], "persistent")
            await stop(d.client, adv)
            await d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [False, {}])

    async def test_killed_while_it_starts(self):
        async with Daemon() as d:
            for opcode in ADD_PARAMS, ADD_DATA:
                await d.tell("rule", opcode, 0, 1, 5, 0, 200)
                caller = await d.new_client()
                caller.start(HCI0, ADAPTER, "Advertise", "ta{sv}", [100000, {}])
                await asyncio.sleep(0.1)
                caller.close()
                await asyncio.sleep(0.3)
                while await d.tell("adv", 0, 1):
                    await asyncio.sleep(0.01)
                self.assertEqual(await d.client.get(HCI0, ADAPTER, "AdvertisersInUse"), 0)
                await d.tell("rules_clear")

    async def test_late_answer(self):
        """The daemon's own deadline, shortened by a kernel that never answers"""
        async with Daemon() as d:
            await d.tell("rule", ADD_PARAMS, 0, 1, 1, 0, 0)
            e = await self.fails("Timeout", d.client.advertise())
            self.assertTrue(e.text)
            self.assertEqual(await d.client.get(HCI0, ADAPTER, "AdvertisersInUse"), 0)

    async def test_adapter_stop(self):
        async with Daemon() as d:
            other = await d.new_client()
            mine, theirs = await d.client.advertise(), await other.advertise()
            await d.client.call(HCI0, ADAPTER, "Stop", "a{sv}", [{}])
            self.assertEqual(await d.client.signal("Finished", mine), ["stopped", {}])
            self.assertEqual(await other.get(theirs, ADVERTISER, "State"), "running")
            await other.call(HCI0, ADAPTER, "Stop", "a{sv}", [{}])
            self.assertFalse(await d.client.get(HCI0, ADAPTER, "Powered"))
            adv = await d.client.advertise()  # work turns it on again
            self.assertEqual(await d.client.get(adv, ADVERTISER, "State"), "running")

    async def test_updates_that_wait_are_canceled_with_it(self):
        async with Daemon() as d:
            other = await d.new_client()
            adv = await other.advertise(lifetime="caller")
            await d.tell("rule", ADD_DATA, 0, 1, 1, 0, 0)  # the kernel does not answer it
            waiting = [d.client.start(adv, ADVERTISER, "Update", "a{sv}", [options(name=f"{i}")]) for i in range(3)]
            await asyncio.sleep(0.05)
            other.close()
            for call in waiting:
                await self.fails("Canceled", call)

    async def test_adapter_stop_answers_an_advertise_that_waits(self):
        async with Daemon() as d:
            await d.tell("rule", ADD_PARAMS, 0, 1, 1, 0, 0)  # the kernel does not answer it
            waiting = d.client.start(HCI0, ADAPTER, "Advertise", "ta{sv}", [100000, {}])
            await asyncio.sleep(0.05)
            await d.client.call(HCI0, ADAPTER, "Stop", "a{sv}", [{}])
            await self.fails("Canceled", waiting)
            other = await d.new_client()
            d.client.close()  # with nothing of it left behind
            self.assertEqual([p for p in await other.objects() if "/adv/" in p], [])

    async def test_power_off_by_the_holder_pauses(self):
        async with Daemon() as d:
            adv = await d.client.advertise()
            await d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [False, {}])
            self.assertEqual(await d.client.get(adv, ADVERTISER, "State"), "paused")
            await d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [True, {}])
            while await d.client.get(adv, ADVERTISER, "State") != "running":
                await asyncio.sleep(0.01)


class Limits(TestCase):
    async def test_places_of_the_controller(self):
        async with Daemon() as d:
            other = await d.new_client()
            p = await d.client.get_all(HCI0, ADAPTER)
            self.assertEqual((p["AdvertisersInUse"], p["AdvertisersMax"]), (0, 3))
            await d.tell("adv_add", 0, 2)
            await d.client.advertise(name="mine")
            adv = await other.advertise(name="other's")
            self.assertEqual(await d.client.get(HCI0, ADAPTER, "AdvertisersInUse"), 3)
            e = await self.fails("NoSlots", d.client.advertise())
            self.assertEqual(e.details["limit"], 3)
            self.assertIn(e.details["holder"], (d.client.name, other.name))
            self.assertIn("1 by you, 1 by other clients, 1 by other programs", e.text)
            await stop(other, adv)
            await d.client.advertise()

    async def test_places_that_are_about_to_be_taken(self):
        async with Daemon() as d:
            other = await d.new_client()
            await d.tell("rule", ADD_PARAMS, 0, 1, 5, 0, 100)  # the kernel takes its time
            starting = [c.start(HCI0, ADAPTER, "Advertise", "ta{sv}", [100000, {}]) for c in (d.client, d.client, other)]
            await asyncio.sleep(0.05)
            e = await self.fails("NoSlots", d.client.advertise())
            self.assertIn("2 by you, 1 by other clients, 0 by other programs", e.text)
            await asyncio.gather(*starting)

    async def test_quota(self):
        async with Daemon("--advertisers", "1") as d:
            adv = await d.client.advertise(timeout_ms=10)
            await d.client.signal("Finished", adv)
            adv = await d.client.advertise()  # one that has finished is no reason
            e = await self.fails("LimitExceeded", d.client.advertise())
            self.assertEqual((e.details["what"], e.details["limit"]), ("advertisers", 1))
            await (await d.new_client()).advertise()
            await stop(d.client, adv)
            await d.client.advertise()

    async def test_objects(self):
        async with Daemon() as d:
            await d.client.match("type='signal',interface='org.freedesktop.DBus.ObjectManager'")
            adv = await d.client.advertise()
            path, interfaces = await d.client.signal("InterfacesAdded")
            self.assertEqual((path, list(interfaces)[-1:]), (adv, [ADVERTISER]))
            added = next(i for i, m in enumerate(d.client.log) if m.member == "InterfacesAdded")
            reply = next(i for i, m in enumerate(d.client.log) if m.body and m.body[0] == adv and not m.member)
            self.assertLess(added, reply, "objects exist before the reply that names them")
            self.assertIn(ADVERTISER, (await d.client.objects())[adv])
            await stop(d.client, adv)
            self.assertEqual((await d.client.signal("InterfacesRemoved"))[0], adv)


if __name__ == "__main__":
    main()
