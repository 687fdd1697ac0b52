"""Products of the dense layer, built from register tiles.

Matrices live in flat arrays: an (array, offset, strides) triple each. Right-hand sides and
results have unit stride along their columns; left-hand sides any strides.
"""

from nnjit.core.jit import inline
from nnjit.core.simd import (
    TILE,
    dot_1x1,
    dot_1x4,
    dot_4x1,
    dot_4x4,
    lanes,
    tile_1x1,
    tile_1x2,
    tile_2x1,
    tile_2x2,
    tile_4x1,
    tile_4x2,
    tile_8x1,
    tile_8x2,
    transpose,
)

__all__ = ["dot_product", "product", "transpose_into"]

ROWS = TILE.rows


@inline
def product(m, n, depth, a, a0, a_row, a_k, b, b0, b_k, c, c0, c_row, bias, bias0, biased, add):
    """C = [C +] bias[:, None] + A B for C of m x n and A of m x depth.

    B (IN) must be readable up to a whole number of vectors per row; C (INOUT) is written in
    its n columns only. `biased` and `add` are 0 or 1.
    """
    width = lanes(a)
    j = 0
    while j + width < n:  # two vectors, the second perhaps partial
        tail = min(width, n - j - width)
        bj = b0 + j
        cj = c0 + j
        i = 0
        if ROWS == 8:
            while i + 8 <= m:
                tile_8x2(a, a0 + i * a_row, a_row, a_k, b, bj, b_k, c, cj + i * c_row, c_row,
                         depth, bias, bias0 + i, biased, add, tail)  # fmt: skip
                i += 8
        while i + 4 <= m:
            tile_4x2(a, a0 + i * a_row, a_row, a_k, b, bj, b_k, c, cj + i * c_row, c_row,
                     depth, bias, bias0 + i, biased, add, tail)  # fmt: skip
            i += 4
        if i + 2 <= m:
            tile_2x2(a, a0 + i * a_row, a_row, a_k, b, bj, b_k, c, cj + i * c_row, c_row,
                     depth, bias, bias0 + i, biased, add, tail)  # fmt: skip
            i += 2
        if i < m:
            tile_1x2(a, a0 + i * a_row, a_row, a_k, b, bj, b_k, c, cj + i * c_row, c_row,
                     depth, bias, bias0 + i, biased, add, tail)  # fmt: skip
        j += 2 * width
    if j < n:
        tail = n - j
        bj = b0 + j
        cj = c0 + j
        i = 0
        if ROWS == 8:
            while i + 8 <= m:
                tile_8x1(a, a0 + i * a_row, a_row, a_k, b, bj, b_k, c, cj + i * c_row, c_row,
                         depth, bias, bias0 + i, biased, add, tail)  # fmt: skip
                i += 8
        while i + 4 <= m:
            tile_4x1(a, a0 + i * a_row, a_row, a_k, b, bj, b_k, c, cj + i * c_row, c_row,
                     depth, bias, bias0 + i, biased, add, tail)  # fmt: skip
            i += 4
        if i + 2 <= m:
            tile_2x1(a, a0 + i * a_row, a_row, a_k, b, bj, b_k, c, cj + i * c_row, c_row,
                     depth, bias, bias0 + i, biased, add, tail)  # fmt: skip
            i += 2
        if i < m:
            tile_1x1(a, a0 + i * a_row, a_row, a_k, b, bj, b_k, c, cj + i * c_row, c_row,
                     depth, bias, bias0 + i, biased, add, tail)  # fmt: skip


@inline
def dot_product(m, n, vectors, a, a0, a_row, b, b0, b_row, c, c0, c_row, add):
    """C = [C +] A B^T for C of m x n, the sums running over `vectors` whole vectors."""
    i = 0
    while i < m:
        height = 4 if i + 4 <= m else 1
        ai = a0 + i * a_row
        ci = c0 + i * c_row
        j = 0
        while j < n:
            bj = b0 + j * b_row
            if j + 4 <= n:
                if height == 4:
                    dot_4x4(a, ai, a_row, b, bj, b_row, vectors, c, ci + j, c_row, add)
                else:
                    dot_1x4(a, ai, a_row, b, bj, b_row, vectors, c, ci + j, c_row, add)
                j += 4
            else:
                if height == 4:
                    dot_4x1(a, ai, a_row, b, bj, b_row, vectors, c, ci + j, c_row, add)
                else:
                    dot_1x1(a, ai, a_row, b, bj, b_row, vectors, c, ci + j, c_row, add)
                j += 1
        i += height


@inline
def transpose_into(rows, columns, source, s0, stride, index, index0, indexed, target, t0, t_row):
    """target[j, i] = source[index[i], j] for `rows` x `columns`, target rows padded.

    The padding lanes of each target row (up to a whole vector) repeat the last source row.
    """
    width = lanes(source)
    blocks = (rows + width - 1) // width
    j = 0
    while j + width <= columns:
        for block in range(blocks):
            i = block * width
            transpose(source, s0, index, index0, indexed, i, rows - 1, stride, j,
                      target, t0 + j * t_row + i, t_row)  # fmt: skip
        j += width
    if j < columns:
        for i in range(blocks * width):
            row = min(i, rows - 1)
            if indexed:
                row = index[index0 + row]
            for k in range(j, columns):
                target[t0 + k * t_row + i] = source[s0 + row * stride + k]


@inline
def prefer_dot(fan_in, fan_out, rows, width):
    """Whether dW costs less as dot products than with a transposed delta.

    Estimates in fused multiply-adds on whole vectors: a dot product pays about six more for
    its horizontal sum, a transposed block about eighty.
    """
    along = (rows + width - 1) // width
    across = (fan_out + width - 1) // width
    return fan_in * fan_out * (along + 6) <= across * (fan_in * rows + 80 * along)
