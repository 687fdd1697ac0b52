"""The files themselves: what a label or a name cannot do, and that compilers find nothing wrong."""

import re
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from compiled_models import WARNINGS, compiled, compiler, run
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from test_c_layers import IMAGES, SERIES, VECTORS, images, series, stack, vectors

import nnjit
from nnjit.interop import export_c

pytestmark = pytest.mark.filterwarnings("ignore")
HOSTILE = [
    'a"; system("true"); "', "back\\", "new\nline\r\t", "??/ ??= ??'", "*/ int x; /*", "é ß 漢 🐝",
    "%s%n", "0\\x41", "\x7f\x01", "#define x", " ", "'", "\\u0041\\", "a" * 300,
]  # fmt: skip


def rows(n=45):
    return np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)


def classifier(labels, **options):
    X = rows(3 * len(labels))
    return nnjit.MLPClassifier((3,), max_iter=1, random_state=0, **options).fit(X, labels * 3)


def test_nothing_in_a_label_becomes_code(tmp_path):
    (found,) = compiled(tmp_path, {"hostile": classifier(HOSTILE)}, ["-O0", "-trigraphs"]).values()
    assert found.strings(len(HOSTILE)) == sorted(HOSTILE)
    assert found.text.isascii()
    assert not re.search(r"\?\?|system\(\"|\t", found.text)


def test_a_class_with_a_hostile_name_stays_a_comment():
    name = '*/ int evil; /* \n #include "x" \\'
    evil = type(name, (nnjit.MLPClassifier,), {"__module__": __name__})
    text = export_c(evil((3,), max_iter=1).fit(rows(), np.arange(45) % 2))
    assert "*/ int evil" not in text and '\n #include "x"' not in text
    assert text.count("/*") == text.count("*/")


@pytest.mark.parametrize("label", ["a\0b", "a" * 5000, "\ud800"])
def test_a_label_that_c_has_no_string_for_is_refused(label):
    with pytest.raises(ValueError, match="The label"):
        export_c(classifier([label, "b"]))


@pytest.mark.parametrize(
    "name", ["", "1a", "a b", "a-b", "é", "a;int x", "_a", "a_", "a__b", "a\n", 3]
)
def test_a_name_that_is_no_identifier_is_refused(name):
    with pytest.raises(ValueError, match="name must be a C identifier"):
        export_c(classifier(["a", "b"]), name=name)


def test_what_cannot_be_written_is_refused_by_its_name(tmp_path):
    X, y = rows(), np.arange(45) % 3
    network = nnjit.MLPClassifier((3,), max_iter=1)
    with pytest.raises(NotFittedError):
        export_c(network)
    with pytest.raises(TypeError, match="LogisticRegression is none of nnjit's networks"):
        export_c(LogisticRegression().fit(X, y))
    with pytest.raises(TypeError, match="PolynomialFeatures in front of a network has no C"):
        export_c(make_pipeline(PolynomialFeatures(), network).fit(X, y))
    network.fit(X, y)
    network.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match=r"coefs_\[0\] contains NaN"):
        export_c(network, tmp_path / "model.c")
    assert not (tmp_path / "model.c").exists()


def test_what_holds_an_estimator_is_left_out():
    X, y = rows(), np.arange(45) % 3
    network = nnjit.MLPClassifier((3,), max_iter=1, random_state=0)
    search = GridSearchCV(network, {"alpha": [0.1]}, cv=2).fit(X, y)
    expected = export_c(network.set_params(alpha=0.1).fit(X, y))
    for held in (search, FrozenEstimator(search), make_pipeline("passthrough", search)):
        assert export_c(held) == expected
    with pytest.raises(ValueError, match="GridSearchCV with refit=False"):
        export_c(GridSearchCV(network, {"alpha": [0.1]}, cv=2, refit=False).fit(X, y))


def test_weights_are_read_back_to_the_bit():
    for dtype, suffix in ((np.float32, "f"), (np.float64, "")):
        model = nnjit.MLPRegressor(hidden_layer_sizes=(4,), max_iter=1)
        model.fit(rows().astype(dtype), rows()[:, 0].astype(dtype))
        numbers = np.frombuffer(np.random.default_rng(0).bytes(12 * dtype().nbytes), dtype)
        model.coefs_[0][:] = np.nan_to_num(numbers, nan=1e-40, posinf=1, neginf=2).reshape(3, 4)
        text = export_c(model, name="m")
        table = text.split("m_weights_0[12] = {")[1].split("}")[0]
        read = [dtype(one.strip().removesuffix(suffix)) for one in table.split(",")[:-1]]
        assert np.array(read).tobytes() == model.coefs_[0].tobytes()


def test_the_file_is_written_and_is_its_own_header_in_a_program_of_two_models(tmp_path):
    X, y = rows(), np.arange(45) % 3
    first = nnjit.MLPClassifier((4,), max_iter=3, random_state=0).fit(X, y)
    second = make_pipeline(StandardScaler(), nnjit.MLPRegressor(max_iter=2, random_state=0))
    second.fit(X.astype(np.float64), X[:, 0])
    for name, model in (("first", first), ("second", second)):
        text = export_c(model, tmp_path / f"{name}.c", name=name)
        assert (tmp_path / f"{name}.c").read_text() == text
    (tmp_path / "main.c").write_text(
        """
        #define FIRST_HEADER
        #include "first.c"
        #define SECOND_HEADER
        #include "second.c"
        #include <stdio.h>
        int main(void)
        {
            const float x[FIRST_N_FEATURES] = {0.5f, -1.0f, 2.0f};
            const double z[SECOND_N_FEATURES] = {0.5, -1.0, 2.0};
            float work[FIRST_WORKSPACE], p[FIRST_N_OUTPUTS];
            double value;
            first_predict_in(x, p, work);
            second_predict(z, &value);
            printf("%ld %d %.9g %.17g\\n", (long)first_labels[first_classify(x)],
                   first_decide(p), (double)p[1], value);
            return 0;
        }
        """
    )
    cc = compiler()
    flags = ["-std=c99", *WARNINGS, "-O2"]
    for name in ("first", "second", "main"):
        run(cc, *flags, "-c", tmp_path / f"{name}.c", "-o", tmp_path / f"{name}.o")
    objects = [tmp_path / f"{name}.o" for name in ("first", "second", "main")]
    run(cc, *objects, "-o", tmp_path / "main", "-lm")
    label, number, p, value = run(tmp_path / "main").split()
    x = np.array([[0.5, -1.0, 2.0]])
    assert int(label) == int(number) == first.predict(x)[0]
    np.testing.assert_allclose(float(p), first.predict_proba(x.astype(np.float32))[0, 1], rtol=1e-5)
    np.testing.assert_allclose(float(value), second.predict(x)[0], rtol=1e-12)


def test_the_program_in_the_guide_runs_and_prints_what_stands_there(tmp_path, monkeypatch):
    guide = (Path(__file__).parents[2] / "docs/guide/interchange_c.md").read_text("utf-8")
    python, main, console = (
        re.search(rf"```{kind}\n(.*?)```", guide, re.DOTALL)[1]
        for kind in ("python", "c", "console")
    )
    monkeypatch.setattr("tempfile.TemporaryDirectory", lambda: nullcontext(tmp_path))
    exec(python, {})
    (tmp_path / "main.c").write_text(main)
    compiler()
    command, *printed = console.removeprefix("$ ").splitlines()
    done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == printed


def zoo():
    """A model of everything, and rows for each."""
    X = vectors(np.float32)
    found = {}
    for nets, given in ((VECTORS, X), (SERIES, series(np.float32)), (IMAGES, images(np.float32))):
        found.update({name: (stack(one, given), given) for name, one in nets.items()})
    bits = np.random.default_rng(0).integers(0, 2, (len(X), 3))
    coder = nnjit.AutoEncoder(2, hidden_layer_sizes=(3,), n_members=2, max_iter=2)
    options = {"hidden_layer_sizes": (9, 8), "n_members": 2, "max_iter": 2, "random_state": 0}
    table = nnjit.TabularClassifier("fast", **options)
    found["coder"] = coder.fit(X), X
    found["table"] = table.fit(X.astype(np.float64), np.arange(len(X)) % 3), X.astype(np.float64)
    found["map"] = nnjit.SelfOrganizingMap((3, 3), max_iter=2).fit(X), X
    found["bits"] = nnjit.MLPClassifier((3,), max_iter=1).fit(X, bits), X
    return found


def test_sanitizers_find_nothing_and_cplusplus_compiles_it_as_well(tmp_path):
    cc, models = compiler(), zoo()
    texts = {name: export_c(model, name=name) for name, (model, _) in models.items()}
    lines = ["#include <stdio.h>"]
    lines.append("static volatile double sink;")
    lines.append("int main(void)\n{")
    for name, (_, X) in models.items():
        real = "double" if f"{name}_predict(const double" in texts[name] else "float"
        values = ", ".join("NAN" if v != v else repr(float(v)) for v in X[-1].ravel())
        lines.append(f"    {{ static const {real} x[] = {{{values}}};")
        lines.append(f"    {real} out[{name.upper()}_N_OUTPUTS];")
        lines.append(f"    {name}_predict(x, out); sink = (double)out[0]; }}")
    lines.append("    return 0;\n}")
    file = tmp_path / "zoo.c"
    file.write_text("\n".join([*texts.values(), *lines]), encoding="ascii")
    run(cc, "-std=c99", "-w", "-g", "-O0", "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all", file, "-o", tmp_path / "zoo", "-lm")  # fmt: skip
    run(tmp_path / "zoo")
    plus = shutil.which("g++") or shutil.which("c++")
    if plus is not None:
        file.write_text("\n".join(texts.values()), encoding="ascii")
        run(plus, "-x", "c++", *WARNINGS, "-O0", "-fsyntax-only", file)
