# SPDX-License-Identifier: GPL-2.0-or-later
"""Connect and Connection1: attempts, holders and lifetimes, the end of a link and the order of what is told."""
import asyncio

from dbus_fast import MessageType

from harness import (ADAPTER, BELT, CHARACTERISTIC, CONNECTION, HCI0, ROOT, Daemon, TestCase, attr, belt, main,
                     options, plain, until)

OTHER = "C0:00:00:00:00:99"


class Connect(TestCase):
    async def test_connects_without_a_scan_and_says_nothing_to_the_peer(self):
        async with Daemon() as d:
            path, peer = await d.connected()
            self.assertEqual(path, HCI0 + "/conn/1")
            p = await d.client.get_all(path, CONNECTION)
            self.assertEqual((p["Address"], p["AddressType"], p["Identity"]), (BELT, "random", BELT))
            self.assertEqual((p["Role"], p["Connected"], p["Mtu"], p["Adapter"]), ("central", True, 23, HCI0))
            self.assertEqual((p["IntervalUs"], p["Latency"], p["SupervisionTimeoutMs"]), (50000, 0, 2560))
            self.assertEqual((p["Encrypted"], p["Authenticated"], p["Bonded"], p["KeySize"]), (False, False, False, 0))
            self.assertEqual((p["Holders"], p["Lifetime"], p["ExpiresUs"]), ([d.client.name], "linger", 0))
            self.assertEqual(p["Stats"]["requests"], 0)
            await asyncio.sleep(0.2)
            self.assertEqual(peer.log, [])

    async def test_object_exists_before_the_reply(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            path, _ = await d.connected()
            added = next(i for i, m in enumerate(d.client.log) if m.member == "InterfacesAdded" and m.body[0] == path)
            replied = next(i for i, m in enumerate(d.client.log)
                           if m.message_type == MessageType.METHOD_RETURN and m.body == [path])
            self.assertLess(added, replied)
            self.assertEqual(plain(d.client.log[added].body[1])[CONNECTION]["Address"], BELT)

    async def test_timeout(self):
        async with Daemon() as d:
            await self.fails("Timeout", d.client.dial(OTHER, timeout_ms=100))
            await until(lambda: d.attempts)
            self.assertEqual(await d.tell("link", 0), "cancelled")

    async def test_shared_attempt_and_a_link_that_is_up(self):
        async with Daemon() as d:
            d.belt.delay = 0.1
            other = await d.new_client()
            one = d.client.start(HCI0, ADAPTER, "Connect", "ssa{sv}", [BELT, "random", {}])
            two = other.start(HCI0, ADAPTER, "Connect", "ssa{sv}", [BELT, "random", {}])
            path = await one
            self.assertEqual(await two, path)
            self.assertEqual(await d.client.dial(BELT), path)
            self.assertEqual(len(d.attempts), 1)
            self.assertEqual(await d.client.get(path, CONNECTION, "Holders"), [d.client.name, other.name])

    async def test_failure_has_the_reason(self):
        async with Daemon() as d:
            d.belt.fail = (13, 0x05)
            e = await self.fails("ConnectFailed", d.client.dial(BELT, timeout_ms=2000))
            self.assertEqual(e.details["hci"], 0x05)
            d.belt.fail = (12, 0x0d)
            e = await self.fails("NoSlots", d.client.dial(BELT, timeout_ms=2000))
            self.assertEqual(e.details["hci"], 0x0d)

    async def test_cancel(self):
        async with Daemon() as d:
            other = await d.new_client()
            mine = d.client.start(HCI0, ADAPTER, "Connect", "ssa{sv}", [OTHER, "random", {}])
            theirs = other.start(HCI0, ADAPTER, "Connect", "ssa{sv}", [OTHER, "random", {}])
            await until(lambda: d.attempts)
            await d.client.call(HCI0, ADAPTER, "CancelConnect", "ssa{sv}", [OTHER, "random", {}])
            await self.fails("Canceled", mine)
            self.assertEqual(await d.tell("link", 0), "pending")
            await self.fails("NotFound", d.client.call(HCI0, ADAPTER, "CancelConnect", "ssa{sv}", [OTHER, "random", {}]))
            await self.fails("NotFound", other.call(HCI0, ADAPTER, "CancelConnect", "ssa{sv}", [BELT, "random", {}]))
            await other.call(HCI0, ADAPTER, "CancelConnect", "ssa{sv}", [OTHER, "random", {}])
            await self.fails("Canceled", theirs)
            await until_link(d, 0, "cancelled")

    async def test_caller_that_leaves_cancels(self):
        async with Daemon() as d:
            other = await d.new_client()
            other.start(HCI0, ADAPTER, "Connect", "ssa{sv}", [OTHER, "random", options(timeout_ms=0)])
            await until(lambda: d.attempts)
            other.close()
            await until_link(d, 0, "cancelled")

    async def test_fifty_in_a_row(self):
        async with Daemon() as d:
            paths = set()
            for _ in range(50):
                path, _ = await d.connected()
                paths.add(path)
                await d.client.call(path, CONNECTION, "Disconnect", "a{sv}", [{}])
                d.belt.detach()
            self.assertEqual(len(paths), 50)
            self.assertEqual(await d.client.get(HCI0, ADAPTER, "LinksInUse"), 0)


async def until_link(d, number, state):
    for _ in range(1000):
        if await d.tell("link", number) == state:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"link {number} never was {state}")


class End(TestCase):
    async def test_disconnect(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            path, _ = await d.connected()
            await d.client.call(path, CONNECTION, "Disconnect", "a{sv}", [{}])
            reason, details = await d.client.signal("Disconnected", path)
            self.assertEqual(reason, 0x16)
            self.assertTrue(details["text"])
            await self.fails("NotConnected", d.client.call(path, CONNECTION, "Disconnect", "a{sv}", [{}]))
            await self.fails("NotConnected", d.client.call(attr(path, 3), CHARACTERISTIC, "Read", "a{sv}", [{}]))
            self.assertNotIn(path, await d.client.objects())

    async def test_order_at_the_end(self):
        """Every call is answered, subscriptions end, then Disconnected is the connection's last, then it goes."""
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            path, peer = await d.connected()
            await d.client.call(path, CONNECTION, "Discover", "a{sv}", [{}])
            sub = await d.client.call(attr(path, peer.measurement), CHARACTERISTIC, "Subscribe", "a{sv}",
                                      [options(signals=True)])
            peer.silent = True
            calls = [d.client.start(attr(path, peer.location), CHARACTERISTIC, "Read", "a{sv}", [{}])
                     for _ in range(3)]
            calls.append(d.client.start(path, CONNECTION, "Discover", "a{sv}", [{}]))
            await until(lambda: len(peer.log) and peer.log[-1][0] == 0x0a)
            peer.notify(peer.measurement, b"last words")
            await d.drop(peer, 0x13)
            for call in calls:
                e = await self.fails("Disconnected", call)
                self.assertEqual(e.details["hci"], 0x13)
            await until(lambda: any(m.body[0] == path for m in d.client.signals("InterfacesRemoved")))
            log = d.client.log
            last_answer = max(i for i, m in enumerate(log) if m.message_type == MessageType.ERROR)
            finished = next(i for i, m in enumerate(log) if m.member == "Finished" and m.path == sub)
            values = next(i for i, m in enumerate(log) if m.member == "Notified" and m.path == sub)
            disconnected = next(i for i, m in enumerate(log) if m.member == "Disconnected")
            removed = next(i for i, m in enumerate(log) if m.member == "InterfacesRemoved")
            self.assertLess(last_answer, disconnected)
            self.assertLess(values, finished)
            self.assertLess(finished, disconnected)
            self.assertLess(disconnected, removed)
            self.assertEqual(plain(log[finished].body), ["org.aioble.Error.Disconnected", {"hci": 0x13}])
            self.assertFalse([m for m in log[disconnected + 1:removed] if m.path == path and m.member != "Disconnected"])

    async def test_disconnect_ends_the_waits_of_others(self):
        async with Daemon() as d:
            path, peer = await d.connected()
            other = await d.new_client()
            peer.silent = True
            read = other.start(path, CONNECTION, "ReadUuid", "sa{sv}", ["2a38", {}])
            await until(lambda: peer.log)
            await d.client.call(path, CONNECTION, "Disconnect", "a{sv}", [{}])
            e = await self.fails("Disconnected", read)
            self.assertEqual(e.details["hci"], 0x16)


class Lifetime(TestCase):
    async def test_caller(self):
        async with Daemon() as d:
            other = await d.new_client()
            path, peer = await d.connected(other, lifetime="caller")
            self.assertEqual(await d.client.get(path, CONNECTION, "Lifetime"), "caller")
            other.close()
            await until(lambda: not peer.sock, "the link ends with its holder")

    async def test_caller_with_two_holders(self):
        async with Daemon() as d:
            other = await d.new_client()
            path, peer = await d.connected(other, lifetime="caller")
            await d.client.call(path, CONNECTION, "Hold", "a{sv}", [{}])
            other.close()
            while await d.client.get(path, CONNECTION, "Holders") != [d.client.name]:
                await asyncio.sleep(0.01)
            self.assertTrue(peer.sock)
            await d.client.call(path, CONNECTION, "Release", "a{sv}", [{}])
            await until(lambda: not peer.sock)

    async def test_linger_and_touch(self):
        """Separate clients, as busctl is one, keep the link by using it; then it goes by itself."""
        async with Daemon("--linger-ms", "600") as d:
            one = await d.new_client()
            path, peer = await d.connected(one)
            one.close()
            for _ in range(5):
                await asyncio.sleep(0.3)
                c = await d.new_client()
                self.assertEqual(await c.call(path, CONNECTION, "ReadUuid", "sa{sv}", ["2a38", {}]), [b"\x01", peer.location])
                self.assertEqual(await c.get(path, CONNECTION, "Holders"), [])
                self.assertGreater(await c.get(path, CONNECTION, "ExpiresUs"), 0)
                c.close()
            self.assertTrue(peer.sock)
            await until(lambda: not peer.sock)

    async def test_touch_by_children(self):
        async with Daemon("--linger-ms", "600") as d:
            one = await d.new_client()
            path, peer = await d.connected(one)
            await one.call(path, CONNECTION, "Discover", "a{sv}", [{}])
            one.close()
            for _ in range(5):
                await asyncio.sleep(0.3)
                await d.client.call(attr(path, peer.location), CHARACTERISTIC, "Read", "a{sv}", [{}])
            self.assertTrue(peer.sock)

    async def test_a_subscriber_keeps_a_lingering_link(self):
        async with Daemon("--linger-ms", "200") as d:
            one = await d.new_client()
            path, peer = await d.connected(one)
            sub = await d.client.call(path, CONNECTION, "SubscribeUuid", "sa{sv}", ["2a37", {}])
            one.close()
            await asyncio.sleep(0.9)
            self.assertTrue(peer.sock)
            await d.client.call(sub, "org.aioble.Subscription1", "Stop", "a{sv}", [{}])
            await until(lambda: not peer.sock)

    async def test_persistent(self):
        async with Daemon("--linger-ms", "100") as d:
            one = await d.new_client()
            path, peer = await d.connected(one, lifetime="persistent")
            one.close()
            await asyncio.sleep(0.5)
            self.assertTrue(peer.sock)
            self.assertEqual(await d.client.get(path, CONNECTION, "ExpiresUs"), 0)
            e = await self.fails("Busy", d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [False, {}]))
            self.assertEqual(e.details["holder"], "persistent")
            await d.client.call(path, CONNECTION, "Disconnect", "a{sv}", [{}])

    async def test_longer_wish_counts(self):
        async with Daemon() as d:
            path, _ = await d.connected(lifetime="caller")
            await d.client.dial(BELT, lifetime="linger")
            self.assertEqual(await d.client.get(path, CONNECTION, "Lifetime"), "linger")
            await d.client.dial(BELT, lifetime="caller")
            self.assertEqual(await d.client.get(path, CONNECTION, "Lifetime"), "linger")

    async def test_release_of_what_is_not_held(self):
        async with Daemon() as d:
            path, _ = await d.connected()
            other = await d.new_client()
            await self.fails("NotFound", other.call(path, CONNECTION, "Release", "a{sv}", [{}]))
            await other.call(path, CONNECTION, "Hold", "a{sv}", [{}])
            await other.call(path, CONNECTION, "Hold", "a{sv}", [{}])
            self.assertEqual(await d.client.get(path, CONNECTION, "Holders"), [d.client.name, other.name])


class Mtu(TestCase):
    async def test_exchange_once(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            path, peer = await d.connected()
            self.assertEqual(await d.client.call(path, CONNECTION, "ExchangeMtu", "a{sv}", [options(mtu=185)]), 185)
            self.assertEqual(await d.client.call(path, CONNECTION, "ExchangeMtu", "a{sv}", [{}]), 185)
            self.assertEqual([p[0] for p in peer.log], [0x02])
            self.assertEqual(await d.client.get(path, CONNECTION, "Mtu"), 185)
            await until(lambda: any("Mtu" in m.body[1] for m in d.client.signals("PropertiesChanged", path)))

    async def test_errors(self):
        async with Daemon() as d:
            path, peer = await d.connected()
            await self.invalid("mtu", d.client.call(path, CONNECTION, "ExchangeMtu", "a{sv}", [options(mtu=22)]))
            await self.invalid("mtu", d.client.call(path, CONNECTION, "ExchangeMtu", "a{sv}", [options(mtu=518)]))
            peer.silent = True
            await self.fails("Timeout", d.client.call(path, CONNECTION, "ExchangeMtu", "a{sv}",
                                                      [options(timeout_ms=50)]))


if __name__ == "__main__":
    main()
