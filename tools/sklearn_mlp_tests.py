"""Run scikit-learn's own tests of its MLP with nnjit's estimators in their place.

``python tools/sklearn_mlp_tests.py [pytest's arguments]``. Only tests that reach into private
members of scikit-learn's classes are left out, each for the reason given here.
"""

import inspect
import os
import re
import sys

import pytest
import sklearn.neural_network

import nnjit

MODULE = "sklearn.neural_network.tests.test_mlp"
LEFT_OUT = {
    "test_gradient": "differentiates the private _loss_grad_lbfgs",
}
_PRIVATE_MEMBER = re.compile(r"\b(mlp|clf|reg|estimator)\._[a-z]")


class NnjitInPlace:
    """pytest plugin: swap the classes before the tests import them, leave LEFT_OUT out."""

    def pytest_configure(self, config):
        sklearn.neural_network.MLPClassifier = nnjit.MLPClassifier
        sklearn.neural_network.MLPRegressor = nnjit.MLPRegressor

    def pytest_collection_modifyitems(self, config, items):
        """Deselect by name; a name that is no private-member test any more is an error."""
        if items and items[0].module.MLPClassifier is not nnjit.MLPClassifier:
            raise pytest.UsageError(f"{MODULE} was imported before the classes were swapped")
        left_out = [item for item in items if item.originalname in LEFT_OUT]
        for item in left_out:
            if not _PRIVATE_MEMBER.search(inspect.getsource(item.function)):
                raise pytest.UsageError(f"{item.name} reaches into no private member: run it")
        items[:] = [item for item in items if item.originalname not in LEFT_OUT]
        config.hook.pytest_deselected(items=left_out)

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section("left out: private members of scikit-learn's classes")
        for name, reason in LEFT_OUT.items():
            terminalreporter.line(f"{name}: {reason}")


def main(arguments):
    """Run the tests; return pytest's exit status."""
    options = ["--pyargs", MODULE, "-p", "no:cacheprovider", "-c", os.devnull]
    return pytest.main([*options, *arguments], plugins=[NnjitInPlace()])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
