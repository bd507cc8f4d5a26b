# SPDX-License-Identifier: Apache-2.0
"""Keeps Placement's traits in step with leases.

A change of a host's trust is written at once (:meth:`TraitKeeper.wake`), and all is compared every
few seconds, so that what was missed heals, removed hosts included.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping

from e2etrust_core.trust_names import LEVEL_TRAITS, TRUSTED_TRAIT
from e2etrust_verifier.placement import PlacementError, ProviderError, Traits

LOG = logging.getLogger(__name__)

#: Returns host -> level of the leases that these hosts hold now; all hosts' for None.
Levels = Callable[[Collection[str] | None], dict[str, int]]

_NONE: frozenset[str] = frozenset()


class TraitKeeper:
    """A thread; several workers may each have one, they do not disturb each other.

    :param provider_names: host -> provider, where the two differ.
    :param interval: seconds between two comparisons of all.
    :param level_traits: whether the traits of levels are given besides that of trust.
    """

    def __init__(
        self,
        traits: Traits,
        levels: Levels,
        provider_names: Mapping[str, str],
        interval: float,
        *,
        level_traits: bool = False,
    ) -> None:
        self._traits = traits
        self._levels = levels
        self._names = dict(provider_names)
        self._given = frozenset(self._names.values())
        self._interval = interval
        self._level_traits = level_traits
        #: What providers were last seen to carry of ours, and names that have no provider.
        self._shown: dict[str, frozenset[str]] = {}
        self._missing: set[str] = set()
        self._lock = threading.Lock()
        self._woken: set[str] = set()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._in_step = True
        self._thread = threading.Thread(target=self._run, name="placement-traits", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self, host: str) -> None:
        """Look at *host* now: its trust may have changed.  Returns at once."""
        with self._lock:
            self._woken.add(host)
        self._wake.set()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout=10)

    def reconcile(self) -> None:
        """Give and take our traits wherever they differ from the leases of now.

        :raises PlacementError: placement cannot be asked; one provider's failure stops no other.
        """
        carriers = self._traits.carriers()
        levels = self._levels(None)
        wanted = {
            self._name(host): self._wanted(n) for host, n in levels.items() if self._has(host)
        }
        self._shown = {name: carrier.traits for name, carrier in carriers.items()}
        self._missing = set()
        uuids = {name: carrier.uuid for name, carrier in carriers.items()}
        self._step({name: wanted.get(name, _NONE) for name in {*carriers, *wanted}}, uuids)

    def catch_up(self, hosts: Collection[str]) -> None:
        """Do the same for these *hosts* only.

        :raises PlacementError: placement cannot be asked.
        """
        levels = self._levels(hosts)
        wanted = {
            self._name(host): self._wanted(levels.get(host, 0)) for host in hosts if self._has(host)
        }
        # What another worker took since is given again by the next comparison.  What another
        # worker gave is not known here: so whether there is something to take is always looked.
        for name in [n for n, traits in wanted.items() if not traits]:
            self._shown.pop(name, None)
        self._step(wanted, {})

    def _step(self, wanted: dict[str, frozenset[str]], uuids: dict[str, str]) -> None:
        differ = {
            name: traits
            for name, traits in wanted.items()
            if self._shown.get(name) != traits and name not in self._missing
        }
        unknown = differ.keys() - uuids.keys()
        uuids = uuids | (self._traits.uuids(unknown) if unknown else {})
        # Taking comes first: a stale trait is worse than a late one.
        for name, traits in sorted(differ.items(), key=lambda item: (len(item[1]), item[0])):
            if name in uuids:
                self._write(name, uuids[name], traits)
            else:
                self._missing.add(name)
                LOG.debug("placement has no provider called %s yet", name)

    def _write(self, name: str, uuid: str, traits: frozenset[str]) -> None:
        self._shown.pop(name, None)
        try:
            changed = self._traits.write(uuid, traits)
        except ProviderError as exc:
            LOG.warning("placement: traits of %s are not in step: %s", name, exc)
            return
        self._shown[name] = traits
        if changed:
            LOG.info("placement: %s carries %s", name, ", ".join(sorted(traits)) or "none of ours")

    def _name(self, host: str) -> str:
        return self._names.get(host, host)

    def _has(self, host: str) -> bool:
        """Whether a provider is *host*'s: one that the operator gave to another host is not, even
        where it is called as this host is."""
        return host in self._names or host not in self._given

    def _wanted(self, level: int) -> frozenset[str]:
        """A host carries the trait of its level and of those below: `required` means at least."""
        if not level:
            return _NONE
        more = [LEVEL_TRAITS[n] for n in range(1, level + 1)] if self._level_traits else []
        return frozenset({TRUSTED_TRAIT, *more})

    def _run(self) -> None:
        due = time.monotonic()
        while not self._stopping.is_set():
            with self._lock:
                woken, self._woken = self._woken, set()
            if time.monotonic() >= due:
                due = time.monotonic() + self._interval
                self._try(self.reconcile)
            elif woken:
                self._try(lambda hosts=woken: self.catch_up(hosts))  # type: ignore[misc]
            left = max(0.0, due - time.monotonic())
            # With placement away nothing but the next comparison is of use.
            (self._wake if self._in_step else self._stopping).wait(left)
            # Before the next look at both, or a word that comes in between is lost.
            self._wake.clear()

    def _try(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as exc:
            # Told once, not for each comparison of an outage.
            log = LOG.warning if self._in_step else LOG.debug
            log("placement: traits are not in step: %s", exc)
            if not isinstance(exc, PlacementError):
                LOG.debug("keeping traits failed", exc_info=True)
            self._in_step = False
        else:
            if not self._in_step:
                LOG.info("placement: traits are in step again")
            self._in_step = True
