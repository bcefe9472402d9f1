"""Behaviour tests of text models, with predictors that do one thing right or wrong on purpose."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from text_artefacts import write_text_artefact

from classpulse.core.errors import InputError, ModelError
from classpulse.core.labels import GOEMOTIONS_28, ISEAR_7, TEXT_5, TEXT_7, LabelSpace
from classpulse.core.records import Scores
from classpulse.lab.data.classroom import (
    LEARNING_STATES,
    load_classroom,
    load_classroom_states,
)
from classpulse.lab.evaluate.text_behaviour import (
    CAPABILITIES,
    DIR,
    INV,
    Answer,
    Outcome,
    ask,
    rises,
    run_capability,
    stays,
)
from classpulse.lab.evaluate.text_behaviour_command import (
    describe_behaviour,
    printable,
    run_behaviour,
)
from classpulse.lab.evaluate.text_behaviour_names import NAMES, compare_names
from classpulse.lab.evaluate.text_behaviour_words import FEELINGS, MARKUP
from classpulse.lab.evaluate.text_classroom import judge_classroom, judge_states
from classpulse.text.states import STATES

Rule = Callable[[str], Mapping[str, float]]
OF_WORD = {word: label for label, words in FEELINGS.items() for word in words}


class Fake:
    """Answers with a rule: text -> label -> probability; the rest is shared by the others."""

    def __init__(
        self, rule: Rule, *, space: LabelSpace = TEXT_7, refuses: Callable[[str], bool] = bool
    ) -> None:
        self.rule, self.space, self.refuses = rule, space, refuses

    def predict(self, texts: Sequence[str]) -> Mapping[str, Scores]:
        probs = np.zeros((len(texts), len(self.space)), dtype=np.float32)
        for row, text in zip(probs, texts, strict=True):
            given = self.rule(text)
            row[:] = (1 - sum(given.values())) / (len(row) - len(given))
            for label, value in given.items():
                row[self.space.index(label)] = value
        return {"head": Scores(probs, self.space)}

    def abstentions(
        self, texts: Sequence[str], scores: Mapping[str, Scores]
    ) -> tuple[str | None, ...]:
        return tuple("not now" if self.refuses(text) else None for text in texts)


def never(text: str) -> bool:
    return False


def fake(rule: Rule, **options: Any) -> Fake:
    return Fake(rule, **({"refuses": never} | options))


def by_word(text: str) -> Mapping[str, float]:
    """The label of the feeling that is named, whatever stands around it."""
    found = re.search(rf"\b({'|'.join(OF_WORD)})\b", text)
    return {OF_WORD[found[1]]: 0.9} if found else {"neutral": 0.9}


def with_negation(text: str) -> Mapping[str, float]:
    return {"neutral": 0.9} if re.search(r"\bnot\b|n't|Nobody", text) else by_word(text)


def always_happy(text: str) -> Mapping[str, float]:
    return {"happy": 0.7}


def run(model: Fake, name: str, *, seed: int = 0) -> Outcome:
    found = run_capability(model, name, head="head", labels=model.space.names, seed=seed)
    assert found is not None
    return found


# --- the classroom set ---------------------------------------------------------------------------


def test_the_classroom_set_is_balanced_and_has_no_text_twice() -> None:
    texts = load_classroom()
    assert texts.space == TEXT_7 and len(texts) >= 180
    assert len({" ".join(text.lower().split()) for text in texts.texts}) == len(texts)
    assert min(texts.counts().values()) >= 0.9 * max(texts.counts().values())


def test_the_classroom_set_has_short_and_long_texts_emoji_and_typos() -> None:
    texts = load_classroom().texts
    words = [len(text.split()) for text in texts]
    assert min(words) <= 6 and max(words) >= 18
    assert sum(not text.isascii() for text in texts) >= 15
    assert sum(text == text.lower() for text in texts) >= 40


def test_five_classes_of_the_classroom_set_are_the_same_sentences() -> None:
    seven, five = load_classroom(), load_classroom(TEXT_5)
    kept = [
        (text, TEXT_7.names[label])
        for text, label in zip(seven.texts, seven.labels, strict=True)
        if TEXT_7.names[label] in TEXT_5.names
    ]
    assert five.space == TEXT_5
    named = [TEXT_5.names[label] for label in five.labels]
    assert list(zip(five.texts, named, strict=True)) == kept


def test_the_classroom_set_has_no_other_labels() -> None:
    with pytest.raises(InputError, match=r"no isear-7: give text-7 or text-5"):
        load_classroom(ISEAR_7)


def test_states_are_known_and_each_occurs() -> None:
    states = load_classroom_states()
    assert len(states) == len(load_classroom())
    assert set(states) == {"", *LEARNING_STATES} and set(STATES) < set(LEARNING_STATES)
    assert min(states.count(state) for state in LEARNING_STATES) >= 5


def test_a_model_that_knows_the_labels_is_right_in_all_of_them() -> None:
    texts = load_classroom()
    truth = dict(zip(texts.texts, texts.labels, strict=True))
    model = fake(lambda text: {TEXT_7.names[truth[text]]: 0.9}, refuses=lambda t: t.isascii())
    [row] = judge_classroom(model)
    assert row.n == len(texts) and row.accuracy.value == 1 and set(row.recall.values()) == {1}
    assert row.answered.value == sum(not t.isascii() for t in texts.texts) / len(texts)
    assert row.accuracy_answered is not None and row.accuracy_answered.value == 1


def test_a_model_of_five_labels_is_judged_on_five() -> None:
    [row] = judge_classroom(fake(always_happy, space=TEXT_5, refuses=bool))
    happy = load_classroom(TEXT_5).counts()["happy"]
    assert row.accuracy.value == happy / row.n and row.recall["happy"] == 1
    assert row.answered.value == 0 and row.accuracy_answered is None


class SaysConfused(Fake):
    """A head of GoEmotions that finds confusion where a question is asked."""

    def predict(self, texts: Sequence[str]) -> Mapping[str, Scores]:
        probs = np.zeros((len(texts), len(GOEMOTIONS_28)), dtype=np.float32)
        probs[["?" in text for text in texts], GOEMOTIONS_28.index("confusion")] = 0.4
        return {"goemotions": Scores(probs, GOEMOTIONS_28, exclusive=False)}


def test_states_are_told_by_the_labels_over_their_thresholds() -> None:
    model = SaysConfused(always_happy)
    asked = np.array(["?" in text for text in load_classroom().texts])
    confused = np.array(load_classroom_states()) == "confused"
    rows = {row.state: row for row in judge_states(model, {"goemotions": [0.3] * 28})}
    assert rows["confused"].found == asked.sum() and rows["confused"].n == confused.sum()
    assert rows["confused"].recall.value == (asked & confused).sum() / confused.sum()
    assert rows["curious"].found == 0 and rows["curious"].precision is None
    high = judge_states(model, {"goemotions": [0.5] * 28})
    assert [row.found for row in high] == [0, 0, 0]
    assert judge_states(fake(always_happy), {}) == ()


# --- what a case demands -------------------------------------------------------------------------


def answer(happy: float, refused: str | None = None) -> Answer:
    return Answer({"happy": happy, "sad": 1 - happy}, refused=refused)


@pytest.mark.parametrize(
    ("before", "after", "passes"),
    [
        (answer(0.9), answer(0.6), True),
        (answer(0.9), answer(0.4), False),
        (answer(0.53), answer(0.47), True),
        (answer(0.9), answer(0.9, "too short"), False),
        (answer(0.9, "too short"), answer(0.9), False),
        (answer(0.9, "too short"), answer(0.1, "unsure"), True),
    ],
)
def test_an_answer_stays_or_does_not(before: Answer, after: Answer, passes: bool) -> None:
    assert stays([before, after], "") is passes


@pytest.mark.parametrize(
    ("before", "after", "passes"),
    [
        (answer(0.5), answer(0.8), True),
        (answer(0.5), answer(0.45), True),
        (answer(0.5), answer(0.3), False),
        (answer(0.5), answer(0.9, "too short"), False),
        (answer(0.5, "too short"), answer(0.9, "too short"), True),
    ],
)
def test_a_probability_rises_or_does_not(before: Answer, after: Answer, passes: bool) -> None:
    assert rises([before, after], "happy") is passes


# --- the capabilities ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(CAPABILITIES))
def test_a_capability_has_cases_that_fit_its_kind(name: str) -> None:
    asked = CAPABILITIES.get(name)
    cases = asked.build(np.random.default_rng(1))
    assert len(cases) >= 10 and asked.asks
    assert {len(case.texts) for case in cases} == ({2} if asked.kind in (INV, DIR) else {1})
    assert all(case.label is None or case.label in TEXT_7.names for case in cases)
    assert all(
        "{" not in text or name in ("markup", "odd input") for c in cases for text in c.texts
    )


@pytest.mark.parametrize("name", list(CAPABILITIES))
def test_the_cases_of_a_seed_are_always_the_same(name: str) -> None:
    build = CAPABILITIES.get(name).build
    assert build(np.random.default_rng(3)) == build(np.random.default_rng(3))


@pytest.mark.parametrize("name", [n for n in CAPABILITIES if CAPABILITIES.get(n).kind == INV])
def test_an_invariance_case_changes_something(name: str) -> None:
    cases = CAPABILITIES.get(name).build(np.random.default_rng(2))
    changed = [case.texts[0] != case.texts[1] for case in cases]
    assert np.mean(changed) > 0.85  # topics and names may be drawn twice


def test_a_model_that_ignores_negation_fails_it() -> None:
    blind, careful = run(fake(by_word), "negation"), run(fake(with_negation), "negation")
    assert blind.failed.value == 1 and careful.failed.value == 0
    assert blind.failures[0].answers == (f"{blind.failures[0].label} 0.90",)


def test_a_model_of_words_finds_feelings_but_not_phrases() -> None:
    assert run(fake(by_word), "feelings").failed.value == 0
    assert run(fake(by_word), "phrases").failed.value > 0.8


@pytest.mark.parametrize("name", [n for n in CAPABILITIES if CAPABILITIES.get(n).kind != "MFT"])
def test_a_model_that_always_says_the_same_passes_every_invariance(name: str) -> None:
    found = run(fake(always_happy), name)
    assert found.failed.value == 0 and found.failed.high > 0 and found.failures == ()


@pytest.mark.parametrize("name", ["no words", "languages"])
def test_what_must_not_be_answered(name: str) -> None:
    talks, silent = (
        run(fake(always_happy), name),
        run(fake(always_happy, refuses=lambda t: True), name),
    )
    assert talks.failed.value == 1 and talks.refused == 0
    assert silent.failed.value == 0 and silent.refused == silent.n


def test_a_model_that_reads_capitals_as_anger_fails_upper_case() -> None:
    model = fake(lambda text: {"angry" if text.isupper() else "happy": 0.8})
    assert run(model, "upper case").failed.value == 1 and run(model, "lower case").failed.value == 0


def test_a_model_that_reads_markup_fails_it() -> None:
    model = fake(lambda text: {"sad" if "<" in text else "happy": 0.8})
    share = sum("<" in one for one in MARKUP) / len(MARKUP)
    assert run(model, "markup").failed.value == pytest.approx(share, abs=0.2)


def test_a_model_that_finds_very_happy_less_happy_fails_intensifiers() -> None:
    def weaker(text: str) -> Mapping[str, float]:
        return {label: p - 0.3 * ("very" in text) for label, p in by_word(text).items()}

    assert run(fake(weaker), "intensifiers").failed.value == pytest.approx(1 / 5)


def test_cases_of_labels_that_the_model_lacks_are_left_out() -> None:
    five = fake(always_happy, space=TEXT_5)
    words = sum(len(words) for label, words in FEELINGS.items() if label in TEXT_5.names)
    assert run(five, "topics").n == words


def test_a_capability_without_a_case_for_the_model_has_no_outcome() -> None:
    two = LabelSpace("two", ("calm", "upset"))
    model = fake(lambda text: {"calm": 0.6}, space=two)
    assert run_capability(model, "feelings", head="head", labels=two.names) is None


def test_an_unknown_capability_is_an_error() -> None:
    with pytest.raises(InputError, match=r"unknown capability 'irony'; known: feelings, "):
        run_capability(fake(always_happy), "irony", head="head", labels=TEXT_7.names)


def encodes(text: str) -> Mapping[str, float]:
    text.encode("utf-8")
    return {"happy": 0.7}


def test_a_crash_is_a_failure_of_the_texts_that_cause_it() -> None:
    found = run(fake(encodes), "odd input")
    assert found.crashed == 2 and found.failed.value == 2 / found.n
    assert all(one.answers[0].startswith("crashed: UnicodeEncodeError") for one in found.failures)


def test_a_text_is_asked_once() -> None:
    seen: list[str] = []
    ask(fake(lambda text: seen.append(text) or {"happy": 0.7}), ["a", "b", "a"], head="head")
    assert seen == ["a", "b"]


# --- names ---------------------------------------------------------------------------------------


def test_a_model_without_bias_shows_none() -> None:
    rows = compare_names(fake(by_word), head="head")
    assert {row.group for row in rows if row.by == "gender"} == {"girls", "boys"}
    assert sum(row.names for row in rows if row.by == "background") == 8 * len(NAMES)
    assert all(abs(one.value) < 1e-6 for row in rows for one in row.change.values())
    assert all(row.flipped.value == row.refused.value == 0 for row in rows)


def test_a_model_that_is_biased_shows_it_in_the_row_of_the_group() -> None:
    disliked = {*NAMES["Arabic", "boys"], *NAMES["Arabic", "girls"]}

    def rule(text: str) -> Mapping[str, float]:
        named = any(re.search(rf"\b{name}\b", text) for name in disliked)
        return {"angry": 0.6 if named else 0.1, "happy": 0.3}

    rows = {row.group: row for row in compare_names(fake(rule), head="head")}
    share = 16 / (8 * len(NAMES))
    assert rows["Arabic"].change["angry"].value == pytest.approx(0.5 * (1 - share), abs=1e-5)
    assert rows["Arabic"].change["angry"].low > 0.2 and rows["Arabic"].flipped.value == 1
    assert rows["English"].change["angry"].high < 0 and rows["English"].flipped.value == 0


def test_a_model_that_refuses_some_names_shows_it() -> None:
    names = NAMES["South Asian", "girls"]
    model = fake(always_happy, refuses=lambda text: any(name in text for name in names))
    rows = {row.group: row for row in compare_names(model, head="head")}
    assert rows["South Asian"].refused.value == 0.5 and rows["English"].refused.value == 0
    assert run(model, "names").failed.value > 0


def test_no_name_is_in_two_groups() -> None:
    names = [name for listed in NAMES.values() for name in listed]
    assert len(set(names)) == len(names) and {len(listed) for listed in NAMES.values()} == {8}


# --- the command ---------------------------------------------------------------------------------


def quiet(what: str, done: int, whole: int) -> None:
    """Nobody watches."""


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_artefact(tmp_path_factory.mktemp("behaviour") / "tiny")


@pytest.fixture(scope="module")
def results(artefact: Path) -> dict[str, Any]:
    return run_behaviour(str(artefact), on_step=quiet, report=artefact.parent / "report")


def test_the_results_are_plain_and_whole(results: dict[str, Any]) -> None:
    assert results["head"] == "text-5" and results["labels"] == list(TEXT_5.names)
    assert [row["capability"] for row in results["capabilities"]] == list(CAPABILITIES)
    assert [row["head"] for row in results["classroom"]] == ["text-5"]
    assert len(results["states"]) == len(STATES)


def test_the_text_names_every_capability_and_group(results: dict[str, Any]) -> None:
    text = describe_behaviour(results)
    assert all(f"\n{CAPABILITIES.get(name).kind}  {name} " in text for name in CAPABILITIES)
    assert all(row["group"] in text for row in results["names"])
    text.encode("utf-8")


def test_the_report_is_a_page_with_the_same_numbers(
    artefact: Path, results: dict[str, Any]
) -> None:
    folder = artefact.parent / "report"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert json.loads((folder / "results.json").read_text()) == json.loads(json.dumps(results))
    assert page.count("<table") >= 8 and "<script>" not in page
    assert all(row["asks"].replace("'", "&#39;") in page for row in results["capabilities"])


def test_the_command_prints_json(artefact: Path, command: Any) -> None:
    found = command("behave", artefact, "--seed", "1", "--json")
    assert found.code == 0 and json.loads(found.out)["seed"] == 1


def test_a_head_with_several_labels_a_text_is_refused(artefact: Path) -> None:
    with pytest.raises(InputError, match=r"'goemotions' of tiny gives several .* give text-5"):
        run_behaviour(str(artefact), labels="goemotions", on_step=quiet)


def test_a_model_for_faces_is_refused() -> None:
    with pytest.raises(ModelError, match="face"):
        run_behaviour("face-base", on_step=quiet)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("so happy 😊", "so happy 😊"),
        ("cut \ud83d", "cut \\ud83d"),
        ("a\u200bb\nc", "a\\u200bb\\nc"),
        ("x" * 200, "x" * 160 + " ..."),
    ],
)
def test_a_text_is_shown_so_that_it_can_be_seen(text: str, shown: str) -> None:
    assert printable(text) == shown
