"""Checkpoints that were damaged, or written to do harm, and fits that find them.

A damage changes the bytes of a sound file: bits, blocks, length, fields of its headers. A hostile
file is well-formed, its digest is right, and something in it is not what a run has: another type,
shape, dtype, number, name, generator, a pickle, a size that is claimed, a file that is none. The
file of the run, the one before it, or both are replaced, and a fit is asked to go on. It may

- give the bits of the undisturbed run, from whichever file was sound,
- refuse with the documented ValueError and leave the estimator as it was,
- go on from other numbers, if they are numbers that a run may have (hostile files only).

Anything else is a finding: another exception, a crash, a hang, code that runs, memory that a file
has claimed. The fits run in a process of their own that is watched and short of memory.

    python scripts/fuzz_checkpoints.py                        # 20,000 damages, 2,000 hostile files
    python scripts/fuzz_checkpoints.py --seed 7 --only hostile 1234       # one try again

It prints the seed, how the tries ended, and every finding. The status is 1 if there is one.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import faulthandler
import io
import json
import os
import pickle
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import warnings
import zipfile
from pathlib import Path

import numpy as np

from nnjit import MLPClassifier, MLPRegressor
from nnjit.training import checkpoint as file_format

HANG = 120  # seconds for one try
MEMORY = 2**30  # bytes that the process may take beside what it has after the first fits
REFUSALS = (
    "No checkpoint can be read|is of another run|has format|cannot be written|"
    "Solver produced non-finite parameter weights"
)
# Audit events of code that runs; a fit whose kernels are there has no use for them.
FORBIDDEN = {
    "exec", "pickle.find_class", "os.system", "os.exec", "os.posix_spawn",
    "subprocess.Popen", "os.mkdir", "socket.connect", "ctypes.dlopen",
}  # fmt: skip


class Finding(Exception):
    """A try that ended as none may."""


def choose(rng, options):
    return options[int(rng.integers(len(options)))]


# Runs


class Run:
    """A fit of five epochs, and the files of its first three and four."""

    def __init__(self, name, cls, weighted=False, dtype=np.float64, **parameters):
        rng = np.random.default_rng(0)
        self.name = name
        self.X = rng.standard_normal((30, 4)).astype(dtype)
        score = self.X @ [1.0, -1.0, 0.5, 0.0]
        self.y = score.astype(dtype) if cls is MLPRegressor else (score > 0).astype(int)
        self.weight = np.arange(30) % 3.0 if weighted else None
        self._make = lambda **more: cls(
            **{"hidden_layer_sizes": (3,), "batch_size": 8, "n_iter_no_change": 50,
               "max_iter": 5, "random_state": 1, "checkpoint_interval": 1, **parameters, **more}
        )  # fmt: skip

    def prepare(self, folder):
        """Keep the result and the two files."""
        path = folder / "run"
        self.fit(self.model(path, max_iter=4))
        self.newest, self.before = path.read_bytes(), (folder / "run.previous").read_bytes()
        self.contents = file_format.read(os.fspath(path))
        self.expected = digest(self.fit(self.model(None)))
        if digest(self.fit(self.model(path))) != self.expected:
            raise Finding("an undisturbed run goes on to other bits")

    def model(self, path, **more):
        random_state = self._make().random_state
        if isinstance(random_state, str):
            more["random_state"] = np.random.RandomState(getattr(np.random, random_state)(5))
        return self._make(checkpoint=path, **more)

    def fit(self, model):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return model.fit(self.X, self.y, self.weight)


def runs(folder):
    """All runs, prepared in a folder."""
    stopping = {"early_stopping": True, "validation_fraction": 0.3}
    found = [
        Run("adam", MLPClassifier, dtype=np.float32),
        Run("sgd", MLPRegressor, solver="sgd", learning_rate="invscaling", weighted=True),
        Run("adaptive", MLPClassifier, solver="sgd", learning_rate="adaptive", tol=10.0,
            n_iter_no_change=1, random_state="PCG64"),
        Run("stopping", MLPClassifier, random_state="Philox", weighted=True, **stopping),
        Run("in order", MLPRegressor, shuffle=False, random_state="SFC64", **stopping),
        Run("linear", MLPRegressor, hidden_layer_sizes=(), random_state="PCG64DXSM"),
    ]  # fmt: skip
    for run in found:
        run.prepare(folder)
        empty(folder)
    return found


def digest(model):
    """All that a fit leaves, as bytes."""
    state = model._random_state.get_state(legacy=False)
    parts = [*model.coefs_, *model.intercepts_, model.loss_curve_, model.validation_scores_ or 0]
    return b"".join(np.asarray(part).tobytes() for part in parts) + repr(state).encode()


def empty(folder):
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


# Damages: bytes to bytes


def flip_bits(rng, data, run):
    for at in rng.integers(len(data), size=rng.integers(1, 9)):
        data[at] ^= 1 << int(rng.integers(8))


def set_bytes(rng, data, run):
    for at in rng.integers(len(data), size=rng.integers(1, 9)):
        data[at] = int(rng.integers(256))


def cut(rng, data, run):
    del data[int(rng.integers(len(data))) :]


def append(rng, data, run):
    data += rng.bytes(int(rng.integers(1, 300)))


def insert(rng, data, run):
    at = int(rng.integers(len(data)))
    data[at:at] = rng.bytes(int(rng.integers(1, 100)))


def delete(rng, data, run):
    at = int(rng.integers(len(data)))
    del data[at : at + int(rng.integers(1, 200))]


def blank(rng, data, run):
    at, length = int(rng.integers(len(data))), int(rng.integers(1, 4096))
    data[at : at + length] = bytes([choose(rng, [0, 255])]) * len(data[at : at + length])


def move_block(rng, data, run):
    start, to = (int(at) for at in rng.integers(len(data), size=2))
    block = data[start : start + int(rng.integers(1, 512))]
    data[to : to + len(block)] = block


def splice(rng, data, run):
    """The beginning of one file, the end of the other."""
    at = int(rng.integers(len(data)))
    data[at:] = run.before[at:]


def header_field(rng, data, run):
    """A number in a header of the archive: versions, flags, method, sizes, offsets."""
    signature = choose(rng, [b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"])
    places = [match.start() for match in re.finditer(re.escape(signature), data)]
    if places:
        at = choose(rng, places) + int(rng.integers(4, 46))
        number = choose(rng, [0, 1, 8, 12, 14, 0xFFFF, 2**31, 2**32 - 1, 2**63, 2**64 - 1])
        packed = struct.pack("<Q", number)[: choose(rng, [1, 2, 4, 8])]
        data[at : at + len(packed)] = packed


def array_header(rng, data, run):
    """A dtype or a shape in a header of an array."""
    places = list(re.finditer(rb"\{'descr': '([^']*)'.*?'shape': \(([^)]*)\), \} *", data))
    if not places:
        return
    place = choose(rng, places)
    start, end = place.span()
    text = place.group()
    if rng.random() < 0.5:
        new = choose(rng, [b"9999999999999,", b"-1,", b"2, 2", b"", b"1e3,", b"((((((", b"3, "])
        text = text.replace(b"(" + place.group(2) + b")", b"(" + new + b")")
    else:
        new = choose(
            rng, [b"|O", b">f8", b"<f2", b"<U9", b"|V8", b"<f16", b"<M8[s]", b"x", b"<c16"]
        )
        text = text.replace(place.group(1), new, 1)
    data[start:end] = text[: end - start].ljust(end - start)


DAMAGES = [
    flip_bits, set_bytes, cut, append, insert, delete, blank, move_block, splice, header_field,
    header_field, array_header,
]  # fmt: skip


def damage(rng, run):
    """A damaged file."""
    data = bytearray(run.newest)
    for _ in range(choose(rng, [1, 1, 1, 2, 3])):
        if data:
            choose(rng, DAMAGES)(rng, data, run)
    return bytes(data)


# Hostile files


class Bomb:
    """A pickle that makes a folder where it is opened."""

    def __reduce__(self):
        return (os.mkdir, ("exploded",))


INTEGERS = [
    -1,
    0,
    1,
    2,
    3,
    7,
    625,
    10**6,
    10**9,
    -(10**7),
    2**31,
    2**63 - 1,
    2**63,
    2**128,
    10**400,
]
REALS = [float("nan"), float("inf"), -float("inf"), -0.0, 0.5, -1.0, 1e308, 5e-324, 1e30]
TEXTS = [
    "", "test", "seed", "bytes", "get_state", "RandomState", "mtrand", "__class__", "BitGenerator",
    "MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64", "MT19937 ", "\0", "\x1b[2J", "\ud800",
    "../../x", "x" * 100_000,
]  # fmt: skip
DTYPES = [
    "<f8", ">f8", "<f4", ">f4", "<f2", "<i8", ">i8", "<i4", "<u4", ">u4", "<u8", "|u1", "|i1",
    "|b1", "<c16", "<M8[s]", "<m8[D]", "<U3", "|S5", "|O", "|V4",
]  # fmt: skip


def hostile_value(rng):
    nested = []
    for _ in range(500):
        nested = [nested]
    pools = [INTEGERS, INTEGERS, REALS, REALS, TEXTS, [True, False, None, [], {}, [1], nested]]
    return choose(rng, choose(rng, pools))


def leaves(tree, path=()):
    """Paths of all values in nested dictionaries."""
    for name, value in tree.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from leaves(value, (*path, name))


def change_value(rng, meta, arrays, runs):
    """Another value of the JSON, another name for it, or none."""
    *path, name = choose(rng, list(leaves(meta)))
    tree = meta
    for part in path:
        tree = tree[part]
    kind = rng.integers(10)
    if kind == 0:
        del tree[name]
    elif kind == 1:
        tree[choose(rng, TEXTS)] = tree.pop(name)
    elif kind < 4 and type(tree[name]) in (int, float):
        tree[name] += choose(rng, [1, -1, 2, 0.5, 1e-9])
    else:
        tree[name] = hostile_value(rng)


def change_number(rng, meta, arrays, runs):
    """Some numbers of an array."""
    array = arrays[choose(rng, list(arrays))]
    if not array.size:
        return
    places = rng.integers(array.size, size=rng.integers(1, 4))
    with np.errstate(all="ignore"):
        for at in places:
            pool = REALS + INTEGERS[:-3] if array.dtype.kind == "f" else INTEGERS
            number = choose(rng, pool)
            if array.dtype.kind != "f":
                info = np.iinfo(array.dtype)
                number = min(max(number, info.min), info.max)
            array.flat[at] = number


def change_array(rng, meta, arrays, runs):
    """All of an array."""
    name = choose(rng, list(arrays))
    array = arrays[name]
    changes = [
        lambda: array.ravel(),
        lambda: array[None],
        lambda: array[:0] if array.ndim else array,
        lambda: array[..., :-1] if array.ndim else array,
        lambda: np.repeat(array, 2, axis=-1) if array.ndim else array,
        lambda: array.T,
        lambda: np.asfortranarray(array),
        lambda: np.array(0, array.dtype),
        lambda: np.zeros_like(array),
        lambda: np.full_like(array, array.max(initial=0)),
        lambda: np.full_like(array, -1 if array.dtype.kind != "u" else 2**31),
        lambda: rng.permutation(array) if array.ndim else array,
        lambda: np.zeros((0, 10**15), array.dtype),
        lambda: rng.integers(-(2**62), 2**62, array.shape),
        lambda: rng.standard_normal(array.shape).astype(choose(rng, ["f4", "f8"])),
        lambda: array.astype(array.dtype.newbyteorder()),
        lambda: array.astype(choose(rng, DTYPES)),
        lambda: np.array([Bomb()] * 3, dtype=object),
    ]
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            arrays[name] = np.asarray(choose(rng, changes)())
        except (TypeError, ValueError):  # a conversion that NumPy does not know
            del arrays[name]


def change_names(rng, meta, arrays, runs):
    """Arrays that are missing, or under other names, or too many."""
    kind, name = rng.integers(5), choose(rng, list(arrays))
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        other = choose(rng, list(arrays))
        arrays[name], arrays[other] = arrays[other], arrays[name]
    elif kind == 2:
        names = ["x", "solver.t", "rng.state.pos", "rng.x", "parameters.9.biases", "../x", "é"]
        arrays[choose(rng, names)] = arrays[name]
    elif kind == 3:
        arrays[choose(rng, ["x", "parameters.", "order.npy", "best"])] = arrays.pop(name)
    else:
        arrays.update({f"rng.{i}": arrays[name] for i in range(choose(rng, [3, 5000]))})


def change_generator(rng, meta, arrays, runs):
    """The state of another generator, whole or with one value that is none."""
    theirs, their_arrays = choose(rng, runs).contents
    meta["rng"] = json.loads(json.dumps(theirs["rng"]))
    for name in [name for name in arrays if name.startswith("rng.")]:
        del arrays[name]
    arrays.update({k: v.copy() for k, v in their_arrays.items() if k.startswith("rng.")})
    if rng.random() < 0.7:
        tree = choose(rng, [meta["rng"], meta["rng"]["state"]])
        if tree:
            tree[choose(rng, list(tree))] = hostile_value(rng)


def change_other(rng, meta, arrays, runs):
    """Values of another run."""
    theirs, their_arrays = choose(rng, runs).contents
    if rng.random() < 0.5:
        name = choose(rng, list(theirs))
        meta[name] = theirs[name]
    else:
        name = choose(rng, list(their_arrays))
        arrays[name] = their_arrays[name]


def change_epochs(rng, meta, arrays, runs):
    """A history of another length, as a whole."""
    rows = meta["samples_seen"] // meta["epoch"]
    epoch = choose(rng, [1, 2, 5, 6, 1000, 10**5])
    for name in ("loss_curve", "scores"):
        if name in arrays:
            arrays[name] = np.resize(arrays[name], epoch)
    meta.update(epoch=epoch, samples_seen=epoch * rows, loss=float(arrays["loss_curve"][-1]))


CHANGES = [
    change_value, change_value, change_value, change_number, change_number, change_array,
    change_array, change_names, change_generator, change_other, change_epochs,
]  # fmt: skip


def packed(meta, arrays, text=None, save=np.savez):
    """A file as nnjit writes it, with a digest that is right wherever there can be one."""
    try:
        meta = {**meta, "digest": file_format._digest(meta, arrays)}
    except (TypeError, ValueError):  # Python objects in an array
        meta = {**meta, "digest": "0"}
    stream = io.BytesIO()
    text = json.dumps(meta).encode() if text is None else text
    names = {k if k.isprintable() else "x": v for k, v in arrays.items() if k != "file"}
    save(stream, meta=np.frombuffer(text, np.uint8), **names)
    return stream.getvalue()


def strange_text(rng, run):
    """JSON that is none, or more than a reader can hold."""
    meta, arrays = run.contents
    text = json.dumps({**meta, "format": 1}).encode()
    return packed(meta, arrays, choose(rng, [
        b"", b"{", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe\x00", b"null", b"[]", b"1", b'"x"',
        b"1" * 5000, b'{"format": 1' + b"0" * 5000 + b"}", b'{"format": true}', b'{"format": 2}',
        b'{"format": "\\u001b[2J"}', b"[" + b"[]," * 500_000 + b"[]]", text + text, text[:-1],
        text.replace(b"format", b"forma\\u0074"), b" " * 3_000_000 + text,
    ]))  # fmt: skip


def strange_archive(rng, run):
    """Archives that `savez` does not write."""
    meta, arrays = run.contents
    kind = rng.integers(8)
    if kind == 0:  # small on disk, 100 MB in memory
        stream = io.BytesIO()
        method = choose(rng, [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
        with zipfile.ZipFile(stream, "w", method) as archive, archive.open("x.npy", "w") as entry:
            for _ in range(100):
                entry.write(bytes(2**20))
        return stream.getvalue()
    if kind == 1:
        return packed({**meta, "format": 2}, arrays, save=np.savez_compressed)
    if kind == 2:  # the same entry twice
        stream = io.BytesIO(run.newest)
        with warnings.catch_warnings(), zipfile.ZipFile(stream, "a") as archive:
            warnings.simplefilter("ignore")
            archive.writestr("order.npy", archive.read("order.npy"))
        return stream.getvalue()
    if kind == 3:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as archive:
            for i in range(choose(rng, [0, 1, 70_000])):
                archive.writestr(f"{i}.npy", b"")
        return stream.getvalue()
    if kind == 4:
        return pickle.dumps(Bomb())
    if kind == 5:  # a bare array; one that claims much
        stream = io.BytesIO()
        np.save(stream, choose(rng, [np.arange(3), np.array([Bomb()], object)]))
        return stream.getvalue().replace(b"(3,), }   ", b"(3" + b"0" * 3 + b",), }")
    if kind == 6:  # checksums and digest are right, the size is a claim
        stream = io.BytesIO()
        with (
            zipfile.ZipFile(stream, "w") as archive,
            zipfile.ZipFile(io.BytesIO(run.newest)) as old,
        ):
            for name in old.namelist():
                content = old.read(name)
                if name == "order.npy":
                    claim = choose(rng, [b"9" * 13, b"9" * 18, b"9" * 40, b"-5", b"0"])
                    content = re.sub(rb"\((\d+),\), \}( *)", b"(" + claim + b",), }   ", content)
                archive.writestr(name, content)
        return stream.getvalue()
    stream = io.BytesIO(run.newest)  # an archive in an archive, a comment, a name that leads away
    with zipfile.ZipFile(stream, "a") as archive:
        archive.comment = choose(rng, [b"", b"x" * 100])
        archive.writestr(
            choose(rng, ["../x.npy", "/etc/x.npy", "x.npz", "a/", "é.npy"]), run.newest
        )
    return stream.getvalue()


def strange_file(rng, path):
    """Something else under the name of a file."""
    kind = rng.integers(7)
    if kind == 0:
        path.mkdir()
    elif kind == 1 and hasattr(os, "mkfifo"):
        os.mkfifo(path)
    elif kind in (1, 2):
        path.touch()
        os.truncate(path, choose(rng, [1, 2**20, 2**33, 2**42]))
    else:
        path.symlink_to(["/dev/zero", "/dev/null", path.name, "/"][kind - 3])


def hostile(rng, run, runs):
    """A hostile file: its bytes, or a function that makes it."""
    kind = rng.integers(20)
    if kind == 0:
        return lambda path: strange_file(rng, path)
    if kind == 1:
        return strange_text(rng, run)
    if kind in (2, 3):
        return strange_archive(rng, run)
    meta = json.loads(json.dumps(run.contents[0]))
    arrays = {name: array.copy() for name, array in run.contents[1].items()}
    if rng.random() < 0.3:
        meta, arrays = former(meta, arrays)
    for _ in range(choose(rng, [1, 1, 1, 2, 4])):
        with contextlib.suppress(Exception):  # the change before took away what it would change
            choose(rng, CHANGES)(rng, meta, arrays, runs)
    return packed({"format": 2, "nnjit": "0", **meta}, arrays)


def former(meta, arrays):
    """The same contents as format 1 has them."""
    names = {"velocity": "first", "first_moment": "first", "second_moment": "second"}
    found = {"solver.second": np.empty(0, arrays["parameters.0.weights"].dtype)}
    for name, array in arrays.items():
        prefix, *rest = name.split(".")
        if prefix.endswith("parameters"):
            bias = "bias." * (rest[1] == "biases")
            name = f"{prefix.replace('parameters', 'weights')}.{bias}{rest[0]}"
        elif name.startswith("solver.vectors."):
            name = f"solver.{names[rest[1]]}"
        found[name] = array
    powers = [*found.pop("solver.powers"), 1.0, 1.0]
    found["solver.clock"] = np.array([meta["steps"], *powers[:2]], dtype=np.float64)
    return {name: value for name, value in meta.items() if name != "network"} | {"format": 1}, found


# Tries


class Watch:
    """Notices code that runs."""

    def __init__(self):
        self.on, self.seen = False, []
        sys.addaudithook(self._hear)  # for good

    def _hear(self, event, args):
        if self.on and event in FORBIDDEN:
            self.seen.append(f"{event}{args!r:.100}")

    def __enter__(self):
        self.seen.clear()
        self._test, self.on = np.random.test, True
        np.random.test = lambda *args: self.seen.append("numpy.random.test()")

    def __exit__(self, *error):
        self.on = False
        np.random.test = self._test


class Fuzzer:
    """Tries in a folder."""

    def __init__(self, folder, watch=None):
        self.folder = Path(folder)
        self.watch = watch or Watch()
        self._fsync, os.fsync = os.fsync, lambda descriptor: None  # none of this has to last
        try:
            self.runs = runs(self.folder)
        except BaseException:
            self.close()
            raise

    def close(self):
        os.fsync = self._fsync

    def attempt(self, seed, kind, number):
        """How a try ended. Raises `Finding`."""
        rng = np.random.default_rng([seed, kind == "hostile", number])
        run = choose(rng, self.runs)
        empty(self.folder)
        new = self._file(rng, run, kind)
        places = choose(rng, [("new", "sound"), ("new", "none"), ("new", "new"), ("none", "new")])
        for name, what in zip(("run", "run.previous"), places):
            path = self.folder / name
            content = {"new": new, "sound": run.before}.get(what)
            if callable(content):
                content(path)
            elif content is not None:
                path.write_bytes(content)
        outcome = self._fit(run)
        if kind == "damage" and outcome == "other numbers":
            raise Finding(f"{run.name}, {places}: a damaged file was gone on from")
        if kind == "damage" and "sound" in places and outcome != "same bits":
            raise Finding(f"{run.name}, {places}: the one before was not used: {outcome}")
        return outcome

    def _file(self, rng, run, kind):
        if kind == "damage":
            return damage(rng, run)
        return hostile(rng, run, self.runs)

    def _fit(self, run):
        model = run.model(self.folder / "run")
        before, stream = dict(vars(model)), state_of(model.random_state)
        here = os.getcwd()
        os.chdir(self.folder)
        try:
            with self.watch:
                run.fit(model)
        except ValueError as error:
            if not re.search(REFUSALS, str(error)) or type(error) is not ValueError:
                raise Finding(f"{run.name}: {type(error).__name__}: {error!s:.300}") from error
            if len(str(error)) > 3000 or not str(error).isprintable():
                raise Finding(f"{run.name}: its text is in the message") from error
            if vars(model) != before or state_of(model.random_state) != stream:
                raise Finding(f"{run.name}: the estimator has changed") from error
            outcome = "refused: " + re.search(REFUSALS, str(error)).group()
        except Exception as error:
            raise Finding(f"{run.name}: {type(error).__name__}: {error!s:.300}") from error
        else:
            outcome = "same bits" if digest(model) == run.expected else "other numbers"
            check_numbers(run, model)
        finally:
            os.chdir(here)
        if self.watch.seen:
            raise Finding(f"{run.name}: ran {self.watch.seen[:3]}")
        return outcome


def state_of(generator):
    if not isinstance(generator, np.random.RandomState):
        return None
    return repr(generator.get_state(legacy=False))


def check_numbers(run, model):
    """Whatever a fit has gone on from, what it leaves is a network."""
    shapes = [np.shape(a) for a in model.coefs_]
    units = [4, *np.atleast_1d(model.hidden_layer_sizes).astype(int), 1]
    if shapes != list(zip(units[:-1], units[1:])):
        raise Finding(f"{run.name}: shapes {shapes}")
    with np.errstate(all="ignore"):
        try:
            outputs = model.predict(run.X)
        except Exception as error:
            raise Finding(f"{run.name}: predict: {error!s:.300}") from error
    if not all(np.isfinite(a).all() for a in (*model.coefs_, *model.intercepts_)):
        raise Finding(f"{run.name}: parameters are not finite")
    if outputs.shape != (30,) or len(model.loss_curve_) < model.n_iter_:
        raise Finding(f"{run.name}: outputs {outputs.shape}, {len(model.loss_curve_)} losses")


def work(options):
    """All tries; the number of the present one goes into the options' file."""
    outcomes, findings = collections.Counter(), 0
    current = os.open(options.file, os.O_WRONLY)
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(folder)
        limit_memory()
        for kind, count in (("damage", options.damages), ("hostile", options.hostile)):
            for number in range(count):
                os.pwrite(current, f"{kind} {number:<20}".encode(), 0)
                faulthandler.dump_traceback_later(HANG, exit=True)
                try:
                    outcomes[f"{kind}: {fuzzer.attempt(options.seed, kind, number)}"] += 1
                except Finding as finding:
                    findings += 1
                    print(f"FINDING in {kind} {number}: {finding}", flush=True)
        faulthandler.cancel_dump_traceback_later()
    print(f"seed {options.seed}: {options.damages} damages, {options.hostile} hostile files, "
          f"{findings} findings")  # fmt: skip
    for name, times in sorted(outcomes.items()):
        print(f"  {times:6d}  {name}")
    return bool(findings)


def limit_memory():
    """Let a claim of memory fail, where the system can."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (ImportError, OSError):
        return
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY,) * 2)


def watch(options):
    """Run the tries in another process and say which one crashed or hung."""
    with tempfile.NamedTemporaryFile("r") as file:
        command = [sys.executable, "-X", "faulthandler", *sys.argv, "--file", file.name]
        status = subprocess.run(command).returncode
        if status not in (0, 1):
            file.seek(0)
            print(f"seed {options.seed}: CRASH OR HANG (status {status}) in {file.read().strip()}")
        return status


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--damages", type=int, default=20_000)
    parser.add_argument("--hostile", type=int, default=2_000)
    parser.add_argument("--only", nargs=2, metavar=("KIND", "NUMBER"), help="one try again")
    parser.add_argument("--file", help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = parse()
    if options.only:
        with tempfile.TemporaryDirectory() as folder:
            print(Fuzzer(folder).attempt(options.seed, options.only[0], int(options.only[1])))
        return 0
    return work(options) if options.file else watch(options)


if __name__ == "__main__":
    sys.exit(main())
