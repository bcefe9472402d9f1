"""What a person sees in a terminal: progress on stderr, results on stdout."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from classpulse.room.analyze import Progress, Session


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar with rate and time left on stderr; gives the function to call with each `Progress`."""
    if quiet:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("analyzing"),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, rate="")

        def advance(now: Progress) -> None:
            speed = now.t / now.elapsed if now.elapsed > 0 else 0.0
            rate = f"{now.t:.0f} s seen, {speed:.1f} x real time"
            bar.update(task, total=now.duration, completed=now.t, rate=rate)

        yield advance


def describe_session(session: Session) -> str:
    """A few lines about a finished analysis."""
    info, counts = session.summary["session"], session.summary["counts"]
    overall = session.summary["overall"]
    lines = [
        f"{info['source']}: {info['duration']:.1f} s, {counts['frames']} frames analyzed, "
        f"{counts['subjects']} subjects, {counts['readings']} readings, "
        f"{counts['abstained']} abstained{_reasons(counts['reasons'])}",
        _engagement(overall, info, shown=session.summary["model"] is not None),
    ]
    if not info["complete"]:
        lines.append("Stopped early: the files hold everything up to that moment.")
    lines += [f"{path}" for path in session.files.values()]
    return "\n".join(lines)


def _reasons(reasons: dict[str, int]) -> str:
    return f" ({', '.join(f'{why}: {n}' for why, n in reasons.items())})" if reasons else ""


def _engagement(overall: dict[str, Any], info: dict[str, Any], *, shown: bool) -> str:
    gauge = overall["engagement"]
    if not shown:
        return f"Profile {info['profile']}: faces are counted, expressions are not read."
    if gauge is None and overall["n"] < info["k"]:
        return f"Class engagement: not shown, fewer than {info['k']} subjects could be read."
    if gauge is None:
        return "Class engagement: no clear reading."
    return (
        f"Class engagement {gauge['value']:.2f} (95 % interval {gauge['low']:.2f} to "
        f"{gauge['high']:.2f}, {overall['n']} subjects)"
    )


def describe_models(cards: list[dict[str, Any]]) -> str:
    """One line per model: name, parameters, first metric."""
    lines = []
    for card in cards:
        best = next(iter(card["metrics"]), None)
        claim = (
            f"{best['name']} {best['value']:.3f} [{best['low']:.3f}, {best['high']:.3f}] on "
            f"{best['data']} (n = {best['n']}, head {best['head']})"
            if best
            else "no metrics"
        )
        lines.append(f"{card['name']:<16} {card['parameters'] / 1e6:.1f} M parameters  {claim}")
    return "\n".join(lines)
