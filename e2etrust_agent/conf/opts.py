# SPDX-License-Identifier: Apache-2.0
"""The agent's options as values, and as oslo.config's generator wants them listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oslo_config import cfg

from e2etrust_agent.conf import agent
from e2etrust_agent.measurement_logs import MeasurementLogs
from e2etrust_core.tpm.ek_templates import EkKind


@dataclass(frozen=True, slots=True)
class Settings:
    """The agent's configuration, read once; times in seconds."""

    host: str
    tcti: str
    suite: str
    ek: EkKind | None
    socket: Path
    state_dir: Path
    logs: MeasurementLogs
    libvirt_uri: str
    domain_status_dir: Path
    every_server: bool
    verifier_keys: Path | None
    rpc_timeout: float
    retry_interval: float
    retry_interval_max: float
    start_jitter: float
    start_grace: float
    guest_timeout: float


def register(conf: cfg.ConfigOpts) -> None:
    """Register every option of the agent on *conf*."""
    conf.register_opts(agent.DEFAULT_OPTS)
    conf.register_opts(agent.AGENT_OPTS, group="agent")


def settings(conf: cfg.ConfigOpts) -> Settings:
    """Return the registered options of *conf* as a value."""
    group = conf.agent
    return Settings(
        host=str(conf.host),
        tcti=group.tcti,
        suite=group.suite,
        ek=None if group.ek == "auto" else group.ek,
        socket=Path(group.socket),
        state_dir=Path(group.state_dir),
        logs=MeasurementLogs(
            _path(group.event_log), _path(group.ima_list), _path(group.systemd_log)
        ),
        libvirt_uri=group.libvirt_uri,
        domain_status_dir=Path(group.domain_status_dir),
        every_server=group.demand == "always",
        verifier_keys=_path(group.verifier_keys),
        rpc_timeout=group.rpc_timeout,
        retry_interval=group.retry_interval,
        retry_interval_max=group.retry_interval_max,
        start_jitter=group.start_jitter,
        start_grace=group.start_grace,
        guest_timeout=group.guest_timeout,
    )


def _path(value: str) -> Path | None:
    return Path(value) if value else None


def list_opts() -> list[tuple[str, Sequence[cfg.Opt]]]:
    """Entry point ``oslo.config.opts``."""
    return [("DEFAULT", agent.DEFAULT_OPTS), ("agent", agent.AGENT_OPTS)]
