"""The demo lesson, built and analyzed once for all end-to-end tests."""

from pathlib import Path

import pytest

from classpulse.core.errors import MissingExtraError
from classpulse.room import demo
from classpulse.room.analyze import Session


@pytest.fixture(scope="session")
def portraits() -> list[Path]:
    """The two photographs; tests that need them are skipped without the extra."""
    try:
        return demo.portrait_paths()
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def demo_session(portraits: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Session:
    """The demo in a folder that exists and holds a file of someone else and an old report."""
    folder = tmp_path_factory.mktemp("demo") / demo.FOLDER
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "report.html").write_text("old")
    return demo.run_demo(folder)


@pytest.fixture(scope="session")
def demo_folder(demo_session: Session) -> Path:
    """Where the demo was written; its parent is the folder it was started in."""
    return demo_session.files["demo.mp4"].parent
