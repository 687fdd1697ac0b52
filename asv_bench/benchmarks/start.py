"""What a first use costs: import, first fit with an empty and with a filled cache."""

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


def _seconds(code, **environment):
    """The number that code prints in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    )
    return float(done.stdout)


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
