# SPDX-License-Identifier: Apache-2.0
"""``e2etrust-appraise``: read, appraise, tell, and an exit status that scripts can use."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from e2etrust_client import given_file
from e2etrust_client.appraise.checks import Outcome, Question, appraise_recorded
from e2etrust_client.appraise.events import ToldEvent, as_line, told_events
from e2etrust_client.appraise.folder import read_folder
from e2etrust_core.appraisal.policy import parse_policy
from e2etrust_core.appraisal.policy_ima import FilesBeside
from e2etrust_core.appraisal.policy_windows import parse_moment
from e2etrust_core.errors import E2ETrustError, InputError, PolicyError

TRUSTED, NOT_TRUSTED, UNREADABLE = 0, 1, 2
_MAX_NONCE = 64
#: Bytes that are read of a file that an option names.
_MOST = 16 * 1024 * 1024


def main(argv: list[str] | None = None) -> int:
    argv = sys.argv[1:] if argv is None else argv
    _speak_plainly()
    try:
        arguments = _parser().parse_args(argv)
        at = datetime.now(UTC) if arguments.at is None else _moment(arguments.at)
        question = _question(arguments, at)
        evidence = read_folder(arguments.folder)
        outcome = appraise_recorded(evidence, question, at)
        told = told_events(evidence.event_log, evidence.later_log) if arguments.events else None
    except E2ETrustError as exc:
        _tell_unreadable(exc, as_json="--json" in argv)
        return UNREADABLE
    if not _told(_as_json(outcome, told) if arguments.json else _as_text(outcome, told)):
        return UNREADABLE
    return TRUSTED if outcome.trusted else NOT_TRUSTED


def _speak_plainly() -> None:
    """Names of files and words of logs may have characters that the terminal has not."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class _Parser(argparse.ArgumentParser):
    """Wrong arguments are an error like others: told as JSON too."""

    def error(self, message: str) -> NoReturn:
        raise InputError(message, remedy=" ".join(self.format_usage().split()))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="e2etrust-appraise",
        allow_abbrev=False,
        description="Appraise recorded evidence of a host: quotes, event log and IMA list.",
        epilog="Exit status: 0 every check passed, 1 one did not, 2 something cannot be read."
        " What was not given is not checked, and the output says so.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder with the evidence")
    parser.add_argument("--policy", metavar="FILE", type=Path, help="host policy (YAML)")
    parser.add_argument(
        "--at",
        metavar="MOMENT",
        help="as things stand then, such as 2026-12-31T00:00:00Z (now if not said)",
    )
    parser.add_argument("--nonce", metavar="HEX", help="what every quote must carry")
    parser.add_argument(
        "--launch-measurement",
        metavar="FILE",
        type=Path,
        help="a guest's launch measurement, in PCR 0 before the first event of its log",
    )
    parser.add_argument(
        "--ek-ca",
        metavar="FILE",
        type=Path,
        action="append",
        help="PEM certificates that endorsement keys must chain to (may be repeated)",
    )
    parser.add_argument(
        "--events",
        action="store_true",
        help="tell the event log as well, and what of each event its digest vouches for",
    )
    parser.add_argument("--json", action="store_true", help="write the checks as JSON")
    return parser


def _question(arguments: argparse.Namespace, at: datetime) -> Question:
    policy = None
    if arguments.policy is not None:
        beside = FilesBeside(arguments.policy.parent)
        try:
            policy = parse_policy(given_file.read(arguments.policy, _MOST).decode(), beside, at)
        except UnicodeDecodeError:
            raise PolicyError("the policy is not text") from None
    authorities = None
    if arguments.ek_ca:
        authorities = b"\n".join(given_file.read(path, _MOST) for path in arguments.ek_ca)
    measurement = arguments.launch_measurement
    return Question(
        policy=policy,
        nonce=None if arguments.nonce is None else _nonce(arguments.nonce),
        launch_measurement=None if measurement is None else given_file.read(measurement, _MOST),
        ek_authorities=authorities,
    )


def _moment(text: str) -> datetime:
    try:
        return parse_moment(text)
    except PolicyError as exc:
        raise InputError(f"--at: {exc.reason}") from None


def _nonce(text: str) -> bytes:
    try:
        nonce = bytes.fromhex(text)
    except ValueError:
        nonce = b""
    if not 1 <= len(nonce) <= _MAX_NONCE:
        raise InputError(f"the nonce is 1 to {_MAX_NONCE} bytes in hexadecimal digits")
    return nonce


def _as_text(outcome: Outcome, events: list[ToldEvent] | None) -> str:
    lines = [as_line(event) for event in events or []]
    for row in outcome.rows:
        result = row.result
        code = f"{result.code}: " if result.code else ""
        code += f"{result.where}: " if result.where else ""
        lines.append(
            f"{result.outcome:4}  {row.where:12}  {result.check:16}  {code}{result.reason}"
        )
        if result.outcome != "pass" and result.remedy:
            lines.append(f"{'':38}what to do: {result.remedy}")
    lines += [f"note  {said}" for said in outcome.unchecked]
    failed = sum(row.result.outcome != "pass" for row in outcome.rows)
    lines.append(
        f"trusted: all {len(outcome.rows)} checks passed"
        if outcome.trusted
        else f"not trusted: {failed} of {len(outcome.rows)} checks failed"
    )
    return "\n".join(lines)


def _as_json(outcome: Outcome, events: list[ToldEvent] | None) -> str:
    checks = [
        {
            "evidence": row.where,
            "check": row.result.check,
            "outcome": row.result.outcome,
            "reason": row.result.reason,
            "code": row.result.code,
            "remedy": row.result.remedy,
            "where": row.result.where,
        }
        for row in outcome.rows
    ]
    document = {"trusted": outcome.trusted, "checks": checks, "unchecked": outcome.unchecked}
    if events is not None:
        document["events"] = [asdict(event) for event in events]
    return json.dumps(document, indent=2)


def _told(text: str) -> bool:
    """Whether all of *text* went out: an answer that nobody got is none, whatever it was."""
    try:
        print(text, flush=True)
    except OSError as exc:
        # What is left in the buffer must not be tried again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"e2etrust-appraise: cannot write: {exc.strerror}", file=sys.stderr)
        return False
    return True


def _tell_unreadable(exc: E2ETrustError, *, as_json: bool) -> None:
    if as_json:
        told = {"code": exc.code, "reason": exc.reason, "remedy": exc.remedy}
        document = {"trusted": False, "checks": [], "unchecked": [], "error": told}
        print(json.dumps(document, indent=2))
    remedy = f" ({exc.remedy})" if exc.remedy else ""
    print(f"e2etrust-appraise: {exc}{remedy}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
