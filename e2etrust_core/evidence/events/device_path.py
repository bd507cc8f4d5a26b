# SPDX-License-Identifier: Apache-2.0
"""Device paths as text (UEFI 2.10, 10.3 and 10.6.1.6).

A rule compares paths as text, so no two paths may look the same: what has no exact text is shown
as ``Path(type,subtype,hex)``, and what could be taken for a separator in a name is written as
``%`` and four hexadecimal digits.
"""

from __future__ import annotations

from collections.abc import Callable

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.little_endian import LittleEndianReader

_END, _END_OF_INSTANCE = 0x7F, 0x01
_NODE_HEADER = 4
_MAX_NODES = 256
#: EISA ids (UEFI 2.10, 10.3.3): PNP0A03 and PNP0A08.
_ROOTS = {0x0A0341D0: "PciRoot", 0x0A0841D0: "PcieRoot"}
_GPT, _MBR = (2, 2), (1, 1)


def path_texts(raw: bytes) -> tuple[str, ...]:
    """Return each of the device paths in *raw* as text; of a path's instances, joined by ``,``.

    :raises EventLogError: a node whose size does not fit, or too many.
    """
    reader = LittleEndianReader(raw, "device path", EventLogError)
    paths: list[str] = []
    words = ""
    for _ in range(_MAX_NODES):
        if not reader.left:
            return (*paths, words) if words else tuple(paths)
        kind, sub_kind, size = reader.uint(1), reader.uint(1), reader.uint(2)
        if size < _NODE_HEADER:
            raise EventLogError(f"device path: a node of {size} bytes")
        body = reader.take(size - _NODE_HEADER)
        if kind != _END:
            separator = "/" if words and not words.endswith(",") else ""
            words += separator + _node(kind, sub_kind, body)
        elif sub_kind == _END_OF_INSTANCE:
            words += ","
        else:
            paths.append(words)
            words = ""
    raise EventLogError(f"device path of more than {_MAX_NODES} nodes")


def _node(kind: int, sub_kind: int, body: bytes) -> str:
    write = _NODES.get((kind, sub_kind))
    text = None
    if write is not None:
        try:
            text = write(LittleEndianReader(body, "device path", EventLogError))
        except EventLogError:
            text = None
    return text if text is not None else f"Path({kind},{sub_kind},{body.hex()})"


def _exactly(size: int, write: Callable[[LittleEndianReader], str | None]) -> _Writer:
    """Let *write* have bodies of *size* bytes only: it then reads all of it."""
    return lambda reader: write(reader) if reader.left == size else None


def _pci(reader: LittleEndianReader) -> str:
    function, device = reader.uint(1), reader.uint(1)
    return f"Pci(0x{device:x},0x{function:x})"


def _acpi(reader: LittleEndianReader) -> str:
    hid, uid = reader.uint(4), reader.uint(4)
    root = _ROOTS.get(hid)
    return f"{root}(0x{uid:x})" if root else f"Acpi(0x{hid:08x},0x{uid:x})"


def _usb(reader: LittleEndianReader) -> str:
    return f"USB(0x{reader.uint(1):x},0x{reader.uint(1):x})"


def _sata(reader: LittleEndianReader) -> str:
    return f"Sata(0x{reader.uint(2):x},0x{reader.uint(2):x},0x{reader.uint(2):x})"


def _scsi(reader: LittleEndianReader) -> str:
    return f"Scsi(0x{reader.uint(2):x},0x{reader.uint(2):x})"


def _nvme(reader: LittleEndianReader) -> str:
    namespace = reader.uint(4)
    return f"NVMe(0x{namespace:x},{'-'.join(f'{byte:02X}' for byte in reader.take(8))})"


def _mac(reader: LittleEndianReader) -> str | None:
    address, unused, kind = reader.take(6), reader.take(26), reader.uint(1)
    return f"MAC({address.hex()},0x{kind:x})" if not any(unused) else None


def _hard_drive(reader: LittleEndianReader) -> str | None:
    number, start, size = reader.uint(4), reader.uint(8), reader.uint(8)
    guid = reader.guid()
    table = (reader.uint(1), reader.uint(1))
    where = f"0x{start:x},0x{size:x}"
    if table == _GPT:
        return f"HD({number},GPT,{guid},{where})"
    if table == _MBR and not any(guid.bytes_le[4:]):
        return f"HD({number},MBR,0x{int.from_bytes(guid.bytes_le[:4], 'little'):08x},{where})"
    return None


def _file(reader: LittleEndianReader) -> str | None:
    name = reader.text16_closed()
    return _escaped(name) if name and not reader.left else None


def _uri(reader: LittleEndianReader) -> str | None:
    try:
        return f"Uri({_escaped(reader.rest().decode('ascii'))})"
    except UnicodeDecodeError:
        return None


def _escaped(name: str) -> str:
    return "".join(
        char if char.isprintable() and char not in "/(),%" else f"%{ord(char):04x}" for char in name
    )


def _vendor(word: str) -> _Writer:
    def write(reader: LittleEndianReader) -> str:
        guid, data = reader.guid(), reader.rest().hex()
        return f"{word}({guid},{data})" if data else f"{word}({guid})"

    return write


def _guid(word: str) -> _Writer:
    return _exactly(16, lambda reader: f"{word}({reader.guid()})")


_Writer = Callable[[LittleEndianReader], str | None]
_NODES: dict[tuple[int, int], _Writer] = {
    (0x01, 0x01): _exactly(2, _pci),
    (0x01, 0x04): _vendor("VenHw"),
    (0x02, 0x01): _exactly(8, _acpi),
    (0x03, 0x02): _exactly(4, _scsi),
    (0x03, 0x05): _exactly(2, _usb),
    (0x03, 0x0A): _vendor("VenMsg"),
    (0x03, 0x0B): _exactly(33, _mac),
    (0x03, 0x12): _exactly(6, _sata),
    (0x03, 0x17): _exactly(12, _nvme),
    (0x03, 0x18): _uri,
    (0x04, 0x01): _exactly(38, _hard_drive),
    (0x04, 0x03): _vendor("VenMedia"),
    (0x04, 0x04): _file,
    (0x04, 0x06): _guid("FvFile"),
    (0x04, 0x07): _guid("Fv"),
}
