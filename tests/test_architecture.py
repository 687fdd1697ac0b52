"""Rules between the package's rooms that no unit test would notice.

The directions of imports are import-linter's contract in pyproject.toml; here stand the rules
that it cannot express.
"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import nnjit

PACKAGE = Path(nnjit.__file__).parent
CORE = sorted((PACKAGE / "core").rglob("*.py"))
FORMULAS = sorted((PACKAGE / "formulas").rglob("*.py"))


def imported(path):
    """Top-level names of all modules that a source file imports, wherever it does so."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


def run(code):
    """Output of code in a fresh interpreter."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.name)
def test_core_imports_numpy_and_numba_only(path):
    ours = ("nnjit.core", "nnjit.formulas")
    outside = {name.split(".")[0] for name in imported(path) if not name.startswith(ours)}
    # llvmlite comes with Numba: it is what Numba compiles with.
    assert outside - set(sys.stdlib_module_names) <= {"numpy", "numba", "llvmlite"}


@pytest.mark.parametrize("path", FORMULAS, ids=lambda path: path.name)
def test_formulas_import_numpy_only(path):
    outside = {name for name in imported(path) if not name.startswith("nnjit.formulas")}
    assert {name.split(".")[0] for name in outside} - set(sys.stdlib_module_names) <= {"numpy"}


def test_only_the_register_tiles_emit_ir():
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if any(name.startswith("llvmlite") for name in imported(path))
    }
    # simd/ writes the functions that kernels call by name, atomics.py and rounding.py single
    # instructions, units.py a call by address; numba_internals.py links, symbols.py tells the
    # linker names, sources.py and info.py ask for the processor's name.
    others = {f"core/compiler/{name}.py" for name in
              ("numba_internals", "sources", "symbols", "units")}  # fmt: skip
    others |= {"core/jobs/atomics.py", "core/jobs/rounding.py", "cli/info.py"}
    assert {name for name in users if not name.startswith("core/simd/")} <= others


def test_numbas_private_names_stand_in_one_file():
    """Modules below `numba.core` and the like, and names that begin with an underscore."""
    private = re.compile(r"numba\.(core|np|misc)\b|from numba[\w.]* import .*\b_|numba\._[a-z]")
    users = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if private.search(path.read_text(encoding="utf-8"))
    }
    assert users == {"core/compiler/numba_internals.py", "backends/cuda/_cuda.py"}  # CUDA's own


def test_only_the_shim_imports_cuda():
    """Numba's CUDA target moves from package to package."""
    users = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in getattr(node, "names", ()) if hasattr(alias, "name")]
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names]
            if isinstance(node, ast.Import | ast.ImportFrom):
                if any(name.startswith(("numba.cuda", "numba_cuda", "cuda")) for name in names):
                    users.add(path.relative_to(PACKAGE).as_posix())
    assert users == {"backends/cuda/_cuda.py"}


def test_import_loads_no_compiler_and_starts_no_thread():
    code = (
        "import sys, threading; import sklearn.neural_network; before = set(sys.modules); "
        "import nnjit; print(sorted({name.split('.')[0] for name in set(sys.modules) - before}), "
        "threading.active_count())"
    )
    assert run(code) == "['nnjit'] 1"


def test_every_public_name_is_there_and_documented():
    for name in nnjit.__all__:
        thing = getattr(nnjit, name)
        if callable(thing):
            assert thing.__doc__, name


def test_the_package_says_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()


def test_type_checkers_know_the_name_of_every_entry():
    from nnjit import _types, formulas

    for literal, offered in (
        (_types.ActivationName, formulas.hidden_activations()),
        (_types.RegressionLossName, formulas.regression_losses()),
        (_types.ClassificationLossName, formulas.classification_losses()),
        (_types.StochasticSolverName, formulas.offered_solvers()),
    ):
        assert list(_types.names(literal)) == list(offered)
