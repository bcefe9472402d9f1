"""Privacy rules in code: legal profile, minimum group size, consent of a single subject."""

from collections.abc import Sequence
from dataclasses import dataclass

from classpulse.core.defaults import MIN_GROUP, PROFILE
from classpulse.core.errors import PrivacyError
from classpulse.core.records import Reading

LAW = (
    "In schools and at work in the European Union, Article 5(1)(f) of the AI Act (Regulation "
    "(EU) 2024/1689) prohibits AI systems that infer emotions from faces or voices, except for "
    "medical or safety reasons."
)


@dataclass(frozen=True, slots=True)
class Profile:
    """A legal setting.

    Args:
        name: of the profile.
        states: whole sentences: what whoever runs a session under it states, or what it does.
        face_emotion: whether faces are scored.
        alone: whether other people must not be in view, nor among the writers.
    """

    name: str
    states: str
    face_emotion: bool
    alone: bool = False

    @property
    def text(self) -> str:
        """What every report says: the law first, then what was stated."""
        return f'{LAW} This session was run under the profile "{self.name}": {self.states}'


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(
            "research",
            "whoever ran it states that it is research with ethics approval and informed consent, "
            "or that it took place where the law allows it.",
            face_emotion=True,
        ),
        Profile(
            "own-camera",
            "whoever ran it states that they analyzed their own face, for themselves. A second "
            "person ends such a session.",
            face_emotion=True,
            alone=True,
        ),
        Profile(
            "eu-school",
            "faces were counted at most, and nothing was read from them.",
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
            ``own-camera`` has the same checks on other people, and its k.
        single_subject: the session shows one person only, who has consented. Whoever runs it
            vouches for that: a second face beside the first and a second picture are refused, but
            nobody can tell whether the face that returns to a video is the same.
        consent: a reference to that consent (a form number, a protocol), needed with
            `single_subject`; it is printed in the report, so it must not be a name.

    Raises:
        PrivacyError: an unknown profile, k below 5 without `single_subject`, or a single-subject
            session without consent.
    """

    profile: str = PROFILE
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

    @property
    def alone(self) -> bool:
        """Whether the session is one person's, so that a second one ends it."""
        return self.single_subject or self.rules.alone

    def _refuse_several(self, count: int, told: str) -> None:
        """Refuse more than one of `count` in the session of one person; `told` is what was seen and
        what to do."""
        if not self.alone or count < 2:
            return
        whom = "one consented person" if self.single_subject else "one's own face and writing"
        option = "--single-subject" if self.single_subject else f"--profile {self.profile}"
        raise PrivacyError(f"the session is for {whom}, but {told}, or run without {option}")

    def check_in_view(self, faces: int, t: float) -> None:
        """Refuse to go on when the session of one person has more faces in view.

        Args:
            faces: in view at `t` seconds.

        Raises:
            PrivacyError: more than one.
        """
        self._refuse_several(
            faces, f"{faces} faces are in view at {t:.1f} s: film that person alone"
        )

    def check_present(self, readings: Sequence[Reading], t: float) -> None:
        """Refuse to go on when the session of one person shows a second one.

        Raises:
            PrivacyError: more than one subject at the same time.
        """
        self.check_in_view(len({reading.subject for reading in readings}), t)

    def check_pictures(self, shown: int) -> None:
        """Refuse a single-subject session with several pictures: faces are not recognized, so
        nothing says that it is the same person in all of them.

        Args:
            shown: independent pictures with a face so far.

        Raises:
            PrivacyError: more than one.
        """
        self._refuse_several(
            shown,
            "more than one picture shows a face, and faces are not recognized: analyze each "
            "picture alone",
        )

    def check_writers(self, writers: int) -> None:
        """Refuse a single-subject session with the writing of several people.

        Args:
            writers: how many people may have written.

        Raises:
            PrivacyError: more than one of them.
        """
        self._refuse_several(
            writers, f"{writers} people write in the file: give that person's texts only"
        )

    def check_uncovered(self) -> None:
        """Refuse a video in which faces are not blurred, unless consent is on record.

        Raises:
            PrivacyError: no reference to a consent, or a profile that reads no faces.
        """
        if not self.rules.face_emotion:
            raise PrivacyError(
                f"--show-faces is not possible with --profile {self.profile}, which counts faces "
                "and keeps nothing of them: leave it out"
            )
        if not (self.consent or "").strip():
            raise PrivacyError(
                "--show-faces needs --consent REFERENCE: where the written consent of everybody "
                "in the picture is kept (not the names)"
            )
