# SPDX-License-Identifier: Apache-2.0
"""A real HTTP or HTTPS server on loopback that answers as it is told."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class WebServer:
    """``answers``: a status for each request to come, then 204; or what it does otherwise."""

    tls: Path | None = None
    answers: list[object] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)

    def __enter__(self) -> WebServer:
        self.ending = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if self.tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.tls / "cert.pem", self.tls / "key.pem")
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str = "/hook", host: str = "127.0.0.1") -> str:
        scheme = "http" if self.tls is None else "https"
        return f"{scheme}://{host}:{self._server.server_address[1]}{path}"

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                server.received.append(Received(self.path, headers, body))
                self._answer(server.answers.pop(0) if server.answers else 204)

            do_GET = do_POST

            def _answer(self, how: object) -> None:
                if how == "close":
                    self.close_connection = True
                elif how == "silence":
                    server.ending.wait(30)
                elif how == "drip":
                    self._drip()
                elif how == "endless":
                    self.send_response(200)
                    self.end_headers()
                    while not server.ending.is_set():
                        self.wfile.write(b"x" * 65536)
                elif isinstance(how, str):
                    self.send_response(307)
                    self.send_header("location", how)
                    self.end_headers()
                else:
                    self.send_response(how)  # type: ignore[arg-type]
                    self.send_header("content-length", "0")
                    self.end_headers()

            def _drip(self) -> None:
                for letter in b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 1000:
                    if server.ending.is_set():
                        return
                    self.wfile.write(bytes([letter]))
                    time.sleep(0.05)

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:
                    pass  # the caller went away, or did not like the certificate

        return Handler


def make_certificate(directory: Path, name: str) -> Path:
    """Write a self-signed certificate for *name* (an IP: or DNS: of subjectAltName)."""
    directory.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        + ["-nodes", "-days", "2", "-subj", "/CN=tests", "-addext", f"subjectAltName={name}"]
        + ["-keyout", str(directory / "key.pem"), "-out", str(directory / "cert.pem")],
        check=True,
        capture_output=True,
    )
    return directory
