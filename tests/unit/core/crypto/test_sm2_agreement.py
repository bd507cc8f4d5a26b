# SPDX-License-Identifier: Apache-2.0
"""Points of the SM2 curve: against the standard's numbers and another library."""

from __future__ import annotations

import pytest
from gmssl import sm2

from e2etrust_core.crypto.provider import N, P, PointWrong, Sm2PublicKey
from e2etrust_core.crypto.sm2_agreement import agree, multiply
from tests.unit.core.crypto.test_providers import KEY

#: GB/T 32918.5, annex A: the private key of KEY.
PRIVATE = 0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8
GENERATOR = Sm2PublicKey(
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)


def by_gmssl(number: int, point: Sm2PublicKey) -> Sm2PublicKey:
    other = sm2.CryptSM2(private_key="", public_key=f"{1:0128x}")
    found = other._kg(number, f"{point.x:064x}{point.y:064x}")
    return Sm2PublicKey(int(found[:64], 16), int(found[64:128], 16))


def test_public_key_of_the_standard_comes_out_of_its_private_key():
    assert multiply(PRIVATE) == KEY


@pytest.mark.parametrize("number", [1, 2, 3, N - 1, PRIVATE, 0x1234567])
def test_products_are_those_of_another_library(number):
    assert multiply(number, KEY) == by_gmssl(number, KEY)
    assert multiply(number) == by_gmssl(number, GENERATOR)


def test_both_sides_come_to_one_secret():
    shared, ours = agree(KEY)
    assert multiply(PRIVATE, ours).x.to_bytes(32, "big") == shared


def test_no_two_secrets_are_equal():
    assert len({agree(KEY)[0] for _ in range(20)}) == 20


def test_point_off_the_curve_never_gets_there():
    with pytest.raises(PointWrong):
        multiply(2, Sm2PublicKey(KEY.x, (KEY.y + 1) % P))
