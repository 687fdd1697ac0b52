"""The progress line made from a verbose fit's output."""

import io

import pytest

from nnjit.cli.progress import fit_progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def verbose_fit(epochs):
    for epoch in range(1, epochs + 1):
        print(f"Iteration {epoch}, loss = {1 / epoch:.8f}")
        print("Validation score: 0.5")


def test_a_terminal_gets_one_line_drawn_over_itself():
    stream = Terminal()
    with fit_progress("nnjit", 40, stream):
        verbose_fit(40)
    output = stream.getvalue()
    assert output.count("\n") == 1
    last = output.rstrip("\n").split("\r")[-1]
    assert last == f"nnjit         [{'#' * 24}] epoch   40/40  loss 0.02500000"


def test_a_file_gets_a_line_every_tenth_of_the_way_and_the_last():
    stream = io.StringIO()
    with fit_progress("nnjit", 100, stream):
        verbose_fit(57)
    epochs = [int(line.split("epoch")[1].split("/")[0]) for line in stream.getvalue().splitlines()]
    assert epochs == [1, 10, 20, 30, 40, 50, 57]


def test_other_lines_are_kept():
    stream = io.StringIO()
    with fit_progress("nnjit", 10, stream) as progress:
        verbose_fit(3)
        print("Training loss did not improve. Stopping.")
    assert progress.messages == ["Training loss did not improve. Stopping."]


def test_the_line_is_ended_when_the_fit_fails(capsys):
    stream = Terminal()
    with pytest.raises(ZeroDivisionError), fit_progress("nnjit", 10, stream):
        verbose_fit(3)
        raise ZeroDivisionError
    assert stream.getvalue().endswith("\n")
    print("back")
    assert capsys.readouterr().out == "back\n"


def test_the_first_epoch_is_not_counted(monkeypatch):
    clock = "nnjit.cli.progress.time.perf_counter"
    monkeypatch.setattr(clock, lambda: 10.0)
    with fit_progress("nnjit", 2, io.StringIO()) as progress:
        print("Iteration 1, loss = 0.5")
        assert progress.seconds_after_first_epoch == 0
        monkeypatch.setattr(clock, lambda: 15.0)
        print("Iteration 2, loss = 0.4")
    assert progress.seconds_after_first_epoch == 5
