import sys
from pathlib import Path

# The oracle lies one folder up.
sys.path.insert(0, str(Path(__file__).parents[1]))
