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


@dataclass(frozen=True)
class Known:
    """What the modules say that a code or remedy may be taken from."""

    constants: dict[str, str]
    classes: dict[str, ast.ClassDef]

    def of_class(self, name: str, what: str) -> str:
        """Return the class's *what* (``code``, ``remedy``), its own or the one it inherits."""
        node = self.classes.get(name)
        if node is None:
            return ""
        own = _texts(node.body).get(what)
        bases = (self.of_class(_last_name(base), what) for base in node.bases)
        return own if own is not None else next((text for text in bases if text), "")


@cache
def refusals(root: Path) -> tuple[Refusal, ...]:
    """Return the refusals in the packages below *root*, one for each code and package."""
    best: dict[tuple[str, str], Refusal] = {}
    modules = {
        module.relative_to(root): ast.parse(module.read_text())
        for module in sorted(root.glob("e2etrust_*/**/*.py"))
    }
    known = _known(list(modules.values()))
    for path, tree in modules.items():
        for found in _of_module(tree, path.parts[0], known):
            before = best.get((found.code, found.package))
            if before is None or (found.remedy and not before.remedy):
                best[found.code, found.package] = found
    return tuple(sorted(best.values()))


def _known(trees: list[ast.Module]) -> Known:
    constants: dict[str, str] = {}
    classes: dict[str, ast.ClassDef] = {}
    for tree in trees:
        texts = _texts(tree.body)
        constants |= {name: text for name, text in texts.items() if _is_code(text)}
        classes |= {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return Known(constants, classes)


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


def _of_module(tree: ast.Module, package: str, known: Known) -> Iterator[Refusal]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from _of_class(node, package, known)
        elif isinstance(node, ast.Call):
            yield from _of_call(node, package, known)


def _of_class(node: ast.ClassDef, package: str, known: Known) -> Iterator[Refusal]:
    if code := _texts(node.body).get("code"):
        when = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
        yield Refusal(code, package, when, known.of_class(node.name, "remedy"))


def _texts(body: list[ast.stmt]) -> dict[str, str]:
    """Return the texts that a module or class gives names."""
    return {
        target.id: _words(item.value)
        for item in body
        if isinstance(item, ast.Assign)
        for target in item.targets
        if isinstance(target, ast.Name)
    }


def _of_call(node: ast.Call, package: str, known: Known) -> Iterator[Refusal]:
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
    told = _words(remedy) or known.of_class(name, "remedy")
    for one in _codes(code, known.constants):
        yield Refusal(one, package, _words(when), told)


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
