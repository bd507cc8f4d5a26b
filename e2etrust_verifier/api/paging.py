# SPDX-License-Identifier: Apache-2.0
"""Pages of long answers: ``limit``, ``marker`` (the last item of the page before), next link."""

from __future__ import annotations

import falcon

from e2etrust_verifier.api.answers import Link

MOST = 1000
#: Beyond this no database has numbers of rows.
HIGHEST = 2**63 - 1


def limit(req: falcon.Request, default: int = MOST) -> int:
    """Return how many items are asked for.  Raises falcon.HTTPInvalidParam."""
    return int(req.get_param_as_int("limit", min_value=1, max_value=MOST, default=default))


def before(req: falcon.Request) -> int | None:
    """Return the marker of pages that go by numbers.  Raises falcon.HTTPInvalidParam."""
    found = req.get_param_as_int("marker", min_value=1, max_value=HIGHEST)
    return None if found is None else int(found)


def next_link(req: falcon.Request, marker: str) -> list[Link]:
    """Return the link to the page behind the item *marker*, the request's filters in it."""
    asked = {name: value for name, value in req.params.items() if name != "marker"}
    query = falcon.to_query_str({**asked, "marker": marker})
    return [Link("next", f"{req.prefix}{req.path}{query}")]
