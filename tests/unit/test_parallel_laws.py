"""Speedup, efficiency, and laws that find the numbers a table was made with."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classpulse.core.errors import InputError
from classpulse.lab.parallel.laws import LAWS, Scaling, fit_law, fit_laws

COUNTS = (1, 2, 3, 4, 8, 16)
SHARE = st.floats(0.001, 0.999)


def runs_of(speedups: dict[int, float], *, serial: float = 12.0) -> list[Scaling]:
    return [Scaling(n, serial / speedup, serial) for n, speedup in speedups.items()]


def test_a_run_beside_the_serial_one() -> None:
    run = Scaling(workers=4, seconds=0.5, serial=1.5)
    assert (run.rate, run.speedup, run.efficiency) == (2.0, 3.0, 0.75)


@pytest.mark.parametrize(
    ("workers", "seconds", "serial"),
    [(0, 1.0, 1.0), (1, 0.0, 1.0), (1, 1.0, -1.0), (1, math.nan, 1.0), (1, 1.0, math.inf)],
)
def test_refused_runs(workers: int, seconds: float, serial: float) -> None:
    with pytest.raises(InputError, match="one worker or more and positive seconds"):
        Scaling(workers, seconds, serial)


@given(serial=SHARE)
def test_amdahl(serial: float) -> None:
    fit = fit_law("amdahl", runs_of({n: 1 / (serial + (1 - serial) / n) for n in COUNTS}))
    assert fit.parameters["serial"] == pytest.approx(serial, rel=1e-6)
    assert fit.error == pytest.approx(0, abs=1e-9)
    assert fit.limit == pytest.approx(1 / serial, rel=1e-6)
    assert fit.points == 5  # one worker tells it nothing


@given(serial=SHARE)
def test_gustafson(serial: float) -> None:
    fit = fit_law("gustafson", runs_of({n: n - serial * (n - 1) for n in COUNTS}))
    assert fit.parameters["serial"] == pytest.approx(serial, rel=1e-6)
    assert fit.predict(100) == pytest.approx(100 - 99 * serial)
    assert fit.limit == math.inf


@given(contention=SHARE, coherence=st.floats(1e-4, 0.1))
def test_universal_scalability(contention: float, coherence: float) -> None:
    def speedup(n: int) -> float:
        return n / (1 + contention * (n - 1) + coherence * n * (n - 1))

    fit = fit_law("usl", runs_of({n: speedup(n) for n in COUNTS}))
    assert fit.parameters["contention"] == pytest.approx(contention, rel=1e-5, abs=1e-8)
    assert fit.parameters["coherence"] == pytest.approx(coherence, rel=1e-5)
    assert fit.limit == pytest.approx(max(speedup(n) for n in range(1, 200)), rel=1e-5)


@given(serial=st.floats(0.01, 2), parallel=st.floats(0.01, 2))
def test_the_form_of_the_paper_has_an_overhead_that_amdahl_lacks(
    serial: float, parallel: float
) -> None:
    runs = runs_of({n: 1 / (serial + parallel / n) for n in COUNTS})
    fit = fit_law("paper", runs)
    assert fit.parameters["serial"] == pytest.approx(serial, rel=1e-6)
    assert fit.parameters["parallel"] == pytest.approx(parallel, rel=1e-6)
    off = fit_law("amdahl", runs).error
    assert off is not None
    assert (off < 1e-6) == (abs(serial + parallel - 1) < 1e-6)


def test_noise_is_in_the_error_and_the_standard_error() -> None:
    rng = np.random.default_rng(0)
    clean = {n: 1 / (0.2 + 0.8 / n) for n in range(2, 30)}
    runs = runs_of({n: s * float(np.exp(rng.normal(scale=0.05))) for n, s in clean.items()})
    fit = fit_law("amdahl", runs)
    assert fit.error == pytest.approx(0.05, rel=0.3)
    deviation = fit.errors["serial"]
    assert deviation is not None
    assert abs(fit.parameters["serial"] - 0.2) < 3 * deviation < 0.03


def test_a_superlinear_run_ends_at_the_bound_and_shows_in_the_error() -> None:
    fit = fit_law("amdahl", runs_of({2: 2.5, 4: 5.0}))
    assert fit.parameters == {"serial": 0.0} and fit.errors == {"serial": None}
    assert fit.limit == math.inf
    assert fit.error == pytest.approx(0.25)


def test_as_many_points_as_parameters_have_no_error() -> None:
    runs = runs_of({1: 0.9, 2: 1.7})
    assert fit_law("amdahl", runs).error is None
    assert [fit.law for fit in fit_laws(runs)] == ["amdahl", "paper", "gustafson"]


def test_the_law_that_fits_best_comes_first() -> None:
    runs = runs_of({n: n / (1 + 0.05 * (n - 1) + 0.02 * n * (n - 1)) for n in COUNTS})
    assert fit_laws(runs)[0].law == "usl"
    assert {fit.law for fit in fit_laws(runs)} == set(LAWS)


def test_too_few_runs_and_unknown_laws() -> None:
    with pytest.raises(InputError, match="'usl' needs runs with 2 different numbers of workers ab"):
        fit_law("usl", runs_of({1: 1.0, 2: 1.5}))
    with pytest.raises(InputError, match="'paper' needs runs with 2 different numbers of workers,"):
        fit_law("paper", runs_of({2: 1.5}))
    for call in (fit_law, lambda law, runs: fit_laws(runs, [law])):
        with pytest.raises(InputError, match="unknown law 'moore'; known: amdahl, paper, gustaf"):
            call("moore", runs_of({1: 1.0}))


# --- a user's timings ----------------------------------------------------------------------------


def test_the_command_fits_a_file(command: Any, tmp_path: Path) -> None:
    path = tmp_path / "timings.csv"
    path.write_text("workers,seconds\n1,8\n2,5\n4,3.5\n8,2.75\n1,8\n")
    shown = command("laws", path)
    assert shown.code == 0
    assert "      4        3.5     2.29        0.57" in shown.out
    assert "amdahl: serial 0.25; error 0.0%; at most 4 times" in shown.out
    told = json.loads(command("laws", path, "--json").out)
    assert [run["speedup"] for run in told["runs"]] == [1, 1.6, 8 / 3.5, 8 / 2.75, 1]
    assert {law["law"]: law["limit"] for law in told["laws"]}["gustafson"] is None


def test_a_column_of_serial_times_and_too_few_runs(command: Any, tmp_path: Path) -> None:
    path = tmp_path / "timings.csv"
    path.write_text("workers,seconds,serial\n1,5,4\n")
    shown = command("laws", path)
    assert "0.80" in shown.out and "no laws: they need runs of two workers or more" in shown.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "need a row of names, with workers and seconds"),
        ("n,seconds\n1,2\n", "need a row of names"),
        ("workers,seconds\n1,fast\n", "line 2: could not convert string to float: 'fast'"),
        ("workers,seconds\n1,2\n2.5,1\n", "line 3: invalid literal for int()"),
        ("workers,seconds\n1,2\n2\n", "line 3: could not convert"),
        ("workers,seconds\n2,1\n", "give a run of one worker, or the column serial"),
        ("workers,seconds\n1,-1\n", "one worker or more and positive seconds"),
    ],
)
def test_refused_timings(command: Any, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "timings.csv"
    path.write_text(text)
    shown = command("laws", path)
    assert shown.code == 3 and message in shown.err and not shown.out


def test_a_missing_file(command: Any, tmp_path: Path) -> None:
    shown = command("laws", tmp_path / "none.csv")
    assert shown.code == 3 and "cannot read timings from" in shown.err
