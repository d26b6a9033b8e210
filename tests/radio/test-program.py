#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The program aioble-radio as its users have it: control socket, faults that both ends notice, captures that tshark reads."""
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

from radio import (DISCONNECT, DISCONNECTED, ENCRYPTED, LE, LE_LTK_REQUEST, LE_REPORT, LTK_REPLY, PROGRAM, RESET, SCAN_ENABLE,
                   SCAN_PARAMS, START_ENCRYPTION, Host, Radio, Refused)

LTK = bytes(range(16))
TOP = pathlib.Path(__file__).resolve().parents[2]


def run(*args, stdin=None):
    r = subprocess.run([PROGRAM, *map(str, args)], input=stdin, capture_output=True, text=True, timeout=30, check=False)
    return r.returncode, r.stdout, r.stderr


def tshark(path, *args):
    r = subprocess.run(["tshark", "-r", path, *args], capture_output=True, text=True, timeout=120, check=False)
    assert r.returncode == 0, r.stderr
    return r.stdout.splitlines()


def linked(radio, **keys):
    central, peripheral = radio.host(), radio.host()
    peripheral.advertise()
    status, handle = central.connect(peripheral.address, **keys)
    assert status == 0
    return central, peripheral, handle, int.from_bytes(peripheral.event(LE, 1)[1:3], "little")


class Captures(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)

    def file(self, name):
        return str(pathlib.Path(self.dir.name) / name)

    def test_tshark_reads_them(self):
        with Radio("--capture", self.dir.name, "--speed", 5) as radio:
            central, peripheral, handle, other = linked(radio)
            central.send(handle, b"plain from the central")
            self.assertEqual(peripheral.data(), b"plain from the central")
            central.command(START_ENCRYPTION, handle.to_bytes(2, "little") + bytes(10) + LTK)
            peripheral.event(LE, LE_LTK_REQUEST)
            peripheral.command(LTK_REPLY, other.to_bytes(2, "little") + LTK)
            self.assertEqual(central.event(ENCRYPTED)[3], 1)
            self.assertEqual(peripheral.event(ENCRYPTED)[3], 1)
            peripheral.send(other, b"a secret of the other")
            self.assertEqual(central.data(), b"a secret of the other")
            self.assertTrue(radio.state(central)["links"][0]["encrypted"])
            central.command(DISCONNECT, handle.to_bytes(2, "little") + b"\x13")
            self.assertEqual(peripheral.event(DISCONNECTED)[3], 0x13)
            self.assertEqual(central.event(DISCONNECTED)[3], 0x16)
        wrong = "_ws.malformed || btle.crc.incorrect || _ws.expert.severity == error"
        self.assertEqual(tshark(self.file("air.pcap"), "-Y", wrong), [])
        for kind in "btle.advertising_header.pdu_type == 0", "btle.advertising_header.pdu_type == 5", \
                "btle.control_opcode == 0x03", "btle.control_opcode == 0x02", "btle.data_header.llid == 2":
            self.assertTrue(tshark(self.file("air.pcap"), "-Y", kind), kind)
        for name, commands in (central.name, 6), (peripheral.name, 7):
            path = self.file(name + ".btsnoop")
            self.assertEqual(tshark(path, "-Y", "_ws.malformed || _ws.expert.severity == error"), [])
            # from the host: commands; to it: events
            self.assertGreaterEqual(len(tshark(path, "-Y", "hci_h4.type == 1 && hci_h4.direction == 0")), commands)
            self.assertGreaterEqual(len(tshark(path, "-Y", "hci_h4.type == 4 && hci_h4.direction == 1")), commands)
            self.assertEqual(tshark(path, "-Y", "hci_h4.type == 1 && hci_h4.direction == 1"), [])
        times = [float(t) for t in tshark(self.file("air.pcap"), "-T", "fields", "-e", "frame.time_delta")]
        self.assertGreaterEqual(min(times), 0)

    def test_what_a_killed_radio_leaves(self):
        with Radio("--capture", self.dir.name) as radio:
            host = radio.host()
            radio.ask("advert", name="tags", count=200, interval_ms=20, data="[ff ffff {random:20}]")
            radio.until(lambda: radio.ask("air")["capture"]["records"] > 5000)
            radio.process.send_signal(signal.SIGKILL)
            radio.process.wait()
        frames = tshark(self.file("air.pcap"), "-T", "fields", "-e", "frame.cap_len")
        self.assertGreater(len(frames), 4000)
        self.assertTrue(tshark(self.file(host.name + ".btsnoop")))

    def test_a_full_disk_ends_nothing(self):
        if not os.path.exists("/dev/full"):
            self.fail("there is no /dev/full")
        os.symlink("/dev/full", self.file("client0.btsnoop"))
        with Radio("--capture", self.dir.name) as radio:
            host = radio.host()
            self.assertEqual(host.name, "client0")
            self.assertEqual(radio.ask("air")["capture"]["unrecorded"], 1)


class Control(unittest.TestCase):
    def test_ask(self):
        with Radio() as radio:
            path = radio.path / "control"
            status, out, _ = run("--ask", path, '{"cmd": "air",\n "id": 7}', '{"cmd": "faults"}')
            self.assertEqual(status, 0)
            self.assertEqual([json.loads(line).get("id") for line in out.splitlines()], [7, None])
            status, out, _ = run("--ask", path, stdin='{"cmd": "nonsense"}\n\n{"cmd": "faults"}')
            self.assertEqual(status, 1)
            self.assertEqual(len(out.splitlines()), 2)
            status, out, err = run("--ask", path, '{"cmd": "quit"}', '{"cmd": "air"}')
            self.assertEqual(status, 2)
            self.assertEqual(out.splitlines(), ['{"ok":true}'])
            self.assertIn(str(path), err)

    def test_ask_prints_events(self):
        with Radio() as radio:
            with subprocess.Popen([PROGRAM, "--ask", radio.path / "control", '{"cmd":"subscribe","events":["controllers"]}'],
                                  stdout=subprocess.PIPE, text=True) as asker:
                self.assertEqual(asker.stdout.readline(), '{"ok":true}\n')
                host = radio.host()
                event = json.loads(asker.stdout.readline())
                self.assertEqual((event["what"], event["controller"]), ("added", host.name))
                radio.ask("quit")
                self.assertEqual(asker.wait(10), 0)

    def test_events_of_links(self):
        with Radio("--speed", 5) as radio:
            radio.ask("subscribe", events=["links"])
            central, peripheral, handle, _ = linked(radio)
            events = {e["controller"]: e for e in (radio.control.event(), radio.control.event())}
            self.assertEqual(events[central.name]["role"], "central")
            self.assertEqual(events[central.name]["peer"], peripheral.address)
            self.assertEqual(events[peripheral.name]["interval_us"], 30000)
            central.command(DISCONNECT, handle.to_bytes(2, "little") + b"\x13")
            events = {e["controller"]: e for e in (radio.control.event(), radio.control.event())}
            self.assertEqual(events[central.name]["reason"], 0x16)
            self.assertEqual(events[peripheral.name]["reason"], 0x13)

    def test_state_of_controllers(self):
        with Radio() as radio:
            central, peripheral, handle, _ = linked(radio)
            central.command(SCAN_PARAMS, bytes.fromhex("01600030000000"))
            central.command(SCAN_ENABLE, b"\x01\x00")
            state = radio.state(central)
            link, = state["links"]
            self.assertEqual((link["handle"], link["peer"], link["peer_controller"], link["role"]),
                             (handle, peripheral.address, peripheral.name, "central"))
            self.assertEqual((link["interval_us"], link["timeout_ms"], link["tx_phy"]), (30000, 1000, "1m"))
            self.assertEqual((state["scanner"]["on"], state["scanner"]["interval_us"], state["scanner"]["window_us"]),
                             (True, 60000, 30000))
            peripheral.advertise(b"\x02\x01\x04", 0x40)
            adv, = radio.state(peripheral)["advertising"]
            self.assertEqual((adv["on"], adv["interval_us"], adv["pdu"], adv["data_len"]), (True, 40000, "adv_ind", 3))


class Faults(unittest.TestCase):
    def test_out_of_range(self):
        with Radio("--speed", 10) as radio:
            central, peripheral, handle, _ = linked(radio)
            central.send(handle, b"established")
            self.assertEqual(peripheral.data(), b"established")
            radio.ask("loss", **{"from": central.name, "to": peripheral.name, "out_of_range": True})
            self.assertEqual(central.event(DISCONNECTED)[3], 0x08)
            self.assertEqual(peripheral.event(DISCONNECTED)[3], 0x08)

    def test_a_hung_controller_loses_its_links(self):
        with Radio("--speed", 10) as radio:
            central, peripheral, handle, _ = linked(radio)
            central.send(handle, b"established")
            peripheral.data()
            radio.ask("hang", controller=peripheral.name)
            self.assertEqual(central.event(DISCONNECTED)[3], 0x08)
            radio.until(lambda: not radio.state(peripheral)["links"])

    def test_the_first_connect_ind_gets_lost(self):
        with Radio("--speed", 10) as radio:
            central, peripheral = radio.host(), radio.host()
            peripheral.advertise()
            radio.ask("fault", name="lost", match={"pdu": "connect_ind"}, do="drop", times=1)
            status, _ = central.connect(peripheral.address)
            self.assertEqual(status, 0)  # it cannot know
            self.assertEqual(central.event(DISCONNECTED)[3], 0x3E)
            self.assertEqual(radio.ask("faults")["faults"][0]["struck"], 1)
            status, _ = central.connect(peripheral.address)
            self.assertEqual(status, 0)
            peripheral.event(LE, 1)

    def test_lost_data_is_sent_again(self):
        with Radio("--speed", 10) as radio:
            central, peripheral, handle, _ = linked(radio, timeout=1000)
            radio.ask("noise", percent=30, **{"from": central.name, "to": peripheral.name})
            for n in range(50):
                central.send(handle, b"%d" % n)
                self.assertEqual(peripheral.data(), b"%d" % n)
            link, = radio.state(central)["links"]
            self.assertGreater(link["retransmitted"] + link["missed"], 10)

    def test_hosts(self):
        with Radio() as radio:
            host = radio.host()
            radio.ask("fault", match={"controller": host.name, "command": "reset"}, do="status", status=0x0C, times=1)
            host.command(RESET, status=0x0C)
            host.command(RESET)
            radio.ask("hardware-error", controller=host.name, code=3)
            self.assertEqual(host.event(0x10), b"\x03")
            radio.ask("hang", controller=host.name)
            host.send_command(RESET)
            radio.until(lambda: radio.state(host)["hung"])
            host.close()
            radio.until(lambda: not radio.ask("controllers")["controllers"])


    def test_hosts_come_and_go(self):
        with Radio() as radio:
            first, second = radio.host(), radio.host()
            with self.assertRaises(Refused):
                radio.ask("unplug", controller=first.name, for_ms=100)
            radio.ask("unplug", controller=first.name)
            with self.assertRaises(EOFError):
                first.read()
            second.command(RESET)
            path = radio.path / "more"
            radio.ask("plug", kind="socket", path=str(path), profile="4.0")
            third = Host(path, "third")
            self.assertEqual([c["profile"] for c in radio.ask("controllers")["controllers"]], ["5.2,le-states", "4.0"])
            radio.ask("unplug", path=str(path))
            with self.assertRaises(EOFError):
                third.read()
            third.close()
            self.assertFalse(path.exists())
            with self.assertRaises(Refused):
                radio.ask("unplug", path=str(path))


def commands_of(text):
    """All that look like commands in a page of the documentation."""
    text, at = re.sub(r"^ *[|] ?", "", text, flags=re.M), 0
    while (at := text.find('{"cmd": "', at)) >= 0:
        command, used = json.JSONDecoder().raw_decode(text[at:])
        yield command
        at += used


class Scenarios(unittest.TestCase):
    def file(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".radio", delete=False, encoding="utf-8") as f:
            f.write(text)
        self.addCleanup(os.unlink, f.name)
        return f.name

    def test_check(self):
        good = self.file('# a remark\n{"cmd": "loss", "db": 60}\n{"cmd": "quit", "at_ms": 100}\n')
        self.assertEqual(run("--check", good), (0, f"{good}: 2 commands\n", ""))
        bad = self.file('{"cmd": "loss",\n "dB": 60}\n{"cmd": "quiet"}\n')
        status, out, err = run("--check", bad)
        self.assertEqual((status, out), (1, ""))
        self.assertEqual([line.split(": ")[:2] for line in err.splitlines()], [[f"{bad}:2", "dB"], [f"{bad}:3", "cmd"]])
        self.assertEqual(run("--scenario", bad)[0], 1)
        self.assertEqual(run("--check", "/no/such/file")[0], 1)

    def test_the_documentation_is_right(self):
        found = []
        for page in "docs/aioble-radio.1.rst", "docs/testing-without-hardware.md":
            found += commands_of((TOP / page).read_text(encoding="utf-8"))
        wrong = [c for c in found if "tow" in c]  # shown with its error
        good = [c for c in found if "tow" not in c and c["cmd"] != "subscribe"]
        self.assertEqual(len(wrong), 1)
        self.assertGreater(len(good), 15)
        self.assertEqual(run("--check", self.file("\n".join(map(json.dumps, good))))[2], "")
        for example in (TOP / "docs/examples").glob("*.radio"):
            self.assertEqual(run("--check", example)[0], 0, example)

    def test_an_example_runs(self):
        with Radio("--scenario", TOP / "docs/examples/walk-by.radio", "--speed", 100) as radio:
            self.assertEqual(radio.process.wait(30), 0)

    def test_it_runs_and_ends(self):
        path = self.file('{"cmd": "advert", "name": "tag", "data": "[01 06]"}\n{"cmd": "quit", "at_ms": 500}\n')
        status, out, err = run("--scenario", path, "--speed", 100)
        self.assertEqual((status, out, err), (0, "ready\n", ""))

    def test_a_scanner_hears_a_table(self):
        rows = [{"address": f"C0:00:00:00:00:{n:02X}", "data": f"[ff ffff {n:02x}]"} for n in range(20)]
        path = self.file(json.dumps({"cmd": "advert", "name": "t", "interval_ms": 20, "rows": rows}))
        with Radio("--scenario", path) as radio:
            host = radio.host()
            host.command(SCAN_PARAMS, bytes.fromhex("00100010000000"))
            host.command(SCAN_ENABLE, b"\x01\x01")
            seen = {}
            while len(seen) < 20:
                report = host.event(LE, LE_REPORT)
                seen[report[3]] = report[10:15]
            self.assertEqual(seen, {n: b"\x04\xff\xff\xff" + bytes([n]) for n in range(20)})

    def test_two_thousand_reports_a_second(self):
        with Radio() as radio:
            host = radio.host()
            host.command(SCAN_PARAMS, bytes.fromhex("00004000400000"))  # one channel all the time, or an event may be heard twice
            host.command(SCAN_ENABLE, b"\x01\x00")
            radio.ask("advert", name="m", count=2000, interval_ms=995, data="[ff ffff {index:2}{counter:1}]")
            first, counts = {}, {}
            while len(counts) < 2000 or min(counts.values()) < 3:
                report = host.event(LE, LE_REPORT)
                index, counter = int.from_bytes(report[14:16], "little"), report[16]
                # each event of each advertiser, in order, once; the first may be over before the scanner is on
                self.assertEqual(counter, first.setdefault(index, counter) + counts.get(index, 0))
                counts[index] = counts.get(index, 0) + 1


if __name__ == "__main__":
    unittest.main(verbosity=2)
