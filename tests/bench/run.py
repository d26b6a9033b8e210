#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Measures floor, bluetoothd and aiobled in turn, in one guest, and writes results.json and a table to /out.

The guest must run alone on one emulated processor (tools/guest --icount): its time is then counted instructions, 250 to
the microsecond, of everybody: client, bus, daemon, kernel, emulated controllers, peer. Ratios of one run repeat within a few
per cent whatever the host does. They say nothing about the radio, on which a round trip takes a connection interval.

A round is a fresh peer (scripted-peer, which stays, on a controller that no daemon sees), a fresh daemon without a memory of
it, and one process of bench-client for each line of the table; the table has the medians of the rounds. How things are
measured:

* reads and their processor time: 60, one outstanding, 4 bytes. The processor time is that of the daemon, of the reading
  program itself for the floor.
* write commands: 400 of 20 bytes into AcquireWrite's or OpenWrite's descriptor, until the peer has counted them all.
* floods: the peer sends 800 notifications of 20 bytes as fast as its link takes them; rate from the first to the last that
  arrived. "By descriptor" is AcquireNotify or OpenNotify, "by signal" StartNotify or Subscribe.
* latency: 60 notifications, 5 ms apart, from the peer's clock to the client's.
* link up to usable: from the answer to Connect until every characteristic with its UUID is in the client's hands. The
  floor finds descriptors, but keeps no tree. "Second connection": bluetoothd has a cache, the others have none.
* one UUID: a single Read By Type for the floor and ReadUuid for aiobled; bluetoothd must have resolved everything.
* scan: 50 addresses, each known before it starts; every report differs from the one before. bluetoothd merges what changed
  before it came to send a signal: the client never hears of it, so it counts as lost.
* private memory: Private_Clean + Private_Dirty, two seconds after the start, and with a link to a resolved peer.
* peripheral side: bench-server offers a service, and the central is the floor's program on the other controller, for all
  three. The floor answers from memory, aiobled from the value that was registered with it, bluetoothd asks the program each
  time. The processor time is that of daemon and program together. Floods: the program gives 800 notifications of 20 bytes at
  once, "over the bus" by PropertiesChanged, or Write with send_update, without waiting for answers; by descriptor they go
  through that of AcquireNotify or OpenNotify. Write commands: 400 of 20 bytes, as fast as the central's link takes them, each
  of which the program wants to have: by WriteValue, or signals of a registration with capture; by descriptor through that of
  AcquireWrite or Application1.Open. Rates are from the sending of the first to the arrival of the last.
* start: from exec to the bus name, the median of 5 in a row after one that is not counted, so that files are in memory for
  both. aiobled takes its name when it has found its adapters, bluetoothd before that.
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

CLIENT, SERVER = (os.path.join(os.environ["AIOBLED_BUILD"], "tests/bench", name) for name in ("bench-client", "bench-server"))
BLUETOOTHD = "/usr/libexec/bluetooth/bluetoothd"
SMALL, LARGE = (5, 25), (30, 200)
STARTS = 5
FLOOD, COMMANDS, REPORTS, PER_S, ADDRESSES = 800, 400, 1000, 1000, 50
ADV_DATA = "02010608ff34120000{seq}"  # a flags field, and manufacturer data that differs in every report

CENTRAL_ROWS = (
    ("read.read_us", "read over the bus, round trip p50, us", False),
    ("read.read_cpu_us", "  processor time of the daemon, us", False),
    ("command.commands_per_s", "write commands by descriptor, 20 bytes, packets/s", True),
    ("command.cpu_us", "  processor time of the daemon for each, us", False),
    ("flood-fd.delivered_per_s", "notifications by descriptor, 800 at once: delivered/s", True),
    ("flood-fd.lost", "  lost of 800", False),
    ("flood-fd.cpu_us", "  processor time of the daemon for each, us", False),
    ("flood-signal.delivered_per_s", "notifications by signal, 800 at once: delivered/s", True),
    ("flood-signal.lost", "  lost of 800", False),
    ("latency-fd.latency_us", "notification by descriptor, 200/s: latency p50, us", False),
    ("latency-signal.latency_us", "notification by signal, 200/s: latency p50, us", False),
    ("small.usable_ms", "link up to usable, 5 services / 25 characteristics, ms", False),
    ("large.usable_ms", "link up to usable, 30 / 200, ms", False),
    ("again.usable_ms", "the same, on the second connection, ms", False),
    ("large.uuid_ms", "link up to the value of one UUID of 30 / 200, ms", False),
    ("small.disconnect_ms", "disconnect, ms", False),
    ("scan.reports_per_s", "scan, 1000 reports/s offered: heard/s", True),
    ("scan.lost", "  lost of 1000", False),
    ("scan.cpu_us", "  processor time of the daemon for each, us", False),
    ("private_idle_kb", "private memory idle, kB", False),
    ("private_link_kb", "private memory with a link to 30 / 200, kB", False),
    ("start_ms", "exec to bus name, ms", False),
)
PERIPHERAL_ROWS = (
    ("served.read_us", "a central reads ours, round trip p50, us", False),
    ("served.read_cpu_us", "  processor time of daemon and application, us", False),
    ("notify-fd.delivered_per_s", "our notifications by descriptor, 800 at once: delivered/s", True),
    ("notify-fd.lost", "  lost of 800", False),
    ("notify-fd.cpu_us", "  processor time of daemon and application for each, us", False),
    ("notify-bus.delivered_per_s", "our notifications over the bus, 800 at once: delivered/s", True),
    ("notify-bus.lost", "  lost of 800", False),
    ("notify-bus.cpu_us", "  processor time of daemon and application for each, us", False),
    ("written-fd.received_per_s", "write commands to us by descriptor, 400 at once: received/s", True),
    ("written-fd.lost", "  lost of 400", False),
    ("written-bus.received_per_s", "write commands to us over the bus, 400 at once: received/s", True),
    ("written-bus.lost", "  lost of 400", False),
)


def start_client(name, address, *arguments, **options):
    environment = dict(os.environ, BENCH_PID=str(SUBJECTS[name].pid)) if SUBJECTS[name].pid else None
    return subprocess.Popen([CLIENT, name, address, *map(str, arguments)], stdout=subprocess.PIPE, text=True, env=environment,
                            **options)


def figures(process, timeout=100):
    try:
        out, _ = process.communicate(timeout=timeout)
    finally:
        process.kill()
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
        os.environ["BENCH_LOCAL"] = address_of("hci0")
        return {}

    def stop(self):
        run("hciconfig", "hci0", "down", check_status=False)


class Daemon(Subject):
    def __init__(self, user, bus_name, *command):
        self.user, self.bus_name, self.command = user, bus_name, command

    def launch(self):
        """Milliseconds to the bus name."""
        run("hciconfig", "hci0", "down", check_status=False)
        out = run(CLIENT, "start", self.user, self.bus_name, *self.command)
        self.pid = int(re.search(r"pid (\d+)", out)[1])
        return float(re.search(r"start_ms (\S+)", out)[1])

    def start(self):
        shutil.rmtree("/var/lib/bluetooth", ignore_errors=True)  # no cache from the round before
        self.launch()  # not counted: whoever comes first in a boot would pay for reading programs and libraries
        starts = []
        for _ in range(STARTS):
            self.stop()
            starts.append(self.launch())
        if self.bus_name == "org.bluez":
            time.sleep(1)
            run("bluetoothctl", "power", "on", check_status=False)
        time.sleep(2)
        return {"start_ms": statistics.median(starts), "private_idle_kb": private_kb(self.pid)}

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        while os.path.exists("/proc/%d" % self.pid):
            time.sleep(0.1)


SUBJECTS = {
    "floor": Subject(),
    "bluez": Daemon("root", "org.bluez", BLUETOOTHD, "-n"),
    "aiobled": Daemon("aioble", "org.aioble", shutil.which("aiobled") or "/usr/sbin/aiobled"),
}


def with_prefix(prefix, got):
    return {prefix + "." + key: value for key, value in got.items()}


class Bench:
    """One subject, one peer, and what was measured so far; what fails is left out and named."""

    def __init__(self, name, subject, peer):
        self.name, self.subject, self.peer, self.result = name, subject, peer, {}
        self.address = peer.wait(r"^ready address=(\S+)", 60)[1]

    def measure(self, prefix, measure, *arguments):
        try:
            got = figures(start_client(self.name, self.address, measure, *arguments))
            self.result.update(with_prefix(prefix, got))
        except (Failure, subprocess.SubprocessError) as error:
            print("# %s: %s: %s" % (self.name, measure, error), flush=True)

    def database(self, size):
        """What the peer serves from now on."""
        self.peer.say(json.dumps({"services": {"services": size[0], "characteristics": size[1]}, "sync": True}))
        self.peer.wait(r"^sync")

    def memory(self):
        holder = start_client(self.name, self.address, "hold", stdin=subprocess.PIPE)
        holder.stdout.readline()
        self.result["private_link_kb"] = private_kb(self.subject.pid)
        holder.stdin.close()
        holder.wait(60)

    def reports(self, count, per_s):
        self.peer.say(json.dumps({"advertise": {"address": "C0:00:00:00:01:00", "addresses": ADDRESSES, "data": ADV_DATA,
                                                "kind": "nonconn", "per_s": per_s, "count": count}}))

    def scan(self):
        """Every address is seen once before it counts: bluetoothd makes an object of it."""
        self.peer.say('{"advertise": false}')
        scanner = start_client(self.name, self.address, "scan", REPORTS)
        scanner.stdout.readline()
        time.sleep(1)
        self.reports(4 * ADDRESSES, 100)
        scanner.stdout.readline()
        self.reports(REPORTS, PER_S)
        got = figures(scanner)
        got["lost"] = max(0, REPORTS - got.get("reports", 0))
        self.result.update(with_prefix("scan", got))

    def all(self):
        self.database(SMALL)
        self.measure("small", "connect", SMALL[1])
        self.measure("read", "read")
        self.measure("command", "command", COMMANDS)
        for way in ("fd", "signal"):
            self.measure("flood-" + way, "flood-" + way, FLOOD)
            self.measure("latency-" + way, "latency-" + way)
        self.database(LARGE)
        self.measure("large", "connect", LARGE[1])
        self.measure("again", "reconnect", LARGE[1])
        self.measure("large", "uuid")
        if self.subject.pid:
            self.memory()
        self.scan()


def address_of(adapter):
    return re.search(r"BD Address: (\S+)", run("hciconfig", adapter))[1]


class Serving:
    """bench-server as the peripheral on hci0, and the floor's central on hci1; a new one of each for every line."""

    def __init__(self, name, subject):
        self.name, self.pid, self.result = name, subject.pid, {}
        self.ours, self.theirs = address_of("hci0"), address_of("hci1")

    def measure(self, prefix, way, measure, *arguments):
        server = subprocess.Popen([SERVER, self.name, way, str(COMMANDS)], stdout=subprocess.PIPE, text=True,
                                  env=dict(os.environ, BENCH_LOCAL=self.ours))
        try:
            if server.stdout.readline() != "ready\n":
                raise Failure("bench-server is not ready")
            pids = ",".join(str(pid) for pid in (self.pid, server.pid) if pid)
            central = subprocess.Popen([CLIENT, "floor", self.ours, measure, *map(str, arguments)], stdout=subprocess.PIPE, text=True,
                                       env=dict(os.environ, BENCH_LOCAL=self.theirs, BENCH_INDEX="1", BENCH_PID=pids))
            got = figures(central)
            server.kill()  # had it something to say, it was said
            if measure == "push":
                got = {key: float(value) for key, value in (server.stdout.readline().split() for _ in range(2))}
            self.result.update(with_prefix(prefix, got))
        except (Failure, ValueError, subprocess.SubprocessError) as error:
            print("# %s: %s %s: %s" % (self.name, prefix, way, error), flush=True)
        finally:
            server.kill()
            server.wait()

    def all(self):
        self.measure("served", "bus", "read")
        for way in ("fd", "bus"):
            self.measure("notify-" + way, way, "notified", FLOOD)
            self.measure("written-" + way, way, "push", COMMANDS)


def measure_peripheral(name):
    """No peer program: both controllers are the kernel's, and whatever daemon there is sees both."""
    subject = SUBJECTS[name]
    subject.start()
    serving = Serving(name, subject)
    try:
        serving.all()
    finally:
        subject.stop()
        run("hciconfig", "hci1", "down", check_status=False)  # a peer program gets it only so
    return serving.result


def measure_central(name):
    """The peer is there before the subject and stays: no daemon ever sees its controller."""
    subject = SUBJECTS[name]
    with peer("scripted-peer", "--device", "1", ready=None) as p:
        bench = Bench(name, subject, p)
        bench.result.update(subject.start())
        try:
            bench.all()
        except (Failure, subprocess.SubprocessError) as error:
            print("# %s: %s" % (name, error), flush=True)
        finally:
            subject.stop()
    return bench.result


def middle(rounds, name, key):
    values = [r[name][key] for r in rounds if key in r.get(name, {})]
    return statistics.median(values) if values else None


def number(value):
    if value is None:
        return "-"
    return "%d" % round(value) if value >= 100 or value == int(value) else "%.3g" % value


def ratio(a, b):
    if a is None or not b:
        return "-"
    return "0" if a == 0 else "%.3f" % (a / b) if a / b < 0.01 else "%.2f" % (a / b)


def table(rounds, rows):
    lines = ["| what | floor | bluetoothd | aiobled | aiobled / bluetoothd | aiobled / floor |", "|---|---|---|---|---|---|"]
    worse = []
    for key, text, more_is_better in rows:
        floor, bluez, ours = (middle(rounds, name, key) for name in ("floor", "bluez", "aiobled"))
        lines.append("| %s | %s | %s | %s | %s | %s |" % (text, number(floor), number(bluez), number(ours),
                                                          ratio(ours, bluez), ratio(ours, floor)))
        if ours is None or bluez is not None and (ours < bluez if more_is_better else ours > bluez):
            worse.append(text.strip())
    return "\n".join(lines), worse


def main():
    """run.py ROUNDS [central|peripheral]"""
    parts = {"central": (measure_central, CENTRAL_ROWS), "peripheral": (measure_peripheral, PERIPHERAL_ROWS)}
    chosen = [parts[name] for name in sys.argv[2:] or parts]
    rounds = []
    for i in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        rounds.append({})
        for name in SUBJECTS:
            print("# round %d: %s" % (i + 1, name), flush=True)
            rounds[-1][name] = {}
            for measure, _ in chosen:
                rounds[-1][name].update(measure(name))
            print("# " + json.dumps(rounds[-1][name]), flush=True)
    text, worse = table(rounds, [row for _, rows in chosen for row in rows])
    with open("/out/results.json", "w") as file:
        json.dump(rounds, file, indent=1)
    with open("/out/table.md", "w") as file:
        file.write(text + "\n")
    print(text)
    if worse:
        print("\nworse than bluetoothd, or not measured: " + "; ".join(worse))
    sys.exit(1 if worse else 0)


main()
