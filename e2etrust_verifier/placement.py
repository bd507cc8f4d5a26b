# SPDX-License-Identifier: Apache-2.0
"""Our traits in Placement, for operators who prefer ``trait:`` to the filter.

Only our own traits are touched, by their names, and only under the generation that was read: what
somebody else writes to the same provider meanwhile stays.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import quote

import tenacity
from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ks_exc

from e2etrust_core.errors import E2ETrustError
from e2etrust_core.trust_names import LEVEL_TRAITS, TRUSTED_TRAIT

LOG = logging.getLogger(__name__)

#: All traits that we ever give, and take.
OWN_TRAITS = frozenset({TRUSTED_TRAIT, *LEVEL_TRAITS.values()})

#: More providers than this are not asked for by name, one request each, but all at once.
_BY_NAME = 16
# 1.18: resource_providers?required=; traits came in 1.6.
_HEADERS = {"OpenStack-API-Version": "placement 1.18"}


class PlacementError(E2ETrustError):
    """Placement refused, or cannot be reached."""

    code = "PLACEMENT_FAILED"
    remedy = "check [placement] in verifier.conf, and that placement answers"


class ProviderError(PlacementError):
    """One resource provider could not be written; others may be."""

    code = "PLACEMENT_PROVIDER"
    remedy = "nothing: it is tried again; see who else writes to that resource provider"


class _Conflict(ProviderError):
    """Somebody else changed the provider meanwhile."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """A resource provider, and which of our traits it carries."""

    uuid: str
    traits: frozenset[str]


class Traits:
    """Our traits on resource providers, by the providers' names.

    Every method raises :class:`PlacementError` where Placement cannot be asked.
    """

    def __init__(self, http: adapter.Adapter) -> None:
        self._http = http
        self._created: set[str] = set()

    def carriers(self) -> dict[str, Carrier]:
        """Return the providers that carry any of our traits, by name.

        One request says which of them are carried at all, and one for each of those by whom.
        """
        found: dict[str, Carrier] = {}
        for trait in self._known(carried=True):
            for name, uuid in self._providers(f"?required={trait}").items():
                before = found[name].traits if name in found else frozenset()
                found[name] = Carrier(uuid, before | {trait})
        return found

    def uuids(self, names: Collection[str]) -> dict[str, str]:
        """Return name -> UUID of the providers with these *names*; some may not exist (yet)."""
        if len(names) > _BY_NAME:
            return {n: uuid for n, uuid in self._providers("").items() if n in set(names)}
        found: dict[str, str] = {}
        for name in names:
            found |= self._providers(f"?name={quote(name, safe='')}")
        return found

    def write(self, uuid: str, wanted: frozenset[str]) -> bool:
        """Have the provider carry *wanted* of our traits and no other of ours.

        :return: whether there was anything to do.
        :raises ProviderError: it is gone, or others write to it without end.
        """
        for trait in sorted(wanted - self._created):
            self._ask("PUT", f"/traits/{trait}")
            self._created.add(trait)
        return self._write(uuid, wanted)

    def forget(self) -> list[str]:
        """Delete the traits themselves and return their names.

        :raises PlacementError: a provider carries one (again).
        """
        known = self._known(carried=False)
        try:
            for trait in known:
                self._ask("DELETE", f"/traits/{trait}")
        except _Conflict:
            raise PlacementError(
                f"a resource provider was given {trait} meanwhile",
                code="PLACEMENT_IN_USE",
                remedy="stop every e2etrust-verifier, then clean again",
            ) from None
        self._created.clear()
        return known

    @tenacity.retry(
        retry=tenacity.retry_if_exception_type(_Conflict),
        stop=tenacity.stop_after_attempt(8),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=1.0),
        reraise=True,
    )
    def _write(self, uuid: str, wanted: frozenset[str]) -> bool:
        path = f"/resource_providers/{uuid}/traits"
        now = self._ask("GET", path)
        traits = set(now["traits"])
        changed = (traits - OWN_TRAITS) | wanted
        if changed == traits:
            return False
        body = {
            "resource_provider_generation": now["resource_provider_generation"],
            "traits": sorted(changed),
        }
        self._ask("PUT", path, json=body)
        return True

    def _known(self, *, carried: bool) -> list[str]:
        """Return those of our traits that Placement knows, or that any provider carries."""
        names = ",".join(sorted(OWN_TRAITS))
        only = "&associated=true" if carried else ""
        return list(self._ask("GET", f"/traits?name=in:{names}{only}")["traits"])

    def _providers(self, query: str) -> dict[str, str]:
        found = self._ask("GET", f"/resource_providers{query}")["resource_providers"]
        return {p["name"]: p["uuid"] for p in found}

    def _ask(self, method: str, path: str, **kwargs: object) -> dict:
        try:
            answer = self._http.request(path, method, raise_exc=False, headers=_HEADERS, **kwargs)
        except ks_exc.ClientException as exc:
            raise PlacementError(f"placement cannot be reached: {exc}") from exc
        if answer.status_code == 409:
            raise _Conflict(f"{method} {path}: conflict")
        if answer.status_code == 404:
            raise ProviderError(f"{method} {path}: not there any more")
        if answer.status_code == 400:
            # Perhaps somebody deleted a trait that was there: it is made again next time.
            self._created.clear()
        if answer.status_code >= 400:
            raise PlacementError(f"{method} {path}: HTTP {answer.status_code}")
        return answer.json() if answer.content else {}
