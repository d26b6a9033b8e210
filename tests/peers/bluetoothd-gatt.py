#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A GATT application and an advertisement on a bluetoothd of its own: the other big Linux stack as a peripheral.

Starts bluetoothd with hide-index.so, which keeps it off every controller but one, and registers what a peripheral needs
over its D-Bus API. What happens is logged one event a line, see README.md; bluetoothd's own log goes to standard error.
Everything ends with this program.
"""
import argparse
import random
import signal
import struct
import sys
import time

import dbus
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

import own_bluetoothd

BLUEZ = "org.bluez"
PROPERTIES = "org.freedesktop.DBus.Properties"
OBJECT_MANAGER = "org.freedesktop.DBus.ObjectManager"
SERVICE = "org.bluez.GattService1"
CHARACTERISTIC = "org.bluez.GattCharacteristic1"
DESCRIPTOR = "org.bluez.GattDescriptor1"
ADVERTISEMENT = "org.bluez.LEAdvertisement1"
ADVERTISING_MANAGER = "org.bluez.LEAdvertisingManager1"
LONG_MAX = 512

bus = None
options = None


def vendor(number):
    return "a10b%04x-7c1d-4e2a-9f36-5b0e8d24c1f7" % number


def log(event, **fields):
    print(event + "".join(" %s=%s" % (k, bytes(v).hex() if isinstance(v, (bytes, bytearray, dbus.Array)) else v)
                          for k, v in fields.items()), flush=True)


def failed(what, **fields):
    log("failed", what=what, **fields)
    sys.exit(1)


class Refused(dbus.DBusException):
    """What bluetoothd turns into an ATT error; the text of Failed may be an application's own code."""

    def __init__(self, name, text=""):
        super().__init__(text)
        self._dbus_error_name = BLUEZ + ".Error." + name


class Attribute(dbus.service.Object):
    interface = None

    def __init__(self, path, uuid):
        super().__init__(bus, path)
        self.path, self.uuid = path, uuid

    def properties(self):
        return {"UUID": self.uuid}

    @dbus.service.method(PROPERTIES, in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        return dbus.Dictionary(self.properties(), signature="sv")


class Descriptor(Attribute):
    interface = DESCRIPTOR

    def __init__(self, characteristic, number, uuid, value, flags=("read",)):
        super().__init__("%s/d%d" % (characteristic.path, number), uuid)
        self.characteristic, self.value, self.flags = characteristic, value, flags

    def properties(self):
        return {"UUID": self.uuid, "Characteristic": dbus.ObjectPath(self.characteristic.path),
                "Flags": dbus.Array(self.flags, signature="s")}

    @dbus.service.method(DESCRIPTOR, in_signature="a{sv}", out_signature="ay")
    def ReadValue(self, details):
        log("read", desc=self.uuid, offset=details.get("offset", 0))
        return dbus.Array(self.value[details.get("offset", 0):], signature="y")

    @dbus.service.method(DESCRIPTOR, in_signature="aya{sv}")
    def WriteValue(self, value, details):
        self.value = bytes(value)
        log("write", desc=self.uuid, value=self.value)


class Characteristic(Attribute):
    interface = CHARACTERISTIC

    def __init__(self, service, uuid, flags, value=b"", read=None, write=None, descriptors=()):
        super().__init__("%s/c%d" % (service.path, len(service.characteristics)), uuid)
        self.service, self.flags, self.value = service, flags, bytes(value)
        self.on_read, self.on_write = read, write
        self.notifying = False
        self.descriptors = [Descriptor(self, i, *d) for i, d in enumerate(descriptors)]
        service.characteristics.append(self)

    def properties(self):
        return {"UUID": self.uuid, "Service": dbus.ObjectPath(self.service.path),
                "Flags": dbus.Array(self.flags, signature="s")}

    @dbus.service.method(CHARACTERISTIC, in_signature="a{sv}", out_signature="ay")
    def ReadValue(self, details):
        offset = int(details.get("offset", 0))
        log("read", char=self.uuid, offset=offset, mtu=details.get("mtu", 0))
        value = self.on_read() if self.on_read else self.value
        if offset > len(value):
            raise Refused("InvalidOffset")
        return dbus.Array(value[offset:], signature="y")

    @dbus.service.method(CHARACTERISTIC, in_signature="aya{sv}")
    def WriteValue(self, value, details):
        offset, value = int(details.get("offset", 0)), bytes(value)
        log("write", char=self.uuid, kind=details.get("type", "?"), offset=offset, length=len(value), value=value[:32])
        if self.on_write:
            self.on_write(value)
            return
        if offset > len(self.value):
            raise Refused("InvalidOffset")
        if offset + len(value) > LONG_MAX:
            raise Refused("InvalidValueLength")
        self.value = self.value[:offset] + value

    @dbus.service.method(CHARACTERISTIC)
    def StartNotify(self):
        self.notifying = True
        log("subscribe", char=self.uuid)

    @dbus.service.method(CHARACTERISTIC)
    def StopNotify(self):
        self.notifying = False
        log("unsubscribe", char=self.uuid)

    @dbus.service.method(CHARACTERISTIC)
    def Confirm(self):
        log("confirmed", char=self.uuid)

    @dbus.service.signal(PROPERTIES, signature="sa{sv}as")
    def PropertiesChanged(self, interface, changed, invalidated):
        pass

    def send(self, value):
        """Notify or indicate, as the flags and the peer's CCCD have it."""
        self.value = bytes(value)
        if self.notifying:
            self.PropertiesChanged(CHARACTERISTIC, {"Value": dbus.Array(self.value, signature="y")}, [])


class Service(Attribute):
    interface = SERVICE

    def __init__(self, path, uuid, primary=True, includes=()):
        super().__init__(path, uuid)
        self.primary, self.includes = primary, includes
        self.characteristics = []

    def properties(self):
        found = {"UUID": self.uuid, "Primary": dbus.Boolean(self.primary)}
        if self.includes:
            found["Includes"] = dbus.Array([dbus.ObjectPath(s.path) for s in self.includes], signature="o")
        return found


class Application(dbus.service.Object):
    path = "/peer"

    def __init__(self):
        super().__init__(bus, self.path)
        self.services = []

    def service(self, uuid, **more):
        made = Service("%s/s%d" % (self.path, len(self.services)), uuid, **more)
        self.services.append(made)
        return made

    @dbus.service.method(OBJECT_MANAGER, out_signature="a{oa{sa{sv}}}")
    def GetManagedObjects(self):
        found = {}
        for service in self.services:
            for item in [service] + [x for c in service.characteristics for x in [c] + c.descriptors]:
                found[dbus.ObjectPath(item.path)] = {item.interface: item.properties()}
        return found


class Advertisement(dbus.service.Object):
    path = "/peer/advertisement"

    def __init__(self, name, uuids):
        super().__init__(bus, self.path)
        self.name, self.uuids = name, uuids

    @dbus.service.method(PROPERTIES, in_signature="s", out_signature="a{sv}")
    def GetAll(self, interface):
        return dbus.Dictionary({"Type": "peripheral", "LocalName": self.name,
                                "ServiceUUIDs": dbus.Array(self.uuids, signature="s")}, signature="sv")

    @dbus.service.method(ADVERTISEMENT)
    def Release(self):
        log("released")


# The services

def flood_on(characteristic):
    def write(value):
        if len(value) != 2:
            raise Refused("InvalidValueLength")
        count, = struct.unpack("<H", value)

        def run():
            for number in range(count):
                characteristic().send(struct.pack("<I", number) + bytes(16))
            log("flooded", count=count)
        GLib.idle_add(run)
    return write


def refuse(code):
    def refused(*_):
        raise Refused("Failed", "0x%02x" % code)
    return refused


def build(app):
    """The heart rate and vendor services of README.md, and what only bluetoothd's permissions can do."""
    heart = app.service("180d")
    beat = Characteristic(heart, "2a37", ["notify"])
    Characteristic(heart, "2a38", ["read"], b"\x01")
    Characteristic(heart, "2a39", ["write"], write=lambda v: v == b"\x01" or refuse(0x80)())

    secondary = app.service(vendor(0x20), primary=False)
    Characteristic(secondary, vendor(0x21), ["read"], b"second")
    service = app.service(vendor(0), includes=[secondary])
    commands = [0]

    def count(_):
        commands[0] += 1

    Characteristic(service, vendor(1), ["read", "write"], bytes(i & 0xff for i in range(300)),
                   descriptors=[("2901", b"long value"), (vendor(0x11), b"free", ("read", "write"))])
    Characteristic(service, vendor(2), ["read", "write-without-response"], read=lambda: struct.pack("<I", commands[0]),
                   write=count)
    echo = Characteristic(service, vendor(3), ["write", "indicate"],
                          write=lambda v: GLib.idle_add(lambda: echo.send(v) and False))
    flood = Characteristic(service, vendor(4), ["write", "notify"], write=flood_on(lambda: flood))
    Characteristic(service, vendor(5), ["read", "write"], read=refuse(0x80), write=refuse(0x81))
    Characteristic(service, vendor(6), ["encrypt-read", "encrypt-write"], b"secret")
    Characteristic(service, vendor(7), ["encrypt-authenticated-read"], b"more secret")
    Characteristic(service, vendor(8), ["read", "authorize"], b"asked for")
    return beat


# bluetoothd

def start_bluetoothd():
    try:
        return own_bluetoothd.start(options)
    except FileNotFoundError as error:
        failed("shim", path=error)


def adapter_path(timeout=30):
    """bluetoothd's object of our controller, when it is there."""
    path = "/org/bluez/hci%d" % options.device
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            manager = dbus.Interface(bus.get_object(BLUEZ, "/"), OBJECT_MANAGER)
            found = manager.GetManagedObjects()
            if ADVERTISING_MANAGER in found.get(path, {}):
                return path
        except dbus.DBusException:
            pass
        time.sleep(0.1)
    failed("bluetoothd", adapter=path)


def power_on(path):
    properties = dbus.Interface(bus.get_object(BLUEZ, path), PROPERTIES)
    properties.Set("org.bluez.Adapter1", "Powered", dbus.Boolean(True))
    properties.Set("org.bluez.Adapter1", "Alias", options.name)
    return properties.Get("org.bluez.Adapter1", "Address")


def watch_devices():
    def changed(interface, values, _, path=None):
        if interface == "org.bluez.Device1" and "Connected" in values:
            log("connected" if values["Connected"] else "disconnected", device=path.split("dev_")[-1].replace("_", ":"))

    def added(path, interfaces):
        device = interfaces.get("org.bluez.Device1")
        if device and device.get("Connected"):
            log("connected", device=device["Address"])
    bus.add_signal_receiver(changed, "PropertiesChanged", PROPERTIES, BLUEZ, path_keyword="path")
    bus.add_signal_receiver(added, "InterfacesAdded", OBJECT_MANAGER, BLUEZ)


class Beats:
    def __init__(self, characteristic):
        self.characteristic, self.rate = characteristic, 72.0

    def beat(self):
        self.rate = min(140, max(58, self.rate + random.uniform(-2, 2)))
        if self.characteristic.notifying:
            value = bytes([0x16, round(self.rate)]) + struct.pack("<H", round(61440 / self.rate))
            log("notify", char="2a37", rate=round(self.rate), value=value)
            self.characteristic.send(value)
        return True


def main():
    global bus, options
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--name", default="BlueZ")
    parser.add_argument("--interval-ms", type=int, default=1000, help="between two measurements")
    own_bluetoothd.add_options(parser, "BlueZ")
    options = parser.parse_args()

    dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
    bus = dbus.SystemBus()
    if bus.name_has_owner(BLUEZ):
        failed("bluetoothd", why="already_running")
    process, config = start_bluetoothd()
    loop = GLib.MainLoop()
    status = []

    def stop(code):
        status.append(code)
        loop.quit()
        return False

    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGTERM, stop, 0)
    GLib.unix_signal_add(GLib.PRIORITY_HIGH, signal.SIGINT, stop, 0)
    GLib.child_watch_add(process.pid, lambda pid, how: (log("bluetoothd_ended", status=how), stop(1)))
    try:
        path = adapter_path()
        address = power_on(path)
        app = Application()
        beats = Beats(build(app))
        watch_devices()
        advertisement = Advertisement(options.name, ["180d"])
        waiting = {"application", "advertisement"}

        def done(what):
            waiting.discard(what)
            if not waiting:
                log("ready", address=address, device=options.device)

        def refused(what):
            return lambda error: (log("failed", what=what, why=str(error).replace(" ", "_")), stop(1))

        dbus.Interface(bus.get_object(BLUEZ, path), "org.bluez.GattManager1").RegisterApplication(
            app.path, {}, reply_handler=lambda: done("application"), error_handler=refused("application"))
        dbus.Interface(bus.get_object(BLUEZ, path), ADVERTISING_MANAGER).RegisterAdvertisement(
            advertisement.path, {}, reply_handler=lambda: done("advertisement"), error_handler=refused("advertisement"))
        GLib.timeout_add(options.interval_ms, beats.beat)
        if not status:
            loop.run()
    finally:
        process.terminate()
        config.close()
    return status[0] if status else 1


sys.exit(main())
