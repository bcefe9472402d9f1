"""What a reader of posts or chats gives, before times become seconds and names pseudonyms."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser

from classpulse.room.writing.times import Moment

EMPTY = "empty"
PRIVATE = "private message"
REACTION = "reaction"

_BLOCKS = frozenset({"p", "br", "div", "li", "tr", "blockquote", "h1", "h2", "h3", "h4", "pre"})
_TAG = re.compile(r"<[a-zA-Z][^<>]*>")


@dataclass(frozen=True, slots=True)
class Message:
    """One text.

    Args:
        line: of the file on which it starts, from 1.
        text: as it was written.
        author: name in the file, or None where it names nobody. Goes no further than `posts`.
        at: when, or None where the file does not say.
    """

    line: int
    text: str
    author: str | None = None
    at: Moment | None = None


@dataclass(frozen=True, slots=True)
class Messages:
    """What stands in a file: messages in its order, and how many were left out by reason."""

    found: tuple[Message, ...]
    left_out: Counter[str] = field(default_factory=Counter)


def name_key(name: str) -> str:
    """A name as it is compared: capitals, spaces and forms of a letter (NFKC) do not count."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def plain_text(text: str) -> str:
    """The words of a text that an editor stored as HTML (it starts and ends with a tag).

    Moodle and Teams store posts so. Anything else stays as it is: ``a < b`` is no markup.
    """
    plain = text.strip()
    if not (plain.endswith(">") and _TAG.match(plain)):
        return plain
    words = _Words()
    words.feed(plain)
    words.close()
    lines = (line.strip() for line in "".join(words.parts).splitlines())
    return "\n".join(line for line in lines if line)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "style"):
            self._silent += 1
        elif tag in _BLOCKS:
            self.parts.append("\n")
        elif tag == "img":
            self.parts.append(dict(attrs).get("alt") or "")  # emoji are pictures with an alt text

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._silent = max(self._silent - 1, 0)
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)
