"""Networks fitted on Dask's arrays and data frames, whose parts stay where they are.

`DaskMLPClassifier` and `DaskMLPRegressor` have the parameters of `nnjit.MLPClassifier` and
`nnjit.MLPRegressor`, and `client` and `local_epochs`. ``pip install 'nnjit[dask]'``.
"""

try:
    import dask.dataframe  # noqa: F401
    import distributed  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"nnjit.dask needs dask and distributed ({error}): pip install 'nnjit[dask]'"
    ) from error

from nnjit.dask.estimators import DaskMLPClassifier, DaskMLPRegressor

__all__ = ["DaskMLPClassifier", "DaskMLPRegressor"]
