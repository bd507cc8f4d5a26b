# SPDX-License-Identifier: Apache-2.0
"""The chapters in the order they are told; each stands on what the ones before left."""

from __future__ import annotations

from e2edemo.chapter import Chapter
from e2edemo.story import (
    every_server,
    forced_host,
    hosts_enrol,
    missing_hook,
    plain_flavors,
    policy_learnt,
    power_cut,
    replay,
    sealing,
    stale_start,
    tampering,
    trusted_boot,
    verifier_outage,
)

CHAPTERS = (
    Chapter(1, "Two hosts enrol and attest; both are leased", "PASS", hosts_enrol.tell),
    Chapter(2, "A guest image is sealed (main and full) and uploaded", "PASS", sealing.tell),
    Chapter(3, "Sealed VMs boot, read their secret, and are verified", "PASS", trusted_boot.tell),
    Chapter(4, "Host 2 is tampered with: no new trusted VM there", "REFUSED", tampering.tell),
    Chapter(5, "OSSN-0059: a stopped VM does not start on host 2", "REFUSED", stale_start.tell),
    Chapter(6, "An administrator forces a VM onto host 2", "REFUSED", forced_host.tell),
    Chapter(7, "Recorded quotes and another host's quotes", "REFUSED", replay.tell),
    Chapter(8, "A policy of events is learnt from host 1", "PASS", policy_learnt.tell),
    Chapter(9, "The verifier is stopped and comes back", "PASS", verifier_outage.tell),
    Chapter(10, "Power is cut on a good host; it serves again", "PASS", power_cut.tell),
    Chapter(11, "The hook is taken away under libvirtd", "REFUSED", missing_hook.tell),
    Chapter(12, "Plain flavors are unaffected", "PASS", plain_flavors.tell),
    Chapter(13, "Hosts that demand trust for every server", "REFUSED", every_server.tell),
)
