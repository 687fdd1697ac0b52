"""An estimator as an ONNX model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sklearn.utils.validation import check_is_fitted

from nnjit.interop.fitted import fitted_network
from nnjit.interop.holders import bare
from nnjit.interop.onnx.columns import names_in_metadata
from nnjit.interop.onnx.graph import Graph, Value, needed
from nnjit.interop.onnx.outputs import Outputs
from nnjit.interop.onnx.registry import find_emitter

__all__ = ["DEFAULT_OPSET", "emit", "to_onnx"]

# Of December 2022, which every runtime in use reads; nothing newer is needed.
DEFAULT_OPSET = LEAST_OPSET = 18


def to_onnx(
    estimator: Any,
    X: Any = None,
    *,
    opset: int | None = None,
    output: str | Sequence[str] | None = None,
) -> Any:
    r"""Return a fitted estimator as an ONNX model, which other runtimes predict with.

    The model computes what the estimator does in prediction, layer by layer, in the network's own
    precision: a dense layer is one ``Gemm`` and its activation,

    .. math:: h = \varphi(x W + b),

    a convolution a ``Conv``, a recurrent layer ONNX's ``RNN``, ``GRU`` or ``LSTM`` with the lengths
    of series found from their NaN ends inside the graph, and so on; see the guide. What only
    training does, such as dropout, is not there.

    Parameters
    ----------
    estimator : estimator
        A fitted network, or what contains one: MLP, radial, convolutional, recurrent, of your own
        layers, an autoencoder, an agent, an estimator of tables, a map, a hidden layer; or one of
        scikit-learn's that skl2onnx writes, such as a pipeline or a search.
    X : frame or array-like of shape (n_samples, n_features), default=None
        Some rows; needed only where the types of columns have to be known: of a pipeline that
        picks columns of a frame. Of tables they tell the types that inputs have.
    opset : int, default=None
        Version of ONNX's operators, 18 or later; 18 if None, and 20 of tables with text.
    output : str or list of str, default=None
        Which outputs the model has, by name. All if None, but for 'scores' of an autoencoder or of
        a classifier without probabilities, and 'outputs' of an agent.

    Returns
    -------
    model : onnx.ModelProto
        With the input 'X' of shape (n, n_features), float32 or float64 as the network, rows as
        ``predict`` takes them; of a table in a frame an input (n, 1) for each column, see
        `nnjit.interop.onnx.feeds`. A classifier has the outputs 'label' (n,) and 'probabilities'
        (n, n_classes), both (n, n_labels) for a multilabel target; for y with several columns of
        classes 'label_0', 'probabilities_0', 'label_1' and so on. A regressor has 'prediction',
        (n,) or (n, n_outputs); an autoencoder 'features', its code, 'reconstruction' and 'scores',
        as its ``score_samples``; another transformer 'features', a map its 'label' too; an agent
        'action', and 'outputs', those of its network. With a target for each point of a series all
        have one axis more, (n, time, ...), floats being NaN behind the ends of series, and
        'lengths' (n,) tells how many points each has.

    Raises
    ------
    ImportError
        If onnx is not installed.
    sklearn.exceptions.NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is nothing that can be written.
    ValueError
        If something in it has no counterpart in ONNX (the message names it), there is no such
        output, or `opset` is one that is not known or before 18.

    Notes
    -----
    The model does not validate: where ``predict`` refuses NaN or overflow, NaN or infinity comes
    out. Labels keep their type; dates are refused.

    References
    ----------
    ONNX, "Open Neural Network Exchange: operators", https://onnx.ai/onnx/operators/.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from nnjit import MLPClassifier
    >>> from nnjit.interop import to_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier(solver="lbfgs", tol=1e-2, random_state=0).fit(X, y)
    >>> exported = to_onnx(model)
    >>> [output.name for output in exported.graph.output]
    ['label', 'probabilities']
    >>> sorted({node.op_type for node in exported.graph.node} - {"Identity"})
    ['ArgMax', 'Gather', 'Gemm', 'Relu', 'Softmax']
    """
    needed("onnx")
    find_emitter(estimator)
    check_is_fitted(estimator)
    estimator = bare(estimator)
    emitter = find_emitter(estimator)
    least = emitter.least_opset(estimator) if hasattr(emitter, "least_opset") else 0
    graph = Graph(_checked_opset(opset, max(least, LEAST_OPSET)))
    if hasattr(emitter, "inputs"):
        given = emitter.inputs(estimator, X)
    else:
        fitted = fitted_network(estimator)
        given = {"X": (fitted.dtype, ("n", fitted.n_features_in))}
    values = {name: graph.input(name, *one) for name, one in given.items()}
    inputs: Any = values["X"] if [*values] == ["X"] else values
    made = emit(estimator, graph, inputs)
    for name in _wanted(made, output):
        graph.output(name, made[name].value, made[name].shape)
    metadata = emitter.metadata(estimator, X) if hasattr(emitter, "metadata") else {}
    if isinstance(inputs, Value):
        metadata |= names_in_metadata(estimator)
    return graph.model(type(estimator).__name__, metadata=metadata)


def emit(estimator: Any, graph: Graph, X: Value | dict[str, Value]) -> Outputs:
    """Write an estimator into a graph, which may have others in front of it.

    Parameters
    ----------
    estimator : estimator
    graph : Graph
    X : Value or dict of str to Value
        Rows (n, n_features), or columns by name.

    Returns
    -------
    dict of str to Output
    """
    outputs: Outputs = find_emitter(estimator).emit(estimator, graph, X)
    return outputs


def _checked_opset(opset: int | None, least: int) -> int:
    newest = needed("onnx.defs").onnx_opset_version()
    if opset is None:
        return max(DEFAULT_OPSET, least)
    if isinstance(opset, bool) or not isinstance(opset, int) or not least <= opset <= newest:
        raise ValueError(f"opset is an int from {least} to {newest}, got {opset!r}.")
    return opset


def _wanted(made: Outputs, asked: str | Sequence[str] | None) -> list[str]:
    """Return the names of the outputs that a model is to have."""
    if asked is None:
        return [name for name, one in made.items() if not one.extra]
    given = [asked] if isinstance(asked, str) or not isinstance(asked, Iterable) else asked
    names = [*dict.fromkeys(given)]
    if not names or not set(names) <= set(made):
        raise ValueError(f"output is one or several of {[*made]}, got {asked!r}.")
    return names
