"""What is done unless told otherwise, for the command and for Python alike.

It imports nothing, so that `classpulse --help` need not wait for a network's runtime.
"""

MODEL = "face-flagship"  # shipped artefacts, by name
TEXT_MODEL = "text-emotion"
DETECTOR = "retinaface"
PRESET = "default"  # engagement weights
EVERY = 0.5  # seconds between analyzed frames: expressions that matter last longer
DETECT_EVERY = 0.2  # seconds; docs/performance.md has what other values cost and gain
SMOOTH = 2.0  # seconds
PROFILE = "research"
MIN_GROUP = 5  # k: below it a number could be traced to a person
