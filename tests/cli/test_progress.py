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
    with fit_progress("nnjit", 10, stream) as messages:
        verbose_fit(3)
        print("Training loss did not improve. Stopping.")
    assert messages == ["Training loss did not improve. Stopping."]


def test_the_line_is_ended_when_the_fit_fails(capsys):
    stream = Terminal()
    with pytest.raises(ZeroDivisionError), fit_progress("nnjit", 10, stream):
        verbose_fit(3)
        raise ZeroDivisionError
    assert stream.getvalue().endswith("\n")
    print("back")
    assert capsys.readouterr().out == "back\n"
