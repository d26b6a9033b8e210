# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon's introspection and error names agree with dbus/*.xml (tools/check-contract)."""
import importlib.machinery
import importlib.util
import pathlib

from central import chr_, definition, register, service
from harness import CHARACTERISTIC, CONNECTION, HCI0, ROOT, Daemon, TestCase, attr, main

TOP = pathlib.Path(__file__).resolve().parents[2]


def load():
    loader = importlib.machinery.SourceFileLoader("check_contract", str(TOP / "tools/check-contract"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("check_contract", loader))
    loader.exec_module(module)
    return module


class Contract(TestCase):
    async def test_introspection(self):
        check = load()
        async with Daemon() as d:
            path, peer = await d.connected()
            await d.client.call(path, CONNECTION, "Discover", "a{sv}", [{}])
            sub = await d.client.call(attr(path, peer.measurement), CHARACTERISTIC, "Subscribe", "a{sv}", [{}])
            scanner = await d.client.scan()
            advertiser = await d.client.advertise()
            app, (served,) = await register(d.client, [service("180d", chr_("2a37", read=True, descriptors=[
                definition(uuid="2901", read=True)]))])
            texts = [await d.client.call(p, "org.freedesktop.DBus.Introspectable", "Introspect")
                     for p in (ROOT, HCI0, path, sub, scanner, advertiser, attr(path, 4), attr(path, peer.measurement),
                               attr(path, peer.description), app, served.path, served.characteristics[0].path,
                               served.characteristics[0].descriptors[0].path)]
        self.assertEqual(check.compare(TOP / "dbus", texts), [])
        # and it would notice
        self.assertTrue(check.compare(TOP / "dbus", texts[1:]))
        changed = [t.replace('name="Mtu" type="q"', 'name="Mtu" type="u"') for t in texts]
        self.assertEqual(len(check.compare(TOP / "dbus", changed)), 1)

    def test_errors(self):
        check = load()
        self.assertEqual(check.check_errors(TOP / "dbus", TOP / "src"), [])
        self.assertGreater(len(check.used_errors(TOP / "src")), 10)
        self.assertGreater(len(list(check.promised_errors(TOP / "dbus"))), 30)


if __name__ == "__main__":
    main()
