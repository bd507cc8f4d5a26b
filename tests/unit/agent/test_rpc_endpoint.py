# SPDX-License-Identifier: Apache-2.0
"""What whoever writes to the agent's topic can make it do: answer one question."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from oslo_messaging.rpc.dispatcher import DefaultRPCAccessPolicy, NoSuchMethod, RPCDispatcher

from e2etrust_agent.rpc_server import AgentEndpoint
from e2etrust_core import messages


def unasked(_ask: messages.GuestAsk) -> messages.ServerEvidence:
    raise AssertionError("no question was asked")


@pytest.mark.parametrize(
    "method",
    ["keys", "add_keys", "payload", "run", "launch_begin", "_guest_evidence", "__init__"],
)
def test_cve_2021_43310_peer_hands_over_no_keys_no_payload_and_no_command(method):
    dispatcher = RPCDispatcher([AgentEndpoint(unasked)], None, DefaultRPCAccessPolicy)
    request = {"u": "half a key", "payload": "UEsDBA==", "command": "id"}
    message = {"method": method, "args": {"request": request}, "version": "1.0"}
    with pytest.raises(NoSuchMethod):
        dispatcher.dispatch(SimpleNamespace(ctxt={}, message=message, client_timeout=None))


@pytest.mark.parametrize("request_", [{}, {"instance": 5}, {"payload": "UEsDBA=="}])
def test_cve_2021_43310_question_that_is_none_is_refused_before_anything_is_done(request_):
    answer = AgentEndpoint(unasked).guest_evidence({}, request=request_)
    assert answer["error"]["code"] == "INPUT_MALFORMED"
