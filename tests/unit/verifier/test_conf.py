# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
from oslo_config import cfg

from e2etrust_verifier.conf.load import ConfigurationError, load
from e2etrust_verifier.conf.opts import list_opts


def written(tmp_path, text, mode=0o600):
    path = tmp_path / "verifier.conf"
    path.touch(mode=mode)
    path.write_text(text)
    path.chmod(mode)
    return [str(path)]


def test_cve_2022_23952_file_that_everybody_reads_is_refused_with_the_remedy(tmp_path):
    with pytest.raises(ConfigurationError, match="CONFIGURATION_OPEN") as caught:
        load(written(tmp_path, "", 0o644), cfg.ConfigOpts())
    assert caught.value.remedy.startswith("chmod o-rwx")


def test_file_for_owner_and_group_is_read(tmp_path):
    conf = load(written(tmp_path, "[verifier]\nissuer = me\n", 0o640), cfg.ConfigOpts())
    assert conf.verifier.issuer == "me"


@pytest.mark.parametrize("text", ["issuer", "[verifier]\nnonce_lifetime = soon\n"])
def test_malformed_file_or_value_is_one_clear_error(tmp_path, text):
    with pytest.raises(ConfigurationError) as caught:
        load(written(tmp_path, text), cfg.ConfigOpts()).verifier.nonce_lifetime  # noqa: B018
    assert caught.value.code == "CONFIGURATION_WRONG"


def test_set_in_a_pattern_of_hosts_is_refused_where_it_would_be_acted_on(tmp_path):
    with pytest.raises(ConfigurationError, match="CONFIGURATION_WRONG"):
        load(written(tmp_path, "[revocation]\nhosts = rack7-*, rack[1-12]\n"), cfg.ConfigOpts())


def test_missing_file_is_an_error_and_not_the_defaults(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load([str(tmp_path / "absent.conf")], cfg.ConfigOpts())


def test_every_option_is_documented():
    for _group, options in list_opts():
        assert all(option.help for option in options)
