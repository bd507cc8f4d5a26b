# SPDX-License-Identifier: Apache-2.0
"""What a policy says of a host's IMA list, as values.

Every entry under the quote must be accepted: a file by an allowlist, by a signature or by a pattern
of paths that are left out (and counted); a measured buffer (key, critical data) by a rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from e2etrust_core.appraisal.ima_allowlist import Allowlist, measured_path
from e2etrust_core.appraisal.patterns import compiled
from e2etrust_core.evidence.ima_signature import Keyring

#: Entries that a policy accepted are known again; beyond so many all are forgotten.
MAX_KNOWN = 131_072


@dataclass(frozen=True, slots=True)
class BufferRule:
    """Measured buffers called ``name``: by SHA-256 of the buffer, as text, or like a pattern of
    the whole text (:mod:`.patterns`); ``anything`` looks at none.  ``required``: there must be one.
    ``verifies``: keys that it accepts check signatures of the files behind them.
    """

    name: str
    digests: frozenset[bytes] = frozenset()
    text: frozenset[str] = frozenset()
    like: tuple[str, ...] = ()
    anything: bool = False
    required: bool = False
    verifies: bool = False


class KnownEntries(dict[bytes, bytes]):
    """Template digest -> digest in the rules' bank, of entries that an allowlist or a signature
    accepted: what the policy decided on content alone, so good for every host of that policy.

    The first is only a name for the second, and of whichever host told it: a list that does not
    come to the quoted PCR by what is known is read by its own words alone.
    """

    def remember(self, accepted: Mapping[bytes, bytes]) -> None:
        if len(self) + len(accepted) > MAX_KNOWN:
            self.clear()
        if len(accepted) <= MAX_KNOWN:
            self.update(accepted)


@dataclass(frozen=True)
class ImaRules:
    """``aggregate_bank``: the bank whose PCRs 0 to 9 boot_aggregate is of (the kernel's ima_hash).

    ``violations``: whether files that were written while they were read (an entry of zeros) are
    accepted, and told.  ``apart``: names of measured buffers that another section judges.
    """

    bank: str
    aggregate_bank: str
    allowed: tuple[Allowlist, ...] = ()
    exclude: tuple[str, ...] = ()
    keyring: Keyring = field(default_factory=Keyring)
    buffers: tuple[BufferRule, ...] = ()
    violations: bool = False
    apart: frozenset[str] = frozenset()
    known: KnownEntries = field(default_factory=KnownEntries, compare=False)

    @cached_property
    def _patterns(self) -> tuple[re.Pattern[bytes], ...]:
        # Patterns are for the whole name: nothing is excluded by how it begins.
        found = [measured_path(one.encode()).decode() for one in self.exclude]
        return tuple(compiled(one) for one in found)

    @cached_property
    def _any_pattern(self) -> re.Pattern[bytes] | None:
        if not self.exclude:
            return None
        return re.compile(b"|".join(one.pattern for one in self._patterns))

    def excluded_by(self, path: bytes) -> int | None:
        """Return the place in ``exclude`` of the first pattern that leaves *path* out."""
        if self._any_pattern is None or self._any_pattern.match(path) is None:
            return None
        return next(place for place, one in enumerate(self._patterns) if one.match(path))

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(sorted({rule.name for rule in self.buffers if rule.required}))
