# SPDX-License-Identifier: Apache-2.0
"""Image keys, from the key manager that castellan is configured for."""

from __future__ import annotations

import logging
from typing import Any

from castellan import key_manager
from castellan.common import exception as castellan_exc
from keystoneauth1 import loading
from oslo_config import cfg
from oslo_context import context

from e2etrust_core.sealed.key_name import may_use
from e2etrust_verifier.trust.errors import KeyDenied, KeyUnavailable, KeyUnknown
from e2etrust_verifier.trust.names import check_uuid

LOG = logging.getLogger(__name__)


class _ServiceContext(context.RequestContext):
    """Castellan's way to be told who asks: the account of [service_auth]."""

    def __init__(self, auth: Any) -> None:
        super().__init__(overwrite=False)
        self._auth = auth

    def get_auth_plugin(self) -> Any:
        return self._auth


class CastellanKeys:
    """A :class:`~e2etrust_verifier.trust.surroundings.KeySource` over castellan.

    Keys pass through; none is kept.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._manager = key_manager.API(conf)
        self._context = _ServiceContext(loading.load_auth_from_conf_options(conf, "service_auth"))

    def image_key(self, key_id: str, project: str | None) -> bytes:
        """Return the key's bytes.

        :param project: of the server that is to start, None where it has none.
        :raises KeyDenied: the tenant has not given the verifier read access, or the key is for
            servers of other projects.
        :raises KeyUnknown: there is no such key.
        :raises KeyUnavailable: the key manager does not answer, or with something else.
        """
        check_uuid(key_id, "key_id")
        try:
            found = self._manager.get(self._context, key_id)
            key = found.get_encoded()
        except castellan_exc.ManagedObjectNotFoundError:
            raise KeyUnknown(f"the key manager has no key {key_id}") from None
        except Exception as exc:
            if _status(exc) in (401, 403) or isinstance(exc, castellan_exc.Forbidden):
                raise KeyDenied(
                    f"the verifier may not read key {key_id}",
                    remedy="the owner runs: openstack acl user add --user VERIFIER_USER_ID"
                    f" --operation-type read SECRET_HREF (key {key_id})",
                ) from None
            LOG.warning("key manager: key %s: %s", key_id, type(exc).__name__)
            raise KeyUnavailable("the key manager does not answer") from None
        if not may_use(found.name, project):
            raise KeyDenied(
                f"key {key_id} is not for servers of this project",
                remedy="seal the image in the project that starts servers of it",
            )
        if not isinstance(key, bytes) or not key:
            raise KeyUnavailable(f"key {key_id} holds no bytes")
        return key


def _status(exc: BaseException | None) -> int | None:
    """Return the HTTP status behind an error of castellan's, which wraps what it caught."""
    while exc is not None:
        status = getattr(exc, "status_code", None) or getattr(exc, "http_status", None)
        if isinstance(status, int):
            return status
        exc = exc.__cause__ or exc.__context__
    return None
