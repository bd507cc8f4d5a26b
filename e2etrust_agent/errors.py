# SPDX-License-Identifier: Apache-2.0
"""Errors of the agent: what stands between this host and its lease."""

from __future__ import annotations

from e2etrust_core.errors import E2ETrustError


class AgentError(E2ETrustError):
    """The agent cannot do what it was asked."""

    code = "AGENT_ERROR"
    remedy = "Read the log of e2etrust-agent on the compute host."


class AgentDownError(AgentError):
    """The agent's socket does not answer."""

    code = "AGENT_DOWN"
    remedy = "Start e2etrust-agent on the compute host and read its log."


class VerifierDownError(AgentError):
    """The verifier, or the message bus on the way to it, does not answer."""

    code = "VERIFIER_DOWN"
    remedy = "Start e2etrust-verifier and the message broker; the agent tries again by itself."


class IdentityError(AgentError):
    """The TPM does not hold the keys that this host was enrolled with."""

    code = "AK_LOST"


class StateError(AgentError):
    """A file of the agent's own state cannot be read or written."""

    code = "STATE_BROKEN"
    remedy = (
        "Set right what the reason names (owner, mode, room on the disk) and restart the agent."
    )


class ForeignFileError(StateError):
    """Where the agent keeps a file of its own lies something else."""


class EventLogUnreadableError(StateError):
    """The firmware's event log is asked for and cannot be read, is too long, or does not rest."""

    code = "EVENT_LOG_UNREADABLE"
    remedy = "Check [agent] event_log."


class ImaListUnreadableError(StateError):
    """The IMA list is asked for and cannot be read, or more of it is new than can be sent."""

    code = "IMA_LIST_UNREADABLE"
    remedy = "Check [agent] ima_list."


class SystemdLogUnreadableError(StateError):
    """What systemd measured is there and cannot be read."""

    code = "SYSTEMD_LOG_UNREADABLE"
    remedy = "Check [agent] systemd_log."


class DomainsUnreadableError(AgentError):
    """The list of running domains cannot be read, so no evidence is sent."""

    code = "DOMAINS_UNREADABLE"
    remedy = "Start libvirtd on this host; without its domain list the host cannot prove itself."


class RequestError(AgentError):
    """A request on the agent's socket is not one."""

    code = "REQUEST_MALFORMED"
    remedy = "Start the server again; if it stays so, compare the releases of hook and agent."


class GuestError(AgentError):
    """The guest could not be asked for its evidence."""

    code = "GUEST_AGENT_DOWN"
    remedy = "Check that qemu-guest-agent and e2etrust-guest-evidence run in the server."
