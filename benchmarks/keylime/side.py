# SPDX-License-Identifier: Apache-2.0
"""Keylime's side of appraisal.py: its own functions, timed in its own process.

One JSON object a line comes in, one goes out; times in seconds of CPU.  What crosses the pipe is
taken apart before the clock starts.
"""

from __future__ import annotations

import base64
import gc
import json
import logging
import os
import sys
import time
import types
from typing import Any

logging.disable(logging.CRITICAL)
# Only keylime.signing (of policies) uses it, and nothing here signs a policy.
sys.modules["gpg"] = types.ModuleType("gpg")
_answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what Keylime prints does not mix with the answers

from keylime import json as keylime_json  # noqa: E402
from keylime.agentstates import AgentAttestState  # noqa: E402
from keylime.common.algorithms import Hash  # noqa: E402
from keylime.ima import ima  # noqa: E402
from keylime.tpm import tpm_util  # noqa: E402


def appraise(task: dict[str, Any], policy_text: str, policy: dict[str, Any]) -> dict[str, Any]:
    """Check one quote and list; ``as_it_runs`` parses the policy as its verifier does."""
    lines = task["lines"].split("\n")
    blobs = {name: base64.b64decode(task[name]) for name in ("ak", "signature", "quote", "pcrs")}
    state = AgentAttestState("host")
    if task["start"]:
        state.update_ima_attestation(10, bytes.fromhex(task["start"]), task["entries"])
    gc.collect()
    began = time.process_time()
    if task["as_it_runs"]:
        # Pull mode: once for the verification keys and once for the appraisal.
        keylime_json.loads(policy_text)
        policy = keylime_json.loads(policy_text)
    pcrs = tpm_util.checkquote(
        blobs["ak"], task["nonce"], blobs["signature"], blobs["quote"], blobs["pcrs"], "sha256"
    )
    _, failure = ima.process_measurement_list(
        state, lines, policy, pcrs[10], None, {"sha256": [task["aggregate"]]}, Hash.SHA256
    )
    seconds = time.process_time() - began
    return {"seconds": seconds, "trusted": not failure}


def main() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {int(sys.argv[1])})
    text, policy = "", {}
    for line in sys.stdin:
        task = json.loads(line)
        if "digests" in task:
            text = keylime_json.dumps({**ima.EMPTY_RUNTIME_POLICY, **task})
            policy = keylime_json.loads(text)
            continue
        print(json.dumps(appraise(task, text, policy)), file=_answers, flush=True)


if __name__ == "__main__":
    main()
