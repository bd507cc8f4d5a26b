# SPDX-License-Identifier: Apache-2.0
"""The WSGI application: middleware around one table of routes.

``application`` is made when it is first asked for, from /etc/e2etrust/verifier.conf or the file
that E2ETRUST_VERIFIER_CONFIG names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import falcon
from keystoneauth1 import loading
from keystonemiddleware import auth_token
from oslo_config import cfg
from oslo_log import log
from oslo_middleware import healthcheck, http_proxy_to_wsgi

from e2etrust_verifier import conf as configuration
from e2etrust_verifier import policies
from e2etrust_verifier.api import (
    dashboard,
    enrolments,
    errors,
    events,
    evidence,
    health,
    hosts,
    inventory,
    metrics,
    openapi,
    results,
    servers,
    service,
    summary,
)
from e2etrust_verifier.api import policies as host_policies
from e2etrust_verifier.api.access import Access
from e2etrust_verifier.api.agents import Agents
from e2etrust_verifier.api.caching import NotShared
from e2etrust_verifier.api.identifiers import NoNul
from e2etrust_verifier.db.database import Database
from e2etrust_verifier.trust import records
from e2etrust_verifier.trust import results as trust_results
from e2etrust_verifier.trust.policies import PolicyStore


def make_application(conf: cfg.ConfigOpts) -> Any:
    """Return the WSGI application for *conf*, with authentication and /healthcheck."""
    app = falcon.App(middleware=[NotShared()])
    app.add_middleware(NoNul())
    database = Database(conf)
    for path, resource in routes(conf, database).items():
        app.add_route(path, resource)
    for path in ("/dashboard", "/dashboard/{name}"):
        app.add_route(path, dashboard.Dashboard())
    app.add_route("/metrics", metrics.Metrics(database))
    errors.install(app)
    # Links are then those of the proxy, if [oslo_middleware] says that there is one.
    proxied = http_proxy_to_wsgi.HTTPProxyToWSGI(app, conf)
    authenticated = auth_token.AuthProtocol(
        proxied, {"oslo_config_config": conf, "delay_auth_decision": True}
    )
    # An application and not a filter since oslo.middleware 8: as a filter it answers everything.
    return _beside(
        authenticated,
        {
            "/healthcheck": _health(database, health.DATABASE),
            "/healthcheck/verifier": _health(database, health.DATABASE, health.WORKERS),
        },
    )


def _health(database: Database, *checks: str) -> Any:
    return healthcheck.Healthcheck(
        None, {"backends": ",".join(checks), "e2etrust_database": database}
    )


def routes(conf: cfg.ConfigOpts, database: Database) -> dict[str, Any]:
    """Return the API's resources by path."""
    access, agents = Access(policies.make_enforcer(conf)), Agents(conf)
    store = PolicyStore(Path(conf.verifier.policy_dir))
    return {
        "/": service.Root(),
        "/v1": service.Service(lambda: key_user_id(conf)),
        "/v1/openapi.json": openapi.Document(),
        "/v1/jwks": service.Jwks(lambda: records.published_keys(conf)),
        "/v1/summary": summary.Summary(database, access),
        "/v1/hosts": hosts.Hosts(database, access),
        "/v1/hosts/{name}": hosts.Host(database, access),
        "/v1/hosts/{name}/verdicts": hosts.Verdicts(database, access),
        "/v1/hosts/{name}/evidence": evidence.EvidenceList(database, access),
        "/v1/hosts/{name}/evidence/{number:int}": evidence.OneEvidence(database, access),
        "/v1/hosts/{name}/result": results.Result(database, access, trust_results.issuer(conf)),
        "/v1/hosts/{name}/action": hosts.Actions(database, access),
        "/v1/enrolments": enrolments.Enrolments(database, access),
        "/v1/enrolments/{name}": enrolments.Enrolment(database, access),
        "/v1/policies": host_policies.Policies(database, access, store),
        "/v1/policies/{name}": host_policies.Policy(database, access, store),
        "/v1/policy-schema.json": host_policies.PolicySchema(),
        "/v1/inventory": inventory.Inventory(database, access),
        "/v1/inventory/{name}": inventory.ExpectedHost(database, access),
        "/v1/servers/{instance}": servers.Server(database, access),
        "/v1/servers/{instance}/evidence": servers.ServerEvidence(database, access, agents),
        "/v1/events": events.Events(database, access),
    }


def _beside(app: Any, others: dict[str, Any]) -> Any:
    """Return an application that hands some paths to *others*, and all else to *app*."""

    def dispatch(environ: dict[str, Any], start_response: Any) -> Any:
        chosen = others.get(environ.get("PATH_INFO", ""), app)
        return chosen(environ, start_response)

    return dispatch


def key_user_id(conf: cfg.ConfigOpts) -> str | None:
    """Return the keystone user that tenants let read their image keys, if it is known."""
    if conf.verifier.key_user_id:
        return conf.verifier.key_user_id
    auth = loading.load_auth_from_conf_options(conf, "service_auth")
    if auth is None:
        return None
    session = loading.load_session_from_conf_options(conf, "service_auth", auth=auth)
    return session.get_user_id()


def _from_environment() -> Any:
    named = os.environ.get("E2ETRUST_VERIFIER_CONFIG")
    conf = configuration.load([named] if named else None)
    log.setup(conf, "e2etrust-verifier-api")
    return make_application(conf)


def __getattr__(name: str) -> Any:
    if name == "application":
        return globals().setdefault("application", _from_environment())
    raise AttributeError(name)
