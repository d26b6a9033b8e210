#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures floor, bluetoothd and aiobled in turn, in one guest, and writes results.json and a table to /out.

The guest must run alone on one emulated processor (tools/guest --icount): its time is then counted instructions, and the
ratios repeat. See tools/bench.
"""
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "integration"))
from aioble_test import Failure, peer, run  # noqa: E402

CLIENT = os.path.join(os.environ["AIOBLED_BUILD"], "tests/bench/bench-client")
BLUETOOTHD = "/usr/libexec/bluetooth/bluetoothd"
SMALL, LARGE = (5, 25), (30, 200)
FLOOD, REPORTS, PER_S = 800, 1000, 1000
ADV_DATA = "02010608ff34120000{seq}"  # a flags field, and manufacturer data that differs in every report

ROWS = (
    ("read_us", "read round trip over the bus, p50 us", False),
    ("fd.delivered_per_s", "notifications by descriptor, flood of 800: delivered/s", True),
    ("fd.lost", "  lost of 800", False),
    ("signal.delivered_per_s", "notifications by signal, flood of 800: delivered/s", True),
    ("signal.lost", "  lost of 800", False),
    ("small.usable_ms", "link up to usable, 5 services / 25 characteristics, ms", False),
    ("large.usable_ms", "link up to usable, 30 / 200, ms", False),
    ("small.disconnect_ms", "disconnect, ms", False),
    ("scan.reports_per_s", "scan reports, 1000/s offered: heard/s", True),
    ("scan.lost", "  lost of 1000", False),
    ("private_idle_kb", "private memory idle, kB", False),
    ("private_link_kb", "private memory with a link to 30 / 200, kB", False),
    ("start_ms", "exec to bus name, ms", False),
)


def client(*arguments, timeout=300, **options):
    return subprocess.Popen([CLIENT, *map(str, arguments)], stdout=subprocess.PIPE, text=True, **options)


def figures(process, timeout=300):
    out, _ = process.communicate(timeout=timeout)
    if process.returncode:
        raise Failure("bench-client failed")
    return {words[0]: float(words[1]) for words in map(str.split, out.splitlines()) if len(words) == 2}


def private_kb(pid):
    with open("/proc/%d/smaps_rollup" % pid) as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_"))


class Subject:
    """A daemon, started and stopped; the floor has none."""
    pid = None

    def start(self):
        os.environ["BENCH_LOCAL"] = re.search(r"BD Address: (\S+)", run("hciconfig", "hci0"))[1]
        return {}

    def stop(self):
        run("hciconfig", "hci0", "down", check_status=False)


class Daemon(Subject):
    def __init__(self, bus_name, *command):
        self.bus_name, self.command = bus_name, command

    def start(self):
        shutil.rmtree("/var/lib/bluetooth", ignore_errors=True)  # no cache from the round before
        run("hciconfig", "hci0", "down", check_status=False)
        out = run(CLIENT, "start", self.bus_name, *self.command)
        self.pid = int(re.search(r"pid (\d+)", out)[1])
        if self.bus_name == "org.bluez":
            time.sleep(1)
            run("bluetoothctl", "power", "on", check_status=False)
        time.sleep(2)
        return {"start_ms": float(re.search(r"start_ms (\S+)", out)[1]), "private_idle_kb": private_kb(self.pid)}

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        while os.path.exists("/proc/%d" % self.pid):
            time.sleep(0.1)


SUBJECTS = {
    "floor": Subject(),
    "bluez": Daemon("org.bluez", BLUETOOTHD, "-n"),
    "aiobled": Daemon("org.aioble", shutil.which("aiobled") or "/usr/sbin/aiobled"),
}


def database(size):
    return json.dumps({"services": {"services": size[0], "characteristics": size[1]}})


def with_prefix(prefix, got):
    return {prefix + "." + key: value for key, value in got.items()}


def measure_links(name, subject, size, prefix):
    result = {}
    with peer("scripted-peer", "--device", "1", "--set", database(size), ready=None) as p:
        address = p.wait(r"^ready address=(\S+)", 60)[1]
        result.update(with_prefix(prefix, figures(client(name, address, "connect", size[1]))))
        if prefix == "small":
            result.update(figures(client(name, address, "read")))
            for way in ("fd", "signal"):
                result.update(with_prefix(way, figures(client(name, address, "flood-" + way, FLOOD))))
        elif subject.pid:
            holder = client(name, address, "hold", stdin=subprocess.PIPE)
            holder.stdout.readline()
            result["private_link_kb"] = private_kb(subject.pid)
            holder.stdin.close()
            holder.wait(60)
    return result


def measure_scan(name):
    with peer("scripted-peer", "--device", "1", ready=None) as p:
        address = p.wait(r"^ready address=(\S+)", 60)[1]
        p.say('{"advertise": false}')
        scanner = client(name, address, "scan", REPORTS)
        scanner.stdout.readline()
        time.sleep(1)
        p.say(json.dumps({"advertise": {"address": "C0:00:00:00:01:00", "addresses": 50, "data": ADV_DATA, "kind": "nonconn",
                                        "per_s": PER_S, "count": REPORTS}}))
        got = figures(scanner)
    got["lost"] = max(0, REPORTS - got.get("reports", 0))
    return with_prefix("scan", got)


def measure(name):
    subject = SUBJECTS[name]
    result = subject.start()
    try:
        result.update(measure_links(name, subject, SMALL, "small"))
        result.update(measure_links(name, subject, LARGE, "large"))
        result.update(measure_scan(name))
    finally:
        subject.stop()
    return result


def middle(rounds, name, key):
    values = [r[name][key] for r in rounds if key in r.get(name, {})]
    return statistics.median(values) if values else None


def number(value):
    if value is None:
        return "-"
    return "%d" % round(value) if value >= 100 or value == int(value) else "%.3g" % value


def ratio(a, b):
    return "-" if a is None or not b else "%.2f" % (a / b)


def table(rounds):
    lines = ["| what | floor | bluetoothd | aiobled | aiobled / bluetoothd | aiobled / floor |", "|---|---|---|---|---|---|"]
    worse = []
    for key, text, more_is_better in ROWS:
        floor, bluez, ours = (middle(rounds, name, key) for name in ("floor", "bluez", "aiobled"))
        lines.append("| %s | %s | %s | %s | %s | %s |" % (text, number(floor), number(bluez), number(ours),
                                                          ratio(ours, bluez), ratio(ours, floor)))
        if ours is None or bluez is not None and (ours < bluez if more_is_better else ours > bluez):
            worse.append(text.strip())
    return "\n".join(lines), worse


def main():
    rounds = []
    for i in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        rounds.append({})
        for name in sys.argv[2:] or SUBJECTS:
            print("# round %d: %s" % (i + 1, name), flush=True)
            try:
                rounds[-1][name] = measure(name)
            except (Failure, OSError, subprocess.SubprocessError) as error:
                print("# %s: %s" % (name, error), flush=True)
                rounds[-1].setdefault(name, {})
            print("# " + json.dumps(rounds[-1][name]), flush=True)
    text, worse = table(rounds)
    with open("/out/results.json", "w") as file:
        json.dump(rounds, file, indent=1)
    with open("/out/table.md", "w") as file:
        file.write(text + "\n")
    print(text)
    if worse:
        print("\nworse than bluetoothd, or not measured: " + "; ".join(worse))
    sys.exit(1 if worse else 0)


main()
