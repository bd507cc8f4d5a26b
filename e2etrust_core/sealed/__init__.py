# SPDX-License-Identifier: Apache-2.0
"""Sealed images: a disk's ciphertext at its own offsets, and a detached LUKS2 header behind it.

``image`` opens and checks a sealed file, ``reader`` shows its plain view, ``sealing`` makes one.
Below them: ``luks2`` (the header), ``token`` and ``footer`` (where our parts stand), ``merkle``
(integrity), ``sm4xts`` and ``gcrypt`` (ciphers), ``layout`` (what `main` covers).
"""
