# SPDX-License-Identifier: Apache-2.0
"""The canonical machine definition, on what libvirt really says at each step."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from e2etrust_core.launch_domain import parse_domain
from e2etrust_nova.errors import LaunchRefused
from e2etrust_nova.hook.firmware import firmware_digest
from e2etrust_nova.hook.machine import canonical_machine, machine_digest
from tests.unit.nova.hook.real_domain import INSTANCE, domain_xml


def digest(text: bytes) -> bytes:
    return machine_digest(parse_domain(text))


def test_machine_is_the_same_at_prepare_and_start() -> None:
    assert domain_xml("prepare-begin") != domain_xml("start-begin")
    assert digest(domain_xml("prepare-begin")) == digest(domain_xml("start-begin"))


def test_two_servers_of_one_kind_have_the_same_machine() -> None:
    other = "11111111-2222-4333-8444-555555555555"
    moved = domain_xml("prepare-begin", (INSTANCE, other), ("instance-00000007", "instance-8"))
    assert digest(moved) == digest(domain_xml())


@pytest.mark.parametrize(
    "edit",
    [
        ("<memory unit='KiB'>262144", "<memory unit='KiB'>262145"),
        ("pc-q35-10.0", "pc-q35-9.2"),
        ("/usr/bin/qemu-system-x86_64", "/tmp/qemu"),
        ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/tmp/evil.fd"),
        ("secure='no'", "secure='yes'"),
        ("model='tpm-crb'", "model='tpm-tis'"),
        (f"{INSTANCE}/disk'", f"{INSTANCE}/disk.other'"),
        ("cache='none'", "cache='unsafe'"),
        ("</devices>", "<memballoon model='none'/></devices>"),
    ],
)
def test_any_change_of_the_machine_changes_the_digest(edit: tuple[str, str]) -> None:
    assert digest(domain_xml("prepare-begin", edit)) != digest(domain_xml())


def test_qemu_command_line_of_an_administrator_counts() -> None:
    extra = (
        "<qemu:commandline xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>"
        "<qemu:arg value='-snapshot'/></qemu:commandline></domain>"
    )
    assert digest(domain_xml("prepare-begin", ("</domain>", extra))) != digest(domain_xml())


SYSINFO = "<sysinfo type='smbios'><system><entry name='serial'>%s</entry></system>%s</sysinfo>"


def test_serial_numbers_are_ids_and_oem_strings_are_not() -> None:
    """systemd takes passwords and units out of OEM strings."""

    def with_sysinfo(serial: str, more: str = "") -> bytes:
        sysinfo = SYSINFO % (serial, more)
        return digest(domain_xml("prepare-begin", ("</devices>", f"</devices>{sysinfo}")))

    oem = "<oemStrings><entry>io.systemd.credential:passwd.plaintext-password.root=x</entry>"
    assert with_sysinfo("1") == with_sysinfo("2")
    assert with_sysinfo("1", f"{oem}</oemStrings>") != with_sysinfo("1")


def test_metadata_and_ids_are_left_out() -> None:
    text = canonical_machine(parse_domain(domain_xml())).decode()
    assert INSTANCE not in text
    assert "creationTime" not in text


def test_firmware_digest_is_of_the_loaders_bytes(tmp_path: Path) -> None:
    image = tmp_path / "code.fd"
    image.write_bytes(b"firmware")
    edited = domain_xml("prepare-begin", ("/usr/share/OVMF/OVMF_CODE_4M.fd", str(image)))
    assert firmware_digest(parse_domain(edited)) == hashlib.sha256(b"firmware").digest()


def test_without_a_loader_qemus_default_is_measured(tmp_path: Path) -> None:
    (tmp_path / "bios").write_bytes(b"seabios")
    domain = parse_domain(b"<domain><os><type>hvm</type></os></domain>")
    found = firmware_digest(domain, (tmp_path / "none", tmp_path / "bios"))
    assert found == hashlib.sha256(b"seabios").digest()


@pytest.mark.parametrize(
    "system",
    [
        "<os firmware='efi'/>",
        "<os><loader>/nowhere</loader></os>",
        "<os><loader>/tmp</loader></os>",
        "<os><loader>/dev/null</loader></os>",
    ],
)
def test_firmware_that_cannot_be_told_is_refused(system: str, tmp_path: Path) -> None:
    (tmp_path / "bios").write_bytes(b"seabios")
    domain = parse_domain(f"<domain>{system}</domain>".encode())
    with pytest.raises(LaunchRefused, match="FIRMWARE_UNKNOWN"):
        firmware_digest(domain, (tmp_path / "bios",))
    (tmp_path / "empty").touch()
    for default in ((), (tmp_path / "empty",)):
        with pytest.raises(LaunchRefused, match="FIRMWARE_UNKNOWN"):
            firmware_digest(parse_domain(b"<domain><os/></domain>"), default)


@pytest.mark.parametrize("loader", ["", "<loader>{}</loader>"])
def test_kernel_beside_the_disk_is_refused_whatever_firmware_starts_it(
    loader: str, tmp_path: Path
) -> None:
    """It would have had the opened disk of a sealed image, and came from the store in plain."""
    (tmp_path / "bios").write_bytes(b"firmware")
    system = f"<os>{loader.format(tmp_path / 'bios')}<kernel>/boot/vmlinuz</kernel></os>"
    with pytest.raises(LaunchRefused, match="KERNEL_UNMEASURED"):
        firmware_digest(parse_domain(f"<domain>{system}</domain>".encode()), (tmp_path / "bios",))
