# SPDX-License-Identifier: Apache-2.0
"""``e2etrust-libvirt-hook NAME OPERATION SUB-OPERATION EXTRA``, the domain's XML on stdin.

Exit status 1 and one line on stderr, ``CODE: reason``, refuse a start.  Nova shows little of it,
so the line begins with what matters.  Only the standard library is loaded until a domain turns
out to demand trust: plain servers pay for one short process.
"""

from __future__ import annotations

import sys

#: Steps at which something is done; at all others the hook ends at once.
STEPS = frozenset(
    {
        ("migrate", "begin"),
        ("restore", "begin"),
        ("prepare", "begin"),
        ("start", "begin"),
        ("started", "begin"),
        ("release", "end"),
    }
)
_READ_LIMIT = 4 * 1024 * 1024 + 1


def main(argv: list[str] | None = None) -> int:
    """Run one step; return the exit status that libvirt wants."""
    arguments = sys.argv[1:] if argv is None else argv
    step = tuple(arguments[1:3])
    if step not in STEPS:
        return 0
    from e2etrust_core.errors import E2ETrustError
    from e2etrust_nova.hook import steps

    text = sys.stdin.buffer.read(_READ_LIMIT)
    try:
        steps.run(str(step[0]), text)
    except E2ETrustError as exc:
        print(_one_line(exc.code, exc.reason), file=sys.stderr)
        return 1
    except Exception as exc:  # a gate that fails stays shut, and its words stay short
        print(_one_line("HOOK_FAILED", f"{type(exc).__name__}: {exc}"), file=sys.stderr)
        return 1
    return 0


def _one_line(code: str, reason: str) -> str:
    printable = "".join(c if c.isprintable() else " " for c in reason)
    return f"{code}: {printable}"[:400]


if __name__ == "__main__":
    sys.exit(main())
