"""Clauses that name a feeling, said and denied."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from classpulse.core.labels import LabelSpace

pytest.importorskip("torch")

from classpulse.lab.evaluate.text_behaviour_words import FEELINGS
from classpulse.lab.text.deny import CALM, WORDS, find_clauses
from classpulse.lab.text.heads import HEAD_SPACES

TEXT_7, TEXT_5, GOEMOTIONS = (HEAD_SPACES[one] for one in ("text-7", "text-5", "goemotions"))
NO = re.compile(r"\bnot\b|n't\b|\bno longer\b|\bnever\b")


@pytest.mark.parametrize(
    ("text", "said", "denied"),
    [
        ("Well, I was very proud of my son.", "I was very proud of my son", {"was"}),
        ("We're worried", "We're worried", {"'re"}),
        ("he felt a bit lonely, and left", "he felt a bit lonely", {"felt", "feel"}),
    ],
)
def test_a_clause_is_said_as_it_stands_and_denied(text: str, said: str, denied: set[str]) -> None:
    found = find_clauses([text], words=0, seed=1)
    assert found.texts[0] == said and not found.denied[0]
    assert NO.search(found.texts[1]) and found.denied[1] and len(found.texts) == 2
    assert any(verb in found.texts[1] for verb in denied)
    assert found.texts[1].split()[-1] == said.split()[-1]


@pytest.mark.parametrize(
    "text", ["I was not proud of it.", "I'm never worried", "nothing here", ""]
)
def test_what_is_denied_already_or_says_no_feeling_is_left(text: str) -> None:
    assert find_clauses([text], words=3, seed=1).texts == ()


def test_other_words_stand_in_the_same_clause() -> None:
    found = find_clauses(["I am proud of you"], words=30, seed=1)
    said = [text for text, no in zip(found.texts, found.denied, strict=True) if not no]
    assert len(set(said)) == len(said) and len(said) in (30, 31)  # proud may be drawn, too
    assert all(re.fullmatch(r"I am \w+ of you", text) for text in said)
    words = {word: label for label, own in WORDS.items() for word in own}
    assert [words[text.split()[2]] for text in said] == list(found.feelings[::2])


def test_targets_say_the_feeling_or_calm_without_it() -> None:
    found = find_clauses(["I am proud of you"], words=5, seed=1)
    targets = found.targets(TEXT_7)
    assert np.allclose(targets.sum(axis=1), 1)
    for target, feeling, denied in zip(targets, found.feelings, found.denied, strict=True):
        own = target[TEXT_7.names.index(feeling)]
        assert own == (0 if denied else 1)
        assert not denied or target.argmax() == TEXT_7.names.index("neutral")
        assert not denied or target.max() == np.float32(CALM)


@pytest.mark.parametrize("space", [TEXT_5, GOEMOTIONS])
def test_a_space_that_cannot_say_it_gets_no_label(space: LabelSpace) -> None:
    assert not find_clauses(["I am proud of you"], words=2, seed=1).targets(space).any()


def test_no_word_of_the_behaviour_tests_is_trained_on() -> None:
    tested = {word for words in FEELINGS.values() for word in words}
    assert not tested & {word for words in WORDS.values() for word in words}


@given(st.lists(st.text("I amproudw'?. \n", max_size=40), max_size=4), st.integers(0, 30))
def test_whatever_the_texts_said_and_denied_come_in_pairs(texts: list[str], words: int) -> None:
    found = find_clauses(texts, words=words, seed=3)
    n = len(found.texts)
    assert found.denied.tolist() == [False, True] * (n // 2)
    assert found.targets(TEXT_7).shape == (n, 7)
    alone = find_clauses(texts[:1], words=words, seed=3).texts
    assert found.texts[: len(alone)] == alone
