# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of aioblectl against a stand-in for the daemon share: a world for each case, and ways to run the program.

Usage of them all: test-ctl-NAME.py AIOBLECTL XML_FOLDER [PATTERN]
"""
import asyncio
import fnmatch
import json
import os
import pty
import signal
import sys
import time
import traceback

try:
    import dbus_fast  # noqa: F401, the mock needs it
except ImportError:
    print("skipped: python3-dbus-fast is not installed")
    sys.exit(77)

from mock_aioble import Mock
from private_bus import PrivateBus

CTL, XML = sys.argv[1:3]
WAIT = 20
PEER = "C0:FF:EE:00:00:01"
READ, WRITE_CMD, WRITE, NOTIFY, INDICATE = 0x02, 0x04, 0x08, 0x10, 0x20
CASES = []


def case(f):
    CASES.append(f)
    return f


class Result:
    def __init__(self, code, out, err):
        self.code, self.raw, self.out, self.err = code, out, out.decode("utf-8", "surrogateescape"), err.decode()

    @property
    def doc(self):
        return json.loads(self.out)

    @property
    def lines(self):
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def error(self):
        return json.loads(self.err.splitlines()[-1])["error"]


class World:
    """One case: a bus, the mock on it, and ways to run the program."""

    def __init__(self, bus, mock):
        self.bus, self.mock = bus, mock
        self.env = dict(os.environ, LC_ALL="C.UTF-8", TERM="xterm")
        self.env.pop("NO_COLOR", None)
        self.processes = []

    def command(self, *args):
        return [CTL, "--address", self.bus.address, *args]

    async def start(self, *args, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE):
        process = await asyncio.create_subprocess_exec(*self.command(*args), stdin=stdin, stdout=stdout,
                                                       stderr=asyncio.subprocess.PIPE, env=self.env)
        self.processes.append(process)
        return process

    def kill(self):
        for process in self.processes:
            if process.returncode is None:
                process.kill()

    async def run(self, *args, stdin=None):
        process = await self.start(*args, stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE)
        out, err = await asyncio.wait_for(process.communicate(stdin), WAIT)
        return Result(process.returncode, out, err)

    async def run_tty(self, *args, interrupt_after=None, until=None):
        """With standard output on a terminal of 24 rows and 80 columns."""
        master, slave = pty.openpty()
        os.set_blocking(master, False)
        process = await self.start(*args, stdout=slave)
        os.close(slave)
        out, began, interrupted = b"", time.monotonic(), False
        while True:
            try:
                data = os.read(master, 65536)
                out += data
                if not data:
                    break
            except BlockingIOError:
                await asyncio.sleep(0.01)
            except OSError:
                break  # the other side is closed
            ready = interrupt_after is not None and time.monotonic() - began > interrupt_after
            if not interrupted and (ready or (until and until in out)):
                process.send_signal(signal.SIGINT)
                interrupted = True
            assert time.monotonic() - began < WAIT, out
        err = await process.stderr.read()
        code = await asyncio.wait_for(process.wait(), WAIT)
        os.close(master)
        return Result(code, out, err)

    async def line(self, process):
        return (await asyncio.wait_for(process.stdout.readline(), WAIT)).decode()

    async def end(self, process):
        out, err = await asyncio.wait_for(process.communicate(), WAIT)
        return Result(process.returncode, out, err)


def check(result, code, err=None):
    assert result.code == code, f"exit {result.code}, not {code}: {result.out!r} {result.err!r}"
    assert "Sanitizer" not in result.err, result.err
    if err is not None:
        assert err in result.err, result.err
        assert result.err.count("\n") == 1, result.err


async def run_case(f):
    async with PrivateBus() as bus:
        mock = await Mock(XML).start(bus.address)
        world = World(bus, mock)
        try:
            await f(world)
        finally:
            world.kill()
            mock.stop()
            for complaint in mock.complaints:
                print(complaint, file=sys.stderr)
        assert not mock.complaints


def main():
    pattern = sys.argv[3] if len(sys.argv) > 3 else "*"
    failed = 0
    chosen = [f for f in CASES if fnmatch.fnmatch(f.__name__, pattern)]
    print(f"1..{len(chosen)}")
    for number, f in enumerate(chosen, 1):
        try:
            asyncio.run(run_case(f))
            print(f"ok {number} - {f.__name__}", flush=True)
        except Exception:
            traceback.print_exc()
            print(f"not ok {number} - {f.__name__}", flush=True)
            failed += 1
    sys.exit(1 if failed else 0)
