"""The kernels compiled for real: to PTX by NVVM, and to machine code where ptxas is at hand.

Neither needs a GPU. NVVM comes with `pip install 'nnjit[cuda]'`.
"""

import functools
import glob
import re
import shutil
import subprocess
import sysconfig
from types import SimpleNamespace

import numpy as np
import pytest
from numba import types

from entries_of_tests import FOCAL, PAIRS, PLAIN, SILU, SOFTPLUS, SQUARES, THREE
from nnjit.backends.cuda import _cuda, choice, kernels
from nnjit.backends.cuda import softmax as device_softmax
from nnjit.backends.cuda.arguments import Buffers, Matrix, Net, Samples, Schedule
from nnjit.backends.cuda.optimizer import GRADIENT
from nnjit.backends.cuda.scalars import Formulas
from nnjit.formulas import ACTIVATIONS, LOSSES, SOLVERS, find_loss

ARCHITECTURE = (9, 0)
INTEGER = types.int64
DTYPES = [np.float32, np.float64]


def without_nvvm():
    """Why nothing can be compiled, or None."""
    if _cuda.SIMULATED:
        return "the simulator compiles nothing"
    try:
        _cuda.cuda.cudadrv.nvvm.NVVM()
    except Exception as error:
        return f"no NVVM: {str(error).strip().splitlines()[0]}"
    return None


pytestmark = pytest.mark.skipif(without_nvvm() is not None, reason=str(without_nvvm()))


@pytest.fixture(autouse=True)
def some_device(monkeypatch):
    """Device functions are compiled for the current device, which there need not be."""
    device = SimpleNamespace(compute_capability=ARCHITECTURE)
    monkeypatch.setattr("numba.cuda.dispatcher.get_current_device", lambda: device)


def vector(kind):
    return types.Array(kind, 1, "C")


def arguments(real):
    """Numba's types of what kernels are given."""
    r, d = vector(real), vector(types.float64)
    i4, i8, n = vector(types.int32), vector(INTEGER), INTEGER
    return {
        "net": types.BaseTuple.from_types([i8, n, n, n, n, n, n, d], Net),
        "samples": types.BaseTuple.from_types([r, n, n, i4, i8, r, n, i4, r, n, i8], Samples),
        "schedule": types.BaseTuple.from_types([n] * len(Schedule._fields), Schedule),
        "buffers": types.BaseTuple.from_types([r, r, r, r, *[d] * 7], Buffers),
        "matrix": types.BaseTuple.from_types([r, n, n, n], Matrix),
        "r": r,
        "i4": i4,
        "n": n,
    }


def formulas(hidden, loss, solver, drops=False):
    return Formulas(tuple(hidden), loss, solver, drops)


# Beside the usual network, everything that there is and what somebody might add.
USUAL = formulas([ACTIVATIONS["relu"]], LOSSES["log_loss", "softmax"], SOLVERS["adam"])
EVERY_ACTIVATION = sorted(
    [*ACTIVATIONS.values(), SILU, SOFTPLUS], key=lambda entry: entry.epilogue is not None
)
MADE_UP = [SQUARES, FOCAL]
EVERY_LOSS = [
    *(find_loss(*pair) for pair in PAIRS if pair not in {(e.name, e.output) for e in MADE_UP}),
    *MADE_UP,
]
EVERY_SOLVER = [*SOLVERS.values(), GRADIENT, PLAIN, THREE]


def kernels_and_signatures(dtype):
    """Every kernel that training and prediction launch, as (kernel, argument types)."""
    single = dtype == np.float32
    t = SimpleNamespace(**arguments(_cuda.type_of(dtype)))
    epoch = t.net, t.samples, t.schedule, t.buffers, t.n, t.n
    slices, grid = choice.SLICE_TILE, choice.GRID_TILE
    phases = kernels.phase_kernels(single, grid, USUAL)
    prediction = kernels.prediction_kernels(single, grid, USUAL)
    made = {
        f"slices {flags}": (kernels.slice_kernel(single, slices, USUAL, *flags), epoch)
        for flags in [(False, True, True), (True, True, True), (True, True, False),
                      (True, False, False)]
    }  # fmt: skip
    large = kernels.prediction_kernels(single, choice.LARGE_TILE, USUAL)
    forward = t.n, t.net, t.r, t.matrix, t.r, t.n
    made["small grid"] = kernels.grid_kernel(single, choice.SMALL_TILE, USUAL), epoch
    made["large grid"] = kernels.grid_kernel(single, choice.LARGE_TILE, USUAL), epoch
    made["large forward"] = large.forward, forward
    made["grid"] = kernels.grid_kernel(single, grid, USUAL), epoch
    made["gather"] = phases.gather, (t.net, t.samples, t.r, t.n, t.n)
    made["forward"] = phases.forward, forward
    made["predicting forward"] = prediction.forward, forward
    made["output"] = phases.output, (t.net, t.samples, t.buffers, t.n, t.n, t.n)
    made["backward"] = phases.backward, (t.n, t.net, t.buffers, t.n, t.n, t.n)
    made["weigh"] = phases.weigh, (t.net, t.buffers)
    made["update"] = phases.update, (t.net, t.buffers, *[t.n] * 6)
    made["finish"] = prediction.finish, (t.net, t.r, t.n, t.r, t.n, t.n, t.i4)
    made["jacobian"] = device_softmax._jacobian(dtype), (t.r, t.n, t.n, t.r)
    made["vjp"] = device_softmax._vjp(), (t.r, t.n, t.n, t.r, t.n, t.n, t.n, t.n, t.r)
    dropping = formulas(USUAL.hidden, USUAL.loss, USUAL.solver, True)
    drawn = t.n, t.net, t.schedule, t.buffers, t.n, t.n, t.n
    made["drop"], made["drop deltas"] = (phases.drop_values, drawn), (phases.drop_deltas, drawn)
    made["grid with dropout"] = kernels.grid_kernel(single, grid, dropping), epoch
    return made | entry_kernels(single, t, forward)


def entry_kernels(single, t, forward):
    """The kernels that formulas are in, for every entry."""
    made, tile = {}, choice.GRID_TILE
    relu, loss, solver = USUAL.hidden, USUAL.loss, USUAL.solver
    every = kernels.phase_kernels(single, tile, formulas(EVERY_ACTIVATION, loss, solver))
    made["forward of all activations"] = every.forward, forward
    made["backward of all activations"] = every.backward, (t.n, t.net, t.buffers, t.n, t.n, t.n)
    for entry in EVERY_LOSS:
        phases = kernels.phase_kernels(single, tile, formulas(relu, entry, solver))
        made[f"output of {entry.name}, {entry.output}"] = (
            phases.output, (t.net, t.samples, t.buffers, t.n, t.n, t.n)
        )  # fmt: skip
    for entry in EVERY_SOLVER:
        phases = kernels.phase_kernels(single, tile, formulas(relu, loss, entry))
        made[f"update of {entry.name}"] = phases.update, (t.net, t.buffers, *[t.n] * 6)
    return made


NAMES = [
    *(f"slices {flags}" for flags in [(False, True, True), (True, True, True),
                                      (True, True, False), (True, False, False)]),
    "grid", "gather", "forward", "predicting forward", "output", "backward", "weigh", "update",
    "finish", "jacobian", "vjp", "drop", "drop deltas", "grid with dropout",
    "forward of all activations", "backward of all activations",
    *(f"output of {entry.name}, {entry.output}" for entry in EVERY_LOSS),
    *(f"update of {entry.name}" for entry in EVERY_SOLVER),
]  # fmt: skip
# The rest of these take as long to compile as all others together.
QUICK = {
    ("slices (True, True, True)", np.float32), ("grid", np.float32),
    ("grid with dropout", np.float32),
}  # fmt: skip


def case(name, dtype):
    fused = name.startswith("slices") or "grid" in name
    slow = fused and (name, dtype) not in QUICK
    return pytest.param(name, dtype, marks=[pytest.mark.slow] if slow else [])


CASES = [
    *(case(name, dtype) for dtype in DTYPES for name in NAMES),
    case("large grid", np.float32),
    case("small grid", np.float32),
    case("large forward", np.float32),
]
each_kernel = pytest.mark.parametrize("name, dtype", CASES)


@functools.cache
def ptx_of(dtype, name):
    kernel, signature = kernels_and_signatures(dtype)[name]
    with _cuda.uncontracted():
        return _cuda.cuda.compile_ptx(kernel.py_func, signature, cc=ARCHITECTURE, abi="numba")[0]


def instructions(ptx, pattern):
    return re.findall(rf"^\s+(?:@%p\d+ )?({pattern})", ptx, re.MULTILINE)


def ptxas():
    """The assembler in the path or in NVIDIA's wheels."""
    wheels = f"{sysconfig.get_path('purelib')}/nvidia/**/bin/ptxas"
    return shutil.which("ptxas") or next(iter(glob.glob(wheels, recursive=True)), None)


@each_kernel
def test_kernels_compile_to_arithmetic_of_their_precision(name, dtype):
    """Nothing of a float32 network is computed in float64 but sums of losses and their like.

    Inner products are fused multiply-adds and nothing else is, so that a formula has the same bits
    in every kernel; accumulators stay in registers, and every helper is inlined.
    """
    ptx = ptx_of(dtype, name)
    other = "f64" if dtype == np.float32 else "f32"
    if (
        name.split()[0] not in ("slices", "grid", "output", "weigh", "update", "drop")
        and "grid" not in name
    ):
        assert f".{other}" not in ptx
    if dtype == np.float64:
        assert not instructions(ptx, r"(?:add|mul|fma|div|sqrt)\S*\.f32")
    else:
        # Loss and weight of a row, squared weights, the clock and Adam's correction.
        assert not instructions(ptx, r"fma\S*\.f64")
        assert len(instructions(ptx, r"(?:div|sqrt)\S*\.f64")) <= 3
    assert not instructions(ptx, r"(?:ld|st)\.local")
    assert not re.search(r"^\.func", ptx, re.MULTILINE)
    assert not re.search(r"\bred\.|\batom\.", ptx)  # no atomics: their order is not fixed
    # What is not marked may be contracted when it is assembled.
    assert not instructions(ptx, r"(?:add|sub|mul)(?!\.rn)[.a-z]*\.f(?:32|64)")
    fused = len(instructions(ptx, r"fma\.rn\.f(?:32|64)"))
    tile = tile_of(name)
    if tile is None:
        assert fused == 0
    else:
        assert fused and fused % (tile.per_m * tile.per_n) == 0


def tile_of(name):
    """The tile of the products in a kernel, if there are any."""
    if name.startswith("slices"):
        return choice.SLICE_TILE
    if {"grid", "forward", "backward"} & set(name.split()):
        tiles = {"large": choice.LARGE_TILE, "small": choice.SMALL_TILE}
        return tiles.get(name.split()[0], choice.GRID_TILE)
    return None


@pytest.mark.skipif(ptxas() is None, reason="no ptxas")
@each_kernel
def test_kernels_assemble_within_registers_and_shared_memory(name, dtype, tmp_path):
    """All fit 256 threads of a block; only whole epochs by the grid spill, and some words."""
    (tmp_path / "kernel.ptx").write_text(ptx_of(dtype, name))
    command = [ptxas(), f"-arch=sm_{ARCHITECTURE[0]}{ARCHITECTURE[1]}", "-v", "-c"]
    command += ["-o", str(tmp_path / "kernel.o"), str(tmp_path / "kernel.ptx")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    registers = int(re.search(r"Used (\d+) registers", done.stderr)[1])
    spilled = int(re.search(r"(\d+) bytes spill stores", done.stderr)[1])
    shared = re.search(r"(\d+) bytes smem", done.stderr)
    print(name, np.dtype(dtype), registers, "registers", spilled, "bytes spilled")
    assert registers <= 65536 // choice.GRID_TILE.threads
    assert spilled <= {"grid": 128, "grid with dropout": 128, "large grid": 256}.get(name, 0)
    assert shared is None or int(shared[1]) <= choice.SHARED_BYTES


@pytest.mark.parametrize("waits", [False, True])
def test_what_waits_for_a_grid_is_launched_as_a_whole_grid(waits):
    """However deep the wait lies; else a launch would never end."""
    compiler = pytest.importorskip("numba.cuda.compiler")
    wait = kernels.wait_for_grid if waits else kernels.wait_for_block

    @_cuda.device
    def inner(values):
        values[0] = 1
        wait()

    def run(values):
        inner(values)

    made = compiler.compile_cuda(run, types.void, (vector(types.float64),), cc=ARCHITECTURE)
    if not hasattr(made.library, "use_cooperative"):
        pytest.skip("told in another way by this version of Numba's CUDA")
    assert made.library.use_cooperative == waits


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_types_compiled_for_are_those_of_a_launch(dtype):
    """As far as they can be told without a device: arrays are stand-ins that name their type."""

    def array(kind):
        return SimpleNamespace(_numba_type_=vector(kind))

    real = _cuda.type_of(dtype)
    r, d = array(real), array(types.float64)
    i4, i8 = array(types.int32), array(INTEGER)
    t = arguments(real)
    given = {
        "net": Net(i8, 2, 8, 11, 9, 4, 17, d),
        "samples": Samples(r, 3, 1, i4, i8, r, 1, i4, r, int(True), i8),
        "schedule": Schedule(4, 10, 3, 4, 4, 0),
        "buffers": Buffers(r, r, r, r, *[d] * 7),
        "matrix": Matrix(r, 0, 3, 1),
        "n": 7,
    }
    kernel = kernels.grid_kernel(dtype == np.float32, choice.GRID_TILE, USUAL)
    for name, value in given.items():
        assert kernel.typeof_pyval(value) == t[name]
