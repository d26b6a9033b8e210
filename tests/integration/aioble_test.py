# SPDX-License-Identifier: GPL-2.0-or-later
"""What every integration test shares: cases, the service, adapters, peers.

A test is a file test-NAME.py (or .sh), run by run-all in the guest with fresh controllers and the
service stopped. It reads like this:

    from aioble_test import *

    with case("the adapter is ready"):
        start_service()
        adapter = Adapter()
        equal(adapter.get("State"), "ready")

    with case("the peer is found"), peer("heart-rate.js", "--device", "1") as p:
        ...

    finish()

A case prints `ok - name` or `not ok - name: why`; the next one runs either way. Deadlines are in
seconds and generous: the guest is emulated and shares two processors.
"""
import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import traceback

from minibus import Bus, BusError, BusGone, BusTimeout, Message  # noqa: F401 (for the tests)

SERVICE = "org.aioble"
ROOT = "/org/aioble"
UNIT = "aiobled.service"
MANAGER = "org.aioble.Manager1"
HERE = os.path.dirname(os.path.abspath(__file__))
PEERS = os.path.join(os.path.dirname(HERE), "peers")

counts = {"ok": 0, "failed": 0}


class Failure(Exception):
    pass


# Cases and what they claim

def report(good, name, why=""):
    counts["ok" if good else "failed"] += 1
    why = " ".join(str(why).split())
    print(("ok - %s" if good else "not ok - %s") % name + (": " + why if why else ""), flush=True)


@contextlib.contextmanager
def case(name):
    """One counted case: passes unless its body raises."""
    began = time.monotonic()
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a case may end in whatever the tested side makes of it
        report(False, name, error if isinstance(error, Failure) else "%s: %s" % (type(error).__name__, error))
        traceback.print_exc()
    else:
        report(True, name)
    print("# %s: %.1f s" % (name, time.monotonic() - began), flush=True)


def finish():
    """Last line of a test: status 1 when a case failed or none ran."""
    print("1..%d" % (counts["ok"] + counts["failed"]))
    sys.exit(1 if counts["failed"] or not counts["ok"] else 0)


def fail(why):
    raise Failure(why)


def check(condition, why="not true"):
    if not condition:
        raise Failure(why)


def equal(got, wanted, what="value"):
    if got != wanted:
        raise Failure("%s is %r, not %r" % (what, got, wanted))


def contains(whole, part, what="value"):
    if part not in whole:
        raise Failure("%s %r lacks %r" % (what, whole, part))


def between(got, low, high, what="value"):
    if not low <= got <= high:
        raise Failure("%s is %r, not in %r to %r" % (what, got, low, high))


@contextlib.contextmanager
def raises(error, **details):
    """The body must end in org.aioble.Error.<error>, with these details (second argument) in it."""
    name = error if "." in error else "org.aioble.Error." + error
    try:
        yield
    except BusError as got:
        equal(got.name, name, "error")
        for key, value in details.items():
            equal(got.details.get(key), value, "detail " + key)
    else:
        raise Failure("no error, %s expected" % name)


def eventually(condition, timeout=10, why=None, step=0.05):
    """Wait until condition() is true and return what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise Failure(why or "did not happen within %g s" % timeout)
        time.sleep(step)


# Commands and the service

def run(*command, check_status=True, timeout=60, **options):
    """Standard output of a command, as text."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, **options)
    if check_status and done.returncode:
        raise Failure("%s: status %d: %s" % (" ".join(command), done.returncode, done.stderr or done.stdout))
    return done.stdout


def busctl(*arguments, timeout=60):
    """A busctl command as a person would type it; its JSON answer, decoded (None when it prints nothing)."""
    out = run("busctl", "--json=short", *arguments, timeout=timeout)
    return json.loads(out) if out.strip() else None


def start_service():
    run("systemctl", "start", UNIT)


def stop_service():
    run("systemctl", "stop", UNIT)


def restart_service():
    run("systemctl", "restart", UNIT)


def kill_service(number=signal.SIGKILL):
    run("systemctl", "kill", "--signal=%d" % number, "--kill-who=main", UNIT)


def service_pid():
    return int(run("systemctl", "show", "--property=MainPID", "--value", UNIT))


def service_state():
    return run("systemctl", "show", "--property=ActiveState", "--value", UNIT).strip()


def journal(unit=UNIT, since=None):
    """Journal of the unit since the start of this test (or since a journal cursor)."""
    since = since or os.environ.get("JOURNAL_CURSOR")
    after = ["--after-cursor=" + since] if since else []
    run("journalctl", "--sync")
    return run("journalctl", "--no-pager", "--output=cat", "--unit=" + unit, *after, check_status=False)


def controllers(*arguments):
    """`controllers stop` unplugs every controller; `controllers start N` plugs N new ones in."""
    return run("controllers", *map(str, arguments))


# The daemon's objects

# Calls that wait for a peer, which may be a slow program on a busy machine: the daemon's own deadlines are for real ones.
PATIENT = {"Read", "Write", "ReadUuid", "WriteUuid", "Subscribe", "SubscribeUuid", "OpenNotify", "ExchangeMtu"}


class Object:
    """One object of the daemon, spoken to over one connection of a test client."""

    def __init__(self, path, interface, bus=None):
        self.bus = bus or shared_bus()
        self.path, self.interface = path, "org.aioble." + interface if "." not in interface else interface

    def call(self, member, signature="", *args, options=None, timeout=40):
        """Call a method; options are the a{sv} that ends every argument list. The body: None, one value, or a list."""
        return self.result(self.send(member, signature, *args, options=options), timeout)

    def send(self, member, signature="", *args, options=None):
        """Start a call; finish it with result()."""
        waits = member in PATIENT and "Local" not in self.interface  # what is ours needs no peer
        options = dict({"timeout_ms": 20000} if waits else {}, **(options or {}))
        return self.bus.send(SERVICE, self.path, self.interface, member, signature + "a{sv}", *args, options)

    def result(self, serial, timeout=40):
        body = self.bus.wait_reply(serial, timeout)
        return body if len(body) > 1 else body[0] if body else None

    def get(self, name):
        return self.bus.get(SERVICE, self.path, self.interface, name)

    def get_all(self):
        return self.bus.get_all(SERVICE, self.path, self.interface)

    def exists(self):
        try:
            self.get_all()
            return True
        except BusError:
            return False

    def wait(self, member, timeout=10, where=None):
        """The next signal of this object."""
        return self.bus.wait_signal(member, timeout, self.path, where)


_bus = None


def shared_bus():
    global _bus
    if _bus is None:
        _bus = Bus()
        _bus.match("type='signal',sender='%s'" % SERVICE)
    return _bus


def listening_bus():
    """One more client, one that hears the daemon's broadcasts."""
    bus = Bus()
    bus.match("type='signal',sender='%s'" % SERVICE)
    return bus


def manager(bus=None):
    return Object(ROOT, "Manager1", bus)


def managed_objects(bus=None):
    bus = bus or shared_bus()
    return bus.call(SERVICE, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0]


def objects(interface, bus=None):
    """Paths of the objects that have this interface."""
    name = "org.aioble." + interface
    return sorted(path for path, interfaces in managed_objects(bus).items() if name in interfaces)


def Adapter(name="hci0", bus=None, ready=True, timeout=15):
    """The adapter hciN, ready for work."""
    def find():
        try:
            return manager(bus).call("FindAdapter", "s", name)
        except BusError:
            return None
    adapter = Object(eventually(find, timeout, "the daemon shows no adapter " + name), "Adapter1", bus)
    if ready:
        eventually(lambda: adapter.get("State") == "ready", timeout, "adapter %s does not become ready" % name)
    return adapter


def connect(adapter, address, kind="public", **options):
    """A connection, as an object on the adapter's bus."""
    return Object(adapter.call("Connect", "ss", address, kind, options=options), "Connection1", adapter.bus)


# Peers

class Peer:
    """A program that plays the other side; its lines are events: a word, then key=value pairs."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        self.buffer, self.lines, self.taken = b"", [], 0

    def read(self, deadline):
        """One more line into lines; False at the deadline or the end."""
        while b"\n" not in self.buffer:
            left = max(0, deadline - time.monotonic())
            if not select.select([self.process.stdout], [], [], left)[0]:
                return False
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return False
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        self.lines.append(line.decode(errors="replace").rstrip("\r"))
        print("# peer: " + self.lines[-1], flush=True)
        return True

    def wait(self, pattern, timeout=30):
        """The first line not yet taken that matches; earlier lines are skipped over."""
        deadline = time.monotonic() + timeout
        while True:
            while self.taken < len(self.lines):
                self.taken += 1
                found = re.search(pattern, self.lines[self.taken - 1])
                if found:
                    return found
            if not self.read(deadline):
                tail = self.lines[-3:]
                raise Failure("the peer never said %r; its last words: %r" % (pattern, tail))

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def kill(self, number=signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def stop(self, timeout=10):
        self.kill(signal.SIGTERM)
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()


@contextlib.contextmanager
def peer(program, *arguments, ready=r"^ready\b", timeout=60):
    """A peer of tests/peers or of its build folder (or any path), started and ready; ended with the block."""
    folders = [PEERS, os.path.join(os.environ.get("AIOBLED_BUILD", "."), "tests/peers")]
    path = program if "/" in program else next(filter(os.path.exists, (os.path.join(f, program) for f in folders)), None)
    check(path, "no peer " + program)
    start = {".js": ["node"], ".py": [sys.executable]}.get(os.path.splitext(path)[1], [])
    p = Peer(*start, path, *map(str, arguments))
    try:
        if ready:
            p.wait(ready, timeout)
        yield p
    finally:
        p.stop()
