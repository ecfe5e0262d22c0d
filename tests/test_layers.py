"""Which folder may import which, and that packaging and type checking know every package."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = ("boards", "compiler", "host", "hw", "models", "sim")

# Layer -> (layers of ours it may import, packages of others). A module belongs to the layer with
# the longest matching name.
MAY_IMPORT: dict[str, tuple[set[str], set[str]]] = {
    "compiler.graph": (set(), {"numpy"}),
    "compiler.source": ({"compiler.graph"}, {"mpmath", "numpy"}),
    "compiler.onnx": ({"compiler.graph", "compiler.source"}, {"google", "numpy", "onnx"}),
    "host": (set(), {"numpy", "pynq"}),  # pynq is there only on a board
    "hw": ({"compiler.graph"}, {"amaranth", "numpy"}),
    "boards": ({"hw", "compiler.graph"}, set()),
    "sim": ({"hw", "compiler.graph"}, {"amaranth", "numpy", "numba"}),
    # Testbenches, of which one runs inside a bundle, where host/ is the package `driver`.
    "sim.cocotb": (
        {"sim", "compiler.graph"},
        {"cocotb", "cocotb_tools", "cocotbext", "driver", "numpy"},
    ),
    "models": (
        {"compiler.graph", "compiler.source"},
        {"torch", "numpy", "numba", "rich", "sklearn", "mlxtend"},
    ),
    "compiler": (
        {
            "compiler.graph", "compiler.onnx", "compiler.source", "boards", "host", "hw", "models",
            "sim", "sim.cocotb",
        },
        {"amaranth", "numpy", "rich", "scipy", "torch", "typer"},
    ),
}  # fmt: skip


def layer_of(module: str) -> str | None:
    """The layer of a module named without `hwc.`; None for a name that is in no layer."""
    fits = [name for name in MAY_IMPORT if f"{module}.".startswith(f"{name}.")]
    return max(fits, key=len, default=None)


def imported(source: str, package: str) -> Iterator[str]:
    """Full names of what `source`, a module of `package`, imports at any depth of its code.

    Relative names are resolved, and `from a import b` counts as `a.b`: b may be a module.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            base = parts[: len(parts) - node.level + 1] if node.level else []
            base += node.module.split(".") if node.module else []
            yield from (".".join([*base, alias.name]) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            function = node.func.attr if isinstance(node.func, ast.Attribute) else ""
            name = node.args[0]
            if function in ("import_module", "__import__") and isinstance(name, ast.Constant):
                yield str(name.value)


def violations(source: str, package: str) -> list[str]:
    """The imports of a module of `package` that its layer does not allow."""
    own = layer_of(package.removeprefix("hwc."))
    assert own is not None, f"{package} belongs to no layer"
    ours, others = MAY_IMPORT[own]
    wrong = []
    for name in imported(source, package):
        top, _, rest = name.partition(".")
        if top == "hwc":
            fine = layer_of(rest) in ours | {own} or (rest == "" and own == "compiler")
        else:
            fine = top in others or top in sys.stdlib_module_names
        if not fine:
            wrong.append(name)
    return wrong


def modules() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_point_down(folder: str) -> None:
    wrong = {}
    for path in (ROOT / folder).rglob("*.py"):
        package = ".".join(["hwc", *path.parent.relative_to(ROOT).parts])
        if found := violations(path.read_text(), package):
            wrong[str(path.relative_to(ROOT))] = found
    assert not wrong, f"see MAY_IMPORT in {Path(__file__).name}"


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("hwc.hw", "import hwc.sim"),
        ("hwc.hw", "from hwc import sim"),
        ("hwc.hw", "from hwc.compiler import cli"),
        ("hwc.hw", "from hwc.compiler.source import ops"),
        ("hwc.hw", "from .. import models"),
        ("hwc.hw.units", "from ...sim import toolchain"),
        ("hwc.hw", "def late():\n    import torch"),
        ("hwc.boards", "import importlib\nimportlib.import_module('hwc.models.zoo')"),
        ("hwc.boards", "import numpy"),
        ("hwc.host", "from hwc.compiler.graph import Type"),
        ("hwc.host", "import rich"),
        ("hwc.sim", "from hwc.boards import board"),
        ("hwc.models", "from hwc.compiler.lower import interpret"),
        ("hwc.models", "from ..compiler import lower"),
        ("hwc.compiler.graph", "from ..lower import interpret"),
        ("hwc.compiler.graph", "from hwc.hw import layout"),
        ("hwc.compiler.source", "import torch"),
    ],
)
def test_a_violation_is_seen(package: str, source: str) -> None:
    assert violations(source, package)


@pytest.mark.parametrize(
    ("package", "source"),
    [
        (
            "hwc.hw",
            "from hwc.compiler import graph\nfrom hwc.compiler.graph.errors import HwcError",
        ),
        ("hwc.hw.units", "from ..unit import Unit\nfrom .dense import Dense\nimport amaranth.lib"),
        ("hwc.models", "import torch.nn\nfrom hwc.compiler.source import Source"),
        ("hwc.compiler.graph", "from .types import Type\nfrom . import ops\nimport numpy as np"),
        ("hwc.compiler.map", "from hwc.boards.board import Board\nimport scipy.optimize"),
        ("hwc.host", "import json, mmap\nfrom . import transport\nimport numpy as np"),
    ],
)
def test_what_is_allowed_passes(package: str, source: str) -> None:
    assert violations(source, package) == []


def test_the_compiler_package_itself_imports_nothing() -> None:
    # Importing hwc.compiler.graph runs it, in layers that must not pull in the compiler.
    source = (ROOT / "compiler" / "__init__.py").read_text()
    assert list(imported(source, "hwc.compiler")) == []


def test_packaging_lists_every_package() -> None:
    tools = CONFIG["tool"]["setuptools"]
    found = {
        "hwc." + ".".join(path.parent.relative_to(ROOT).parts): str(path.parent.relative_to(ROOT))
        for path in modules()
    }
    assert sorted(tools["packages"]) == sorted(found)
    assert tools["package-dir"] == found


def test_every_folder_with_modules_is_a_package() -> None:
    bare = {path.parent for path in modules() if not (path.parent / "__init__.py").exists()}
    assert not bare


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_package_is_typed(folder: str) -> None:
    assert (ROOT / folder / "py.typed").is_file()
    assert f"typings/hwc/{folder}" in CONFIG["tool"]["basedpyright"]["include"]
    assert (ROOT / "typings" / "hwc" / folder).resolve() == ROOT / folder


def test_every_dependency_is_pinned() -> None:
    pins = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    project = CONFIG["project"]
    extras = project["optional-dependencies"].values()
    wanted = {
        re.split(r"[<>=; ]", requirement, maxsplit=1)[0].lower()
        for requirement in [*project["dependencies"], *(name for extra in extras for name in extra)]
    }
    assert not wanted - pins
