"""What recurrent layers keep of a row."""

import numpy as np
import pytest

from nnjit.backends.select import make_engine
from nnjit.layers.dense.spec import Dense
from nnjit.layers.gru.spec import GRU
from nnjit.layers.lstm.spec import LSTM
from nnjit.layers.network import Network
from nnjit.layers.recurrence.layer import STEPS
from nnjit.layers.rnn.spec import RNN

LAYERS = [
    RNN(8),
    GRU(8, return_sequences=True),
    LSTM(8, bidirectional=True),
    GRU(8, recurrent_dropout=0.5),
]
every_layer = pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.kind)


@every_layer
def test_a_prediction_keeps_some_points_however_many_there_are(layer):
    assert layer.kept_forward((3, 10 * STEPS)) == layer.kept_forward((3, STEPS))
    assert layer.kept_forward((3, 2)) < layer.kept_forward((3, STEPS))


@every_layer
def test_what_training_keeps_grows_with_the_points_alone(layer):
    sizes = [layer.kept((3, points)) for points in (20, 40, 60)]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]
    each = (sizes[1] - sizes[0]) / 20 / (layer.units * layer.directions)
    assert each == layer.planes + layer.states + (layer.recurrent_dropout > 0)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_predictions_some_points_at_a_time_are_those_of_all_at_once(bidirectional):
    # 3 rows have 16 points at a time and 40 rows 6; alone, a series of 16 points has all of them
    points, rng = 2 * STEPS + 3, np.random.default_rng(0)
    layers = GRU(5, bidirectional=bidirectional), Dense(2, "identity")
    network = Network(2 * points, layers, "squared_error", "identity", shape=(2, points))
    engine = make_engine(network, np.float64)
    engine.pack([rng.standard_normal(one.shape) / 2 for _, one in network.parameters()])
    x = rng.standard_normal((40, 2, points))
    x[:, :, STEPS:][::2] = np.nan
    many = engine.predict(x.reshape(40, -1))
    np.testing.assert_array_equal(engine.predict(x[:3].reshape(3, -1)), many[:3])
    short = Network(2 * STEPS, layers, "squared_error", "identity", shape=(2, STEPS))
    alone = make_engine(short, np.float64)
    alone.pack(engine.unpack())
    found = alone.predict(np.ascontiguousarray(x[::2, :, :STEPS]).reshape(20, -1))
    np.testing.assert_array_equal(found, many[::2])
