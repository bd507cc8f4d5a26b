# SPDX-License-Identifier: Apache-2.0
"""One webhook: a signed POST of JSON, and whatever comes back is held short.

``http.client`` and not a library of more comfort: no redirect is followed, no proxy or netrc of
the environment is used, nothing is decompressed, and one deadline holds for all of a try, a
server that drips its answer byte by byte included.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from e2etrust_core import wire
from e2etrust_core.errors import E2ETrustError
from e2etrust_verifier.notify import signature
from e2etrust_verifier.notify.destination import DeliveryFailed, DeliveryRefused, Patience
from e2etrust_verifier.notify.notice import Notice, Priority

_GONE = 410
_AGENT = "e2etrust-verifier"
#: That a webhook cannot be reached is not told to webhooks: it would go round and round.
_UNWANTED = frozenset({"delivery-failed", "outbox-dropped"})


class WebhookUrlError(E2ETrustError):
    """A webhook's URL cannot be used."""

    code = "WEBHOOK_URL"
    remedy = "write https://HOST[:PORT]/PATH into [webhook] urls; http only to this machine"


@dataclass(frozen=True, slots=True)
class Body:
    """What is posted, in the shape that Standard Webhooks recommends."""

    type: str
    timestamp: str
    data: Notice


class Webhook:
    """Used by one thread.

    :param secrets: as :func:`.signature.read_secrets` returns them.
    :param tls: how servers are verified.
    :raises WebhookUrlError: *url* is not what may be posted to.
    """

    unwanted = _UNWANTED

    def __init__(
        self,
        url: str,
        secrets: list[bytes],
        tls: ssl.SSLContext,
        timeout: float,
        patience: Patience,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = _checked(url)
        self._secrets = secrets
        self._tls = tls
        self._clock = clock
        self._timeout = timeout
        # To connect, and for all the rest.
        self.timeout = 2 * timeout
        self.patience = patience
        # URLs may hold a token; the name goes into the database, metrics and events.
        told = hashlib.sha256(url.encode()).hexdigest()[:8]
        self.name = f"webhook-{told}"

    def deliver(self, notice: Notice, priority: Priority) -> None:  # noqa: ARG002
        body = wire.to_json(Body(notice.type, notice.at, notice))
        signed = signature.headers(self._secrets, notice.id, int(self._clock()), body)
        status = self._post(body, signed)
        if status == _GONE:
            raise DeliveryRefused(f"{self._url.hostname} answered {status}: it wants no more")
        if not 200 <= status < 300:
            raise DeliveryFailed(f"{self._url.hostname} answered {status}")

    def _post(self, body: bytes, signed: dict[str, str]) -> int:
        """Return the answer's status; of its text nothing is read."""
        sent = {"content-type": "application/json", "user-agent": _AGENT, **signed}
        target = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        try:
            with self._connection() as connection:
                connection.request("POST", target, body, sent)
                return connection.getresponse().status
        except ssl.SSLCertVerificationError as exc:
            raise DeliveryFailed(
                f"the certificate of {self._url.hostname} is not valid: {exc.verify_message}",
                remedy="mend it, or name its authority in [webhook] ca_file",
            ) from None
        except (OSError, http.client.HTTPException) as exc:
            raise DeliveryFailed(
                f"{self._url.hostname} does not answer ({type(exc).__name__})"
            ) from None

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        """Connect, and end the connection after the timeout whatever it waits for."""
        host, secure = self._url.hostname or "", self._url.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(host, self._url.port)
        address = connection.host, connection.port
        with (
            socket.create_connection(address, self._timeout) as plain,
            self._wrapped(plain, host) if secure else nullcontext(plain) as used,
            _deadline(used, self._timeout),
        ):
            if isinstance(used, ssl.SSLSocket):
                used.do_handshake()
            connection.sock = used
            yield connection

    def _wrapped(self, plain: socket.socket, host: str) -> ssl.SSLSocket:
        return self._tls.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)


@contextmanager
def _deadline(used: socket.socket, seconds: float) -> Iterator[None]:
    """End *used* after *seconds*: whoever waits for it gets an error or the end of the stream."""

    def end() -> None:
        with suppress(OSError):
            # Of the plain socket: TLS's own would pull its state from under the waiting thread.
            socket.socket.shutdown(used, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise WebhookUrlError("a webhook's URL cannot be read") from None
    plain = parts.scheme == "http" and _is_this_machine(parts.hostname or "")
    if not parts.hostname or not (plain or parts.scheme == "https"):
        raise WebhookUrlError("a webhook's URL is not https")
    if parts.username is not None or parts.fragment or not url.isascii() or not url.isprintable():
        raise WebhookUrlError("a webhook's URL holds an account, a fragment or strange characters")
    return parts


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
