#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Turns sig-names.txt into the C table of sig.c. A malformed or unsorted line fails the build."""
import re
import sys


def rows(path):
    last = -1
    with open(path, encoding="ascii") as f:
        for number, line in enumerate(f, 1):
            if line.startswith("#"):
                continue
            m = re.fullmatch(r'([0-9a-f]{4})\t([^\t"\\\n]+)\n', line)
            if not m or int(m[1], 16) <= last:
                sys.exit(f"{path}:{number}: not 'HEX<TAB>NAME' in ascending order")
            last = int(m[1], 16)
            yield last, m[2]


def main():
    source, target = sys.argv[1:]
    with open(target, "w", encoding="ascii") as f:
        f.write("/* made by gen-sig-names.py from sig-names.txt */\n")
        f.write("static const struct sig_name sig_names[] = {\n")
        for uuid, name in rows(source):
            f.write(f'\t{{ 0x{uuid:04x}, "{name}" }},\n')
        f.write("};\n")


main()
