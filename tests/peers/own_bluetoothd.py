# SPDX-License-Identifier: GPL-2.0-or-later
"""A bluetoothd of one's own, kept off every controller but one by hide-index.so."""
import os
import subprocess
import sys
import tempfile

BLUETOOTHD = "/usr/libexec/bluetooth/bluetoothd"


def add_options(parser, name):
    parser.add_argument("--device", type=int, default=1, help="hciN that bluetoothd gets; the others are hidden from it")
    parser.add_argument("--shim", help="hide-index.so (default: in $AIOBLED_BUILD/tests/peers)")
    parser.add_argument("--bluetoothd-name", default=name, help="what bluetoothd calls itself")
    parser.add_argument("--debug", action="store_true", help="bluetoothd -d")


def shim_path(options):
    return options.shim or os.path.join(os.environ.get("AIOBLED_BUILD", "."), "tests/peers/hide-index.so")


def start(options):
    """The process, whose log goes to standard error, and its configuration, which must be kept as long."""
    shim = shim_path(options)
    if not os.path.exists(shim):
        raise FileNotFoundError(shim)
    indexes = [d[3:] for d in os.listdir("/sys/class/bluetooth") if d[3:].isdigit()]
    hide = ",".join(i for i in indexes if i != str(options.device))
    config = tempfile.NamedTemporaryFile("w", suffix=".conf", prefix="bluetoothd-")
    config.write("[General]\nControllerMode = le\nName = %s\n[GATT]\nCache = no\n[Policy]\nAutoEnable = false\n"
                 % options.bluetoothd_name)
    config.flush()
    env = dict(os.environ, LD_PRELOAD=os.path.abspath(shim), HIDE_INDEX=hide)
    process = subprocess.Popen([BLUETOOTHD, "-n", "-P", "*", "-f", config.name, *(["-d"] if options.debug else [])], env=env,
                               stdout=sys.stderr, stdin=subprocess.DEVNULL)
    return process, config
