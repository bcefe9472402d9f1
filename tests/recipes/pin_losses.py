"""Write losses.json: what two steps of every shipped recipe gave, to be found again.

python tests/recipes/pin_losses.py [RECIPE ...]
"""

import json
import os
import sys
from pathlib import Path
from unittest import mock

import torch

from classpulse.lab.check import Checked, check_recipes
from classpulse.lab.recipe_file import recipe_names
from classpulse.lab.train.precision import ENVIRONMENT, WHOLE

FILE = Path(__file__).parent / "losses.json"


def check(name: str) -> Checked:
    """Two steps of a recipe, in float32 whatever the processor could do."""
    with mock.patch.dict(os.environ, {ENVIRONMENT: WHOLE}):
        [found] = check_recipes([name])
    return found


def main() -> None:
    torch.set_num_threads(1)
    pinned = json.loads(FILE.read_text()) if FILE.exists() else {}
    known = recipe_names()
    for name in sys.argv[1:] or known:
        found = check(name)
        losses = [round(loss, 5) for loss in found.losses]
        pinned[name] = {"parameters": found.parameters, "losses": losses}
        rows = ",\n".join(
            f"  {json.dumps(one)}: {json.dumps(pinned[one])}" for one in known if one in pinned
        )
        FILE.write_text("{\n" + rows + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
