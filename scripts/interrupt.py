"""Fits of every kind of network, interrupted at random moments.

Another process sends the Ctrl-C, so that it comes wherever a fit is: in compiled code, between two
epochs, while a file is written, while a thread ends. A fit that would never end by itself has to
return soon, with a network whose predictions are finite; one that had not begun to train has to
raise KeyboardInterrupt and leave the estimator without fitted attributes. Where epochs are whole
ones the network has to be that of a fit of so many epochs, and train on as that does. What is
fitted afterwards has to have the bits that it had before, with no thread more and the same handler.

    python scripts/interrupt.py                               # 200 fits of each kind
    python scripts/interrupt.py --fits 1000 --seed 7 MLP AutoEncoder

It prints for each kind how its fits ended and the longest wait, and every finding. The status is 1
if there is one. The agents need Gymnasium.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import make_classification

import nnjit
from nnjit import (
    AutoEncoder,
    ConvClassifier,
    MLPClassifier,
    MLPRegressor,
    RBFClassifier,
    RecurrentClassifier,
    SelfOrganizingMap,
    TabularClassifier,
)

HANG = 60  # seconds after which a Ctrl-C is taken for lost
SENDER = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all
for line in sys.stdin:
    time.sleep(float(line))
    os.kill(int(sys.argv[1]), signal.SIGINT)
    print(flush=True)
"""
X, Y = make_classification(400, 12, n_informative=6, random_state=0)
ENDLESS = {"max_iter": 10**7, "tol": 0.0, "n_iter_no_change": 10**7, "random_state": 0}


def network(**more):
    return MLPClassifier(hidden_layer_sizes=(20,), **ENDLESS, **more)


class Kind:
    """Fits of one kind.

    Parameters
    ----------
    make : callable
        Returns a new estimator of a fit that does not end; its argument is a new file's name.
    X, y : array-like
    whole : bool
        Whether an interrupted fit has whole epochs.
    """

    def __init__(self, make, X=X, y=Y, whole=False):
        self.make, self.X, self.y, self.whole = make, X, y, whole

    def fit(self, model):
        return model.fit(self.X) if self.y is None else model.fit(self.X, self.y)

    def short(self):
        """A fit that ends, for comparison."""
        model = self.make(None).set_params(max_iter=3)
        return self.fit(model.set_params(checkpoint=None) if "checkpoint" in vars(model) else model)

    def outputs(self, model):
        if self.y is None:
            return model.transform(self.X)
        return getattr(model, "predict_proba", model.predict)(self.X)

    def numbers(self, model):
        """All that a fit learned, or what follows from it."""
        arrays = [*getattr(model, "coefs_", ()), *getattr(model, "intercepts_", ())]
        return [*arrays, self.outputs(model)]

    def check(self, model):
        """Raise where an interrupted fit left what is no network, or a part of an epoch."""
        assert np.isfinite(self.outputs(model)).all(), "outputs are not finite"
        if not self.whole:
            return
        shorter = self.fit(self.make(None).set_params(max_iter=model.n_iter_))
        for _ in range(2):
            assert model.loss_curve_ == shorter.loss_curve_, "not the losses of whole epochs"
            assert model.t_ == shorter.t_, "not the rows of whole epochs"
            assert equal(self.numbers(model), self.numbers(shorter)), "not the bits of whole epochs"
            model.partial_fit(self.X, self.y)
            shorter.partial_fit(self.X, self.y)


class Agent(Kind):
    """Learning in an environment."""

    def __init__(self, name):
        super().__init__(lambda file: getattr(__import__("nnjit.agents").agents, name)())

    def fit(self, model, steps=10**9):
        import gymnasium

        return model.set_params(random_state=0).fit(gymnasium.make("CartPole-v1"), steps)

    def short(self):
        return self.fit(self.make(None), 3000)

    def outputs(self, model):
        return model.act(np.zeros(4))


def equal(ours, theirs):
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def rows_of_a_file(folder):
    rows = np.lib.format.open_memmap(folder / "rows.npy", "w+", X.dtype, X.shape)
    rows[:] = X
    return rows


def kinds(folder):
    """Every kind by name."""
    rows = rows_of_a_file(folder)
    endless_lbfgs = {"solver": "lbfgs", "max_iter": 10**7, "max_fun": 10**9, "tol": 0.0}
    wide = {"hidden_layer_sizes": (300, 300), "random_state": 0, **endless_lbfgs}
    return {
        "MLP": Kind(lambda _: network(), whole=True),
        "early_stopping": Kind(lambda _: network(early_stopping=True)),
        "restore_best": Kind(lambda _: network(restore_best="loss")),
        "average": Kind(lambda _: network(average=0.9)),
        "checkpoint": Kind(lambda file: network(checkpoint=file, checkpoint_interval=1)),
        "lbfgs": Kind(lambda _: MLPRegressor(**wide), y=np.tanh(X[:, 0])),
        "blocks": Kind(lambda _: network(shuffle="blocks"), rows),
        "RBF": Kind(lambda _: RBFClassifier(**ENDLESS)),
        "Conv": Kind(lambda _: ConvClassifier(4, **ENDLESS), X.reshape(400, 1, 3, 4)),
        "Recurrent": Kind(lambda _: RecurrentClassifier(6, **ENDLESS), X.reshape(400, 3, 4)),
        "Tabular": Kind(
            lambda _: TabularClassifier(max_iter=10**6, n_members=2, random_state=0)
        ),
        "AutoEncoder": Kind(
            lambda _: AutoEncoder(max_iter=10**6, n_members=3, random_state=0), y=None
        ),
        "SelfOrganizingMap": Kind(
            lambda _: SelfOrganizingMap((8, 8), max_iter=10**7, random_state=0), y=None
        ),
        "QAgent": Agent("QAgent"),
        "PolicyAgent": Agent("PolicyAgent"),
    }  # fmt: skip


class Sender:
    """Another process, which sends this one a Ctrl-C."""

    def __init__(self):
        command = [sys.executable, "-c", SENDER, str(os.getpid())]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def send(self, delay):
        self._process.stdin.write(f"{delay}\n")
        self._process.stdin.flush()

    def wait(self):
        self._process.stdout.readline()

    def close(self):
        self._process.stdin.close()
        self._process.wait()


def interrupted(kind, sender, delay, file):
    """Return how a fit ended, and seconds from the Ctrl-C to its return."""
    model = kind.make(file)
    begun = time.monotonic()
    faulthandler.dump_traceback_later(delay + HANG, exit=True)
    try:
        sender.send(delay)
        kind.fit(model)
        ended = "trained"
    except KeyboardInterrupt:
        ended = "not begun"
    waited = max(0.0, time.monotonic() - begun - delay)
    with contextlib.suppress(KeyboardInterrupt):  # of a fit that ended by itself
        sender.wait()
    faulthandler.cancel_dump_traceback_later()
    if ended == "trained":
        kind.check(model)
    else:
        left = [name for name in vars(model) if name.endswith("_") and name[0] != "_"]
        assert not left, f"no fit, but {left}"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler, "another handler"
    return ended, waited


def run(name, kind, sender, given, draw, folder):
    """Interrupt fits of one kind; return the findings."""
    reference, threads = kind.numbers(kind.short()), threading.active_count()
    ends, longest, findings = {"trained": 0, "not begun": 0}, 0.0, []
    for number in range(given.fits):
        delay = draw.uniform(0.0, 0.25)
        try:
            ended, waited = interrupted(kind, sender, delay, str(folder / f"{name}-{number}"))
        except Exception as error:
            findings.append(f"{name} {number}: {type(error).__name__}: {error}")
            continue
        ends[ended] += 1
        longest = max(longest, waited)
    if longest > given.longest:
        findings.append(f"{name}: {longest:.1f} s from the Ctrl-C to the return")
    if not equal(kind.numbers(kind.short()), reference):
        findings.append(f"{name}: other bits than before")
    if threading.active_count() > threads:
        findings.append(f"{name}: {threading.active_count() - threads} threads more")
    print(f"{name:18s} {ends}, {longest:.2f} s at the most", flush=True)
    for finding in findings:
        print(f"FINDING {finding}", flush=True)
    return findings


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--fits", type=int, default=200, help="fits of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--longest", type=float, default=1.0, help="seconds until a fit returns")
    parser.add_argument("kinds", nargs="*", help="names of kinds; all by default")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(f"nnjit {nnjit.__version__}, seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        found = kinds(Path(folder))
        if unknown := [name for name in given.kinds if name not in found]:
            parser.error(f"no kinds {unknown}; there are {[*found]}")
        sender, draw, findings = Sender(), random.Random(given.seed), []
        for name in given.kinds or found:
            if isinstance(found[name], Agent):
                try:
                    import gymnasium  # noqa: F401
                except ImportError:
                    print(f"{name:18s} left out: Gymnasium is not installed", flush=True)
                    continue
            findings += run(name, found[name], sender, given, draw, Path(folder))
        sender.close()
    print(f"{len(findings)} findings")
    return bool(findings)


if __name__ == "__main__":
    sys.exit(main())
