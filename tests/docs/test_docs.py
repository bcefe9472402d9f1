"""The documentation is checked like code: links, commands, tables and examples."""

import csv
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from classpulse import cli
from classpulse.core.card import is_of_text
from classpulse.core.defaults import MODEL
from classpulse.core.labels import SPACES
from classpulse.engage.score import PRESETS
from classpulse.room.privacy import PROFILES
from classpulse.runtime.model import shipped_models

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]+))?\)")


def follow(page: Path) -> list[tuple[Path, str]]:
    """Where the links of a page lead: files, and headings in them."""
    found = LINK.findall(page.read_text())
    return [((page.parent / to).resolve() if to else page, anchor) for to, anchor in found]


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    heads = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_every_local_link_leads_somewhere(page: Path) -> None:
    assert [str(to) for to, _ in follow(page) if not to.exists()] == []
    assert [anchor for to, anchor in follow(page) if anchor and anchor not in anchors(to)] == []


def test_every_page_of_the_docs_is_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    found = {ROOT / "README.md"}
    while found:
        reached |= found
        found = {to for page in found for to, _ in follow(page) if to.suffix == ".md"} - reached
    assert {page for page in PAGES if page.parent != ROOT} - reached == set()


def test_the_readme_says_the_law_before_anything_else() -> None:
    text = (ROOT / "README.md").read_text()
    assert text.index("Art. 5(1)(f)") < text.index("classpulse.analyze")
    assert text.index("Expressions are not feelings") < text.index("classpulse.analyze")


def test_every_command_named_in_the_readme_exists() -> None:
    named = set(re.findall(r"[`$] ?classpulse ([a-z]+)", (ROOT / "README.md").read_text()))
    shown = CliRunner().invoke(cli.app, ["--help"]).output
    assert {word for word in named if word not in shown} == set()
    assert {"analyze", "engage", "models", "evaluate", "train"} <= named


def test_every_option_named_in_the_docs_exists() -> None:
    text = "".join(page.read_text() for page in PAGES if page.name in {"README.md", "privacy.md"})
    options = set(re.findall(r"(--[a-z][a-z-]+)", text))
    shown = "".join(
        CliRunner().invoke(cli.app, [command, "--help"], env={"COLUMNS": "200"}).output
        for command in ("analyze", "evaluate", "train", "combine", "search", "bias")
    )
    assert {option for option in options if option not in shown} == set()


def test_the_worked_example_prints_what_the_page_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "engagement.md").read_text()
    printed = json.loads(re.search(r"^\{.*\}$", page, re.M)[0])
    rows = re.search(r"with the rows \(happiness, sadness, anger\) (.*?)\.\s", page)[1].split(" / ")
    file = tmp_path / "example.csv"
    file.write_text("\n".join(["happiness,sadness,anger", *(r.replace(" ", ",") for r in rows)]))
    result = CliRunner().invoke(cli.app, ["engage", "apply", str(file), "--json"])
    assert json.loads(result.output) == printed


def test_the_engagement_page_has_the_weights_of_the_code() -> None:
    page = (ROOT / "docs" / "engagement.md").read_text()
    for name, preset in PRESETS.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}`"))
        assert f"{preset.intercept:.2f}" in row
        for by_label in preset.weights.values():
            for label, weight in by_label.items():
                assert re.search(rf"{label} [+-]?{abs(weight):g}0?\b", row), (name, label)


def test_the_architecture_page_names_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rooms = {p.name for p in (ROOT / "src" / "classpulse").iterdir() if p.is_dir()} - {
        "__pycache__"
    }
    assert {room for room in rooms if f"  {room}/" not in page} == set()


def test_profiles_are_documented() -> None:
    text = "".join(page.read_text() for page in PAGES)
    assert [name for name in PROFILES if name not in text] == []


def test_every_shipped_model_has_its_hash_in_the_docs() -> None:
    for name, folder in shipped_models().items():
        card = json.loads((folder / "card.json").read_text())
        own = "model.md" if name == MODEL else f"model-{name}.md"
        file = "text.md" if is_of_text(card) else own
        page = (ROOT / "docs" / file).read_text()
        assert name in page
        assert card["sha256"][:16] in page


def test_label_orders_live_in_one_module_only() -> None:
    for space in SPACES.values():
        order = re.compile(r'"\s*,\s*"'.join(space.names))
        hits = [p for p in (ROOT / "src").rglob("*.py") if order.search(p.read_text())]
        ours = [p.name for p in hits if "peers" not in p.parts]  # those state foreign orders
        assert [name for name in ours if name != "labels.py"] == []


def test_the_results_page_is_written_from_the_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from results_page import PAGE, page

    assert PAGE.read_text() == page()


def test_every_run_that_is_claimed_has_its_log() -> None:
    pytest.importorskip("torch")
    from classpulse.lab.book import list_recipes, open_recipe
    from classpulse.lab.text.baseline import BASELINES

    for one in list_recipes():
        claimed = any(claim["by"] == "ours" for claim in one["claims"])
        if claimed and one["epochs"] and one["kind"] not in set(BASELINES):
            rows = list(csv.DictReader((ROOT / "docs/logs" / f"{one['name']}.csv").open()))
            stopping = getattr(open_recipe(one["name"]), "stopping", None)
            if stopping is not None and stopping.patience and len(rows) < one["epochs"]:
                assert (stopping.monitor, stopping.mode) == ("val_loss", "min"), one["name"]
                losses = [float(row["val_loss"]) for row in rows]
                assert len(rows) - 1 - losses.index(min(losses)) == stopping.patience, one["name"]
            else:
                assert len(rows) == one["epochs"], one["name"]


def test_the_recipe_on_the_page_is_the_shipped_one() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text()
    shown = re.search(r"show (\S+)\n(.*?)```", text, re.S)
    assert shown is not None
    result = CliRunner().invoke(cli.app, ["recipes", "show", shown[1]])
    assert result.output == shown[2]


def test_every_command_on_the_recipe_page_exists() -> None:
    text = (ROOT / "docs" / "recipes.md").read_text()
    shown = CliRunner().invoke(cli.app, ["--help"]).output
    named = set(re.findall(r"`classpulse ([a-z]+)", text))
    assert named and {word for word in named if word not in shown} == set()
