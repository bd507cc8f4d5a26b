# SPDX-License-Identifier: Apache-2.0
"""The launch measurement as H-CRTM (TCG PC Client PFP 1.05, 3.3.2) of a vTPM.

Done at ``start begin``: swtpm runs with its state key, QEMU does not yet.  What is hashed goes
into the stored volatile state; QEMU's CMD_INIT loads it, and TPM2_Startup(CLEAR) of the guest's
firmware keeps it: PCR 0 starts at :meth:`LaunchMeasurement.hcrtm_pcr0`.
"""

from __future__ import annotations

from pathlib import Path

from e2etrust_core.launch import LaunchMeasurement
from e2etrust_nova.vtpm.control_channel import DELETE_VOLATILE, connect


def measure(control_socket: Path, measurement: LaunchMeasurement) -> None:
    """Put *measurement* into the vTPM behind *control_socket*.

    :raises VtpmError: a step was refused; the server must not start.
    """
    with connect(control_socket) as channel:
        channel.initialise(DELETE_VOLATILE)
        channel.stop()
        channel.initialise()
        channel.hash_sequence(measurement.canonical())
        channel.store_volatile()
        channel.stop()
