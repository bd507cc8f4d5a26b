# SPDX-License-Identifier: Apache-2.0
"""Why good evidence is not good enough.  No reason carries an expected value."""

from __future__ import annotations

from e2etrust_core.errors import E2ETrustError


class AppraisalError(E2ETrustError):
    """Evidence is genuine and does not satisfy what is asked."""

    code = "APPRAISAL_FAILED"
    remedy = "compare the host with what its policy accepts"


class ClockWentBack(AppraisalError):
    code = "CLOCK_WENT_BACK"
    remedy = "the host's TPM state was set back to an older one: find out by whom"


class EventLogAbsent(AppraisalError):
    code = "EVENT_LOG_ABSENT"
    remedy = "set event_log in agent.conf to the firmware's binary_bios_measurements"


class EventLogMismatch(AppraisalError):
    code = "EVENT_LOG_MISMATCH"
    remedy = "the log was altered or belongs to another boot: reboot the host and compare"


class PolicyEmpty(AppraisalError):
    code = "POLICY_EMPTY"
    remedy = "give the policy PCRs with accepted values"


class PcrMismatch(AppraisalError):
    code = "PCR_MISMATCH"
    remedy = "if the host was changed on purpose, add its new values to the policy; else isolate it"


class WindowClosed(AppraisalError):
    """What the host runs was accepted until a moment that is past."""

    code = "WINDOW_CLOSED"
    remedy = "update the host; if it needs more time, move `until` in the policy"


class UnrecordedDomain(AppraisalError):
    code = "UNRECORDED_DOMAIN"
    remedy = "stop that server, see that the libvirt hook is in place, start it again through Nova"


class RecordForeign(AppraisalError):
    code = "RECORD_FOREIGN"
    remedy = "the evidence is of another launch or host: do not use this server"


class HostRebooted(AppraisalError):
    code = "HOST_REBOOTED"
    remedy = "the host was reset since the launch: stop and start the server"


class HostChanged(AppraisalError):
    code = "HOST_CHANGED"
    remedy = "the host is not what it was at launch: move the server to another host"


class GuestKeyUnproven(AppraisalError):
    code = "GUEST_AK_UNPROVEN"
    remedy = "verify again; if it stays so, the answers do not come from the server's own vTPM"


class GuestEvidenceAbsent(AppraisalError):
    code = "GUEST_EVIDENCE_ABSENT"
    remedy = "see that the guest runs its evidence agent, and verify again"


class LaunchNotMeasured(AppraisalError):
    code = "LAUNCH_NOT_MEASURED"
    remedy = "stop and start the server: its vTPM does not carry this launch's measurement"


class GuestLogMismatch(AppraisalError):
    code = "GUEST_LOG_MISMATCH"
    remedy = "the guest's event log was altered or is of another boot: stop and start the server"


class EventRefused(AppraisalError):
    """A measured variable or signature database says what the policy does not accept."""

    code = "EVENT_REFUSED"
    remedy = "correct the host's firmware settings, or let the policy accept what they are"


class EventUnknown(AppraisalError):
    """An event was measured that no rule of the policy accepts."""

    code = "EVENT_UNKNOWN"
    remedy = "find out what the host ran or read there; if it is good, add a rule for it"


class EventRepeated(AppraisalError):
    """An event that a rule accepts was measured more often than the rule allows."""

    code = "EVENT_REPEATED"
    remedy = "what should be measured once was measured again: find out by what; reboot the host"


class EventNotCovered(AppraisalError):
    """The log says of an event what a rule accepts, and the event's digest does not bear it out."""

    code = "EVENT_NOT_COVERED"
    remedy = "the log's words may be made up: accept that event by its digest if you know it"


class EventMissing(AppraisalError):
    """A rule of the policy asks for an event that was not measured."""

    code = "EVENT_MISSING"
    remedy = "see whether the host booted by another path than the policy was written for"


class ImaAbsent(AppraisalError):
    """The policy asks for an IMA list and there is none to hold against it."""

    code = "IMA_LIST_ABSENT"
    remedy = "set ima_list in agent.conf, and see that the kernel measures (ima_policy=)"


class ImaFileRefused(AppraisalError):
    """A file was measured that no allowlist, signature or exclusion of the policy accepts."""

    code = "IMA_FILE_REFUSED"
    remedy = "find out where that file comes from; if it is good, add it to an allowlist"


class ImaBufferRefused(AppraisalError):
    """A key or critical data was measured that no rule of the policy accepts."""

    code = "IMA_BUFFER_REFUSED"
    remedy = "find out what loaded that key or changed that state; if it is good, add a rule"


class ImaViolation(AppraisalError):
    """A file was written while it was measured: nobody knows what was read."""

    code = "IMA_VIOLATION"
    remedy = "reboot the host; see what writes to files that are run, or report violations only"


class ImaAggregateMismatch(AppraisalError):
    """The list's boot_aggregate is not of the quoted PCRs."""

    code = "IMA_AGGREGATE_MISMATCH"
    remedy = "the list is of another boot, or aggregate_bank is not the kernel's ima_hash"


class ImaEntryMissing(AppraisalError):
    """An entry that the policy asks for was never measured."""

    code = "IMA_ENTRY_MISSING"
    remedy = "see that the kernel's IMA policy measures what the policy asks for"


class MacPermissive(AppraisalError):
    """SELinux was permissive at some time since the host booted."""

    code = "MAC_PERMISSIVE"
    remedy = "find out who ran setenforce 0; only a reboot into enforcing mode brings trust back"


class MacPolicyRefused(AppraisalError):
    """SELinux's loaded policy was another than the policy accepts."""

    code = "MAC_POLICY_REFUSED"
    remedy = (
        "if it is good, add the digest of /sys/fs/selinux/policy; else load the right one, reboot"
    )


class MacStateRefused(AppraisalError):
    """A flag of SELinux's measured state is not as the policy accepts."""

    code = "MAC_STATE_REFUSED"
    remedy = "correct the kernel's command line or the SELinux policy, and reboot"


class MacUnmeasured(AppraisalError):
    """The policy asks for SELinux's state and it was never measured."""

    code = "MAC_UNMEASURED"
    remedy = "boot with SELinux on and IMA measuring critical data (ima_policy=critical_data)"


class DmDeviceRefused(AppraisalError):
    """A device-mapper table was loaded, or a device renamed, as no rule of the policy accepts."""

    code = "DM_DEVICE_REFUSED"
    remedy = "find out what set up that device; if it is good, add a rule under device_mapper"


class DmTableUnmeasured(AppraisalError):
    """A device-mapper table became active that was not seen to be loaded."""

    code = "DM_TABLE_UNMEASURED"
    remedy = "measure from the kernel's start (ima_policy=critical_data), and reboot"


class DmDeviceMissing(AppraisalError):
    """A device that the policy requires is not active."""

    code = "DM_DEVICE_MISSING"
    remedy = "see that the host sets that device up, and that its kernel measures critical data"


class TpmSuiteRefused(AppraisalError):
    """The host's attestation key is of another suite than the policy accepts."""

    code = "TPM_SUITE_REFUSED"
    remedy = "set suite in agent.conf, forget the host's keys and let it enrol anew"


class TpmAcceptanceRefused(AppraisalError):
    """The host's endorsement key was accepted in another way than the policy asks for."""

    code = "TPM_ACCEPTANCE_REFUSED"
    remedy = "give the verifier the maker's certificates or an inventory entry, and enrol anew"


class TpmEkRefused(AppraisalError):
    """The host's endorsement key is none of those that the policy names."""

    code = "TPM_EK_REFUSED"
    remedy = "find out which machine this is; if its TPM is good, add its key to the policy"


class TpmMakerRefused(AppraisalError):
    """The host's TPM is of a maker that the policy does not accept."""

    code = "TPM_MAKER_REFUSED"
    remedy = "replace the TPM, or let the policy accept its maker"


class TpmMakerUnknown(AppraisalError):
    """The policy asks who made the host's TPM, and no certificate that was vouched for tells."""

    code = "TPM_MAKER_UNKNOWN"
    remedy = "add the maker's authority to ek_ca_bundle and enrol anew, or name the key in tpm: eks"
