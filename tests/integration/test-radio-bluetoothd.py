#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: speed=4 timeout=240 controllers=2 radio=yes
"""bluetoothd at both ends of our air: every way to pair, by D-Bus; and bluetoothctl, which prints what it is told late.

Our own daemon has no part in this.
"""
from radio_cases import *

BLUETOOTHD = "/usr/libexec/bluetooth/bluetoothd"
MGMT_SET_SECURE, MGMT_NEW_LTK = 0x2d, 0x0a

radio, mgmt = Control(CONTROL), Mgmt()
ADDRESSES = [mgmt.address(index) for index in (0, 1)]

PAIRINGS = [
    # name, Secure Connections, what the peripheral and the central can do, type of the key, whether the bond is used then
    ("legacy, just works", 0, "NoInputNoOutput", "NoInputNoOutput", 0, False),
    ("legacy, passkey", 0, "DisplayOnly", "KeyboardOnly", 1, True),
    ("Secure Connections, just works", 1, "NoInputNoOutput", "NoInputNoOutput", 2, False),
    ("Secure Connections, passkey", 1, "DisplayOnly", "KeyboardOnly", 3, False),
    ("Secure Connections, numeric comparison", 1, "DisplayYesNo", "DisplayYesNo", 3, True),
]


class Keys:
    """Types of the long-term keys that the kernel tells its managers of, of each controller."""

    def __init__(self):
        self.mgmt, self.kinds = Mgmt(), {}

    def forget(self):
        self.told()
        self.kinds = {}

    def told(self):
        while select.select([self.mgmt.sock], [], [], 0)[0]:
            event = self.mgmt.sock.recv(1024)
            code, index, _ = struct.unpack_from("<HHH", event)
            if code == MGMT_NEW_LTK:
                self.kinds.setdefault(index, set()).add(event[6 + 1 + 7])
        return self.kinds


class Bluez:
    """An application on bluetoothd, on one of its adapters: an agent that can do `able`, and what the agent is asked."""
    AGENT, ADVERTISEMENT = "/agent", "/advertisement"

    def __init__(self, index, able):
        self.index, self.bus = index, Bus()
        self.bus.serve = self.serve
        self.other = "/org/bluez/hci%d/dev_%s" % (index, ADDRESSES[1 - index].replace(":", "_"))
        self.call("/org/bluez", "org.bluez.AgentManager1", "RegisterAgent", "os", self.AGENT, able)

    def serve(self, call):
        """Answers what needs no thought; what a user would be asked stays for asked()."""
        if (call.path, call.member) == (self.ADVERTISEMENT, "GetAll"):
            self.bus.answer(call, "a{sv}", {"Type": "peripheral", "Discoverable": True})
        elif call.path == self.AGENT and call.member in ("AuthorizeService", "Cancel", "Release"):
            self.bus.answer(call)
        elif call.path != self.AGENT:
            self.bus.refuse(call)
        else:
            print("# agent of hci%d: %s%r" % (self.index, call.member, tuple(call.body)), flush=True)
            return False
        return True

    def call(self, path, interface, member, signature="", *args, timeout=60):
        return self.bus.call("org.bluez", path, interface, member, signature, *args, timeout=timeout)

    def adapter(self, member, signature="", *args, interface="Adapter1"):
        return self.call("/org/bluez/hci%d" % self.index, "org.bluez." + interface, member, signature, *args)

    def asked(self, member):
        """What the agent is asked, about the other adapter."""
        call = self.bus.wait_call(member, 60, self.AGENT)
        equal(call.body[0], self.other, "device of " + member)
        return call

    def await_pairing(self):
        """Be what others find and pair with."""
        self.call("/org/bluez", "org.bluez.AgentManager1", "RequestDefaultAgent", "o", self.AGENT)
        self.adapter("RegisterAdvertisement", "oa{sv}", self.ADVERTISEMENT, {}, interface="LEAdvertisingManager1")

    def knows(self):
        return self.other in self.call("/", "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0]

    def find(self):
        """Scan until the other is there."""
        self.adapter("SetDiscoveryFilter", "a{sv}", {"Transport": "le"})
        self.adapter("StartDiscovery")
        eventually(self.knows, 30, "the other was not found")
        self.adapter("StopDiscovery")

    def device(self, member, timeout=60):
        """A method of the other, waited for."""
        return self.call(self.other, "org.bluez.Device1", member, timeout=timeout)

    def start(self, member):
        """The same, for wait_reply()."""
        return self.bus.send("org.bluez", self.other, "org.bluez.Device1", member)

    def forget(self):
        self.adapter("RemoveDevice", "o", self.other)


@contextlib.contextmanager
def bluez(index, able):
    """With its end goes all that it asked for; the other adapter is forgotten."""
    made = Bluez(index, able)
    try:
        yield made
    finally:
        if made.knows():
            made.forget()
        made.bus.close()


def answer(peripheral, central, able):
    """What users do while two devices pair."""
    if able == "NoInputNoOutput":
        peripheral.bus.answer(peripheral.asked("RequestAuthorization"))
    elif able == "DisplayOnly":
        shown = peripheral.asked("DisplayPasskey")
        peripheral.bus.answer(shown)
        central.bus.answer(central.asked("RequestPasskey"), "u", shown.body[1])
    elif able == "DisplayYesNo":
        calls = [(end, end.asked("RequestConfirmation")) for end in (peripheral, central)]
        equal(calls[0][1].body[1], calls[1][1].body[1], "the number shown by one and by the other")
        for end, call in calls:
            end.bus.answer(call)


def reconnect(central):
    """The bond makes the next link an encrypted one."""
    central.device("Disconnect")
    no_links(radio)
    central.device("Connect")
    eventually(lambda: [link["encrypted"] for link in links(radio, 0)] == [True], 10, "the bond was not used")


log = open("/out/bluetoothd.log", "wb") if os.path.isdir("/out") else subprocess.DEVNULL
# Two bluetoothd that open enhanced bearers to each other at once lose a request on one they close, and wait 30 s for its answer.
with open("/run/bluetoothd.conf", "w", encoding="utf-8") as config:
    config.write("[GATT]\nChannels = 1\n")
daemon = subprocess.Popen([BLUETOOTHD, "-n", "-d", "-f", config.name], stdout=log, stderr=log)
keys = Keys()

with case("bluetoothd takes both controllers"):
    eventually(lambda: all(a in run("bluetoothctl", "list", check_status=False) for a in ADDRESSES), 20)

# bluetoothd takes bonds while there is a default agent, and is slow to go back and forth: let there always be one.
first = Bluez(0, "NoInputNoOutput")
for index in (0, 1):
    mgmt.power(index, True)
    eventually(lambda: first.bus.get("org.bluez", "/org/bluez/hci%d" % index, "org.bluez.Adapter1", "Pairable"), 20)

for name, secure, there, here, kind, again in PAIRINGS:
    with case("bluetoothd scans and pairs: %s%s" % (name, ", and connects by that bond" if again else "")):
        for index in (0, 1):
            mgmt.done(MGMT_SET_SECURE, index, bytes([secure]))
        with bluez(1, there) as peripheral, bluez(0, here) as central:
            peripheral.await_pairing()
            central.find()
            keys.forget()
            pairing = central.start("Pair")
            answer(peripheral, central, there)
            central.bus.wait_reply(pairing, 60)
            eventually(lambda: len(keys.told()) == 2, 10, "no keys")
            equal(keys.told(), {0: {kind}, 1: {kind}}, "types of keys")
            equal([link["encrypted"] for link in links(radio, 0)], [True], "encrypted links")
            if again:
                reconnect(central)
        no_links(radio)

with case("bluetoothctl lists, scans, pairs, connects, tells and disconnects"):
    # its default adapter is the one that it was told of first
    here = ADDRESSES.index(re.search(r"Controller (\S+) .*\[default\]", run("bluetoothctl", "list"))[1])
    address = ADDRESSES[1 - here]
    with bluez(1 - here, "NoInputNoOutput") as peripheral:
        peripheral.await_pairing()
        scan = Peer("stdbuf", "-oL", "bluetoothctl", "scan", "le")
        scan.wait(r"Device " + address)
        pairing = Peer("stdbuf", "-oL", "bluetoothctl", "--agent", "NoInputNoOutput", "pair", address)
        peripheral.bus.answer(peripheral.asked("RequestAuthorization"))
        pairing.wait(r"Pairing successful", 60)
        for ended in (pairing, scan):
            ended.stop()
        contains(run("bluetoothctl", "disconnect", address), "Successful disconnected")
        no_links(radio)
        contains(run("bluetoothctl", "connect", address), "Connection successful")
        shown = run("bluetoothctl", "info", address)
        contains(shown, "Paired: yes")
        contains(shown, "Connected: yes")
        contains(run("bluetoothctl", "remove", address), "Device has been removed")
    no_links(radio)

daemon.terminate()
daemon.wait(10)
finish()
