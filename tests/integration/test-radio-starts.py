#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=600 controllers=1 radio=yes
"""aioble-radio, started again and again: when it says that its controllers are there, the kernel lists them all; none is left after it.

As often as RADIO_STARTS tells, which comes from tools/test --starts.
"""
from radio_cases import *

STARTS, EACH = int(os.environ.get("RADIO_STARTS", 15)), 2

mgmt = Mgmt()
others = mgmt.indexes()
lost, left, slow = [], [], 0.0
began = time.monotonic()

with case("%d starts, %d controllers each, none lost" % (STARTS, EACH)):
    for number in range(STARTS):
        start = time.monotonic()
        with subprocess.Popen(["aioble-radio", "--controllers", str(EACH), "--seed", str(number)], stdout=subprocess.PIPE,
                              text=True) as radio:
            said = set(radio.stdout.readline().split()[1:])
            slow = max(slow, time.monotonic() - start)
            listed = {"hci%d" % i for i in mgmt.indexes() - others}
            if len(said) != EACH or said != listed:
                lost.append((number, said, listed))
            radio.terminate()
            if radio.wait(20):
                lost.append((number, "status", radio.returncode))
        if mgmt.indexes() != others:
            left.append(number)
    print("# %d starts: %.1f s, the slowest was ready after %.2f s" % (STARTS, time.monotonic() - began, slow))
    equal(lost, [], "starts that lost controllers")

with case("and each has taken its controllers along"):
    equal(left, [], "starts that left controllers")

finish()
