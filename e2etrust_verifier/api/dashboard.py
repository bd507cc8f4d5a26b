# SPDX-License-Identifier: Apache-2.0
"""``/dashboard``: the operators' page, and the few files that it is made of.

For everybody, as it knows nothing: what it shows it reads from the API with the operator's own
token.  It may load scripts and styles of its own and ask this service, and nothing else
(Content-Security-Policy); markup made of text, which would make a host's words run, is refused by
the browser itself (Trusted Types).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources

import falcon

from e2etrust_verifier.api.caching import has
from e2etrust_verifier.api.errors import NotFound

PAGE = "page.html"
_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    # Asked for anew each time, by its tag: a page of the release before never meets this one's API.
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class File:
    kind: str
    data: bytes
    tag: str


class Dashboard:
    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str = PAGE) -> None:
        found = files().get(name)
        if found is None:
            raise NotFound("the page has no such file", remedy="the page is at /dashboard")
        resp.set_headers(HEADERS)
        resp.etag = found.tag
        if not has(req, resp, found.tag):
            resp.content_type, resp.data = found.kind, found.data


@cache
def files() -> dict[str, File]:
    """Return the files of the page by name."""
    found = {}
    for one in (resources.files("e2etrust_verifier") / "dashboard").iterdir():
        kind = _KINDS.get(one.name.rpartition(".")[2])
        if kind is not None:
            data = one.read_bytes()
            found[one.name] = File(kind, data, hashlib.sha256(data).hexdigest())
    return found
