# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from castellan.common import exception
from castellan.common.objects import symmetric_key
from oslo_config import cfg

from e2etrust_core.errors import InputError
from e2etrust_core.sealed.key_name import named_for
from e2etrust_verifier import conf as configuration
from e2etrust_verifier.keys import CastellanKeys
from e2etrust_verifier.trust.errors import KeyDenied, KeyUnavailable, KeyUnknown

KEY_ID = "11111111-2222-3333-4444-555555555555"


class HttpError(Exception):
    def __init__(self, status_code):
        super().__init__("expected value in the body")
        self.status_code = status_code


class Manager:
    def __init__(self, answer):
        self.answer = answer

    def get(self, _context, _key_id):
        if isinstance(self.answer, HttpError):
            try:
                raise self.answer
            except HttpError as exc:
                raise exception.KeyManagerError(reason=exc)  # noqa: B904 (as castellan does)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def keys(answer, monkeypatch):
    monkeypatch.setattr("castellan.key_manager.API", lambda _conf: Manager(answer))
    conf = cfg.ConfigOpts()
    configuration.load([], conf)
    return CastellanKeys(conf)


def test_key_comes_as_bytes(monkeypatch):
    key = symmetric_key.SymmetricKey("SM4", 256, b"k" * 32)
    assert keys(key, monkeypatch).image_key(KEY_ID, "p1") == b"k" * 32


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (HttpError(403), KeyDenied),
        (HttpError(401), KeyDenied),
        (HttpError(500), KeyUnavailable),
        (exception.Forbidden(), KeyDenied),
        (exception.ManagedObjectNotFoundError(uuid=KEY_ID), KeyUnknown),
        (ConnectionError("down"), KeyUnavailable),
        (symmetric_key.SymmetricKey("SM4", 256, None), KeyUnavailable),
    ],
)
def test_each_failure_has_its_code_and_remedy_and_no_detail(answer, kind, monkeypatch):
    with pytest.raises(kind) as caught:
        keys(answer, monkeypatch).image_key(KEY_ID, "p1")
    assert caught.value.remedy
    assert "expected value" not in str(caught.value)


@pytest.mark.parametrize("key_id", ["", "../x", KEY_ID.upper() + "/payload", "http://x/" + KEY_ID])
def test_key_id_that_is_no_uuid_asks_nobody(key_id, monkeypatch):
    with pytest.raises(InputError):
        keys(AssertionError("asked"), monkeypatch).image_key(key_id, "p1")


def test_key_that_is_named_for_another_project_is_refused(monkeypatch):
    key = symmetric_key.SymmetricKey("SM4", 256, b"k" * 32, name=named_for("debian", "p2"))
    with pytest.raises(KeyDenied):
        keys(key, monkeypatch).image_key(KEY_ID, "p1")
    assert keys(key, monkeypatch).image_key(KEY_ID, "p2") == b"k" * 32
