"""What pages with measured tables share: Markdown tables, and places in a page to fill."""

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from classpulse.core.files import save_text

DOCS = Path(__file__).parents[1] / "docs"
END = "<!-- end -->"
Tables = Mapping[str, Callable[[Any], str]]
"""Name of a place -> what makes its text of the results."""


def table(head: str, rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table; `head` has the names of its columns between `|`."""
    names = head.split(" | ")
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines).replace(" --- ", "---")


def fill_page(page: Path, found: Any, tables: Tables) -> Path:
    """The page with its tables anew; what stands between them is written by hand."""
    save_text(fill_text(page.read_text(encoding="utf-8"), found, tables), page)
    return page


def fill_text(text: str, found: Any, tables: Tables) -> str:
    """What stands between `<!-- measured: NAME -->` and the next end is what its table makes."""
    for name, describe in tables.items():
        start = f"<!-- measured: {name} -->"
        pattern = re.compile(f"{re.escape(start)}.*?{re.escape(END)}", re.DOTALL)
        text, count = pattern.subn(lambda _, s=start, d=describe: f"{s}\n{d(found)}\n{END}", text)
        if count != 1:
            raise SystemExit(
                f"{count} places for '{name}' in the page, needs one: {start} ... {END}"
            )
    return text
