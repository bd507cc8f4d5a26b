# SPDX-License-Identifier: Apache-2.0
"""One TPM that threads share: connected while it is used, let go of afterwards.

Firmware tools and a TPM emulator's other users need the device at times, and an emulator serves
one client at a time, so nothing is held between operations but saved key contexts.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

# The TSS writes to stderr what it also returns as an error; it reads this once, when loaded.
os.environ.setdefault("TSS2_LOG", "all+none")

from tpm2_pytss import (  # noqa: E402
    ESAPI,
    ESYS_TR,
    TPMS_CONTEXT,
    TSS2_Exception,
)
from tpm2_pytss.TCTI import TCTI  # noqa: E402
from tpm2_pytss.TCTILdr import TCTILdr  # noqa: E402

from e2etrust_core.tpm.errors import TctiAbsent, TpmError, TpmUnreachable  # noqa: E402
from e2etrust_core.tpm.tcti import parse_tcti  # noqa: E402

#: Seconds a device that is held by somebody else (EBUSY, a full backlog) is tried for.
PATIENCE = 5.0
_PAUSE = 0.05
_LAYER = 0x00FF0000
_FORMAT_ONE = 0x80
_TCTI_LAYER = 0x000A0000
_ESYS_LAYER = 0x00070000
#: TPM_ST_NO_SESSIONS, the size of the command, TPM_CC_FlushContext.
_FLUSH_CONTEXT = bytes.fromhex("8001 0000000e 00000165")
#: TSS2_TCTI_RC_NOT_SUPPORTED: the loader found no such library.
_RC_NO_SUCH_MODULE = 0x000A0015
_RC_INITIALIZE = 0x100
_RC_FAILURE = 0x101


class Tpm:
    """A TPM behind a TCTI.  Threads may share it; each use is serialised.

    ``contexts`` keeps saved key contexts (TPM2_ContextSave) by a name of ours, so that keys are
    back in under a millisecond; a TPM reset makes them void, and then they are loaded anew.
    """

    def __init__(self, tcti: str, patience: float = PATIENCE) -> None:
        self.tcti = tcti
        self.contexts: dict[str, TPMS_CONTEXT] = {}
        self._patience = patience
        self._lock = threading.RLock()
        self._depth = 0
        self._esys: ESAPI | None = None

    def __enter__(self) -> Tpm:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget what was kept.  The device itself is not held between uses."""
        with self._lock:
            self.contexts.clear()

    @contextmanager
    def connected(self) -> Iterator[ESAPI]:
        """Hold the TPM for several operations; re-entrant within a thread.

        :raises TpmUnreachable: no TPM answers there.
        :raises TpmError: an operation inside was refused.
        """
        with self._lock:
            if self._esys is None:
                self._esys = self._connect()
            self._depth += 1
            try:
                yield self._esys
            except TSS2_Exception as exc:
                raise error_of(exc, self.tcti) from exc
            finally:
                self._depth -= 1
                if self._depth == 0:
                    esys, self._esys = self._esys, None
                    _disconnect(esys)

    def _connect(self) -> ESAPI:
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return _open(self.tcti)
            except (TSS2_Exception, OSError, RuntimeError) as exc:
                if isinstance(exc, TSS2_Exception) and exc.rc == _RC_NO_SUCH_MODULE:
                    kind = self.tcti.partition(":")[0]
                    raise TctiAbsent(f"tpm2-tss has no module for {kind} here") from exc
                if time.monotonic() >= deadline:
                    raise TpmUnreachable(f"no TPM answers at {self.tcti} ({exc})") from exc
            time.sleep(_PAUSE)


def open_tpm(tcti: str) -> Tpm:
    """Return the TPM behind *tcti*; it is first connected to when it is used.

    :param tcti: as in :mod:`.tcti`.
    :raises TctiUnknown: *tcti* has no such form.
    """
    parse_tcti(tcti)
    return Tpm(tcti)


def is_refusal(exc: TSS2_Exception) -> bool:
    """Return whether the TPM itself refused the values it was given (a format-one code).

    Part 2, 6.6: as against a TPM that is busy, locked out or not started.
    """
    return not exc.rc & _LAYER and bool(exc.rc & _FORMAT_ONE)


def is_secret_refused(esys: ESAPI, exc: TSS2_Exception) -> bool:
    """Return whether the TPM refused a secret that was encrypted to another key.

    Where RSA-OAEP does not decrypt, libtpms answers TPM_RC_FAILURE, which otherwise means a TPM
    in failure mode: one that still tells its clock is not (Part 1, 12.4).
    """
    if is_refusal(exc):
        return True
    if exc.rc != _RC_FAILURE:
        return False
    try:
        esys.read_clock()
    except TSS2_Exception:
        return False
    return True


def error_of(exc: TSS2_Exception, tcti: str) -> TpmError:
    """Return the error of ours for one of the TSS."""
    if exc.rc & _LAYER == _TCTI_LAYER:
        return TpmUnreachable(f"the TPM at {tcti} stopped answering ({exc})")
    if exc.rc == _RC_INITIALIZE:
        return TpmError("the TPM was not started (TPM2_Startup) since its last reset")
    return TpmError(f"the TPM refused: {exc}")


@contextmanager
def flushed(esys: ESAPI, handle: ESYS_TR) -> Iterator[ESYS_TR]:
    """Take *handle* out of the TPM at the end, whatever happens in between.

    After an answer with a wrong HMAC tpm2-tss sends no further command for that context: then the
    TPM is told without it, so that nothing stays behind where no resource manager cleans up.
    """
    number = int(esys.tr_get_tpm_handle(handle))
    try:
        yield handle
    finally:
        try:
            esys.flush_context(handle)
        except TSS2_Exception as exc:
            if exc.rc & _LAYER != _ESYS_LAYER or esys.tcti is None:
                raise
            _flush_past_the_tss(esys.tcti, number)


def _flush_past_the_tss(transport: TCTI, number: int) -> None:
    """TPM2_FlushContext (Part 3, 28.4), a command without sessions."""
    transport.transmit(_FLUSH_CONTEXT + number.to_bytes(4, "big"))
    transport.receive()


def _open(tcti: str) -> ESAPI:
    name, _, conf = tcti.partition(":")
    transport = TCTILdr(name, conf or None)
    try:
        return ESAPI(transport)
    except BaseException:
        transport.close()
        raise


def _disconnect(esys: ESAPI | None) -> None:
    if esys is not None:
        transport = esys.tcti
        esys.close()
        if transport is not None:
            transport.close()
