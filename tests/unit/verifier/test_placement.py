# SPDX-License-Identifier: Apache-2.0
"""The trait keeper against a Placement of the tests' own, with generations and conflicts."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from e2etrust_core.trust_names import TRUSTED_TRAIT
from e2etrust_verifier.placement import PlacementError, TraitKeeper, Traits


class Placement:
    """Answers as placement does at microversion 1.18; ``conflicts`` writes lose a race first."""

    def __init__(self, **traits: set[str]) -> None:
        self.traits = {name: set(of) for name, of in traits.items()}
        self.generation = dict.fromkeys(traits, 0)
        self.known: set[str] = set()
        self.conflicts = 0
        self.down = False

    def request(self, path: str, method: str, **kwargs):
        if self.down:
            return SimpleNamespace(status_code=503, content=b"", json=dict)
        status, body = getattr(self, f"_{method.lower()}")(path, kwargs.get("json"))
        text = json.dumps(body).encode() if body is not None else b""
        return SimpleNamespace(status_code=status, content=text, json=lambda: json.loads(text))

    def _get(self, path, _body):
        if path.endswith("/traits"):
            name = path.split("/")[2].removeprefix("uuid-")
            traits, generation = sorted(self.traits[name]), self.generation[name]
            return 200, {"traits": traits, "resource_provider_generation": generation}
        key, value = path.split("?")[1].split("=")
        if key == "required" and value not in self.known:
            return 400, {}
        found = [
            name
            for name, traits in self.traits.items()
            if (value in traits if key == "required" else name == value)
        ]
        return 200, {"resource_providers": [{"name": n, "uuid": f"uuid-{n}"} for n in found]}

    def _put(self, path, body):
        if path.startswith("/traits/"):
            self.known.add(path.split("/")[2])
            return 201, None
        name = path.split("/")[2].removeprefix("uuid-")
        if self.conflicts:
            self.conflicts -= 1
            self.generation[name] += 1
            self.traits[name].add("CUSTOM_WRITTEN_MEANWHILE")
        if body["resource_provider_generation"] != self.generation[name]:
            return 409, {}
        self.traits[name] = set(body["traits"])
        self.generation[name] += 1
        return 200, {}


def keeper(placement, trusted, **names):
    return TraitKeeper(Traits(placement), lambda: trusted, names, 60)


def test_trait_follows_trust_and_other_traits_stay():
    placement = Placement(host1={"HW_X"}, host2={"HW_Y", TRUSTED_TRAIT}, host3=set())
    keeper(placement, {"host1"}).reconcile()
    assert placement.traits == {"host1": {"HW_X", TRUSTED_TRAIT}, "host2": {"HW_Y"}, "host3": set()}


def test_write_that_lost_a_race_is_done_again_and_keeps_what_the_other_wrote():
    placement = Placement(host1=set())
    placement.conflicts = 2
    keeper(placement, {"host1"}).reconcile()
    assert placement.traits["host1"] == {TRUSTED_TRAIT, "CUSTOM_WRITTEN_MEANWHILE"}


def test_host_that_is_called_otherwise_in_placement():
    placement = Placement(node7=set())
    keeper(placement, {"host1"}, host1="node7").reconcile()
    assert placement.traits["node7"] == {TRUSTED_TRAIT}


def test_host_without_a_provider_stops_no_other():
    placement = Placement(host2=set())
    keeper(placement, {"host1", "host2"}).reconcile()
    assert placement.traits["host2"] == {TRUSTED_TRAIT}


def test_missed_write_heals_when_placement_is_back():
    placement = Placement(host1={TRUSTED_TRAIT})
    kept = keeper(placement, set())
    placement.down = True
    with pytest.raises(PlacementError):
        kept.reconcile()
    placement.down = False
    kept.reconcile()
    assert placement.traits["host1"] == set()
