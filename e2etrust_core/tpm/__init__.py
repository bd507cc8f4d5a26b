# SPDX-License-Identifier: Apache-2.0
"""A TPM 2.0 through tpm2-pytss: ``with open_tpm(tcti) as tpm``, then keys, quote, pcr, clock."""
