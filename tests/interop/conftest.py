import sys
from pathlib import Path

# The oracle (naive.py), and the data sets of the estimators' tests.
TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "estimators")]
