# SPDX-License-Identifier: Apache-2.0
"""The library: what a proof is, how it is judged, and how an image is sealed.

Rooms: ``suites`` (algorithms by name), ``tpm`` (talks to a TPM 2.0), ``evidence`` (quotes and
event logs as values), ``appraisal`` (policy in, verdict out), ``sealed`` (LUKS2 images),
``launch`` (what is measured when a server starts), ``messages`` and ``wire`` (typed values that
cross a machine's border).  Nothing here knows OpenStack, libvirt, a network or a database.
"""
