# SPDX-License-Identifier: GPL-2.0-or-later
"""aioblectl advertise against the daemon, which runs over a fake kernel: output, exit codes, what is left on the air.

Usage: test-ctl-advertise.py AIOBLECTL [TEST...]
"""
import asyncio
import json
import signal
import sys

from harness import ADAPTER, ADVERTISER, CONNECTION, HCI0, Daemon, TestCase, main, until

CTL = sys.argv.pop(1)
WAIT = 30
PHONE = "C0:11:22:33:44:55"


class Ctl:
    """The program, running; end() gives its exit code and output."""

    @classmethod
    async def start(cls, d, *args):
        self = cls()
        self.process = await asyncio.create_subprocess_exec(
            CTL, "--address", d.bus.address, *args, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE)
        return self

    async def line(self):
        return (await asyncio.wait_for(self.process.stdout.readline(), WAIT)).decode()

    def kill(self, number=signal.SIGINT):
        self.process.send_signal(number)

    async def end(self):
        out, err = await asyncio.wait_for(self.process.communicate(), WAIT)
        return self.process.returncode, out.decode(), err.decode()


class Advertise(TestCase):
    async def run_ctl(self, d, *args):
        return await (await Ctl.start(d, "advertise", *args)).end()

    async def on_air(self, d, instance=1):
        """Waits for it."""
        for _ in range(2000):
            found = await d.on_air(instance)
            if found:
                return found
            await asyncio.sleep(0.01)
        self.fail("never on the air")

    async def off_air(self, d):
        for _ in range(2000):
            if not await d.on_air():
                return
            await asyncio.sleep(0.01)
        self.fail("still on the air")

    async def test_a_central(self):
        async with Daemon() as d:
            ctl = await Ctl.start(d, "advertise", "--name", "mirror", "--uuid", "heart_rate", "--uuid", "0x180f",
                                  "--interval", "20.5")
            flags, units, data, _ = await self.on_air(d)
            self.assertEqual((flags & 1, units), (1, 32))
            self.assertEqual(data, bytes.fromhex("020106 05030d180f18 07096d6972726f72"))
            await d.central(PHONE)
            code, out, err = await ctl.end()
            address, kind, path = out.rstrip("\n").split("\t")
            self.assertEqual((code, address, kind, err), (0, PHONE, "random", ""))
            p = await d.client.get_all(path, CONNECTION)
            self.assertEqual((p["Connected"], p["Holders"], p["Lifetime"]), (True, [], "linger"), "for the next command")
            self.assertIsNone(await d.on_air())

    async def test_json(self):
        async with Daemon() as d:
            ctl = await Ctl.start(d, "advertise", "--json")
            await self.on_air(d)
            await d.central(PHONE)
            code, out, _ = await ctl.end()
            o = json.loads(out)
            self.assertEqual((code, o["address"], o["role"]), (0, PHONE, "peripheral"))
            self.assertTrue(o["path"].startswith(HCI0 + "/conn/"))

    async def test_everything_that_can_be_sent(self):
        async with Daemon() as d:
            ctl = await Ctl.start(d, "advertise", "--appearance", "0x340", "--manufacturer", "0xffff:ca fe", "--manufacturer", "1:",
                                  "--service-data", "180f:64", "--tx-power", "-8", "--limited", "--non-connectable")
            flags, _, data, response = await self.on_air(d)
            self.assertEqual(flags & 0x10001, 0)
            self.assertEqual(data, bytes.fromhex("020105 03194003 05ffffffcafe 03ff0100 04160f1864 020af8"))
            self.assertEqual(response, b"")
            ctl.kill()
            self.assertEqual(await ctl.end(), (0, "", ""))
            await self.off_air(d)

    async def test_raw(self):
        async with Daemon() as d:
            ctl = await Ctl.start(d, "advertise", "--adv-data", "02 01 06 02 0a 00", "--resp-data", "03096162", "--name", "unused")
            _, _, data, response = await self.on_air(d)
            self.assertEqual((data, response), (b"\x02\x01\x06\x02\x0a\x00", b"\x03\x09ab"))
            ctl.kill(signal.SIGTERM)
            self.assertEqual((await ctl.end())[0], 130, "nobody came")

    async def test_keep_and_count(self):
        async with Daemon() as d:
            ctl = await Ctl.start(d, "advertise", "--count", "2")
            for i in range(2):
                await self.on_air(d)
                await d.central(f"C0:11:22:33:44:{i:02X}")
                self.assertTrue((await ctl.line()).startswith(f"C0:11:22:33:44:{i:02X}\trandom\t"))
            self.assertEqual((await ctl.end())[0], 0)
            await self.off_air(d)
            ctl = await Ctl.start(d, "advertise", "--keep")
            await self.on_air(d)
            await d.central(PHONE)
            await ctl.line()
            await self.on_air(d)
            ctl.kill()
            self.assertEqual((await ctl.end())[0], 0)
            await self.off_air(d)

    async def test_ends(self):
        async with Daemon() as d:
            self.assertEqual(await self.run_ctl(d, "--duration", "0.1"), (0, "", ""))
            code, _, err = await self.run_ctl(d, "--count", "1", "--duration", "0.1")
            self.assertEqual((code, "0 of 1" in err), (3, True))
            code, _, err = await self.run_ctl(d, "--timeout", "0.3")
            self.assertEqual((code, "--timeout passed" in err), (3, True))
            await self.off_air(d)

    async def test_persistent(self):
        async with Daemon("--linger-ms", "50") as d:
            code, out, _ = await self.run_ctl(d, "--persistent", "--name", "stay", "--duration", "60")
            path = out.rstrip("\n")
            self.assertEqual(code, 0)
            self.assertEqual(await d.client.get(path, ADVERTISER, "Lifetime"), "persistent")
            await asyncio.sleep(0.3)
            self.assertTrue(await d.on_air())
            code, out, _ = await self.run_ctl(d, "--persistent", "--json", "-q")
            second = json.loads(out)["path"]
            for p in path, second:
                self.assertEqual(await self.run_ctl(d, "--stop", p), (0, "", ""))
            self.assertIsNone(await d.on_air())
            code, _, err = await self.run_ctl(d, "--stop", path)
            self.assertEqual((code, path in err), (4, True))

    async def test_stopped_by_others(self):
        async with Daemon() as d:
            ctl = await Ctl.start(d, "advertise")
            await self.on_air(d)
            (path,) = [p for p in await d.client.objects() if "/adv/" in p]
            await d.client.call(path, ADVERTISER, "Stop", "a{sv}", [{}])
            code, _, err = await ctl.end()
            self.assertEqual((code, "stopped" in err), (1, True))

    async def test_failures(self):
        async with Daemon() as d:
            code, _, err = await self.run_ctl(d, "--name", "n" * 31)
            self.assertEqual((code, "name does not fit: 2 bytes too many" in err, err.count("\n")), (1, True, 1))
            code, _, err = await self.run_ctl(d, "--extended")
            self.assertEqual(code, 1)
            for _ in range(3):
                await d.client.advertise()
            code, _, err = await self.run_ctl(d)
            self.assertEqual((code, "3 by other clients" in err), (7, True))
            code, _, err = await self.run_ctl(d, "--json")
            self.assertEqual(json.loads(err)["error"]["name"], "NoSlots")

    async def test_the_adapter_goes(self):
        async with Daemon() as d:
            ctl = await Ctl.start(d, "advertise")
            await self.on_air(d)
            await d.tell("unplug", 0)
            code, _, err = await ctl.end()
            self.assertEqual(code, 9)
            self.assertIn("advertise", err)
            code, _, _ = await self.run_ctl(d)
            self.assertEqual(code, 9)

    async def test_the_daemon_dies(self):
        async with Daemon() as d:
            ctl = await Ctl.start(d, "advertise")
            await self.on_air(d)
            d.process.terminate()
            code, _, err = await ctl.end()
            await d.process.wait()
            self.assertIn(code, (1, 8))
            self.assertEqual(err.count("\n"), 1)

    async def test_killed(self):
        async with Daemon("--linger-ms", "100") as d:
            ctl = await Ctl.start(d, "advertise")
            await self.on_air(d)
            ctl.kill(signal.SIGKILL)
            await ctl.end()
            await self.off_air(d)

    async def test_reader_gone(self):
        async with Daemon() as d:
            ctl = await Ctl.start(d, "advertise", "--keep")
            await self.on_air(d)
            ctl.process._transport.get_pipe_transport(1).close()
            await asyncio.wait_for(ctl.process.wait(), WAIT)
            self.assertEqual(ctl.process.returncode, 0)
            await self.off_air(d)

    async def test_usage(self):
        async with Daemon() as d:
            for args, what in ((["x"], "too much"), (["--interval", "19"], "below 20"), (["--interval", "20000"], "--interval"),
                               (["--uuid", "nothing"], "not a UUID"), (["--manufacturer", "12"], "COMPANY:HEX"),
                               (["--manufacturer", "70000:00"], "--manufacturer"), (["--manufacturer", "1:0"], "--manufacturer"),
                               (["--service-data", "x:00"], "not a UUID"), (["--appearance", "65536"], "--appearance"),
                               (["--tx-power", "21"], "--tx-power"), (["--adv-data", "0g"], "--adv-data"), (["--name", ""], "--name"),
                               (["--name", "\uffff"], "--name"), (["--name", "\ufdd0"], "--name"),
                               (["--phy", "3M"], "--phy"), (["--count", "0"], "--count"), (["--count", "1", "--non-connectable"], "--count"),
                               (["--count", "1", "--persistent"], "--count"), (["--stop", "x"], "--stop"),
                               (["--adv-data", "00" * 252], "252 bytes")):
                code, out, err = await self.run_ctl(d, *args)
                self.assertEqual((code, out), (2, ""), args)
                self.assertIn(what, err)
            code, out, _ = await self.run_ctl(d, "--help")
            self.assertEqual(code, 0)
            self.assertIn("--manufacturer", out)
            self.assertEqual(await d.client.get(HCI0, ADAPTER, "AdvertisersInUse"), 0)


if __name__ == "__main__":
    main()
