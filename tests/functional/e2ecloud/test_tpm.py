# SPDX-License-Identifier: Apache-2.0
"""A host's TPM chip: a real swtpm, power-cycled."""

import subprocess

import pytest

from e2ecloud import process, tpm
from e2ecloud.layout import HOSTS

HOST = HOSTS[0]
TCTI = {"TPM2TOOLS_TCTI": f"swtpm:path=/run/e2etrust-tpm/{HOST.name}/tpm.sock"}


@pytest.fixture
def chip(cloud, space):
    tpm.manufacture(cloud, HOST)
    tpm.power_on(cloud, space, HOST)
    tools(space, "tpm2_startup", "--clear")
    return space


def tools(space, *argv):
    return process.run(space, argv, environment=TCTI)


def pcr_0(space):
    return tools(space, "tpm2_pcrread", "sha256:0")


def clock(space):
    return tools(space, "tpm2_readclock")


def ek(space, cloud):
    path = cloud.root / "ek.pub"
    tools(space, "tpm2_readpublic", "-c", "0x81010001", "-o", str(path))
    return path.read_bytes()


def power_cycle(cloud, space):
    tpm.power_off(cloud, space, HOST)
    tpm.power_on(cloud, space, HOST)
    tools(space, "tpm2_startup", "--clear")


def test_a_power_cycle_resets_pcrs_raises_reset_count_and_keeps_the_ek(cloud, chip):
    fresh, identity, before = pcr_0(chip), ek(chip, cloud), clock(chip)
    tools(chip, "tpm2_pcrextend", f"0:sha256={'ab' * 32}")
    assert pcr_0(chip) != fresh
    power_cycle(cloud, chip)
    assert pcr_0(chip) == fresh
    assert ek(chip, cloud) == identity
    assert reset_count(clock(chip)) == reset_count(before) + 1


def reset_count(text):
    return int(text.split("reset_count:")[1].split()[0])


def test_the_ek_certificate_chains_to_the_makers_authority(cloud, chip):
    certificate = cloud.root / "ek.der"
    tools(chip, "tpm2_nvread", "-C", "o", "-o", str(certificate), "0x01c00002")
    bundle = cloud.root / "ca.pem"
    bundle.write_text(tpm.ca_bundle(cloud))
    subprocess.run(
        ["openssl", "x509", "-inform", "der", "-in", certificate, "-out", f"{certificate}.pem"],
        check=True,
    )
    # The EK's key usage is not one of TLS; the chain is what is asked here.
    verified = subprocess.run(
        ["openssl", "verify", "-CAfile", bundle, f"{certificate}.pem"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr


def test_a_chip_is_made_once(cloud):
    tpm.manufacture(cloud, HOST)
    state = cloud.tpm / HOST.name / "tpm2-00.permall"
    before = state.read_bytes()
    tpm.manufacture(cloud, HOST)
    assert state.read_bytes() == before
