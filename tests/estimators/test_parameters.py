"""Parameters that are declared once: constructors, constraints and docstrings made from groups."""

import inspect
import pickle
import pydoc
import traceback
import typing
from numbers import Integral, Real

import numpy as np
import pytest
from numpydoc.docscrape import ClassDoc
from sklearn import neural_network as peer
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils._param_validation import InvalidParameterError, StrOptions, make_constraint

import nnjit
from nnjit import MLPClassifier, MLPRegressor
from nnjit.estimators import parameters as groups
from nnjit.estimators._base import NetworkEstimator
from nnjit.estimators._declaration import (
    Kind,
    interval,
    parameter,
    parameter_group,
    with_parameters,
)
from nnjit.formulas import offered_solvers

PUBLIC = [thing for thing in map(vars(nnjit).get, nnjit.__all__)
          if inspect.isclass(thing) and issubclass(thing, NetworkEstimator)]  # fmt: skip
TWINS = ["MLPClassifier", "MLPRegressor"]
X, Y = np.eye(6), np.arange(6) % 2


def arguments(cls):
    return inspect.signature(cls).parameters


# Every estimator


@pytest.mark.parametrize("name", TWINS)
def test_constructor_is_that_of_scikit_learn_with_more_by_name(name):
    ours = arguments(getattr(nnjit, name))
    theirs = arguments(getattr(peer, name))
    assert [name for name in ours if name in theirs] == list(theirs)
    assert {"warmup", "scoring", "restore_best", "checkpoint", "device"} <= {*ours} - {*theirs}
    for one in ours.values():
        expected = theirs.get(one.name)
        assert one.kind == (one.KEYWORD_ONLY if expected is None else expected.kind)
        assert expected is None or repr(one.default) == repr(expected.default)
    assert list(inspect.signature(getattr(nnjit, name).__init__).parameters) == ["self", *ours]


@pytest.mark.parametrize("cls", PUBLIC)
def test_every_parameter_has_a_type_a_constraint_and_a_text(cls):
    types = typing.get_type_hints(cls.__init__)
    assert list(cls._parameter_constraints) == list(arguments(cls)) == list(types)[:-1]
    for name, one in arguments(cls).items():
        assert one.annotation == types[name] != inspect.Parameter.empty
        constraints = [make_constraint(c) for c in cls._parameter_constraints[name]]
        assert any(c.is_satisfied_by(one.default) for c in constraints)
        literal = typing.get_args(types[name])
        if literal and all(isinstance(value, str) for value in literal):
            (options,) = constraints
            assert isinstance(options, StrOptions) and options.options == {*literal}


@pytest.mark.parametrize("cls", PUBLIC)
def test_docstring_lists_the_parameters_in_the_order_of_the_constructor(cls):
    entries = ClassDoc(cls)["Parameters"]
    assert [entry.name for entry in entries] == list(arguments(cls))
    for entry in entries:
        assert entry.type.endswith(f"default={arguments(cls)[entry.name].default!r}")
        assert entry.desc and entry.desc[-1].endswith(".")
    assert "{" + "parameters}" not in cls.__doc__


@pytest.mark.parametrize("cls", PUBLIC)
def test_help_shows_the_constructor(cls):
    text = pydoc.plain(pydoc.render_doc(cls))
    names = ", ".join(map(repr, [*offered_solvers(), "lbfgs"]))
    assert f"solver: Literal[{names}] = 'adam'" in text
    assert "validation_fraction : float, default=0.1\n" in text


@pytest.mark.parametrize("cls", PUBLIC)
def test_a_constructor_sets_its_parameters_and_nothing_else(cls):
    given = {name: object() for name in arguments(cls)}
    assert vars(cls(**given)) == given
    assert list(vars(cls())) == list(given)
    assert not any(hasattr(cls, name) for name in given)
    defaults = {name: one.default for name, one in arguments(cls).items()}
    assert cls().get_params(deep=False) == defaults


def test_values_by_position():
    assert MLPClassifier((3,), "tanh").get_params() == MLPClassifier(
        hidden_layer_sizes=(3,), activation="tanh"
    ).get_params()  # fmt: skip
    model = MLPRegressor("poisson", (3,), activation="tanh", alpha=0.5)
    assert (model.loss, model.hidden_layer_sizes, model.activation) == ("poisson", (3,), "tanh")
    assert model.alpha == 0.5


class ByHand:
    class MLPClassifier:
        def __init__(self, hidden_layer_sizes=(100,), activation="relu", *, alpha=0.1):
            pass


@pytest.mark.parametrize(
    "call",
    [
        lambda cls: cls(alfa=1),
        lambda cls: cls((3,), quantile=0.5),
        lambda cls: cls((3,), "tanh", 0.1),
        lambda cls: cls((3,), "tanh", activation="relu"),
    ],
)
def test_a_wrong_call_is_refused_in_the_words_of_python(call):
    with pytest.raises(TypeError) as expected:
        call(ByHand.MLPClassifier)
    words = str(expected.value).removeprefix("ByHand.").split(". Did you mean")[0]
    with pytest.raises(TypeError) as error:
        call(MLPClassifier)
    assert str(error.value) == words
    assert all(frame.line for frame in traceback.extract_tb(error.tb))  # with sources to show


# Subclasses


class Wide(MLPClassifier):
    """A constructor of its own, as scikit-learn wants it."""

    def __init__(self, width=7, *, alpha=0.5):
        super().__init__((width,), alpha=alpha, max_iter=3)
        self.width = width


class Named(Wide):
    """The constructor of the class above."""


@pytest.mark.parametrize("cls", [Wide, Named])
def test_a_subclass_may_have_a_constructor_of_its_own(cls):
    assert list(arguments(cls)) == ["width", "alpha"]
    model = cls(3)
    assert model.get_params() == {"width": 3, "alpha": 0.5}
    assert (model.hidden_layer_sizes, model.max_iter, model.tol) == ((3,), 3, 1e-4)
    assert clone(model).get_params() == pickle.loads(pickle.dumps(model)).get_params()
    with pytest.raises(TypeError, match=r"Wide.__init__\(\) got an unexpected keyword .*'tol'"):
        cls(tol=1)


def test_a_constructor_that_forgets_a_parameter_is_found():
    class Forgetful(MLPClassifier):
        def __init__(self, alpha=0.5):
            pass

    with pytest.raises(AttributeError, match="alpha"):
        clone(Forgetful())


# New parameters


@parameter_group
class GrownStopping(groups.Stopping):
    """The group as it would be with one declaration more, and one changed."""

    patience: int | None = parameter(
        default=None,
        kind=Kind("int or None", [*interval(Integral, 1, None, "left").constraints, None]),
        text="""Epochs to wait; as long
            as `n_iter_no_change` if None.""",
    )
    tol: float = parameter(default=0.25)


@pytest.mark.parametrize("base", [MLPClassifier, MLPRegressor])
def test_a_parameter_added_to_a_group_reaches_constructor_constraints_and_docstring(base):
    @with_parameters
    class Grown(GrownStopping, base):
        """A network.

        Parameters
        ----------
        {parameters}
        """

    assert set(arguments(Grown)) == {*arguments(base), "patience"}
    assert [n for n in arguments(Grown) if n != "patience"] == list(arguments(base))
    assert arguments(Grown)["patience"].annotation == (int | None)
    assert Grown(patience=3).get_params()["patience"] == clone(Grown(patience=3)).patience == 3
    (entry,) = [e for e in ClassDoc(Grown)["Parameters"] if e.name == "patience"]
    assert entry.type == "int or None, default=None"
    assert entry.desc == ["Epochs to wait; as long", "as `n_iter_no_change` if None."]
    with pytest.raises(InvalidParameterError, match="The 'patience' parameter of Grown must be"):
        Grown(patience=0).fit(X, Y)
    classes = {"classes": [0, 1]} if base is MLPClassifier else {}
    with pytest.raises(InvalidParameterError, match="'patience'"):
        Grown(patience=0, solver="sgd").partial_fit(X, Y, **classes)


def test_what_is_declared_again_keeps_the_rest():
    @with_parameters
    class Grown(GrownStopping, MLPClassifier):
        pass

    assert Grown().tol == 0.25 and MLPClassifier().tol == 1e-4
    assert str(Grown._parameter_constraints["tol"][0]) == "a float in the range [0.0, inf)"
    assert "class by class" in MLPClassifier.__doc__
    assert "class by class" not in MLPRegressor.__doc__
    kept = [MLPClassifier._parameter_constraints[n] for n in ("early_stopping", "warm_start")]
    assert kept == [["boolean"], ["boolean"]]


def test_own_parameters_come_before_the_shared_ones_and_positions_first():
    @parameter_group
    class Centres:
        n_centers: int = parameter(
            default=5, kind=interval(Integral, 1, None, "left"), text="Number.", kw_only=False
        )
        width: float = parameter(default=1.0, kind=interval(Real, 0, None, "left"), text="Width.")

    @parameter_group
    class All(groups.Training, Centres):
        pass

    @with_parameters
    class Radial(All, BaseEstimator):
        pass

    alone = groups.Architecture, groups.HiddenLayers, groups.ClassWeights
    own = {name for group in (*alone, groups.ClassificationLoss) for name in group._own_parameters}
    shared = [name for name in arguments(MLPClassifier) if name not in own]
    assert list(arguments(Radial)) == ["n_centers", "width", *shared]
    assert Radial(3).n_centers == 3


def test_a_declaration_without_a_text_is_refused():
    @parameter_group
    class Mute:
        loudness: float = parameter(default=1.0, kind=interval(Real, 0, None, "left"))

    with pytest.raises(TypeError, match="'loudness' of Mute needs a kind and a text"):
        with_parameters(type("Network", (Mute, BaseEstimator), {}))


def test_each_class_has_constraints_of_its_own():
    assert MLPClassifier._parameter_constraints is not MLPRegressor._parameter_constraints
    lists = [cls._parameter_constraints["alpha"] for cls in (MLPClassifier, MLPRegressor)]
    assert lists[0] is not lists[1]


def test_a_classifier_has_the_loss_of_scikit_learns_as_an_attribute():
    assert MLPClassifier().loss == peer.MLPClassifier().loss == "log_loss"
    with pytest.raises(NotFittedError):
        MLPClassifier().predict(X)
