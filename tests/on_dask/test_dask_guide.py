"""The examples of the guide to Dask run."""

import re
import warnings
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "dask.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_examples_of_the_guide_run(number):
    for name in ("distributed", "joblib", "optuna"):
        if name in EXAMPLES[number]:
            pytest.importorskip(name, reason=f"the example needs {name}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of other packages, about one another
        exec(compile(EXAMPLES[number], f"dask.md, example {number + 1}", "exec"), {})


def test_the_guide_has_an_example_of_every_search():
    text = "".join(EXAMPLES)
    for name in ("DaskMLPClassifier", "GridSearchCV", "HalvingGridSearchCV"):
        assert name in text
    assert "optuna" in text
