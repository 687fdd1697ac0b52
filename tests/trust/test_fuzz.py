"""Short runs of scripts/fuzz.py and its kin; the long ones are commands of their own."""

import collections
import importlib
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from fresh_python import jit_only

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz.py"
pytestmark = [
    jit_only,
    pytest.mark.skipif(not SCRIPT.exists(), reason="scripts/ is not in this checkout"),
]


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fuzz_assignments(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    return importlib.import_module("fuzz_assignments")


def test_random_calls_beside_scikit_learn(fuzz, capsys):
    seed, programs = 20261122, 150
    state = np.random.get_state()
    findings, calls = [], 0
    try:
        for number in range(programs):
            done, finding = fuzz.run_program(seed, number, collections.Counter())
            calls += done
            if finding:
                findings.append(f"program {number}: {finding}")
    finally:
        np.random.set_state(state)
    with capsys.disabled():
        print(f"\nfuzz: seed {seed}, {calls} calls in {programs} programs")
    assert not findings, "\n".join(findings)
    assert calls > 500


def test_a_wrong_number_is_found(fuzz, monkeypatch):
    """The comparison is not blind: predictions off in the fourth digit are seen."""
    import nnjit

    predict = nnjit.MLPRegressor.predict
    monkeypatch.setattr(nnjit.MLPRegressor, "predict", lambda self, X: predict(self, X) * 1.0001)
    found = [fuzz.run_program(0, number, collections.Counter())[1] for number in range(60)]
    assert any(finding and finding.startswith("predict") for finding in found)


def test_a_refusal_is_found(fuzz, monkeypatch):
    import nnjit

    def refuse(self, X, y, sample_weight=None):
        raise ValueError("no")

    monkeypatch.setattr(nnjit.MLPRegressor, "fit", refuse)
    found = [fuzz.run_program(0, number, collections.Counter())[1] for number in range(40)]
    assert any(finding and "nnjit refuses" in finding for finding in found)


def test_a_checkpoint_that_changes_a_fit_is_found(fuzz, monkeypatch):
    from nnjit.training.checkpoint import Checkpoint

    restore = Checkpoint.resume

    def resume(self, engine, state):
        found = restore(self, engine, state)
        state.samples_seen += 1
        state.loss_curve[:] = [loss + 0.01 for loss in state.loss_curve]
        engine.pack([part + 0.01 for part in engine.unpack()])
        return found

    monkeypatch.setattr(Checkpoint, "resume", resume)
    found = [fuzz.run_program(0, number, collections.Counter())[1] for number in range(150)]
    assert any(finding for finding in found)


def test_random_assignments_beside_scikit_learn(fuzz_assignments, capsys):
    seed, programs = 20261123, 150
    findings, calls, met = [], 0, collections.Counter()
    for number in range(programs):
        done, finding = fuzz_assignments.run_program(seed, number, met)
        calls += done
        if finding:
            findings.append(f"program {number}: {finding}")
    with capsys.disabled():
        print(f"\nfuzz_assignments: seed {seed}, {calls} calls in {programs} programs")
    assert not findings, "\n".join(findings)
    assert calls > 500
    assert 100 < met["refused"] < 0.7 * calls


@pytest.mark.parametrize("blind", ["shapes", "numbers", "answers", "overflow"])
def test_assignments_that_are_not_checked_are_found(fuzz_assignments, monkeypatch, blind):
    import nnjit
    from nnjit.estimators import _assigned, _fitted_network

    if blind == "shapes":  # the engine's own check is left, which names no attribute
        monkeypatch.setattr(_assigned, "_check_shapes", lambda *shapes: None)
    elif blind == "numbers":
        monkeypatch.setattr(_assigned, "_check_numbers", lambda *numbers: None)
    elif blind == "answers":
        predict = nnjit.MLPRegressor.predict
        monkeypatch.setattr(nnjit.MLPRegressor, "predict", lambda self, X: predict(self, X) * 1.001)
    else:
        monkeypatch.setattr(_fitted_network, "refuse_overflow", lambda *prediction: None)
    assert any(
        fuzz_assignments.run_program(0, number, collections.Counter())[1] for number in range(300)
    )
