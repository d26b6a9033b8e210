# SPDX-License-Identifier: GPL-2.0-or-later
"""The stand-in's other side: services and advertisers that its clients register, and what centrals do with them.

Checks types as the daemon does: a key that is not in the contract, or of another type, fails the test.
"""
import time

from dbus_fast import Message, Variant

PREFIX = "org.aioble."
OPTIONS = {
    "Configure": {"gap_name": "s", "appearance": "q"},
    "RegisterServices": {"name": "s", "queue": "u", "signals": "b", "lifetime": "s"},
    "Advertise": {"name": "s", "services": "as", "appearance": "q", "manufacturer": "a(qay)", "service_data": "a(say)", "tx_power": "n",
                  "limited_disc": "b", "br_edr": "b", "adv_data": "ay", "resp_data": "ay", "connectable": "b", "timeout_ms": "u",
                  "keep": "b", "extended": "b", "secondary_phy": "s", "lifetime": "s", "broadcast": "b"},
    "Unregister": {},
}
VALUE = {"uuid": "s", "handle": "q", "read": "b", "write": "b", "write_no_response": "b", "initial": "ay", "max_len": "q",
         "truncate": "b", "read_security": "s", "write_security": "s", "key_size": "y", "on_read": "b"}
CHARACTERISTIC = VALUE | {"notify": "b", "indicate": "b", "capture": "b", "append": "b", "descriptors": "aa{sv}"}
SERVICE = {"uuid": "s", "secondary": "b", "handle": "q", "includes": "aq", "characteristics": "aa{sv}"}
BITS = {"read": 0x02, "write_no_response": 0x04, "write": 0x08, "notify": 0x10, "indicate": 0x20}


def plain(keys, given):
    """A dictionary of variants as one of values, its types checked."""
    for key, value in given.items():
        assert keys.get(key) == value.signature, f"{key} of type {value.signature}"
    return {key: value.value for key, value in given.items()}


class LocalValue:
    """A characteristic or descriptor of ours. `writes`: what the local side wrote."""

    def __init__(self, face, app, given, handle):
        self.face, self.app, self.handle = face, app, handle
        self.given = plain(CHARACTERISTIC if face == "LocalCharacteristic1" else VALUE, given)
        self.uuid = self.given["uuid"]
        self.path = f"{app}/h{handle:04x}"
        self.value = bytes(self.given.get("initial", b""))
        self.properties = sum(bit for key, bit in BITS.items() if self.given.get(key))
        self.writes = []
        self.error = None


class Peripheral:
    def __init__(self):
        self.apps = {}         # path: {"services": plain, "registered": ..., "values": [LocalValue], "options": plain}
        self.advertisers = {}  # path: options as plain values
        self.local = {}        # path: LocalValue
        self.subscribers = {}  # (app, path of the characteristic, connection): (notify, indicate)
        self.gap = {}
        self.sent = 0

    # ---- calls ----

    def Adapter1_Configure(self, _path, options):
        self.gap |= {key: v.value for key, v in options.items()}

    def Adapter1_RegisterServices(self, path, services, options):
        app = f"{path}/app/{self.next}"
        self.next += 1
        values, registered, handle = [], [], 0x10
        for given in services:
            service = plain(SERVICE, given)
            start, characteristics = service.get("handle", handle), []
            handle = start + 1 + len(service.get("includes", []))
            for given_char in service.get("characteristics", []):
                c = LocalValue("LocalCharacteristic1", app, given_char, handle + 1)
                values.append(c)
                handle, descriptors = handle + 2, []
                if c.properties & 0x30:
                    descriptors.append([f"{app}/h{handle:04x}", "2902", handle])
                    handle += 1
                for given_desc in c.given.get("descriptors", []):
                    d = LocalValue("LocalDescriptor1", app, given_desc, handle)
                    values.append(d)
                    descriptors.append([d.path, d.uuid, handle])
                    handle += 1
                characteristics.append([c.path, c.uuid, c.handle - 1, c.handle, handle - 1, c.properties, descriptors])
            registered.append([f"{app}/h{start:04x}", service["uuid"], start, handle - 1, not service.get("secondary", False),
                               characteristics])
        self.apps[app] = {"services": services, "registered": registered, "values": values,
                          "options": {key: v.value for key, v in options.items()}}
        self.local |= {v.path: v for v in values}
        return [app, registered]

    def Adapter1_Advertise(self, path, interval_us, options):
        adv = f"{path}/adv/{self.next}"
        self.next += 1
        self.advertisers[adv] = {key: v.value for key, v in options.items()} | {"interval_us": interval_us}
        return [adv]

    def Advertiser1_Stop(self, path, _options):
        del self.advertisers[path]

    def Application1_Unregister(self, path, _options):
        self.drop_app(path)

    def _write(self, path, value, options):
        a = self.local[path]
        if a.error:
            raise a.error
        a.value = bytes(value)
        a.writes.append((a.value, {key: v.value for key, v in options.items()}))

    LocalCharacteristic1_Write = _write
    LocalDescriptor1_Write = _write

    # ---- what a test makes happen ----

    def drop_app(self, path):
        for value in self.apps.pop(path)["values"]:
            del self.local[value.path]
        self.subscribers = {key: v for key, v in self.subscribers.items() if key[0] != path}

    def forget(self):
        """What a daemon that restarts has forgotten."""
        Peripheral.__init__(self)
        self.connections.clear()

    def app(self):
        return next(iter(self.apps))

    def value(self, uuid, index=0):
        return [v for v in self.local.values() if v.uuid == uuid][index]

    async def signal(self, path, interface, member, signature, body):
        await self.bus.send(Message.new_signal(path, PREFIX + interface, member, signature, body))

    def _details(self, **more):
        self.sent += 1
        return {"seq": Variant("t", self.sent), "time_us": Variant("t", time.monotonic_ns() // 1000), "dropped": Variant("t", 0)} | more

    async def central_connects(self, address, address_type="random", advertiser=None):
        advertiser = advertiser or next(iter(self.advertisers))
        conn = self.add_connection(address, address_type, Role="peripheral", Lifetime="caller")
        await self.signal(advertiser, "Advertiser1", "Connected", "o", [conn])
        if not self.advertisers[advertiser].get("keep"):
            await self.adv_ends("connected", advertiser)
        return conn

    async def adv_ends(self, reason, advertiser=None):
        advertiser = advertiser or next(iter(self.advertisers))
        await self.signal(advertiser, "Advertiser1", "Finished", "sa{sv}", [reason, {}])
        del self.advertisers[advertiser]

    async def app_ends(self, reason):
        app = self.app()
        await self.signal(app, "Application1", "Finished", "sa{sv}", [reason, {}])
        self.drop_app(app)

    async def central_writes(self, conn, value, data, **more):
        value.value = data
        await self.signal(value.app, "Application1", "Written", "ooaya{sv}", [value.path, conn, data, self._details(**more)])

    async def central_subscribes(self, conn, value, notify=True, indicate=False):
        self.subscribers[(value.app, value.path, conn)] = (notify, indicate)
        await self.signal(value.app, "Application1", "Subscribed", "ooa{sv}",
                          [value.path, conn, self._details(notify=Variant("b", notify), indicate=Variant("b", indicate))])

    # ---- properties ----

    def peripheral_values(self, path, short):
        adapter = "/".join(path.split("/")[:4])
        if short == "Application1" and path in self.apps:
            app = self.apps[path]
            return {"Name": "", "Adapter": adapter, "Services": app["registered"], "Queue": app["options"].get("queue", 10),
                    "Subscribers": [[v, c, n, i] for (a, v, c), (n, i) in self.subscribers.items() if a == path and (n or i)],
                    "Received": self.sent, "Dropped": 0, "Collapsed": 0, "Queued": 0, "Holders": [":1.7"],
                    "Lifetime": app["options"].get("lifetime", "linger"), "ExpiresUs": 0}
        if short == "Advertiser1" and path in self.advertisers:
            adv = self.advertisers[path]
            return {"IntervalUs": adv["interval_us"], "Connectable": adv.get("connectable", True), "Keep": adv.get("keep", False),
                    "Extended": adv.get("extended", False), "SecondaryPhy": "", "AdvData": b"\x02\x01\x06", "RespData": b"",
                    "State": "running", "Connection": "/", "Connections": 0, "Dropped": 0, "Holders": [":1.7"],
                    "Lifetime": adv.get("lifetime", "linger"), "ExpiresUs": 0}
        if short in ("LocalCharacteristic1", "LocalDescriptor1") and path in self.local and self.local[path].face == short:
            v = self.local[path]
            common = {"Application": v.app, "Uuid": v.uuid, "Handle": v.handle, "MaxLen": v.given.get("max_len", 512)}
            if short == "LocalDescriptor1":
                return common | {"Characteristic": v.app}
            return common | {"Service": v.app, "Declaration": v.handle - 1, "Cccd": 0, "Properties": v.properties, "Flags": [],
                             "Truncated": 0, "Subscribers": []}
        return None
