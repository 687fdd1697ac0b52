"""Plain arrays from a file that ``numpy.savez`` has written, or that says so.

`zipfile` and `numpy.load` believe a file: how many entries it has, where they are, how large they
become once unpacked or allocated, which password they want. What ``savez`` writes is far plainer
than what they take, so it is read here as a sequence, and all that differs from it is refused. A
file costs no more memory than it has bytes.
"""

from __future__ import annotations

import binascii
import math
import re
import struct
from typing import TypeAlias

import numpy as np

from nnjit._types import Array

__all__ = ["Arrays", "DamagedError", "require", "shown", "unpack"]

Arrays: TypeAlias = dict[str, Array]

# APPNOTE.TXT of PKWARE, 4.3.7 and 4.3.16. Sizes that read 0xFFFFFFFF stand in the extra field.
_ENTRY = struct.Struct("<4s5H3L2H")
_ZIP64 = struct.Struct("<2H2Q")
_END = struct.Struct("<4s4H2LH")
_LARGE = 0xFFFFFFFF
_NPY = struct.Struct("<8sH")  # version 1.0: no other is written for dtypes as plain as these
_NPY_HEADER = re.compile(
    rb"\{'descr': '([<>][fiu][48]|\|u1)', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,18}, ?){0,3}(?:\d{1,18})?)\), \} *\n"
)


class DamagedError(OSError):
    """A file that is not what this package writes."""


def require(condition: object, problem: str) -> None:
    """Raise `DamagedError` unless the condition is true."""
    if not condition:
        raise DamagedError(problem)


def shown(text: object) -> str:
    """Return a stranger's text as it may stand in a message: printable, and not much of it."""
    return ascii(str(text)[:40])[1:-1]


def unpack(content: bytes, most: int) -> Arrays:
    """Return the arrays of a file, as views of its bytes.

    Parameters
    ----------
    content : bytes
        The whole file.
    most : int
        Entries that it may have.

    Returns
    -------
    dict of str to ndarray
        Read-only and not aligned; in the byte order and the memory order of the file.

    Raises
    ------
    DamagedError
        If it is anything else than up to `most` plain arrays as ``numpy.savez`` writes them.
    """
    arrays: Arrays = {}
    at = 0
    while content[at : at + 4] == b"PK\x03\x04":
        require(len(arrays) < most, "it has too many entries")
        name, start, at = _entry(content, at)
        require(name not in arrays, f"{shown(name)} is in it twice")
        arrays[name] = _array(content, start, at, name)
    _check_end(content, at, len(arrays))
    return arrays


def _entry(content: bytes, at: int) -> tuple[str, int, int]:
    """Name of an entry, begin and end of its data."""
    require(len(content) >= at + _ENTRY.size, "it is cut off")
    fields = _ENTRY.unpack_from(content, at)
    flags, method, *_, crc, packed_size, size, name_length, extra_length = fields[2:]
    at += _ENTRY.size
    name, at = content[at : at + name_length], at + name_length
    if size == packed_size == _LARGE and extra_length == _ZIP64.size:
        require(len(content) >= at + _ZIP64.size, "it is cut off")
        *_, size, packed_size = _ZIP64.unpack_from(content, at)
    at += extra_length
    # Encrypted, packed, or of a size that stands behind the data.
    require(flags == 0 and method == 0 and size == packed_size, "an entry is not stored as it is")
    require(size <= len(content) - at, "it is cut off")
    crc_found = binascii.crc32(memoryview(content)[at : at + size])
    require(crc == crc_found, "a checksum is wrong")
    require(name.endswith(b".npy") and name.isascii(), "an entry is not an array")
    return name[:-4].decode("ascii"), at, at + size


def _array(content: bytes, start: int, end: int, name: str) -> Array:
    require(end - start >= _NPY.size, f"{shown(name)} is cut off")
    magic, header_length = _NPY.unpack_from(content, start)
    start += _NPY.size + header_length
    header = _NPY_HEADER.fullmatch(content[start - header_length : start])
    if magic != b"\x93NUMPY\x01\x00" or header is None or start > end:
        raise DamagedError(f"{shown(name)} is not an array of numbers")
    descr, fortran_order, lengths = header.groups()
    dtype = np.dtype(descr.decode())
    shape = tuple(int(length) for length in lengths.split(b",") if length.strip())
    require(end - start == math.prod(shape) * dtype.itemsize, f"{shown(name)} has another size")
    return np.ndarray(shape, dtype, content, start, order="F" if fortran_order == b"True" else "C")


def _check_end(content: bytes, at: int, entries: int) -> None:
    """Refuse a file that has lost its end, or has more than the directory of its entries there."""
    require(entries and len(content) >= at + _END.size, "it is cut off, or something else")
    end = len(content) - _END.size
    signature, *_, count, size, offset, comment = _END.unpack_from(content, end)
    sound = signature == b"PK\x05\x06" and comment == 0 and count == min(entries, 0xFFFF)
    if offset != _LARGE:
        sound = sound and offset == at and size == end - at
    require(sound, "it is cut off, or something else")
