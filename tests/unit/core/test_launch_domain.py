# SPDX-License-Identifier: Apache-2.0
"""What a domain's XML says about trust."""

from __future__ import annotations

import pytest

from e2etrust_core.launch_domain import (
    DomainError,
    domain_demand,
    parse_domain,
    parse_status,
    read_domain,
)
from e2etrust_nova.demand import demand_of
from tests.unit.nova.hook.real_domain import DIRECTORY, INSTANCE, TRUST_SPEC, domain_xml, plain_xml

PROPERTY = '<nova:property name="hw_firmware_type">uefi</nova:property>'


@pytest.mark.parametrize("step", ["prepare-begin", "start-begin", "started-begin"])
def test_real_domain_of_a_trusted_flavor_is_read(step: str) -> None:
    domain = domain_demand(domain_xml(step))
    assert domain.instance == INSTANCE
    assert domain.demand.reasons == ("flavor trust:trusted_host=trusted",)
    assert domain.project == "bb0000000000000000000000000000bb"
    assert domain.image == "15d1a2ae-0000-4000-8000-000000000002"
    assert domain.flavor == "trusted"
    assert domain.has_vtpm
    assert domain.disks == (f"/var/lib/nova/instances/{INSTANCE}/disk",)


def test_plain_flavor_demands_nothing() -> None:
    domain = domain_demand(plain_xml())
    assert domain.made_by_nova
    assert not domain.demand


@pytest.mark.parametrize("value", ["untrusted", "Trusted", ""])
def test_other_values_of_the_extra_spec_never_ask_for_nothing(value: str) -> None:
    assert domain_demand(
        domain_xml("prepare-begin", (">trusted</nova:extraSpec>", f">{value}</nova:extraSpec>"))
    ).demand


@pytest.mark.parametrize(
    ("name", "value", "sealed"),
    [
        ("e2etrust_sealed", "main", True),
        ("os_encrypt_format", "LUKS", True),
        ("os_encrypt_key_id", "k", True),
        ("traits_required", "['CUSTOM_E2ETRUST_TRUSTED']", False),
    ],
)
def test_image_property_demands_trust(name: str, value: str, sealed: bool) -> None:
    new = f'<nova:property name="{name}">{value}</nova:property>'
    domain = domain_demand(domain_xml("prepare-begin", (PROPERTY, new), (TRUST_SPEC, "")))
    assert domain.demand
    assert domain.demand.sealed is sealed


def test_required_trait_in_the_flavor_demands_trust() -> None:
    new = '<nova:extraSpec name="trait:CUSTOM_E2ETRUST_TRUSTED">required</nova:extraSpec>'
    assert domain_demand(domain_xml("prepare-begin", (TRUST_SPEC, new))).demand


def test_longer_trait_name_is_another_trait() -> None:
    new = "<nova:property name=\"traits_required\">['CUSTOM_E2ETRUST_TRUSTED_NOT']</nova:property>"
    edited = domain_xml("prepare-begin", (PROPERTY, new), (TRUST_SPEC, ""))
    assert not domain_demand(edited).demand


@pytest.mark.parametrize(
    ("key", "value", "level"),
    [
        ("trust:trusted_host", "trusted", 1),
        ("trust:trusted_host", "yes", 10),
        ("trust:min_level", "4", 4),
        ("trust:min_level", "ten", 10),
        ("trait1:CUSTOM_E2ETRUST_LEVEL_3", "required", 3),
        ("trait:CUSTOM_E2ETRUST_LEVEL_3", "forbidden", 0),
    ],
)
def test_level_that_the_flavor_demands(key: str, value: str, level: int) -> None:
    new = f'<nova:extraSpec name="{key}">{value}</nova:extraSpec>'
    demand = domain_demand(domain_xml("prepare-begin", (TRUST_SPEC, new))).demand
    assert (demand.level, bool(demand)) == (level, level > 0)


def test_levels_of_flavor_and_image_the_higher_counts() -> None:
    traits = "['HW_CPU_X86_AVX2', 'CUSTOM_E2ETRUST_LEVEL_2', 'CUSTOM_E2ETRUST_LEVEL_5']"
    new = f'<nova:property name="traits_required">{traits}</nova:property>'
    assert domain_demand(domain_xml("prepare-begin", (PROPERTY, new))).demand.level == 5


@pytest.mark.parametrize(
    "value",
    ["trusted", "untrusted", "3", "0", "10", " 2", "required"],
)
@pytest.mark.parametrize(
    "key",
    [
        "trust:trusted_host",
        "trust:min_level",
        "trait:CUSTOM_E2ETRUST_TRUSTED",
        "trait_A:CUSTOM_E2ETRUST_LEVEL_7",
        "hw:cpu_policy",
    ],
)
def test_gate_demands_at_least_what_the_filter_did(key: str, value: str) -> None:
    new = f'<nova:extraSpec name="{key}">{value}</nova:extraSpec>'
    gate = domain_demand(domain_xml("prepare-begin", (TRUST_SPEC, new))).demand.level
    assert gate == demand_of({key: value})


def test_host_may_demand_trust_for_every_server() -> None:
    plain = read_domain(parse_domain(plain_xml()), every_server=True)
    assert plain.demand.reasons == ("host [agent] demand=always",)
    assert plain.demand.level == 1
    trusted = read_domain(parse_domain(domain_xml()), every_server=True)
    assert len(trusted.demand.reasons) == 2


def test_host_that_demands_for_every_server_means_those_without_nova_too() -> None:
    text = domain_xml().decode()
    cut = text[: text.index("<metadata>")] + text[text.index("</metadata>") + 11 :]
    assert read_domain(parse_domain(cut.encode()), every_server=True).demand


def test_domain_without_novas_metadata_demands_nothing() -> None:
    text = domain_xml().decode()
    cut = text[: text.index("<metadata>")] + text[text.index("</metadata>") + 11 :]
    domain = domain_demand(cut.encode())
    assert not domain.made_by_nova
    assert not domain.demand


@pytest.mark.parametrize(
    "edit",
    [
        ("nova:flavor", "nova:flavour"),
        ("nova:extraSpecs>", "nova:others>"),
        (f"<uuid>{INSTANCE}</uuid>", "<uuid>../../etc</uuid>"),
        ("<name>instance-00000007</name>", "<name></name>"),
        ("</domain>", ""),
        ("<domain ", "<!DOCTYPE domain [<!ENTITY x 'y'>]><domain "),
        ("<memory", "<a>" * 70 + "</a>" * 70 + "<memory"),
    ],
)
def test_what_cannot_be_read_is_refused(edit: tuple[str, str]) -> None:
    with pytest.raises(DomainError) as caught:
        domain_demand(domain_xml("prepare-begin", edit))
    assert caught.value.code == "DOMAIN_UNREADABLE"


def test_metadata_given_twice_is_refused() -> None:
    text = domain_xml().decode()
    block = text[text.index("<nova:instance") : text.index("</nova:instance>") + 16]
    with pytest.raises(DomainError, match="more than once"):
        domain_demand(text.replace(block, block + block).encode())


def test_too_long_xml_is_refused_unread() -> None:
    with pytest.raises(DomainError):
        parse_domain(b"<domain>" + b" " * (4 * 1024 * 1024) + b"</domain>")


def test_status_file_of_libvirt_gives_process_and_domain() -> None:
    status = parse_status((DIRECTORY / "status.xml").read_bytes())
    assert status.pid > 0
    assert status.domain.findtext("uuid") == INSTANCE


def test_domain_is_not_taken_for_a_status_nor_a_status_for_a_domain() -> None:
    with pytest.raises(DomainError):
        parse_status(domain_xml())
    for text in (
        b"<other pid='1'><domain/></other>",
        b"<domstatus pid='1'/>",
        b"<domstatus><domain/></domstatus>",
        b"<domstatus pid='-1'><domain/></domstatus>",
    ):
        with pytest.raises(DomainError):
            parse_status(text)
    with pytest.raises(DomainError):
        parse_domain((DIRECTORY / "status.xml").read_bytes())
