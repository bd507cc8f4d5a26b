# SPDX-License-Identifier: Apache-2.0
"""Every refusal that the code can utter, collected by reading it: the docs' table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, order=True)
class Refusal:
    """A code, the package that utters it, when, and what to do (both may be empty)."""

    code: str
    package: str
    when: str
    remedy: str


def refusals(root: Path) -> list[Refusal]:
    """Return the refusals in the packages below *root*, one for each code and package."""
    best: dict[tuple[str, str], Refusal] = {}
    for module in sorted(root.glob("e2etrust_*/**/*.py")):
        package = module.relative_to(root).parts[0]
        for found in _of_module(ast.parse(module.read_text()), package):
            known = best.get((found.code, package))
            if known is None or (found.remedy and not known.remedy):
                best[found.code, package] = found
    return sorted(best.values())


def table(root: Path) -> str:
    """Return the refusals as a reStructuredText list table."""
    lines = [".. list-table::", "   :header-rows: 1", "   :widths: 22 10 34 34", ""]
    rows = [("code", "uttered by", "when", "what to do")]
    rows += [
        (f"``{r.code}``", r.package.removeprefix("e2etrust_"), _plain(r.when), _plain(r.remedy))
        for r in refusals(root)
    ]
    for row in rows:
        lines += [f"   {'* -' if number == 0 else '  -'} {cell}" for number, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def _of_module(tree: ast.Module, package: str) -> Iterator[Refusal]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from _of_class(node, package)
        elif isinstance(node, ast.Call):
            yield from _of_call(node, package)


def _of_class(node: ast.ClassDef, package: str) -> Iterator[Refusal]:
    texts = {
        target.id: _words(item.value)
        for item in node.body
        if isinstance(item, ast.Assign)
        for target in item.targets
        if isinstance(target, ast.Name)
    }
    if texts.get("code"):
        when = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
        yield Refusal(texts["code"], package, when, texts.get("remedy", ""))


def _of_call(node: ast.Call, package: str) -> Iterator[Refusal]:
    keywords = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name == "Refusal" and len(node.args) == 3:
        code, when, remedy = (_words(argument) for argument in node.args)
    elif "code" in keywords:
        code = _words(keywords["code"])
        when = _words(node.args[0]) if node.args else ""
        remedy = _words(keywords["remedy"]) if "remedy" in keywords else ""
    else:
        return
    if code.isupper() and code.replace("_", "").isalnum():
        yield Refusal(code, package, when, remedy)


def _words(node: ast.expr) -> str:
    """Return the text of a string expression; what is only known at run time becomes ``…``."""
    if isinstance(node, ast.Constant):
        return str(node.value) if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _words(part) if isinstance(part, ast.Constant) else "…" for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _words(node.left) + _words(node.right)
    return "…"


def _plain(words: str) -> str:
    for special in ("\\", "*", "`", "|", "_"):
        words = words.replace(special, f"\\{special}")
    return " ".join(words.split())
