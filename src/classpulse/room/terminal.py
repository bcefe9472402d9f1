"""What a person sees in a terminal: progress on stderr, results on stdout."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from classpulse.room.analyze import Progress, Session
from classpulse.room.privacy import PROFILES
from classpulse.room.table import FACE
from classpulse.room.writing.reader import find_head


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
            speed = now.done / now.elapsed if now.elapsed > 0 else 0.0
            unit = "x real time" if now.unit == "s" else "a second"
            rate = f"{now.done:.0f} {now.unit} seen, {speed:.1f} {unit}"
            bar.update(task, total=now.total, completed=now.done, rate=rate)

        yield advance


def describe_session(session: Session) -> str:
    """A few lines about a finished analysis."""
    summary = session.summary
    info = summary["session"]
    lines = [*(_faces(summary) if FACE in info["channels"] else ())]
    if summary["writing"]:
        lines += _writing(summary["writing"], info)
    if not info["complete"]:
        lines.append("Stopped early: the files hold everything up to that moment.")
    lines += [f"{path}" for path in session.files.values()]
    return "\n".join([*lines, *_cautions(summary)])


def _cautions(summary: dict[str, Any]) -> list[str]:
    """What the results are not; where faces were read, under which profile, and what the law is."""
    words = ["Words are not feelings."] if summary["writing"] else []
    if summary["model"] is None:
        return words
    profile = PROFILES[summary["session"]["profile"]]
    law = (
        f'Expressions are not feelings. Profile "{profile.name}": {profile.states} In schools of '
        "the European Union it is prohibited to infer emotions from faces (AI Act, Art. 5(1)(f)): "
        "use --profile eu-school there."
    )
    return [*words, law]


def _faces(summary: dict[str, Any]) -> list[str]:
    info, counts = summary["session"], summary["counts"]
    return [
        f"{info['source']}: {info['duration']:.1f} s, {counts['frames']} frames analyzed, "
        f"{counts['subjects']} subjects, {counts['readings']} readings, "
        f"{counts['abstained']} abstained{_reasons(counts['reasons'])}",
        _engagement(summary["overall"], info, shown=summary["model"] is not None),
    ]


def _writing(writing: dict[str, Any], info: dict[str, Any]) -> list[str]:
    counts, overall = writing["counts"], writing["overall"]
    who = f"{counts['writers']} writers" if writing["named"] else "writers not named"
    lines = [
        f"{writing['source']}: {counts['texts']} texts, {who}, {counts['abstained']} abstained"
        f"{_reasons(counts['reasons'])}"
    ]
    if counts["left_out"]:
        lines.append(f"Left out:{_reasons(counts['left_out'])}")
    head = find_head([name for name in writing["spaces"] if overall[name]])
    if head is None and not writing["named"] and writing["stated_writers"] is None:
        return [
            *lines,
            f"Writing: not shown, fewer than {info['k']} people for certain, since texts without a "
            "name may all be one person's: state how many people wrote with --writers N.",
        ]
    if head is None:
        return [*lines, f"Writing: not shown, fewer than {info['k']} people could be read."]
    ranked = sorted(overall[head].items(), key=lambda item: -item[1]["value"])[:3]
    told = ", ".join(f"{name} {one['value']:.2f}" for name, one in ranked)
    of = "people" if writing["named"] else "writers, each text without a name taken for one"
    return [*lines, f"Writing was read as {told} (mean over {overall['counted'][head]['n']} {of})"]


def _reasons(reasons: dict[str, int]) -> str:
    return f" ({', '.join(f'{why}: {n}' for why, n in reasons.items())})" if reasons else ""


def _engagement(overall: dict[str, Any], info: dict[str, Any], *, shown: bool) -> str:
    gauge = overall["engagement"]
    if not shown:
        return f"Profile {info['profile']}: faces are counted, expressions are not read."
    if gauge is None and overall["people"] < info["k"]:
        return (
            f"Class engagement: not shown, fewer than {info['k']} people could be read in one "
            "picture."
        )
    if gauge is None:
        return "Class engagement: no clear reading."
    n, people = (overall["counted"]["engagement"][key] for key in ("n", "people"))
    again = f", at least {people} people" if people < n else ""
    return (
        f"Class engagement {gauge['value']:.2f} (95 % interval {gauge['low']:.2f} to "
        f"{gauge['high']:.2f}, {n} subjects{again})"
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
