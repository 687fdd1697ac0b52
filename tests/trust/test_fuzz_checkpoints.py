"""A short run of scripts/fuzz_checkpoints.py; the long one is a command of its own."""

import collections
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from fresh_python import jit_only

from nnjit.training import checkpoint as file_format
from nnjit.training.archive import DamagedError

SCRIPT = Path(__file__).parents[2] / "scripts" / "fuzz_checkpoints.py"
pytestmark = [
    jit_only,
    pytest.mark.skipif(not SCRIPT.exists(), reason="scripts/ is not in this checkout"),
]


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("fuzz_checkpoints", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def fuzzer(script, tmp_path_factory):
    fuzzer = script.Fuzzer(tmp_path_factory.mktemp("checkpoints"))
    yield fuzzer
    fuzzer.close()


def test_damaged_and_hostile_files(script, fuzzer, capsys):
    seed, outcomes, findings = 20261122, collections.Counter(), []
    for kind, count in (("damage", 200), ("hostile", 100)):
        for number in range(count):
            try:
                outcomes[kind, fuzzer.attempt(seed, kind, number)] += 1
            except script.Finding as finding:
                findings.append(f"{kind} {number}: {finding}")
    with capsys.disabled():
        print(f"\nfuzz of checkpoints: seed {seed}, {sum(outcomes.values())} files")
    assert not findings, "\n".join(findings)
    for kind in ("damage", "hostile"):  # both ways out are taken
        assert outcomes[kind, "same bits"] > 10
        assert outcomes[kind, "refused: No checkpoint can be read"] > 10


def findings(script, fuzzer, kind, count):
    for number in range(count):
        try:
            fuzzer.attempt(0, kind, number)
        except script.Finding as finding:
            yield str(finding)


def test_another_exception_is_found(script, fuzzer, monkeypatch):
    """The fuzzer is not blind: neither to what escapes ..."""
    unpack = file_format.unpack

    def as_zipfile_does(content, most):
        try:
            return unpack(content, most)
        except DamagedError:
            raise NotImplementedError("zip file version 25.5") from None

    monkeypatch.setattr(file_format, "unpack", as_zipfile_does)
    assert any("NotImplementedError" in text for text in findings(script, fuzzer, "damage", 30))


def test_a_sound_file_that_is_not_used_is_found(script, fuzzer, monkeypatch):
    """... nor to a run that is lost ..."""
    monkeypatch.setattr(file_format, "previous", lambda path: path + ".other")
    assert any("was not used" in text for text in findings(script, fuzzer, "damage", 30))


def test_code_that_runs_is_found(script, fuzzer, monkeypatch):
    """... nor to what a file makes run."""
    unpack = file_format.unpack

    def trusting(content, most):
        np.random.test("fast")
        return unpack(content, most)

    monkeypatch.setattr(file_format, "unpack", trusting)
    assert any("ran ['numpy.random" in text for text in findings(script, fuzzer, "hostile", 30))
