# SPDX-License-Identifier: Apache-2.0
"""What Windows measures by tag: SIPA events, one within the other (Windows SDK, wbcl.h).

Windows hashes the tags themselves, so where the digest covers the event it covers all of these.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from e2etrust_core.evidence.errors import EventLogError
from e2etrust_core.evidence.events.tags import MAX_TAGS, Tag, decode_tags

#: wbcl.h: SIPAEVENTTYPE_AGGREGATION and SIPAEVENTTYPE_CONTAINER, with SIPAEVENTTYPE_NONMEASURED
#: (the highest bit) or without: a container of further events.
_AGGREGATION = 0x40010000
_CONTAINER_MASK = 0x7FFF0000
#: Real ones are three deep: a trust boundary, a module, its values.
_DEEPEST = 8

_BY_TYPE = {
    0x0002: (
        *("INFORMATION", "BOOTCOUNTER", "TRANSFER_CONTROL", "APPLICATION_RETURN"),
        *("BITLOCKER_UNLOCK", "EVENTCOUNTER", "COUNTERID", "MORBIT_NOT_CANCELABLE"),
        *("APPLICATION_SVN", "SVN_CHAIN_STATUS", "MORBIT_API_STATUS"),
    ),
    0x0004: ("BOOTDEBUGGING", "BOOT_REVOCATION_LIST"),
    0x0005: (
        *("OSKERNELDEBUG", "CODEINTEGRITY", "TESTSIGNING", "DATAEXECUTIONPREVENTION"),
        *("SAFEMODE", "WINPE", "PHYSICALADDRESSEXTENSION", "OSDEVICE", "SYSTEMROOT"),
        *("HYPERVISOR_LAUNCH_TYPE", "HYPERVISOR_PATH", "HYPERVISOR_IOMMU_POLICY"),
        *("HYPERVISOR_DEBUG", "DRIVER_LOAD_POLICY", "SI_POLICY", "HYPERVISOR_MMIO_NX_POLICY"),
        *("HYPERVISOR_MSR_FILTER_POLICY", "VSM_LAUNCH_TYPE", "OS_REVOCATION_LIST"),
    ),
    0x0006: ("NOAUTHORITY", "AUTHORITYPUBKEY"),
    0x0007: (
        *("FILEPATH", "IMAGESIZE", "HASHALGORITHMID", "AUTHENTICODEHASH", "AUTHORITYISSUER"),
        *("AUTHORITYSERIAL", "IMAGEBASE", "AUTHORITYPUBLISHER", "AUTHORITYSHA1THUMBPRINT"),
        *("IMAGEVALIDATED", "MODULE_SVN"),
    ),
    0x0009: ("ELAM_KEYNAME", "ELAM_CONFIGURATION", "ELAM_POLICY", "ELAM_MEASURED"),
    0x000A: (
        *("VBS_VSM_REQUIRED", "VBS_SECUREBOOT_REQUIRED", "VBS_IOMMU_REQUIRED"),
        *("VBS_MMIO_NX_REQUIRED", "VBS_MSR_FILTERING_REQUIRED", "VBS_MANDATORY_ENFORCEMENT"),
        *("VBS_HVCI_POLICY", "VBS_MICROSOFT_BOOT_CHAIN_REQUIRED"),
    ),
    0x000B: ("KSR_SIGNATURE",),
    0x4001: ("TRUSTBOUNDARY", "ELAM_AGGREGATION", "LOADEDMODULE_AGGREGATION"),
    0x8008: ("QUOTE", "QUOTESIGNATURE", "AIKID", "AIKPUBDIGEST"),
}
_NAMES = {
    (kind << 16) + number: f"SIPAEVENT_{name}"
    for kind, names in _BY_TYPE.items()
    for number, name in enumerate(names, 1)
} | {
    0x00050020: "SIPAEVENT_VSM_IDK_INFO",
    0x00050021: "SIPAEVENT_FLIGHTSIGNING",
    0x00050022: "SIPAEVENT_PAGEFILE_ENCRYPTION_ENABLED",
    0x00050023: "SIPAEVENT_VSM_IDKS_INFO",
    0x00050024: "SIPAEVENT_HIBERNATION_DISABLED",
    0x00050025: "SIPAEVENT_DUMPS_DISABLED",
    0x00050026: "SIPAEVENT_DUMP_ENCRYPTION_ENABLED",
    0x00050027: "SIPAEVENT_DUMP_ENCRYPTION_KEY_DIGEST",
    0x00050028: "SIPAEVENT_LSAISO_CONFIG",
    0xC0010004: "SIPAEVENT_TRUSTPOINT_AGGREGATION",
    0x40010005: "SIPAEVENT_KSR_AGGREGATION",
    0x40010006: "SIPAEVENT_KSR_SIGNED_MEASUREMENT_AGGREGATION",
}


@dataclass(frozen=True, slots=True)
class Measured:
    """A tag by its name; ``data`` is empty for a container, whose events come behind it."""

    name: str
    data: bytes


def decode_measured(data: bytes) -> tuple[Measured, ...]:
    """Decode an EV_EVENT_TAG: its tags, each container followed by what is in it.

    :raises EventLogError: a size that does not fit at any depth, too many or too deep.
    """
    found: list[Measured] = []
    for one in _unfolded(data, _DEEPEST):
        if len(found) >= MAX_TAGS:
            raise EventLogError(f"tagged event of more than {MAX_TAGS} tags within each other")
        found.append(one)
    return tuple(found)


def _unfolded(data: bytes, depth: int) -> Iterator[Measured]:
    if depth == 0:
        raise EventLogError(f"tagged event of more than {_DEEPEST} containers within each other")
    for tag in decode_tags(data):
        within = _is_container(tag)
        yield Measured(_NAMES.get(tag.id, tag.name), b"" if within else tag.data)
        if within and tag.data:
            yield from _unfolded(tag.data, depth - 1)


def _is_container(tag: Tag) -> bool:
    return tag.id & _CONTAINER_MASK == _AGGREGATION
