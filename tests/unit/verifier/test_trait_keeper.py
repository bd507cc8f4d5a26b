# SPDX-License-Identifier: Apache-2.0
"""Whose lease puts a trait on a provider."""

from __future__ import annotations

from e2etrust_core.trust_names import TRUSTED_TRAIT
from e2etrust_verifier.placement import Carrier
from e2etrust_verifier.trait_keeper import TraitKeeper


class Placement:
    """Providers by name, with what they carry of ours."""

    def __init__(self, *names: str) -> None:
        self.carried = dict.fromkeys(names, frozenset())

    def carriers(self):
        return {name: Carrier(name, traits) for name, traits in self.carried.items() if traits}

    def uuids(self, names):
        return {name: name for name in names if name in self.carried}

    def write(self, uuid, wanted):
        self.carried[uuid] = wanted
        return True


def keeper(placement: Placement, leased: dict[str, int]) -> TraitKeeper:
    names = {"compute1": "compute1.example.org"}
    return TraitKeeper(placement, lambda _hosts: dict(leased), names, 60.0)


def test_host_named_like_another_ones_provider_gives_it_no_trait():
    """Whoever enrols under that name would make the other host trusted to Placement."""
    placement = Placement("compute1.example.org", "compute2")
    made = keeper(placement, {"compute1.example.org": 1, "compute2": 1})
    made.reconcile()
    made.catch_up(["compute1.example.org", "compute2"])
    assert placement.carried == {
        "compute1.example.org": frozenset(),
        "compute2": frozenset({TRUSTED_TRAIT}),
    }


def test_host_named_like_another_ones_provider_takes_no_trait_from_it():
    placement = Placement("compute1.example.org")
    made = keeper(placement, {"compute1": 1})
    made.reconcile()
    made.catch_up(["compute1.example.org"])
    assert placement.carried == {"compute1.example.org": frozenset({TRUSTED_TRAIT})}
