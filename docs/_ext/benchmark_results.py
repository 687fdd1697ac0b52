"""Tables and charts for the page of benchmarks, from what is stored in asv_bench/results/.

In `peers/` lie the reports of `asv_bench/peers.py --json`, one for a machine; a folder with a
`machine.json` has asv's results of that machine, a file a commit. They are read and drawn at every
build, into docs/_made/, which is not kept in git.
"""

import datetime
import json
import math
from pathlib import Path

PEERS = ("scikit-learn", "PyTorch", "JAX")
COLORS = {"scikit-learn": "#e36209", "PyTorch": "#b3323a", "JAX": "#6f42c1"}


def reports(folder):
    """The stored reports of peers.py that have fits on a CPU, the newest first."""
    found = [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("*.json"))]
    found = [report for report in found if any("seconds" in row for row in report.get("cases", []))]
    return sorted(found, key=lambda report: report["machine"].get("date", ""), reverse=True)


def told(machine):
    """A report's machine, versions and date in a sentence."""
    versions = ", ".join(f"{name} {v}" for name, v in machine["versions"].items() if v)
    peaks = machine.get("fma_peak_gflops") or {}
    rates = ", ".join(f"{peak:.0f} GFLOP/s in {dtype}" for dtype, peak in peaks.items())
    return (
        f"Measured on {machine.get('date', 'an unknown day')}: {machine.get('note') or 'no note'}; "
        f"{machine['cpus']} CPUs{', multiply-adds up to ' + rates if rates else ''}; "
        f"Python {machine['python']}, {versions}."
    )


def ratio(row, peer):
    """How many times as long a peer's fit takes; None if it was not measured."""
    theirs, ours = row["seconds"].get(peer), row["seconds"].get("nnjit")
    return theirs / ours if theirs and ours else None


def peers_table(rows):
    """Medians of nnjit and ratios of the others, as Markdown."""
    lines = [
        "| rows x features, hidden, batch | dtype | nnjit | scikit-learn | PyTorch | JAX |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        ratios = [ratio(row, peer) for peer in PEERS]
        cells = ["-" if value is None else f"{value:.2g}" for value in ratios]
        ours = row["seconds"].get("nnjit")
        median = "-" if ours is None else shown(ours, "seconds")
        lines.append(f"| {row['case']} | {row['dtype']} | {median} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def draw_peers(rows, title, path):
    """A bar a case and library: times as long as nnjit, on a logarithmic axis."""
    figure, ax = new_figure(1.2 + 0.62 * len(rows))
    high = max(ratio(row, peer) or 1 for row in rows for peer in PEERS)
    for place, row in enumerate(rows):
        for number, peer in enumerate(PEERS):
            value = ratio(row, peer)
            if value is None:
                continue
            y = place + 0.26 * (number - 1)
            ax.barh(
                y, value - 1, 0.24, left=1, color=COLORS[peer], label=peer if not place else None
            )
            ax.text(max(value, 1) * 1.04, y, f"{value:.2g}", va="center", fontsize=8)
    ax.axvline(1, color="black", lw=1)
    ax.set(xscale="log", xlim=(min(0.8, lowest(rows)), high * 1.5), title=title)
    ax.set_xlabel("times as long as nnjit")
    ax.set_yticks(range(len(rows)), [row["case"] for row in rows])
    ax.invert_yaxis()
    ax.legend(loc="lower right", fontsize=8)
    save(figure, path)


def lowest(rows):
    found = [ratio(row, peer) for row in rows for peer in PEERS]
    return 0.8 * min(value for value in found if value is not None)


def new_figure(height):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained")
    return figure, figure.subplots()


def save(figure, path):
    figure.savefig(path, format="svg", metadata={"Date": None})


def peers_part(folder, made):
    """Text of all reports, with their pictures."""
    parts = []
    for number, report in enumerate(reports(folder)):
        parts.append(told(report["machine"]))
        for dtype in ("float32", "float64"):
            rows = [row for row in report["cases"] if row["dtype"] == dtype]
            if not rows or all(ratio(row, peer) is None for row in rows for peer in PEERS):
                continue
            name = f"peers_{number}_{dtype}.svg"
            draw_peers(rows, f"Whole fits in {dtype}", made / name)
            alt = f"Bars: how many times as long each library takes, {dtype}"
            parts.append(f"```{{image}} /_made/{name}\n:alt: {alt}\n```")
        parts.append(peers_table(report["cases"]))
    return "\n\n".join(parts) if parts else "No report is stored."


# asv's results: {"result_columns": [...], "results": {benchmark: [values, parameters, ...]}}


def histories(folder):
    """Of each machine in asv's folder, its results as (date, commit, {benchmark: values})."""
    found = {}
    for machine in sorted(folder.glob("*/machine.json")):
        runs = []
        for path in sorted(machine.parent.glob("*.json")):
            run = json.loads(path.read_text("utf-8"))
            if "results" in run:
                values = {name: result[0] for name, result in run["results"].items() if result[0]}
                runs.append((run["date"] / 1e3, run["commit_hash"][:8], values))
        if runs:
            found[machine.parent.name] = sorted(runs)
    return found


def mean_of(values):
    """Geometric mean of what a benchmark measured over its parameters."""
    numbers = [value for value in values if value and value > 0]
    return math.exp(sum(map(math.log, numbers)) / len(numbers)) if numbers else None


def shown(value, unit):
    """A number with its unit, in steps of a thousand."""
    if unit == "bytes":
        return f"{value / 2**20:.3g} MiB"
    if unit == "seconds":
        for factor, name in ((1, "s"), (1e3, "ms"), (1e6, "us")):
            if value * factor >= 1:
                return f"{value * factor:.3g} {name}"
    return f"{value:.3g} {'' if unit in ('', 'unit') else unit}".strip()


def history_table(runs, units):
    """Means of the newest commit, also as shares of those of the first."""
    date, commit, newest = runs[-1]
    day = datetime.datetime.fromtimestamp(date, datetime.UTC).date()
    older = runs[0][2] if len(runs) > 1 else {}
    lines = [f"| benchmark | {commit}, {day} | of the first |", "|---|--:|--:|"]
    for name in sorted(newest):
        value, first = mean_of(newest[name]), mean_of(older.get(name, []))
        if value is not None:
            share = f"{value / first:.2f}" if first else "-"
            lines.append(f"| `{name}` | {shown(value, units.get(name, ''))} | {share} |")
    return "\n".join(lines)


def draw_history(runs, path):
    """A line a benchmark of time: its mean at each commit by that at the first."""
    figure, ax = new_figure(4)
    first = runs[0][2]
    for name in sorted(name for name in runs[-1][2] if ".time_" in name and name in first):
        places = [place for place, run in enumerate(runs) if name in run[2]]
        ax.plot(
            places, [mean_of(runs[p][2][name]) / mean_of(first[name]) for p in places], label=name
        )
    ax.set_xticks(range(len(runs)), [commit for _, commit, _ in runs], rotation=45)
    ax.set(ylabel="time, of the first commit's", yscale="log")
    ax.legend(fontsize=7)
    save(figure, path)


def history_part(folder, made):
    """Text of asv's results of all machines."""
    listed = folder / "benchmarks.json"
    known = json.loads(listed.read_text("utf-8")) if listed.exists() else {}
    units = {name: entry["unit"] for name, entry in known.items() if isinstance(entry, dict)}
    parts = []
    for machine, runs in histories(folder).items():
        about = json.loads((folder / machine / "machine.json").read_text("utf-8"))
        parts.append(
            f"Machine '{machine}': {about['cpu']}, {about['num_cpu']} cores, {about['os']}."
        )
        if len(runs) > 1:
            draw_history(runs, made / f"history_{machine}.svg")
            alt = f"Times by commit on {machine}"
            parts.append(f"```{{image}} /_made/history_{machine}.svg\n:alt: {alt}\n```")
        else:
            parts.append("Results of one commit are stored, so that there is no line to draw yet.")
        parts.append(history_table(runs, units))
    return "\n\n".join(parts) if parts else "No results of asv are stored."


def make(app, config):
    """Write what the page of benchmarks includes."""
    results = Path(app.srcdir).parent / "asv_bench" / "results"
    made = Path(app.srcdir) / "_made"
    made.mkdir(exist_ok=True)
    (made / "peers.txt").write_text(peers_part(results / "peers", made) + "\n", "utf-8")
    (made / "history.txt").write_text(history_part(results, made) + "\n", "utf-8")


def setup(app):
    app.connect("config-inited", make)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
