# SPDX-License-Identifier: Apache-2.0
"""What a policy says of a host's device-mapper tables, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from e2etrust_core.appraisal.patterns import is_like
from e2etrust_core.evidence.device_mapper import DmDevice, DmTarget

_VERITY = "verity"
_INTACT = "V"


@dataclass(frozen=True, slots=True)
class DmRule:
    """Devices by patterns of ``name`` and ``uuid``, and what their tables may be.

    ``targets``: types that may be in one; ``root_digests``: of dm-verity, then every target is one;
    ``attributes``: what every target must tell of itself, by the kernel's keys; ``anything``: no
    table is looked at.  ``required``: such a device must have become active, and with ``now`` must
    still be, as far as the log tells.
    """

    name: str = "*"
    uuid: str = "*"
    targets: frozenset[str] = frozenset()
    root_digests: frozenset[bytes] = frozenset()
    attributes: Mapping[str, str] = field(default_factory=dict)
    anything: bool = False
    required: bool = False
    now: bool = False

    def is_of(self, device: DmDevice) -> bool:
        return is_like(device.name, self.name) and is_like(device.uuid, self.uuid)

    def accepts(self, target: DmTarget) -> bool:
        return self.anything or (
            target.type in self.targets
            and self._verified(target)
            and self.attributes.items() <= target.attributes.items()
        )

    def _verified(self, target: DmTarget) -> bool:
        if not self.root_digests:
            return True
        told = target.attributes
        # hash_failed is C once a block was not what its hash says.
        return (
            target.type == _VERITY
            and told.get("hash_failed") == _INTACT
            and told.get("root_digest", "") in {one.hex() for one in self.root_digests}
        )
