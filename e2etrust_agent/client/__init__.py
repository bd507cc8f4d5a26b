# SPDX-License-Identifier: Apache-2.0
"""How others on this host speak to the agent: the only part of it that they may import.

Light: standard library, msgspec and core; the libvirt hook pays for every import.
"""

from e2etrust_agent.client.connection import DEFAULT_SOCKET, AgentClient
from e2etrust_agent.client.protocol import (
    AgentStatus,
    AttestSummary,
    LaunchBegin,
    LaunchEnd,
    LaunchFinish,
    LaunchOpened,
    LaunchStarted,
    RefusalNote,
)
from e2etrust_agent.client.reports import DEFAULT_REPORT_DIR, leave_refusal

__all__ = [
    "DEFAULT_REPORT_DIR",
    "DEFAULT_SOCKET",
    "AgentClient",
    "AgentStatus",
    "AttestSummary",
    "LaunchBegin",
    "LaunchEnd",
    "LaunchFinish",
    "LaunchOpened",
    "LaunchStarted",
    "RefusalNote",
    "leave_refusal",
]
