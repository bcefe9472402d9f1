"""The privacy rules of a session."""

import pytest
from builders import build_reading

from classpulse.core.errors import PrivacyError
from classpulse.room.privacy import PROFILES, Privacy

ALONE = Privacy(single_subject=True, consent="form 12")


def test_the_default_is_research_with_groups_of_five() -> None:
    assert (Privacy().profile, Privacy().group) == ("research", 5)


def test_an_unknown_profile_lists_the_known_ones() -> None:
    with pytest.raises(PrivacyError, match="unknown profile 'home'; known: research, own-camera"):
        Privacy("home")


@pytest.mark.parametrize("k", [5, 6, 30])
def test_k_may_be_raised(k: int) -> None:
    assert Privacy(k=k).group == k


@pytest.mark.parametrize("profile", sorted(PROFILES))
@pytest.mark.parametrize("k", [1, 4])
def test_k_may_not_be_lowered_under_any_profile(profile: str, k: int) -> None:
    with pytest.raises(PrivacyError, match=f"k = {k}.* below 5"):
        Privacy(profile, k=k)


@pytest.mark.parametrize("k", [0, -1])
def test_k_is_at_least_one_even_with_consent(k: int) -> None:
    with pytest.raises(PrivacyError, match="at least 1"):
        Privacy(k=k, single_subject=True, consent="form 12")


@pytest.mark.parametrize("consent", [None, "", "  "])
def test_a_single_subject_needs_consent(consent: str | None) -> None:
    with pytest.raises(PrivacyError, match="--consent"):
        Privacy(single_subject=True, consent=consent)


def test_a_consented_single_subject_is_a_group_of_one() -> None:
    assert ALONE.group == 1


def test_consent_alone_does_not_lower_k() -> None:
    with pytest.raises(PrivacyError, match="below 5"):
        Privacy(k=1, consent="form 12")


def test_a_second_person_ends_a_single_subject_session() -> None:
    with pytest.raises(PrivacyError, match=r"one consented person, but 2 .*12\.5 s"):
        ALONE.check_present([build_reading("S01"), build_reading("S02")], 12.5)


@pytest.mark.parametrize("subjects", [[], ["S01"], ["S01", "S01"]])
def test_one_person_is_fine(subjects: list[str]) -> None:
    readings = [build_reading(subject) for subject in subjects]
    ALONE.check_present(readings, 0.0)
    assert len({r.subject for r in readings}) <= 1


def test_several_pictures_of_one_person_are_refused() -> None:
    ALONE.check_pictures(1)
    with pytest.raises(PrivacyError, match=r"more than one picture shows a face, .*alone"):
        ALONE.check_pictures(2)
    Privacy().check_pictures(2)


def test_several_writers_are_not_one_person() -> None:
    ALONE.check_writers(1)
    with pytest.raises(PrivacyError, match="but 2 people write"):
        ALONE.check_writers(2)
    Privacy().check_writers(30)


def test_a_group_session_may_show_a_group() -> None:
    readings = [build_reading(f"S{i:02d}") for i in range(30)]
    Privacy().check_present(readings, 0.0)
    assert len(readings) > Privacy().group


def test_only_the_profile_of_schools_in_the_eu_forbids_face_emotions() -> None:
    assert {n: p.face_emotion for n, p in PROFILES.items()} == {
        "research": True, "own-camera": True, "eu-school": False
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_the_text_of_a_profile_names_the_law_first(name: str) -> None:
    law, _, stated = PROFILES[name].text.partition(" This session was run under the profile ")
    assert law.startswith("In schools") and "Article 5(1)(f)" in law and law.endswith("reasons.")
    assert stated.startswith(f'"{name}": ') and stated.endswith(".")


def test_a_camera_of_ones_own_is_for_one_person() -> None:
    own = Privacy("own-camera")
    assert own.alone and own.group == 5
    with pytest.raises(PrivacyError, match=r"own face and writing, but 2 .*--profile own-camera"):
        own.check_present([build_reading("S01"), build_reading("S02")], 3.0)
    with pytest.raises(PrivacyError, match="more than one picture shows a face"):
        own.check_pictures(2)
    with pytest.raises(PrivacyError, match="but 2 people write"):
        own.check_writers(2)


def test_the_rules_are_those_of_the_profile() -> None:
    assert Privacy("eu-school").rules is PROFILES["eu-school"]


def test_rules_cannot_be_changed_in_a_session() -> None:
    with pytest.raises(AttributeError):
        ALONE.single_subject = False  # type: ignore[misc]
