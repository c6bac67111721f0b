"""What a benchmark imports is there; most benchmarks are run by nobody for weeks."""

import ast
import importlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"
#: Programs for other environments, whose packages are not here.
APART = "drivers"


def defined(path):
    """Names that a script defines at its top."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(FOLDER.rglob("*.py")) if APART not in path.parts],
    ids=lambda path: str(path.relative_to(FOLDER)),
)
def test_imports_are_there(path):
    """Names that are taken from the product, or from another benchmark."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom) or not node.module:
            continue
        names = {alias.name for alias in node.names}
        beside = [path.with_name(f"{node.module}.py"), FOLDER / f"{node.module}.py"]
        if sibling := next(filter(Path.is_file, beside), None):
            assert names <= defined(sibling), (node.module, names - defined(sibling))
        elif node.module.split(".")[0] == "ssah_tf":
            module = importlib.import_module(node.module)
            absent = {name for name in names if not hasattr(module, name)}
            for name in absent:
                importlib.import_module(f"{node.module}.{name}")
