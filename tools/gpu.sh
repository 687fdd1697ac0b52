#!/usr/bin/env bash
# All that only a GPU can tell, in one go: tests/cuda, then the figures of peers.py.
#
#   tools/gpu.sh [FOLDER]    logs and peers.json go there; default gpu.local
#
# The tests compile some hundreds of kernels, seconds each: with pytest-xdist installed as many
# processes share them as there are cores, 12 at most. Every part has its own limit of time (TESTS
# and FIGURES, seconds), and the figures that peers.py has by then are kept.
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

share=()
"$python" -c 'import xdist' 2>/dev/null && share=(-n "$(($(nproc) < 12 ? $(nproc) : 12))")
# Machine code needs no GPU: it is tested anywhere that has NVVM.
timeout "${TESTS:-270}" "$python" -m pytest -p no:cacheprovider "${share[@]}" -q --durations=15 \
  --ignore=tests/cuda/test_cuda_machine_code.py tests/cuda 2>&1 | tee "$out/tests.log"

timeout "${FIGURES:-270}" "$python" asv_bench/peers.py --device cuda --rounds 3 --dtypes float32 \
  --json "$out/peers.json" 2>&1 | tee "$out/peers.log"
