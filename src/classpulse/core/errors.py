"""The error tree. Every error says what was wrong, what was allowed and what to do next.

    ClassPulseError            exit code 1
    |-- InputError             3  a file, stream or value from outside cannot be used
    |   |-- ShapeError         3  an array has the wrong shape, type or range
    |   `-- FileTypeError      3  a file is of a type that is not read
    |-- LabelError             3  an unknown label or label space
    |-- ModelError             4  an artefact is missing, altered or answers nonsense
    |-- OutputError            5  a result cannot be written
    |-- PrivacyError           6  the request would break a privacy rule
    |-- MissingExtraError      7  an optional package is not installed
    `-- WorkerError            8  a worker of a parallel computation failed or was killed

The command line prints the message without a traceback and leaves with the exit code;
2 is a wrong command line and 130 an interrupt, as usual in a shell.
"""


class ClassPulseError(Exception):
    """Base of all errors that ClassPulse raises on purpose."""

    exit_code = 1


class InputError(ClassPulseError):
    """Something from outside (file, stream, value) cannot be used as it is."""

    exit_code = 3


class ShapeError(InputError, ValueError):
    """An array does not have the shape, dtype or range that was promised."""


class FileTypeError(InputError):
    """A file is of a type that is not read; who reads other types can say so."""


class LabelError(ClassPulseError, ValueError):
    """A label or label space is unknown, repeated or in conflict."""

    exit_code = 3


class ModelError(ClassPulseError):
    """An artefact is missing, does not match its card, or gives impossible output."""

    exit_code = 4


class OutputError(ClassPulseError):
    """A result could not be written."""

    exit_code = 5


class PrivacyError(ClassPulseError):
    """The request would break a privacy rule (group size, consent, jurisdiction)."""

    exit_code = 6


class MissingExtraError(ClassPulseError):
    """A feature needs an optional package.

    Args:
        feature: what was asked for, in the user's words.
        extra: the extra of ``classpulse`` that brings the package.
    """

    exit_code = 7

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs the extra '{extra}', which is not installed: "
            f"run  pip install 'classpulse[{extra}]'"
        )


class WorkerError(ClassPulseError):
    """A worker of a parallel computation failed or was killed."""

    exit_code = 8
