# SPDX-License-Identifier: Apache-2.0
"""Errors of what plugs into Nova and libvirt on a compute host."""

from __future__ import annotations

from e2etrust_core.errors import E2ETrustError


class NovaSideError(E2ETrustError):
    """Something on the compute host's side of Nova or libvirt was refused or failed."""

    code = "HOST_SIDE_ERROR"
    remedy = "Read the log of e2etrust-agent on the compute host."


class DiskServerError(NovaSideError):
    """The decrypting view of a server's disk could not be put up or taken down."""

    code = "DISK_SERVER_FAILED"
    remedy = "Read the disk server's log on the compute host (/var/log/e2etrust)."


class DiskRefusedError(DiskServerError):
    """What lies at the server's disk path is not what may be served; it was left as it was."""

    code = "UNSUPPORTED_DISK"
    remedy = "Nothing was changed. Compare the disk with what the administrator's guide supports."


class ContainerError(DiskRefusedError):
    """The encrypted container at the server's disk path cannot be used."""

    code = "CONTAINER_BROKEN"
    remedy = "Restore the server's disk file from a copy, or rebuild the server."


class VtpmError(NovaSideError):
    """A server's vTPM did not take its launch measurement."""

    code = "VTPM_UNMEASURED"
    remedy = "Stop the server, end its swtpm process on the compute host, and start it again."


class LaunchRefused(NovaSideError):
    """The hook does not let a server start (or go on)."""

    code = "LAUNCH_REFUSED"
    remedy = "Start the server again; if it stays so, read the log of e2etrust-agent on its host."


class HostSetupError(NovaSideError):
    """A compute host cannot be set up, or set back."""

    code = "HOST_SETUP"
    remedy = "Correct what the reason names, and run e2etrust-host-setup again."
