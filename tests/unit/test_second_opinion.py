# SPDX-License-Identifier: Apache-2.0
"""No module gets SM2, SM3 or SM4 from a library past ``e2etrust_core.crypto``.

So that ``[crypto] second_opinion`` cannot be gone round: whoever wants such an answer gets it there
or not at all.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "e2etrust_core",
    "e2etrust_agent",
    "e2etrust_verifier",
    "e2etrust_nova",
    "e2etrust_client",
)
PROVIDERS = ROOT / "e2etrust_core" / "crypto"
#: libgcrypt has the bulk of sealed images: SM4-XTS, and SM3 under a root with a second opinion.
BULK = ROOT / "e2etrust_core" / "sealed"
#: A hash by a name that comes from elsewhere may be SM3.
BY_NAME = re.compile(
    r"hashlib\.(new|file_digest)\b|getattr\(hashlib|hashes\.SM3|algorithms\.SM4"
    r"|\bgmssl\b|libcrypto|_hashlib\b"
)
ROOT_MAKER = BULK / "merkle.py"


def modules() -> list[Path]:
    found = [path for name in PACKAGES for path in (ROOT / name).rglob("*.py")]
    return [path for path in found if PROVIDERS not in path.parents]


def code_of(path: Path) -> str:
    """Return the module without its comments and docstrings."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(0)
    return ast.unparse(tree)


def imports(path: Path, module: str) -> list[str]:
    """Return the names that the module in *path* imports from *module*."""
    nodes = ast.walk(ast.parse(path.read_text()))
    found = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == module]
    return [alias.name for node in found for alias in node.names]


def test_no_module_takes_a_chinese_algorithm_from_a_library_itself():
    texts = {path: BY_NAME.findall(code_of(path)) for path in modules()}
    assert len(texts) > 200
    found = [str(path.relative_to(ROOT)) for path, hits in texts.items() if hits]
    assert [name for name in found if not name.startswith("e2etrust_verifier/conf")] == []


def test_libgcrypts_sm3_makes_the_tree_of_sealed_images_and_nothing_else():
    using = [path for path in modules() if "sm3" in imports(path, "e2etrust_core.sealed.gcrypt")]
    assert using == [ROOT_MAKER]


def test_providers_are_asked_through_the_selection_only():
    """Who named a provider himself would ask one where two are due."""
    inside = ("openssl_provider", "gmssl_provider")
    for path in modules():
        for name in inside:
            assert imports(path, f"e2etrust_core.crypto.{name}") == [], path
        assert "selected" not in imports(path, "e2etrust_core.crypto"), path
