# SPDX-License-Identifier: Apache-2.0
"""A machine that plays a compute host: real firmware, a kernel that measures, SELinux enforcing.

    from e2ehost import SECURE_BOOT, Machine, boot_disk, boot_program, compile_policy
    policy = compile_policy(POLICY)
    boot_disk(boot_program(linux, policy), disk, signed=True)
    with Machine(SECURE_BOOT, disk, tpm_state, directory) as machine:
        log = machine.read("/sys/kernel/security/tpm0/binary_bios_measurements")

QEMU's emulator with OVMF and an swtpm that is the machine's alone; Debian's kernel and a busybox of
two megabytes as one EFI program, signed for Secure Boot if asked.  Its first process loads the
SELinux policy and then does what its console says: read a file, run a line of shell, hand a command
to the TPM.  Nothing of the evidence is made outside of the machine.
"""

from e2ehost.boot_program import COMMAND_LINE as COMMAND_LINE
from e2ehost.boot_program import boot_disk as boot_disk
from e2ehost.boot_program import boot_program as boot_program
from e2ehost.machine import PLAIN as PLAIN
from e2ehost.machine import SECURE_BOOT as SECURE_BOOT
from e2ehost.machine import Firmware as Firmware
from e2ehost.machine import Machine as Machine
from e2ehost.selinux_policy import POLICY as POLICY
from e2ehost.selinux_policy import compile_policy as compile_policy
