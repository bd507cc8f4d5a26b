# SPDX-License-Identifier: Apache-2.0
"""The real Placement service over HTTP, in this process, on a SQLite file."""

from __future__ import annotations

import socketserver
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from wsgiref import simple_server

import pytest
from keystoneauth1 import adapter, session, token_endpoint
from placement import deploy
from placement.tests.functional.fixtures import placement as placement_fixtures

from e2etrust_verifier.conf.placement import REPEATED

#: Called with method and path (and its query) before a request is answered.
Before = Callable[[str, str], None]


class _OnFile(placement_fixtures.PlacementFixture):
    """Placement's own fixture; its database in memory serves one thread only."""

    def __init__(self, path: Path) -> None:
        super().__init__(use_intercept=False)
        self._path = path

    def _configure_placement(self, conf_fixture: Any) -> None:
        conf_fixture.config(connection=f"sqlite:///{self._path}", group="placement_database")


class _Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    daemon_threads = True
    allow_reuse_address = True


class _Quiet(simple_server.WSGIRequestHandler):
    def log_message(self, *_args: Any) -> None:
        pass


class Placement:
    """The service, what it was asked, and an administrator of it."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._port = 0
        self._server: _Server | None = None
        self.asked: list[str] = []
        self.before: Before = lambda _method, _path: None
        self.up()
        self.admin = self.client()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def up(self) -> None:
        """Serve, at the port of before."""
        self._server = simple_server.make_server(
            "127.0.0.1", self._port, self._answer, server_class=_Server, handler_class=_Quiet
        )  # type: ignore[assignment]
        self._port = self._server.server_port  # type: ignore[union-attr]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()  # type: ignore[union-attr]

    def down(self) -> None:
        """Nobody listens any more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def client(self) -> adapter.Adapter:
        auth = token_endpoint.Token(self.url, "admin")
        headers = {"OpenStack-API-Version": "placement 1.39"}
        return adapter.Adapter(
            session.Session(auth=auth),
            endpoint_override=self.url,
            additional_headers=headers,
            status_code_retry_delay=0.05,
            **REPEATED,
        )

    def provider(self, name: str, *traits: str) -> str:
        """Make a resource provider with *traits* and return its UUID."""
        made = str(uuid.uuid4())
        self.admin.post("/resource_providers", json={"name": name, "uuid": made})
        self.give(made, *traits)
        return made

    def give(self, provider: str, *traits: str) -> None:
        """Add *traits*, as another service would: what is there stays."""
        for trait in traits:
            if trait.startswith("CUSTOM_"):
                self.admin.put(f"/traits/{trait}")
        path = f"/resource_providers/{provider}/traits"
        now = self.admin.get(path).json()
        now["traits"] = sorted({*now["traits"], *traits})
        self.admin.put(path, json=now)

    def traits(self, provider: str) -> set[str]:
        return set(self.admin.get(f"/resource_providers/{provider}/traits").json()["traits"])

    def known(self, trait: str) -> bool:
        return self.admin.get(f"/traits/{trait}", raise_exc=False).status_code == 204

    def _answer(self, environ: dict[str, Any], start: Any) -> Any:
        query = environ.get("QUERY_STRING", "")
        path = environ["PATH_INFO"] + (f"?{query}" if query else "")
        # The administrator's own requests, with a newer version, are no part of it.
        if environ.get("HTTP_OPENSTACK_API_VERSION") == "placement 1.18":
            self.asked.append(f"{environ['REQUEST_METHOD']} {path}")
            self.before(environ["REQUEST_METHOD"], path)
        return self._app(environ, start)


@pytest.fixture
def placement(tmp_path: Path) -> Iterator[Placement]:
    fixture = _OnFile(tmp_path / "placement.sqlite")
    fixture.setUp()
    made = Placement(deploy.loadapp(fixture.conf_fixture.conf))
    yield made
    made.down()
    fixture.cleanUp()
