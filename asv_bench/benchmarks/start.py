"""What a first use costs: import, units, first fit with an empty and with a filled cache."""

import json
import os
import subprocess
import sys
import tempfile

_IMPORT = """
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""
_FIRST_FIT = """
import time, warnings
import numpy as np
import nnjit
warnings.simplefilter("ignore")
X = np.random.default_rng(0).standard_normal((150, 4))
model = nnjit.MLPClassifier((10,), max_iter=20, random_state=0)
seconds = []
for _ in range(2):
    start = time.perf_counter()
    model.fit(X, np.arange(150) % 3)
    seconds.append(time.perf_counter() - start)
print(seconds[0] - seconds[1])
"""
# CPU seconds of all threads, so that other processes do not count. Of a first use: imports, the fit
# (with whatever threads compile it) and the first prediction.
_FIRST_USE = """
import time, warnings
import numpy as np
warnings.simplefilter("ignore")
X = np.random.default_rng(0).standard_normal((150, 4)).astype("{dtype}")
y = np.arange(150) % 3
from nnjit import {estimator}
start = time.process_time()
{estimator}({parameters}max_iter=20, random_state=0).fit(X, y).predict(X)
print(time.process_time() - start)
"""
_USES = {
    "MLP": ("MLPClassifier", "(10,), "),
    "RBF": ("RBFClassifier", "10, "),
}
_UNITS = """
import json, time
start = time.process_time()
from nnjit.backends.units import all_units
from nnjit.core.compiler.units import Unit

def nothing():
    pass

Unit(nothing, "nothing").address
seconds = [["compiler", "once a process", time.process_time() - start]]
for family, name, unit in all_units({single}):
    start = time.process_time()
    unit.address
    seconds.append([family, name, time.process_time() - start])
print(json.dumps(seconds))
"""


def _output(code, **environment):
    """What code prints in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return done.stdout


def _seconds(code, **environment):
    """The number that code prints in a fresh interpreter."""
    return float(_output(code, **environment))


def unit_seconds(dtype):
    """CPU seconds that each unit takes to compile, nothing being cached.

    A helper that several units call is compiled for the first of them, as in a fit.

    Parameters
    ----------
    dtype : {'float32', 'float64'}

    Returns
    -------
    dict
        Seconds by (family, name).
    """
    with tempfile.TemporaryDirectory() as folder:
        code = _UNITS.format(single=dtype == "float32")
        found = json.loads(_output(code, NUMBA_CACHE_DIR=folder))
    return {(family, name): seconds for family, name, seconds in found}


def first_use_seconds(use, dtype):
    """CPU seconds of a first fit with the first prediction, nothing being cached.

    Parameters
    ----------
    use : {'MLP', 'RBF'}
        A classifier of three classes: ReLU and Adam, or radial basis functions.
    dtype : {'float32', 'float64'}

    Returns
    -------
    float
    """
    estimator, parameters = _USES[use]
    code = _FIRST_USE.format(dtype=dtype, estimator=estimator, parameters=parameters)
    with tempfile.TemporaryDirectory() as folder:
        return _seconds(code, NUMBA_CACHE_DIR=folder)


def _best(code, **environment):
    return min(_seconds(code, **environment) for _ in range(3))


class Import:
    """Seconds that `import nnjit` takes beyond `import sklearn.neural_network`."""

    unit = "seconds"

    def track_import_beyond_scikit_learn(self):
        return _best(_IMPORT.format(module="sklearn.neural_network, nnjit")) - _best(
            _IMPORT.format(module="sklearn.neural_network")
        )


class FirstFit:
    """Seconds of a process's first small fit beyond its second, and the cache it leaves."""

    timeout = 300

    def setup(self):
        self.folder = tempfile.TemporaryDirectory()

    def teardown(self):
        self.folder.cleanup()

    def track_cold(self):
        return _seconds(_FIRST_FIT, NUMBA_CACHE_DIR=self.folder.name)

    track_cold.unit = "seconds"

    def track_warm(self):
        _seconds(_FIRST_FIT, NUMBA_CACHE_DIR=self.folder.name)
        return _best(_FIRST_FIT, NUMBA_CACHE_DIR=self.folder.name)

    track_warm.unit = "seconds"

    def track_cache_files(self):
        return len(self._files())

    track_cache_files.unit = "files"

    def track_cache_bytes(self):
        return sum(map(os.path.getsize, self._files()))

    track_cache_bytes.unit = "bytes"

    def _files(self):
        _seconds(_FIRST_FIT, NUMBA_CACHE_DIR=self.folder.name)
        return [
            os.path.join(folder, name)
            for folder, _, names in os.walk(self.folder.name)
            for name in names
        ]


class FirstUse:
    """CPU seconds of a first fit with the first prediction, nothing being cached."""

    params = (list(_USES), ["float32", "float64"])
    param_names = ("network", "dtype")
    timeout = 300

    def track_cpu(self, use, dtype):
        return min(first_use_seconds(use, dtype) for _ in range(2))

    track_cpu.unit = "seconds"


class Units:
    """CPU seconds that each family of units takes to compile, and the longest of its units."""

    params = (
        ["compiler", "driver", "layer", "activation", "loss", "output", "solver"],
        ["float32", "float64"],
    )
    param_names = ("family", "dtype")
    timeout = 300

    def setup_cache(self):
        return {dtype: unit_seconds(dtype) for dtype in ("float32", "float64")}

    def track_seconds(self, found, family, dtype):
        return sum(seconds for (of, _), seconds in found[dtype].items() if of == family)

    track_seconds.unit = "seconds"

    def track_longest(self, found, family, dtype):
        return max(seconds for (of, _), seconds in found[dtype].items() if of == family)

    track_longest.unit = "seconds"
