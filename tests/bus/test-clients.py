# SPDX-License-Identifier: GPL-2.0-or-later
"""Clients that flood, stop reading, or die: what they cost themselves, and that they cost nobody else anything."""
import asyncio
import struct
import time

from dbus_fast import Message, MessageFlag

from harness import (ADAPTER, BELT, CHARACTERISTIC, CONNECTION, HCI0, MANAGER, ROOT, SCANNER, SUBSCRIPTION, Daemon,
                     TestCase, attr, main, options, until)

OTHER = "C0:00:00:00:00:99"


class Quotas(TestCase):
    async def test_calls(self):
        async with Daemon("--calls", "3") as d:
            path, peer = await d.connected()
            peer.held = []
            read = lambda c: c.start(path, CONNECTION, "ReadUuid", "sa{sv}", ["2a38", {}])
            mine = [read(d.client) for _ in range(3)]
            await until(lambda: peer.held)
            e = await self.fails("LimitExceeded", read(d.client))
            self.assertEqual((e.details["what"], e.details["limit"]), ("calls", 3))
            other = await d.new_client()
            theirs = read(other)
            await asyncio.sleep(0.05)
            peer.release()
            for call in [*mine, theirs]:
                self.assertEqual((await call)[0], b"\x01")

    async def test_scanners(self):
        async with Daemon("--scanners", "2") as d:
            await d.client.scan()
            short = await d.client.scan(duration_ms=30)
            e = await self.fails("LimitExceeded", d.client.scan())
            self.assertEqual((e.details["what"], e.details["limit"]), ("scanners", 2))
            await d.client.signal("Finished", short)
            third = await d.client.scan()  # one that has finished makes room
            await self.fails("NotFound", d.client.call(short, SCANNER, "Stop", "a{sv}", [{}]))
            await d.client.call(third, SCANNER, "Stop", "a{sv}", [{}])
            await d.client.scan()

    async def test_connections(self):
        async with Daemon("--connections", "1") as d:
            waiting = d.client.start(HCI0, ADAPTER, "Connect", "ssa{sv}", [OTHER, "random", options(timeout_ms=0)])
            await until(lambda: d.attempts)
            e = await self.fails("LimitExceeded", d.client.dial(BELT))
            self.assertEqual((e.details["what"], e.details["limit"]), ("connections", 1))
            await d.client.call(HCI0, ADAPTER, "CancelConnect", "ssa{sv}", [OTHER, "random", {}])
            await self.fails("Canceled", waiting)
            path, _ = await d.connected()
            other = await d.new_client()
            await other.call(path, CONNECTION, "Hold", "a{sv}", [{}])
            await d.client.call(path, CONNECTION, "Disconnect", "a{sv}", [{}])
            d.belt.detach()
            await d.connected()


class Death(TestCase):
    async def test_dead_before_it_was_heard(self):
        """The call is read when its sender has left already."""
        async with Daemon() as d:
            c = await d.new_client()
            await c.bus.send(Message(destination="org.aioble", path=HCI0, interface=ADAPTER, member="Connect",
                               signature="ssa{sv}", body=[OTHER, "random", options(timeout_ms=0)]))
            await asyncio.sleep(0)
            c.close()
            await asyncio.sleep(0.2)
            for number, *_ in d.attempts:
                while await d.tell("link", number) != "cancelled":
                    await asyncio.sleep(0.005)
            # nobody waits for the adapter any more
            await d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [False, {}])

    async def test_everything_of_a_dead_client_goes(self):
        async with Daemon() as d:
            c = await d.new_client()
            path, peer = await d.connected(c, lifetime="caller")
            await c.call(path, CONNECTION, "Discover", "a{sv}", [{}])
            await c.call(attr(path, peer.measurement), CHARACTERISTIC, "Subscribe", "a{sv}",
                         [options(signals=True, lifetime="caller")])
            await c.scan(lifetime="caller")
            c.start(attr(path, peer.long), CHARACTERISTIC, "Read", "a{sv}", [{}])
            c.start(HCI0, ADAPTER, "Connect", "ssa{sv}", [OTHER, "random", options(timeout_ms=0)])
            await asyncio.sleep(0.1)
            c.close()
            await until(lambda: not peer.sock)
            while set(await d.client.objects()) - {ROOT} != {HCI0}:
                await asyncio.sleep(0.01)
            while await d.tell("scanning", 0) != "0":
                await asyncio.sleep(0.01)

    async def test_no_reply_wanted(self):
        async with Daemon() as d:
            path, peer = await d.connected()
            n = len(d.client.log)
            await d.client.bus.send(Message(destination="org.aioble", path=path, interface=CONNECTION,
                                            member="ReadUuid", signature="sa{sv}", body=["2a38", {}],
                                            flags=MessageFlag.NO_REPLY_EXPECTED))
            await until(lambda: peer.log)
            await d.client.get(ROOT, MANAGER, "Version")
            self.assertEqual(len(d.client.log), n + 1)


class Deaf(TestCase):
    """A subscriber that never reads its bus connection."""

    async def subscribed(self, d):
        path, peer = await d.connected()
        await d.client.call(path, CONNECTION, "Discover", "a{sv}", [{}])
        deaf = await d.new_client()
        subs = [await c.call(attr(path, peer.measurement), CHARACTERISTIC, "Subscribe", "a{sv}",
                             [options(signals=True, queue=4096)]) for c in (deaf, d.client)]
        return path, peer, deaf, subs

    @staticmethod
    def values(client, sub):
        return [struct.unpack_from("<I", bytes(v[2]))[0] for m in client.signals("Notified", sub) for v in m.body[0]]

    async def test_costs_nobody_anything(self):
        async with Daemon() as d:
            path, peer, deaf, subs = await self.subscribed(d)
            deaf.deaf()
            before = d.rss()

            async def near(sent):
                await until(lambda: sum(len(m.body[0]) for m in d.client.signals("Notified")) >= sent - 512)
            await peer.flood(peer.measurement, 10000, pace=near)
            await until(lambda: sum(len(m.body[0]) for m in d.client.signals("Notified")) == 10000)
            self.assertEqual(self.values(d.client, subs[1]), list(range(10000)))
            self.assertEqual(await d.client.get(subs[1], SUBSCRIPTION, "Dropped"), 0)
            self.assertLess(d.rss() - before, 16 << 20)
            # when it reads again it is told what it missed
            deaf.deaf(False)
            await until(lambda: len(self.values(deaf, subs[0])) + await_dropped(deaf, subs[0]) == 10000)
            values = self.values(deaf, subs[0])
            self.assertEqual(values, sorted(set(values)))

    async def test_few_signals_are_underway(self):
        """One value a signal: no more than the window reaches a client that does not read."""
        async with Daemon() as d:
            path, peer, deaf, subs = await self.subscribed(d)
            deaf.deaf()
            for i in range(600):
                peer.notify(peer.measurement, struct.pack("<I", i))
                await until(lambda i=i: len(self.values(d.client, subs[1])) > i)
            underway = 600 - await d.client.get(subs[0], SUBSCRIPTION, "Queued")
            self.assertIn(underway, range(200, 257))
            self.assertEqual(await d.client.get(subs[0], SUBSCRIPTION, "Dropped"), 0)
            deaf.deaf(False)
            await until(lambda: self.values(deaf, subs[0]) == list(range(600)))

    async def test_where_the_bus_forbids_to_ask(self):
        """Without Ping clients are sent a modest rate, so they get everything in the end."""
        forbid = '<policy context="mandatory"><deny send_interface="org.freedesktop.DBus.Peer"/></policy>'
        async with Daemon(bus_extra=forbid) as d:
            path, peer, deaf, subs = await self.subscribed(d)
            for i in range(330):
                peer.notify(peer.measurement, struct.pack("<I", i))
                await asyncio.sleep(0.001)
            await until(lambda: self.values(d.client, subs[1]) == list(range(330)))

    async def test_unread_replies(self):
        """A client that asks and asks and reads nothing gets no more answers at some point; others do."""
        async with Daemon() as d:
            path, peer = await d.connected()
            await d.client.call(path, CONNECTION, "Discover", "a{sv}", [{}])
            deaf = await d.new_client()
            deaf.deaf()
            before = d.rss()
            slowest = 0
            for i in range(40):
                for _ in range(60):
                    deaf.bus.send(Message(destination="org.aioble", path=path, interface=CONNECTION,
                                          member="Discover", signature="a{sv}", body=[{}]))
                start = time.monotonic()
                await d.client.get(path, CONNECTION, "Mtu")
                slowest = max(slowest, time.monotonic() - start)
            self.assertLess(slowest, 10)
            self.assertLess(d.rss() - before, 64 << 20)


def await_dropped(client, sub):
    signals = client.signals("Notified", sub)
    return signals[-1].body[1] if signals else 0


class Daemons(TestCase):
    async def test_stopping_answers_everybody(self):
        async with Daemon() as d:
            path, peer = await d.connected()
            peer.silent = True
            scanner = await d.client.scan()
            calls = [d.client.start(path, CONNECTION, "ReadUuid", "sa{sv}", ["2a38", options(timeout_ms=0)]),
                     d.client.start(scanner, SCANNER, "Next", "a{sv}", [options(timeout_ms=0)]),
                     d.client.start(HCI0, ADAPTER, "Connect", "ssa{sv}", [OTHER, "random", options(timeout_ms=0)])]
            await until(lambda: peer.log and len(d.attempts) == 2)
            await asyncio.sleep(0.05)
            await d.tell("stop")
            for call in calls:
                await self.fails("Canceled", call)
            await self.fails("Canceled", d.client.scan())
            await self.fails("Canceled", d.client.dial(OTHER))
            await self.fails("Canceled", d.client.call(path, CONNECTION, "Discover", "a{sv}", [{}]))

    async def test_terminated_in_the_middle(self):
        async with Daemon() as d:
            path, peer = await d.connected()
            peer.silent = True
            await d.client.scan()
            call = d.client.start(path, CONNECTION, "ReadUuid", "sa{sv}", ["2a38", options(timeout_ms=0)])
            await until(lambda: peer.log)
            d.process.terminate()
            await self.fails("Canceled", call)
            self.assertEqual(await d.process.wait(), 0)

    async def test_lost_bus_ends_the_daemon(self):
        d = Daemon()
        await d.__aenter__()
        d.bus.process.kill()
        self.assertEqual(await asyncio.wait_for(d.process.wait(), 10), 3)
        try:
            await d.__aexit__(ValueError, None, None)
        except (OSError, EOFError):
            pass


if __name__ == "__main__":
    main()
