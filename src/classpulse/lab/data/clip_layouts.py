"""Video data sets in the layouts of their publishers, behind one call.

They have several targets a clip and whole scenes instead of face crops, so they are no `FaceSet`.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from classpulse.core.errors import InputError
from classpulse.core.labels import DAISEE_4, EMOREACT_8
from classpulse.core.registry import Registry
from classpulse.lab.data.cache import hash_source
from classpulse.lab.data.clips import ClipSet
from classpulse.text.tables import load_table, load_text

VIDEO_SUFFIXES = (".avi", ".mp4")


@dataclass(frozen=True, slots=True)
class ClipLayout:
    """One way in which clips and labels are laid out on disk; as `layouts.Layout`.

    Args:
        summary: what it is and who published it.
        matches: does this path look like it?
        load: (path, missing_ok=...) -> the whole set.
    """

    summary: str
    matches: Callable[[Path], bool]
    load: Callable[..., ClipSet]


CLIP_LAYOUTS: Registry[ClipLayout] = Registry("clip data layout")


@dataclass(frozen=True, slots=True)
class _Row:
    """A labelled clip: line of the label file, name without ending, file if it is there."""

    part: str
    number: int
    clip: str
    file: Path | None
    values: tuple[float, ...]


def load_clips(
    path: Path, *, layout: str | None = None, part: str | None = None, missing_ok: bool = False
) -> ClipSet:
    """A video data set in any layout of `CLIP_LAYOUTS`.

    Args:
        layout: name in `CLIP_LAYOUTS`; None finds it.
        part: one of the set's own parts; None is all of it.
        missing_ok: leave out labelled clips that are not on disk; `ClipSet.missing` names them.

    Raises:
        InputError: nothing there, no layout fits, the labels are malformed, or clips are missing.
    """
    found = layout or find_clip_layout(path)
    if found is None:
        raise InputError(
            f"{path} is in no known layout of labelled clips: {', '.join(CLIP_LAYOUTS)}"
        )
    clips = CLIP_LAYOUTS.get(found).load(path, missing_ok=missing_ok)
    return clips if part is None else clips.take_part(part)


def find_clip_layout(path: Path) -> str | None:
    """Name of the first clip layout that the path looks like, or None."""
    return next((name for name in CLIP_LAYOUTS if CLIP_LAYOUTS.get(name).matches(path)), None)


# --- DAiSEE --------------------------------------------------------------------------------------

_DAISEE_PARTS = ("Train", "Validation", "Test")
_DAISEE_COLUMNS = tuple(name.capitalize() for name in DAISEE_4.names)


def load_daisee(path: Path, *, missing_ok: bool = False) -> ClipSet:
    """DAiSEE: 10-second clips with boredom, engagement, confusion and frustration, 0..3 each.

    Gupta et al. 2016, arXiv:1609.01885; the layout is that of the set's own README::

        DataSet/{Train,Validation,Test}/<subject>/<clip>/<clip>.avi      or .mp4
        Labels/{Train,Validation,Test}Labels.csv

    with the columns ClipID, Boredom, Engagement, Confusion and Frustration.

    Raises:
        InputError: no label file, a malformed line (it is named), or clips are not there.
    """
    rows: list[_Row] = []
    files = [path / "Labels" / f"{part}Labels.csv" for part in _DAISEE_PARTS]
    for part, file in zip(_DAISEE_PARTS, files, strict=True):
        if file.is_file():
            rows += _daisee_rows(path / "DataSet" / part, file, part)
    subjects = [row.file.parents[1].name for row in rows if row.file is not None]
    return _collect(
        rows,
        names=DAISEE_4.names,
        limits=[(0, 3)] * len(DAISEE_4),
        name="DAiSEE",
        subject=subjects,
        sources=files,
        missing_ok=missing_ok,
    )


def _daisee_rows(folder: Path, file: Path, part: str) -> list[_Row]:
    videos = _videos(folder.glob("*/*/*"))
    table = load_table(file, columns=("ClipID", *_DAISEE_COLUMNS))
    rows = []
    for number, line in enumerate(table.line):
        cells = [table.columns[name][number].strip() for name in _DAISEE_COLUMNS]
        if not all(cell in ("0", "1", "2", "3") for cell in cells):
            raise InputError(
                f"{file}, line {line}: {', '.join(cells)}, needs 0..3 for each of "
                f"{', '.join(_DAISEE_COLUMNS)}"
            )
        clip = table.columns["ClipID"][number].strip()
        rows.append(_Row(part, number, clip, videos.get(_stem(clip)), tuple(map(float, cells))))
    return rows


# --- EmoReact ------------------------------------------------------------------------------------

_EMOREACT_PARTS = {"Train": "train", "Validation": "val", "Test": "test"}
VALENCE = (1.0, 7.0)  # strongly negative .. strongly positive, mean of three raters


def load_emoreact(path: Path, *, missing_ok: bool = False) -> ClipSet:
    """EmoReact: clips of children with eight emotions, 0 or 1 each, and valence, 1..7.

    Nojavanasghari et al. 2016, "EmoReact: A Multimodal Approach and Dataset for Recognizing
    Emotional Responses in Children"; https://github.com/bnojavan/EmoReact, on request. The layout
    is that of ``EmoReact_V_1.0`` as public code reads it (we do not hold the set)::

        Data/{Train,Validation,Test}/<clip>.mp4       or without Data
        Labels/{train,val,test}_labels.text           1,0,0,1,0,0,0,0,5.33 a line
        Labels/{Train,Val,Test}_names.txt             '<clip>.mp4' a line, or beside Labels

    Names may stand in single quotes, with a quote inside doubled, as MATLAB writes them.

    Raises:
        InputError: no label file, a malformed line (it is named), names and labels of different
            number, or clips are not there.
    """
    rows: list[_Row] = []
    files = []
    for part, short in _EMOREACT_PARTS.items():
        labels = _find(path / "Labels", f"{short}_labels.text")
        if labels is not None:
            names = _find(path / "Labels", f"{short}_names.txt") or _find(
                path, f"{short}_names.txt"
            )
            if names is None:
                raise InputError(f"{path}: {labels.name} has no {short.capitalize()}_names.txt")
            rows += _emoreact_rows(path, labels, names, part)
            files += [labels, names]
    return _collect(
        rows,
        names=(*EMOREACT_8.names, "valence"),
        limits=[(0, 1)] * len(EMOREACT_8) + [VALENCE],
        name="EmoReact",
        subject=None,
        sources=files or [path / "Labels"],
        missing_ok=missing_ok,
    )


def _emoreact_rows(path: Path, labels: Path, names: Path, part: str) -> list[_Row]:
    inside = path / "Data" if (path / "Data").is_dir() else path
    videos = _videos((inside / part).glob("*"))
    clips = [_unquote(text) for _, text in _lines(names)]
    lines = _lines(labels)
    if len(clips) != len(lines):
        raise InputError(
            f"{names} has {len(clips)} names but {labels} has {len(lines)} lines: they are joined "
            "by line and must be of one part"
        )
    rows = []
    for number, (clip, (line, text)) in enumerate(zip(clips, lines, strict=True)):
        values = _emoreact_values(text, labels, line)
        rows.append(_Row(part, number, clip, videos.get(_stem(clip)), values))
    return rows


def _emoreact_values(text: str, path: Path, line: int) -> tuple[float, ...]:
    cells = [cell.strip() for cell in text.split(",")]
    try:
        values = tuple(map(float, cells))
    except ValueError:
        values = ()
    k = len(EMOREACT_8)
    fits = len(values) == k + 1 and set(values[:k]) <= {0.0, 1.0}
    if not fits or not VALENCE[0] <= values[k] <= VALENCE[1]:
        raise InputError(
            f"{path}, line {line}: '{text[:60]}', needs {k} times 0 or 1 and a valence of "
            f"{VALENCE[0]:g}..{VALENCE[1]:g}, separated by commas"
        )
    return values


def _unquote(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] == "'"
    return text[1:-1].replace("''", "'") if quoted else text


def _lines(path: Path) -> list[tuple[int, str]]:
    """Number and text of each line that is not blank."""
    lines = enumerate(load_text(path).splitlines(), start=1)
    return [(number, text.strip()) for number, text in lines if text.strip()]


def _find(folder: Path, name: str) -> Path | None:
    """A file of this name, upper and lower case alike."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return next((file for file in files if file.name.lower() == name), None)


# --- both ----------------------------------------------------------------------------------------


def _videos(files: Iterable[Path]) -> dict[str, Path]:
    return {file.stem: file for file in sorted(files) if file.suffix.lower() in VIDEO_SUFFIXES}


def _stem(clip: str) -> str:
    return clip[:-4] if clip.lower().endswith(VIDEO_SUFFIXES) else clip


def _collect(
    rows: list[_Row],
    *,
    names: tuple[str, ...],
    limits: list[tuple[float, float]],
    name: str,
    subject: list[str] | None,
    sources: list[Path],
    missing_ok: bool,
) -> ClipSet:
    if not rows:
        raise InputError(f"{name} needs its label files, for example {sources[0]}")
    kept = [row for row in rows if row.file is not None]
    missing = [row for row in rows if row.file is None]
    if not kept or (missing and not missing_ok):
        counts = Counter(row.part for row in missing)
        raise InputError(
            f"{name}: {len(missing)} of {len(rows)} labelled clips are not there ("
            f"{', '.join(f'{n} of {part}' for part, n in counts.items())}), the first is "
            f"{missing[0].clip}; unpack the set again, or leave them out with missing_ok=True"
        )
    there = [source for source in sources if source.is_file()]
    hashes = "".join(hash_source(source) for source in there)
    return ClipSet(
        paths=tuple(row.file for row in kept if row.file is not None),
        targets=np.array([row.values for row in kept], dtype=np.float64),
        names=names,
        limits=np.array(limits, dtype=np.float64),
        name=name,
        row=np.array([row.number for row in kept], dtype=np.int64),
        part=np.array([row.part for row in kept]),
        subject=None if subject is None else np.array(subject),
        missing=tuple(f"{row.part}/{row.clip}" for row in missing),
        sha256=hashlib.sha256(hashes.encode()).hexdigest(),
    )


CLIP_LAYOUTS.register("daisee")(
    ClipLayout(
        "DAiSEE, engagement of students at screens (Gupta et al. 2016; on request, research use)",
        lambda path: any((path / "Labels" / f"{p}Labels.csv").is_file() for p in _DAISEE_PARTS),
        load_daisee,
    )
)
CLIP_LAYOUTS.register("emoreact")(
    ClipLayout(
        "EmoReact, emotions of children (Nojavanasghari et al. 2016; on request, research use)",
        lambda path: any(
            _find(path / "Labels", f"{short}_labels.text") for short in _EMOREACT_PARTS.values()
        ),
        load_emoreact,
    )
)
