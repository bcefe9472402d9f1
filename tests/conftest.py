"""One hypothesis profile for all tests: repeatable, and patient with a busy machine."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "classpulse",
    deadline=None,
    max_examples=50,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("classpulse")
