#!/usr/bin/env bash
# All that only a GPU can tell, in one go of five minutes: tests/cuda, then the figures of peers.py.
#
#   tools/gpu.sh [FOLDER]    logs, tests.xml and peers.json go there; default gpu.local
#
# The tests compile some hundreds of kernels, seconds each: with pytest-xdist installed as many
# processes share them as there are cores, 20 at most. Files of which the least is known on a GPU
# come first. Every part has its own limit of time (TESTS and FIGURES, seconds); what has run by then
# is counted, and the figures that peers.py has by then are kept.
set -u
cd "$(dirname "$0")/.."
out=${1:-gpu.local}
python=${PYTHON:-python3}
export PYTHONPATH=src${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
unset NUMBA_ENABLE_CUDASIM NUMBA_DISABLE_JIT
mkdir -p "$out"

"$python" -c 'from nnjit.backends.cuda import _cuda; print(_cuda.why_unavailable() or "a GPU")' |
  tee "$out/device.log"
grep -q '^a GPU$' "$out/device.log" || exit 1

# Machine code needs no GPU: it is tested anywhere that has NVVM.
files=()
for name in dropout elements engine refusals products; do
  files+=("tests/cuda/test_cuda_$name.py")
done
for file in tests/cuda/test_*.py; do
  [[ " ${files[*]} tests/cuda/test_cuda_machine_code.py " == *" $file "* ]] || files+=("$file")
done
share=()
"$python" -c 'import xdist' 2>/dev/null && share=(-n "$(($(nproc) < 20 ? $(nproc) : 20))")
timeout -s INT -k 15 "${TESTS:-200}" "$python" -m pytest -p no:cacheprovider -p no:benchmark \
  "${share[@]}" -q --durations=15 --junitxml="$out/tests.xml" \
  "${files[@]}" 2>&1 | tee "$out/tests.log"
"$python" - "$out/tests.xml" <<'PYTHON' | tee "$out/counts.log"
import collections
import sys
import xml.etree.ElementTree as tree

try:
    cases = tree.parse(sys.argv[1]).iter("testcase")
except OSError:
    sys.exit("The tests were ended before they could be counted.")
files = collections.defaultdict(collections.Counter)
for case in cases:
    kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
    files[case.get("classname", "")][min(kinds, default="passed")] += 1
for name, counts in sorted(files.items()):
    print(f"{name}: {sum(counts.values())} run,", ", ".join(f"{n} {k}" for k, n in counts.items()))
total = sum(files.values(), collections.Counter())
print(f"all: {sum(total.values())} run,", ", ".join(f"{n} {k}" for k, n in total.items()))
PYTHON

timeout "${FIGURES:-80}" "$python" asv_bench/peers.py --device cuda --rounds 2 --dtypes float32 \
  --json "$out/peers.json" 2>&1 | tee "$out/peers.log"
