"""Texts as numbers, and the gate that keeps silent."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_artefacts import KNOWN, VOCABULARY, write_tokenizer

from classpulse.core.errors import InputError, ModelError
from classpulse.core.text_card import TextGate
from classpulse.text.clean import CLEANERS, clean_plain
from classpulse.text.encode import TextEncoder
from classpulse.text.gate import (
    OTHER_LANGUAGE,
    TOO_SHORT,
    known_share,
    split_words,
    why_silent,
)

GATE = TextGate(2, 0.5, 0.0, "words.txt", "0" * 64)


def encoder(*, max_tokens: int = 16) -> TextEncoder:
    return TextEncoder(write_tokenizer(), clean="plain", max_tokens=max_tokens, pad=0)


def test_words_become_their_numbers() -> None:
    [ids] = encoder().encode(["I am so HAPPY today"])
    assert [VOCABULARY[i] for i in ids] == ["i", "am", "so", "happy", "[UNK]"]


def test_a_text_is_cut_and_an_empty_one_has_a_row() -> None:
    long, empty = encoder(max_tokens=4).encode(["i " * 10_000, ""])
    assert len(long) == 4 and empty.tolist() == [0]


def test_half_an_emoji_stops_nobody() -> None:
    whole, half = encoder().encode(["so happy", "so happy \ud83d"])
    assert half[: len(whole)].tolist() == whole.tolist() and len(half) == len(whole) + 1


def test_a_batch_has_texts_of_like_length_and_says_whose_they_are() -> None:
    texts = ["i am so happy", "sad", "i am", "so sad", "angry"]
    batches = list(encoder().batches(texts, size=2))
    assert [batch.rows.tolist() for batch in batches] == [[1, 4], [2, 3], [0]]
    assert [batch.ids.shape for batch in batches] == [(2, 1), (2, 2), (1, 4)]


def test_what_fills_a_batch_is_masked() -> None:
    [batch] = encoder().batches(["i am", "sad"], size=2)
    assert batch.ids.tolist() == [[6, 0], [7, 8]] and batch.mask.tolist() == [[1, 0], [1, 1]]


@given(st.lists(st.text(max_size=80), max_size=6))
def test_any_text_is_encoded_once_and_stays_in_the_vocabulary(texts: list[str]) -> None:
    batches = list(encoder().batches(texts, size=4))
    rows = np.concatenate([np.zeros(0, np.int64), *(batch.rows for batch in batches)])
    assert sorted(rows.tolist()) == list(range(len(texts)))
    for batch in batches:
        assert batch.ids.min() >= 0 and batch.ids.max() < len(VOCABULARY)
        assert batch.mask[:, 0].all() and not batch.ids[batch.mask == 0].any()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"version": "1.0"}'])
def test_what_is_no_tokenizer_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"not a tokenizer\.json"):
        TextEncoder(content, clean="plain", max_tokens=16, pad=0)


def test_an_unknown_rule_or_filling_token_is_refused() -> None:
    with pytest.raises(InputError, match="unknown cleaning rule 'soap'; known: clean-1, plain"):
        TextEncoder(write_tokenizer(), clean="soap", max_tokens=16, pad=0)
    with pytest.raises(ModelError, match="no token 99 to fill"):
        TextEncoder(write_tokenizer(), clean="plain", max_tokens=16, pad=99)


def test_the_plain_rule_keeps_what_was_written() -> None:
    isear = "When the car á\nstopped,  I was 3 km away."
    assert clean_plain(isear) == "When the car stopped, I was 3 km away."
    assert clean_plain("You must\x92ve been there 😀\n") == "You must've been there 😀"
    assert clean_plain("más") == "más"


@given(st.text(max_size=60))
def test_a_rule_has_said_all_after_two_passes(text: str) -> None:
    for clean in CLEANERS.values():
        once = clean(clean(text))
        assert clean(once) == once


def test_words_are_runs_of_letters() -> None:
    assert split_words("I DON’T get step 3 at all... 😀") == "i don't get step at all".split()
    assert split_words("Я рад 123") == ["я", "рад"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("I am so happy", None),
        ("I am so hapy", None),
        ("happy", TOO_SHORT),
        ("", TOO_SHORT),
        ("123 456 !!!", TOO_SHORT),
        ("estoy muy contento hoy", OTHER_LANGUAGE),
        ("我 很 高兴", OTHER_LANGUAGE),
    ],
)
def test_the_gate_sees_length_and_known_words(text: str, why: str | None) -> None:
    assert why_silent(text, GATE, frozenset(KNOWN)) == why


@given(st.text(max_size=60))
def test_a_share_is_a_share(text: str) -> None:
    assert 0 <= known_share(text, frozenset(KNOWN)) <= 1
