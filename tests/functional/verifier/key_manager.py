# SPDX-License-Identifier: Apache-2.0
"""A key manager of castellan's for tests: a key that says nothing, one that is of project1, and one
that nobody granted."""

from __future__ import annotations

from typing import Any

from castellan.common import exception
from castellan.common.objects import opaque_data
from castellan.key_manager import key_manager

from e2etrust_core.sealed.key_name import named_for

IMAGE_KEY = bytes(range(32))
GRANTED = "11111111-2222-3333-4444-555555555555"
OWNED = "22222222-2222-3333-4444-555555555555"
DENIED = "99999999-2222-3333-4444-555555555555"


class _HttpError(Exception):
    status_code = 403


class TestKeyManager(key_manager.KeyManager):
    __test__ = False

    def __init__(self, configuration: Any) -> None:
        super().__init__(configuration)

    def get(self, context: Any, managed_object_id: str, metadata_only: bool = False) -> Any:
        if managed_object_id == DENIED:
            try:
                raise _HttpError
            except _HttpError as exc:
                raise exception.KeyManagerError(reason=exc)  # noqa: B904 (as castellan does)
        if managed_object_id == OWNED:
            return opaque_data.OpaqueData(IMAGE_KEY, name=named_for("debian", "project1"))
        if managed_object_id != GRANTED:
            raise exception.ManagedObjectNotFoundError(uuid=managed_object_id)
        return opaque_data.OpaqueData(IMAGE_KEY)

    def create_key(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    create_key_pair = store = copy = delete = create_key
    add_consumer = remove_consumer = create_key
