# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import gc
import os
import weakref
from datetime import UTC, datetime

import pytest

from e2etrust_core.errors import PolicyError
from e2etrust_verifier.trust.errors import PolicyMissing
from e2etrust_verifier.trust.policies import PolicyStore, read_policy

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = "name: {name}\nhosts: ['{hosts}']\npcrs: {{sha256: {{0: ['%s']}}}}\n" % ("00" * 32)


def write(directory, file, name, hosts):
    (directory / file).write_text(POLICY.format(name=name, hosts=hosts))


def test_first_file_that_matches_decides(tmp_path):
    write(tmp_path, "20-rest.yaml", "rest", "*")
    write(tmp_path, "10-gpu.yaml", "gpu", "gpu*")
    store = PolicyStore(tmp_path)
    assert store.policy_for("gpu1", NOW).name == "gpu"
    assert store.policy_for("host1", NOW).name == "rest"


def test_host_names_match_case_by_case(tmp_path):
    write(tmp_path, "a.yaml", "a", "host*")
    with pytest.raises(PolicyMissing):
        PolicyStore(tmp_path).policy_for("HOST1", NOW)


def test_no_policy_at_all_trusts_nobody(tmp_path):
    with pytest.raises(PolicyMissing, match="POLICY_NONE"):
        PolicyStore(tmp_path / "absent").policy_for("host1", NOW)


def test_changed_file_is_read_anew(tmp_path):
    write(tmp_path, "a.yaml", "one", "*")
    store = PolicyStore(tmp_path)
    assert store.policy_for("host1", NOW).name == "one"
    write(tmp_path, "a.yaml", "two", "*")
    os.utime(tmp_path / "a.yaml", ns=(1, 1))
    assert store.policy_for("host1", NOW).name == "two"


def replaced(path, text):
    """Write as tools do that give every file one time: same size, same time, another file."""
    new = path.with_name("new")
    new.write_text(text)
    os.utime(new, ns=(1, 1))
    os.rename(new, path)


@pytest.mark.parametrize("put", [replaced, lambda path, text: path.write_text(text)])
def test_policy_of_the_same_size_and_time_is_another_one_all_the_same(tmp_path, put):
    """A value that is accepted no more is replaced by one of as many digits."""
    path = tmp_path / "a.yaml"
    text = POLICY.format(name="one", hosts="*")
    path.write_text(text)
    os.utime(path, ns=(1, 1))
    store = PolicyStore(tmp_path)
    assert store.policy_for("host1", NOW).pcrs["sha256"][0] == [bytes(32)]
    put(path, text.replace("00" * 32, "11" * 32))
    os.utime(path, ns=(1, 1))
    assert store.policy_for("host1", NOW).pcrs["sha256"][0] == [b"\x11" * 32]


def test_allowlist_of_the_same_size_and_time_is_another_one_all_the_same(tmp_path):
    listed = tmp_path / "files.sha256"
    listed.write_text(f"{'0' * 64}  /bin/a\n")
    os.utime(listed, ns=(1, 1))
    (tmp_path / "a.yaml").write_text(
        POLICY.format(name="one", hosts="*") + "ima: {allow: [files.sha256]}\n"
    )
    store = PolicyStore(tmp_path)
    before = store.policy_for("host1", NOW).fingerprint
    replaced(listed, f"{'1' * 64}  /bin/a\n")
    assert store.policy_for("host1", NOW).fingerprint != before


def test_allowlist_that_no_policy_names_any_more_takes_no_memory(tmp_path):
    store = PolicyStore(tmp_path)
    gone = []
    for release in ("one", "two", "three"):
        name = f"{release}.sha256"
        (tmp_path / name).write_text(f"{'ab' * 32}  /usr/bin/{release}\n")
        (tmp_path / "a.yaml").write_text(
            POLICY.format(name="one", hosts="*") + f"ima: {{allow: [{name}]}}\n"
        )
        (allowed,) = store.policy_for("host1", NOW).ima.allowed
        gone.append(weakref.ref(allowed))
    del allowed
    gc.collect()
    assert [one() is None for one in gone] == [True, True, False]


def test_one_malformed_file_lets_nobody_pass_and_is_named(tmp_path):
    write(tmp_path, "a.yaml", "good", "*")
    store = PolicyStore(tmp_path)
    store.policy_for("host1", NOW)
    (tmp_path / "b.yaml").write_text("name: [")
    for _ in range(2):
        with pytest.raises(PolicyError, match="b.yaml"):
            store.policy_for("host1", NOW)
    (tmp_path / "b.yaml").unlink()
    assert store.policy_for("host1", NOW).name == "good"


def test_unreadable_file_is_a_policy_error(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(PolicyError, match="a.yaml"):
        read_policy(tmp_path / "a.yaml")
