# SPDX-License-Identifier: Apache-2.0
"""Group [crypto]: who checks SM2 signatures and SM3 digests."""

from __future__ import annotations

from oslo_config import cfg

GROUP = cfg.OptGroup("crypto", title="Providers of the Chinese algorithms")

OPTIONS = [
    cfg.StrOpt(
        "provider",
        default="openssl",
        help="Provider of SM2, SM3 and SM4, of entry point group e2etrust.crypto: 'openssl'"
        " (native) or 'gmssl' (pure Python, slow).",
    ),
    cfg.StrOpt(
        "second_opinion",
        default="",
        help="A second provider that every SM2, SM3 and SM4 answer is got from as well. Where the"
        " two do not agree the evidence is refused (CRYPTO_OPINIONS_DIFFER). Empty: none.",
    ),
]
