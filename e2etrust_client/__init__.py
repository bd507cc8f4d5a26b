# SPDX-License-Identifier: Apache-2.0
"""REST client and the ``openstack attestation`` and ``openstack sealed image`` commands."""
