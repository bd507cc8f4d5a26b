# SPDX-License-Identifier: Apache-2.0
"""The published schema against the parser: what one takes the other takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml
from oslo_config import cfg

from e2etrust_core.appraisal.event_proposal import propose_rules
from e2etrust_core.appraisal.ima_allowlist import Allowlist
from e2etrust_core.appraisal.policy import _FIELDS, parse_policy
from e2etrust_core.appraisal.policy_events import events_document
from e2etrust_core.appraisal.policy_schema import policy_schema
from e2etrust_core.errors import PolicyError
from e2etrust_core.evidence.event_log import parse_event_log
from e2etrust_core.evidence.ima_signature import Keyring
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.cmd import manage
from tests.unit.core.appraisal.test_ima_checks import SELINUX
from tests.vectors import vectors

VALUE = "00" * 32
HEAD = f"name: p\nhosts: ['*']\npcrs: {{sha256: {{7: ['{VALUE}']}}}}\n"
TIMED = "{accept: '', until: '2026-12-01T00:00:00Z'}"
EVENTS = "name: p\nhosts: [a]\nevents: {pcrs: [4], rules: ["
RULE = "{type: EV_SEPARATOR, pcr: 4, data: ['00000000']}"


class Files:
    def allowlist(self, name):
        return Allowlist([])

    def keyring(self, name):
        return Keyring()


def by_schema(text: str) -> bool:
    # As JSON has it: keys are text, and so are moments.
    document = json.loads(json.dumps(yaml.safe_load(text), default=lambda one: one.isoformat()))
    found = jsonschema.Draft202012Validator(policy_schema()).iter_errors(document)
    return next(found, None) is None


def by_parser(text: str) -> bool:
    try:
        parse_policy(text, Files())
    except PolicyError:
        return False
    return True


DM = HEAD + "ima: {}\ndevice_mapper:\n  - "

GOOD = [
    HEAD,
    DM + "{name: root, anything: true, required: true}\n",
    DM + "{uuid: 'LVM-*', targets: [linear, crypt], attributes: {allow_discards: n}}\n",
    DM + f"{{name: root, root_digests: ['{VALUE}']}}\n",
    DM
    + "{name: r, targets: [verity], root_digests: "
    + f"[{{accept: '{VALUE}', until: '2026-12-01T00:00:00Z'}}, '{VALUE}']}}\n",
    HEAD + "level: 1\n",
    HEAD + "level: 9\n",
    HEAD + "event_log_pcrs: [0, 7]\nlease_seconds: 5\nrecovery: automatic\n",
    HEAD + "ima: {allow: [a.sha256], exclude: ['/tmp/*'], violations: report}\n",
    HEAD + "ima:\n  bank: sha256\n  allow: [a]\n" + SELINUX,
    HEAD + "ima: {buffers: [{name: .ima, anything: true, verifies: true}]}\n",
    HEAD + "ima: {}\nmac: {selinux: {policies: any}}\n",
    HEAD
    + "ima: {bank: sha256}\nmac:\n  selinux:\n"
    + f"    policies: ['{VALUE}', {{accept: '{VALUE}', until: '2026-12-01T00:00:00Z'}}]\n"
    + "    flags: {checkreqprot: false}\n",
    HEAD + "tpm: {suites: [sm2-sm3, ecc-p256-sha256], manufacturers: [INTC, 'id:414D4400']}\n",
    HEAD + f"tpm: {{ek_accepted_by: [certificate], eks: ['{VALUE}']}}\n",
    HEAD + "tpm: {manufacturers: [AMD, {accept: IFX, until: '2026-12-01T00:00:00Z'}]}\n",
    "name: p\nhosts: [a]\nversion: 7\nobserve: {sha256: [0]}\n",
    HEAD.replace("]}}", f", {{accept: '{VALUE}', until: '2026-12-01T00:00:00Z'}}]}}}}"),
    HEAD + "ima: {allow: [a.sha256, {accept: b, until: '2026-12-01 00:00:00+08:00'}]}\n",
    f"name: p\nhosts: [a]\nevents: {{pcrs: [4], rules: [{RULE}]}}\n",
    EVENTS + "{type: EV_IPL, pcr: 4, measured: ['01'], measured_text: [a]}]}\n",
    EVENTS + f"{{type: EV_IPL, pcr: 4, digests: ['{VALUE}'], measured_text: [a]}}]}}\n",
    EVENTS + f"{{type: EV_IPL, pcr: 4, each: {{word: ['a*', {TIMED}]}}}}]}}\n",
    EVENTS + "{type: EV_EFI_VARIABLE_AUTHORITY, pcr: 4, variable: SbatLevel, like: ['sbat,*']}]}\n",
    EVENTS + "{type: '0x00000502', pcr: 4, data: ['01']}]}\n",
]
BAD = [
    HEAD + "device_mapper: [{name: root, anything: true}]\n",
    HEAD + "ima: {}\ndevice_mapper: []\n",
    DM + "{name: root}\n",
    DM + "{targets: [linear]}\n",
    DM + "{name: '', targets: [linear]}\n",
    DM + "{name: root, targets: []}\n",
    DM + "{name: root, targets: [Linear]}\n",
    DM + "{name: root, anything: true, targets: [linear]}\n",
    DM + "{name: root, anything: false}\n",
    DM + "{name: root, attributes: {start: '0'}}\n",
    DM + "{name: root, targets: [linear], attributes: {start: 0}}\n",
    DM + "{name: root, root_digests: ['00']}\n",
    DM + f"{{name: root, targets: [linear], root_digests: ['{VALUE}']}}\n",
    DM + "{name: root, targets: [linear], size: 1}\n",
    "name: p\nhosts: ['*']\n",
    HEAD + "unknown: 1\n",
    HEAD + "version: 0\n",
    HEAD + "version: yes\n",
    HEAD.replace("]}}", f", {{accept: '{VALUE}'}}]}}}}"),
    HEAD.replace("]}}", f", {{accept: '{VALUE}', until: '2026-12-01'}}]}}}}"),
    HEAD.replace("]}}", ", {accept: '00', until: '2026-12-01T00:00:00Z'}]}}"),
    HEAD.replace("hosts: ['*']", "hosts: ['*', {accept: a, until: '2026-12-01T00:00:00Z'}]"),
    HEAD.replace("hosts: ['*']", "hosts: []"),
    HEAD.replace("hosts: ['*']", "hosts: ['compute-[12]']"),
    HEAD.replace("name: p", "name: ''"),
    HEAD.replace("7:", "24:"),
    HEAD.replace("sha256", "md5"),
    HEAD.replace(VALUE, "00"),
    HEAD + "lease_seconds: 0\n",
    HEAD + "level: 0\n",
    HEAD + "level: 10\n",
    HEAD + "level: '2'\n",
    HEAD + "level: true\n",
    HEAD + "recovery: maybe\n",
    HEAD + "observe: {sha256: [24]}\n",
    HEAD + "ima: {}\n",
    HEAD + "ima: {exclude: ['*']}\n",
    HEAD + "ima: {allow: [../a]}\n",
    HEAD + "ima: {buffers: [{name: x}]}\n",
    HEAD + "ima: {buffers: [{name: x, anything: true, verifies: true}]}\n",
    HEAD + "ima: {buffers: [{name: .ima, anything: true, verifies: false}]}\n",
    HEAD + "ima: {buffers: [{name: x, digests: ['00']}]}\n",
    HEAD + "mac: {selinux: {policies: any}}\n",
    HEAD + "ima: {}\nmac: {}\n",
    HEAD + "ima: {}\nmac: {selinux: {}}\n",
    HEAD + "ima: {}\nmac: {selinux: {policies: []}}\n",
    HEAD + "ima: {}\nmac: {selinux: {policies: ['00']}}\n",
    HEAD + f"ima: {{}}\nmac: {{selinux: {{policies: ['{VALUE}00']}}}}\n",
    HEAD + "ima: {}\nmac: {selinux: {policies: any, flags: {enforcing: false}}}\n",
    HEAD + "ima: {}\nmac: {selinux: {policies: any, flags: {checkreqprot: 0}}}\n",
    HEAD + "ima: {}\nmac: {selinux: {policies: any}, apparmor: {}}\n",
    HEAD + "tpm: {}\n",
    HEAD + "tpm: {suites: []}\n",
    HEAD + "tpm: {suites: [rsa]}\n",
    HEAD + "tpm: {suites: sm2-sm3}\n",
    HEAD + "tpm: {manufacturers: ['id:00']}\n",
    HEAD + "tpm: {manufacturers: [Intel]}\n",
    HEAD + "tpm: {ek_accepted_by: [anybody]}\n",
    HEAD + "tpm: {eks: ['00']}\n",
    HEAD + "tpm: {eks: [1]}\n",
    HEAD + "tpm: {makers: [INTC]}\n",
    HEAD + "events: {pcrs: [4], rules: []}\n",
    HEAD + "events: {pcrs: [4], rules: [{type: EV_NONE, pcr: 4, anything: true}]}\n",
    HEAD + "events: {pcrs: [4], rules: [{type: EV_SEPARATOR, pcr: 4}]}\n",
    EVENTS + "{type: EV_IPL, pcr: 4, each: {word: []}}]}\n",
    EVENTS + "{type: EV_IPL, pcr: 4, has: {colour: [red]}}]}\n",
    EVENTS + "{type: EV_IPL, pcr: 4, measured_text: []}]}\n",
    EVENTS + "{type: '0x502', pcr: 4, data: ['01']}]}\n",
    EVENTS + f"{{type: EV_IPL, pcr: 4, has: {{word: [a, {TIMED}]}}}}]}}\n",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_the_parser_takes_the_schema_takes(text):
    assert (by_parser(text), by_schema(text)) == (True, True)


@pytest.mark.parametrize("text", BAD)
def test_what_the_schema_refuses_the_parser_refuses(text):
    assert (by_parser(text), by_schema(text)) == (False, False)


@pytest.mark.parametrize("name", ["ovmf-plain", "ovmf-sm3"])
def test_proposed_rules_are_as_the_schema_says(name):
    log = parse_event_log((vectors(name) / "bios_log").read_bytes())
    rules = events_document(propose_rules(log, "sha256", range(8)))
    text = yaml.safe_dump({"name": "p", "hosts": ["*"], "events": rules})
    assert (by_parser(text), by_schema(text)) == (True, True)


def test_every_field_of_a_policy_is_in_the_schema():
    schema = policy_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == _FIELDS


def test_policies_of_the_documentation_are_policies_by_both():
    """Their digests are for people to fill in."""
    source = Path(__file__).resolve().parents[4] / "doc/source/admin/policy.rst"
    blocks = re.findall(r"code-block:: yaml\n\n((?:   .*\n|\n)+)", source.read_text())
    assert len(blocks) >= 4
    for block in blocks:
        text = re.sub(r"^   ", "", block, flags=re.MULTILINE)
        text = re.sub(r"(x509|sha256):<[^>]*>", rf"\1:{VALUE}", text)
        text = re.sub(r"<[^>]*>", VALUE, text)
        assert (by_parser(text), by_schema(text)) == (True, True), text


def test_schema_is_written_by_a_command(capsys, monkeypatch):
    # Other tests of this process have options of their own on the process-wide object.
    load = configuration.load
    monkeypatch.setattr(configuration, "load", lambda files: load(files, cfg.ConfigOpts()))
    assert manage.main(["policy", "schema"]) == 0
    assert json.loads(capsys.readouterr().out) == policy_schema()
