# SPDX-License-Identifier: Apache-2.0
"""A TPM 2.0 through tpm2-pytss: ``with open_tpm(tcti) as tpm``, then what the host needs of it.

``tcti`` the ways to a TPM; ``device`` the connection; ``keys`` EK and AK, ``ek_templates`` the
kinds of EK, ``ek_nv`` who vouches for it; ``quote``, ``certify`` signed statements; ``pcr``,
``nv``, ``clock`` registers; ``sessions`` encryption on the bus; ``credential``, ``key_unwrap``
what a verifier sends; ``sealing`` what a TPM keeps for itself.  Handles and sessions are context
managers: nothing stays in the TPM.
"""
