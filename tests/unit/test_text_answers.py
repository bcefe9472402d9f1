"""Non-answers and contradictory repeats: what is one, and that only training loses them."""

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("torch")

from classpulse.core.labels import ISEAR_7, MELD_7, TEXT_5, TEXT_7, LabelSpace
from classpulse.lab.data.text_answers import drop_unclear, is_non_answer
from classpulse.lab.data.texts import TextSet
from classpulse.lab.text.compose import COMPOSITIONS


@pytest.mark.parametrize(
    "text",
    [
        "[ No response.]",
        "NO RESPONSE",
        "[ Never experienced.]",
        "Doesn't apply.",
        "N/A",
        "[ I have not felt this emotion yet.]",
        "[ The same as in anger.]",
        "[ Can not remember.]",
        "Can't remember any episode of disgust.",
        "[ I do not recall one here either.]",
    ],
)
def test_who_tells_nothing_gave_no_answer(text: str) -> None:
    assert is_non_answer(text)


@pytest.mark.parametrize(
    "text",
    [
        "[ In an aeroplane.]",
        "No response to my letter came from him.",
        "When I read a lot and did not remember anything.",
        "I have never felt so happy as on that day.",
        "Same as above: friends who torture animals.",
        "I cannot remember ever having been so angry as when he took my car away.",
        "Nothing worked and I failed.",
        "",
    ],
)
def test_a_report_is_an_answer(text: str) -> None:
    assert not is_non_answer(text)


def build(texts: list[str], labels: list[str], space: LabelSpace, source: str) -> TextSet:
    n = len(texts)
    numbers = np.array([space.index(label) for label in labels], dtype=np.int64)
    return TextSet(tuple(texts), numbers, space, (source,) * n, np.arange(n), source)


def test_all_rows_of_a_contradiction_go_and_honest_repeats_stay() -> None:
    texts = ["What?", "what", "Yeah.", "yeah!", "[ No response.]", "I fell."]
    labels = ["neutral", "surprise", "happy", "happy", "sad", "fear"]
    found = drop_unclear(build(texts, labels, TEXT_7, "isear"))
    assert found.texts.texts == ("Yeah.", "yeah!", "I fell.")
    assert (found.non_answers, found.contradictory) == (1, 2)
    assert found.texts.row.tolist() == [2, 3, 5] and found.texts.name == "isear, cleaned"


@pytest.mark.parametrize(("name", "space"), [("seven", TEXT_7), ("five-of-seven", TEXT_5)])
def test_only_what_is_learned_from_is_cleaned(
    name: str, space: LabelSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = [f"report {i}" if i % 4 else "[ No response.]" for i in range(280)]
    emotions = [ISEAR_7.names[i % 5] for i in range(280)]
    lines = [f"line {i}" if i % 10 else "What?" for i in range(2400)]
    said = [MELD_7.names[i % 2] for i in range(2400)]
    corpora = {
        "isear": build(reports, emotions, ISEAR_7, "isear"),
        "meld": build(lines, said, MELD_7, "meld"),
    }
    monkeypatch.setattr("classpulse.lab.text.compose.find_gaps", lambda *given: {})
    whole = COMPOSITIONS.get(name).split(corpora, space, 0)
    clean = COMPOSITIONS.get(f"{name}-clean").split(corpora, space, 0)
    for part in ("valid", "test"):
        assert clean[part].texts == whole[part].texts and clean[part].name == whole[part].name
    left = set(clean["train"].row.tolist())
    assert left < set(whole["train"].row.tolist())
    assert "[ No response.]" in whole["train"].texts + whole["valid"].texts
    assert "[ No response.]" not in clean["train"].texts
