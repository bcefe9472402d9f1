"""What a classic recipe can name: features, reductions and classifiers, each with its settings."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from typing import Any, Protocol

from sklearn.decomposition import NMF, PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.svm import LinearSVC

from classpulse.core.errors import InputError
from classpulse.core.registry import Registry
from classpulse.lab.classic.embedding import ArtefactEmbedding
from classpulse.lab.classic.features import check_settings
from classpulse.lab.classic.transformers import (
    GaborFeatures,
    HaarFeatures,
    HogFeatures,
    LbpFeatures,
    PictureFeatures,
)
from classpulse.lab.parallel.cascade import CascadeSVC
from classpulse.lab.parallel.svm import KERNELS, ParallelSVC
from classpulse.lab.train.kinds import check_ranges

Steps = list[tuple[str, Any]]  # as scikit-learn's Pipeline takes them
MAX_STEPS = 20_000  # of the solver of a linear SVM
MOST = 10**6  # components, of more features than any kind makes of an ordinary picture
MOST_LANDMARKS = 10_000  # the map inverts a matrix of so many rows and columns
LEAST = 1e-9  # of what has to be positive


# --- features ----------------------------------------------------------------------------------

PIXELS = "pixels"  # no features at all
ESTIMATORS: dict[str, type[PictureFeatures]] = {
    "lbp": LbpFeatures,
    "hog": HogFeatures,
    "gabor": GaborFeatures,
    "haar": HaarFeatures,
    "embedding": ArtefactEmbedding,
}


@dataclass(frozen=True)
class Pixels:
    """The pixels themselves."""


def _settings_of(kind: str, features: type[PictureFeatures]) -> type:
    """A dataclass with the parameters of an estimator, so that defaults stand in one place."""

    def check(settings: Any) -> None:
        check_settings(kind, vars(settings))
        if kind == "embedding":
            check_ranges(threads=(settings.threads, 1, 256))

    parameters = inspect.signature(features).parameters.values()
    fields = [
        (one.name, one.annotation, field(default=one.default))
        for one in parameters
        if one.name != "height"  # all pictures of a recipe are square
    ]
    namespace = {"__post_init__": check}
    return make_dataclass(features.__name__, fields, frozen=True, namespace=namespace)


FEATURE_KINDS: Registry[type[Any]] = Registry("kind of features")
FEATURE_KINDS.register(PIXELS)(Pixels)
for _name, _features in ESTIMATORS.items():
    FEATURE_KINDS.register(_name)(_settings_of(_name, _features))


def build_features(kind: str, settings: Any) -> Steps:
    """The step that makes features from pixels; none for the pixels themselves."""
    if kind == PIXELS:
        return []
    return [("features", ESTIMATORS[kind](**vars(settings)))]


# --- reductions and classifiers ----------------------------------------------------------------


class Part(Protocol):
    """Settings of a reduction or of a classifier."""

    def build(self, seed: int) -> Steps:
        """Its steps, not fitted."""
        ...

    def searched(self) -> Mapping[str, str]:
        """Names of values that may be searched -> names of scikit-learn's parameters."""
        ...


def _need_whole(components: float, needed: str) -> None:
    if components != int(components):
        raise InputError(f"components = {components}: needs {needed}")


REDUCTIONS: Registry[type[Part]] = Registry("reduction")
CLASSIFIERS: Registry[type[Part]] = Registry("classifier")


@REDUCTIONS.register("none")
@dataclass(frozen=True, slots=True)
class NoReduction:
    """Features as they are."""

    def build(self, seed: int) -> Steps:
        return []

    def searched(self) -> Mapping[str, str]:
        return {}


@REDUCTIONS.register("pca")
@dataclass(frozen=True, slots=True)
class Pca:
    """Principal components (paper, eq. 5).

    Args:
        components: how many; below 1, the share of the variance that they have to explain.
    """

    components: float = 0.95

    def __post_init__(self) -> None:
        check_ranges(components=(self.components, LEAST, MOST))
        if self.components > 1:
            _need_whole(self.components, "a share below 1 or a whole number")

    def build(self, seed: int) -> Steps:
        count = self.components if self.components < 1 else int(self.components)
        return [("reduce", PCA(count, random_state=seed))]

    def searched(self) -> Mapping[str, str]:
        return {"components": "reduce__n_components"}


@REDUCTIONS.register("nmf")
@dataclass(frozen=True, slots=True)
class Nmf:
    """Non-negative matrix factorization, the factorization of the paper's hypothesis 2.

    Args:
        components: how many.
        steps: of the solver, at most.
    """

    components: int = 64
    steps: int = 200

    def __post_init__(self) -> None:
        check_ranges(components=(self.components, 1, MOST), steps=(self.steps, 1, MOST))
        _need_whole(self.components, "a whole number")  # those of a search come as floats

    def build(self, seed: int) -> Steps:
        nmf = NMF(self.components, init="nndsvda", max_iter=self.steps, tol=1e-3, random_state=seed)
        return [("reduce", nmf)]

    def searched(self) -> Mapping[str, str]:
        return {"components": "reduce__n_components"}


@CLASSIFIERS.register("svm")
@dataclass(frozen=True, slots=True)
class Svm:
    """Support vector machine with a kernel, one against one (paper, eq. 6).

    Workers train the pairs of classes (eq. 25), to the machine that scikit-learn's SVC is.

    Args:
        kernel: in `KERNELS`.
        c: price of a training row inside the margin or beyond it.
        gamma: of poly and rbf; 0 is 1 / (dimensions * variance).
        degree: of poly.
        balanced: a row costs more, the rarer its class.
    """

    kernel: str = "rbf"
    c: float = 1.0
    gamma: float = 0.0
    degree: int = 3
    balanced: bool = False

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise InputError(f"kernel = {self.kernel!r}: needs one of {', '.join(KERNELS)}")
        check_ranges(c=(self.c, LEAST, 1e9), gamma=(self.gamma, 0, 1e9), degree=(self.degree, 1, 9))

    def build(self, seed: int) -> Steps:
        return [("svm", ParallelSVC(**self.shared()))]

    def searched(self) -> Mapping[str, str]:
        return {"c": "svm__C", "gamma": "svm__gamma"}

    def shared(self) -> dict[str, Any]:
        """What the machine and a cascade of such machines are made of."""
        return {
            "C": self.c,
            "kernel": self.kernel,
            "gamma": self.gamma or "scale",
            "degree": self.degree,
            "coef0": 1.0 if self.kernel == "poly" else 0.0,  # else odd degrees know no even part
            "class_weight": "balanced" if self.balanced else None,
            "break_ties": True,  # the largest decision value answers, as in the exported graph
        }


@CLASSIFIERS.register("cascade-svm")
@dataclass(frozen=True, slots=True)
class CascadeSvm(Svm):
    """The same machine by a cascade of parts of the data, which workers train (paper, eq. 25).

    Args:
        parts: that the data are dealt into.
        rounds: at most; after the first one the machine is close to that of all data.
    """

    parts: int = 4
    rounds: int = 3

    def __post_init__(self) -> None:
        Svm.__post_init__(self)
        check_ranges(parts=(self.parts, 2, 1024), rounds=(self.rounds, 1, 100))

    def build(self, seed: int) -> Steps:
        return [("svm", CascadeSVC(**self.shared(), parts=self.parts, rounds=self.rounds))]


@CLASSIFIERS.register("linear-svm")
@dataclass(frozen=True, slots=True)
class LinearSvm:
    """Linear machines, one against the rest.

    Args:
        c, balanced: as in `Svm`.
    """

    c: float = 1.0
    balanced: bool = False

    def __post_init__(self) -> None:
        check_ranges(c=(self.c, LEAST, 1e9))

    def build(self, seed: int) -> Steps:
        machine = LinearSVC(
            C=self.c,
            class_weight="balanced" if self.balanced else None,
            dual="auto",
            max_iter=MAX_STEPS,
            random_state=seed,
        )
        return [("svm", machine)]

    def searched(self) -> Mapping[str, str]:
        return {"c": "svm__C"}


@CLASSIFIERS.register("nystroem")
@dataclass(frozen=True, slots=True)
class NystroemSvm:
    """Linear machines on an approximate RBF kernel map (Williams and Seeger 2001).

    Args:
        landmarks: training rows that the map is made of.
        gamma: of the kernel; 0 is 1 / dimensions.
        c, balanced: as in `Svm`.
    """

    landmarks: int = 500
    gamma: float = 0.0
    c: float = 1.0
    balanced: bool = False

    def __post_init__(self) -> None:
        check_ranges(landmarks=(self.landmarks, 1, MOST_LANDMARKS), gamma=(self.gamma, 0, 1e9))
        check_ranges(c=(self.c, LEAST, 1e9))

    def build(self, seed: int) -> Steps:
        gamma = self.gamma or None
        mapped = Nystroem("rbf", gamma=gamma, n_components=self.landmarks, random_state=seed)
        return [("map", mapped), *LinearSvm(self.c, self.balanced).build(seed)]

    def searched(self) -> Mapping[str, str]:
        return {"c": "svm__C", "gamma": "map__gamma"}
