# SPDX-License-Identifier: Apache-2.0
"""What happens at each step of a domain that demands trust.

``prepare begin``  measured, granted by the verifier, disk views put up
``start begin``    the machine is still the one measured; the measurement goes into the vTPM
``started begin``  the launch is bound to the QEMU process
``release end``    everything is taken down
Whatever fails at a start leaves nothing behind and is reported for the tenant to read.
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from e2etrust_agent.client import (
    DEFAULT_REPORT_DIR,
    AgentClient,
    LaunchBegin,
    LaunchEnd,
    LaunchFinish,
    LaunchOpened,
    LaunchStarted,
    RefusalNote,
    leave_refusal,
)
from e2etrust_core.errors import E2ETrustError
from e2etrust_core.launch import LaunchMeasurement, LaunchRequest
from e2etrust_core.launch_domain import Domain
from e2etrust_core.messages import Refusal
from e2etrust_core.no_dumps import leave_no_core
from e2etrust_nova.disk import AttachRequest, SealedBase, attach, detach, follow
from e2etrust_nova.errors import LaunchRefused
from e2etrust_nova.hook.firmware import firmware_digest
from e2etrust_nova.hook.launch_state import LaunchState, LaunchStates
from e2etrust_nova.hook.machine import machine_digest
from e2etrust_nova.hook.qemu_process import qemu_pid
from e2etrust_nova.vtpm.measurement import measure
from e2etrust_nova.vtpm.process import find_vtpm
from e2etrust_nova.vtpm.volatile_state import remove_stale

_LEASE_CHANGED = "LEASE_CHANGED"
_SUPPORTED = ("overlay", "container")


class Gate:
    """The gate of one host; its parts can be given for tests."""

    def __init__(
        self,
        agent: AgentClient | None = None,
        states: LaunchStates | None = None,
        report_dir: Path = DEFAULT_REPORT_DIR,
    ) -> None:
        self._agent = agent or AgentClient()
        self._states = states or LaunchStates()
        self._report_dir = report_dir

    def prepare(self, domain: Domain, root: ET.Element, sealed: SealedBase | None) -> None:
        """Admit the start, or refuse it with nothing left behind.

        :raises E2ETrustError: refused; reported already.
        """
        leave_no_core()
        opened: LaunchOpened | None = None
        try:
            self._clear(domain.instance)
            request, opened = self._granted(domain, root, sealed)
            self._states.save(domain.instance, _state(domain, request, opened, sealed))
            if domain.has_vtpm and not self._states.take_incoming(domain.instance):
                remove_stale(domain.instance)
            if sealed is not None:
                _attach(domain, sealed, request.measurement, opened)
        except Exception as exc:
            self._refuse(domain, exc, opened.launch if opened is not None else None)

    def step(self, step: str, domain: Domain, root: ET.Element) -> None:
        """Do a later step of a domain that was admitted (or half admitted).

        :raises E2ETrustError: the domain must not start or go on.
        """
        if step == "release":
            self.release(domain)
        elif step == "start":
            self._guarded(domain, lambda state: self._start(domain, root, state))
        elif step == "started":
            self._guarded(domain, lambda state: self._started(domain, state))

    def announce(self, domain: Domain) -> None:
        """``migrate begin`` or ``restore begin``: the vTPM's state will arrive in a stream.

        :raises StateError: it cannot be kept.
        """
        self._states.mark_incoming(domain.instance)

    def release(self, domain: Domain) -> None:
        """Take down what a launch has, whole or half; never refused.

        :raises E2ETrustError: a view of the disk cannot be taken down.
        """
        state = self._state_or_none(domain.instance)
        if state is not None:
            try:
                self._agent.ended(LaunchEnd(domain.instance, state.launch))
            except E2ETrustError:
                pass  # the agent sees for itself that the process is gone
        self._clear(domain.instance)

    def report(self, domain: Domain, problem: E2ETrustError) -> None:
        """Leave a refusal for the tenant: with the agent, or where the agent will look."""
        refusal = Refusal(problem.code, problem.reason, problem.remedy)
        note = RefusalNote(domain.instance, domain.project, refusal, time.time())
        try:
            self._agent.refused(note)
        except E2ETrustError:
            try:
                leave_refusal(note, self._report_dir)
            except E2ETrustError:
                pass  # the refusal itself stands, and libvirt logs its line

    def _granted(
        self, domain: Domain, root: ET.Element, sealed: SealedBase | None
    ) -> tuple[LaunchRequest, LaunchOpened]:
        request, nonce = self._measured(domain, root, sealed)
        try:
            return request, self._agent.launch_finish(LaunchFinish(nonce, request))
        except E2ETrustError as exc:
            if exc.code != _LEASE_CHANGED:
                raise
        # The host attested between challenge and answer: measure once more, under the new lease.
        request, nonce = self._measured(domain, root, sealed)
        return request, self._agent.launch_finish(LaunchFinish(nonce, request))

    def _measured(
        self, domain: Domain, root: ET.Element, sealed: SealedBase | None
    ) -> tuple[LaunchRequest, bytes]:
        if sealed is not None and (sealed.state not in _SUPPORTED or sealed.image is None):
            raise LaunchRefused(
                f"sealed disk of kind {sealed.state}",
                code="UNSUPPORTED_DISK",
                remedy="Use images_type=qcow2 and force_raw_images=true on this compute host.",
            )
        image = sealed.image if sealed is not None else None
        challenge = self._agent.launch_begin(LaunchBegin(domain.instance))
        measurement = LaunchMeasurement(
            instance=domain.instance,
            firmware=firmware_digest(root),
            machine=machine_digest(root),
            lease=challenge.lease or "",
            sealed_header=image.header_digest if image is not None else None,
            protected_root=image.root if image is not None else None,
        )
        request = LaunchRequest(
            measurement=measurement,
            name=domain.name,
            project=domain.project,
            image=domain.image,
            flavor=domain.flavor,
            key_id=image.key_id if image is not None else None,
            vtpm=domain.has_vtpm,
            level=domain.demand.level,
        )
        return request, challenge.nonce

    def _start(self, domain: Domain, root: ET.Element, state: LaunchState) -> None:
        if machine_digest(root) != state.measurement.machine:
            raise LaunchRefused(
                "machine changed since it was measured",
                code="MACHINE_CHANGED",
                remedy="Start the server again; if it is refused again, tell the operator.",
            )
        if state.has_vtpm:
            vtpm = find_vtpm(domain.instance)
            if not vtpm.incoming:
                measure(vtpm.control_socket, state.measurement)

    def _started(self, domain: Domain, state: LaunchState) -> None:
        self._agent.started(LaunchStarted(domain.instance, state.launch))
        if state.sealed:
            # The disk closes with this very process, even if this hook is gone by then.
            follow(domain.instance, qemu_pid(domain))

    def _guarded(self, domain: Domain, act: Callable[[LaunchState], None]) -> None:
        state = None
        try:
            state = self._states.load(domain.instance)
            if state is None:
                raise LaunchRefused("this start was never admitted", code="LAUNCH_UNKNOWN")
            act(state)
        except Exception as exc:
            # libvirt ends the domain and comes back with `release end`, which clears up.
            problem = _problem(exc)
            self._tell_failed(domain, state.launch if state is not None else None, problem)
            self.report(domain, problem)
            raise problem from exc

    def _refuse(self, domain: Domain, exc: Exception, launch: str | None) -> NoReturn:
        problem = _problem(exc)
        self._tell_failed(domain, launch, problem)
        try:
            self._clear(domain.instance)
        except E2ETrustError:
            pass  # `release end` follows and tries again
        self.report(domain, problem)
        raise problem from exc

    def _tell_failed(self, domain: Domain, launch: str | None, problem: E2ETrustError) -> None:
        if launch is None:
            return
        try:
            self._agent.failed(LaunchEnd(domain.instance, launch, problem.code))
        except E2ETrustError:
            pass  # a granted launch that never starts runs out by itself

    def _state_or_none(self, instance: str) -> LaunchState | None:
        try:
            return self._states.load(instance)
        except E2ETrustError:
            return None

    def _clear(self, instance: str) -> None:
        detach(instance)
        self._states.remove(instance)


def _attach(
    domain: Domain, sealed: SealedBase, measured: LaunchMeasurement, opened: LaunchOpened
) -> None:
    if opened.key is None:
        raise LaunchRefused("no image key came", code="KEY_DENIED")
    header = measured.sealed_header or b""
    attach(AttachRequest(domain.instance, sealed.disk, sealed.base_path, header), opened.key)


def _state(
    domain: Domain, request: LaunchRequest, opened: LaunchOpened, sealed: SealedBase | None
) -> LaunchState:
    return LaunchState(
        launch=opened.launch,
        record=opened.record,
        measurement=request.measurement,
        has_vtpm=domain.has_vtpm,
        sealed=sealed is not None,
    )


def _problem(exc: Exception) -> E2ETrustError:
    """Every way to fail is a refusal with a code."""
    if isinstance(exc, E2ETrustError):
        return exc
    return LaunchRefused(f"{type(exc).__name__}: {exc}", code="HOOK_FAILED")
