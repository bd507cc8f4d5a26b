# SPDX-License-Identifier: Apache-2.0
"""A live TPM with an SM3 bank and SM4, which no distribution's libtpms has.

``E2ETRUST_SM_LIBTPMS`` names a folder with a libtpms.so.0 that was built with SM3 and SM4
(doc/source/contributor/testing.rst says how); without it these tests are skipped and say so.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tpm2_pytss import (
    ESYS_TR,
    TPM2_ALG,
    TPM2B_DATA,
    TPM2B_ENCRYPTED_SECRET,
    TPM2B_ID_OBJECT,
    TPM2B_PRIVATE,
    TPM2B_SENSITIVE_CREATE,
    TPMT_SYM_DEF_OBJECT,
)

from e2etrust_core.evidence import errors
from e2etrust_core.evidence.credential import make_credential
from e2etrust_core.evidence.key_wrap import wrap_for_host
from e2etrust_core.evidence.quote import verify_quote
from e2etrust_core.evidence.tpm_bytes import sized, uint, unsized
from e2etrust_core.evidence.tpm_structures import name_of
from e2etrust_core.suites import SM2_SM3
from e2etrust_core.tpm.credential import activate_credential
from e2etrust_core.tpm.device import Tpm, flushed, open_tpm
from e2etrust_core.tpm.errors import UnwrapRefused
from e2etrust_core.tpm.key_unwrap import unwrap_key
from e2etrust_core.tpm.keys import create_ak, read_ek, tss_public
from e2etrust_core.tpm.pcr import active_banks, extend_pcr, read_pcrs, tss_selection
from e2etrust_core.tpm.quote import take_quote
from e2etrust_core.tpm.salt_key import KnownHost
from e2etrust_core.tpm.sessions import policy_session
from tests.functional.core.test_tpm import in_use
from tests.functional.swtpm_fixture import EmulatedTpm
from tests.unit.core.sm2_tpm import SM2_CURVE, SM2_SCHEME, SM3, SM4_128_CFB
from tests.unit.core.software_tpm import AK_ATTRIBUTES, NULL

SELECTION = {"sm3_256": [0, 7, 16]}
#: EK Credential Profile, template H-5, but for its policy, which userWithAuth makes an alternative.
EK_ATTRIBUTES = 0x000300F2
ECC = uint(0x0023, 2)


@pytest.fixture(scope="module")
def sm_tpm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tpm]:
    library = os.environ.get("E2ETRUST_SM_LIBTPMS")
    if not library:
        pytest.skip("no libtpms with SM3 and SM4 (set E2ETRUST_SM_LIBTPMS)")
    home = tmp_path_factory.mktemp("chip")
    (home / "state").mkdir()
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as sockets:
        patch.setenv("LD_LIBRARY_PATH", library)
        setup = ["swtpm_setup", "--tpm2", "--tpmstate", str(home / "state")]
        subprocess.run([*setup, "--pcr-banks", "sm3-256,sha256"], check=True, capture_output=True)
        made = EmulatedTpm(home, home, Path(sockets) / "0")
        made.power_on()
        patch.undo()
        with open_tpm(made.tcti) as tpm:
            yield tpm
        made.power_off()


def test_host_of_suite_sm2_sm3_enrols_attests_and_opens_a_key_over_a_live_sm3_bank(sm_tpm):
    assert set(active_banks(sm_tpm)) == {"sm3_256", "sha256"}
    ak, ek = create_ak(sm_tpm, SM2_SM3, "sm2"), read_ek(sm_tpm, "sm2")
    host, secret, nonce = KnownHost(ak, ek.public), secrets.token_bytes(32), b"nonce"
    credential = make_credential(ek.public, name_of(ak.public), secret)
    assert activate_credential(sm_tpm, host, *credential) == secret
    extend_pcr(sm_tpm, 16, {"sm3_256": b"\1" * 32})
    quote = take_quote(sm_tpm, ak, nonce, SELECTION)
    facts = verify_quote(quote, ak.public, nonce, SELECTION, ek.public)
    assert facts.pcrs == read_pcrs(sm_tpm, SELECTION)
    wrapped = wrap_for_host(ek.public, secret, SELECTION, facts.pcrs)
    assert unwrap_key(sm_tpm, host, wrapped) == secret
    extend_pcr(sm_tpm, 16, {"sm3_256": b"\2" * 32})
    with pytest.raises(UnwrapRefused):
        unwrap_key(sm_tpm, host, wrapped)
    with pytest.raises(errors.NonceMismatch):
        verify_quote(quote, ak.public, b"other", SELECTION, ek.public)
    assert in_use(sm_tpm) == []


def ecc_template(attributes: int, symmetric: bytes, scheme: bytes) -> bytes:
    head = ECC + SM3 + uint(attributes, 4) + sized(b"")
    return head + symmetric + scheme + SM2_CURVE + NULL + sized(b"") * 2


def test_tpm_opens_what_was_made_for_an_ek_named_by_sm3_that_protects_by_sm4(sm_tpm):
    nothing, secret = TPM2B_SENSITIVE_CREATE(), secrets.token_bytes(32)
    with sm_tpm.connected() as esys:
        template = tss_public(ecc_template(EK_ATTRIBUTES, SM4_128_CFB, NULL))
        ek, public, *_ = esys.create_primary(nothing, template, ESYS_TR.ENDORSEMENT)
        with flushed(esys, ek):
            area = public.publicArea.marshal()
            template = tss_public(ecc_template(AK_ATTRIBUTES, NULL, SM2_SCHEME + SM3))
            private, ak_public, *_ = esys.create(ek, nothing, template)
            name = name_of(ak_public.publicArea.marshal())
            with flushed(esys, esys.load(ek, private, ak_public)) as ak:
                for _ in range(8):  # a coordinate begins with zeros now and then
                    blob, seed = (unsized(one, "") for one in make_credential(area, name, secret))
                    found = esys.activate_credential(
                        ak, ek, TPM2B_ID_OBJECT(blob), TPM2B_ENCRYPTED_SECRET(seed)
                    )
                    assert bytes(found) == secret
            assert open_wrapped(sm_tpm, esys, ek, area, secret) == secret


def open_wrapped(tpm: Tpm, esys, ek: ESYS_TR, ek_public: bytes, secret: bytes) -> bytes:
    wrapped = wrap_for_host(ek_public, secret, SELECTION, read_pcrs(tpm, SELECTION))
    public = tss_public(unsized(wrapped.public, ""))
    private = esys.import_(
        ek,
        TPM2B_DATA(),
        public,
        TPM2B_PRIVATE(unsized(wrapped.duplicate, "")),
        TPM2B_ENCRYPTED_SECRET(unsized(wrapped.encrypted_seed, "")),
        TPMT_SYM_DEF_OBJECT(algorithm=TPM2_ALG.NULL),
    )
    with flushed(esys, esys.load(ek, private, public)) as sealed, policy_session(esys) as session:
        esys.policy_pcr(session, None, tss_selection(SELECTION))
        return bytes(esys.unseal(sealed, session1=session))
