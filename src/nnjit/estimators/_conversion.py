"""The methods that turn an estimator into scikit-learn's own and back."""

from __future__ import annotations

from typing import Any, Self

__all__ = ["ScikitLearnConversion"]


class ScikitLearnConversion:
    """Adds `to_sklearn` and `from_sklearn`."""

    def to_sklearn(self) -> Any:
        """Return this estimator as scikit-learn's own, fitted if this one is.

        It predicts the same (in float64 to some 1e-15) and goes on training where this one
        stands: weights, moments, learning rate, loss curve, scores and counters are copied. Tools
        that know scikit-learn's classes only, such as skl2onnx, work with it.

        Returns
        -------
        model : sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor
            A copy: it shares no array and no generator with this estimator.

        Raises
        ------
        ValueError
            If a parameter has a value that scikit-learn does not know, or the network has layer
            normalization or residual layers, or was fitted on y with several columns of classes.

        Warns
        -----
        UserWarning
            If a parameter that scikit-learn does not have (`class_weight`) is not at its
            default. `checkpoint`, `checkpoint_interval` and `device` do not change what is learned
            and are left out without a word.

        Notes
        -----
        Batch normalization becomes a part of the weights: predictions are the same, and a further
        fit goes on without it.

        With an int as `random_state`, scikit-learn's ``partial_fit`` shuffles the rows alike in
        every call, while here the random stream goes on. A ``RandomState`` goes on on both sides.
        Of a subclass, methods that it overrides are not there in scikit-learn's.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from nnjit import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> ours = MLPClassifier(solver="lbfgs", tol=1e-2, random_state=0).fit(X, y)
        >>> theirs = ours.to_sklearn()
        >>> type(theirs).__module__.split(".")[0]
        'sklearn'
        >>> np.allclose(theirs.predict_proba(X), ours.predict_proba(X), rtol=1e-12)
        True
        """
        from nnjit.interop.scikit_learn import to_sklearn

        return to_sklearn(self)

    @classmethod
    def from_sklearn(cls, model: Any) -> Self:
        """Return scikit-learn's estimator as one of this class, fitted if that one is.

        The other way round: see `to_sklearn` for what is copied.

        Parameters
        ----------
        model : sklearn.neural_network.MLPClassifier or sklearn.neural_network.MLPRegressor
            The one of the same name as this class, or a subclass of it. It is not changed.

        Returns
        -------
        estimator : object
            An estimator of this class. `checkpoint`, `checkpoint_interval` and `device` have their
            defaults.

        Raises
        ------
        TypeError
            If `model` is anything else, such as a Pipeline.
        ValueError
            If a parameter has a value that nnjit does not know, or the shapes of the weights do
            not fit together.

        Warns
        -----
        UserWarning
            If a parameter that nnjit does not have is not at its default.

        Notes
        -----
        With an int as `random_state`, ``partial_fit`` goes on with the stream of the last call,
        as it does after a fit of this class. scikit-learn does not keep which rows early stopping
        held out, so that a warm start draws them anew.

        Examples
        --------
        >>> from sklearn import neural_network
        >>> from sklearn.datasets import load_iris
        >>> from nnjit import MLPClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> theirs = neural_network.MLPClassifier(random_state=0)
        >>> theirs = theirs.partial_fit(X, y, classes=[0, 1, 2])
        >>> ours = MLPClassifier.from_sklearn(theirs)
        >>> ours.partial_fit(X, y).t_
        300
        """
        from nnjit.interop.scikit_learn import from_sklearn

        return from_sklearn(cls, model)
