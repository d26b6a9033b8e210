#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=60 controllers=2
"""The ground all other tests stand on: the kernel, the bus, the virtual controllers, the runner."""
import socket

from aioble_test import *

MGMT_READ_INFO = 4

with case("the kernel is none of those that crash when a socket outlives its link"):
    version = run("uname", "-v")
    found = re.search(r"6\.1\.(\d+)", version)
    check(not found or not 187 <= int(found[1]) <= 192, version)

with case("systemd runs the guest, and nobody but us manages Bluetooth"):
    equal(open("/proc/1/comm").read().strip(), "systemd", "first process")
    answer = busctl("get-property", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                    "org.freedesktop.systemd1.Manager", "NFailedUnits")
    equal(answer["data"], 0, "failed units")
    equal(shared_bus().owner("org.bluez"), None, "owner of org.bluez")

with case("two controllers are known to the management channel"):
    equal(controllers("list").split(), ["hci0", "hci1"])

with case("a controller can be unplugged and comes back"):
    controllers("stop")
    equal(controllers("list").split(), [])
    controllers("start", 3)
    equal(controllers("list").split(), ["hci0", "hci1", "hci2"])

with case("what the emulator serves on its socket is a controller in the same air"):
    with socket.socket(socket.AF_UNIX) as peer_socket:
        peer_socket.settimeout(10)
        peer_socket.connect("/tmp/bt-server-le")
        peer_socket.sendall(bytes.fromhex("01030c00"))  # H4: command, HCI Reset
        equal(peer_socket.recv(64), bytes.fromhex("040e0401030c00"), "answer to HCI Reset")

with case("the hash, cipher and address randomisation that tests need are there"):
    crypto = open("/proc/crypto").read()
    for name in ("cmac(aes)", "ecb(aes)", "drbg"):
        contains(crypto.replace("drbg_", "drbg "), name.split("(")[0], "ciphers")
    equal(open("/proc/sys/vm/mmap_rnd_bits").read().strip(), "28", "bits")

finish()
