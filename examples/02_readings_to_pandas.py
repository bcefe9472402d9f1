"""Readings as a pandas table: how often each learning state was read, in slices of five seconds.

    pip install pandas
    python examples/02_readings_to_pandas.py [lesson.mp4]

You learn: `session.readings` is one row per face and time. pandas is not needed to run ClassPulse,
so you install it yourself; `.to_arrow()` and `readings.parquet` serve other tools. The table knows
single subjects: keep the rule of five yourself, as here, before you show a number to anyone. Count
those of one moment: a face that leaves and returns is a new subject, but no new person.
"""

import sys
from pathlib import Path

import classpulse
from classpulse.room.demo import demo_video

SLICE = 5  # seconds
GROUP = 5  # people


def main(lesson: Path) -> None:
    table = classpulse.analyze(lesson, every=1.0).readings.to_pandas()
    said = table[table["abstained"] == ""]
    said = said.assign(from_second=(said["t"] // SLICE * SLICE).astype(int))
    slices = said.groupby("from_second")
    share = slices["state"].value_counts(normalize=True).unstack(fill_value=0.0)
    people = said.groupby(["from_second", "t"])["subject"].nunique().groupby("from_second").max()
    print(share[people >= GROUP].round(2).to_string())
    print(f"{(people < GROUP).sum()} slices left out: fewer than {GROUP} people")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else demo_video())
