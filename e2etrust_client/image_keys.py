# SPDX-License-Identifier: Apache-2.0
"""Image keys in the key manager (Barbican API 1.0), as the tenant's user.

python-barbicanclient and keystoneauth write request bodies to the debug log, and with them the
key; so the few calls go over the session directly, unlogged.
"""

from __future__ import annotations

import base64
import uuid
from typing import Any

from keystoneauth1 import adapter
from keystoneauth1 import exceptions as ks_exc

from e2etrust_client.errors import ClientError
from e2etrust_core.sealed.key_name import named_for

ALGORITHM = "SM4-XTS"
BITS = 256
_OCTETS = "application/octet-stream"


class KeyManagerError(ClientError):
    """The key manager cannot be reached or refused."""

    code = "KEY_MANAGER_REFUSED"
    remedy = "Check `openstack secret list` and that your user has the role creator in the project."


class KeyMissingError(ClientError):
    """There is no such key, it is not yours, or not one for a sealed image."""

    code = "KEY_MISSING"
    remedy = "Check the key id with `openstack secret list`, or leave --key-id out for a new key."


class ImageKeys:
    """A keystoneauth session's view of the secrets that are image keys."""

    def __init__(self, session: Any, **kwargs: Any) -> None:
        self._http = adapter.Adapter(
            session=session, service_type="key-manager", user_agent="e2etrust-client", **kwargs
        )

    def store(self, name: str, key: bytes) -> str:
        """Store a fresh key, for servers of the session's project.

        :returns: its UUID.
        :raises KeyManagerError: it was not stored.
        """
        body = {
            "name": named_for(name, self._project()),
            "algorithm": ALGORITHM,
            "bit_length": BITS,
            "mode": "xts",
            "secret_type": "symmetric",
            "payload": base64.b64encode(key).decode("ascii"),
            "payload_content_type": _OCTETS,
            "payload_content_encoding": "base64",
        }
        reference = self._call("POST", "/secrets", json=body).json()["secret_ref"]
        return str(uuid.UUID(reference.rstrip("/").rpartition("/")[2]))

    def fetch(self, key_id: str) -> bytes:
        """The 32 bytes of an existing key.

        :raises KeyMissingError: there is none that fits.
        :raises KeyManagerError: the key manager failed.
        """
        answer = self._call("GET", f"/secrets/{key_id}/payload", headers={"Accept": _OCTETS})
        if len(answer.content) * 8 != BITS:
            raise KeyMissingError(f"secret {key_id} is not a key of {BITS} bits")
        return answer.content

    def grant(self, key_id: str, user_id: str) -> None:
        """Let one more user read the key; those who could still can.

        :raises KeyManagerError: the access list was not changed.
        """
        rules = self._call("GET", f"/secrets/{key_id}/acl").json().get("read", {})
        users = sorted({*rules.get("users", []), user_id})
        access = rules.get("project-access", True)
        body = {"read": {"users": users, "project-access": access}}
        self._call("PUT", f"/secrets/{key_id}/acl", json=body)

    def delete(self, key_id: str) -> None:
        """Forget a key for good."""
        self._call("DELETE", f"/secrets/{key_id}")

    def _project(self) -> str:
        try:
            project = self._http.get_project_id()
        except ks_exc.ClientException as error:
            raise KeyManagerError(f"keystone does not tell the project: {error}") from error
        if not project:
            raise KeyManagerError(
                "the key has to belong to a project", remedy="Name one with --os-project-name."
            )
        return str(project)

    def _call(self, method: str, path: str, **kwargs: Any) -> Any:
        headers = {"Accept": "application/json", **kwargs.pop("headers", {})}
        try:
            root = (self._http.get_endpoint() or "").rstrip("/")
            if not root:
                raise KeyManagerError("the catalogue has no key manager")
            url = (root if root.endswith("/v1") else root + "/v1") + path
            answer = self._http.request(
                url, method, raise_exc=False, log=False, headers=headers, **kwargs
            )
        except ks_exc.ClientException as error:
            raise KeyManagerError(f"the key manager cannot be reached: {error}") from error
        if answer.status_code == 404:
            raise KeyMissingError("the key manager knows no such key")
        if answer.status_code >= 400:
            raise KeyManagerError(f"the key manager answered HTTP {answer.status_code}")
        return answer
