# SPDX-License-Identifier: Apache-2.0
"""What the docs name exists: settings, commands with their options, files, modules, rules, codes.

Only literals are looked at: inline ones, and the lines of literal blocks.
"""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest
from oslo_config import cfg

from e2etrust_verifier.policies import list_rules

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "doc" / "ext"))

from refusal_codes import refusals  # noqa: E402

PAGES = [*sorted((ROOT / "doc/source").rglob("*.rst")), ROOT / "devstack/README.rst"]
PAGES += [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PAGES += sorted((ROOT / "releasenotes/notes").glob("*.yaml"))
#: Whose options keystoneauth reads when they are used; [service_auth] has the same in its sample.
ACCOUNTS = {"keystone_authtoken", "nova", "placement"}
OUR_SCRIPTS = {
    one.name: one
    for one in entry_points(group="console_scripts")
    if one.value.startswith("e2etrust_")
}
#: Commands that take no options.
BARE = {"e2etrust-libvirt-hook", "e2etrust-disk-server"}


@dataclass(frozen=True)
class Literal:
    """A literal of the docs: where it stands, and its text on one line."""

    page: str
    text: str
    is_block: bool


@cache
def literals() -> tuple[Literal, ...]:
    return tuple(one for page in PAGES for one in _literals_of(page))


def _literals_of(page: Path) -> Iterator[Literal]:
    text, name = page.read_text(), str(page.relative_to(ROOT))
    inline = r"`([^`]+)`" if page.suffix == ".md" else r"``(.+?)``(?!`)"
    for found in re.finditer(inline, text, re.DOTALL):
        yield Literal(name, " ".join(found[1].split()), False)
    for line in _block_lines(re.sub(r"\\\n\s+", "", text), page.suffix == ".md"):
        yield Literal(name, re.split(r"(?:^|\s)# ", line)[0].strip(), True)


def _block_lines(text: str, markdown: bool) -> Iterator[str]:
    """Yield the lines of literal blocks, indented deeper than the line that ends in ``::``."""
    depth = 3 if markdown else None
    for line in text.splitlines():
        indent = len(line) - len(line.lstrip())
        if depth is not None and line and indent <= depth and not markdown:
            depth = None
        if depth is not None and indent > depth:
            yield line
        elif line.endswith("::"):
            depth = indent


def missing(named: Iterator[tuple[Literal, str]], exists: Callable[[str], bool]) -> list[str]:
    found = list(named)
    assert found, "the pattern finds nothing any more"
    return sorted({f"{one.page}: {name}" for one, name in found if not exists(name)})


@cache
def settings() -> frozenset[tuple[str, str]]:
    """Group and name of every option of ours and of the libraries, as the samples have them."""
    found = set()
    for sample in (ROOT / "etc/e2etrust").glob("*.conf.sample"):
        group = "DEFAULT"
        for line in sample.read_text().splitlines():
            if header := re.fullmatch(r"\[(\S+)\]", line):
                group = header[1]
            elif option := re.match(r"#?(\w+)\s*=", line):
                found.add((group, option[1]))
    return frozenset(found)


@cache
def nova_settings() -> frozenset[str]:
    """Names of Nova's options, read: importing would fill the process-wide configuration."""
    nova = find_spec("nova")
    assert nova is not None
    assert nova.submodule_search_locations
    folder = Path(nova.submodule_search_locations[0]) / "conf"
    texts = [module.read_text() for module in folder.glob("*.py")]
    pattern = r"cfg\.\w*Opt\(\s*['\"]([\w-]+)['\"]"
    return frozenset(name for text in texts for name in re.findall(pattern, text))


def test_every_setting_that_is_named_exists():
    def named() -> Iterator[tuple[Literal, str]]:
        for one in literals():
            for group, name in re.findall(r"\[(\w+)\] ([a-z_0-9]+)", one.text):
                yield one, f"[{group}] {name}"
        group = None
        for one in literals():
            if header := re.fullmatch(r"\[(\w+)\]", one.text):
                group = header[1] if one.is_block else group
            elif one.is_block and group and (option := re.match(r"([a-z_0-9]+) = ", one.text)):
                yield one, f"[{group}] {option[1]}"
            elif one.text:
                group = None

    def exists(text: str) -> bool:
        group, name = text.removeprefix("[").split("] ")
        ours = {group for group, _ in settings()} - {"DEFAULT"}
        if group in ACCOUNTS and ("service_auth", name) in settings():
            return True
        if group in ours:
            return (group, name) in settings()
        return name in nova_settings() or (group, name) in settings()

    assert missing(named(), exists) == []


@cache
def openstack_commands() -> dict[str, argparse.ArgumentParser]:
    return {
        one.name.replace("_", " "): one.load()(None, None).get_parser(one.name)
        for one in entry_points(group="openstack.attestation.v1")
    }


def test_every_openstack_command_and_option_that_is_named_exists():
    #: What stands in a block is to be typed as it is.
    whole = {one.text.removeprefix("openstack ") for one in literals() if one.is_block}

    def named() -> Iterator[tuple[Literal, str]]:
        for one in literals():
            if found := re.match(
                r"(?:openstack )?((?:attestation|sealed image) [a-z].*)", one.text
            ):
                yield one, found[1]

    def exists(text: str) -> bool:
        words = _words(text)
        for length in range(len(words), 0, -1):
            if (name := " ".join(words[:length])) in openstack_commands():
                parser, rest = openstack_commands()[name], words[length:]
                return _runs(parser, rest) if text in whole else _takes(parser, rest)
        # A noun that stands for its commands.
        return any(name.startswith(" ".join(words[:2])) for name in openstack_commands()) and (
            len(words) == 2
        )

    assert missing(named(), exists) == []


def _words(text: str) -> list[str]:
    """Split *text* as a shell does, as far as one command goes."""
    plain = re.split(r"[|>;&…]| \(|\.\.\.|, ", text)[0].replace("'", "")
    return [word for word in shlex.split(plain) if word != "\\"]


def _runs(parser: argparse.ArgumentParser, words: list[str]) -> bool:
    #: Words that stand for a value of a form that the command checks.
    values = {"DIGEST": "5a" * 32}
    try:
        parser.parse_args([values.get(word, word) for word in words])
    except SystemExit:
        return False
    return True


def _takes(parser: argparse.ArgumentParser, words: list[str]) -> bool:
    known = {name for action in parser._actions for name in action.option_strings}
    given = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    return all(word in known for word in given)


def test_every_program_of_ours_and_option_that_is_named_exists(capsys, monkeypatch):
    helps: dict[tuple[str, ...], str | None] = {}
    devstack = (ROOT / "devstack/settings").read_text().split()

    def named() -> Iterator[tuple[Literal, str]]:
        for one in literals():
            if (found := re.match(r"(?:\S*/bin/)?(e2etrust-[a-z-]+)(\s.*)?$", one.text)) and (
                "[" not in one.text
            ):
                yield one, found[0]

    def exists(text: str) -> bool:
        words = _words(text)
        program = words[0].rpartition("/")[2]
        if program not in OUR_SCRIPTS:
            # A program for guests, or a service by its name in DevStack.
            return (ROOT / "guest" / program).exists() or program in devstack
        if program in BARE:
            return True
        verbs = [word for word in words[1:3] if re.fullmatch(r"[a-z]+", word)]
        if program in ("e2etrust-appraise", "e2etrust-host-setup", "e2etrust-agent"):
            verbs = []
        told = help_of(program, tuple(verbs))
        given = [word.split("=")[0] for word in words[1:] if word.startswith("-")]
        return told is not None and all(re.search(rf"{word}\b", told) for word in given)

    def help_of(program: str, verbs: tuple[str, ...]) -> str | None:
        if (program, *verbs) not in helps:
            main = OUR_SCRIPTS[program].load()
            monkeypatch.setattr(sys, "argv", [program, *verbs, "--help"])
            # Not the process-wide one, which other tests fill.
            monkeypatch.setattr(cfg, "CONF", cfg.ConfigOpts())
            with pytest.raises(SystemExit) as ended:
                main()
            told = capsys.readouterr().out
            helps[program, *verbs] = None if ended.value.code else told
        return helps[program, *verbs]

    assert missing(named(), exists) == []


def test_every_file_of_the_project_that_is_named_exists():
    folders = "benchmarks|devstack|doc|etc|guest|releasenotes|share|tests|tools"
    pattern = re.compile(rf"(?<![\w/.])((?:{folders})/[\w./-]+\w)")

    def named() -> Iterator[tuple[Literal, str]]:
        return ((one, name) for one in literals() for name in pattern.findall(one.text))

    def exists(name: str) -> bool:
        inside = name.removeprefix("share/e2etrust/")
        if inside == name:
            return (ROOT / name).exists()
        return (ROOT / "etc" / inside).exists() or (ROOT / inside).exists()

    assert missing(named(), exists) == []


def test_every_path_on_an_installed_machine_that_is_named_is_the_codes():
    pattern = re.compile(r"(?<!\w)/(?:etc|run|var/lib|var/log|usr/lib)/e2etrust/[\w.-]*\w")
    sources = [*ROOT.glob("e2etrust_*/**/*.py"), *(p for p in (ROOT / "etc").rglob("*"))]
    text = "".join(path.read_text() for path in sources if path.is_file())
    #: Chosen by who follows the docs.
    chosen = {"/etc/e2etrust/retired-1.pem", "/etc/e2etrust/ek-ca.pem"}

    def named() -> Iterator[tuple[Literal, str]]:
        return ((one, name) for one in literals() for name in pattern.findall(one.text))

    assert missing(named(), lambda name: name in text or name in chosen) == []


def test_every_program_of_the_environment_that_is_named_is_in_it():
    def named() -> Iterator[tuple[Literal, str]]:
        for one in literals():
            installed = set(re.findall(r"pip install ([\w-]+)", one.text))
            for name in re.findall(r"\.venv/bin/([\w-]+)", one.text):
                if name not in installed:
                    yield one, name

    assert missing(named(), lambda name: Path(sys.executable).with_name(name).exists()) == []


def test_every_module_that_is_named_exists():
    pattern = re.compile(r"\b(e2etrust_(?:core|agent|verifier|nova|client)[\w.]*)")

    def named() -> Iterator[tuple[Literal, str]]:
        return ((one, name) for one in literals() for name in pattern.findall(one.text))

    def exists(name: str) -> bool:
        # Not imported: Nova's side and the verifier's fill one process-wide configuration.
        module = ROOT / name.replace(".", "/")
        if module.is_dir() or module.with_suffix(".py").exists():
            return True
        inside = module.parent.with_suffix(".py")
        return inside.exists() and f"class {module.name}" in inside.read_text()

    assert missing(named(), exists) == []


def test_every_rule_of_the_api_that_is_named_exists():
    rules = {rule.name for rule in list_rules()}
    pattern = re.compile(r"\b(attestation:[a-z_]+:(?:[a-z_]+|\*))")

    def named() -> Iterator[tuple[Literal, str]]:
        return ((one, name) for one in literals() for name in pattern.findall(one.text))

    def exists(name: str) -> bool:
        return any(rule == name or rule.startswith(name.rstrip("*")) for rule in rules)

    assert missing(named(), exists) == []


def test_every_refusal_that_is_named_exists():
    known = {refusal.code for refusal in refusals(ROOT)}
    #: Words of others that look alike.
    others = re.compile(r"(EV|EVTYPE|TPM2?|CUSTOM|FUSE|E2ETRUST|PBR|SCHEMA|O|ALG)_")

    def named() -> Iterator[tuple[Literal, str]]:
        for one in literals():
            if not one.is_block and re.fullmatch(r"[A-Z0-9]+(_[A-Z0-9]+)+", one.text):
                yield one, one.text

    assert missing(named(), lambda name: name in known or bool(others.match(name))) == []
