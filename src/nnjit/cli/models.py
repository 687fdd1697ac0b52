"""The models that the demo fits: networks of nnjit, and what scikit-learn has beside them."""

from __future__ import annotations

from typing import Any

from nnjit.cli.problem import Problem, RawTable

__all__ = ["boosted_trees", "mlp_pipeline", "tabular_network"]

_MOST_CATEGORIES = 254  # that HistGradientBoosting takes, without one for those that are rarer


def mlp_pipeline(library: Any, problem: Problem, **options: Any) -> Any:
    """The MLP of a library behind the problem's preprocessing, its targets standardized.

    Parameters
    ----------
    library : module
        nnjit or sklearn.neural_network.
    problem : Problem
    **options
        Parameters of the MLP.
    """
    from sklearn.base import clone
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    first_step = clone(problem.preprocessing)
    if problem.task == "classification":
        return make_pipeline(first_step, library.MLPClassifier(**options))
    pipeline = make_pipeline(first_step, library.MLPRegressor(**options))
    return TransformedTargetRegressor(pipeline, transformer=StandardScaler())


def tabular_network(problem: Problem, preset: Any, seed: int) -> Any:
    """The estimator that takes tables as they are."""
    import nnjit

    kind = nnjit.TabularClassifier if is_classified(problem) else nnjit.TabularRegressor
    return kind(preset, random_state=seed)


def boosted_trees(problem: Problem, table: RawTable, seed: int) -> Any:
    """scikit-learn's HistGradientBoosting, told which columns are of categories."""
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OrdinalEncoder

    numbers = OrdinalEncoder(
        handle_unknown="use_encoded_value",
        unknown_value=float("nan"),
        max_categories=_MOST_CATEGORIES,
    )
    columns = ColumnTransformer(
        [("words", numbers, table.text), ("numbers", "passthrough", table.numeric)]
    )
    kind = (
        HistGradientBoostingClassifier if is_classified(problem) else HistGradientBoostingRegressor
    )
    of_categories = list(range(len(table.text)))
    return make_pipeline(columns, kind(categorical_features=of_categories, random_state=seed))


def is_classified(problem: Problem) -> bool:
    return problem.task == "classification"
