# SPDX-License-Identifier: Apache-2.0
"""What a libvirt domain's XML says about trust: the one reading that hook and agent share.

Pure and light (standard library only): the hook runs this at every start of every domain.
Format: https://libvirt.org/formatdomain.html; the metadata is Nova's
(``nova.virt.libvirt.config.LibvirtConfigGuestMetaNovaInstance``).
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any
from xml.parsers import expat

from e2etrust_core.errors import InputError
from e2etrust_core.trust_names import LOWEST_LEVEL, NOTHING, level_of_spec, level_of_trait

#: A domain's XML is a few KiB; more than this is refused unread.
MAX_DOMAIN_XML = 4 * 1024 * 1024
#: Elements deeper than this are refused: no domain of libvirt's comes near.
MAX_DEPTH = 64

#: There where this host demands trust for every server: left by the agent, looked for by the hook.
EVERY_SERVER_FILE = "/var/lib/e2etrust/every-server"

#: Image properties that say that the image is sealed, should Nova pass them on.
_SEALED_PROPERTIES = frozenset({"e2etrust_sealed", "os_encrypt_format", "os_encrypt_key_id"})
_NOVA = re.compile(r"\{http://openstack\.org/xmlns/libvirt/nova/[0-9.]+\}instance")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class DomainError(InputError):
    """A domain's XML cannot be read, so nothing can be said about what it demands."""

    code = "DOMAIN_UNREADABLE"
    remedy = "Hard reboot the server through Nova, which writes its domain anew."


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of the host; ``reasons`` names each thing that asks for a trusted one.

    ``level`` is the least level of the host's policy (:mod:`.trust_names`), 0 where nothing is
    asked.
    """

    reasons: tuple[str, ...]
    sealed: bool
    level: int = NOTHING

    def __bool__(self) -> bool:
        return bool(self.reasons)


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain as far as trust goes.  ``project``, ``image``, ``flavor`` are None without Nova.

    ``boot_disk`` is that of ``disks`` which it starts from, empty where it is none of them.
    """

    instance: str
    name: str
    made_by_nova: bool
    demand: Demand
    project: str | None
    image: str | None
    flavor: str | None
    disks: tuple[str, ...]
    boot_disk: str
    has_vtpm: bool


@dataclass(frozen=True, slots=True)
class DomainStatus:
    """A running domain as libvirt's QEMU driver keeps it: QEMU's process id and the domain."""

    pid: int
    domain: ET.Element


def parse_domain(text: bytes) -> ET.Element:
    """Parse a domain's XML; document types and entities are refused, and so is what is too deep.

    :raises DomainError: too long, not XML, or not a domain.
    """
    root = _parse(text)
    if root.tag != "domain":
        raise DomainError("the XML is not a domain")
    return root


def parse_status(text: bytes) -> DomainStatus:
    """Parse a status file of libvirt's QEMU driver (``domstatus`` around a domain).

    :raises DomainError: too long, not XML, or not a status.
    """
    root = _parse(text)
    domain, pid = root.find("domain"), root.get("pid") or ""
    if root.tag != "domstatus" or domain is None or not re.fullmatch(r"[0-9]{1,10}", pid):
        raise DomainError("the XML is not the status of a domain")
    return DomainStatus(int(pid), domain)


def _parse(text: bytes) -> ET.Element:
    if len(text) > MAX_DOMAIN_XML:
        raise DomainError(f"domain XML of {len(text)} bytes, at most {MAX_DOMAIN_XML} are read")
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate(namespace_separator="}")
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise DomainError(f"domain XML is nested more than {MAX_DEPTH} deep")
        builder.start(_clark(tag), {_clark(k): v for k, v in attributes.items()})

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_clark(tag))

    def refuse_doctype(*_: Any) -> None:
        raise DomainError("domain XML has a document type declaration")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse_doctype
    parser.buffer_text = True
    try:
        parser.Parse(text, True)
        root = builder.close()
    except (expat.ExpatError, ValueError, LookupError) as exc:
        raise DomainError(f"domain XML is malformed: {exc}") from None
    return root


def read_domain(root: ET.Element, every_server: bool = False) -> Domain:
    """Return what a parsed domain says about trust.

    :param every_server: this host demands trust for whatever runs on it, Nova's or not.
    :raises DomainError: no UUID or name, or Nova's metadata is not what Nova writes.
    """
    instance = (root.findtext("uuid") or "").strip().lower()
    name = (root.findtext("name") or "").strip()
    if not _UUID.fullmatch(instance) or not name:
        raise DomainError("the domain has no UUID or no name")
    nova = _nova_metadata(root)
    demand = Demand((), False) if nova is None else _demand(nova)
    return Domain(
        instance=instance,
        name=name,
        made_by_nova=nova is not None,
        demand=_and_of_host(demand) if every_server else demand,
        project=None if nova is None else _uuid_attribute(nova, "owner/project"),
        image=None if nova is None else _uuid_attribute(nova, "image"),
        flavor=None if nova is None else _flavor(nova).get("name"),
        disks=_file_disks(root),
        boot_disk=_boot_disk(root),
        has_vtpm=root.find("devices/tpm/backend[@type='emulator']") is not None,
    )


def domain_demand(text: bytes) -> Domain:
    """Parse and read a domain's XML in one go.

    :raises DomainError: see :func:`parse_domain` and :func:`read_domain`.
    """
    return read_domain(parse_domain(text))


def _clark(tag: str) -> str:
    """expat's ``uri}name`` to ElementTree's ``{uri}name``."""
    return "{" + tag if "}" in tag else tag


def _nova_metadata(root: ET.Element) -> ET.Element | None:
    metadata = root.findall("metadata")
    found = [child for one in metadata for child in one if _NOVA.fullmatch(str(child.tag))]
    if len(found) > 1:
        raise DomainError("the domain has Nova's metadata more than once")
    return found[0] if found else None


def _children(nova: ET.Element, path: str) -> list[ET.Element]:
    namespace = str(nova.tag)[: str(nova.tag).index("}") + 1]
    return nova.findall("/".join(namespace + step for step in path.split("/")))


def _flavor(nova: ET.Element) -> ET.Element:
    found = _children(nova, "flavor")
    if len(found) != 1:
        raise DomainError("Nova's metadata names no flavor, or more than one")
    return found[0]


def _and_of_host(demand: Demand) -> Demand:
    reasons = (*demand.reasons, "host [agent] demand=always")
    return Demand(reasons, demand.sealed, max(demand.level, LOWEST_LEVEL))


def _demand(nova: ET.Element) -> Demand:
    _flavor(nova)
    if len(_children(nova, "flavor/extraSpecs")) != 1:
        raise DomainError("Nova's metadata does not say what the flavor demands")
    reasons: list[str] = []
    levels = [NOTHING]
    for spec in _children(nova, "flavor/extraSpecs/extraSpec"):
        key, value = spec.get("name") or "", (spec.text or "").strip()
        if level := level_of_spec(key, value):
            reasons.append(f"flavor {key}={value}")
            levels.append(level)
    sealed = False
    for item in _children(nova, "image/properties/property"):
        key, value = item.get("name") or "", (item.text or "").strip()
        if key in _SEALED_PROPERTIES and value:
            sealed = True
            reasons.append(f"image {key}")
            levels.append(LOWEST_LEVEL)
        if key == "traits_required":
            # Nova writes the list as Python shows one.
            asked = [name for name in re.findall(r"[A-Z0-9_]+", value) if level_of_trait(name)]
            reasons += [f"image trait:{name}=required" for name in asked]
            levels += [level_of_trait(name) for name in asked]
    return Demand(tuple(reasons), sealed, max(levels))


def _uuid_attribute(nova: ET.Element, path: str) -> str | None:
    found = _children(nova, path)
    return (found[0].get("uuid") or None) if found else None


def _boot_disk(root: ET.Element) -> str:
    """Path of the file disk that comes first in the boot order; empty where another device does.

    Nova gives an order to the disk of a rescue alone; else the first hard disk is started from.
    """
    ordered = {
        boot.get("order") or "": device
        for device in root.findall("devices/*")
        for boot in device.findall("boot")
    }
    if not all(re.fullmatch(r"[0-9]{1,9}", order) for order in ordered):
        return ""
    if ordered:
        first = ordered[min(ordered, key=int)]
    else:
        system = root.find("os/boot")
        disks = [d for d in root.findall("devices/disk") if d.get("device", "disk") == "disk"]
        if not disks or (system is not None and system.get("dev") != "hd"):
            return ""
        first = disks[0]
    source = first.find("source")
    return "" if source is None or first.tag != "disk" else source.get("file") or ""


def _file_disks(root: ET.Element) -> tuple[str, ...]:
    """Paths of the writable or bootable file disks, in the domain's order."""
    return tuple(
        source.get("file") or ""
        for disk in root.findall("devices/disk[@type='file']")
        if disk.get("device", "disk") == "disk"
        for source in disk.findall("source")
        if source.get("file")
    )
