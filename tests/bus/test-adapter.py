# SPDX-License-Identifier: GPL-2.0-or-later
"""Manager1 and Adapter1: properties, finding, power, Stop, plugging."""
import asyncio

from dbus_fast import Variant

from harness import (ADAPTER, BELT, CONNECTION, HCI0, MANAGER, ROOT, SCANNER, Daemon, TestCase, main, options, plain,
                     until)


class Manager(TestCase):
    async def test_properties(self):
        async with Daemon("--calls", "7", "--linger-ms", "12345") as d:
            p = await d.client.get_all(ROOT, MANAGER)
            self.assertEqual(p["Version"], "0.0.1")
            self.assertEqual(p["Features"], ["observer", "central", "gatt-client", "broadcaster", "peripheral", "gatt-server"])
            self.assertEqual(p["LingerMs"], 12345)
            self.assertEqual(p["Limits"], {"calls": 7, "scanners": 8, "advertisers": 8, "connections": 32,
                                           "subscriptions": 256, "streams": 32, "applications": 8})

    async def test_find_adapter(self):
        async with Daemon() as d:
            for name in ("", "hci0", "00:11:22:33:44:00", "001122334400"):
                self.assertEqual(await d.client.call(ROOT, MANAGER, "FindAdapter", "sa{sv}", [name, {}]), HCI0)
            await self.fails("NotFound", d.client.call(ROOT, MANAGER, "FindAdapter", "sa{sv}", ["hci7", {}]))
            await self.invalid("x", d.client.call(ROOT, MANAGER, "FindAdapter", "sa{sv}", ["", options(x=1)]))

    async def test_objects(self):
        async with Daemon() as d:
            objects = await d.client.objects()
            self.assertIn("State", objects[HCI0][ADAPTER])
            self.assertIn(MANAGER, objects.get(ROOT, {MANAGER: 0}))

    async def test_never_was_is_an_unknown_object(self):
        async with Daemon() as d:
            for path in (HCI0 + "/conn/1", HCI0 + "/conn/01", HCI0 + "/scan/x", HCI0 + "/conn/1/h0001", ROOT + "/hci9"):
                await self.fails("org.freedesktop.DBus.Error.UnknownObject",
                                 d.client.call(path, CONNECTION, "Disconnect", "a{sv}", [{}]))


class Adapter(TestCase):
    async def test_properties(self):
        async with Daemon() as d:
            p = await d.client.get_all(HCI0, ADAPTER)
            self.assertEqual((p["Address"], p["AddressType"], p["Name"]), ("00:11:22:33:44:00", "public", "hci0"))
            self.assertEqual((p["State"], p["Reason"], p["Conflict"]), ("ready", "", ""))
            self.assertEqual((p["Powered"], p["Scanning"], p["LinksInUse"]), (True, False, 0))
            self.assertEqual(p["Stats"]["connects"], 0)

    async def test_changes_are_told_once_a_pass(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            await d.tell("power", 0, 0)
            await until(lambda: any("State" in m.body[1] for m in d.client.signals("PropertiesChanged", HCI0)))
            self.assertEqual(await d.client.get(HCI0, ADAPTER, "State"), "off")
            changed = [plain(m.body[1]) for m in d.client.signals("PropertiesChanged", HCI0)]
            seen = [c["State"] for c in changed if "State" in c]
            self.assertEqual(len(seen), len([s for i, s in enumerate(seen) if i == 0 or seen[i - 1] != s]))
            self.assertEqual(seen[-1], "off")
            self.assertFalse(any("Address" in c for c in changed), "what did not change is not told")

    async def test_plug_and_unplug(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            await d.tell("plug", 1, "00:11:22:33:44:01")
            body = await d.client.signal("InterfacesAdded", ROOT)
            self.assertEqual(body[0], ROOT + "/hci1")
            self.assertEqual(body[1][ADAPTER]["Name"], "hci1")
            await until_ready(d, ROOT + "/hci1")
            scanner = await d.client.scan(ROOT + "/hci1")
            await d.tell("unplug", 1)
            await until(lambda: any(m.body[0] == ROOT + "/hci1" for m in d.client.signals("InterfacesRemoved")))
            gone = [m.body[0] for m in d.client.signals("InterfacesRemoved")]
            self.assertLess(gone.index(scanner), gone.index(ROOT + "/hci1"), "children go first")
            self.assertIn(d.client.signals("Finished")[0].body[0], ("org.aioble.Error.NotFound",
                                                                    "org.aioble.Error.NotPowered"))
            await self.fails("org.freedesktop.DBus.Error.UnknownObject", d.client.scan(ROOT + "/hci1"))

    async def test_unplug_while_connecting_and_connected(self):
        async with Daemon() as d:
            path, _ = await d.connected()
            waiting = d.client.start(HCI0, ADAPTER, "Connect", "ssa{sv}", ["C0:00:00:00:00:99", "random", {}])
            await until(lambda: len(d.attempts) == 2)
            await d.tell("unplug", 0)
            e = await self.fails("NotFound", waiting)
            self.assertIn("gone", e.text)
            await self.fails("NotConnected", d.client.call(path, CONNECTION, "Discover", "a{sv}", [{}]))

    async def test_set_powered(self):
        async with Daemon() as d:
            await d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [False, {}])
            self.assertFalse(await d.client.get(HCI0, ADAPTER, "Powered"))
            await d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [True, options(timeout_ms=5000)])
            self.assertTrue(await d.client.get(HCI0, ADAPTER, "Powered"))
            await self.invalid("bogus", d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [True, options(bogus=1)]))

    async def test_set_powered_respects_others(self):
        async with Daemon() as d:
            other = await d.new_client()
            await other.scan()
            e = await self.fails("Busy", d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [False, {}]))
            self.assertEqual(e.details["holder"], other.name)
            await other.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [False, {}])
            body = await other.signal("Finished")
            self.assertEqual(body[0], "org.aioble.Error.NotPowered")

    async def test_blocked(self):
        async with Daemon() as d:
            await d.tell("block", 0, 1)
            await until_state(d, "blocked")
            e = await self.fails("NotPowered", d.client.scan())
            self.assertIn("rfkill", e.text)
            await self.fails("NotPowered", d.client.dial(BELT))
            await self.fails("NotPowered", d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [True, {}]))

    async def test_stop_releases_and_powers_off(self):
        async with Daemon() as d:
            path, _ = await d.connected()
            await d.client.scan()
            waiting = d.client.start(HCI0, ADAPTER, "Connect", "ssa{sv}", ["C0:00:00:00:00:99", "random", {}])
            await until(lambda: len(d.attempts) == 2)
            await d.client.call(HCI0, ADAPTER, "Stop", "a{sv}", [{}])
            await self.fails("Canceled", waiting)
            self.assertFalse(await d.client.get(HCI0, ADAPTER, "Powered"))
            await self.fails("NotConnected", d.client.call(path, CONNECTION, "Disconnect", "a{sv}", [{}]))
            await d.client.scan()  # turns it on again
            await until_state(d, "ready")

    async def test_stop_leaves_others_alone(self):
        async with Daemon() as d:
            other = await d.new_client()
            scanner = await other.scan()
            path, _ = await d.connected()
            await other.call(path, CONNECTION, "Hold", "a{sv}", [{}])
            await d.client.call(HCI0, ADAPTER, "Stop", "a{sv}", [{}])
            self.assertTrue(await d.client.get(HCI0, ADAPTER, "Powered"))
            self.assertIn(await other.get(scanner, SCANNER, "State"), ("running", "paused"))
            self.assertEqual(await other.get(path, CONNECTION, "Holders"), [other.name])


async def until_ready(d, path):
    while await d.client.get(path, ADAPTER, "State") != "ready":
        await asyncio.sleep(0.01)


async def until_state(d, state):
    for _ in range(500):
        if await d.client.get(HCI0, ADAPTER, "State") == state:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(state)


class Options(TestCase):
    async def test_integers_of_any_type(self):
        async with Daemon() as d:
            for kind in "ynqiuxt":
                s = await d.client.scan(queue=Variant(kind, 100))
                await d.client.call(s, SCANNER, "Stop", "a{sv}", [{}])

    async def test_what_is_wrong_is_named(self):
        async with Daemon() as d:
            c = d.client
            for key, value in (("duration_ms", "long"), ("interval_us", 2499), ("interval_us", -1), ("window_us", 10),
                               ("active", 1), ("duplicates", "some"), ("lifetime", "eternal"), ("queue", 0),
                               ("queue", 4097), ("queue", Variant("t", 2 ** 64 - 1)), ("queue", Variant("x", -2 ** 63)),
                               ("signals", "yes"), ("uuids", ["nonsense"]), ("uuids", "180d"), ("addresses", ["12:34"]),
                               ("companies", ["76"]), ("companies", Variant("ai", [-1])), ("rssi", 300),
                               ("names", Variant("au", [1])), ("names", ["x"] * 65), ("names", ["x" * 256]),
                               ("duration_ms", Variant("d", 1.0)), ("duration_ms", Variant("v", Variant("u", 1))), ("Duration_ms", 1)):
                await self.invalid(key, c.scan(**{key: value}))
            await self.invalid("window_us", c.scan(interval_us=10000, window_us=10001))
            await self.invalid("address", c.dial("nowhere"))
            await self.invalid("address_type", c.dial(BELT, "static"))
            for key, value in (("timeout_ms", True), ("latency", 500), ("min_conn_interval_us", 7499),
                               ("max_conn_interval_us", 4000001), ("supervision_timeout_ms", 99)):
                await self.invalid(key, c.dial(BELT, **{key: value}))
            await self.invalid("min_conn_interval_us",
                               c.dial(BELT, min_conn_interval_us=50000, max_conn_interval_us=40000))
            await self.invalid("supervision_timeout_ms",
                               c.dial(BELT, max_conn_interval_us=400000, supervision_timeout_ms=500))


if __name__ == "__main__":
    main()
