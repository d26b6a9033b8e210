# SPDX-License-Identifier: GPL-2.0-or-later
"""A dbus-daemon of our own: no policy, no activation, gone with the test."""
import asyncio
import os
import shutil
import signal
import tempfile

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:dir={dir}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  {extra}
</busconfig>
"""


class PrivateBus:
    """async with PrivateBus() as bus: ... bus.address ..."""

    def __init__(self, extra=""):
        self.extra = extra

    async def __aenter__(self):
        self.dir = tempfile.mkdtemp(prefix="aiobled-bus-")
        config = os.path.join(self.dir, "bus.conf")
        with open(config, "w", encoding="utf-8") as f:
            f.write(CONFIG.format(dir=self.dir, extra=self.extra))
        self.process = await asyncio.create_subprocess_exec(
            "dbus-daemon", "--config-file=" + config, "--nofork", "--nopidfile", "--print-address=1",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL)
        line = await asyncio.wait_for(self.process.stdout.readline(), 10)
        self.address = line.decode().strip()
        assert self.address, "dbus-daemon did not start"
        return self

    async def __aexit__(self, *exc):
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        await self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
