# SPDX-License-Identifier: Apache-2.0
"""A wire between a program and its broker that can be cut, or go silent, while tests look on."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading

from tests.functional.rabbitmq_fixture import Broker

_READ = 65536
#: SO_LINGER with 0 seconds: closing sends a reset, as a firewall does that lost its table.
_RESET = struct.pack("ii", 1, 0)


class Wire:
    """Forwards TCP connections to a broker.  Connections that are made later are whole again."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket, threading.Event]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        port = self._listener.getsockname()[1]
        return self._broker.url.replace(f":{self._broker.port}/", f":{port}/")

    @property
    def connections(self) -> int:
        with self._lock:
            return len(self._pairs)

    def cut(self) -> None:
        """End all connections now, so that both ends notice."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for one, other, _ in pairs:
            for end in (one, other):
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    end.shutdown(socket.SHUT_RDWR)
                    end.close()

    def silence(self) -> None:
        """Let nothing through any more on connections that there are; neither end is told."""
        with self._lock:
            for _, _, silent in self._pairs:
                silent.set()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._listener.accept()
                other = socket.create_connection(("127.0.0.1", self._broker.port))
            except OSError:
                return
            silent = threading.Event()
            with self._lock:
                self._pairs.append((one, other, silent))
            threading.Thread(target=self._forward, args=(one, other, silent), daemon=True).start()

    def _forward(self, one: socket.socket, other: socket.socket, silent: threading.Event) -> None:
        with selectors.DefaultSelector() as selector, contextlib.suppress(OSError, ValueError):
            selector.register(one, selectors.EVENT_READ, other)
            selector.register(other, selectors.EVENT_READ, one)
            while True:
                for key, _ in selector.select():
                    data = key.fileobj.recv(_READ)  # type: ignore[union-attr]
                    if not data and not silent.is_set():
                        self._end(one, other)
                        return
                    if not data:
                        selector.unregister(key.fileobj)
                    elif not silent.is_set():
                        key.data.sendall(data)

    def _end(self, *pair: socket.socket) -> None:
        with self._lock:
            self._pairs = [known for known in self._pairs if known[0] is not pair[0]]
        for end in pair:
            end.close()
