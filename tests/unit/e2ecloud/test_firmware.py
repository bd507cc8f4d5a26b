# SPDX-License-Identifier: Apache-2.0
"""What the hosts' measured boot covers."""

from e2ecloud import eventlog, firmware


def pcrs(files, tree=b""):
    return eventlog.replay(firmware.events(lambda path: files.get(path, b""), tree), "sha256")


def test_an_altered_hook_changes_pcr_9():
    assert pcrs({firmware.HOOK: b"hook"})[9] != pcrs({firmware.HOOK: b"other"})[9]


def test_a_missing_hook_changes_pcr_9():
    assert pcrs({firmware.HOOK: b"hook"})[9] != pcrs({})[9]


def test_another_qemu_changes_pcr_8_and_not_pcr_9():
    before, after = pcrs({}), pcrs({"/usr/bin/qemu-system-x86_64": b"other"})
    assert before[8] != after[8]
    assert before[9] == after[9]


def test_measurements_are_the_same_at_every_boot():
    assert pcrs({firmware.HOOK: b"hook"}, b"tree") == pcrs({firmware.HOOK: b"hook"}, b"tree")


def test_listing_of_software_sees_content_and_names_and_ignores_compiled_files(tmp_path):
    (tmp_path / "package").mkdir()
    source = tmp_path / "package/module.py"
    source.write_text("one")
    first = firmware.tree_listing(tmp_path)
    (tmp_path / "package/module.cpython-311.pyc").write_bytes(b"compiled")
    assert firmware.tree_listing(tmp_path) == first
    source.write_text("two")
    second = firmware.tree_listing(tmp_path)
    assert second != first
    source.rename(tmp_path / "package/renamed.py")
    assert firmware.tree_listing(tmp_path) not in (first, second)
