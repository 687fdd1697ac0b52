"""What networks do with collections, beside what they do with arrays."""

from __future__ import annotations

import copy
from numbers import Integral
from typing import Any, Self

import numpy as np
from dask.base import compute
from distributed import Client
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import HasMethods

from nnjit._types import Array
from nnjit.dask._cluster import CheckedRows, client_of, connected, is_collection, parts_of
from nnjit.dask._part import Setting, prepare
from nnjit.dask._rounds import Rounds
from nnjit.dask._rows import Rows
from nnjit.dask._sums import SumOverParts
from nnjit.dask._targets import few_rows, few_targets
from nnjit.estimators._base import NetworkEstimator
from nnjit.estimators._callbacks import current_report
from nnjit.estimators._declaration import Kind, interval, parameter, parameter_group
from nnjit.estimators._training_call import TrainingCall
from nnjit.estimators._validation import refuse_all_zero, refuse_no_target
from nnjit.estimators._watching import Given
from nnjit.formulas import SOLVERS
from nnjit.formulas.own import modules_of
from nnjit.training.loop import run_epochs

__all__ = ["DaskNetwork", "DaskParameters"]

# What a worker has to know of a fitted estimator to read the target of its rows.
_OF_TARGETS = (
    "_label_binarizer", "classes_", "quantiles_", "out_activation_", "n_outputs_", "n_features_in_",
)  # fmt: skip


@parameter_group
class DaskParameters:
    """What fits on parts have beside the parameters of the network."""

    client: Client | None = parameter(
        default=None,
        kind=Kind("distributed.Client or None", [HasMethods(["submit", "scatter"]), None]),
        text="""Client of the cluster to fit on; None for the one that was made last. It is no
            part of pickles.""",
    )
    local_epochs: int = parameter(
        default=1,
        kind=interval(Integral, 1, None, "left"),
        text="""Epochs of the stochastic solvers that each part is gone through by itself before
            the parameters are averaged.""",
    )
    split_batches: bool = parameter(
        default=True,
        kind=Kind("bool", ["boolean"]),
        text="""Whether a minibatch of `batch_size` rows is split among the parts by their rows, so
            that each part makes as many steps in an epoch as one machine would. If False each
            part has minibatches of `batch_size` rows of its own: fewer steps, which are less
            work and learn less. Not used by 'lbfgs'.""",
    )


class DaskNetwork(NetworkEstimator):
    """Fits and predictions on collections; a base before the estimator that takes arrays."""

    client: Any
    local_epochs: int
    split_batches: bool
    _rows: CheckedRows  # while a fit goes on

    # What a kind of target supplies

    def _target_and_weight(self, rows: Rows, dtype: Any) -> tuple[Array, Array | None]:
        """Return the target of a part as an engine takes it, and the weights of its rows.

        Here self has all of a fitted estimator but its parameters.
        """
        raise NotImplementedError

    def _shell(self, rows: CheckedRows) -> Self:
        """Return the estimator without parameters, client and generator."""
        given = self.get_params(deep=False) | {"client": None, "random_state": None}
        shell = type(self)(**given)
        known = {name: self.__dict__[name] for name in _OF_TARGETS if name in self.__dict__}
        shell.__dict__.update(known)
        return shell

    @property
    def client_(self) -> Client:
        """Client of the cluster that fits go to.

        Raises
        ------
        ValueError
            If none was given and there is none.
        """
        return client_of(self.client)

    # Fitting

    def _fit_on(self, given: Given, incremental: bool, validation: Given | None) -> Self:
        if validation is not None:
            validation = Given(*self._computed(*validation))
        if not any(map(is_collection, given)):
            return super()._fit_on(given, incremental, validation)
        self._refuse_for_parts(validation)
        refuse_no_target(self, given.y)
        parts = parts_of(*given)
        bare = type(self)(**self.get_params(deep=False) | {"client": None, "random_state": None})
        with connected(self.client) as client:
            rows = CheckedRows(client, bare, parts)
            if not any(one.weight for one in rows.facts):
                refuse_all_zero(np.zeros(1))
            few = few_targets(rows.facts)
            try:
                self._rows = rows
                return super()._fit_on(
                    Given(few_rows(rows.facts, len(few)), few, None), incremental, validation
                )
            finally:
                self.__dict__.pop("_rows", None)

    def _refuse_for_parts(self, validation: Given | None) -> None:
        """Refuse what needs all rows in one place."""
        if self.checkpoint is not None:
            raise ValueError(
                "checkpoint is of fits in one process, which can be killed; on a cluster what a "
                "lost worker had is computed again."
            )
        if self.device not in ("cpu", "auto"):
            raise ValueError(
                f"Parts are trained on by their workers' CPUs, got device={self.device!r}."
            )
        if self.early_stopping and validation is None and self.solver in SOLVERS:
            raise ValueError(
                "early_stopping=True needs X_val and y_val where rows are in parts: none are held "
                "out of these."
            )

    def _train(self, call: TrainingCall) -> None:
        if not hasattr(self, "_rows"):
            super()._train(call)
            return
        network, dtype = self._give_parameters()[0], self._parameter_dtype()
        if self.solver not in SOLVERS:
            self._refuse_for_lbfgs(network)
        named = {"activation": self.activation, "loss": self.loss, "solver": self.solver}
        setting = Setting(dtype.name, named, tuple(modules_of(named)))
        parts = self._rows.prepared(prepare, self._shell(self._rows), network, setting)
        if self.solver in SOLVERS:
            self._train_in_rounds(parts, call)
            return
        engine = self._make_engine()
        self._minimize(engine, SumOverParts(parts, network, dtype, self.alpha))

    def _train_in_rounds(self, parts: Any, call: TrainingCall) -> None:
        engine, n_rows = self._make_engine(), sum(self._rows.sizes)
        monitor, incremental = self._make_monitor(engine, call), call.incremental
        # Of the order only the length is asked for.
        state = self._begun(engine, monitor, range(n_rows), incremental)
        plan = self._plan(n_rows, incremental)
        if state.solver.parameters is not None:
            engine.pack(state.solver.parameters)
        rounds = Rounds(parts, engine, state, plan, self.local_epochs, self.split_batches)
        report = None if incremental else current_report(self)
        run_epochs(engine, None, state, plan, None, report, epochs=rounds)
        self._take_over(engine, state)

    def _divergence_advice(self) -> str:
        advice = super()._divergence_advice()
        if not hasattr(self, "_rows") or self.solver not in SOLVERS or not self.split_batches:
            return advice
        return (
            f"{advice} A part's steps are of few rows: clip_norm=1 bounds them, "
            "split_batches=False gives them more rows."
        )

    # Predictions

    def _computed(self, *collections: Any) -> tuple[Any, ...]:
        """Return collections as arrays or frames in memory, others as they are."""
        how = {} if self.client is None else {"scheduler": self.client.get}
        # One by one: Dask warns of arrays and frames together.
        return tuple(compute(one, **how)[0] for one in collections)

    def _score_by(self, metric: Any, X: Any, y: Any, sample_weight: Any) -> float:
        if not any(map(is_collection, (X, y, sample_weight))):
            return super()._score_by(metric, X, y, sample_weight)
        y, predicted, weights = self._computed(y, self.predict(X), sample_weight)
        refuse_all_zero(weights)
        return float(metric(y, predicted, sample_weight=weights))

    # Copies

    def _local(self, kind: Any) -> Any:
        """Return an estimator of another class with the parameters and attributes of this one."""
        own = ("client", "local_epochs", "split_batches")
        given = {k: v for k, v in self.get_params(deep=False).items() if k not in own}
        local = kind(**copy.copy(given))
        fitted = {k: v for k, v in vars(self).items() if k not in given and k not in own}
        local.__dict__.update(fitted)
        return local

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "client": None}

    def __sklearn_clone__(self) -> Self:
        """Return a clone with the same client, which cannot be copied."""
        twin = object.__new__(type(self))
        twin.__dict__.update(self.__dict__, client=None)
        clone: Self = BaseEstimator.__sklearn_clone__(twin)
        clone.client = self.client
        return clone
