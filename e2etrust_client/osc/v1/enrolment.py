# SPDX-License-Identifier: Apache-2.0
"""``openstack attestation enrolment list|show``: which TPM hosts were enrolled with."""

from __future__ import annotations

import argparse
from typing import Any, ClassVar

from osc_lib.command import command

from e2etrust_client.osc.plugin import client_of
from e2etrust_client.osc.v1 import refusals
from e2etrust_client.osc.v1.fields import TellsFields
from e2etrust_client.osc.v1.one_host import OneHost


class ListEnrolment(TellsFields, command.Lister):
    """List which keys hosts were enrolled with, and who vouched for their TPMs"""

    FIELDS: ClassVar = {
        "Host": "name of the compute host",
        "Suite": "algorithms of its attestation key",
        "EK accepted by": "what vouched for its TPM: a maker's certificate, a pin, an operator",
        "Manufacturer": "the TPM's maker as its EK certificate says, empty without one",
        "Enrolled at": "when (ISO 8601)",
        "EK SHA-256": "of the TPMT_PUBLIC of its endorsement key, hex",
        "Refused EKs": "how many other keys asked for the name, 16 at most: claimed, not proved",
    }

    @refusals.told
    def take_action(self, _parsed_args: argparse.Namespace) -> Any:
        found = client_of(self.app.client_manager).enrolments()
        return tuple(self.FIELDS), [
            (
                one.host,
                one.suite,
                one.ek_accepted_by,
                one.manufacturer,
                one.enrolled_at,
                one.ek_sha256,
                len(one.refused_ek_sha256),
            )
            for one in found
        ]


class ShowEnrolment(TellsFields, OneHost, command.ShowOne):
    """Show which keys a host was enrolled with, and who vouched for its TPM"""

    FIELDS: ClassVar = {
        "host": "name of the compute host",
        "suite": "algorithms of its attestation key",
        "enrolled_at": "when (ISO 8601)",
        "ek_accepted_by": "what vouched for its TPM: a maker's certificate, a pin, an operator",
        "ek_sha256": "of the TPMT_PUBLIC of its endorsement key, hex",
        "ak_name": "TPM name of its attestation key, hex",
        "manufacturer": "the TPM's maker as its EK certificate says, null without one",
        "refused_ek_sha256": "other keys that asked for the name, the last 16: claimed, not proved",
    }

    @refusals.told
    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        found = client_of(self.app.client_manager).enrolment(parsed_args.host)
        return tuple(self.FIELDS), [getattr(found, name) for name in self.FIELDS]
