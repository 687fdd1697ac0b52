"""Matrix products on register tiles against NumPy, around the edges of tiles and vectors."""

import os
import re
import subprocess
import sys

import llvmlite.binding as llvm
import numba
import numpy as np
import pytest
from llvmlite import ir

from nnjit.core.compiler.jit import kernel
from nnjit.core.simd import (
    FROM_BIAS,
    FROM_C,
    FROM_ZERO,
    MASK,
    PLAIN,
    RELU,
    TARGETS,
    TILE,
    Epilogue,
    Index,
    Prefetch,
    Prologue,
    Rows,
    Strided,
    Vector,
    dot_product,
    outer_product,
    product,
    transpose_into,
)
from nnjit.core.simd.objects import PRIMITIVES, module_of, optimized
from nnjit.core.simd.targets import choose_tile

DTYPES = [np.float32, np.float64]
EDGES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 47, 48, 49, 100]
jit_only = pytest.mark.skipif(numba.config.DISABLE_JIT, reason="needs compiled code")


@kernel
def run_product(m, n, depth, a, a_row, a_k, b, b_row, c, c_row, begin, bias, end, mask):
    product(
        m, n, depth, Strided(a, 1, a_row, a_k), Rows(b, 0, b_row), Rows(c, 1, c_row),
        Prologue(begin, bias, 0), Epilogue(end, mask), None,
    )  # fmt: skip


@kernel
def run_plain_product(m, n, depth, a, b, c, c_row, wanted, length, gap, arrays):
    product(
        m, n, depth, Strided(a, 1, depth, 1), Rows(b, 0, c_row), Rows(c, 1, c_row), None, None,
        Prefetch(wanted, 0, length, gap, arrays),
    )  # fmt: skip


@kernel
def run_dot(m, n, vectors, a, a_row, b, b_row, c, c_row, add):
    dot_product(m, n, vectors, Rows(a, 0, a_row), Rows(b, 0, b_row), Rows(c, 2, c_row), add)


@kernel
def run_transpose(rows, columns, source, stride, index, target, t_row):
    transpose_into(rows, columns, Rows(source, 0, stride), Index(index, 1), Rows(target, 0, t_row))


@kernel
def run_plain_transpose(rows, columns, source, stride, target, t_row):
    transpose_into(rows, columns, Rows(source, 0, stride), None, Rows(target, 0, t_row))


@kernel
def run_outer(rows, vectors, a, b, d, c, c_row):
    outer_product(rows, vectors, Vector(a, 1), Vector(b, 2), Vector(d, 3), Rows(c, 1, c_row))


def lanes(dtype):
    return TILE.bytes // np.dtype(dtype).itemsize


def padded(n, dtype):
    return -(-n // lanes(dtype)) * lanes(dtype)


def sizes(rng, count):
    """Every edge as every dimension at least once, in random company."""
    columns = [rng.permutation(EDGES) for _ in range(3 * count)]
    return [tuple(int(c[i]) for c in columns[3 * k : 3 * k + 3])
            for k in range(count) for i in range(len(EDGES))]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("begin", [FROM_ZERO, FROM_BIAS, FROM_C])
def test_product(dtype, transposed, begin):
    rng = np.random.default_rng(0)
    for m, n, depth in sizes(rng, 3):
        left = rng.standard_normal((m, depth)).astype(dtype)
        b = rng.standard_normal((depth, padded(n, dtype))).astype(dtype)
        bias = rng.standard_normal(m).astype(dtype)
        stored = left.T if transposed else left
        a = np.concatenate([np.full(1, np.nan, dtype), stored.ravel()])
        strides = (1, m) if transposed else (depth, 1)
        c_row = n + 3
        c = rng.standard_normal(1 + m * c_row).astype(dtype)
        before = c.copy()
        run_product(
            m, n, depth, a, *strides, b.ravel(), b.shape[1], c, c_row, begin, bias, PLAIN, 0
        )
        expected = left.astype(float) @ b[:, :n] + (begin == FROM_BIAS) * bias[:, None]
        old, new = before[1:].reshape(m, c_row), c[1:].reshape(m, c_row)
        tolerance = 4 * np.finfo(dtype).eps * np.sqrt(depth + 1)
        np.testing.assert_allclose(
            new[:, :n],
            expected + (begin == FROM_C) * old[:, :n],
            rtol=tolerance,
            atol=8 * tolerance,
        )
        np.testing.assert_array_equal(new[:, n:], old[:, n:], "wrote beyond its columns")
        assert c[0] == before[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("begin", [FROM_BIAS, FROM_C])
def test_epilogue_of_a_product(dtype, begin):
    """ReLU, and the Hadamard product with its derivative, are those of the finished sums."""
    rng = np.random.default_rng(5)
    deep = [(9, 17, 225), (3, 40, 449)]  # several blocks of k: it is done after the last one
    for m, n, depth in sizes(rng, 1) + deep:
        a = rng.standard_normal(1 + m * depth).astype(dtype)
        b = rng.standard_normal((depth, padded(n, dtype))).astype(dtype)
        a[1 + rng.integers(m) * depth] = np.nan  # one row of sums
        c_row, bias = n + 3, rng.standard_normal(m).astype(dtype)
        mask = m * c_row + 5
        start = rng.standard_normal(1 + mask + m * c_row).astype(dtype)
        switch = start[1 + mask :].reshape(m, c_row)
        switch[rng.random(switch.shape) < 0.2] = 0
        switch[rng.random(switch.shape) < 0.1] = np.nan
        got = {}
        for end in (PLAIN, RELU, MASK):
            c = start.copy()
            run_product(
                m, n, depth, a, depth, 1, b.ravel(), b.shape[1], c, c_row, begin, bias, end, mask
            )
            got[end] = c[1 : 1 + m * c_row].reshape(m, c_row)
            np.testing.assert_array_equal(c[1 + m * c_row :], start[1 + m * c_row :])
        sums, inside = got[PLAIN], np.arange(c_row) < n
        assert np.isnan(sums).any()
        np.testing.assert_array_equal(got[RELU], np.where(inside & (sums < 0), 0, sums))
        np.testing.assert_array_equal(got[MASK], np.where(inside & ~(switch > 0), 0, sums))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("length, arrays", [(0, 1), (1, 1), (40, 2), (4000, 4)])
def test_a_plain_product_whatever_is_prefetched(dtype, length, arrays):
    """Sums from zero; addresses that are asked for need not exist."""
    rng = np.random.default_rng(6)
    for m, n, depth in [*sizes(rng, 1)[::3], (20, 64, 230)]:
        a = rng.standard_normal(1 + m * depth).astype(dtype)
        c_row = padded(n, dtype)
        b = rng.standard_normal(depth * c_row).astype(dtype)
        c = np.full(1 + m * c_row, np.nan, dtype)
        run_plain_product(m, c_row, depth, a, b, c, c_row, a, length, 10_000, arrays)
        same = np.zeros_like(c)
        run_product(m, c_row, depth, a, depth, 1, b, c_row, same, c_row, FROM_ZERO, a, PLAIN, 0)
        np.testing.assert_array_equal(c[1:], same[1:])
        assert np.isnan(c[0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("add", [0, 1])
def test_dot_product(dtype, add):
    rng = np.random.default_rng(1)
    for m, n, depth in sizes(rng, 2):
        width = padded(depth, dtype)
        a, b = (rng.standard_normal((k, width)).astype(dtype) for k in (m, n))
        c = rng.standard_normal((m, n + 2)).astype(dtype)
        before = c.copy()
        flat = c.ravel()
        run_dot(m, n, width // lanes(dtype), a.ravel(), width, b.ravel(), width, flat, n + 2, add)
        expected = a.astype(float) @ b.T.astype(float)
        got = np.concatenate([flat[2:], np.zeros(2, dtype)]).reshape(m, n + 2)[:, :n]
        old = np.concatenate([before.ravel()[2:], np.zeros(2, dtype)]).reshape(m, n + 2)[:, :n]
        tolerance = 4 * np.finfo(dtype).eps * np.sqrt(width)
        np.testing.assert_allclose(got, expected + add * old, rtol=tolerance, atol=8 * tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("indexed", [0, 1])
def test_transpose_into(dtype, indexed):
    rng = np.random.default_rng(2)
    for rows, columns, extra in sizes(rng, 1):
        stride = columns + extra
        source = rng.standard_normal((rows, stride)).astype(dtype)
        index = np.concatenate([[-1], rng.permutation(rows)]).astype(np.int64)
        t_row = padded(rows, dtype) + lanes(dtype)
        target = np.full((columns, t_row), np.nan, dtype)
        if indexed:
            run_transpose(rows, columns, source.ravel(), stride, index, target.ravel(), t_row)
        else:
            run_plain_transpose(rows, columns, source.ravel(), stride, target.ravel(), t_row)
        wanted = source[index[1:]] if indexed else source
        np.testing.assert_array_equal(target[:, :rows], wanted[:, :columns].T)
        padding = target[:, rows : padded(rows, dtype)]
        np.testing.assert_array_equal(
            padding, np.broadcast_to(wanted[-1:, :columns].T, padding.shape)
        )
        assert np.isnan(target[:, padded(rows, dtype) :]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("extra", [0, 1])
def test_outer_product(dtype, extra):
    rng = np.random.default_rng(4)
    for m, n, _ in sizes(rng, 2):
        rows, reach = min(m, n), padded(n, dtype)
        a, d = (rng.standard_normal(rows + reach + 3).astype(dtype) for _ in range(2))
        b = rng.standard_normal(reach + 2).astype(dtype)
        wanted = np.outer(a[1 : rows + 1], b[2 : n + 2])
        np.fill_diagonal(wanted, d[3 : rows + 3])
        size, row = 1 + (rows - 1) * (n + extra) + reach, n + extra
        c = np.full(size + 5, np.nan, dtype)
        run_outer(rows, reach // lanes(dtype), a, b, d, c, row)
        got = c[1 : 1 + rows * row] if extra == 0 else np.append(c[1:], [0])[: rows * row]
        np.testing.assert_array_equal(got.reshape(rows, row)[:, :n], wanted)
        assert np.isnan(c[0])
        assert np.isnan(c[size:]).all()


@jit_only
@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_the_tile(dtype):
    """One element alone has the bits that it has inside a large product."""
    rng = np.random.default_rng(3)
    m, n, depth = 13, 50, 37
    a = rng.standard_normal(1 + m * depth).astype(dtype)
    b = rng.standard_normal((depth, padded(n, dtype))).astype(dtype)
    bias = rng.standard_normal(m).astype(dtype)
    whole = np.zeros(1 + m * n, dtype)
    run_product(
        m, n, depth, a, depth, 1, b.ravel(), b.shape[1], whole, n, FROM_BIAS, bias, PLAIN, 0
    )
    for i in range(m):
        for j in range(n):
            column = np.zeros((depth, lanes(dtype)), dtype)
            column[:, 0] = b[:, j]
            one = np.zeros(2, dtype)
            run_product(1, 1, depth, a[i * depth :].copy(), depth, 1, column.ravel(),
                        lanes(dtype), one, 1, FROM_BIAS, bias[i:].copy(), PLAIN, 0)  # fmt: skip
            assert one[1] == whole[1 + i * n + j]


MACHINES = {
    "avx512": ("x86_64-unknown-linux-gnu", "skylake-avx512", "", ["zmm", "vfmadd"]),
    "avx2": ("x86_64-unknown-linux-gnu", "haswell", "", ["ymm", "vfmadd"]),
    "neon": ("aarch64-unknown-linux-gnu", "generic", "+neon", ["fmla", "v0."]),
    "generic": ("x86_64-unknown-linux-gnu", "x86-64", "", ["mulps", "addps"]),
}


def assembly(target_name, module):
    triple, cpu, features, _ = MACHINES[target_name]
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(
        cpu=cpu, features=features, opt=3
    )
    return machine.emit_assembly(optimized(module, machine))


@jit_only
@pytest.mark.parametrize("name", sorted(TARGETS))
@pytest.mark.parametrize("real", [ir.FloatType(), ir.DoubleType()], ids=["single", "double"])
def test_other_machines(name, real):
    """The IR of each target's tiles compiles to its vector instructions.

    No vector is spilled in the loop; a pointer may be (there are more than registers, and the
    loop waits for its multiply-adds).
    """
    target = TARGETS[name]
    length = target.bytes // (4 if isinstance(real, ir.FloatType) else 8)
    text = "".join(
        assembly(name, module_of(primitive, primitive, real, target)) for primitive in PRIMITIVES
    )
    for token in MACHINES[name][3]:
        wanted = token if isinstance(real, ir.FloatType) else token.replace("ps", "pd")
        assert wanted in text, f"no {wanted} in the code for {name}"
    shape = f"{target.rows}x{target.vectors}"
    dots = "6x4" if target.rows == 8 else "4x2"
    for tile in (f"tile_N_{shape}", f"gathered_tile_N_{shape}", f"gathered_dots_N_{dots}"):
        vectors = f"{'f32' if isinstance(real, ir.FloatType) else 'f64'}x{length}"
        label = f"nnjit_{tile.replace('N', vectors)}:"
        body = text.split(label)[1].split(".Lfunc_end")[0]
        assert "callq\tfma" not in body and "bl\tfma" not in body
        loop = innermost_loop(body)
        for line in loop.splitlines():
            on_stack = any(word in line for word in ("(%rsp)", "(%rbp)", "[sp"))
            assert not (on_stack and re.search(r"%[xyz]mm|\b[qv]\d+\b", line)), loop


def innermost_loop(body):
    """The block that jumps back to itself."""
    blocks, name = {}, None
    for line in body.splitlines():
        label = line.split(":")[0].strip()
        if line.startswith(".L") and ":" in line:
            name = label
            blocks[name] = []
        elif name:
            blocks[name].append(line)
    loops = []
    for label, lines in blocks.items():
        jumps = [n for n, line in enumerate(lines) if line.rstrip().endswith(label)]
        if jumps:
            loops.append("\n".join(lines[: jumps[-1] + 1]))
    products = [loop for loop in loops if "fmadd" in loop or "fmla" in loop or "mulp" in loop]
    assert products, "no loop of products"
    return max(products, key=len)


def test_unknown_forced_tile(monkeypatch):
    monkeypatch.setenv("NNJIT_TILE", "abacus")
    with pytest.raises(ValueError, match="NNJIT_TILE must be one of"):
        choose_tile()
    monkeypatch.setenv("NNJIT_TILE", "avx2")
    assert choose_tile() is TARGETS["avx2"]


@jit_only
@pytest.mark.parametrize("name", ["avx2", "generic"])
def test_narrower_tiles_compute_the_same(name):
    """This machine also runs the tiles of lesser ones."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k"]
    command.append("not narrower and not machines and not forced")  # and so does not recurse
    done = subprocess.run(
        command, env=os.environ | {"NNJIT_TILE": name}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
