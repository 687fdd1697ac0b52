"""All of scikit-learn's estimator checks, in several configurations of every class."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from nnjit import (
    AutoEncoder,
    ConvClassifier,
    ConvRegressor,
    MLPClassifier,
    MLPRegressor,
    NetworkClassifier,
    NetworkRegressor,
    RBFClassifier,
    RBFRegressor,
    RecurrentClassifier,
    RecurrentRegressor,
    SelfOrganizingMap,
    TabularClassifier,
    TabularRegressor,
)
from nnjit.layers import GRU, Conv, Dense, Flatten, GlobalPool, Normalization

CLASSIFIERS = [
    MLPClassifier(max_iter=100),
    # With the default alpha, logits reach 900: probabilities of exactly 0, whose logarithm the
    # check wants to be -inf, while ours is finite by design.
    MLPClassifier(solver="lbfgs", max_iter=100, alpha=0.1),
    MLPClassifier(solver="sgd", learning_rate="adaptive", learning_rate_init=0.1, max_iter=100),
    MLPClassifier(hidden_layer_sizes=(), max_iter=300, learning_rate_init=0.01),
    MLPClassifier(hidden_layer_sizes=(9, 4), activation="tanh", shuffle=False, max_iter=300),
    MLPClassifier(loss="squared_error", label_smoothing=0.05, learning_rate_init=0.01),
]
REGRESSORS = [
    MLPRegressor(max_iter=100),
    MLPRegressor(solver="lbfgs", max_iter=100),
    # 'invscaling' counts rows, so that repeating one is not the same as doubling its weight.
    MLPRegressor(solver="sgd", tol=1e-2, learning_rate_init=0.01, momentum=0.5),
    MLPRegressor(loss="poisson", solver="lbfgs", activation="tanh"),
    MLPRegressor(hidden_layer_sizes=(30, 20), activation="tanh", shuffle=False),
    MLPRegressor(loss="huber", solver="lbfgs", max_iter=100),
    MLPRegressor(loss="gamma", solver="lbfgs", activation="tanh", max_iter=100),
]
RADIAL = [
    RBFClassifier(max_iter=50),
    RBFClassifier(3, init="random", normalized=True, solver="lbfgs", max_iter=50),
    RBFClassifier(width=2.0, train="output"),
    RBFRegressor(max_iter=50),
    RBFRegressor(solver="sgd", normalized=True, max_iter=50),
    RBFRegressor(train="output"),
    RBFRegressor(loss="poisson", train="output"),
]
# Rows are series of one channel.
CONVOLUTIONAL = [
    ConvClassifier(max_iter=50),
    # Of one minibatch each, so that a row twice is a row of weight two.
    ConvClassifier((4, 8), pool=None, batch_size=200, max_iter=50),
    # Few enough steps that what rounds otherwise does not drift apart.
    ConvClassifier(4, hidden_layer_sizes=(), solver="lbfgs", alpha=1.0, max_iter=20),
    ConvRegressor(max_iter=50),
    ConvRegressor((4, 8), (3, 2), activation="tanh", batch_size=200, max_iter=100),
]
RECURRENT = [
    RecurrentClassifier(max_iter=50),
    RecurrentClassifier((8, 6), "lstm", pool="mean", batch_size=200, max_iter=50),
    RecurrentClassifier(6, "tanh", hidden_layer_sizes=(4,), solver="lbfgs", alpha=1.0, max_iter=20),
    RecurrentRegressor(max_iter=50),
    RecurrentRegressor(8, bidirectional=True, pool="max", batch_size=200, max_iter=100),
]
STACKS = [
    NetworkClassifier(max_iter=50),
    NetworkClassifier([Conv(4, 3), Flatten(), Dense(20)], max_iter=100),
    NetworkClassifier(
        [Conv(8, 3, "identity"), Normalization("batch", "relu"), GlobalPool("max"), Dense(20)],
        max_iter=100,
        learning_rate_init=0.01,
    ),
    NetworkClassifier([Conv(4, 3), GRU(8), Dense(10)], max_iter=50, learning_rate_init=0.01),
    NetworkRegressor(max_iter=50),
    NetworkRegressor([Conv(4, 3, "tanh"), Flatten(), Dense(20, "tanh")], max_iter=100),
]
# Of one minibatch each, so that a row twice is a row of weight two.
AUTOENCODERS = [
    AutoEncoder(max_iter=30, batch_size=200),
    AutoEncoder(3, (), solver="lbfgs", alpha=0.1, max_iter=50),
    AutoEncoder(1, (8, 4), activation="tanh", mask=0.1, n_members=2, max_iter=20),
]
MAPS = [
    SelfOrganizingMap((4, 4), max_iter=10),
    SelfOrganizingMap((5, 3), topology="rectangular", n_clusters=3),
    SelfOrganizingMap((3, 4), metric="cosine", periodic=True),
]
TABLES = [
    TabularClassifier("fast", hidden_layer_sizes=(32,)),
    TabularClassifier(
        n_members=2, numeric_embedding="piecewise", parametrization="standard", max_iter=20
    ),
    TabularRegressor("fast", hidden_layer_sizes=(32,)),
    TabularRegressor(
        n_members=2, hidden_layer_sizes=(32,), parametric=False, scaling_layer=False, dropout=0.1
    ),
]


def expected_failures(estimator):
    """What depends on how often a row is there: minibatches, centres, statistics of rows."""
    by_tenths = ConvClassifier | ConvRegressor | RecurrentClassifier | RecurrentRegressor
    small = isinstance(estimator, by_tenths | AutoEncoder)
    small = small and (estimator.batch_size, estimator.solver) == ("auto", "adam")
    if small or any(
        isinstance(one, Normalization) for one in getattr(estimator, "layers", None) or ()
    ):
        why = "a row twice is in other minibatches than a row of weight two"
        return {"check_sample_weight_equivalence_on_dense_data": why}
    if estimator in TABLES:
        why = "a row twice is in other minibatches and folds than a row of weight two"
        return {"check_sample_weight_equivalence_on_dense_data": why}
    if estimator in RADIAL:
        why = "centres are drawn"
        return {
            "check_sample_weight_equivalence_on_dense_data": why,
            "check_sample_weight_equivalence_on_sparse_data": why,
        }
    return {}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:Got `batch_size` less than 1 or larger than sample size")
@parametrize_with_checks(
    [
        *CLASSIFIERS,
        *REGRESSORS,
        *RADIAL,
        *CONVOLUTIONAL,
        *RECURRENT,
        *STACKS,
        *AUTOENCODERS,
        *MAPS,
        *TABLES,
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learn_check(estimator, check):
    check(estimator)
