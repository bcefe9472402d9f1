"""How long a window of time is: as asked, or what the session's length and writing suggest."""

from dataclasses import dataclass

from classpulse.engage.windows import MINUTES, find_window, suggest_window
from classpulse.room.writing.posts import Posts

GIVEN, LENGTH, WRITERS = "given", "length", "writers"


@dataclass(frozen=True, slots=True)
class Window:
    """Seconds of every window, and why so many: `GIVEN`, `LENGTH` or `WRITERS`."""

    seconds: float
    why: str


def choose_window(
    asked: float | None, *, k: int, duration: float | None = None, posts: Posts | None = None
) -> Window:
    """The window of a session.

    Writing takes the shortest of 1, 2, 5, 10 and 15 minutes in which k people write in half of the
    windows or more (`engage.windows.find_window`): few write in a minute, and nothing is shown of
    fewer. Beside a recording the window that its length suggests is tried first and stays where
    none is long enough; alone, writing has 15 minutes then, or what its length suggests if that is
    more.

    Args:
        asked: seconds, None to choose.
        duration: seconds of the recording, None without one or where it is unknown.
    """
    if asked is not None:
        return Window(asked, GIVEN)
    if posts is None:
        return Window(suggest_window(duration), LENGTH)
    end = posts.end if duration is None else duration
    usual = suggest_window(end)
    said = [(one.t0, one.speaker) for one in posts.utterances]
    minutes = tuple(one for one in MINUTES if one > usual)
    among = MINUTES if duration is None else (usual, *minutes)
    found = find_window(said, end=end, k=k, people_among=posts.people_among, among=among)
    if found is not None:
        return Window(found, WRITERS)
    return Window(usual if duration is not None else max(usual, MINUTES[-1]), LENGTH)
