# SPDX-License-Identifier: Apache-2.0
"""Files that others must not read or write, and such that must not be taken for one another."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from oslo_config import cfg
from sqlalchemy.engine import make_url

from e2etrust_verifier import policies

#: Others: neither owner nor group, as operators share group access with the service's user.
_READ, _WRITE = stat.S_IROTH, stat.S_IWOTH


def open_to_others(conf: cfg.ConfigOpts) -> list[str]:
    """Name files with secrets that others can read, and such that decide whom they can write."""
    secret, deciding = [*_secret(conf)], dict.fromkeys(_deciding(conf))
    found = [f"others can read {path}: chmod o-rwx {path}" for path in secret if _may(path)]
    found += [
        f"others can write {path}, and so decide who is trusted: chmod o-w {path}"
        for path in deciding
        if _may(path, _WRITE)
    ]
    above = dict.fromkeys(one for path in (*secret, *deciding) for one in path.absolute().parents)
    found += [
        f"others can put files in the place of ours in {path}: chmod o-w {path}"
        for path in above
        if path not in deciding and _may(path, _WRITE) and not path.stat().st_mode & stat.S_ISVTX
    ]
    return found


def taken_for_access_rules(conf: cfg.ConfigOpts) -> list[str]:
    """Say where host policies and oslo.policy's rules lie in one directory: both are YAML."""
    policies.make_enforcer(conf)  # has its options registered
    hosts, access = Path(conf.verifier.policy_dir), conf.oslo_policy
    apart = f"each would be read as the other: move host policies out of {hosts}"
    found = []
    if any(_is(hosts, conf.find_file(one)) for one in access.policy_dirs):
        two = "[verifier] policy_dir and one of [oslo_policy] policy_dirs"
        found.append(f"{hosts} is both {two}: {apart}")
    rules = conf.find_file(access.policy_file)
    if rules is not None and _is(hosts, Path(rules).parent):
        found.append(f"{hosts} holds [oslo_policy] policy_file: {apart}")
    return found


def _is(directory: Path, other: str | Path | None) -> bool:
    return other is not None and directory.resolve() == Path(other).resolve()


def _secret(conf: cfg.ConfigOpts) -> Iterator[Path]:
    yield from map(Path, conf.config_file or ())
    yield from _named(conf.verifier.signing_key, conf.verifier.sm2_signing_key)
    if conf.webhook.urls:
        yield Path(conf.webhook.secret_file)
    url = make_url(conf.database.connection)
    if url.get_backend_name() == "sqlite" and url.database:
        # Whoever reads the keys in it can draw challenges in the verifier's name.
        yield from (Path(url.database + more) for more in ("", "-wal"))


def _deciding(conf: cfg.ConfigOpts) -> Iterator[Path]:
    yield from map(Path, conf.config_file or ())
    chosen = conf.verifier
    yield from _named(chosen.ek_ca_bundle, chosen.ek_pins, *chosen.retired_keys)
    directory = Path(chosen.policy_dir)
    # Also who may approve a host, by oslo.policy's rules.
    policies.make_enforcer(conf)
    rules = conf.oslo_policy
    named = map(conf.find_file, (rules.policy_file, *rules.policy_dirs))
    for path in (directory, *(Path(one) for one in named if one)):
        yield path
        yield from sorted(path.glob("*"))


def _named(*names: str) -> Iterator[Path]:
    return (Path(name) for name in names if name)


def _may(path: Path, right: int = _READ) -> bool:
    """Whether others have that right, and a way to the file."""
    try:
        return bool(path.stat().st_mode & right) and _way_to(path)
    except OSError:
        return False  # it is not there, which other checks say


def _way_to(path: Path) -> bool:
    return all(one.stat().st_mode & stat.S_IXOTH for one in path.resolve().parents)
