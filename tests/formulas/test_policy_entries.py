"""Losses by row: terms and sums against differences, compiled formulas against those of arrays."""

import numpy as np
import pytest
from targets import PRECISIONS, close, compiled, derivative

from nnjit.formulas import find_loss
from nnjit.formulas.policies import LOG_STD_RANGE

CATEGORICAL = find_loss("clipped_policy", "softmax")
GAUSSIAN = find_loss("clipped_gaussian_policy", "identity")
every_precision = pytest.mark.parametrize("dtype", PRECISIONS)


def sums(dtype=np.float64, **options):
    """What a loss by row reads, of ratios on either side of both bounds."""
    log_p = np.array([-3.0, -1.0, -0.5, -0.31, -0.1], dtype)
    advantage = np.array([-2.0, -0.3, 0.0, 0.4, 3.0], dtype)
    log_p, advantage = (grid.ravel() for grid in np.meshgrid(log_p, advantage))
    known = {"log_p": log_p, "row_entropy": 0.1 - log_p, "advantage": advantage}
    return {**known, "former": np.full_like(log_p, -0.4), **CATEGORICAL.parameters, **options}


def called(formula, reads, known):
    return formula(*[known[name] for name in reads])


def derivative_of_both(function, x):
    """Of a function that returns two arrays."""
    above, below = function(x + 1e-5), function(x - 1e-5)
    return [(one - other) / 2e-5 for one, other in zip(above, below, strict=True)]


@pytest.mark.parametrize("options", [{}, {"clip": np.inf}, {"clip": 0.05, "entropy": 0.3}])
def test_slopes_by_the_sums_are_those_of_differences(options):
    known, formulas = sums(**options), CATEGORICAL.numpy()

    def value(**sums):
        return called(formulas.value, CATEGORICAL.value_reads, {**known, **sums})

    slopes = called(formulas.slope, CATEGORICAL.slope_reads, known)
    by_log_p = derivative(lambda x: value(log_p=x), known["log_p"])
    by_entropy = derivative(lambda x: value(row_entropy=x), known["row_entropy"])
    np.testing.assert_allclose(slopes[0], by_log_p, atol=1e-8)
    np.testing.assert_allclose(slopes[1] + 0 * by_entropy, by_entropy, atol=1e-8)


def test_slopes_of_terms_are_those_of_differences():
    y, mean, log_std = (
        grid.ravel() for grid in np.meshgrid([-1.0, 0.5], [-0.7, 2.0], [-1.5, 0.0, 0.3, -21, 21])
    )
    formulas, (_, reads) = GAUSSIAN.numpy(), GAUSSIAN.term_reads
    slopes = called(formulas.term_slope, reads, {"y": y, "mean": mean, "log_std": log_std})
    by_mean = derivative_of_both(lambda x: formulas.term(y, x, log_std), mean)
    by_std = derivative_of_both(lambda x: formulas.term(y, mean, x), log_std)
    for slope, expected in zip(slopes, (*by_mean, *by_std), strict=True):
        np.testing.assert_allclose(slope + 0 * y, expected, rtol=1e-6, atol=1e-7)
    log_p, y, formulas = (
        np.array([-30.0, -1.0, -1e-3]),
        np.array([0.0, 1.0, 1.0]),
        CATEGORICAL.numpy(),
    )
    slopes = formulas.term_slope(y, np.exp(log_p), log_p)
    expected = derivative_of_both(lambda x: formulas.term(y, np.exp(x), x), log_p)
    np.testing.assert_allclose(slopes, expected, atol=1e-8)


@every_precision
def test_compiled_formulas_are_those_of_arrays(dtype):
    known, code, arrays = sums(dtype), compiled(CATEGORICAL, dtype), CATEGORICAL.numpy()
    wide = {name: np.asarray(one, np.float64) for name, one in known.items()}
    reads, atol = CATEGORICAL.value_reads, 16 * np.finfo(dtype).eps
    close(called(code.value, reads, known), called(arrays.value, reads, wide), dtype, atol=atol)
    for ours, theirs in zip(
        called(code.slope, reads, known), called(arrays.slope, reads, wide), strict=True
    ):
        close(ours, theirs, dtype, atol=atol)
    columns = [np.array(one, dtype) for one in ([0.5, -2, 3], [0.25, 0.0, 1.0], [-1.0, 0.5, 25.0])]
    for entry in (CATEGORICAL, GAUSSIAN):
        code, arrays = compiled(entry, dtype), entry.numpy()
        for ours, theirs in zip(code[2:], arrays[2:], strict=True):
            wide = [column.astype(np.float64) for column in columns]
            for one, other in zip(ours(*columns), theirs(*wide), strict=True):
                close(one, other, dtype, atol=atol)


@every_precision
def test_nothing_overflows(dtype):
    """Where an action was next to impossible, or outputs are out of all proportion."""
    known = {"log_p": [-1e4, 0.0, 0.0], "row_entropy": [0.0] * 3, "advantage": [-2.0, -2.0, 2.0]}
    known |= {"former": [0.0, -1e4, -1e4], "clip": 0.2, "entropy": 0.01}
    code = compiled(CATEGORICAL, dtype)
    values = called(code.value, CATEGORICAL.value_reads, known)
    assert np.isfinite(values).all()
    slopes = called(code.slope, CATEGORICAL.slope_reads, known)
    assert np.isfinite(slopes).all()
    assert slopes[0][1] > 1e8 and slopes[0][2] == 0  # away from it as fast as can be, or no more
    for log_std in (-1e6, *LOG_STD_RANGE, 1e6):
        code = compiled(GAUSSIAN, dtype)
        for formula in code[2:]:
            assert np.isfinite(formula([1e4, -1.0], [-1e4, -1.0], [log_std] * 2)).all()


def test_targets_have_columns_for_the_action_the_advantage_and_its_former_probability():
    assert CATEGORICAL.target_columns(7) == 3
    assert GAUSSIAN.target_columns(8) == 6
    assert find_loss("huber", "identity").target_columns(8) == 8
    with pytest.raises(ValueError, match="a mean and a deviation .* got 5 outputs"):
        GAUSSIAN.target_columns(5)
    assert not CATEGORICAL.labels and not CATEGORICAL.reads_z
    with pytest.raises(ValueError, match="is not one number"):
        GAUSSIAN.settings([("clip", (0.1, 0.2))], 2)
