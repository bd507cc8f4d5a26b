# SPDX-License-Identifier: Apache-2.0
"""What several services' files have in common: addresses, database, broker, credentials."""

from __future__ import annotations

from dataclasses import dataclass

from e2ecloud.credentials import Credentials
from e2ecloud.ini import Section
from e2ecloud.layout import BROKER_PORT, CONTROLLER_IP, DATABASE_PORT, REGION, Cloud

AUTH_URL = f"http://{CONTROLLER_IP}:5000/v3"


@dataclass(frozen=True)
class Site:
    """A cloud with its credentials: all that a configuration file is made from."""

    cloud: Cloud
    credentials: Credentials

    def database_url(self, database: str) -> str:
        password = self.credentials.database
        return f"mysql+pymysql://cloud:{password}@{CONTROLLER_IP}:{DATABASE_PORT}/{database}"

    def database(self, database: str) -> Section:
        return {"connection": self.database_url(database), "max_pool_size": 4}

    @property
    def transport_url(self) -> str:
        return f"rabbit://cloud:{self.credentials.broker}@{CONTROLLER_IP}:{BROKER_PORT}/"

    def account(self, user: str, **more: str | int | bool) -> Section:
        """keystoneauth options of a service account."""
        return {
            "auth_url": AUTH_URL,
            "auth_type": "password",
            "username": user,
            "password": self.credentials.password(user),
            "project_name": "service",
            "user_domain_name": "Default",
            "project_domain_name": "Default",
            "region_name": REGION,
            **more,
        }

    def token_checker(self, user: str, **more: str | int | bool) -> Section:
        """[keystone_authtoken] of a service that answers requests."""
        return {"www_authenticate_uri": AUTH_URL, **self.account(user), **more}

    def log_file(self, name: str) -> str:
        return str(self.cloud.log / f"{name}.log")


SERVICE_TOKENS: dict[str, str | int | bool] = {
    "service_token_roles_required": True,
    "service_token_roles": "service",
}
