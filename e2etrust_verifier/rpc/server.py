# SPDX-License-Identifier: Apache-2.0
"""The RPC server: any number of workers share the topic."""

from __future__ import annotations

import socket
import uuid
from typing import Any

import oslo_messaging
from oslo_config import cfg

from e2etrust_core.messages import EXCHANGE, VERIFIER_TOPIC
from e2etrust_verifier.rpc.endpoint import VerifierEndpoint


def make_server(conf: cfg.ConfigOpts, endpoint: VerifierEndpoint) -> Any:
    """Return the server, not started; executor_thread_pool_size is the number of its threads."""
    transport = oslo_messaging.get_rpc_transport(conf)
    name = f"{socket.gethostname()}-{uuid.uuid4().hex[:8]}"
    target = oslo_messaging.Target(exchange=EXCHANGE, topic=VERIFIER_TOPIC, server=name)
    return oslo_messaging.get_rpc_server(transport, target, [endpoint], executor="threading")
