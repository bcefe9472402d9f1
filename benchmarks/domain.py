"""Write docs/domain.md: a face model outside the pictures it was chosen on.

python benchmarks/domain.py face-base ../shared/data/fer2013/fer2013.csv.gz \\
    --ckplus "../shared/data/ck48/CK+48.zip"

Cut out by the room's own detector and aligner, on another data set by subject, and spoiled.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from classpulse.core.files import save_text
from classpulse.core.labels import FER2013_7
from classpulse.core.records import Interval
from classpulse.lab.commit import source_commit
from classpulse.lab.data.ckplus import load_ckplus
from classpulse.lab.data.faces import FaceSet, truth_in
from classpulse.lab.data.fer2013 import load_fer2013
from classpulse.lab.evaluate.faces import measure_robustness
from classpulse.lab.evaluate.framing import FramingCost, measure_framing
from classpulse.lab.evaluate.metrics import evaluate_scores
from classpulse.lab.evaluate.predictors import FacePredictor, open_predictor, scores_in
from classpulse.lab.evaluate.robustness import RobustnessRow
from classpulse.lab.terminal import step_bar
from classpulse.runtime.model import OnnxModel
from classpulse.vision.detect import build_detector

PAGE = Path(__file__).parents[1] / "docs" / "domain.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("fer2013", type=Path)
    parser.add_argument("--ckplus", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=1000, help="pictures that are spoiled")
    options = parser.parse_args()
    model = open_predictor(options.model)
    public = load_fer2013(options.fer2013, part="PublicTest")
    cost = measure_framing(
        model,
        public,
        FER2013_7,
        find=build_detector("retinaface"),
        spec=OnnxModel(options.model).card.input,
    )
    ckplus = load_ckplus(options.ckplus, contempt=False)
    with step_bar(quiet=False) as on_step:
        rows = measure_robustness(model, public, FER2013_7, sample=options.sample, on_step=on_step)
    save_text(page(model, cost, by_subject(model, ckplus), ckplus, rows), PAGE)
    print(PAGE)


def by_subject(model: FacePredictor, faces: FaceSet) -> Interval:
    """Accuracy; the interval draws people, not pictures, which repeat within a person."""
    scores = scores_in(model.predict(faces.images), FER2013_7)
    assert scores is not None
    return evaluate_scores(scores, truth_in(faces, FER2013_7), clusters=faces.subject).accuracy


def page(
    model: FacePredictor,
    cost: FramingCost,
    other: Interval,
    ckplus: FaceSet,
    rows: list[RobustnessRow],
) -> str:
    """The whole page."""
    assert ckplus.subject is not None
    lines = [
        f"# `{model.name}` outside the pictures it was chosen on",
        "",
        "Written by `python benchmarks/domain.py`; do not edit. "
        f"{datetime.now(UTC):%Y-%m-%d}, commit {source_commit()}. Seven emotions, accuracy with "
        "95 % intervals.",
        "",
        "## Cut out by the room",
        "",
        "FER2013 PublicTest, each picture enlarged into a frame of its own, found by RetinaFace, "
        "aligned and cut as in a lesson; on the pictures where a face was found, paired.",
        "",
        "| pictures | face found | as given | cut out again | drop |",
        "|---|---|---|---|---|",
        f"| {cost.n:,} | {cost.found:,} | {show(cost.given)} | {show(cost.reframed)} "
        f"| {show(cost.drop)} |",
        "",
        "## Another data set",
        "",
        f"CK+48 without contempt: {len(ckplus):,} posed pictures of "
        f"{len(np.unique(ckplus.subject))} people in a laboratory, none of them trained on; the "
        f"interval draws people: {show(other)}.",
        "",
        "## Spoiled pictures",
        "",
        f"{rows[0].n:,} pictures of PublicTest; the drop is paired with the clean picture.",
        "",
        "| what | level | accuracy | drop |",
        "|---|---|---|---|",
        *(
            f"| {row.title}, {row.unit} | {row.level:g} | {show(row.accuracy)} | {show(row.drop)} |"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def show(found: Interval) -> str:
    """``.698 [.683, .713]``."""
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


if __name__ == "__main__":
    main()
