"""Random use of the estimators, call by call beside scikit-learn.

A program is a random estimator and a few random calls: fit, partial_fit, the predictions, score,
set_params, clone, pickle; parameters of the network are assigned, a fit writes a checkpoint, the
checkpoint is damaged and the same fit asked to go on from it. nnjit's and scikit-learn's estimator
get the same calls with the same arguments (checkpoints are nnjit's alone, and must change nothing).
Both have to accept a call or both refuse it, by the same type of error, and their numbers have to
agree; what differs on purpose is listed by name in `KNOWN`. Nothing may crash or
hang: the programs run in a process of their own that is watched.

    python scripts/fuzz.py --count 100000            # calls
    python scripts/fuzz.py --seconds 600 --seed 7
    python scripts/fuzz.py --seed 7 --only 1234      # one program again, with all that it does

It prints the seed, the number of calls, how often each known difference was met, and every
finding. The status is 1 if there is one.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import os
import pickle
import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
import scipy.sparse as sp

HANG = 120  # seconds for one program
REFUSALS = ("No checkpoint can be read", "is of another run", "has format", "cannot be written")
KNOWN = {
    "loss not finite": "scikit-learn trains on; nnjit stops and refuses",
    "weightless minibatch": "scikit-learn divides by zero; nnjit skips it",
    "negative poisson target": "nnjit refuses it",
    "another architecture": "nnjit refuses; scikit-learn corrupts its memory with lbfgs",
    "lbfgs has no partial_fit": "MLPRegressor of scikit-learn shows one that cannot work",
    "loss changed before partial_fit": "scikit-learn's error is a KeyError",
    "lbfgs of several outputs": "scikit-learn's gradient is n_outputs times the loss's",
    "warm start after a plateau": "scikit-learn runs one epoch",
    "warm start with early stopping": "best weights are restored and the split is kept",
    "stratified split": "scikit-learn's split of several classes is not, of two classes has to be",
    "weights of 0 with early stopping": "nnjit leaves such rows out",
    "random stream of partial_fit": "scikit-learn repeats one permutation",
    "attributes of another solver": "scikit-learn keeps the loss curve of an earlier solver",
    "order of checks": "of two faults in one call the other is named",
    "text and early stopping": "scikit-learn 1.7 looks for NaN among text predictions",
    "unvalidated parameter": "partial_fit validates none; each fails where it is first used",
    "warm start with other settings": "scikit-learn fails when the solver or the stopping changed",
    "rounding": "probabilities so near 1 that 1 - p has few digits left",
    "another network": "after a known difference only one of the two overflows",
    "overflow": "scikit-learn returns NaN or infinity; nnjit refuses",
    "float32": "scikit-learn's Adam computes in float64",
    "poisson underflow": "a mean that underflows costs a finite loss; scikit-learn's is NaN",
    "ill-conditioned": "scikit-learn's own numbers move as far when its input moves by rounding",
}


def choose(rng, *options):
    return options[rng.integers(len(options))]


# Programs: estimators, data, calls


def random_parameters(rng, classifier):
    """Constructor parameters; about one program in eight has a bad one."""
    pool = {
        "hidden_layer_sizes": [(4,), (3, 2), (), 5, [2], (9, 4, 3), np.array([3, 3])],
        "activation": ["identity", "logistic", "tanh", "relu"],
        "solver": ["adam", "adam", "sgd", "sgd", "lbfgs"],
        "alpha": [0, 1e-4, 0.1, 10],
        "batch_size": ["auto", 1, 3, 8, 1000],
        "learning_rate": ["constant", "invscaling", "adaptive"],
        "learning_rate_init": [1e-3, 0.01, 0.1, 0.5],
        "power_t": [0.5, 0, 1.5],
        "shuffle": [True, True, False],
        "tol": [1e-4, 0.0, 1.0],
        "warm_start": [False, False, True],
        "momentum": [0.9, 0, 0.5, 1],
        "nesterovs_momentum": [True, False],
        "early_stopping": [False, False, False, True],
        "validation_fraction": [0.1, 0.3, 0.5],
        "beta_1": [0.9, 0.0, 0.5],
        "beta_2": [0.999, 0.9],
        "epsilon": [1e-8, 1e-3],
        "n_iter_no_change": [10, 1, 2, np.inf],
        "max_fun": [15000, 1, 7],
    }
    bad = {
        "hidden_layer_sizes": [0, (0,), (-1, 2), "a", (2.5,), None],
        "activation": ["swish", None, 3],
        "solver": ["newton", None],
        "alpha": [-1, "a", None, np.nan],
        "batch_size": [0, -1, 2.5, "all", None],
        "learning_rate": ["cosine", None],
        "learning_rate_init": [0, -1, "a", None],
        "power_t": [-1, None],
        "max_iter": [0, -1, 1.5, None],
        "shuffle": ["yes", None, 2],
        "tol": [-1, None],
        "warm_start": ["no", None],
        "momentum": [2, -0.1, None],
        "nesterovs_momentum": ["x", None],
        "early_stopping": ["x", None],
        "validation_fraction": [-0.1, 1.0, 2, None],
        "beta_1": [1.0, -1, None],
        "beta_2": [1.0, -1, None],
        "epsilon": [0.0, -1, None],
        "n_iter_no_change": [0, -1, 1.5, None],
        "max_fun": [0, -1, None],
        "random_state": ["a", -1, 1.5],
        "verbose": ["x", -1],
    }
    parameters = {
        name: choose(rng, *options) for name, options in pool.items() if rng.random() < 0.4
    }
    parameters["max_iter"] = int(rng.integers(1, 5))
    parameters["random_state"] = int(rng.integers(0, 1000))
    if not classifier:
        if rng.random() < 0.3:
            parameters["loss"] = "poisson"
        bad["loss"] = ["absolute_error", None]
    if rng.random() < 0.12:
        name = choose(rng, *bad)
        parameters[name] = choose(rng, *bad[name])
    return parameters


def random_rows(rng, n_samples, n_features):
    """Inputs in some container; about one in ten is bad."""
    X = rng.standard_normal((n_samples, n_features))
    kind = rng.integers(14)
    if kind == 0:
        X *= choose(rng, 1e-300, 1e-6, 30.0)
    elif kind == 1:
        X = np.round(X).astype(choose(rng, np.int8, np.int64, np.float16, bool, object))
    if rng.random() < 0.2 and X.dtype == np.float64:
        X = X.astype(np.float32)
    trouble = rng.integers(60)
    if trouble == 0 and X.size and X.dtype.kind == "f":
        X[rng.integers(n_samples), 0] = choose(rng, np.nan, np.inf, -np.inf)
    elif trouble == 1:
        X = X[:, :0]
    elif trouble == 2:
        X = X[:, 0]
    elif trouble == 3:
        return None
    elif trouble == 4:
        X = X.astype(str)
    elif trouble == 5:
        X = X.astype(complex)
    form = rng.integers(12)
    if form == 0 and X.ndim == 2 and X.dtype.kind in "fib":
        return choose(rng, sp.csr_matrix, sp.csc_matrix, sp.csr_array, sp.coo_matrix)(
            X if X.dtype != np.float16 else X.astype(float)
        )
    if form == 1:
        return np.asfortranarray(X)
    if form == 2:
        return X.tolist()
    if form == 3:
        X = X.copy()
        X.flags.writeable = False
    elif form == 4 and X.dtype.kind == "f":
        return X.astype(X.dtype.newbyteorder())
    elif form == 5:
        return np.repeat(X, 2, axis=0)[::2]
    return X


def random_target(rng, kind, n_samples):
    y = {
        "binary": lambda: rng.integers(0, 2, n_samples),
        "classes": lambda: rng.integers(0, 4, n_samples) * 3 - 2,
        "text": lambda: np.array(["ape", "bee", "cow"])[rng.integers(0, 3, n_samples)],
        "multilabel": lambda: rng.integers(0, 2, (n_samples, 3)),
        "number": lambda: rng.standard_normal(n_samples),
        "numbers": lambda: rng.standard_normal((n_samples, 2)),
        "column": lambda: rng.standard_normal((n_samples, 1)),
        "counts": lambda: rng.poisson(1.5, n_samples),
    }[kind]()
    trouble = rng.integers(50)
    if trouble == 0:
        return y[1:]
    if trouble == 1:
        return None
    if trouble == 2 and y.dtype.kind == "f":
        y[0] = choose(rng, np.nan, np.inf)
    if trouble == 3:
        return np.full(len(y), y.ravel()[0])
    if trouble == 4:
        return y.tolist()
    if trouble == 5 and y.dtype.kind in "if":
        return y.astype(np.float32)
    if trouble == 6:
        return y.astype(object)
    return y


def random_weights(rng, n_samples):
    kind = rng.integers(12)
    if kind == 0:
        return rng.uniform(0.1, 2.0, n_samples)
    if kind == 1:
        return rng.integers(0, 3, n_samples)
    if kind == 2 and rng.random() < 0.3:
        return choose(
            rng, np.zeros(n_samples), np.ones(n_samples + 1), np.full(n_samples, np.nan), "a"
        )
    return None


class Program:
    """A random estimator and its calls.

    Parameters
    ----------
    seed, number : int
        Together they say which.
    """

    def __init__(self, seed, number):
        rng = self.rng = np.random.default_rng([seed, number])
        self.classifier = bool(rng.random() < 0.5)
        self.parameters = random_parameters(rng, self.classifier)
        kinds = ("binary", "classes", "text", "multilabel")
        others = ("number", "numbers", "column", "counts")
        self.kind = choose(rng, *(kinds if self.classifier else others))
        if self.parameters.get("loss") == "poisson" and rng.random() < 0.9:
            self.kind = "counts"
        self.n_samples = int(choose(rng, 1, 2, 5, 12, 30, 30, 30))
        self.n_features = int(rng.integers(1, 7))

    def data(self):
        rng = self.rng
        n_features = self.n_features if rng.random() < 0.97 else self.n_features + 1
        n_samples = self.n_samples if rng.random() < 0.9 else int(rng.integers(1, 20))
        X = random_rows(rng, n_samples, n_features)
        return X, random_target(rng, self.kind, n_samples), random_weights(rng, n_samples)

    def calls(self):
        """(name, arguments, keyword arguments), one by one."""
        rng = self.rng
        n_calls = rng.integers(4, 12)
        names = ["fit", "partial_fit", "predict", "score", "set_params", "clone", "pickle"]
        odds = [0.22, 0.14, 0.25, 0.1, 0.09, 0.04, 0.05]
        names += ["assign", "checkpoint", "damage"]
        odds += [0.05, 0.04, 0.02]
        if self.classifier:
            names += ["predict_proba", "predict_log_proba"]
            odds = [*(0.84 * o for o in odds), 0.09, 0.07]
        for i in range(n_calls):
            if i == 0 and rng.random() < 0.85:
                name = choose(rng, "fit", "fit", "partial_fit")
            else:
                name = rng.choice(names, p=np.array(odds) / sum(odds))
            yield self.call(str(name), i)

    def call(self, name, i):
        rng = self.rng
        if name in ("clone", "pickle", "damage"):
            return name, (), {}
        if name == "assign":
            return name, (int(rng.integers(2**31)),), {}
        if name == "set_params":
            changed = random_parameters(rng, self.classifier)
            keep = rng.choice(list(changed), rng.integers(1, 3), replace=False)
            return name, (), {n: changed[n] for n in keep if n != "hidden_layer_sizes"
                              or rng.random() < 0.3}  # fmt: skip
        X, y, weight = self.data()
        if name.startswith("predict"):
            return name, (X,), {}
        if name == "checkpoint":
            return name, (X, y), {}
        extra = {} if weight is None else {"sample_weight": weight}
        if name == "partial_fit" and self.classifier and (i == 0 or rng.random() < 0.5):
            extra["classes"] = {
                "binary": [0, 1], "classes": [-2, 1, 4, 7], "text": ["ape", "bee", "cow"],
                "multilabel": [0, 1, 2],
            }[self.kind]  # fmt: skip
        return name, (X, y), extra


# One call on both


def attempt(estimator, name, args, kwargs):
    """('returned', value) or (type of error, text)."""
    from sklearn.base import clone

    try:
        if name == "clone":
            return "returned", clone(estimator)
        if name == "pickle":
            return "returned", pickle.loads(pickle.dumps(estimator))
        return "returned", getattr(estimator, name)(*args, **kwargs)
    except Exception as error:
        return type(error).__name__, str(error)


class Finding(Exception):
    """A difference that nobody meant."""


class Pair:
    """nnjit's and scikit-learn's estimator under the same calls."""

    def __init__(self, program, met, folder):
        from sklearn import neural_network as peer

        import nnjit

        name = "MLPClassifier" if program.classifier else "MLPRegressor"
        self.ours = getattr(nnjit, name)(**program.parameters)
        self.theirs = getattr(peer, name)(**program.parameters)
        self.met = met
        self.comparable = True  # numbers, so far
        self.loose = False
        self.folder = folder
        self.checkpoint = None  # (file, arguments, estimator before and after) of the last fit

    def differ(self, name):
        """Note a known difference in numbers; from here on only acceptance is compared."""
        assert name in KNOWN
        if self.comparable:
            self.met[name] += 1
        self.comparable = False

    def call(self, name, args, kwargs):
        """Returns False where the two part for good."""
        if name == "assign":
            return self.assign(*args)
        if name == "checkpoint":
            return self.fit_with_checkpoint(args)
        if name == "damage":
            return self.go_on_from_damage()
        return self.same_call(name, args, kwargs)

    def assign(self, seed):
        """Give one weight matrix or bias of both other numbers, in some layout."""
        rng, both = np.random.default_rng(seed), (self.ours, self.theirs)
        if not all(hasattr(estimator, "coefs_") for estimator in both):
            return True
        name = choose(rng, "coefs_", "intercepts_")
        number = int(rng.integers(len(self.ours.coefs_)))
        parts = [getattr(estimator, name) for estimator in both]
        if [p.shape for p in parts[0]] != [p.shape for p in parts[1]]:
            return True
        shape = parts[0][number].shape
        values = rng.standard_normal(shape)
        for part in parts:
            made = values.astype(part[number].dtype)
            if rng.random() < 0.5:
                made = np.asfortranarray(made)
            part[number] = np.repeat(made, 2, axis=0)[::2] if rng.random() < 0.3 else made
        return True

    def fit_with_checkpoint(self, args):
        """A fit that writes a checkpoint after every epoch is the fit that writes none."""
        ours, path = self.ours, os.path.join(self.folder, "checkpoint")
        if ours.solver == "lbfgs":
            return self.same_call("fit", args, {})
        for name in os.listdir(self.folder):
            os.remove(os.path.join(self.folder, name))
        before = pickle.dumps(ours)
        ours.checkpoint, ours.checkpoint_interval = path, 0
        try:
            going_on = self.same_call("fit", args, {})
        finally:
            ours.checkpoint, ours.checkpoint_interval = None, 300.0
        written = os.path.exists(path) and going_on
        self.checkpoint = (path, args, before, pickle.dumps(ours)) if written else None
        return going_on

    def go_on_from_damage(self):
        """The same fit, asked to go on from its file, damaged: its result, or a clear refusal."""
        if self.checkpoint is None:
            return True
        path, args, before, after = self.checkpoint
        again, whole = pickle.loads(before), pickle.loads(after)
        with open(path, "rb") as file:
            content = damaged(np.random.default_rng(os.path.getsize(path)), file.read())
        with open(path, "wb") as file:
            file.write(content)
        again.checkpoint, again.checkpoint_interval = path, 0
        outcome, value = attempt(again, "fit", args, {})
        if outcome == "returned":
            if distance(again, whole) != 0 or again.n_iter_ != whole.n_iter_:
                raise Finding("damage: goes on to another result")
        elif outcome != "ValueError" or not any(text in value for text in REFUSALS):
            raise Finding(f"damage: {describe(outcome, value)}")
        return True

    def same_call(self, name, args, kwargs):
        """Both estimators get the call; False where the two part for good."""
        trains = name in ("fit", "partial_fit")
        before = pickle.dumps(self.theirs) if trains else None
        fitted = hasattr(self.ours, "coefs_")
        converged = fitted and getattr(self.ours, "_converged", False)
        ours, value = attempt(self.ours, name, args, kwargs)
        corrupts = name == "partial_fit" and not hasattr(self.ours, name)
        if ours != "returned" and ("The fitted network" in str(value) or corrupts):
            # With lbfgs and another shape scikit-learn 1.9 writes beyond its arrays.
            self.met["lbfgs has no partial_fit" if corrupts else "another architecture"] += 1
            return True
        theirs, expected = attempt(self.theirs, name, args, kwargs)
        if ours != theirs:
            self.acceptance(name, args, kwargs, (ours, value), (theirs, expected), fitted)
            return False
        if ours != "returned":
            if trains:  # a fit that fails leaves nnjit's estimator as it was
                self.theirs = pickle.loads(before)
            return True
        if name in ("clone", "pickle"):
            self.ours, self.theirs = value, expected
            if name == "clone":
                self.comparable, self.loose = True, False
        if trains:
            self.note_training(name, args, kwargs, fitted, converged)
        if self.comparable:
            try:
                self.numbers(name, value, expected, trains)
            except Finding:
                if trains and self.underflows(before, name, args, kwargs):
                    self.differ("poisson underflow")
                elif trains and self.ill_conditioned(before, name, args, kwargs):
                    self.differ("ill-conditioned")
                else:
                    raise
        elif trains and not all(np.isfinite(a).all() for a in self.ours.coefs_):
            raise Finding("parameters that are not finite")
        return True

    def underflows(self, before, name, args, kwargs):
        """Whether scikit-learn's line search met a loss that is not finite."""
        again, finite = pickle.loads(before), []
        if again.solver != "lbfgs" or getattr(again, "loss", None) != "poisson":
            return False
        objective = again._loss_grad_lbfgs

        def watched(*arguments):
            loss, gradient = objective(*arguments)
            finite.append(np.isfinite(loss))
            return loss, gradient

        again._loss_grad_lbfgs = watched
        attempt(again, name, args, kwargs)
        return not all(finite)

    def ill_conditioned(self, before, name, args, kwargs):
        """Whether scikit-learn, trained again on inputs that differ in their last bits, is as far
        from its own result as nnjit is."""
        gap = distance(self.ours, self.theirs)
        X = np.asarray(args[0], float) if not hasattr(args[0], "toarray") else None
        if X is None or pickle.loads(before).random_state is None:
            return False
        moved = 0.0
        for seed in range(4):
            noise = np.random.default_rng(seed).standard_normal(X.shape)
            shaken = pickle.loads(before)
            if attempt(shaken, name, (X * (1 + 4e-16 * noise), *args[1:]), kwargs)[0] == "returned":
                moved = max(moved, distance(shaken, self.theirs))
        return gap <= 100 * moved

    def acceptance(self, name, args, kwargs, ours, theirs, fitted):
        """One accepts, the other refuses, or the errors differ: known, or a finding."""
        text = f"{ours[1]} {theirs[1]}"
        y = args[1] if len(args) > 1 else None
        weight = kwargs.get("sample_weight")
        if ours[0] == "ValueError" and "non-finite parameter" in str(ours[1]):
            known = "loss not finite"
        elif "needs y >= 0" in str(ours[1]):
            known = "negative poisson target"
        elif "only available for stochastic" in text:
            known = "lbfgs has no partial_fit"
        elif weight is not None and y is not None and np.any(np.asarray(weight, object) == 0):
            known = "weightless minibatch"
        elif "'isnan' not supported" in str(theirs[1]) and self.ours.early_stopping:
            known = "text and early stopping"
        elif "NaN" in str(theirs[1]) or "non-finite" in str(theirs[1]):
            known = "loss not finite"
        elif "activation must be one of" in str(ours[1]) and theirs[0] == "KeyError":
            known = "unvalidated parameter"
        elif (ours[0], theirs[0]) == ("InvalidParameterError", "KeyError"):
            known = "loss changed before partial_fit"
        elif name == "partial_fit" and isinstance(self.ours.max_iter, float):
            known = "unvalidated parameter"  # which does not matter for the one epoch
        elif "returned" not in (ours[0], theirs[0]) and "cannot be interpreted" in str(ours[1]):
            known = "order of checks"
        elif "convert string" in str(ours[1]) and "multiply sequence" in str(theirs[1]):
            known = "unvalidated parameter"
        elif fitted and any(w in str(theirs[1]) for w in ("NoneType", "no attribute 'loss_cur")):
            known = "warm start with other settings"
        elif name == "score" and not self.comparable and "infinity" in text:
            known = "another network"
        elif "overflows: " in str(ours[1]):
            known = "overflow"
        elif (
            name == "fit"
            and self.ours.early_stopping
            and (self.comparable is False or "least populated classes" in str(theirs[1]))
        ):
            known = "stratified split"
        else:
            raise Finding(f"{name}: nnjit {describe(*ours)}, scikit-learn {describe(*theirs)}")
        self.met[known] += 1

    def note_training(self, name, args, kwargs, fitted, converged):
        """Whether the numbers may be compared after this training."""
        ours, theirs = self.ours, self.theirs
        continues = fitted and (ours.warm_start or name == "partial_fit")
        if not continues:
            self.comparable, self.loose = True, False
        losses = [*getattr(theirs, "loss_curve_", ()), theirs.loss_]
        if not np.isfinite(losses).all():
            self.differ("loss not finite")
        if hasattr(ours, "classes_") and not max(losses) < 2:
            self.differ("rounding")
        if getattr(ours, "n_skipped_batches_", 0):
            self.differ("weightless minibatch")
        if ours.solver == "lbfgs":
            if getattr(theirs, "loss_curve_", None) is not None:
                self.differ("attributes of another solver")
            if ours.n_outputs_ > 1 and ours.loss == "squared_error":
                self.differ("lbfgs of several outputs")
        elif continues:
            if converged:
                self.differ("warm start after a plateau")
            if ours.early_stopping:
                self.differ("warm start with early stopping")
            if name == "partial_fit" and ours.shuffle:
                self.differ("random stream of partial_fit")
        if ours.early_stopping and np.any(np.equal(kwargs.get("sample_weight", 1), 0)):
            self.differ("weights of 0 with early stopping")
        if ours.early_stopping and getattr(ours, "n_outputs_", 1) > 1 and ours.loss == "log_loss":
            self.differ("stratified split")
        if ours.coefs_[0].dtype == np.float32 and self.comparable:
            self.met["float32"] += not self.loose
            self.loose = True
            if continues or max(*losses, ours.loss_) > 10:  # the gap grows
                self.differ("float32")

    def numbers(self, name, value, expected, trains):
        if trains:
            ours, theirs = self.ours, self.theirs
            for attribute in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_",
                              "n_features_in_"):  # fmt: skip
                if not self.loose or attribute != "n_iter_":
                    compare(attribute, getattr(ours, attribute, None),
                            getattr(theirs, attribute, None), 0)  # fmt: skip
            if self.loose and name == "fit" and ours.early_stopping:
                return
            if self.loose and ours.n_iter_ != theirs.n_iter_:
                self.comparable = False
                return
            for attribute in ("loss_", "loss_curve_", "best_loss_", "validation_scores_",
                              "best_validation_score_"):  # fmt: skip
                compare(attribute, getattr(ours, attribute, None),
                        getattr(theirs, attribute, None), self.tolerance())  # fmt: skip
            if self.loose:
                return
            for a, b in zip(ours.coefs_ + ours.intercepts_, theirs.coefs_ + theirs.intercepts_):
                compare("a parameter", a, b, 10 * self.tolerance())
        elif name in ("clone", "set_params", "pickle"):
            params = self.theirs.get_params()
            if repr({k: v for k, v in self.ours.get_params().items() if k in params}) != repr(
                params
            ):
                raise Finding(f"{name}: parameters differ")
        elif name == "predict" and not np.issubdtype(np.asarray(value).dtype, np.floating):
            self.labels(value, expected)
        elif name == "score" and hasattr(self.ours, "classes_"):
            compare(name, value, expected, 0.5 if self.loose else 0.11)  # near ties
        elif name == "predict_log_proba":  # further down only nnjit's has all its digits
            compare(name, np.maximum(value, -8.0), np.maximum(expected, -8.0),
                    10 * self.tolerance())  # fmt: skip
        else:
            compare(name, value, expected, 10 * self.tolerance())

    def labels(self, value, expected):
        value, expected = np.asarray(value), np.asarray(expected)
        if value.shape != expected.shape or value.dtype != expected.dtype:
            raise Finding(f"predict: {value.shape} {value.dtype}, {expected.shape} "
                          f"{expected.dtype}")  # fmt: skip
        if (value != expected).mean() > (0.5 if self.loose else 0.1) and value.size > 10:
            raise Finding("predict: other labels")

    def tolerance(self):
        if self.loose:
            return 0.05
        return 1e-3 if self.ours.solver == "lbfgs" else 1e-6


def compare(what, ours, theirs, tolerance):
    """Shapes, and numbers to a tolerance relative to the largest."""
    if (ours is None) != (theirs is None):
        raise Finding(f"{what}: {ours!r}, {theirs!r}")
    if ours is None:
        return
    if not tolerance:
        if ours != theirs:
            raise Finding(f"{what}: {ours!r}, {theirs!r}")
        return
    a, b = np.asarray(ours, float), np.asarray(theirs, float)
    if a.shape != b.shape:
        raise Finding(f"{what}: shapes {a.shape}, {b.shape}")
    finite = np.isfinite(b)
    if np.isnan(a).any() and not np.isnan(b).any():
        raise Finding(f"{what}: NaN")
    scale = max(1.0, np.abs(b[finite]).max(initial=0.0))
    gap = np.abs(a[finite] - b[finite]).max(initial=0.0) / scale
    if not gap <= tolerance:
        raise Finding(f"{what}: differs by {gap:.2g} of {scale:.3g}: {clip(a)}, {clip(b)}")


def distance(a, b):
    """Largest difference of loss and parameters."""
    pairs = [(a.loss_, b.loss_), *zip(a.coefs_ + a.intercepts_, b.coefs_ + b.intercepts_)]
    return max(np.abs(np.asarray(x, float) - np.asarray(y, float)).max() for x, y in pairs)


def damaged(rng, content):
    """A file's content with bytes changed, or cut off, or followed by more."""
    content = bytearray(content)
    how = rng.integers(3)
    if how == 0:
        for at in rng.integers(len(content), size=rng.integers(1, 9)):
            content[at] = rng.integers(256)
    elif how == 1:
        del content[int(rng.integers(len(content))) :]
    else:
        content += rng.bytes(int(rng.integers(1, 300)))
    return bytes(content)


def clip(value, length=160):
    return " ".join(repr(value).split())[:length]


def describe(outcome, value):
    return "accepts" if outcome == "returned" else f"refuses ({outcome}: {clip(value, 300)})"


# Running programs


def run_program(seed, number, met, verbose=False):
    """(number of calls, finding or None)."""
    program = Program(seed, number)
    if verbose:
        print(program.classifier, program.kind, program.parameters)
    calls = 0
    np.random.seed(number % 2**32)
    with (
        warnings.catch_warnings(),
        np.errstate(all="ignore"),
        tempfile.TemporaryDirectory() as folder,
    ):
        warnings.simplefilter("ignore")
        pair = Pair(program, met, folder)
        try:
            for name, args, kwargs in program.calls():
                calls += 1
                if verbose:
                    print(f"-- {name}", *[clip(a) for a in args], kwargs)
                if not pair.call(name, args, kwargs):
                    break
        except Finding as finding:
            return calls, str(finding)
    return calls, None


def work(options, run=run_program, known=KNOWN):
    """Run programs; the number of the present one goes into the options' file."""
    met = collections.Counter()
    findings, calls, number = [], 0, options.first
    deadline = time.monotonic() + options.seconds
    current = os.open(options.file, os.O_WRONLY)
    while calls < options.count and time.monotonic() < deadline:
        os.pwrite(current, f"{number} {calls:<20}".encode(), 0)
        faulthandler.dump_traceback_later(HANG, exit=True)
        done, finding = run(options.seed, number, met)
        calls += done
        if finding:
            findings.append(finding)
            print(f"FINDING in program {number}: {finding}", flush=True)
            if len(findings) >= options.most:
                break
        number += 1
    faulthandler.cancel_dump_traceback_later()
    print(f"seed {options.seed}: {calls} calls in {number - options.first} programs, "
          f"{len(findings)} findings")  # fmt: skip
    for name, times in met.most_common():
        print(f"  known difference, {times} times: {name} ({known[name]})")
    return bool(findings)


def watch(options):
    """Run the programs in another process and say which one crashed or hung."""
    with tempfile.NamedTemporaryFile("r") as file:
        command = [sys.executable, "-X", "faulthandler", *sys.argv, "--file", file.name]
        status = subprocess.run(command).returncode
        if status not in (0, 1) or not file.read(1):
            file.seek(0)
            print(f"seed {options.seed}: CRASH OR HANG (status {status}) in program "
                  f"{' after '.join(file.read().split())} calls")  # fmt: skip
        return status


def parse(description):
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=float, default=np.inf, help="calls")
    parser.add_argument("--seconds", type=float, default=np.inf)
    parser.add_argument("--first", type=int, default=0, help="number of the first program")
    parser.add_argument("--most", type=int, default=20, help="findings after which to end")
    parser.add_argument("--only", type=int, help="run one program and print what it does")
    parser.add_argument("--file", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only is None and np.isinf([options.count, options.seconds]).all():
        options.count = 10_000
    return options


def main(description=__doc__, run=run_program, known=KNOWN):
    options = parse(description)
    if options.only is not None:
        met = collections.Counter()
        calls, finding = run(options.seed, options.only, met, verbose=True)
        print(calls, "calls;", finding or "no finding;", dict(met))
        return bool(finding)
    return work(options, run, known) if options.file else watch(options)


if __name__ == "__main__":
    sys.exit(main())
