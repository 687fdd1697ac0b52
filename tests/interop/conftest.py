import sys
from pathlib import Path

# The data sets of the estimators' tests.
sys.path.insert(0, str(Path(__file__).parents[1] / "estimators"))
