# SPDX-License-Identifier: Apache-2.0
"""The compute host's service: owns the host TPM and speaks for it.

It enrols the host, attests it before every lease runs out, answers the libvirt hook on a
root-only Unix socket and opens keys that were wrapped for its TPM.
"""
