#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""An application of the daemon whose value asks before each read: it answers after --delay-ms, until it is stopped or killed.
Every answer stores the number of the question as the value. Prints "ready" and the value's handle.
"""
import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../integration"))
from minibus import Bus, BusError  # noqa: E402

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--adapter", default="/org/aioble/hci0")
parser.add_argument("--uuid", default="a10b0100-7c1d-4e2a-9f36-5b0e8d24c1f7", help="of the service and the characteristic")
parser.add_argument("--delay-ms", type=int, default=0)
parser.add_argument("--timeout-ms", type=int, default=500, help="on_read_timeout_ms")
parser.add_argument("--fallback", type=int, default=0x0e, help="on_read_fallback")
options = parser.parse_args()

bus = Bus()
value = {"uuid": options.uuid, "read": True, "on_read": True, "on_read_timeout_ms": options.timeout_ms,
         "on_read_fallback": options.fallback}
path, services = bus.call("org.aioble", options.adapter, "org.aioble.Adapter1", "RegisterServices", "aa{sv}a{sv}",
                          [{"uuid": options.uuid, "characteristics": ("aa{sv}", [value])}], {"lifetime": "caller"})
print("ready handle=%d" % services[0][5][0][3], flush=True)
number = 0
while True:
    try:
        _, _, _, _, details = bus.call("org.aioble", path, "org.aioble.Application1", "Next", "a{sv}", {"timeout_ms": 60000},
                                       timeout=70)
        time.sleep(options.delay_ms / 1000)
        number += 1
        bus.call("org.aioble", path, "org.aioble.Application1", "AnswerRead", "uya{sv}", details["token"], 0,
                 {"value": number.to_bytes(4, "little")})
    except BusError as error:
        if not error.name.endswith((".Timeout", ".NotFound")):
            raise
