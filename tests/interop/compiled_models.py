"""Files of C as Python functions: compiled without a warning, and called through ctypes."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

from nnjit.interop import export_c

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]


def compiler(name="cc"):
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no compiler {name}")
    return found


def run(*command):
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return done.stdout


def compiled(folder, models, flags=("-O1",)):
    """All models in one library, by their names.

    models : dict of name to estimator
    """
    cc, file, library = compiler(), folder / "models.c", folder / "models.so"
    texts = {name: export_c(model, name=name) for name, model in models.items()}
    file.write_text("\n".join(texts.values()), encoding="ascii")
    run(cc, "-std=c99", *WARNINGS, *flags, "-shared", "-fPIC", file, "-o", library, "-lm")
    loaded = ctypes.CDLL(str(library))
    return {name: Compiled(loaded, name, text) for name, text in texts.items()}


class Compiled:
    """One model."""

    def __init__(self, library, name, text):
        self.library, self.name, self.text = library, name, text
        double = f"void {name}_predict(const double" in text
        self.dtype = np.dtype(np.float64 if double else np.float32)

    def macro(self, label):
        (line,) = [one for one in self.text.splitlines() if self._defines(one, label)]
        return int(line.split()[2])

    def _defines(self, line, label):
        return line.startswith(f"#define {self.name.upper()}_{label} ")

    def of_rows(self, label, X, size, dtype=None):
        """What a function void (const real *, any *) makes of each row, `size` numbers."""
        call = getattr(self.library, f"{self.name}_{label}")
        rows = np.ascontiguousarray(X, self.dtype).reshape(len(X), -1)
        found = np.full((len(rows), size + 2), 77, self.dtype if dtype is None else dtype)
        for row, out in zip(rows, found):
            call(ctypes.c_void_p(row.ctypes.data), ctypes.c_void_p(out.ctypes.data))
        assert (found[:, size:] == 77).all()  # nothing behind the end is written
        return found[:, :size]

    def predict(self, X):
        return self.of_rows("predict", X, self.macro("N_OUTPUTS"))

    def number(self, X, label="classify", result=ctypes.c_int):
        """What a function int (const real *) says of each row."""
        call = getattr(self.library, f"{self.name}_{label}")
        call.restype = result
        rows = np.ascontiguousarray(X, self.dtype).reshape(len(X), -1)
        return np.array([call(ctypes.c_void_p(row.ctypes.data)) for row in rows])

    def numbers(self, X):
        return self.of_rows("classify", X, self.macro("N_DECISIONS"), np.int32)

    def strings(self, count, label="labels"):
        table = (ctypes.c_char_p * count).in_dll(self.library, f"{self.name}_{label}")
        return [one.decode() for one in table]
