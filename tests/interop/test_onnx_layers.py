"""Every kind of layer as ONNX, on each form of rows that it takes, beside the engine."""

import numpy as np
import pytest
from onnx_runs import OfLayers, Session, close

from networks_of_kinds import LAYERS, SHAPES, network, parameters
from nnjit.backends.select import make_engine
from nnjit.interop.onnx.graph import Graph
from nnjit.interop.onnx.network import emit
from nnjit.interop.onnx.registry import find_layer
from nnjit.layers.layer import size_of
from nnjit.layers.registry import kinds


def model_of(made, arrays, opset=18):
    graph = Graph(opset)
    X = graph.input("X", arrays[0].dtype, ("n", made.inputs))
    for name, one in emit(OfLayers(made, arrays), graph, X).items():
        graph.output(name, one.value, one.shape)
    return graph.model("layers")


def rows(form, dtype, n=20):
    X = np.random.default_rng(1).standard_normal((n, size_of(SHAPES[form]))).astype(dtype)
    return X


def with_ends(X, shape):
    """The same series, most of which end before others."""
    found = X.copy()
    cases = found.reshape(-1, *shape)  # a view
    for number, case in enumerate(cases):
        case[:, shape[1] - number % 3 :] = np.nan
    return found


@pytest.mark.parametrize("kind", kinds())
def test_no_kind_of_layer_is_forgotten(kind):
    assert callable(find_layer(kind))
    assert kind in {one for one, *_ in LAYERS}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind, number, form", LAYERS)
def test_a_layer_gives_what_the_engine_gives(kind, number, form, dtype):
    X = rows(form, dtype)
    for place in ("first", "second"):
        made = network(kind, number, form, place)
        arrays = parameters(made, dtype)
        engine = make_engine(made, dtype)
        engine.pack(arrays)
        session = Session(model_of(made, arrays))
        assert session.dtype == dtype
        for given in (X, with_ends(X, made.shape)) if form == "series" else (X,):
            close(session(given)["prediction"], engine.predict(given), dtype)
            close(session(given[:1])["prediction"], engine.predict(given[:1]), dtype)
        assert session(X[:0])["prediction"].shape == (0, 2)


@pytest.mark.parametrize("kind", ["convolution", "gru", "global_pooling", "parametric"])
@pytest.mark.parametrize("opset", [20, 22])
def test_a_later_opset_gives_the_same(kind, opset):
    form = "series"
    made = network(kind, 0, form, "second")
    arrays, X = parameters(made, np.float32), with_ends(rows(form, np.float32), made.shape)
    model = model_of(made, arrays, opset)
    assert [one.version for one in model.opset_import] == [opset]
    close(
        Session(model)(X)["prediction"], Session(model_of(made, arrays))(X)["prediction"], X.dtype
    )
