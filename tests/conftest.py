"""One hypothesis profile for all tests: repeatable, and patient with a busy machine.

Trainings compute in float32 whatever the processor could do. Parsed data is cached in a folder of
the run, never in the user's.
"""

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "classpulse",
    deadline=None,
    max_examples=50,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("classpulse")

# bfloat16 has two digits: what a test compares would depend on the processor, and on the workers
os.environ["CLASSPULSE_PRECISION"] = "float32"


# a shell's background job ignores Ctrl-C, and so would every command that a test interrupts
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    before = os.environ.get("CLASSPULSE_CACHE")
    os.environ["CLASSPULSE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["CLASSPULSE_CACHE"]
    else:
        os.environ["CLASSPULSE_CACHE"] = before
