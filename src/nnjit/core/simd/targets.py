"""The register tile of each kind of machine, and that of this one."""

import os
from typing import NamedTuple

import llvmlite.binding as llvm
import numba

__all__ = ["TARGETS", "TILE", "Tile", "choose_tile"]


class Tile(NamedTuple):
    """Register tile of a machine: vector bytes, rows and vectors of the accumulator block."""

    name: str
    bytes: int
    rows: int
    vectors: int


# rows x vectors accumulators + vectors of B + one broadcast must fit the registers:
# 32 of them on AVX-512 and NEON, 16 elsewhere.
TARGETS = {
    "avx512": Tile("avx512", 64, 8, 2),
    "avx2": Tile("avx2", 32, 4, 2),
    "neon": Tile("neon", 16, 8, 2),
    "generic": Tile("generic", 16, 4, 2),
}


def choose_tile():
    """The tile for the machine that is compiled for; NNJIT_TILE names another one."""
    forced = os.environ.get("NNJIT_TILE", "")
    if forced:
        if forced not in TARGETS:
            raise ValueError(f"NNJIT_TILE must be one of {sorted(TARGETS)}, got {forced!r}")
        return TARGETS[forced]
    triple = llvm.get_process_triple()
    if numba.config.CPU_NAME:  # the user compiles for another CPU than the host
        features = str(numba.config.CPU_FEATURES or "")
        present = {name[1:] for name in features.split(",") if name.startswith("+")}
    else:
        present = {name for name, on in llvm.get_host_cpu_features().items() if on}
    if triple.startswith(("x86_64", "i686", "i386")):
        if "avx512f" in present:
            return TARGETS["avx512"]
        if {"avx2", "fma"} <= present:
            return TARGETS["avx2"]
    elif triple.startswith(("aarch64", "arm64")):
        return TARGETS["neon"]
    return TARGETS["generic"]


TILE = choose_tile()
