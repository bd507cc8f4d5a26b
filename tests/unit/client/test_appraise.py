# SPDX-License-Identifier: Apache-2.0
"""``e2etrust-appraise`` on captured evidence, and on evidence that somebody altered."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from ssl import PEM_cert_to_DER_cert

import pytest
import yaml

from e2etrust_client.appraise.checks import Question, _check_log, appraise_recorded
from e2etrust_client.appraise.folder import RecordedQuote, read_folder
from e2etrust_client.appraise.main import main
from e2etrust_core.appraisal.errors import EventLogMismatch
from e2etrust_core.appraisal.event_proposal import propose_rules
from e2etrust_core.appraisal.policy_events import events_document
from e2etrust_core.evidence.event_log import parse_event_log
from e2etrust_core.evidence.replay import replay
from tests.vectors import vectors

NONCE = "00112233445566778899aabbccddeeff00112233"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the capture that may be altered."""
    copied = tmp_path / "evidence"
    shutil.copytree(vectors("ovmf-plain"), copied)
    for path in (copied, *copied.iterdir()):
        path.chmod(0o700)
    return copied


def told(capsys, *arguments: str) -> tuple[int, dict]:
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def failed(document: dict) -> set[tuple[str, str, str]]:
    return {
        (row["evidence"], row["check"], row["code"])
        for row in document["checks"]
        if row["outcome"] != "pass" and row["code"] != "NOT_REACHED"
    }


def altered(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(bytes(data))


def policy(folder: Path, value: str | None = None) -> Path:
    log = parse_event_log((folder / "bios_log").read_bytes())
    good = replay(log, "sha256")
    lines = [f"    {i}: ['{value or good[i].hex()}']" for i in (0, 7)]
    path = folder / "policy.yaml"
    path.write_text("name: p\nhosts: ['*']\npcrs:\n  sha256:\n" + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("name", ["ovmf-plain", "ovmf-sm3"])
def test_captured_evidence_hangs_together(name, capsys):
    code, document = told(capsys, str(vectors(name)), "--nonce", NONCE)
    assert (code, failed(document)) == (0, set())
    assert {"event-log", "ima-list"} <= {row["check"] for row in document["checks"]}


def test_bank_that_the_log_is_silent_of_is_told():
    evidence = read_folder(vectors("ovmf-sm3"))
    assert evidence.event_log is not None
    halved = replace(evidence, event_log=replace(evidence.event_log, banks=("sha256",)))
    rows = appraise_recorded(halved, Question(), datetime.now(UTC)).rows
    told_of = {row.where: row.result.reason for row in rows if row.result.check == "event-log"}
    assert told_of["q_rsa"].endswith("values; it has no digests of sm3_256")
    assert "no PCR bank in common" in told_of["q_sm2"]


def test_list_that_grew_after_the_quotes_is_told_with_how_much_of_it_each_covers(capsys):
    _, document = told(capsys, str(vectors("ovmf-plain")))
    rows = {row["evidence"]: row for row in document["checks"] if row["check"] == "ima-list"}
    for quote, count in {"q_ecc": 57, "q_rsa": 67, "q_final": 70}.items():
        assert rows[quote]["reason"].endswith(f"with {count} of its 72 entries")


def test_what_was_not_asked_is_said(capsys):
    assert main([str(vectors("ovmf-plain"))]) == 0
    out = capsys.readouterr().out
    assert "no policy was given" in out
    assert "no nonce was given" in out
    assert "no EK authorities" in out


def test_quote_over_another_nonce_is_not_trusted(folder, capsys):
    code, document = told(capsys, str(folder), "--nonce", "00" * 20)
    assert code == 1
    assert ("q_ecc", "quote-nonce", "NONCE_MISMATCH") in failed(document)


def test_cve_2023_3674_altered_signature_is_not_trusted(folder, capsys):
    altered(folder / "q_ecc.sig", 11)
    code, document = told(capsys, str(folder), "--nonce", NONCE)
    assert (code, failed(document)) == (1, {("q_ecc", "quote-signature", "SIGNATURE_WRONG")})


@pytest.mark.parametrize(
    ("name", "other"), [("ak_ecc.name", "ak_rsa.name"), ("ak_ecc.pem", "ak_rsa.pem")]
)
def test_cve_2021_3406_key_that_is_told_in_two_ways_is_one_key(folder, capsys, name, other):
    (folder / name).write_bytes((folder / other).read_bytes())
    code, document = told(capsys, str(folder), "--nonce", NONCE)
    assert (code, {row[2] for row in failed(document)}) == (1, {"AK_REFUSED"})
    assert {row[0] for row in failed(document)} == {"q_ecc", "q_final"}
    (folder / name).write_bytes(b"neither name nor key")
    assert told(capsys, str(folder), "--nonce", NONCE)[0] == 1


def test_cve_2021_3406_file_that_tells_two_keys_tells_another(folder, capsys):
    with (folder / "ak_ecc.pem").open("ab") as file:
        file.write((folder / "ak_rsa.pem").read_bytes())
    code, document = told(capsys, str(folder), "--nonce", NONCE)
    assert (code, {row[2] for row in failed(document)}) == (1, {"AK_REFUSED"})


def test_secure_boot_that_was_not_measured_is_not_told_as_trusted(folder, capsys):
    """Without a policy too: the digest of the variable is not of what the log says of it."""
    path = folder / "bios_log"
    name = "SecureBoot".encode("utf-16-le")
    log = path.read_bytes()
    assert log.count(name + b"\0") == 1
    path.write_bytes(log.replace(name + b"\0", name + b"\1"))
    code, document = told(capsys, str(folder), "--nonce", NONCE)
    assert code == 1
    assert {row[1:] for row in failed(document)} == {("event-log", "EVENT_NOT_COVERED")}
    assert any("VARIABLE_DRIVER_CONFIG" in row["where"] for row in document["checks"])


def test_altered_pcr_value_is_not_trusted(folder, capsys):
    altered(folder / "q_rsa.pcrs", 0x90)
    code, document = told(capsys, str(folder), "--nonce", NONCE)
    assert (code, failed(document)) == (1, {("q_rsa", "quote-digest", "PCR_DIGEST_MISMATCH")})


def test_event_appended_to_the_log_is_not_trusted(folder, capsys):
    log = folder / "bios_log"
    event = (7).to_bytes(4, "little") + (5).to_bytes(4, "little") + (1).to_bytes(4, "little")
    event += (0x0B).to_bytes(2, "little") + bytes(32) + bytes(4)
    log.write_bytes(log.read_bytes() + event)
    code, document = told(capsys, str(folder), "--nonce", NONCE)
    assert code == 1
    assert ("q_ecc", "event-log", "EVENT_LOG_MISMATCH") in failed(document)


def test_log_that_is_silent_of_a_pcr_which_the_policy_names_is_not_trusted(folder, capsys):
    """Found by attack: PCRs that the log has no events of were not compared."""
    log = folder / "bios_log"
    tagged, no_action = (bytes([9, 0, 0, 0, kind, 0, 0, 0, 1]) for kind in (6, 3))
    data = log.read_bytes()
    assert data.count(tagged) == 2
    log.write_bytes(data.replace(tagged, no_action))
    asked = policy(folder)
    values = asked.read_text()
    for pcrs, due in (("[0, 7]", 0), ("[0, 7, 9]", 1)):
        asked.write_text(values + f"event_log_pcrs: {pcrs}\n")
        code, document = told(capsys, str(folder), "--policy", str(asked))
        assert code == due
    assert ("q_ecc", "event-log", "EVENT_LOG_MISMATCH") in failed(document)


def test_ima_entry_left_out_is_not_trusted(folder, capsys):
    home = folder / "ima_bin"
    data = home.read_bytes()
    second = data.index((10).to_bytes(4, "little"), 8)
    home.write_bytes(data[second:])
    code, document = told(capsys, str(folder), "--nonce", NONCE)
    assert code == 1
    assert ("q_final", "ima-list", "IMA_LIST_MISMATCH") in failed(document)


@pytest.mark.parametrize("word", [b"boot_aggregate", b"/bin/busybox"])
def test_altered_ima_entry_is_not_trusted_and_no_unreadable_list(folder, capsys, word):
    home = folder / "ima_bin"
    altered(home, home.read_bytes().index(word))
    code, document = told(capsys, str(folder), "--nonce", NONCE)
    assert code == 1
    assert ("q_final", "ima-list", "IMA_LIST_MALFORMED") in failed(document)
    code, document = told(capsys, str(folder), "--policy", str(ima_policy(folder)))
    assert code == 1
    assert ("q_final", "ima-list", "IMA_LIST_MISMATCH") in failed(document)


@pytest.mark.parametrize(("at", "code"), [(0, "QUOTE_MAGIC"), (5, "QUOTE_TYPE")])
def test_what_is_signed_and_no_quote_is_not_trusted(folder, capsys, at, code):
    altered(folder / "q_ecc.msg", at)
    answer, document = told(capsys, str(folder), "--nonce", NONCE)
    assert (answer, failed(document)) == (1, {("q_ecc", "quote-structure", code)})


def test_policy_that_the_host_meets_and_one_that_it_does_not(folder, capsys):
    assert told(capsys, str(folder), "--policy", str(policy(folder)))[0] == 0
    code, document = told(capsys, str(folder), "--policy", str(policy(folder, "00" * 32)))
    assert code == 1
    assert ("q_ecc", "pcr-policy", "PCR_MISMATCH") in failed(document)


def test_host_that_is_late_for_the_end_of_a_window_is_told_so(folder, capsys):
    path = policy(folder)
    good = yaml.safe_load(path.read_text())
    values = good["pcrs"]["sha256"]
    for accepted in values.values():
        accepted[0] = {"accept": accepted[0], "until": "2120-01-01T00:00:00Z"}
        accepted.append("00" * 32)
    path.write_text(yaml.safe_dump(good))
    assert told(capsys, str(folder), "--policy", str(path))[0] == 0
    late = ("--policy", str(path), "--at", "2120-01-02T00:00:00Z")
    code, document = told(capsys, str(folder), *late)
    assert (code, {row[1:] for row in failed(document)}) == (1, {("pcr-policy", "WINDOW_CLOSED")})


def test_launch_measurement_that_was_not_launched_is_not_trusted(folder, capsys):
    measurement = folder / "measurement"
    measurement.write_bytes(b"another machine")
    code, document = told(capsys, str(folder), "--launch-measurement", str(measurement))
    assert code == 1
    assert ("q_ecc", "event-log", "EVENT_LOG_MISMATCH") in failed(document)


def test_launch_measurement_is_looked_for_and_not_left_out(folder, capsys):
    """Found by attack: without an event log, or without PCR 0 quoted, nobody looked for it."""
    (folder / "bios_log").unlink()
    measurement = folder / "launch"
    measurement.write_bytes(b"what was launched")
    code, document = told(capsys, str(folder), "--launch-measurement", str(measurement))
    assert code == 1
    assert ("q_ecc", "event-log", "EVENT_LOG_ABSENT") in failed(document)


def test_launch_measurement_needs_pcr_0_under_the_quote():
    evidence = read_folder(vectors("ovmf-plain"))
    (recorded,) = (one for one in evidence.quotes if one.name == "q_ecc")
    assert evidence.event_log is not None
    values = dict(recorded.quote.pcrs["sha256"])
    del values[0]
    narrow = RecordedQuote("q", replace(recorded.quote, pcrs={"sha256": values}))
    _check_log(narrow, evidence.event_log, Question())
    with pytest.raises(EventLogMismatch, match="PCR 0"):
        _check_log(narrow, evidence.event_log, Question(launch_measurement=b"launched"))


def test_tpm_identity_needs_the_certificate_of_the_very_ek(capsys):
    home = vectors("ovmf-plain")
    authorities = [home.parent / "issuercert.pem", home.parent / "swtpm-localca-rootca-cert.pem"]
    asked = [word for path in authorities for word in ("--ek-ca", str(path))]
    code, document = told(capsys, str(home), *asked)
    rows = {row["evidence"]: row for row in document["checks"] if row["check"] == "tpm-identity"}
    assert rows["q_rsa"]["outcome"] == "pass"
    # swtpm's ECC certificate is that of its P-384 EK; these quotes are under the P-256 one.
    assert (code, rows["q_ecc"]["code"]) == (1, "EK_CERT_OTHER_KEY")


def test_only_key_of_a_folder_needs_no_name_of_its_own(folder, capsys):
    home = vectors("ovmf-plain").parent
    (folder / "ek_rsa.pub").rename(folder / "ek.pub")
    (folder / "ekcert_rsa.der").rename(folder / "ekcert.der")
    (folder / "ak_rsa.tpmt").rename(folder / "ak.tpmt")
    authorities = [home / "issuercert.pem", home / "swtpm-localca-rootca-cert.pem"]
    asked = [word for path in authorities for word in ("--ek-ca", str(path))]
    _, document = told(capsys, str(folder), *asked)
    rows = [row for row in document["checks"] if row["evidence"] == "q_rsa"]
    assert {row["outcome"] for row in rows} == {"pass"}


def test_intermediate_that_the_tpm_carries_leads_to_the_authority(folder, capsys):
    home = vectors("ovmf-plain").parent
    asked = [str(folder), "--ek-ca", str(home / "swtpm-localca-rootca-cert.pem")]

    def outcome() -> str:
        rows = told(capsys, *asked)[1]["checks"]
        (row,) = (r for r in rows if (r["check"], r["evidence"]) == ("tpm-identity", "q_rsa"))
        return row["code"]

    assert outcome() == "EK_ISSUER_UNKNOWN"
    chain = PEM_cert_to_DER_cert((home / "issuercert.pem").read_text())
    (folder / "ekchain.der").write_bytes(chain + b"\xff" * 9)
    assert outcome() == ""


@pytest.mark.parametrize(
    ("section", "code"),
    [
        ("{suites: [rsa2048-sha256], manufacturers: ['id:00001014']}", ""),
        ("{suites: [sm2-sm3]}", "TPM_SUITE_REFUSED"),
        ("{manufacturers: [INTC]}", "TPM_MAKER_REFUSED"),
    ],
)
def test_policy_says_which_tpm_it_may_be(folder, capsys, section, code):
    home = vectors("ovmf-plain").parent
    authorities = [home / "issuercert.pem", home / "swtpm-localca-rootca-cert.pem"]
    asked = [word for path in authorities for word in ("--ek-ca", str(path))]
    file = policy(folder)
    file.write_text(file.read_text() + f"tpm: {section}\n")
    _, document = told(capsys, str(folder), "--policy", str(file), *asked)
    rows = {row["evidence"]: row for row in document["checks"] if row["check"] == "tpm-identity"}
    assert rows["q_rsa"]["code"] == code
    _, document = told(capsys, str(folder), "--policy", str(file))
    rows = {row["evidence"]: row for row in document["checks"] if row["check"] == "tpm-identity"}
    assert rows["q_rsa"]["code"] == (code if "SUITE" in code else "TPM_MAKER_UNKNOWN")


@pytest.mark.parametrize(
    "name", ["q_ecc.msg", "q_ecc.sig", "q_ecc.pcrs", "bios_log", "ima_bin", "ek_rsa.pub"]
)
def test_file_cut_off_is_unreadable_and_named(folder, capsys, name):
    path = folder / name
    path.write_bytes(path.read_bytes()[:-3])
    code, document = told(capsys, str(folder))
    assert code == 2
    assert document["trusted"] is False
    assert document["error"]["code"]


@pytest.mark.parametrize(
    "arguments", [("--nonce", "xyz"), ("--policy", "/nowhere/policy.yaml"), ("--polite",)]
)
def test_wrong_arguments_are_unreadable_in_json_too(folder, capsys, arguments):
    assert main([str(folder), *arguments]) == 2
    assert capsys.readouterr().err.startswith("e2etrust-appraise: ")
    code, document = told(capsys, str(folder), *arguments)
    assert (code, document["trusted"], document["checks"]) == (2, False, [])


@pytest.mark.parametrize("option", ["--policy", "--launch-measurement", "--ek-ca"])
def test_file_without_end_that_an_option_names_is_unreadable(folder, capsys, option):
    code, document = told(capsys, str(folder), option, "/dev/zero")
    assert (code, document["error"]["code"]) == (2, "FILE_UNUSABLE")


def test_policy_that_is_no_text_is_told_to_be_corrected(folder, capsys):
    path = folder / "policy.yaml"
    path.write_bytes(b"\xff\xfe")
    code, document = told(capsys, str(folder), "--policy", str(path))
    assert (code, document["error"]["code"]) == (2, "POLICY_MALFORMED")


def test_answer_that_nobody_takes_is_no_verdict(folder, capsys, monkeypatch):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main([str(folder)]) == 2
    assert capsys.readouterr().err == "e2etrust-appraise: cannot write: No space left on device\n"


def test_folder_without_evidence_is_unreadable(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "holds no quote" in capsys.readouterr().err
    assert main([str(tmp_path / "nowhere")]) == 2
    assert main([str(tmp_path / ("x" * 300))]) == 2


def test_empty_policy_is_unreadable_and_trusts_nobody(folder, capsys):
    empty = folder / "empty.yaml"
    empty.write_text("name: p\nhosts: ['*']\npcrs: {}\n")
    assert main([str(folder), "--policy", str(empty)]) == 2


def event_policy(folder: Path, change: dict[str, list[str]]) -> Path:
    """A policy proposed from the capture's own log; *change* is variable -> other contents."""
    log = parse_event_log((folder / "bios_log").read_bytes())
    rules = events_document(propose_rules(log, "sha256", [1, 2, 3, 4, 5, 6, 7]))
    for rule in rules["rules"]:
        rule["data"] = change.get(rule.get("variable"), rule.get("data"))
        if rule["data"] is None:
            del rule["data"]
    path = folder / "events.yaml"
    path.write_text(yaml.safe_dump({"name": "p", "hosts": ["*"], "events": rules}))
    return path


def test_events_proposed_from_the_capture_are_met_by_it(folder, capsys):
    code, document = told(capsys, str(folder), "--policy", str(event_policy(folder, {})))
    assert (code, failed(document)) == (0, set())
    checks = [row["check"] for row in document["checks"]]
    assert checks.count("event-policy") == 3
    assert "pcr-policy" not in checks


def test_host_without_secure_boot_does_not_meet_a_policy_that_asks_for_it(folder, capsys):
    asks = event_policy(folder, {"SecureBoot": ["01"]})
    code, document = told(capsys, str(folder), "--policy", str(asks))
    assert code == 1
    assert {(check, why) for _, check, why in failed(document)} == {
        ("event-policy", "EVENT_REFUSED")
    }
    places = {row["where"] for row in document["checks"] if row["code"] == "EVENT_REFUSED"}
    assert places == {"event 4 (PCR 7, EV_EFI_VARIABLE_DRIVER_CONFIG)"}


def test_log_altered_where_no_digest_covers_it_does_not_turn_secure_boot_on(folder, capsys):
    asks = event_policy(folder, {"SecureBoot": ["01"]})
    path = folder / "bios_log"
    data = bytearray(path.read_bytes())
    at = data.index("SecureBoot".encode("utf-16-le")) + 2 * len("SecureBoot")
    assert data[at] == 0
    data[at] = 1
    path.write_bytes(bytes(data))
    code, document = told(capsys, str(folder), "--policy", str(asks))
    assert code == 1
    assert {(check, why) for _, check, why in failed(document)} == {
        ("event-policy", "EVENT_NOT_COVERED")
    }


def ima_policy(folder: Path, leave_out: str = "") -> Path:
    """The policy that accepts every file of the capture's list, but for one."""
    path = policy(folder)
    told = [line.split(" ")[3:5] for line in (folder / "ima_ascii").read_text().splitlines()]
    # One path may stand with several contents: files were written in between.
    files = [one for one in told if one[1].startswith("/") and one[1] != leave_out]
    lines = [f"{digest.removeprefix('sha256:')}  {name}\n" for digest, name in files]
    (folder / "files.sha256").write_text("".join(lines))
    path.write_text(path.read_text() + "ima: {allow: [files.sha256]}\n")
    return path


@pytest.mark.parametrize("name", ["ovmf-plain", "ovmf-sm3"])
def test_captured_ima_list_is_held_against_the_policys_files(name, tmp_path, capsys):
    copied = tmp_path / name
    shutil.copytree(vectors(name), copied)
    copied.chmod(0o700)
    for path in copied.glob("q_sm2.*"):  # over the SM3 bank alone, and the policy is of SHA-256
        path.unlink()
    code, document = told(capsys, str(copied), "--policy", str(ima_policy(copied)))
    assert (code, failed(document)) == (0, set())
    reasons = [row["reason"] for row in document["checks"] if row["check"] == "ima-policy"]
    assert reasons
    assert all("entries, 0 left out" in reason for reason in reasons)


def test_file_of_the_captured_list_that_the_policy_does_not_know_is_named(folder, capsys):
    path = ima_policy(folder, leave_out="/bin/busybox")
    code, document = told(capsys, str(folder), "--policy", str(path))
    assert code == 1
    assert ("q_final", "ima-policy", "IMA_FILE_REFUSED") in failed(document)
    wheres = {row["where"] for row in document["checks"] if row["code"] == "IMA_FILE_REFUSED"}
    assert wheres == {"ima 3"}


def test_policy_of_files_and_a_folder_without_a_list(folder, capsys):
    path = ima_policy(folder)
    (folder / "ima_bin").unlink()
    _, document = told(capsys, str(folder), "--policy", str(path))
    assert ("q_final", "ima-list", "IMA_LIST_ABSENT") in failed(document)


def test_event_log_is_told_in_words_with_what_its_digests_vouch_for(folder, capsys):
    code = main([str(folder), "--events"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("event ")]
    assert code == 0
    assert len(lines) == len(parse_event_log((folder / "bios_log").read_bytes()).events)
    (secure_boot,) = [line for line in lines if "SecureBoot" in line]
    assert secure_boot.endswith("= SecureBoot = 00")
    assert any("EV_EFI_BOOT_SERVICES_APPLICATION" in line and " ? image" in line for line in lines)
    _, document = told(capsys, str(folder), "--events")
    assert len(document["events"]) == len(lines)
    assert "events" not in told(capsys, str(folder))[1]


def test_checks_that_could_not_be_made_have_their_lines(folder, capsys):
    altered(folder / "q_ecc.sig", 11)
    asked = policy(folder)
    asked.write_text(asked.read_text() + "ima: {}\ndevice_mapper: [{name: root, anything: true}]\n")
    code, document = told(capsys, str(folder), "--policy", str(asked))
    assert code == 1
    rows = {row["check"]: row["code"] for row in document["checks"] if row["evidence"] == "q_ecc"}
    unreached = {check for check, why in rows.items() if why == "NOT_REACHED"}
    assert {"event-log", "ima-list", "pcr-policy", "device-mapper"} <= unreached
    assert {row["check"] for row in document["checks"]} == set(rows)


def test_answer_in_json_has_its_fields_whatever_happens(tmp_path, folder, capsys):
    assert set(told(capsys, str(folder))[1]) == {"trusted", "checks", "unchecked"}
    _, document = told(capsys, str(tmp_path / "nowhere"))
    assert set(document) == {"trusted", "checks", "unchecked", "error"}
    assert (document["trusted"], document["checks"]) == (False, [])


@pytest.mark.parametrize("name", ["bios_log", "ima_bin", "q_ecc.sig", "tpm2-measure.log"])
@pytest.mark.parametrize(
    "make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/nowhere/x")]
)
def test_what_is_no_file_is_unreadable_and_named(folder, capsys, name, make):
    path = folder / name
    path.unlink(missing_ok=True)
    make(path)
    code, document = told(capsys, str(folder))
    assert (code, document["error"]["code"]) == (2, "EVIDENCE_UNREADABLE")
    assert name in document["error"]["reason"]


@pytest.mark.parametrize("name", ["q_ecc.msg", "q_ecc.sig", "q_ecc.pcrs"])
def test_quote_of_which_a_file_is_missing_is_unreadable(folder, capsys, name):
    (folder / name).unlink()
    code, document = told(capsys, str(folder))
    assert code == 2
    assert name.partition(".")[0] in document["error"]["reason"]


def test_one_quote_and_its_key_are_enough_and_what_is_missing_is_said(folder, capsys):
    kept = {"q_rsa.msg", "q_rsa.sig", "q_rsa.pcrs", "ak_rsa.tpmt"}
    for path in folder.iterdir():
        if path.name not in kept:
            path.unlink()
    (folder / "README").write_text("not evidence")
    code, document = told(capsys, str(folder), "--nonce", NONCE)
    assert (code, {row["evidence"] for row in document["checks"]}) == (0, {"q_rsa"})
    assert sum("the folder holds no" in said for said in document["unchecked"]) == 2
    assert told(capsys, str(folder), "--events")[1]["events"] == []


def test_folder_of_a_log_alone_is_unreadable(folder, capsys):
    for path in folder.iterdir():
        if path.name != "bios_log":
            path.unlink()
    assert told(capsys, str(folder))[0] == 2


def test_name_of_a_quote_cannot_write_lines_of_its_own(folder, capsys):
    for path in folder.glob("q_ecc.*"):
        path.rename(folder / f"q_ecc\npass  q\udcff{path.suffix}")
    assert main([str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line[:4] in ("pass", "note", "trus") for line in lines)
    assert any("q_ecc?pass" in line for line in lines)


def measured(text: bytes, pcr: int) -> dict:
    digests = [{"hashAlg": "sha256", "digest": hashlib.sha256(text).hexdigest()}]
    content = {"string": text.decode(), "eventType": "phase"}
    return {"pcr": pcr, "digests": digests, "content_type": "systemd", "content": content}


def test_log_of_systemd_is_held_against_the_quote_as_the_firmwares_is(folder, capsys):
    """The capture has none: one that says nothing of the quoted PCRs fits it, others do not."""
    path = folder / "tpm2-measure.log"
    path.write_text("\x1e" + json.dumps(measured(b"sysinit", 15)) + "\n")
    code, document = told(capsys, str(folder), "--events")
    reasons = {row["reason"] for row in document["checks"] if row["check"] == "event-log"}
    assert code == 0
    assert reasons == {
        "the event log comes to the quoted values, with 1 of 1 records of tpm2-measure.log"
    }
    assert document["events"][-1]["words"] == '"sysinit"'
    assert document["events"][-1]["covered"] == "text"
    # A record of a quoted PCR that came after the quote does not count.
    path.write_text("\x1e" + json.dumps(measured(b"os-separator", 7)) + "\n")
    code, document = told(capsys, str(folder))
    reasons = {row["reason"] for row in document["checks"] if row["check"] == "event-log"}
    assert code == 0
    assert all("with 0 of 1 records" in reason for reason in reasons)
    path.write_text("nonsense")
    assert told(capsys, str(folder))[0] == 2


def test_log_of_systemd_without_the_firmwares_is_said_not_to_be_read(folder, capsys):
    (folder / "bios_log").unlink()
    (folder / "tpm2-measure.log").write_text(json.dumps(measured(b"sysinit", 15)))
    code, document = told(capsys, str(folder), "--events")
    assert code == 0
    assert any("tpm2-measure.log goes on from" in said for said in document["unchecked"])


def test_events_are_judged_though_another_check_failed(folder, capsys):
    """A booted host that was set permissive showed it: its events were said to be out of reach."""
    log = parse_event_log((folder / "bios_log").read_bytes())
    rules = events_document(propose_rules(log, "sha256", [7]))
    path = folder / "policy.yaml"
    ima = {"buffers": [{"name": "kernel_version", "anything": True}]}
    path.write_text(yaml.safe_dump({"name": "p", "hosts": ["*"], "events": rules, "ima": ima}))
    code, document = told(capsys, str(folder), "--policy", str(path))
    assert (code, {check for _, check, _ in failed(document)}) == (1, {"ima-policy"})
    outcomes = {row["check"]: row["outcome"] for row in document["checks"]}
    assert outcomes["event-policy"] == "pass"
