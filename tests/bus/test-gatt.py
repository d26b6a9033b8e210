# SPDX-License-Identifier: GPL-2.0-or-later
"""Service1, Characteristic1, Descriptor1 and the GATT methods of Connection1."""
import asyncio
import struct

from harness import (CHARACTERISTIC, CONNECTION, DESCRIPTOR, HCI0, SERVICE, Daemon, TestCase, attr, main, options,
                     record, until)

LONG = "12345678-1234-5678-1234-56789abcdef1"


async def discovered(d, **kw):
    path, peer = await d.connected(**kw)
    return path, peer, await d.client.call(path, CONNECTION, "Discover", "a{sv}", [{}])


class Discovery(TestCase):
    async def test_everything_in_one_reply(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            path, peer, services = await discovered(d)
            self.assertEqual([s[1] for s in services], ["1800", "180d", "12345678-1234-5678-1234-56789abcdef0"])
            rate = services[1]
            self.assertEqual(rate[0], attr(path, rate[2]))
            self.assertEqual([c[1] for c in rate[5]], ["2a37", "2a38", "2a39"])
            measurement = rate[5][0]
            self.assertEqual(measurement[:6], [attr(path, peer.measurement), "2a37", peer.measurement - 1,
                                               peer.measurement, peer.measurement + 1, 0x10])
            self.assertEqual(measurement[6], [[attr(path, peer.measurement + 1), "2902", peer.measurement + 1]])
            added = [m.body[0] for m in d.client.signals("InterfacesAdded")]
            self.assertEqual(added, [path], "attributes are not announced")
            objects = await d.client.objects()
            self.assertEqual(objects[attr(path, peer.long)][CHARACTERISTIC]["Uuid"], LONG)
            self.assertEqual(sum(SERVICE in i for i in objects.values()), 3)
            self.assertEqual(sum(CHARACTERISTIC in i for i in objects.values()), 8)
            self.assertEqual(sum(DESCRIPTOR in i for i in objects.values()), 3)

    async def test_properties(self):
        async with Daemon() as d:
            path, peer, services = await discovered(d)
            p = await d.client.get_all(attr(path, peer.long), CHARACTERISTIC)
            self.assertEqual(p, {"Connection": path, "Service": services[2][0], "Uuid": LONG, "Handle": peer.long,
                                 "Properties": 0x0a, "Flags": ["read", "write"]})
            p = await d.client.get_all(attr(path, peer.description), DESCRIPTOR)
            self.assertEqual(p, {"Connection": path, "Characteristic": attr(path, peer.long), "Uuid": "2901",
                                 "Handle": peer.description})
            p = await d.client.get_all(services[0][0], SERVICE)
            self.assertEqual((p["Uuid"], p["Handle"], p["EndHandle"], p["Primary"]), ("1800", 1, 3, True))

    async def test_step_by_step(self):
        async with Daemon() as d:
            path, peer = await d.connected()
            c = d.client
            await self.fails("NotFound", c.call(attr(path, 4), SERVICE, "DiscoverCharacteristics", "a{sv}", [{}]))
            only = await c.call(path, CONNECTION, "DiscoverServices", "a{sv}", [options(uuid="0x180D")])
            self.assertEqual([s[1] for s in only], ["180d"])
            self.assertEqual({p[0] for p in peer.log}, {0x06}, "Find By Type Value, nothing else")
            self.assertEqual(len(await c.call(path, CONNECTION, "DiscoverServices", "a{sv}", [{}])), 3)
            self.assertEqual(await c.call(path, CONNECTION, "DiscoverServices", "a{sv}", [options(uuid="ffff")]), [])
            found = await c.call(only[0][0], SERVICE, "DiscoverCharacteristics", "a{sv}", [options(uuid="2a38")])
            self.assertEqual([f[1] for f in found], ["2a38"])
            found = await c.call(only[0][0], SERVICE, "DiscoverCharacteristics", "a{sv}", [{}])
            self.assertEqual([f[1] for f in found], ["2a37", "2a38", "2a39"])
            self.assertEqual(await c.call(only[0][0], SERVICE, "DiscoverIncluded", "a{sv}", [{}]), [])
            found = await c.call(attr(path, peer.measurement), CHARACTERISTIC, "DiscoverDescriptors", "a{sv}", [{}])
            self.assertEqual([f[1] for f in found], ["2902"])

    async def test_errors(self):
        async with Daemon() as d:
            path, peer = await d.connected()
            c = d.client
            await self.invalid("uuid", c.call(path, CONNECTION, "DiscoverServices", "a{sv}", [options(uuid="18")]))
            await self.invalid("uuid", c.call(path, CONNECTION, "Discover", "a{sv}", [options(uuid="180d")]))
            peer.silent = True
            await self.fails("Timeout", c.call(path, CONNECTION, "Discover", "a{sv}", [options(timeout_ms=50)]))


class Read(TestCase):
    async def test_values(self):
        async with Daemon() as d:
            path, peer, _ = await discovered(d)
            c = d.client
            read = lambda handle, **kw: c.call(attr(path, handle), CHARACTERISTIC, "Read", "a{sv}", [options(**kw)])
            self.assertEqual(await read(peer.location), b"\x01")
            self.assertEqual(await read(peer.long), bytes(range(100)))
            self.assertEqual(await read(peer.long, offset=90), bytes(range(90, 100)))
            peer.values[peer.location] = b""
            self.assertEqual(await read(peer.location), b"")
            self.assertEqual(await c.call(attr(path, peer.description), DESCRIPTOR, "Read", "a{sv}", [{}]),
                             b"a long one")

    async def test_errors(self):
        async with Daemon() as d:
            path, peer, _ = await discovered(d)
            read = lambda **kw: d.client.call(attr(path, peer.location), CHARACTERISTIC, "Read", "a{sv}",
                                              [options(**kw)])
            peer.errors[peer.location] = 0x0e
            e = await self.fails("Gatt", read())
            self.assertEqual((e.details["att"], e.details["handle"]), (0x0e, peer.location))
            await self.invalid("ofset", read(ofset=1))
            await self.invalid("timeout_ms", read(timeout_ms="soon"))

    async def test_timeout_then_late_answer_belongs_to_nobody(self):
        async with Daemon() as d:
            path, peer, _ = await discovered(d)
            read = lambda handle, **kw: d.client.call(attr(path, handle), CHARACTERISTIC, "Read", "a{sv}",
                                                      [options(**kw)])
            peer.held = []
            await self.fails("Timeout", read(peer.location, timeout_ms=50))
            waiting = asyncio.ensure_future(read(peer.control, timeout_ms=5000))
            await asyncio.sleep(0.1)
            self.assertFalse(waiting.done())
            self.assertEqual(len(peer.held), 1, "one request on the air at a time")
            peer.values[peer.control] = b"right"
            peer.release()
            self.assertEqual(await waiting, b"right")

    async def test_two_clients_same_value(self):
        async with Daemon() as d:
            path, peer, _ = await discovered(d)
            other = await d.new_client()
            reads = [c.start(attr(path, peer.long), CHARACTERISTIC, "Read", "a{sv}", [{}])
                     for c in (d.client, other) * 5]
            self.assertEqual(await asyncio.gather(*reads), [bytes(range(100))] * 10)

    async def test_dead_client_frees_its_place(self):
        async with Daemon() as d:
            path, peer, _ = await discovered(d)
            other = await d.new_client()
            peer.held = []
            for _ in range(20):
                other.start(attr(path, peer.long), CHARACTERISTIC, "Read", "a{sv}", [options(timeout_ms=0)])
            await until(lambda: peer.held)
            while await d.client.get(path, CONNECTION, "QueuedRequests") != 20:
                await asyncio.sleep(0.01)
            other.close()
            while await d.client.get(path, CONNECTION, "QueuedRequests") != 1:  # that on the air
                await asyncio.sleep(0.01)
            waiting = d.client.start(attr(path, peer.location), CHARACTERISTIC, "Read", "a{sv}", [{}])
            peer.release()
            self.assertEqual(await waiting, b"\x01")

    async def test_by_uuid(self):
        async with Daemon() as d:
            path, peer = await d.connected()
            c = d.client
            self.assertEqual(await c.call(path, CONNECTION, "ReadUuid", "sa{sv}", ["2A38", {}]), [b"\x01", peer.location])
            self.assertEqual([p[0] for p in peer.log], [0x08], "one request, nothing discovered")
            self.assertEqual((await c.call(path, CONNECTION, "ReadUuid", "sa{sv}", [LONG, {}]))[0], bytes(range(100)))
            await self.fails("NotFound", c.call(path, CONNECTION, "ReadUuid", "sa{sv}", ["ffff", {}]))
            await self.fails("NotFound", c.call(path, CONNECTION, "ReadUuid", "sa{sv}", ["2a38", options(start=12)]))
            await self.invalid("uuid", c.call(path, CONNECTION, "ReadUuid", "sa{sv}", ["2a3", {}]))
            await self.invalid("start", c.call(path, CONNECTION, "ReadUuid", "sa{sv}", ["2a38", options(start=0)]))
            await self.invalid("start", c.call(path, CONNECTION, "ReadUuid", "sa{sv}", ["2a38", options(start=9, end=8)]))
            peer.errors[peer.location] = 0x02
            e = await self.fails("Gatt", c.call(path, CONNECTION, "ReadUuid", "sa{sv}", ["2a38", {}]))
            self.assertEqual((e.details["att"], e.details["handle"]), (2, peer.location))


class Write(TestCase):
    async def test_kinds(self):
        async with Daemon() as d:
            path, peer, _ = await discovered(d)
            write = lambda handle, value, **kw: d.client.call(attr(path, handle), CHARACTERISTIC, "Write", "aya{sv}",
                                                              [value, options(**kw)])
            await write(peer.control, b"\x07")
            self.assertEqual(peer.values[peer.control], b"\x07")
            await write(peer.fast, b"fast")
            await until(lambda: peer.commands == [(peer.fast, b"fast")])
            await write(peer.fast, b"asked", response=True)
            self.assertEqual(peer.values[peer.fast], b"asked")
            await write(peer.control, b"told", response=False)
            await until(lambda: peer.commands[-1] == (peer.control, b"told"))
            e = await self.fails("NotSupported", write(peer.measurement, b"x"))
            self.assertIn("write", e.text)

    async def test_length(self):
        async with Daemon() as d:
            path, peer, _ = await discovered(d)
            write = lambda value, **kw: d.client.call(attr(path, peer.long), CHARACTERISTIC, "Write", "aya{sv}",
                                                      [value, options(**kw)])
            await write(b"x" * 20)
            e = await self.fails("TooLong", write(b"x" * 21))
            self.assertEqual(e.details["limit"], 20)
            await write(b"y" * 21, truncate=True)
            self.assertEqual(peer.values[peer.long], b"y" * 20)
            await write(b"z" * 300, long=True)
            self.assertEqual(peer.values[peer.long], b"z" * 300)
            await write(b"Q", long=True, offset=299)
            self.assertEqual(peer.values[peer.long], b"z" * 299 + b"Q")
            e = await self.fails("TooLong", write(b"x" * 513, long=True))
            self.assertEqual(e.details["limit"], 512)
            await self.invalid("offset", write(b"x", offset=1))
            await self.invalid("response", write(b"x", long=True, response=False))

    async def test_errors(self):
        async with Daemon() as d:
            path, peer, _ = await discovered(d)
            write = lambda **kw: d.client.call(attr(path, peer.control), CHARACTERISTIC, "Write", "aya{sv}",
                                               [b"x", options(**kw)])
            peer.errors[peer.control] = 0x03
            e = await self.fails("Gatt", write())
            self.assertEqual((e.details["att"], e.details["handle"]), (3, peer.control))
            peer.silent = True
            await self.fails("Timeout", write(timeout_ms=50))

    async def test_by_uuid(self):
        async with Daemon() as d:
            path, peer = await d.connected()
            write = lambda uuid, value, **kw: d.client.call(path, CONNECTION, "WriteUuid", "saya{sv}",
                                                            [uuid, value, options(**kw)])
            await write("2a39", b"\x05")
            self.assertEqual(peer.values[peer.control], b"\x05")
            n = len(peer.log)
            await write("2a39", b"\x06")
            self.assertEqual(len(peer.log), n + 1, "known by now")
            await self.fails("NotFound", write("ffff", b""))
            await self.fails("TooLong", write(LONG, b"x" * 21))
            peer.silent = True
            await self.fails("Timeout", write("2a01", b"x", timeout_ms=50))

    async def test_descriptor(self):
        async with Daemon() as d:
            path, peer, _ = await discovered(d)
            c = d.client
            await c.call(attr(path, peer.description), DESCRIPTOR, "Write", "aya{sv}", [b"new", {}])
            self.assertEqual(peer.values[peer.description], b"new")
            cccd = attr(path, peer.measurement + 1)
            await c.call(attr(path, peer.measurement), CHARACTERISTIC, "Subscribe", "a{sv}", [{}])
            await self.fails("Busy", c.call(cccd, DESCRIPTOR, "Write", "aya{sv}", [b"\0\0", {}]))


class OpenWrite(TestCase):
    async def test_datagrams_become_commands(self):
        async with Daemon() as d:
            path, peer, _ = await discovered(d)
            sock, mtu = await d.client.open(attr(path, peer.fast), CHARACTERISTIC, "OpenWrite")
            self.assertEqual(mtu, 20)
            for i in range(100):
                await asyncio.get_running_loop().sock_sendall(sock, struct.pack("<I", i))
            sock.close()
            await until(lambda: len(peer.commands) == 100, "what was written before the close is sent")
            self.assertEqual([struct.unpack("<I", v)[0] for _, v in peer.commands], list(range(100)))

    async def test_flow_control(self):
        """A link that takes nothing stops the writer, not our heap."""
        async with Daemon() as d:
            path, peer, _ = await discovered(d)
            sock, _ = await d.client.open(attr(path, peer.fast), CHARACTERISTIC, "OpenWrite")
            peer.stall(True)
            sent = 0
            with self.assertRaises(BlockingIOError):
                while sent < 100000:
                    sock.send(struct.pack("<I", sent))
                    sent += 1
                    if sent % 50 == 0:
                        await asyncio.sleep(0.001)
            peer.stall(False)
            await until(lambda: len(peer.commands) == sent)
            self.assertEqual([struct.unpack("<I", v)[0] for _, v in peer.commands], list(range(sent)))

    async def test_ends(self):
        async with Daemon("--streams", "2") as d:
            path, peer, _ = await discovered(d)
            open_write = lambda: d.client.open(attr(path, peer.fast), CHARACTERISTIC, "OpenWrite")
            sock, _ = await open_write()
            sock.send(b"x" * 21)
            r = await record(sock)
            self.assertEqual((r.type, r.reason), (0xff, "org.aioble.Error.TooLong"))
            self.assertIsNone(await record(sock))
            one, _ = await open_write()
            two, _ = await open_write()
            e = await self.fails("LimitExceeded", open_write())
            self.assertEqual((e.details["what"], e.details["limit"]), ("streams", 2))
            await d.drop(peer, 0x08)
            for sock in (one, two):
                r = await record(sock)
                self.assertEqual((r.type, r.hci, r.reason), (0xff, 0x08, "org.aioble.Error.Disconnected"))

    async def test_not_supported(self):
        async with Daemon() as d:
            path, peer, _ = await discovered(d)
            await self.fails("NotSupported", d.client.open(attr(path, peer.control), CHARACTERISTIC, "OpenWrite"))


if __name__ == "__main__":
    main()
