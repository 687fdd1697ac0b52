"""Networks exchanged with other libraries.

The way in is a method of the estimators: `to_sklearn` and `from_sklearn`. From scikit-learn's form
other tools go on, such as skl2onnx.
"""

from nnjit.interop.scikit_learn import from_sklearn, to_sklearn

__all__ = ["from_sklearn", "to_sklearn"]
