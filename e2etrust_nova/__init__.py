# SPDX-License-Identifier: Apache-2.0
"""What plugs into Nova and libvirt: filter, extra-spec validators, hook, disk server, vTPM."""
