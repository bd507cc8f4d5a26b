# SPDX-License-Identifier: Apache-2.0
"""The ways to a TPM: TCTI strings, in the words of tpm2-tss, read before anything is opened.

======================================  ==========================================================
``device:/dev/tpmrm0``                  the kernel's resource manager; /dev/tpm0 only without one
``tabrmd:bus_name=NAME,bus_type=TYPE``  the daemon tpm2-abrmd; both settings may be left out
``swtpm:path=SOCKET``                   swtpm on a Unix socket, its control socket at SOCKET.ctrl
``swtpm:host=HOST,port=PORT``           swtpm on TCP, its control port at PORT + 1
``mssim:host=HOST,port=PORT``           the reference simulator, its platform port at PORT + 1
======================================  ==========================================================
"""

from __future__ import annotations

from dataclasses import dataclass

from e2etrust_core.tpm.errors import TctiUnknown

_SETTINGS = {
    "swtpm": {"host", "port", "path"},
    "mssim": {"host", "port", "path"},
    "tabrmd": {"bus_name", "bus_type"},
}
KINDS = ("device", *_SETTINGS)


@dataclass(frozen=True, slots=True)
class Tcti:
    """``kind`` is one of :data:`KINDS`, ``conf`` what tpm2-tss's module of it reads."""

    kind: str
    conf: str


def parse_tcti(text: str) -> Tcti:
    """Return what *text* says.

    :raises TctiUnknown: it is no way to a TPM; the reason says what is wrong with it.
    """
    kind, _, conf = text.partition(":")
    if kind not in KINDS:
        raise TctiUnknown(f"{text!r} does not begin with one of {', '.join(KINDS)} and a colon")
    if kind == "device":
        if not conf.startswith("/"):
            raise TctiUnknown(f"{text!r} names no device file, such as /dev/tpmrm0")
        return Tcti(kind, conf)
    found = _settings(text, kind, conf)
    port = found.get("port")
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 0xFFFF):
        raise TctiUnknown(f"{text!r} has a port that is none")
    if "path" in found and len(found) > 1:
        raise TctiUnknown(f"{text!r} names both a socket's path and a host or port")
    return Tcti(kind, conf)


def _settings(text: str, kind: str, conf: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for word in conf.split(",") if conf else []:
        name, is_set, value = word.partition("=")
        if name not in _SETTINGS[kind] or not is_set or not value:
            known = ", ".join(sorted(_SETTINGS[kind]))
            raise TctiUnknown(f"{text!r}: {kind} takes {known}, each once as NAME=VALUE")
        if name in found:
            raise TctiUnknown(f"{text!r} sets {name} twice")
        found[name] = value
    return found
