# SPDX-License-Identifier: Apache-2.0
"""NV indexes: made, read, written, counted up, extended (TPM 2.0 Library Part 3, 31).

Indexes belong to the owner hierarchy; the owner and whoever knows the index's own authorisation
value (here: empty) may read and write them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from tpm2_pytss import (
    ESAPI,
    ESYS_TR,
    TPM2_ALG,
    TPM2_CAP,
    TPM2_NT,
    TPM2B_NV_PUBLIC,
    TPMA_NV,
    TPMS_NV_PUBLIC,
    TSS2_Exception,
)

from e2etrust_core.errors import InputError
from e2etrust_core.tpm.device import Tpm, is_refusal
from e2etrust_core.tpm.errors import NvFailed

NvKind = Literal["ordinary", "counter", "extend"]

_OWNERS = range(0x01800000, 0x01C00000)  # TCG Registry of Reserved Handles, 2.2.2
_KINDS: dict[NvKind, int] = {
    "ordinary": TPM2_NT.ORDINARY,
    "counter": TPM2_NT.COUNTER,
    "extend": TPM2_NT.EXTEND,
}
_SIZES: dict[NvKind, int] = {"counter": 8, "extend": 32}
_ACCESS = (
    TPMA_NV.OWNERWRITE | TPMA_NV.OWNERREAD | TPMA_NV.AUTHWRITE | TPMA_NV.AUTHREAD | TPMA_NV.NO_DA
)
#: TPM_RC_NV_DEFINED, _NV_UNINITIALIZED, _NV_RANGE, _NV_SPACE, _NV_LOCKED, _NV_AUTHORIZATION
#: (Part 2, 6.6).
_REFUSALS = {0x14C, 0x14A, 0x146, 0x14B, 0x148, 0x149}
_CHUNK = 512
_MAX_SIZE = 2048


@dataclass(frozen=True, slots=True)
class NvIndex:
    """``name`` changes when the index is written for the first time: TPMA_NV_WRITTEN is in it."""

    number: int
    kind: NvKind
    size: int
    name: bytes


def define_nv(tpm: Tpm, number: int, kind: NvKind, size: int = 0) -> NvIndex:
    """Make an index; *size* in bytes is of an ordinary one (counters have 8, extended ones 32).

    :raises InputError: not a number of the owner's (0x01800000 to 0x01BFFFFF), or no such size.
    :raises NvFailed: the index is there, or there is no room.
    """
    size = _SIZES.get(kind, size)
    if number not in _OWNERS or not 1 <= size <= _MAX_SIZE:
        raise InputError(f"an NV index {number:#x} of {size} bytes cannot be made")
    public = TPMS_NV_PUBLIC(
        nvIndex=number,
        nameAlg=TPM2_ALG.SHA256,
        attributes=_ACCESS | _KINDS[kind] << TPMA_NV.TPM2_NT_SHIFT,
        dataSize=size,
    )
    with tpm.connected() as esys, _named(number):
        handle = esys.nv_define_space(None, TPM2B_NV_PUBLIC(nvPublic=public))
        esys.tr_close(handle)
    return nv_index(tpm, number)


def undefine_nv(tpm: Tpm, number: int) -> None:
    """:raises NvFailed: there is no such index, or it is not the owner's."""
    with tpm.connected() as esys, opened_nv(esys, number) as handle, _named(number):
        esys.nv_undefine_space(handle)


def nv_index(tpm: Tpm, number: int) -> NvIndex:
    """Return what the index is now.

    :raises NvFailed: there is no such index, or one of a kind unknown here.
    """
    with tpm.connected() as esys, opened_nv(esys, number) as handle:
        public, name = esys.nv_read_public(handle)
        found = (int(public.nvPublic.attributes) & TPMA_NV.TPM2_NT_MASK) >> TPMA_NV.TPM2_NT_SHIFT
        for kind, value in _KINDS.items():
            if value == found:
                return NvIndex(number, kind, int(public.nvPublic.dataSize), bytes(name))
    raise NvFailed(f"NV index {number:#x} is of a kind that is not used here")


def read_nv(tpm: Tpm, number: int) -> bytes:
    """Return all that is in the index.

    :raises NvFailed: there is no such index, or nothing was written to it yet.
    """
    size = nv_index(tpm, number).size
    with tpm.connected() as esys:
        return nv_contents(esys, number, size)


def nv_contents(esys: ESAPI, number: int, limit: int) -> bytes:
    """Return all that is in an index of whatever kind, read by its own (empty) value.

    :raises NvFailed: there is no such index, it holds more than *limit* bytes, nothing was written
        to it yet, or its value does not read it.
    """
    data = b""
    with opened_nv(esys, number) as index, _named(number):
        size = int(esys.nv_read_public(index)[0].nvPublic.dataSize)
        if size > limit:
            raise NvFailed(f"NV index {number:#x} holds {size} bytes, at most {limit} are read")
        while len(data) < size:
            take = min(_CHUNK, size - len(data))
            data += bytes(esys.nv_read(index, take, len(data), auth_handle=index))
    return data


def read_counter(tpm: Tpm, number: int) -> int:
    """:raises NvFailed: there is no such counter, or it never counted."""
    return int.from_bytes(read_nv(tpm, number), "big")


def write_nv(tpm: Tpm, number: int, data: bytes, offset: int = 0) -> None:
    """Write *data* into an ordinary index.

    :raises NvFailed: there is no such index, it is of another kind, or shorter.
    """
    with tpm.connected() as esys, opened_nv(esys, number) as handle, _named(number):
        for start in range(0, len(data), _CHUNK):
            part = data[start : start + _CHUNK]
            esys.nv_write(handle, part, offset + start, auth_handle=handle)


def increment_nv(tpm: Tpm, number: int) -> None:
    """Count up.  A new counter begins above every one that this TPM ever had (Part 1, 37.2.4).

    :raises NvFailed: there is no such counter.
    """
    with tpm.connected() as esys, opened_nv(esys, number) as handle, _named(number):
        esys.nv_increment(handle, auth_handle=handle)


def extend_nv(tpm: Tpm, number: int, data: bytes) -> None:
    """Let the index become SHA-256 of what it was and *data*.

    :raises NvFailed: there is no such index, or it is of another kind.
    """
    with tpm.connected() as esys, opened_nv(esys, number) as handle, _named(number):
        esys.nv_extend(handle, data, auth_handle=handle)


@contextmanager
def opened_nv(esys: ESAPI, number: int) -> Iterator[ESYS_TR]:
    """Yield a handle of the index.

    :raises NvFailed: there is none.
    """
    if not has_handle(esys, number):
        raise NvFailed(f"the TPM has no NV index {number:#x}")
    handle = esys.tr_from_tpmpublic(number)
    try:
        yield handle
    finally:
        # After TPM2_NV_UndefineSpace the TSS has let go of it itself.
        try:
            esys.tr_close(handle)
        except TSS2_Exception:
            pass


def has_handle(esys: ESAPI, number: int) -> bool:
    """Return whether the TPM has an NV index, or a persistent object, of that number."""
    return handles_in(esys, range(number, number + 1)) == [number]


def handles_in(esys: ESAPI, numbers: range) -> list[int]:
    """Return which of those handles the TPM has, ascending, as far as one answer holds them."""
    # The answer must be kept in a variable while its data is in use.
    _, answer = esys.get_capability(TPM2_CAP.HANDLES, numbers.start, len(numbers))
    handles = answer.data.handles
    found = (int(handles[at]) for at in range(handles.count))
    return [number for number in found if number in numbers]


@contextmanager
def _named(number: int) -> Iterator[None]:
    try:
        yield
    except TSS2_Exception as exc:
        if is_refusal(exc) or exc.rc in _REFUSALS:
            raise NvFailed(f"the TPM refused that of NV index {number:#x}: {exc}") from exc
        raise
