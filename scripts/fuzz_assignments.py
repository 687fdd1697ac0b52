"""Whatever is assigned to a fitted estimator's attributes, beside scikit-learn.

A program fits nnjit's and scikit-learn's estimator, assigns the same things to both (weights of
other shapes, types and layouts, lists that are too short, other numbers of layers, labels that
are none, NaN), and calls a few methods. A call has to give scikit-learn's answer or a ValueError;
where all that was assigned is well-formed it has to be the answer. No prediction may be NaN or
infinite, and a fit that fails leaves the estimator as it was. Nothing may crash or hang: the
programs run in a process of their own that is watched.

    python scripts/fuzz_assignments.py --count 100000      # calls
    python scripts/fuzz_assignments.py --seed 7 --only 12  # one program again, with all it does

It prints the seed, the number of calls, how often each known difference was met, and every
finding. The status is 1 if there is one.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import pickle
import sys
import warnings

import numpy as np
import scipy.sparse as sp
from fuzz import Finding, attempt, choose, clip, describe, main

KNOWN = {
    "refused": "a ValueError about what was assigned",
    "overflow": "scikit-learn returns NaN or infinity; nnjit refuses",
    "hidden overflow": "a hidden unit overflows: the order of a sum decides, or its precision",
    "more digits": "scikit-learn's log-probability is -inf; nnjit's is finite",
    "another form": "scikit-learn cannot compute with it; nnjit takes it as the numbers it holds",
    "trained": "a fit went on from what was assigned",
}
N_FEATURES = 5
KINDS = ("binary", "classes", "text", "multilabel", "number", "numbers", "counts")
CLASSIFIERS = KINDS[:4]
OUTPUTS = ("identity", "logistic", "tanh", "relu", "exp", "softmax")


# Fitted estimators


def target(kind, X):
    signal = X @ np.arange(1.0, N_FEATURES + 1)
    return {
        "binary": lambda: (signal > 0).astype(int),
        "classes": lambda: np.digitize(signal, [-3, 3]) * 3 - 2,
        "text": lambda: np.array(["ape", "bee", "cow"])[np.digitize(signal, [-3, 3])],
        "multilabel": lambda: (X[:, :3] > 0).astype(int),
        "number": lambda: np.tanh(signal),
        "numbers": lambda: np.tanh(X[:, :2]),
        "counts": lambda: np.round(np.abs(signal)),
    }[kind]()


def rows(rng, n_samples, n_features=N_FEATURES):
    return rng.standard_normal((n_samples, n_features))


@functools.cache
def fitted(kind, single, hidden, activation):
    """Pickles of nnjit's and scikit-learn's estimator after the same fit."""
    from sklearn import neural_network as peer

    import nnjit

    X = rows(np.random.default_rng(0), 40)
    y = target(kind, X)
    name = "MLPClassifier" if kind in CLASSIFIERS else "MLPRegressor"
    options = {"loss": "poisson"} if kind == "counts" else {}
    models = []
    for library in (nnjit, peer):
        model = getattr(library, name)(
            hidden_layer_sizes=hidden, activation=activation, max_iter=2, random_state=1, **options
        )
        models.append(model.fit(X.astype(np.float32) if single else X, y))
    models[1].coefs_ = [w.copy() for w in models[0].coefs_]
    models[1].intercepts_ = [b.copy() for b in models[0].intercepts_]
    return tuple(map(pickle.dumps, models))


# Assignments: each changes an estimator, in the same way for the same generator


def formed(form, array):
    """An array in another form; far more rows than there is memory for stay as they are."""
    return array if np.size(array) > 10**5 else form(array)


def every_array(form):
    """Both lists in another form."""

    def assign(model, rng):
        model.coefs_ = [formed(form, w) for w in model.coefs_]
        model.intercepts_ = [formed(form, b) for b in model.intercepts_]

    return assign


def one_array(form, *attributes):
    """One of the weight matrices or biases in another form."""

    def assign(model, rng):
        attribute = choose(rng, *(attributes or ("coefs_", "intercepts_")))
        arrays = list(getattr(model, attribute))
        at = int(rng.integers(len(arrays)))
        arrays[at] = formed(form, arrays[at])
        setattr(model, attribute, arrays)

    return assign


def one_list(form):
    def assign(model, rng):
        attribute = choose(rng, "coefs_", "intercepts_")
        setattr(model, attribute, form(getattr(model, attribute)))

    return assign


def value(attribute, *values):
    def assign(model, rng):
        setattr(model, attribute, choose(rng, *values))

    return assign


def deleted(*attributes):
    def assign(model, rng):
        model.__dict__.pop(choose(rng, *attributes), None)

    return assign


def in_place(model, rng):
    for array in (*model.coefs_, *model.intercepts_):
        array[...] = rng.standard_normal(array.shape)


def one_value(*values):
    def assign(model, rng):
        array = choose(rng, *model.coefs_, *model.intercepts_)
        array[tuple(rng.integers(n) for n in array.shape)] = choose(rng, *values)

    return assign


def scaled(model, rng):
    model.coefs_ = [w * choose(rng, 1e3, 1e150, 1e300, 1e-200) for w in model.coefs_]


def architecture(model, rng, n_inputs=None):
    """Another network, with all that tells of it but for the parameters of the constructor."""
    units = [n_inputs or N_FEATURES, *rng.integers(1, 20, rng.integers(0, 4))]
    units = [int(u) for u in (*units, model.coefs_[-1].shape[1])]
    model.coefs_ = [rng.standard_normal(shape) for shape in zip(units[:-1], units[1:])]
    model.intercepts_ = [rng.standard_normal(n) for n in units[1:]]
    model.n_layers_ = len(units)


def other_inputs(model, rng):
    architecture(model, rng, int(rng.integers(1, 9)))
    model.n_features_in_ = model.coefs_[0].shape[0]


def only_the_weights(model, rng):
    """Another depth, and nobody told."""
    before = model.n_layers_
    architecture(model, rng)
    model.n_layers_ = before


def two_outputs(model, rng):
    """A binary classifier that ends in a softmax of two units, as other libraries have it."""
    if getattr(getattr(model, "_label_binarizer", None), "y_type_", "") != "binary":
        return
    n = model.coefs_[-1].shape[0]
    model.coefs_ = [*model.coefs_[:-1], rng.standard_normal((n, 2))]
    model.intercepts_ = [*model.intercepts_[:-1], rng.standard_normal(2)]
    model.n_outputs_, model.out_activation_ = 2, "softmax"


def other_outputs(model, rng):
    n, m = model.coefs_[-1].shape[0], int(rng.integers(1, 6))
    model.coefs_ = [*model.coefs_[:-1], rng.standard_normal((n, m))]
    model.intercepts_ = [*model.intercepts_[:-1], rng.standard_normal(m)]
    if rng.random() < 0.7:
        model.n_outputs_ = m


def more_rows(model, rng):
    """A layer of more inputs, far more perhaps; it takes no memory."""
    at = int(rng.integers(len(model.coefs_)))
    shape = (model.coefs_[at].shape[0] + choose(rng, 1, 3, 100_000, 20_000_000), 0)
    wide = np.broadcast_to(np.ones(()), (shape[0], model.coefs_[at].shape[1]))
    model.coefs_ = [*model.coefs_[:at], wide, *model.coefs_[at + 1 :]]


def other_labels(model, rng):
    """As many other classes."""
    from sklearn.preprocessing import LabelBinarizer

    known = getattr(getattr(model, "_label_binarizer", None), "classes_", ())
    if len(known) > 1 and model._label_binarizer.y_type_ != "multilabel-indicator":
        model._label_binarizer = LabelBinarizer().fit([f"class {i}" for i in range(len(known))])


def binarizer(*labels, **options):
    def assign(model, rng):
        from sklearn.preprocessing import LabelBinarizer

        model._label_binarizer = LabelBinarizer(**options)
        if labels:
            model._label_binarizer.fit(np.array(choose(rng, *labels)))

    return assign


def class_names(model, rng):
    n = len(getattr(model, "classes_", ()))
    model.classes_ = choose(
        rng, np.arange(n + 1), np.arange(max(0, n - 1)), list("abcdefgh"[:n]), np.arange(n) + 10,
        None, 3, np.arange(n)[::-1], np.array(["x"] * n),
    )  # fmt: skip


def read_only(array):
    array = np.array(array)
    array.flags.writeable = False
    return array


def strided(array):
    return np.repeat(array, 2, axis=-1)[..., ::2]


def masked(array):
    return np.ma.masked_array(array, np.arange(array.size).reshape(array.shape) == 0)


FORMS = {  # the same numbers, or near them
    "fortran": np.asfortranarray,
    "strided": strided,
    "reversed": lambda a: a[::-1].copy()[::-1],
    "read-only": read_only,
    "swapped bytes": lambda a: a.astype(a.dtype.newbyteorder()),
    "float16": lambda a: a.astype(np.float16),
    "float32": lambda a: a.astype(np.float32),
    "longdouble": lambda a: a.astype(np.longdouble),
    "int64": lambda a: np.round(3 * a).astype(np.int64),
    "int8": lambda a: np.round(3 * a).astype(np.int8),
    "uint8": lambda a: np.round(abs(3 * a)).astype(np.uint8),
    "bool": lambda a: a > 0,
    "lists": lambda a: a.tolist(),
    "object": lambda a: a.astype(object),
    "nothing masked": np.ma.masked_array,
}
WRONG = {  # for one array
    "a row more": lambda a: np.concatenate([a, a[:1]]),
    "a row less": lambda a: a[1:],
    "a column more": lambda a: np.concatenate([a, a[..., :1]], axis=-1),
    "a column less": lambda a: a[..., 1:],
    "flat": np.ravel,
    "transposed": np.transpose,
    "a dimension more": lambda a: a[np.newaxis],
    "a scalar": lambda a: 0.5,
    "nothing": lambda a: a[:0],
    "no columns": lambda a: a[..., :0],
    "text": lambda a: a.astype(str),
    "bytes": lambda a: a.astype("S"),
    "complex": lambda a: a + 0.5j,
    "dates": lambda a: np.zeros(a.shape, "datetime64[s]"),
    "durations": lambda a: np.ones(a.shape, "timedelta64[s]"),
    "None": lambda a: None,
    "Nones": lambda a: np.full(a.shape, None),
    "a number": lambda a: 3,
    "a dict": lambda a: {0: a},
    "masked": masked,
    "a text": lambda a: "weights",
    "ragged": lambda a: [[1.0, 2.0], [3.0]],
    "10**400": lambda a: np.full(a.shape, 10**400, object),
    "records": lambda a: np.zeros(a.shape, [("a", float)]),
    "NaN": lambda a: np.full(a.shape, np.nan),
    "infinity": lambda a: np.full(a.shape, -np.inf),
    "largest": lambda a: np.full(a.shape, np.finfo(a.dtype).max),
}
LISTS = {
    "shorter": lambda a: a[:-1],
    "longer": lambda a: [*a, a[-1]],
    "without the first": lambda a: a[1:],
    "empty": lambda a: [],
    "None": lambda a: None,
    "a number": lambda a: 3,
    "a text": lambda a: "ab",
    "a dict": lambda a: dict(enumerate(a)),
    "a generator": lambda a: (x for x in a),
    "a set": lambda a: {1, 2},
    "one array": lambda a: a[0],
}
GOOD = {
    "in place": in_place,
    "another architecture": architecture,
    "other inputs": other_inputs,
    "two outputs": two_outputs,
    "other labels": other_labels,
    "tuples": one_list(tuple),
    "an array of arrays": one_list(lambda a: np.array([*a, None], object)[:-1]),
    "sparse weights": one_array(sp.csr_matrix, "coefs_"),
    "sparse array": one_array(sp.csc_array, "coefs_"),
    "out_activation_": value("out_activation_", *OUTPUTS),
    "activation": value("activation", *OUTPUTS[:4]),
    "loss": value("loss", "squared_error", "poisson", "log_loss", "hinge", None),
    "no n_features_in_": deleted("n_features_in_"),
    **{f"every array, {name}": every_array(form) for name, form in FORMS.items()},
    **{f"one array, {name}": one_array(form) for name, form in FORMS.items()},
}
BAD = {
    "scaled": scaled,
    "one value": one_value(np.nan, np.inf, -np.inf, 1e300, 1e-310),
    "other outputs": other_outputs,
    "only the weights": only_the_weights,
    "far more rows": more_rows,
    "classes_": class_names,
    "n_features_in_": value("n_features_in_", 4, 6, 0, -1, 10**9, None, "a", 5.0, [5]),
    "n_layers_": value("n_layers_", 2, 3, 4, 1, 0, -1, 10**9, None, "a", [3]),
    "n_outputs_": value("n_outputs_", 1, 2, 3, 4, 0, -1, 10**9, None, "a", 1.0, [1, 2]),
    "bad out_activation_": value("out_activation_", "swish", None, 3, ["softmax"], "", b"exp"),
    "bad activation": value("activation", "swish", None, 3, ["relu", 3], "softmax", "exp"),
    "bad device": value("device", "gpu", None, 3),
    "_label_binarizer": value("_label_binarizer", None, 3, "a"),
    "an unfitted binarizer": binarizer(),
    "another binarizer": binarizer([0, 1], [0, 1, 2], [0], list("abcd"), [[0, 1], [1, 0]]),
    "other codes": binarizer([0, 1], [0, 1, 2], neg_label=-2, pos_label=3),
    "deleted": deleted(
        "coefs_", "intercepts_", "n_layers_", "n_outputs_", "classes_", "out_activation_",
        "_label_binarizer",
    ),
    **{f"one array, {name}": one_array(form) for name, form in WRONG.items()},
    **{f"a list, {name}": one_list(form) for name, form in LISTS.items()},
    "sparse biases": one_array(sp.csr_matrix, "intercepts_"),
}  # fmt: skip
PREDICTIONS = ("predict", "predict_proba", "predict_log_proba", "score")


class Program:
    """A fitted pair, what is assigned to it, and what is called then.

    Parameters
    ----------
    seed, number : int
        Together they say which.
    """

    def __init__(self, seed, number):
        rng = self.rng = np.random.default_rng([seed, number])
        self.kind = choose(rng, *KINDS)
        hidden = choose(rng, (4,), (3, 5), ())
        self.single = bool(rng.random() < 0.2)
        activation = choose(rng, *OUTPUTS[:4])
        pickles = fitted(self.kind, self.single, hidden, activation)
        self.ours, self.theirs = map(pickle.loads, pickles)
        self.good = True  # so far all that was assigned is well-formed
        self.exact = not self.single

    def steps(self):
        """(what, name), one by one: assignments, then calls, and that again."""
        rng = self.rng
        for _ in range(rng.integers(1, 4)):
            if rng.random() < 0.3:
                yield "call", choose(rng, *PREDICTIONS)  # an engine is kept from it
            for _ in range(choose(rng, 1, 1, 1, 2, 3)):
                yield "assign", choose(rng, *(GOOD if rng.random() < 0.55 else BAD))
            for _ in range(rng.integers(1, 4)):
                if rng.random() < 0.8:
                    yield "call", choose(rng, *PREDICTIONS)
                else:
                    yield "train", choose(rng, "partial_fit", "fit", "lbfgs", "inspect")

    def assign(self, name):
        seed = int(self.rng.integers(1 << 30))
        for model in (self.ours, self.theirs):
            with contextlib.suppress(Exception):  # an earlier one may leave nothing to change
                (GOOD.get(name) or BAD[name])(model, np.random.default_rng(seed))
        self.good &= name in GOOD
        self.exact &= "float16" not in name and "float32" not in name and "longdouble" not in name

    def is_single(self):
        return all(np.asarray(a).dtype.itemsize == 4
                   for a in (*self.ours.coefs_, *self.ours.intercepts_))  # fmt: skip

    def overflows_inside(self):
        """Whether sums of a hidden layer may be too large for the precision, or scikit-learn's."""
        largest = max(np.abs(plainly(w)).max() for w in self.ours.coefs_)
        if self.single or self.is_single():
            return not largest < 1e18
        return len(self.ours.coefs_) > 1 and not largest < 1e100

    def data(self):
        rng = self.rng
        n_features = getattr(self.ours, "n_features_in_", N_FEATURES)
        if not isinstance(n_features, int) or not 0 < n_features < 20:
            n_features = N_FEATURES
        n_features += int(rng.random() < 0.05)
        X = rows(rng, int(choose(rng, 1, 2, 7, 40)), n_features)
        y = target(self.kind, np.resize(X, (len(X), N_FEATURES)))
        if self.single:
            X = X.astype(np.float32)
        form = rng.random()
        return np.asfortranarray(X) if form < 0.1 else sp.csr_matrix(X) if form < 0.2 else X, y


# One call on both


def call(program, name, met):
    X, y = program.data()
    if name.startswith("predict_") and program.kind not in CLASSIFIERS:
        return
    arguments = (X, y) if name == "score" else (X,)
    kind, value = attempt(program.ours, name, arguments, {})
    expected_kind, expected = reference(program.theirs, name, arguments, met)
    if kind != "returned":
        refused(program, name, X, kind, value, (expected_kind, expected), met)
        return
    numbers = np.asarray(value.toarray() if sp.issparse(value) else value)
    # R2 of one row is NaN, and that of very bad predictions -inf, by scikit-learn's own function.
    if numbers.dtype.kind == "f" and not np.isfinite(numbers).all() and name != "score":
        raise Finding(f"{name}: {clip(numbers)}")
    try:
        if expected_kind != "returned":
            refusal = describe(expected_kind, expected)
            raise Finding(f"{name}: nnjit accepts, scikit-learn {refusal}")
        expected = np.asarray(expected.toarray() if sp.issparse(expected) else expected)
        agree(program, name, numbers, expected, X, met)
    except Finding:
        if not program.overflows_inside():
            raise
        met["hidden overflow"] += 1


def reference(theirs, name, arguments, met):
    """scikit-learn's outcome, with plain weights where it cannot compute with those assigned."""
    with np.errstate(all="ignore"):
        outcome = attempt(theirs, name, arguments, {})
        plain = copy.copy(theirs)
        lists = getattr(plain, "coefs_", None), getattr(plain, "intercepts_", None)
        if not all(isinstance(arrays, (list, tuple, np.ndarray)) for arrays in lists):
            return outcome
        try:
            plain.coefs_ = [plainly(w) for w in plain.coefs_]
            plain.intercepts_ = [plainly(b) for b in plain.intercepts_]
        except Exception:
            return outcome
        plain_outcome = attempt(plain, name, arguments, {})
    if outcome[0] != "returned" and plain_outcome[0] == "returned":
        met["another form"] += 1
    return plain_outcome


def plainly(array):
    array = np.asarray(array.toarray() if sp.issparse(array) else array)
    if array.dtype == np.float32:
        return array
    if array.dtype.kind not in "biufO":
        raise TypeError
    return array.astype(np.float64)


def refused(program, name, X, kind, text, expected, met):
    """A refusal: of something that is not well-formed, or of numbers that overflow."""
    if kind not in ("ValueError", "NotFittedError"):
        raise Finding(f"{name}: {describe(kind, text)}")
    if expected[0] == kind and program.good:  # as scikit-learn
        met["refused"] += 1
        return
    if "overflows: " in text:
        linear = copy.copy(program.theirs)
        linear.out_activation_ = "identity"
        sides = [
            np.abs(reference(model, "_forward_pass_fast", (X,), met)[1]).max()
            for model in (program.theirs, linear)
        ]
        largest = np.max(sides)  # NaN if either is
        # In float32 only nnjit computes with weights that are float32, whatever the rows are.
        if largest < 1e300 and not program.is_single():
            raise Finding(f"{name}: refuses what is finite, at most {largest}")
        met["overflow"] += 1
        return
    logarithm = name == "predict_log_proba" and "is no probability" in text
    if program.good and expected[0] == "returned" and not logarithm:
        raise Finding(f"{name}: {describe(kind, text)}, scikit-learn {describe(*expected)}")
    met["refused"] += 1


def agree(program, name, value, expected, X, met):
    if value.shape != expected.shape:
        raise Finding(f"{name}: shapes {value.shape}, {expected.shape}")
    tolerance = 1e-9 if program.exact else 1e-2
    if name == "score" and X.shape[0] < 8 and program.kind not in CLASSIFIERS:
        return  # undefined, or the ratio of two rounding errors
    if name == "score" and program.kind in CLASSIFIERS:
        tolerance = 1.0 if X.shape[0] < 8 else 0.1  # near ties
    elif name == "predict" and program.kind in CLASSIFIERS:
        differs = (value != expected).reshape(len(value), -1).any(axis=1)
        if differs.any() and not close_calls(program, X)[differs].all():
            raise Finding(f"predict: other labels: {clip(value)}, {clip(expected)}")
        return
    finite = np.isfinite(expected)
    if name == "score" and not finite.all():
        if np.isfinite(value).any():
            raise Finding(f"score: {value}, scikit-learn {expected}")
        return
    if not finite.all():
        met["more digits" if name == "predict_log_proba" else "overflow"] += 1
        # Near the largest number a sum's order and precision decide whether it overflows.
        if name != "predict_log_proba" and np.abs(value).max() < (
            1e30 if program.single else 1e300
        ):
            raise Finding(f"{name}: {clip(value)}, scikit-learn {clip(expected)}")
    if name == "predict_log_proba":  # further down only nnjit's has all its digits
        value, expected = np.maximum(value, -8.0), np.maximum(expected, -8.0)
        finite = np.isfinite(expected)
    scale = max(1.0, np.abs(expected[finite]).max(initial=0.0))
    gap = np.abs(value[finite] / scale - expected[finite] / scale).max(initial=0.0)
    if not gap <= tolerance:
        raise Finding(f"{name}: off by {gap:.2g} of {scale:.3g}: {clip(value)}, {clip(expected)}")


def close_calls(program, X):
    """Rows whose two largest outputs, or whose outputs and 1/2, are equal but for rounding."""
    _, outputs = attempt(program.ours, "predict_proba", (X,), {})
    limit = 1e-9 if program.exact else 1e-2
    outputs = np.asarray(outputs, float)
    largest = np.sort(outputs, axis=1)
    ties = np.abs(outputs - 0.5).min(axis=1) <= limit * (1 + np.abs(outputs).max(axis=1))
    if outputs.shape[1] > 1:
        ties |= largest[:, -1] - largest[:, -2] <= limit * (1 + np.abs(largest[:, -1]))
    return ties


def train(program, name, met):
    """Fits that go on from what was assigned: a finite network, or an error and no change."""
    model = program.ours
    X, y = program.data()
    if name == "inspect":
        inspect(model, X, y, met)
        return
    before = dict(model.__dict__)
    if name == "partial_fit":
        kind, value = attempt(model, "partial_fit", (X, y), {})
    else:
        solver = "lbfgs" if name == "lbfgs" else "adam"
        settings = {"warm_start": True, "solver": solver, "max_iter": 2}
        model.__dict__.update(settings)
        kind, value = attempt(model, "fit", (X, y), {})
        for setting in settings:
            model.__dict__[setting] = before[setting]
    if kind == "returned":
        met["trained"] += 1
        program.good = False  # scikit-learn's estimator has not come along
        program.theirs = None
        if not all(np.isfinite(a).all() for a in (*model.coefs_, *model.intercepts_)):
            raise Finding(f"{name}: parameters that are not finite")
        return
    if kind not in ("ValueError", "InvalidParameterError", "NotFittedError"):
        raise Finding(f"{name}: {describe(kind, value)}")
    met["refused"] += 1
    after = model.__dict__
    changed = [n for n in {*before, *after} if before.get(n) is not after.get(n)]
    if changed:
        raise Finding(f"{name}: fails ({clip(value)}) and changes {changed}")


def inspect(model, X, y, met):
    from nnjit.inspection import check_gradient
    from nnjit.inspection._network import find_network, loss_gradient

    def everything():
        network, checked_X = find_network(model, X)
        gradient = loss_gradient(network, checked_X, y)
        check = check_gradient(model, X, y, n_parameters=10, random_state=0)
        return [check.error, *map(np.sum, gradient.weights)]

    try:
        values = everything()
    except ValueError:
        met["refused"] += 1
        return
    except Exception as error:
        raise Finding(f"inspect: {error!r}") from error
    if not np.isfinite(values[0]):
        raise Finding(f"inspect: {values}")


# Running programs


def run_program(seed, number, met, verbose=False):
    """(number of calls, finding or None)."""
    calls = 0
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        program = Program(seed, number)
        if verbose:
            print(program.kind, "float32" if program.single else "float64", program.ours)
        try:
            for what, name in program.steps():
                if verbose:
                    print(f"-- {what} {name}")
                if what == "assign":
                    program.assign(name)
                    continue
                calls += 1
                (call if what == "call" else train)(program, name, met)
                if program.theirs is None:
                    break
        except Finding as finding:
            return calls, f"{what} {name}: {finding}"
    return calls, None


if __name__ == "__main__":
    sys.exit(main(__doc__, run_program, KNOWN))
