"""Privacy rules in code: legal profile, minimum group size, consent of a single subject."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from classpulse.core.errors import PrivacyError
from classpulse.core.records import Reading
from classpulse.engage.windows import MIN_GROUP


@dataclass(frozen=True, slots=True)
class Profile:
    """A legal setting: its name, one sentence for every report, and whether faces are scored."""

    name: str
    text: str
    face_emotion: bool


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "research",
            "Research with ethics approval and informed consent, or a place where the law allows "
            "it. In EU schools and workplaces inferring emotions from faces is prohibited "
            "(Regulation (EU) 2024/1689, Art. 5(1)(f)).",
            face_emotion=True,
        ),
        Profile(
            "own-camera",
            "A person analyzing their own face for themselves.",
            face_emotion=True,
        ),
        Profile(
            "eu-school",
            "School in the European Union: inferring emotions from faces is prohibited "
            "(Regulation (EU) 2024/1689, Art. 5(1)(f)), so faces are counted and nothing else.",
            face_emotion=False,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Privacy:
    """The rules of one session.

    Args:
        profile: name in `PROFILES`.
        k: minimum group size; may be raised, and lowered only with `single_subject`.
        single_subject: the session shows one person only, who has consented.
        consent: a reference to that consent (a form number, a protocol), needed with
            `single_subject`; it is printed in the report, so it must not be a name.

    Raises:
        PrivacyError: an unknown profile, k below 5 without `single_subject`, or a single-subject
            session without consent.
    """

    profile: str = "research"
    k: int = MIN_GROUP
    single_subject: bool = False
    consent: str | None = None

    def __post_init__(self) -> None:
        if self.profile not in PROFILES:
            raise PrivacyError(f"unknown profile '{self.profile}'; known: {', '.join(PROFILES)}")
        if self.k < 1:
            raise PrivacyError(f"k is at least 1, not {self.k}: give 5 or more")
        if self.k < MIN_GROUP and not self.single_subject:
            raise PrivacyError(
                f"k = {self.k} is below {MIN_GROUP}: class numbers could be traced to a person. "
                "Use k >= 5, or --single-subject with --consent for one consenting person"
            )
        if self.single_subject and not (self.consent or "").strip():
            raise PrivacyError(
                "--single-subject needs --consent REFERENCE: where the person's written consent "
                "is kept (not the name)"
            )

    @property
    def rules(self) -> Profile:
        return PROFILES[self.profile]

    @property
    def group(self) -> int:
        """The k that aggregates obey: 1 for a consented single subject, `k` otherwise."""
        return 1 if self.single_subject else self.k

    def check_present(self, readings: Sequence[Reading], t: float) -> None:
        """Refuse to go on when a single-subject session shows a second person.

        Raises:
            PrivacyError: more than one subject at the same time.
        """
        if self.single_subject and len({r.subject for r in readings}) > 1:
            raise PrivacyError(
                f"the session is for one consented person, but {len(readings)} faces are in view "
                f"at {t:.1f} s: film that person alone, or run without --single-subject"
            )

    def check_writers(self, writers: Collection[str]) -> None:
        """Refuse a single-subject session with the writing of several people.

        Raises:
            PrivacyError: more than one of them.
        """
        if self.single_subject and len(writers) > 1:
            raise PrivacyError(
                f"the session is for one consented person, but {len(writers)} people write in the "
                "file: give that person's texts only, or run without --single-subject"
            )
