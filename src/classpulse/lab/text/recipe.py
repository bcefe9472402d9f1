"""A recipe for texts: corpora, network, and everything else that a training run depends on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from classpulse.core.build import build_dataclass
from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.claims import Claim
from classpulse.lab.data.corpora import CORPORA
from classpulse.lab.models.text_registry import TEXT_MODELS, TransformerMean
from classpulse.lab.recipe_file import is_of_text, read_table
from classpulse.lab.text.augment import TextAugment
from classpulse.lab.text.baseline import BASELINES
from classpulse.lab.text.compose import BESIDE, COMPOSITIONS
from classpulse.lab.text.heads import AUXILIARY, HEAD_SPACES, MULTI
from classpulse.lab.train.average import Averaging
from classpulse.lab.train.kinds import Choice, check_ranges, parse_choice
from classpulse.lab.train.losses import LOSSES, CrossEntropy, Loss
from classpulse.lab.train.optim import OPTIMIZERS, AdamW, OptimizerSettings
from classpulse.lab.train.rate import LearningRate
from classpulse.lab.train.schedule import SCHEDULES, OneCycle
from classpulse.lab.train.stopping import Stopping
from classpulse.lab.train.teach import Teaching
from classpulse.text.encode import find_cleaner

PRECISIONS = ("float32", "int8", "int8-weights", "int6-weights")


@dataclass(frozen=True, slots=True)
class Encode:
    """What becomes of a text before the network sees it.

    Args:
        clean: name in `text.clean.CLEANERS`.
        max_tokens: the rest is cut; 99 % of ISEAR has at most 72 words (seed-thesis D.5).
        lemmatize: lemmas instead of words, by spaCy; such a network cannot be exported, since the
            room has no spaCy.
    """

    clean: str = "plain"
    max_tokens: int = 128
    lemmatize: bool = False

    def __post_init__(self) -> None:
        find_cleaner(self.clean)
        check_ranges(max_tokens=(self.max_tokens, 3, 512))


@dataclass(frozen=True, slots=True)
class TextData:
    """What a recipe learns from.

    Args:
        sets: corpora in `CORPORA`; the user gives a path for each.
        compose: head -> set in `COMPOSITIONS` that it is trained, validated and tested on. A row
            that is held out for one head is a training row for none.
        extra: corpus -> weight of its other rows in the heads of `compose`, by the rules in
            `core.labels`; GoEmotions with one label alone. Its own head, if the recipe has it,
            learns from all of its texts with full weight.
        extra_rows: of further rows, drawn anew for each epoch; 0 takes all of them.
        unlabelled: corpora whose other texts stand in every epoch too, for teachers to label: of
            ISEAR those of shame and guilt.
        dedup: leave texts out of training that stand in a held-out part. Further rows are always
            without them.
        hold_beside: hold out the sets of `BESIDE` too, so that heads are judged on all of their
            corpora and not only on what is left of them. None, not False: a run that was begun
            before there was a choice goes on.
    """

    sets: tuple[str, ...] = ("isear",)
    compose: dict[str, str] = field(default_factory=lambda: {"text-5": "five"})
    extra: dict[str, float] = field(default_factory=dict)
    extra_rows: int = 0
    unlabelled: tuple[str, ...] = ()
    dedup: bool = False
    hold_beside: bool | None = None

    def __post_init__(self) -> None:
        for name in (*self.sets, *self.extra, *self.unlabelled):
            CORPORA.get(name)
        for head, how in self.compose.items():
            needs = set(COMPOSITIONS.get(how).corpora)
            if head not in HEAD_SPACES or head in MULTI or needs - set(self.sets):
                raise InputError(
                    f"compose: {head} of '{how}': needs a head of "
                    f"{', '.join(sorted(HEAD_SPACES.keys() - MULTI))} and the sets "
                    f"{', '.join(sorted(needs))}"
                )
        beside = [COMPOSITIONS.get(BESIDE[head]).corpora for head in self.compose if head in BESIDE]
        if self.hold_beside and not any(set(needs) <= set(self.sets) for needs in beside):
            raise InputError(
                f"hold_beside: needs a head of {', '.join(BESIDE)} and the sets of "
                f"{', '.join(BESIDE.values())}"
            )
        for key, names in (("extra", self.extra), ("unlabelled", self.unlabelled)):
            if set(names) - set(self.sets):
                raise InputError(f"{key}: {', '.join(names)} must be among the sets")
        check_ranges(
            extra_rows=(self.extra_rows, 0, float("inf")),
            extra=(min(self.extra.values(), default=0), 0, 100),
        )


@dataclass(frozen=True, slots=True)
class TextSchedule:
    """How long and on what.

    Args:
        epochs, batch: rows of a step; those of a batch are of like length.
        encoder_rate: of the token source, as a share of the heads' learning rate.
        clip: largest norm of a step's gradient; 0 for any.
        word_dropout: share of tokens that training hides from the network.
        label_smoothing: of one-hot targets.
        consistency: weight of what two passes with different dropout differ by
            (`heads.disagreement`); one pass, at half the time, where there is none.
        seed: of the split and of new weights, and of order and dropout unless they have one.
        noise_seed: of order, dropout and hidden tokens: runs that differ in nothing else can be
            averaged (`text.soup`).
    """

    epochs: int = 8
    batch: int = 16
    encoder_rate: float = 0.1
    clip: float = 1.0
    word_dropout: float = 0.0
    label_smoothing: float = 0.1
    consistency: float | None = None
    seed: int = 42
    noise_seed: int | None = None

    def __post_init__(self) -> None:
        check_ranges(
            epochs=(self.epochs, 1, 10_000),
            batch=(self.batch, 1, 4096),
            encoder_rate=(self.encoder_rate, 0, 1),
            clip=(self.clip, 0, float("inf")),
            word_dropout=(self.word_dropout, 0, 0.9),
            label_smoothing=(self.label_smoothing, 0, 1),
            consistency=(self.consistency or 0, 0, 100),
        )


@dataclass(frozen=True, slots=True)
class Hint:
    """A trained network whose vector of a text this one learns to tell too.

    FitNets' hint (Romero et al. 2015) at the last layer before the heads: it says more of a text
    than the teachers' few probabilities.

    Args:
        run: folder of a run of a recipe for texts that held out the same rows.
        weight: in the loss, of the mean cosine distance between its vectors, less their mean, and
            a linear map of the own ones, which no artefact has.
    """

    run: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.run:
            raise InputError("hint needs the folder of a run")
        check_ranges(weight=(self.weight, 0, 1000))

    def describe(self) -> str:
        """For the card."""
        return f"hints, weight {self.weight:g}, from {self.run}"


@dataclass(frozen=True, slots=True)
class TextRecipe:
    """A whole training run on texts.

    Args:
        name: also the name of the artefact.
        summary: one sentence for the card.
        heads: head in `HEAD_SPACES` -> weight of its loss.
        precision: of the artefact, one of `PRECISIONS`; training is in float32.
        encode: what becomes of a text.
        data: corpora, split and what is added to them.
        network: kind in `TEXT_MODELS` or `BASELINES` and its settings.
        start: folder of a run whose token source this one begins with, and its heads where both
            have them; empty for the network's own.
        optimizer, rate, loss: kinds in `OPTIMIZERS`, `SCHEDULES` and `LOSSES`.
        teach: artefacts that give part of every target; None for labels alone.
        teach_unlabelled: weight of their answer where a row has no label of a head.
        teach_variants: whether they are asked about each variant of `augment` too, whose words
            may have moved it to another label; else it has the target of its text.
        teach_further: whether they, and the hint's network, are asked about the further rows of
            `data.extra` too; else these keep their own labels alone.
        hint: a network whose vectors are told too; None for none.
        schedule, averaging, stopping, augment: see there.
        claims: numbers reached with it.

    Raises:
        InputError: an unknown head, one that learns from nothing, or a rate that does not fit.
    """

    name: str
    summary: str
    heads: dict[str, float]
    precision: str = "int8"
    encode: Encode = field(default_factory=Encode)
    data: TextData = field(default_factory=TextData)
    network: Choice[Any] = field(
        default_factory=lambda: Choice("transformer-mean", TransformerMean())
    )
    start: str = ""
    optimizer: Choice[OptimizerSettings] = field(default_factory=lambda: Choice("adamw", AdamW()))
    rate: Choice[LearningRate] = field(default_factory=lambda: Choice("one-cycle", OneCycle()))
    loss: Choice[Loss] = field(default_factory=lambda: Choice("cross-entropy", CrossEntropy()))
    teach: Teaching | None = None
    teach_unlabelled: float = 0.0
    teach_variants: bool = False
    teach_further: bool = True
    hint: Hint | None = None
    schedule: TextSchedule = field(default_factory=TextSchedule)
    averaging: Averaging = field(default_factory=Averaging)
    stopping: Stopping = field(default_factory=Stopping)
    augment: TextAugment = field(default_factory=TextAugment)
    claims: tuple[Claim, ...] = ()

    def __post_init__(self) -> None:
        learned = set(self.data.compose) | ({"goemotions"} & set(self.data.sets))
        if not set(self.heads) - AUXILIARY or set(self.heads) - learned:
            raise InputError(
                f"recipe {self.name} has the heads {', '.join(self.heads) or 'none'} and data for "
                f"{', '.join(sorted(learned)) or 'none'}: every head needs data, and one of them "
                f"must be more than a help ({', '.join(AUXILIARY)})"
            )
        if self.precision not in PRECISIONS:
            known = ", ".join(PRECISIONS)
            raise InputError(f"recipe {self.name}: precision '{self.precision}': needs {known}")
        self.rate.settings.check(self.schedule.epochs)
        check_ranges(teach_unlabelled=(self.teach_unlabelled, 0, 1))
        if self.data.unlabelled and not (self.teach and self.teach_unlabelled):
            raise InputError("data.unlabelled: needs teachers in [teach] and teach_unlabelled")
        if not self.teach_further and self.teach is None and self.hint is None:
            raise InputError("teach_further = false: needs teachers in [teach], or a [hint]")
        how = self.augment
        if self.teach_variants and not (self.teach and (how.operations or how.splices)):
            raise InputError(
                "teach_variants: needs teachers in [teach] and operations or splices in [augment]"
            )
        if how.splices and not (self.teach_variants and self.teach_unlabelled):
            raise InputError("augment.splices: needs teach_variants and teach_unlabelled")

    @property
    def published(self) -> tuple[str, ...]:
        """Heads that the artefact has."""
        return tuple(head for head in self.heads if head not in AUXILIARY)

    @property
    def judged(self) -> tuple[str, ...]:
        """Heads by whose validation accuracy an epoch is the best: those with one label a text."""
        return tuple(head for head in self.published if head not in MULTI) or self.published


_KINDS: dict[str, tuple[Registry[Any], str]] = {
    "optimizer": (OPTIMIZERS, "adamw"),
    "rate": (SCHEDULES, "one-cycle"),
    "loss": (LOSSES, "cross-entropy"),
}


def load_text_recipe(name_or_path: str, *, changes: Sequence[str] = ()) -> TextRecipe:
    """Read a shipped text recipe by name or any by path; see `lab.recipe.load_recipe`.

    Raises:
        InputError: as there, or it is no recipe for texts.
    """
    table = read_table(name_or_path, changes=changes)
    where = f"recipe {name_or_path}"
    if not is_of_text(table):
        raise InputError(f"{where} has no table [encode]: it is not for texts")
    choices: dict[str, Any] = {}
    if "network" in table:
        given = table.pop("network")
        kind = given.get("kind") if isinstance(given, dict) else None
        registry: Registry[Any] = BASELINES if kind in set(BASELINES) else TEXT_MODELS
        choices["network"] = parse_choice(
            registry, given, default="transformer-mean", where=f"{where}: network"
        )
    for name, (known, default) in _KINDS.items():
        if name in table:
            choices[name] = parse_choice(
                known, table.pop(name), default=default, where=f"{where}: {name}"
            )
    rest: TextRecipe = build_dataclass(
        TextRecipe, table, where=where, error=InputError, partial=True
    )
    return replace(rest, **choices)


def text_recipe_table(recipe: TextRecipe) -> dict[str, Any]:
    """The whole recipe as plain values, every default written out; a file of it loads again."""
    table = asdict(recipe)
    for name in ("network", *_KINDS):
        table[name] = {"kind": table[name]["kind"], **table[name]["settings"]}
    return table


def is_baseline(recipe: TextRecipe) -> bool:
    """Whether the recipe fits a baseline of `BASELINES`, which has no epochs and no artefact."""
    return recipe.network.kind in set(BASELINES)
