"""The results of the `classpulse data` commands as text for a terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Cell = str | int | float | None

TITLES: Mapping[str, str] = {
    "layouts": "Layouts of labelled faces",
    "clip_layouts": "Layouts of labelled video clips",
    "corpora": "Text corpora",
    "other": "Other files that data describe reads",
    "vote_rules": "Rules for FER+ votes (data relabel --rule)",
    "relabels": "Rules from one label space to another (data export --labels)",
    "protocols": "Split protocols (data split --protocol)",
    "spaces": "Label spaces, in column order",
}


def align(rows: Iterable[Sequence[Cell]], *, indent: str = "  ") -> list[str]:
    """Lines of a table: numbers to the right, with a comma between thousands; None is a dash."""
    table = [[_cell(value) for value in row] for row in rows]
    numeric = [[isinstance(value, int | float) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    right = [any(column) for column in zip(*numeric, strict=True)]
    return [
        indent
        + "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in table
    ]


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int | float) else value


def counts_by_part(
    classes: Mapping[str, int], parts: Mapping[str, Mapping[str, int]]
) -> list[list[Cell]]:
    """A table of classes by parts with a sum below; the first column is all rows."""
    columns = [classes, *parts.values()]
    rows: list[list[Cell]] = [["", "all", *parts]]
    rows += [[label, *(column[label] for column in columns)] for label in classes]
    return [*rows, ["sum", *(sum(column.values()) for column in columns)]]


def describe_catalog(catalog: Mapping[str, Mapping[str, str]]) -> str:
    """Text of `list_catalog`."""
    blocks = []
    for key, things in catalog.items():
        blocks.append("\n".join([TITLES[key], *align(things.items())]))
    return "\n\n".join(blocks)


def describe_summary(summary: Mapping[str, Any]) -> str:
    """Text of `summarize_path`."""
    lines = [f"{summary['path']}: {summary['kind']}, read as {summary['reader']}"]
    if "summary" in summary:
        lines.append(summary["summary"])
    lines.append(f"SHA-256  {summary['sha256'] or 'none'}")
    return "\n".join([*lines, "", *_BODIES[summary["kind"]](summary)])


def _faces(summary: Mapping[str, Any]) -> list[str]:
    size, repeats = summary["picture"], summary["repeats"]
    channels = "grey" if size["channels"] == 1 else "RGB"
    facts: list[list[Cell]] = [
        ["rows", summary["rows"], ""],
        ["pictures", "", f"{size['width']} x {size['height']} pixels, {channels}"],
        ["blank pictures", summary["blank"], "of one flat shade"],
        ["without a label", summary["unlabelled"], ""],
        ["repeated pictures", repeats["rows"],
         f"rows, {repeats['pictures']:,} different pictures, {repeats['several_labels']:,} of them "
         "with several labels (byte-identical, without blank ones)"],
        ["subjects", summary["subjects"], ""],
    ]  # fmt: skip
    parts = {part: of["classes"] for part, of in summary["parts"].items()}
    lines = [*align(facts), "", f"labels in {summary['space']}"]
    lines += align(counts_by_part(summary["classes"], parts))
    if any(of["blank"] for of in summary["parts"].values()):
        blank = [f"{part} {of['blank']:,}" for part, of in summary["parts"].items()]
        lines.append(f"  blank: {', '.join(blank)}")
    for column, values in summary["groups"].items():
        named = [[value or "(unknown)", count] for value, count in values.items()]
        lines += ["", f"annotation {column}", *align(named)]
    return lines + ([] if summary["votes"] is None else ["", *_vote_table(summary["votes"])])


def _votes(summary: Mapping[str, Any]) -> list[str]:
    parts = [[part, of["rows"]] for part, of in summary["parts"].items()]
    return [*align([["rows", summary["rows"]], *parts]), "", *_vote_table(summary)]


def _vote_table(votes: Mapping[str, Any]) -> list[str]:
    per_row = [f"{total}: {n:,}" for total, n in votes["votes_per_row"].items()]
    return [
        f"votes in a row -> rows: {', '.join(per_row)}",
        "",
        *describe_cleaning(votes["cleaning"]),
        "",
        f"majority of the votes ({votes['no_majority']:,} rows have none)",
        *align([*votes["majority"].items()]),
        "",
        "learning states",
        *align([*votes["learning_state"].items()]),
    ]


def describe_cleaning(cleaning: Mapping[str, Any]) -> list[str]:
    """The cleaning table of FER+: rows by votes for 'not a face', then for 'unknown'."""
    nf = ", ".join(f"{votes}: {rows:,}" for votes, rows in cleaning["NF"].items())
    unknown = ", ".join(f"{votes}: {rows:,}" for votes, rows in cleaning["unknown"].items())
    return [
        "cleaning (votes -> rows)",
        f"  not a face   {nf or 'none'}",
        f"               {cleaning['with_nf']:,} rows have one; {cleaning['left_without_nf']:,} "
        "are left",
        f"  unknown      {unknown or 'none'}",
        f"               {cleaning['unknown_5_or_more']:,} rows have 5 or more; "
        f"{cleaning['left']:,} are left",
    ]


def _texts(summary: Mapping[str, Any]) -> list[str]:
    repeats, odd, length = summary["repeats"], summary["odd"], summary["length"]
    several = {n: rows for n, rows in summary["labels_per_text"].items() if n != "1"}
    facts: list[list[Cell]] = [
        ["rows", summary["rows"], "none without a text or a label: the reader refuses them"],
        ["repeated texts", repeats["rows"],
         f"rows, {repeats['texts']:,} different texts, {repeats['several_labels']:,} of them with "
         "several labels (case and punctuation ignored)"],
        ["without a word", odd["without_words"], ""],
        ["wholly in brackets", odd["in_brackets"], "such as [No response.]"],
        ["odd characters", odd["odd_characters"], "control or replacement characters"],
    ]  # fmt: skip
    facts += [[f"texts with {n} labels", rows, ""] for n, rows in several.items()]
    parts = {part: of["classes"] for part, of in summary["parts"].items()}
    spread = [["", *length["words"]], *([unit, *of.values()] for unit, of in length.items())]
    lines = [*align(facts), "", "length", *align(spread), "", f"labels in {summary['space']}"]
    return lines + align(counts_by_part(summary["classes"], parts))


def _clip(summary: Mapping[str, Any]) -> list[str]:
    rate = summary["frames_per_second"]
    return align(
        [
            ["frames", summary["frames"], "" if rate is None else f"{rate:g} a second"],
            ["seconds", summary["seconds"], ""],
            ["picture", "", f"{summary['width']} x {summary['height']} pixels"],
            ["bytes", summary["bytes"], ""],
        ]
    )


def _clips(summary: Mapping[str, Any]) -> list[str]:
    facts = [
        ["clips", summary["rows"]],
        *([f"  {part}", of["rows"]] for part, of in summary["parts"].items()),
        ["labelled, not on disk", summary["missing"]],
        ["subjects", summary["subjects"]],
    ]
    targets = [["", "mean", "least", "greatest"]]
    targets += [[name, *of.values()] for name, of in summary["targets"].items()]
    return [*align(facts), "", "targets", *align(targets)]


_BODIES = {"faces": _faces, "votes": _votes, "texts": _texts, "clip": _clip, "clips": _clips}


def describe_relabel(result: Mapping[str, Any]) -> str:
    """Text of `relabel_votes`."""
    lines = [
        f"{result['rule']} -> {result['space']}",
        result["origin"],
        "",
        *align(counts_by_part(result["counts"], result["parts"])),
        "",
        f"{result['kept']:,} of {result['rows']:,} rows have a label, {result['dropped']:,} none",
        "",
        *describe_cleaning(result["cleaning"]),
    ]
    if "pictures" in result:
        found = result["pictures"]
        lines += [
            "",
            f"with a picture: {found['labelled']:,} labelled rows of {found['rows']:,} pictures, "
            f"{found['blank']:,} of them blank",
            *align(counts_by_part(found["counts"], found["parts"])),
        ]
    return "\n".join(lines)


def describe_split(result: Mapping[str, Any]) -> str:
    """Text of `split_data`."""
    parts = result["parts"]
    rows: list[list[Cell]] = [["", *parts]]
    rows += [[label, *(of["classes"][label] for of in parts.values())] for label in
             result["labels"]]  # fmt: skip
    rows.append(["rows", *(of["n"] for of in parts.values())])
    if any(of["unlabelled"] for of in parts.values()):
        rows.insert(-1, ["no label", *(of["unlabelled"] for of in parts.values())])
    lines = [
        f"{result['name']} by '{result['protocol']}', seed {result['seed']}, labels in "
        f"{result['space']}",
        *align(rows),
        "no row is in two parts",
    ]
    if result["shared_subjects"] is not None:
        shared = result["shared_subjects"]
        lines.append(f"{shared or 'no'} subject{'s are' if shared > 1 else ' is'} in two parts")
    return "\n".join([*lines, *(f"note: {note}" for note in result["notes"])])


def describe_repeats(report: Mapping[str, Any]) -> str:
    """Text of `report_repeats`."""
    train, held_out = report["train"], report["held_out"]
    header = ["", "pairs", "other label", "training", "held out", "with other label"]
    keys = ("pairs", "other_label", "train_pictures", "held_out_pictures", "held_out_other_label")
    kinds = {**report["kinds"], "all": report["all"]}
    rows = [header, *([kind, *(of[key] for key in keys)] for kind, of in kinds.items())]
    lines = [
        f"{train['name']} ({train['rows']:,}) against {held_out['name']} ({held_out['rows']:,})",
        *align(rows),
        "training, held out: pictures there that are in a pair",
    ]
    whole = report["all"]
    if whole["blank"]:
        other = whole["blank_other_label"]
        more = "" if other is None else f", {other:,} of them with another label"
        lines.append(f"{whole['blank']:,} identical pairs are of blank pictures{more}")
    if report["examples"]:
        shown = [["kind", "training row", "held-out row", "labels"]]
        shown += [
            [e["kind"], str(e["train_row"]), str(e["held_out_row"]), _labels(e)]
            for e in report["examples"]
        ]
        lines += ["", "examples (rows of the source, from 0)", *align(shown)]
    if "clean" in report:
        kept = ", ".join(f"{name} {n:,}" for name, n in report["clean"].items())
        lines += ["", f"clean manifest: {kept}"]
    return "\n".join(lines)


def _labels(example: Mapping[str, Any]) -> str:
    a, b = example["train_label"], example["held_out_label"]
    return str(a) if a == b else f"{a} / {b}"


def describe_export(facts: Mapping[str, Any]) -> str:
    """Text of `export_data`."""
    classes = ", ".join(f"{label} {n:,}" for label, n in facts["classes"].items())
    left = (
        f"; {facts['left_out']:,} without such a label were left out" if facts["left_out"] else ""
    )
    lines = [f"{facts['out']}: {facts['rows']:,} rows of {facts['name']}{left}", f"  {classes}"]
    return "\n".join([*lines, *(f"note: {note}" for note in facts["notes"])])


def describe_purge(found: Mapping[str, Any]) -> str:
    """What `purge` deleted."""
    what = "all sources" if found["source"] is None else found["source"]
    return (
        f"deleted {found['entries']} cached data sets of {what}, {found['bytes'] / 1e6:.1f} MB, "
        f"from {found['folder']}"
    )
