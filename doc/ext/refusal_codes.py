# SPDX-License-Identifier: Apache-2.0
"""Every refusal that the code can utter, collected by reading it: the docs' table."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, order=True)
class Refusal:
    """A code, the package that utters it, when, and what to do (both may be empty)."""

    code: str
    package: str
    when: str
    remedy: str


@cache
def refusals(root: Path) -> tuple[Refusal, ...]:
    """Return the refusals in the packages below *root*, one for each code and package."""
    best: dict[tuple[str, str], Refusal] = {}
    modules = {
        module.relative_to(root): ast.parse(module.read_text())
        for module in sorted(root.glob("e2etrust_*/**/*.py"))
    }
    constants = {
        name: code for tree in modules.values() for name, code in _constants(tree) if _is_code(code)
    }
    for path, tree in modules.items():
        package = path.parts[0]
        for found in _of_module(tree, package, constants):
            known = best.get((found.code, package))
            if known is None or (found.remedy and not known.remedy):
                best[found.code, package] = found
    return tuple(sorted(best.values()))


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


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the module's names for texts."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, _words(node.value)


def _of_module(tree: ast.Module, package: str, constants: dict[str, str]) -> Iterator[Refusal]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from _of_class(node, package)
        elif isinstance(node, ast.Call):
            yield from _of_call(node, package, constants)


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


def _of_call(node: ast.Call, package: str, constants: dict[str, str]) -> Iterator[Refusal]:
    keywords = {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    name = _last_name(node.func)
    if name == "Refusal" and len(node.args) >= 2:
        code, when, remedy = [*node.args, None][:3]
    elif name == "CheckResult" and len(node.args) >= 4:
        when, code, remedy = [*node.args[2:], None][:3]
    elif "code" in keywords:
        when = node.args[0] if node.args else None
        code, remedy = keywords["code"], keywords.get("remedy")
    else:
        return
    for one in _codes(code, constants):
        yield Refusal(one, package, _words(when), _words(remedy))


def _codes(node: ast.expr | None, constants: dict[str, str]) -> Iterator[str]:
    """Yield the codes that an expression may be: said, named, or chosen between."""
    if _last_name(node) in constants:
        yield constants[_last_name(node)]
    elif isinstance(node, ast.IfExp):
        yield from _codes(node.body, constants)
        yield from _codes(node.orelse, constants)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from _codes(value, constants)
    elif _is_code(code := _words(node)):
        yield code


def _last_name(node: ast.expr | None) -> str:
    """Return ``name`` of ``name`` and of ``module.name``."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is_code(word: str) -> bool:
    return word.isupper() and word.replace("_", "").isalnum()


def _words(node: ast.expr | None) -> str:
    """Return the text of a string expression; what is only known at run time becomes ``…``."""
    if isinstance(node, ast.Constant):
        return str(node.value) if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _words(part) if isinstance(part, ast.Constant) else "…" for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _words(node.left) + _words(node.right)
    return "" if node is None else "…"


def _plain(words: str) -> str:
    for special in ("\\", "*", "`", "|", "_"):
        words = words.replace(special, f"\\{special}")
    return " ".join(words.split())
