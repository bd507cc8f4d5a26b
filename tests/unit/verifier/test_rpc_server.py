# SPDX-License-Identifier: Apache-2.0
"""Where the verifier listens."""

from __future__ import annotations

from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_messaging import conffixture

from e2etrust_core.messages import EXCHANGE, VERIFIER_TOPIC
from e2etrust_verifier.conf import verifier
from e2etrust_verifier.rpc.server import make_server


class Endpoint:
    target = oslo_messaging.Target(version="1.0")

    def lease_delta(self, _context: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
        return {"asked": request}


def test_verifier_is_found_whatever_control_exchange_its_configuration_names():
    conf = cfg.ConfigOpts()
    conf.register_opts(verifier.OPTIONS, verifier.GROUP)
    conf([], project="verifier", default_config_files=[])
    options = conffixture.ConfFixture(conf, transport_url="fake://")
    options.setUp()
    conf.set_override("control_exchange", "another")
    server = make_server(conf, Endpoint())
    server.start()
    try:
        client = oslo_messaging.get_rpc_client(
            oslo_messaging.get_rpc_transport(conf),
            oslo_messaging.Target(exchange=EXCHANGE, topic=VERIFIER_TOPIC),
            timeout=5,
        )
        assert client.call({}, "lease_delta", request={"since": 1}) == {"asked": {"since": 1}}
    finally:
        server.stop()
        server.wait()
        options.cleanUp()
