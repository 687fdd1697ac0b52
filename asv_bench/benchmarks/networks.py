"""Training steps of networks of images and series, their memory, and their predictions."""

import numpy as np

from nnjit.backends.select import make_engine

from .network_cases import NETWORK_CASES, make_parameters, make_rows

# Minibatches of one measurement.
STEPS = 4


class _Engine:
    params = (list(NETWORK_CASES), ["float32", "float64"])
    param_names = ("case", "dtype")
    timeout = 300

    def prepare(self, name, dtype, steps):
        case = NETWORK_CASES[name]
        self.engine = make_engine(case.network, np.dtype(dtype))
        self.engine.pack(make_parameters(case.network, dtype))
        self.X, self.y = make_rows(case, dtype, steps)


class Steps(_Engine):
    """Minibatches of Adam."""

    def setup(self, name, dtype):
        self.prepare(name, dtype, STEPS)
        self.batch = NETWORK_CASES[name].batch
        self.dataset, self.order = self.engine.dataset(self.X, self.y), np.arange(len(self.X))
        self.optimizer = self.engine.optimizer("adam")
        self.optimizer.learning_rate = 1e-4
        self.run()

    def run(self):
        self.engine.train(self.dataset, self.order, self.batch, self.optimizer, 0.0, 0, STEPS)

    def time_steps(self, name, dtype):
        self.run()

    def peakmem_steps(self, name, dtype):
        self.run()


class PredictRows(_Engine):
    """One row, and 1000."""

    params = (list(NETWORK_CASES), ["float32", "float64"], [1, 1000])
    param_names = ("case", "dtype", "rows")

    def setup(self, name, dtype, rows):
        case = NETWORK_CASES[name]
        self.prepare(name, dtype, -(-rows // case.batch))
        self.X = self.X[:rows]
        self.engine.predict(self.X)

    def time_predict(self, name, dtype, rows):
        self.engine.predict(self.X)
