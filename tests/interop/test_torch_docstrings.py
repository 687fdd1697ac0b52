"""The docstrings of the ways to PyTorch and back: complete, and their examples run."""

import doctest

import pytest
from numpydoc.validate import validate

from nnjit.interop import from_torch, to_torch
from test_docstrings import checks

both = pytest.mark.parametrize("function", [to_torch, from_torch])


@both
def test_docstrings_are_complete(function):
    errors = validate(f"nnjit.interop.torch.{function.__name__}")["errors"]
    assert [error for error in errors if error[0] in checks()] == []


@both
def test_examples_that_need_pytorch_run(function, capsys):
    pytest.importorskip("torch", reason="needs PyTorch")
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    found = doctest.DocTestFinder(recurse=False).find(function, function.__name__, globs={})
    for test in found:
        runner.run(test)
    assert runner.tries > 3
    assert runner.failures == 0, capsys.readouterr().out
