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
from datetime import UTC, datetime
from pathlib import Path

import pytest

from e2etrust_agent.identity import load_or_create
from e2etrust_core.evidence import errors
from e2etrust_core.evidence.credential import make_credential
from e2etrust_core.evidence.ek_certificate import verify_ek_certificate
from e2etrust_core.evidence.key_wrap import wrap_for_host
from e2etrust_core.evidence.quote import verify_quote
from e2etrust_core.evidence.tpm_structures import name_of
from e2etrust_core.suites import SM2_SM3
from e2etrust_core.tpm.credential import activate_credential
from e2etrust_core.tpm.device import Tpm, open_tpm
from e2etrust_core.tpm.errors import UnwrapRefused
from e2etrust_core.tpm.key_unwrap import unwrap_key
from e2etrust_core.tpm.keys import create_ak, read_ek
from e2etrust_core.tpm.pcr import active_banks, extend_pcr, read_pcrs
from e2etrust_core.tpm.quote import take_quote
from e2etrust_core.tpm.salt_key import KnownHost
from tests.functional.core.test_tpm import in_use, tools
from tests.functional.core.test_tpm_subset import certify_sm2_ek
from tests.functional.swtpm_fixture import EmulatedTpm
from tests.unit.core.evidence.test_ek_certificate import Sm2Authority

SELECTION = {"sm3_256": [0, 7, 16]}


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


@pytest.mark.parametrize("kind", ["sm2", "sm2-sm3"])
def test_host_of_suite_sm2_sm3_enrols_attests_and_opens_a_key_over_a_live_sm3_bank(sm_tpm, kind):
    assert set(active_banks(sm_tpm)) == {"sm3_256", "sha256"}
    ak, ek = create_ak(sm_tpm, SM2_SM3, kind), read_ek(sm_tpm, kind)
    host, secret, nonce = KnownHost(ak, ek.public), secrets.token_bytes(32), b"nonce"
    for _ in range(8):  # a coordinate begins with zeros now and then
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


def test_certificate_in_nv_is_that_of_the_profiles_sm2_key_where_the_tpm_can_make_it(
    sm_tpm, tmp_path
):
    assert read_ek(sm_tpm).kind == "ecc-p256"  # no certificate, whichever it is
    authority = Sm2Authority(tmp_path)
    certificate = certify_sm2_ek(authority, read_ek(sm_tpm, "sm2-sm3").public)
    (tmp_path / "area").write_bytes(certificate)
    tools(sm_tpm, "nvdefine", "0x01C0001A", "-C", "o", "-s", len(certificate))
    tools(sm_tpm, "nvwrite", "0x01C0001A", "-C", "o", "-i", tmp_path / "area")
    found = read_ek(sm_tpm)
    assert (found.kind, found.certificate) == ("sm2-sm3", certificate)
    verify_ek_certificate(certificate, found.public, authority.pem, datetime.now(UTC))
    # So an agent on such a TPM enrols by itself.
    identity = load_or_create(sm_tpm, "host1", "sm2-sm3", tmp_path / "agent")
    assert (identity.ak.ek_kind, identity.ek_certificate) == ("sm2-sm3", certificate)
    host, secret = KnownHost(identity.ak, identity.ek_public), secrets.token_bytes(32)
    credential = make_credential(identity.ek_public, name_of(identity.ak.public), secret)
    assert activate_credential(sm_tpm, host, *credential) == secret
