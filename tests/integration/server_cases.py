# SPDX-License-Identifier: GPL-2.0-or-later
"""What tests of the peripheral side share: services as data, an application that answers, advertising."""
import struct
import threading

from aioble_test import *
from gatt_cases import COUNT, ECHO, FLOOD, LONG, LONG_VALUE, REFUSED, vendor

SENSING, TEMPERATURE = "181a", "2a6e"


def characteristic(uuid, *flags, descriptors=(), **more):
    made = {"uuid": uuid, **{flag: True for flag in flags}, **more}
    if descriptors:
        made["descriptors"] = ("aa{sv}", list(descriptors))
    return made


def service(uuid, *characteristics, **more):
    return {"uuid": uuid, "characteristics": ("aa{sv}", list(characteristics)), **more}


# What every peer of tests/peers/README.md offers; 0005 can only refuse reads, for nobody is asked before a write.
BELT = [
    service("180d", characteristic("2a37", "notify"), characteristic("2a38", "read", initial=b"\x01")),
    service(vendor(0),
            characteristic(LONG, "read", "write", initial=LONG_VALUE, descriptors=[{"uuid": "2901", "read": True,
                                                                                    "initial": "long value"}]),
            characteristic(COUNT, "read", "write_no_response", "capture", initial=bytes(4)),
            characteristic(ECHO, "write", "indicate", "capture"),
            characteristic(FLOOD, "write", "notify", "capture"),
            characteristic(REFUSED, "read", "on_read")),
]


def sensor(value=b"\x66\x08", **more):
    """The temperature sensor: 21.5 degrees at first."""
    return [service(SENSING, characteristic(TEMPERATURE, "read", "notify", initial=value, **more))]


class Application:
    """Services of ours; attributes by UUID."""

    def __init__(self, adapter, services, bus=None, **options):
        self.bus = bus or Bus()
        adapter = Object(adapter.path, "Adapter1", self.bus)
        path, self.tree = adapter.call("RegisterServices", "aa{sv}", services, options=options)
        self.object = Object(path, "Application1", self.bus)
        self.rows = {c[1]: c for s in self.tree for c in s[5]}

    def char(self, uuid):
        return Object(self.rows[uuid][0], "LocalCharacteristic1", self.bus)

    def handle(self, uuid):
        return self.rows[uuid][3]

    def next(self, timeout_ms=20000, **options):
        """(event, attribute, connection, value, details)"""
        return self.object.call("Next", options=dict(timeout_ms=timeout_ms, **options))

    def write(self, uuid, value, **options):
        self.char(uuid).call("Write", "ay", value, options=options)

    def unregister(self):
        self.object.call("Unregister")


def advertise(adapter, interval_us=30000, **options):
    """An advertiser, as an object on the adapter's bus."""
    return Object(adapter.call("Advertise", "t", interval_us, options=options), "Advertiser1", adapter.bus)


class Belt(threading.Thread):
    """The heart-rate belt and vendor service, alive: beats for those who subscribed, answers to what is written."""

    def __init__(self, adapter, name, interval=0.2):
        super().__init__(daemon=True)
        self.app = Application(adapter, BELT, queue=4096)
        self.adapter = Object(adapter.path, "Adapter1", self.app.bus)
        self.advertiser = advertise(self.adapter, name=name, services=["180d"], keep=True)
        self.interval, self.over, self.errors = interval, False, []
        self.commands = self.beats = 0
        self.names = {self.app.rows[uuid][0]: uuid for uuid in self.app.rows}
        self.start()

    def beat(self):
        self.beats += 1
        self.app.write("2a37", struct.pack("<BBH", 0x16, 60 + self.beats % 40, 900), send_update=True)

    def on_written(self, uuid, connection, value):
        if uuid == COUNT:
            self.commands += 1
            self.app.write(COUNT, struct.pack("<I", self.commands))
        elif uuid == ECHO:
            self.app.char(ECHO).call("Indicate", "oay", connection, value, options={"timeout_ms": 20000})
        elif uuid == FLOOD:
            for number in range(struct.unpack_from("<H", value)[0]):
                self.app.char(FLOOD).call("Notify", "oay", connection, struct.pack("<I", number) + bytes(16),
                                          options={"timeout_ms": 20000})

    def serve(self):
        event, attribute, connection, value, details = self.app.next(timeout_ms=int(self.interval * 1000))
        if event == "written":
            self.on_written(self.names[attribute], connection, value)
        elif event == "read":
            self.app.object.call("AnswerRead", "uy", details["token"], 0x80)

    def run(self):
        beat_at = time.monotonic()
        while not self.over:
            try:
                if time.monotonic() >= beat_at:
                    beat_at = time.monotonic() + self.interval
                    self.beat()
                self.serve()
            except BusError as error:
                if error.name != "org.aioble.Error.Timeout" and not self.over:
                    self.errors.append(str(error))

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        """Ends it; what went wrong inside is the test's failure."""
        self.over = True
        self.join(30)
        self.advertiser.call("Stop")
        self.app.unregister()
        self.app.bus.close()
        if not failure[0]:
            equal(self.errors, [], "errors of the application")
