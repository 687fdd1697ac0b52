"""Functions that tell classes, of outputs and of rows, and the tables of labels."""

from __future__ import annotations

from nnjit.interop.c.layers.writing import body
from nnjit.interop.c.program import Program
from nnjit.interop.c.targets import Target, label_table

__all__ = ["decisions"]


def decisions(program: Program, target: Target, steps: int, size: int) -> None:
    """Define the functions that tell classes, of outputs and of rows, and the tables of labels."""
    real, name, upper = program.real.name, program.name, program.name.upper()
    count = target.n_decisions
    for number, labels in enumerate(target.labels):
        several = len(target.labels) > 1
        label = f"labels_{number}" if several else "labels"
        program.table(label_table(f"{name}_{label}", labels))
        which = f"N_CLASSES_{number}" if several else "N_CLASSES"
        program.macro(which, len(labels), f"entries of {name}_{label}")
    behind = f"is a number in {name}_labels"
    if len(target.labels) > 1:
        behind = f"is a number in {name}_labels_0, {name}_labels_1 and so on"
    if target.flags:
        behind = f"is 1 for each of {name}_labels that the row has, else 0"
    if steps == count == 1:
        lines = ["int number;", *target.decide, "return number;"]
        says = f"The class that outputs mean; it {behind}."
        program.function(f"int {name}_decide(const {real} *p)", lines, says)
        lines = [f"{real} out[{size}];", f"{name}_predict(x, out);", f"return {name}_decide(out);"]
        program.function(f"int {name}_classify(const {real} *x)", lines, "The same of a row.")
        return
    program.macro("N_DECISIONS", steps * count, "numbers that classify writes")
    lines = [*target.decide]
    if steps > 1:
        lines = _decided_by_points(program, target, steps, size // steps)
        behind += "; -1 behind the end of a series"
    both = f"const {real} *p, int *numbers"
    says = f"What outputs mean: each of {upper}_N_DECISIONS numbers {behind}."
    program.function(f"void {name}_decide({both})", lines, says)
    lines = [f"{real} out[{size}];", f"{name}_predict(x, out);", f"{name}_decide(out, numbers);"]
    both = f"const {real} *x, int *numbers"
    program.function(f"void {name}_classify({both})", lines, "The same of a row.")


def _decided_by_points(program: Program, target: Target, steps: int, made: int) -> list[str]:
    """Return the lines that decide at each point, by a function that decides at one."""
    real = program.real.name
    one = program.source.function(
        "decide_point", f"const {real} *p", ["int number;", *target.decide, "return number;"],
        result="int", of="class of a point",
    )  # fmt: skip
    return body(f"""
        int32_t t;
        for (t = 0; t < {steps}; t++, p += {made}) numbers[t] = isnan(p[0]) ? -1 : {one}(p);
        """)
