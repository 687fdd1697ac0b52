import sys
from pathlib import Path

# The oracle engine lies one folder up.
sys.path.insert(0, str(Path(__file__).parents[1]))
