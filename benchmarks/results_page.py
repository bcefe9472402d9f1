"""Write docs/results.md from the claims of the shipped recipes.

python benchmarks/results_page.py
"""

from collections.abc import Iterable
from pathlib import Path

from pages import table

from classpulse.lab.book import AnyRecipe, open_recipe
from classpulse.lab.claims import Claim, pick_claim
from classpulse.lab.recipe import Recipe
from classpulse.lab.recipe_file import recipe_names
from classpulse.lab.text.recipe import TextRecipe

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
HEAD = (
    "recipe | what | epochs | source | ours | macro F1, source | macro F1, ours | also | minutes "
    "| seed"
)

INTRO = """# Results of the recipes

Written by `python benchmarks/results_page.py` from the claims in the recipes; do not edit. Each
row is one file: `classpulse recipes show NAME`, `classpulse train NAME --data ... --run ...` (or
`classpulse combine NAME` for an ensemble), `classpulse publish`, `classpulse recipes claim`.

Accuracy with its 95 % interval (bootstrap over pictures). *not run here*: the recipe is complete
and checked (`classpulse recipes check`), but nobody has trained it on this machine. *epochs*: of
the recipe; 300 are the thesis' most, ended by early stopping, fewer are ours for two cores.
*without repeats*: without the pictures that stand in training too, to the byte. *minutes*: of the
logs, waits of a busy machine included; the number leads to the log, a line for each epoch.
"""
OWN = "FER2013 PublicTest chose the epoch, so its numbers flatter a little."
THESIS = """The source's numbers are of FER2013's PublicTest and PrivateTest together (7,178
pictures), of the epoch that was best on them. Ours are of PublicTest alone, which chose nothing:
the validation part is a fifth of Training. PrivateTest is held back for others to judge."""
ENSEMBLES = """Members of one ensemble of the source were split in two ways, so that its
validation part had been learned from, and its head was trained on the members' own training
pictures. Here all members share one split and the head learns from its validation part."""
AIEDUCATION = """Four learning states. The source's test part is 15 % of all three parts of
FER2013; ours is 15 % of Training and PublicTest by the same protocol, without PrivateTest. Its
script did not pass the kernel size on, so its numbers for kernels 5 and 7 may be of kernel 3."""
TEXTS = """Five or seven emotions of writing: see docs/text.md. The source's numbers are of the
thesis' test part, on which it chose among its networks; those rows are held back here, so ours
are of the validation part, less the rows that the other of the two sets tests."""
SECTIONS: tuple[tuple[str, str, str], ...] = (
    ("", "Our own", OWN),
    ("thesis-", "The thesis' networks", THESIS),
    ("thesis-ensemble-", "The thesis' ensembles", ENSEMBLES),
    ("aied-", "A.I.ducation Analytics", AIEDUCATION),
    ("text-", "Texts", TEXTS),
)
"""Prefix of the recipes' names, title, and what one has to know."""


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


def page() -> str:
    """The whole page; every number in it comes from a recipe's claims."""
    lines = [INTRO]
    grouped = _group(recipe_names())
    for prefix, title, text in SECTIONS:
        recipes = [open_recipe(name) for name in grouped[prefix]]
        lines += [f"## {title}", "", text, "", table(HEAD, map(_row, recipes))]
        lines += ["", *_notes(recipes), ""]
    return "\n".join(lines).rstrip() + "\n"


def _group(names: Iterable[str]) -> dict[str, list[str]]:
    """Every name under the longest prefix of `SECTIONS` that it has."""
    prefixes = sorted((prefix for prefix, _, _ in SECTIONS), key=len, reverse=True)
    found: dict[str, list[str]] = {prefix: [] for prefix in prefixes}
    for name in names:
        found[next(prefix for prefix in prefixes if name.startswith(prefix))].append(name)
    return found


def _row(recipe: AnyRecipe) -> list[str]:
    source, ours = (pick_claim(recipe.claims, by) for by in ("source", "ours"))
    f1 = [pick_claim(recipe.claims, by, metric="macro_f1") for by in ("source", "ours")]
    return [
        f"`{recipe.name}`",
        recipe.summary,
        str(recipe.schedule.epochs) if isinstance(recipe, Recipe | TextRecipe) else "",
        f"{source.value:.4f}" if source else "",
        _interval(ours) if ours else "*not run here*",
        *(f"{one.value:.4f}" if one else "" for one in f1),
        "; ".join(f"{c.data} {c.value:.4f}" for c in recipe.claims if _is_further(c, ours)),
        _minutes(recipe.name, ours) if ours else "",
        ", ".join(map(str, ours.seeds)) if ours else "",
    ]


def _minutes(name: str, claim: Claim) -> str:
    log = PAGE.parent / "logs" / f"{name}.csv"
    return f"[{claim.minutes:.0f}](logs/{log.name})" if log.exists() else f"{claim.minutes:.0f}"


def _interval(claim: Claim) -> str:
    return f"{claim.value:.4f} [{claim.low:.4f}, {claim.high:.4f}], {claim.data}, n {claim.n:,}"


def _is_further(claim: Claim, first: Claim | None) -> bool:
    return claim.by == "ours" and claim.metric == "accuracy" and claim is not first


def _notes(recipes: Iterable[AnyRecipe]) -> list[str]:
    """Hardware and revision of our runs, and what is to be known of each number."""
    lines = []
    for recipe in recipes:
        for by in ("source", "ours"):
            claim = pick_claim(recipe.claims, by)
            if claim is None:
                continue
            commit = f"published at commit {claim.commit}" if claim.commit else ""
            said = "; ".join(text for text in (claim.note, claim.hardware, commit) if text)
            if said:
                lines.append(f"- `{recipe.name}`, {by}: {said}.")
    return lines


if __name__ == "__main__":
    main()
