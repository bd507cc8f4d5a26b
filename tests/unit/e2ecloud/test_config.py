# SPDX-License-Identifier: Apache-2.0
"""Configuration files, read back by oslo.config's own parser."""

import configparser
import stat

import pytest
from oslo_config import cfg

from e2ecloud import credentials, ini
from e2ecloud.config import e2etrust, nova, render_controller
from e2ecloud.config.shared import Site
from e2ecloud.layout import HOSTS, Cloud


@pytest.fixture
def site(tmp_path):
    return Site(Cloud(tmp_path), credentials.draw())


def parse(text):
    parser = configparser.ConfigParser(interpolation=None, strict=False, default_section="")
    parser.read_string(text)
    return parser


def test_a_sequence_becomes_one_line_an_element_for_oslo_config(tmp_path):
    path = tmp_path / "x.conf"
    path.write_text(ini.render({"filter_scheduler": {"available_filters": ["a.all", "b.Filter"]}}))
    conf = cfg.ConfigOpts()
    conf.register_opt(cfg.MultiStrOpt("available_filters"), group="filter_scheduler")
    conf(["--config-file", str(path)])
    assert conf.filter_scheduler.available_filters == ["a.all", "b.Filter"]


def test_a_line_break_in_a_value_is_refused():
    with pytest.raises(ValueError, match="one line"):
        ini.render({"DEFAULT": {"host": "a\n[database]\nconnection = x"}})


def test_every_service_of_the_controller_has_its_file(site):
    assert {path.split("/")[0] for path in render_controller(site)} == {
        "keystone",
        "glance",
        "placement",
        "neutron",
        "barbican",
        "nova",
    }


def test_compute_hosts_get_no_access_to_the_database(site):
    text = ini.render(nova.compute(site, HOSTS[0]))
    assert "database" not in parse(text)
    assert site.credentials.database not in text


def test_scheduler_has_our_filter_beside_novas_own(site):
    text = render_controller(site)["nova/nova.conf"]
    assert "available_filters = nova.scheduler.filters.all_filters" in text
    assert f"available_filters = {nova.TRUSTED_FILTER}" in text
    enabled = parse(text)["filter_scheduler"]["enabled_filters"].split(",")
    assert enabled[-1] == nova.TRUSTED_FILTER.rpartition(".")[2]


def test_a_plain_cloud_has_no_trace_of_the_filter(tmp_path):
    site = Site(Cloud(tmp_path, plain=True), credentials.draw())
    assert "e2etrust_nova" not in render_controller(site)["nova/nova.conf"]


def test_the_filter_that_is_configured_exists():
    import importlib

    module, _, name = nova.TRUSTED_FILTER.rpartition(".")
    assert hasattr(importlib.import_module(module), name)


def test_agents_options_are_options_of_the_agent(site, tmp_path):
    from e2etrust_agent.conf import opts

    path = tmp_path / "agent.conf"
    path.write_text(ini.render(e2etrust.agent(site, HOSTS[1])))
    conf = cfg.ConfigOpts()
    opts.register(conf)
    conf(["--config-file", str(path)])
    settings = opts.settings(conf)
    assert settings.host == "host2"
    known = {opt.name for opt in opts.agent.AGENT_OPTS}
    assert set(parse(path.read_text())["agent"]) <= known


def test_verifiers_options_are_options_of_the_verifier(site):
    from e2etrust_verifier.conf import verifier

    written = parse(ini.render(e2etrust.verifier(site, "user-id")))["verifier"]
    assert set(written) <= {option.name for option in verifier.OPTIONS}


def test_credentials_are_never_drawn_twice_and_never_readable_by_others(tmp_path):
    first, second = credentials.draw(), credentials.draw()
    assert not set(vars(first).values()) & set(vars(second).values())
    path = tmp_path / "credentials.json"
    credentials.save(first, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert credentials.load(path) == first
