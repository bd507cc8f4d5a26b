# SPDX-License-Identifier: Apache-2.0
"""Options in configuration files that this release does not read: removed, renamed, misspelt.

oslo.config says nothing of them; what an operator set by them is silently not so.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from keystoneauth1 import exceptions as ks_exc
from keystoneauth1 import loading
from oslo_config import cfg

from e2etrust_verifier.conf import opts

_ALIKE = 0.8
Sections = dict[str, dict[str, list[str]]]


def unread(files: list[str]) -> list[str]:
    """Name what *files* say in sections of ours that nobody reads, or reads by another name.

    :raises cfg.Error, ValueError, OSError: a file cannot be read.
    """
    ours = dict(opts.list_opts())
    return [told for name in files for told in _of_file(_sections(name), ours, name)]


def _sections(name: str) -> Sections:
    found: Sections = {}
    cfg.ConfigParser(name, found).parse()
    return found


def _of_file(sections: Sections, ours: dict[str, list[Any]], name: str) -> Iterator[str]:
    for section, values in sections.items():
        options = ours.get(section)
        if options is None:
            for like in difflib.get_close_matches(section, ours, 1, _ALIKE):
                yield f"{name}: nobody reads section [{section}]: write [{like}]"
        elif (plugin := _of_plugin(values)) is not None:
            yield from _of_section(section, values, [*options, *plugin], name)


def _of_plugin(values: dict[str, list[str]]) -> list[Any] | None:
    """Return the options of the way to log in that a section names, None where nobody knows it."""
    if not (kind := values.get("auth_type")):
        return []
    try:
        return list(loading.get_auth_plugin_conf_options(kind[-1]))
    except ks_exc.NoMatchingPlugin:
        return None


def _of_section(
    section: str, values: dict[str, list[str]], options: list[Any], name: str
) -> Iterator[str]:
    known = {one.dest: one for one in options}
    renamed = {
        old.name.replace("-", "_"): one.dest
        for one in options
        for old in one.deprecated_opts
        if old.name is not None and old.group in (None, section)
    }
    for asked in values:
        word = asked.replace("-", "_")
        if word in known and known[word].deprecated_for_removal:
            yield f"{name}: [{section}] {asked} goes away with a later release: remove it"
        elif word in known:
            continue
        elif word in renamed:
            yield f"{name}: [{section}] {asked} is called {renamed[word]} now"
        else:
            like = difflib.get_close_matches(word, known, 1, _ALIKE)
            hint = f"write {like[0]}" if like else "remove it, or see what took its place"
            yield f"{name}: [{section}] has no option {asked}: {hint}"
