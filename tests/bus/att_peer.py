# SPDX-License-Identifier: GPL-2.0-or-later
"""A peer that answers ATT over a socket: a small GATT server for tests of the daemon over a fake kernel.

Attributes come from the services of mock_aioble.py, so one description serves both.
"""
import asyncio
import struct

ERR_HANDLE, ERR_OFFSET, ERR_NOT_FOUND, ERR_LENGTH = 0x01, 0x07, 0x0A, 0x0D
PRIMARY, SECONDARY, CHARACTERISTIC, CCCD = b"\x00\x28", b"\x01\x28", b"\x03\x28", b"\x02\x29"


def uuid_bytes(text):
    return bytes.fromhex(text.replace("-", ""))[::-1]


class AttError(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


class AttPeer:
    def __init__(self, fd, services):
        self.fd, self.mtu, self.prepared, self.confirmed = fd, 23, [], 0
        self.rows = []  # (handle, type, value or Attribute, end of the service)
        for s in services:
            self.rows.append((s.handle, PRIMARY if s.primary else SECONDARY, uuid_bytes(s.uuid), s.end))
            for c in s.children:
                declaration = struct.pack("<BH", c.properties, c.handle) + uuid_bytes(c.uuid)
                self.rows.append((c.handle - 1, CHARACTERISTIC, declaration, None))
                self.rows.append((c.handle, uuid_bytes(c.uuid), c, None))
                self.rows += [(d.handle, uuid_bytes(d.uuid), d, None) for d in c.children]
        self.subscribed = asyncio.Event()
        asyncio.get_running_loop().add_reader(fd, self._read)

    def close(self):
        asyncio.get_running_loop().remove_reader(self.fd)
        self.fd.close()

    def notify(self, handle, value):
        self.fd.send(struct.pack("<BH", 0x1B, handle) + value)

    def indicate(self, handle, value):
        self.fd.send(struct.pack("<BH", 0x1D, handle) + value)

    # ---- requests ----

    def _read(self):
        try:
            pdu = self.fd.recv(1024)
        except BlockingIOError:
            return
        if not pdu:
            asyncio.get_running_loop().remove_reader(self.fd)
            return
        if pdu[0] == 0x1E:
            self.confirmed += 1
            return
        handler = {0x02: self._mtu, 0x04: self._find, 0x06: self._by_type_value, 0x08: self._by_type, 0x0A: self._value,
                   0x0C: self._blob, 0x10: self._by_group, 0x12: self._write, 0x16: self._prepare, 0x18: self._execute,
                   0x52: self._write}[pdu[0]]
        try:
            answer = handler(pdu)
        except AttError as e:
            handle = struct.unpack_from("<H", pdu, 1)[0] if len(pdu) >= 3 else 0
            answer = struct.pack("<BBHB", 0x01, pdu[0], handle, e.code)
        if pdu[0] != 0x52:
            self.fd.send(answer[:self.mtu])

    def _in(self, pdu):
        start, last = struct.unpack_from("<HH", pdu, 1)
        return [row for row in self.rows if start <= row[0] <= last]

    def _mtu(self, pdu):
        theirs = struct.unpack("<H", pdu[1:3])[0]
        answer = struct.pack("<BH", 0x03, 247)
        self.mtu = max(23, min(247, theirs))
        return answer

    def _find(self, pdu):
        rows = self._in(pdu)
        if not rows:
            raise AttError(ERR_NOT_FOUND)
        size = len(rows[0][1])
        out = bytes([0x05, 1 if size == 2 else 2])
        for handle, kind, _, _ in rows:
            if len(kind) != size or len(out) + 2 + size > self.mtu:
                break
            out += struct.pack("<H", handle) + kind
        return out

    def _by_type_value(self, pdu):
        found = b"".join(struct.pack("<HH", handle, end) for handle, kind, value, end in self._in(pdu)
                         if kind == pdu[5:7] and value == pdu[7:])
        if not found:
            raise AttError(ERR_NOT_FOUND)
        return b"\x07" + found[:(self.mtu - 1) // 4 * 4]

    def _list(self, opcode, items):
        if not items:
            raise AttError(ERR_NOT_FOUND)
        size = min(len(items[0]), 255, self.mtu - 2)
        out = bytes([opcode, size])
        for item in items:
            if min(len(item), self.mtu - 2) != size or len(out) + size > self.mtu:
                break
            out += item[:size]
        return out

    def _by_type(self, pdu):
        return self._list(0x09, [struct.pack("<H", handle) + self._get(value) for handle, kind, value, _ in self._in(pdu)
                                 if kind == pdu[5:]])

    def _by_group(self, pdu):
        return self._list(0x11, [struct.pack("<HH", handle, end) + value for handle, kind, value, end in self._in(pdu)
                                 if kind == pdu[5:]])

    def _get(self, value):
        if isinstance(value, bytes):
            return value
        if value.error:
            raise AttError(value.error)
        return value.value

    def _row(self, pdu):
        handle = struct.unpack_from("<H", pdu, 1)[0]
        for row in self.rows:
            if row[0] == handle:
                return row
        raise AttError(ERR_HANDLE)

    def _value(self, pdu):
        return b"\x0b" + self._get(self._row(pdu)[2])

    def _blob(self, pdu):
        value, offset = self._get(self._row(pdu)[2]), struct.unpack_from("<H", pdu, 3)[0]
        if offset > len(value):
            raise AttError(ERR_OFFSET)
        return b"\x0d" + value[offset:]

    def _store(self, attribute, data):
        if attribute.error:
            raise AttError(attribute.error)
        attribute.writes.append(data)
        attribute.value = data

    def _write(self, pdu):
        row = self._row(pdu)
        self._store(row[2], pdu[3:])
        if row[1] == CCCD:
            (self.subscribed.set if any(pdu[3:]) else self.subscribed.clear)()
        return b"\x13"

    def _prepare(self, pdu):
        self.prepared.append((self._row(pdu)[2], struct.unpack_from("<H", pdu, 3)[0], pdu[5:]))
        return b"\x17" + pdu[1:]

    def _execute(self, pdu):
        queue, self.prepared = self.prepared, []
        for attribute, offset, part in queue if pdu[1] else []:
            if offset > len(attribute.value):
                raise AttError(ERR_OFFSET)
            attribute.value = attribute.value[:offset] + part
        return b"\x19"
