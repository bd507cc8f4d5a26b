# SPDX-License-Identifier: Apache-2.0
"""The names under which trust is asked for and shown; light, for the hook imports it too."""

#: Flavor extra spec, known to operators from Nova's TrustedFilter (removed in Pike).
TRUST_SPEC = "trust:trusted_host"
#: Placement trait of a host that holds a lease.
TRUSTED_TRAIT = "CUSTOM_E2ETRUST_TRUSTED"
