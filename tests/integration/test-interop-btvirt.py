#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# guest: timeout=240 controllers=2 kind=btvirt,le
"""The meeting with bleno once more, over the emulator btvirt: another radio, with other habits."""
import os
import runpy

runpy.run_path(os.path.join(os.path.dirname(os.path.abspath(__file__)), "test-interop-bleno.py"), run_name="__main__")
