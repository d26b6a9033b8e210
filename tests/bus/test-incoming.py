# SPDX-License-Identifier: GPL-2.0-or-later
"""Links that peers make: their objects, whose they are, and what turning the radio off does to them."""
import asyncio

from harness import ADAPTER, CONNECTION, HCI0, Daemon, TestCase, main, options, plain, until

PHONE = "C0:DE:C0:DE:00:01"


async def come(d, address=PHONE, order="ham", client=None):
    """Its number, the peer's end, the path of its object."""
    client = client or d.client
    seen = len(client.signals("InterfacesAdded"))
    number, sock = await d.incoming(address, order=order)
    added = await client.signal("InterfacesAdded", n=seen + 1)
    return number, sock, added[0]


async def ask(sock, pdu):
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, pdu)
    return await asyncio.wait_for(loop.sock_recv(sock, 600), 20)


class Incoming(TestCase):
    async def test_it_has_an_object(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            for n, order in enumerate(("ham", "ahm", "mha"), 1):
                _, sock, path = await come(d, f"C0:DE:C0:DE:00:{n:02X}", order)
                self.assertEqual(path, f"{HCI0}/conn/{n}")
                added = next(m for m in d.client.signals("InterfacesAdded") if m.body[0] == path)
                told = plain(added.body[1])[CONNECTION]
                p = await d.client.get_all(path, CONNECTION)
                for key in "Address", "AddressType", "Role", "Connected", "IntervalUs":
                    self.assertEqual(told[key], p[key])
                self.assertEqual((p["Address"], p["AddressType"], p["Role"], p["Connected"]),
                                 (f"C0:DE:C0:DE:00:{n:02X}", "random", "peripheral", True))
                self.assertEqual((p["IntervalUs"], p["Latency"], p["SupervisionTimeoutMs"]), (50000, 0, 2560))
                self.assertEqual((p["Holders"], p["Lifetime"], p["ExpiresUs"]), ([], "persistent", 0))
                self.assertEqual(await ask(sock, b"\x02\x64\x00"), b"\x03\x05\x02")
                await until_property(d, path, "Mtu", 100)
                sock.close()
            stats = await d.client.get(HCI0, ADAPTER, "Stats")
            self.assertEqual((stats["accepts"], stats["accept_failures"], stats["connects"]), (3, 0, 0))
            self.assertEqual(await d.client.get(HCI0, ADAPTER, "LinksInUse"), 3)

    async def test_the_peer_goes(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            number, sock, path = await come(d)
            sock.close()
            await d.tell("drop", number, 0x08)
            reason, _ = await d.client.signal("Disconnected", path)
            self.assertEqual(reason, 0x08)
            await d.client.signal("InterfacesRemoved", n=1)
            self.assertNotIn(path, await d.client.objects())

    async def test_nobody_holds_it_and_it_stays(self):
        async with Daemon("--linger-ms", "50") as d:
            await d.client.match("type='signal',sender='org.aioble'")
            _, sock, path = await come(d)
            other = await d.new_client()
            await other.call(path, CONNECTION, "Hold", "a{sv}", [{}])
            self.assertEqual(await d.client.get(path, CONNECTION, "Holders"), [other.name])
            other.close()
            await until_property(d, path, "Holders", [])
            await asyncio.sleep(0.3)
            self.assertTrue(await d.client.get(path, CONNECTION, "Connected"))
            self.assertEqual(await ask(sock, b"\x02\x64\x00"), b"\x03\x05\x02")
            await d.client.call(path, CONNECTION, "Disconnect", "a{sv}", [{}])
            reason, _ = await d.client.signal("Disconnected", path)
            self.assertEqual(reason, 0x16)
            sock.close()

    async def test_connect_takes_it(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            waiting = d.client.start(HCI0, ADAPTER, "Connect", "ssa{sv}", [PHONE, "random", options(lifetime="caller")])
            await until(lambda: d.attempts)
            number, sock, path = await come(d)
            self.assertEqual(await waiting, path)
            self.assertEqual(await d.client.dial(PHONE), path)
            p = await d.client.get_all(path, CONNECTION)
            self.assertEqual((p["Role"], p["Holders"], p["Lifetime"]), ("peripheral", [d.client.name], "persistent"))
            self.assertEqual(await d.tell("link", 0), "cancelled")
            self.assertEqual(await d.tell("link", number), "up")
            sock.close()

    async def test_it_does_not_keep_the_radio_on(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            _, sock, path = await come(d)
            await d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [False, {}])
            reason, _ = await d.client.signal("Disconnected", path)
            self.assertEqual(reason, 0x16)
            sock.close()
            _, sock = await d.incoming(PHONE, order="a")
            self.assertIsNone(sock)
            await d.client.call(HCI0, ADAPTER, "SetPowered", "ba{sv}", [True, {}])
            _, sock, path = await come(d)
            self.assertTrue(await d.client.get(path, CONNECTION, "Connected"))
            sock.close()

    async def test_many(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            socks = [(await come(d, f"C0:DE:C0:DE:01:{n:02X}"))[1] for n in range(40)]
            self.assertEqual(await d.client.get(HCI0, ADAPTER, "LinksInUse"), 40)
            for s in socks:
                s.close()


class Pairing(TestCase):
    async def test_just_works(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            number, sock, path = await come(d)
            p = await d.client.get_all(path, CONNECTION)
            self.assertEqual((p["Encrypted"], p["Bonded"], p["KeySize"]), (False, False, 0))
            await d.tell("pair", number, "ask")
            await d.tell("pair", number, "encrypt")
            await d.tell("pair", number, "key")
            await until_property(d, path, "Bonded", True)
            p = await d.client.get_all(path, CONNECTION)
            self.assertEqual((p["Encrypted"], p["Authenticated"], p["KeySize"]), (True, False, 16))
            await until(lambda: changed(d, path).get("Bonded") is True)
            self.assertEqual(changed(d, path), {**changed(d, path), "Encrypted": True, "KeySize": 16})
            await d.tell("pair", number, "passkey")
            await d.tell("pair", number, "compare")
            stats = await d.client.get(HCI0, ADAPTER, "Stats")
            self.assertEqual((stats["new_keys"], stats["pairing_failures"], stats["pairings_refused"]), (1, 0, 2))
            await d.tell("pair", number, "key-once")
            await until_property(d, path, "Bonded", False)
            sock.close()

    async def test_the_identity_of_a_private_address(self):
        async with Daemon() as d:
            await d.client.match("type='signal',sender='org.aioble'")
            number, sock, path = await come(d, "49:00:00:00:00:01")
            p = await d.client.get_all(path, CONNECTION)
            self.assertEqual((p["Address"], p["Identity"]), ("49:00:00:00:00:01", ""))
            await d.tell("pair", number, "identity", PHONE)
            await until(lambda: changed(d, path).get("Identity") == PHONE)
            self.assertEqual(await d.client.get(path, CONNECTION, "Address"), "49:00:00:00:00:01")
            self.assertEqual(await d.client.dial(PHONE), path)
            sock.close()


def changed(d, path):
    """What PropertiesChanged told of the connection, all together."""
    out = {}
    for m in d.client.signals("PropertiesChanged", path):
        out.update(plain(m.body[1]))
    return out


async def until_property(d, path, name, value):
    for _ in range(1000):
        if await d.client.get(path, CONNECTION, name) == value:
            return
        await asyncio.sleep(0.005)
    raise AssertionError(f"{name} never was {value}")


if __name__ == "__main__":
    main()
