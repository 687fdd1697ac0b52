"""Modules of PyTorch made of fitted networks, and estimators made of modules.

PyTorch is loaded when one of the two functions is called. `writing.py` makes modules of layers,
`heads.py` what is made of their outputs; `leaves.py` finds the modules of which `reading.py` makes
layers, each by its function in `readers`, and `building.py` an estimator of these; `activations.py`
has the names of both sides. The files beside them hold modules of what PyTorch has none for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nnjit.interop.torch._needed import needed_torch

__all__ = ["from_torch", "to_torch"]


def to_torch(estimator: Any, *, output: str | None = None) -> Any:
    r"""Return a PyTorch module that computes what a fitted network does.

    It is a ``torch.nn.Sequential`` of PyTorch's own modules, ``Linear``, ``ReLU``, ``Conv2d``,
    ``BatchNorm1d`` and so on, where these do the same, and of small ones of nnjit's elsewhere:

    .. math:: h = \phi(W^\top x + b) \;\to\; \mathtt{Linear},\ \mathtt{ReLU},
              \quad \mathtt{weight} = W^\top

    Parameters
    ----------
    estimator : estimator
        A fitted network of nnjit: MLP, convolutional, recurrent, radial, of your own layers,
        autoencoder; a TabularClassifier or TabularRegressor; HiddenFeatures; a QAgent or
        PolicyAgent; or a search that found one of these.
    output : str, default=None
        What the module gives out. None for what the estimator predicts: the 'probabilities' of a
        classifier, the 'values' of a regressor, an autoencoder's 'reconstruction', the 'features'
        of HiddenFeatures; of an agent the 'logits', but for 'probabilities' where it learned a
        policy over discrete actions. Else one of these names; 'logits', what the last layer gives
        out in front of its activation, for a loss such as ``CrossEntropyLoss``; 'code', of an
        autoencoder; 'values', of a PolicyAgent its critic's.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, with copies of the parameters in the estimator's precision, on the CPU.
        It maps rows (n, n_features), the values of series and images in the order of
        `input_shape`, or these in their own shape, to (n, n_outputs): a column for each class, also
        of two, for each label, or for each value; classes of several columns side by side. Series
        may end in NaN. With a target at each point it gives out (n, time, n_outputs), NaN behind
        ends. Its attribute ``classes_`` has the classes of a classifier. A module of a
        Tabular* takes the encoded rows, ``module.encoder_.transform(frame)``, as a tensor of its
        parameters' type, and gives out float64.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If `estimator` is none of these.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If it has no such output, or an activation that PyTorch does not have.

    Notes
    -----
    ``module.train()`` goes on as here: dropout, noise and recurrent dropout draw with the same
    shares, batch normalization follows minibatches. Rates of learning that layers have of their own
    are not looked at by PyTorch's solvers, and layers that move the points of training rows
    (``Augment``) raise. PyTorch's recurrent layers add a second vector of biases, which is 0.

    References
    ----------
    A. Paszke et al., "PyTorch: an imperative style, high-performance deep learning library",
    NeurIPS 2019.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from sklearn.datasets import load_iris
    >>> from nnjit import MLPClassifier
    >>> from nnjit.interop import to_torch
    >>> X, y = load_iris(return_X_y=True)
    >>> model = MLPClassifier((20,), max_iter=5, tol=1.0, random_state=0).fit(X, y)
    >>> module = to_torch(model)
    >>> module
    Sequential(
      (0): Linear(in_features=4, out_features=20, bias=True)
      (1): ReLU()
      (2): Linear(in_features=20, out_features=3, bias=True)
      (3): Softmax(dim=-1)
    )
    >>> with torch.no_grad():
    ...     p = module(torch.from_numpy(X)).numpy()
    >>> bool(np.abs(p - model.predict_proba(X)).max() < 1e-12)
    True
    """
    needed_torch("to_torch")
    from nnjit.interop.torch.heads import module_of

    return module_of(estimator, output)


def from_torch(
    module: Any,
    cls: type | None = None,
    *,
    input_shape: Sequence[int] | None = None,
    classes: Any = None,
    **parameters: Any,
) -> Any:
    r"""Return a fitted estimator with the weights of a PyTorch module.

    A ``Linear`` with an activation behind it becomes a dense layer,

    .. math:: \mathtt{weight},\ \mathtt{bias} \;\to\; h = \phi(W^\top x + b),
              \quad W = \mathtt{weight}^\top

    and so on for every kind of layer in `nnjit.layers`.

    Parameters
    ----------
    module : torch.nn.Module or sequence of torch.nn.Module
        A ``Sequential``, in which there may be others, what `to_torch` returned, or modules in
        order: ``Linear``, activations that exist here, ``Dropout``, ``BatchNorm1d``,
        ``BatchNorm2d``, ``LayerNorm`` of vectors, ``Conv1d`` and ``Conv2d`` with zero padding
        that is 'valid' or 'same' here, ``MaxPool``, ``AvgPool``, ``AdaptiveAvgPool(1)`` and
        ``AdaptiveMaxPool(1)`` in front of ``Flatten``, ``Embedding`` of one column in front of all
        others, ``Softmax`` or ``Sigmoid`` at the end. In a sequence also ``RNN``, ``GRU`` and
        ``LSTM``, of which the last states go on, or all where another such follows. It is left as
        it is.
    cls : type, default=None
        Class of the estimator: MLPClassifier, MLPRegressor, NetworkClassifier, NetworkRegressor,
        RBFClassifier or RBFRegressor. None for a classifier where `classes` are given or a
        ``Softmax`` or ``Sigmoid`` is at the end, else a regressor; an MLP* where the layers are
        those of one, else a Network*.
    input_shape : sequence of int, default=None
        (channels, time) or (channels, height, width) of a case, where the first module takes series
        or images; not needed behind ``Unflatten``.
    classes : array-like of shape (n_classes,), or list of such, default=None
        Labels in the order of the outputs, those of each column in a list for several softmaxes
        that `to_torch` wrote. One output is the logit of the second of two; the logits of two
        outputs become one, their difference. None for 0, 1, ... of a classifier; of several outputs
        with a ``Sigmoid`` these are the numbers of as many labels.
    **parameters : dict
        More parameters of the estimator, for further training: `solver`, `learning_rate_init`,
        `loss`, `random_state` and so on.

    Returns
    -------
    estimator
        It shares no memory with `module`, and needs no PyTorch. It is of the parameters' precision,
        float32 where that is a lower one. ``partial_fit``, and ``fit`` with ``warm_start=True``,
        go on from the weights.

    Raises
    ------
    ImportError
        If PyTorch is not installed.
    TypeError
        If `module` is none, or there is no parameter of a name.
    ValueError
        If a module has no layer here that does the same; the message names it and its place.

    Notes
    -----
    The two vectors of biases of PyTorch's recurrent layers become one, their sum, where nothing
    else is done to them. Files of ``torch.save`` are not read: load them in PyTorch, which
    unpickles what they hold, if you trust whom they come from.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from nnjit.interop import from_torch
    >>> module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    >>> model = from_torch(module, classes=["ant", "bee", "cat"], random_state=0)
    >>> model
    MLPClassifier(activation='tanh', hidden_layer_sizes=(8,), random_state=0)
    >>> model.predict_proba([[0.1, 0.2, 0.3, 0.4]]).shape
    (1, 3)
    """
    needed_torch("from_torch")
    from nnjit.interop.torch.building import built
    from nnjit.interop.torch.reading import read_modules

    return built(read_modules(module, input_shape), cls, classes, parameters)
