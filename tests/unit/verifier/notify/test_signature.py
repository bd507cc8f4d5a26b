# SPDX-License-Identifier: Apache-2.0
"""Signatures are what the Standard Webhooks project's own library takes."""

from __future__ import annotations

import base64
import time

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from e2etrust_verifier.notify import signature
from e2etrust_verifier.notify.signature import WebhookSecretError, read_secrets

OLD, NEW = bytes(range(24)), bytes(range(32, 96))
BODY = '{"type":"e2etrust.host.trusted","data":{"host":"hôst1"}}'.encode()


def spoken(secret: bytes) -> str:
    return "whsec_" + base64.b64encode(secret).decode()


def written(path, text, mode=0o600):
    path.touch(mode)
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_specifications_own_library_takes_what_is_signed():
    made = signature.headers([OLD], "msg-1", int(time.time()), BODY)
    assert Webhook(spoken(OLD)).verify(BODY.decode(), made)["type"] == "e2etrust.host.trusted"


def test_published_vector_of_the_specification():
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    number = "msg_p5jXN8AQM9LWM0D4loKWxJek"
    made = signature.headers([secret], number, 1614265330, b'{"test": 2432232314}')
    assert made["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_receiver_with_the_old_or_the_new_secret_takes_it_and_one_with_another_does_not():
    made = signature.headers([NEW, OLD], "msg-1", int(time.time()), BODY)
    for secret in (OLD, NEW):
        Webhook(spoken(secret)).verify(BODY.decode(), made)
    with pytest.raises(WebhookVerificationError):
        Webhook(spoken(b"x" * 24)).verify(BODY.decode(), made)


@pytest.mark.parametrize("changed", ["webhook-id", "webhook-timestamp", "body"])
def test_what_was_changed_on_the_way_is_noticed(changed):
    now = int(time.time())
    made = signature.headers([OLD], "msg-1", now, BODY)
    body = BODY.decode()
    if changed == "body":
        body = body.replace("trusted", "failed!")
    else:
        made[changed] = {"webhook-id": "msg-2", "webhook-timestamp": str(now - 1)}[changed]
    with pytest.raises(WebhookVerificationError):
        Webhook(spoken(OLD)).verify(body, made)


def test_file_with_two_secrets(tmp_path):
    path = written(tmp_path / "s", f"{spoken(NEW)}\n{spoken(OLD)}\n")
    assert read_secrets(path) == [NEW, OLD]


@pytest.mark.parametrize(
    "text",
    ["", "whsec_", "secret", "whsec_!!", spoken(b"short"), spoken(b"l" * 65), spoken(OLD)[6:]],
)
def test_what_is_no_secret_is_refused_and_not_repeated(tmp_path, text):
    with pytest.raises(WebhookSecretError) as caught:
        read_secrets(written(tmp_path / "s", text))
    assert len(text) < 10 or text not in str(caught.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_secret_that_others_can_use_is_refused_with_the_remedy(tmp_path, mode):
    with pytest.raises(WebhookSecretError, match="WEBHOOK_SECRET") as caught:
        read_secrets(written(tmp_path / "s", spoken(OLD), mode))
    assert caught.value.remedy.startswith("chmod 0600")


def test_missing_secret_says_how_to_make_one(tmp_path):
    with pytest.raises(WebhookSecretError) as caught:
        read_secrets(tmp_path / "absent")
    assert "whsec_" in caught.value.remedy
