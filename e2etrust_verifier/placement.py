# SPDX-License-Identifier: Apache-2.0
"""Trust shown as a Placement trait, for operators who prefer ``trait:`` to the filter.

Only our own trait is touched.  A change is written at once (:meth:`TraitKeeper.wake`), and all
is compared every few seconds, so that a missed write heals.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

import tenacity
from keystoneauth1 import adapter, loading
from keystoneauth1 import exceptions as ks_exc
from oslo_config import cfg

from e2etrust_core.errors import E2ETrustError
from e2etrust_core.trust_names import TRUSTED_TRAIT

LOG = logging.getLogger(__name__)

# 1.18: resource_providers?required=; traits came in 1.6.
_HEADERS = {"OpenStack-API-Version": "placement 1.18"}


class PlacementError(E2ETrustError):
    """Placement refused, or cannot be reached."""

    code = "PLACEMENT_FAILED"


class _Conflict(PlacementError):
    """Somebody else changed the provider meanwhile."""


def placement_adapter(conf: cfg.ConfigOpts) -> adapter.Adapter | None:
    """Return the adapter that [placement] describes, None where it names no account."""
    auth = loading.load_auth_from_conf_options(conf, "placement")
    if auth is None:
        return None
    session = loading.load_session_from_conf_options(conf, "placement", auth=auth)
    return loading.load_adapter_from_conf_options(conf, "placement", session=session, auth=auth)


class Traits:
    """Our trait on resource providers, by the providers' names."""

    def __init__(self, http: adapter.Adapter) -> None:
        self._http = http
        self._created = False

    def carriers(self) -> dict[str, str]:
        """Return name -> UUID of the providers that carry the trait."""
        self._create()
        return self._providers(f"required={TRUSTED_TRAIT}")

    def set(self, name: str, wanted: bool) -> None:
        """Give the provider called *name* the trait, or take it.  No provider: nothing to do.

        :raises PlacementError: it could not be done.
        """
        uuid = self._providers(f"name={name}").get(name)
        if uuid is None:
            LOG.info("placement has no provider called %s yet", name)
            return
        self._create()
        self._write(uuid, wanted)
        LOG.info("placement: %s %s %s", name, "carries" if wanted else "lost", TRUSTED_TRAIT)

    @tenacity.retry(
        retry=tenacity.retry_if_exception_type(_Conflict),
        stop=tenacity.stop_after_attempt(8),
        wait=tenacity.wait_random_exponential(multiplier=0.05, max=1.0),
        reraise=True,
    )
    def _write(self, uuid: str, wanted: bool) -> None:
        path = f"/resource_providers/{uuid}/traits"
        now = self._ask("GET", path)
        traits = set(now["traits"])
        if (TRUSTED_TRAIT in traits) == wanted:
            return
        changed = traits | {TRUSTED_TRAIT} if wanted else traits - {TRUSTED_TRAIT}
        body = {
            "resource_provider_generation": now["resource_provider_generation"],
            "traits": sorted(changed),
        }
        self._ask("PUT", path, json=body)

    def _create(self) -> None:
        if not self._created:
            self._ask("PUT", f"/traits/{TRUSTED_TRAIT}")
            self._created = True

    def _providers(self, query: str) -> dict[str, str]:
        found = self._ask("GET", f"/resource_providers?{query}")["resource_providers"]
        return {p["name"]: p["uuid"] for p in found}

    def _ask(self, method: str, path: str, **kwargs: object) -> dict:
        try:
            answer = self._http.request(path, method, raise_exc=False, headers=_HEADERS, **kwargs)
        except ks_exc.ClientException as exc:
            raise PlacementError(f"placement cannot be reached: {exc}") from exc
        if answer.status_code == 409:
            raise _Conflict(f"{method} {path}: conflict")
        if answer.status_code >= 400:
            raise PlacementError(f"{method} {path}: HTTP {answer.status_code}")
        return answer.json() if answer.content else {}


class TraitKeeper:
    """A thread that keeps the traits of all hosts in step with their leases.

    :param trusted: returns the names of the hosts that are trusted now.
    :param provider_names: host -> provider, where the two differ.
    :param interval: seconds between two comparisons.
    """

    def __init__(
        self,
        traits: Traits,
        trusted: Callable[[], set[str]],
        provider_names: Mapping[str, str],
        interval: float,
    ) -> None:
        self._traits = traits
        self._trusted = trusted
        self._names = dict(provider_names)
        self._interval = interval
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="placement-traits", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        """Compare now: trust has changed.  Returns at once."""
        self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout=10)

    def reconcile(self) -> None:
        """Give and take the trait wherever it differs from what is trusted now.

        Taking comes first: a stale trait is worse than a late one.

        :raises PlacementError: placement cannot be asked; one host's failure stops no other.
        """
        carriers = set(self._traits.carriers())
        wanted = {self._names.get(host, host) for host in self._trusted()}
        changes = [(name, False) for name in sorted(carriers - wanted)]
        changes += [(name, True) for name in sorted(wanted - carriers)]
        for name, carry in changes:
            try:
                self._traits.set(name, carry)
            except PlacementError as exc:
                LOG.warning("placement: trait of %s is not in step: %s", name, exc)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                self.reconcile()
            except Exception as exc:
                LOG.warning("placement: traits are not in step: %s", exc)
            self._wake.wait(self._interval)
