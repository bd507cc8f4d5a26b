# SPDX-License-Identifier: Apache-2.0
"""Notifications over oslo.messaging, as [oslo_messaging_notifications] says."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import oslo_messaging
from oslo_config import cfg
from oslo_messaging.transport import NotificationTransport

from e2etrust_core import wire
from e2etrust_core.errors import E2ETrustError
from e2etrust_verifier.notify.destination import DeliveryFailed, Patience
from e2etrust_verifier.notify.notice import Notice, Priority
from e2etrust_verifier.trust import records
from e2etrust_verifier.trust.results import ClaimsSigner
from e2etrust_verifier.trust.signing_keys import SigningKeyError

#: The ``typ`` of a signed notice, and where the payload has it.
KIND, SIGNED = "e2etrust-notice+jwt", "signed"

_TIMEOUT = 60.0


class NotificationDriverUnknown(E2ETrustError):
    """A notification driver that is configured is not installed."""

    code = "NOTIFICATION_DRIVER"
    remedy = "correct [oslo_messaging_notifications] driver; messagingv2 is the usual one"


class _TellingTransport(NotificationTransport):
    """Remembers that a notification was not sent: the notifier's drivers only log it."""

    def __init__(self, transport: NotificationTransport) -> None:
        super().__init__(transport._driver)
        self.problem: Exception | None = None

    def _send_notification(self, *args: Any, **kwargs: Any) -> None:
        try:
            super()._send_notification(*args, **kwargs)
        except Exception as exc:
            self.problem = exc
            raise


class Bus:
    """Used by one thread.  An unsent notification is tried until the outbox drops it.

    :param signer: asked at each notification, so that a key that was changed counts at once.
    """

    name = "bus"
    unwanted: frozenset[str] = frozenset()
    patience = Patience(None, 1.0, 30.0)
    timeout = _TIMEOUT

    def __init__(
        self, transport: NotificationTransport, signer: Callable[[], ClaimsSigner]
    ) -> None:
        self._signer = signer
        self._transport = _TellingTransport(transport)
        publisher = f"e2etrust-verifier.{socket.gethostname()}"
        # One more try: the connection of the time before the broker's restart is noticed by it.
        self._notifier = oslo_messaging.Notifier(self._transport, publisher, retry=1)

    def deliver(self, notice: Notice, priority: Priority) -> None:
        self._transport.problem = None
        send = getattr(self._notifier, priority)
        payload = wire.to_dict(notice)
        try:
            signed = self._signer().sign_claims(payload, KIND)
        except SigningKeyError as exc:
            raise DeliveryFailed(f"it cannot be signed ({exc.reason})") from exc
        send({}, notice.type, {**payload, SIGNED: signed})
        problem = self._transport.problem
        if problem is not None:
            # The transport's own words may hold the broker's address and account.
            raise DeliveryFailed(f"the broker does not take it ({type(problem).__name__})")


def bus(conf: cfg.ConfigOpts) -> Bus | None:
    """Return the destination, None where no notification driver is configured.

    :raises NotificationDriverUnknown: one is not there.
    """
    transport = oslo_messaging.get_notification_transport(conf)
    # The notifier registers its own options; they are known only after that.
    made = Bus(transport, lambda: records.load_signer(Path(conf.verifier.signing_key)))
    named = conf.oslo_messaging_notifications.driver
    known = {one.name for one in entry_points(group="oslo.messaging.notify.drivers")}
    for driver in named:
        # The notifier would only warn, and tell nobody.
        if driver not in known:
            raise NotificationDriverUnknown(f"there is no notification driver {driver}")
    return made if named else None
