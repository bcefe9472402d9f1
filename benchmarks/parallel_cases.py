"""What `parallel.py` measures: each part of the study with its data, serially and by workers.

To add one, write a `Case` into `CASES`: the page and the laws follow. A part that starts its own
processes, as training does, takes `pool.count` from a pool of threads and gives its own seconds,
without the start, in its `Outcome`.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from measure import FER
from numpy.typing import NDArray

from classpulse.lab.parallel.workers import Load, Workers

RUNS = 3  # of a part; more where they differ much
COMPONENTS = 64  # of the PCA before the machines, eq. 5
CHANNELS, FEW, KERNEL, ACROSS = 64, 16, 5, 512  # of the convolution, and of a narrow one
WINDOWS = 50  # in a row of the large picture
CORES = os.cpu_count() or 1
HELD = 500  # pictures that predictions are compared on
BATCH, EPOCHS = 256, 4  # of a training: of all workers together; the first epoch is not measured

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What work gave.

    Args:
        result: to be compared.
        load: who did how much, empty where nobody says.
        seconds: its own, if the wall clock of the whole call would say something else.
        idle: seconds that it would take if nobody computed beside it, if it knows.
        split: how the work was cut, for the page, if the part tells.
    """

    result: Any
    load: Load
    seconds: float | None = None
    idle: float | None = None
    split: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """A part of the study.

    Args:
        title: for the page; unit: what a size counts.
        base: size for one worker; n workers get n times as much for Gustafson's law.
        build: size -> data, the same at every call, also in another process.
        serial: the same work without a pool; may give an `Outcome` as well.
        parallel: by an open pool.
        compare: (data, serial result, parallel result) -> facts for the page.
        beside: name -> the same work by another library, which sets its own threads.
        kind: of the workers.
        warm: False where a call leaves out its own first run.
        runs: that medians are of.
    """

    title: str
    unit: str
    base: int
    build: Callable[[int], Any]
    serial: Callable[[Any], Any]
    parallel: Callable[[Any, Workers], Outcome]
    compare: Callable[[Any, Any, Any], dict[str, Any]]
    beside: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    kind: str = "processes"
    warm: bool = True
    runs: int = RUNS


# --- data ----------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def read_faces() -> tuple[Array, Array]:
    """FER2013's training pictures (n, 48, 48) uint8 and labels; noise where it is not at hand."""
    if FER.is_file():
        from classpulse.lab.data.fer2013 import load_fer2013

        faces = load_fer2013(FER, part="Training")
        return faces.images, faces.labels
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (30_000, 48, 48), dtype=np.uint8), rng.integers(0, 7, 30_000)


def build_pictures(n: int) -> Array:
    return np.array(read_faces()[0][:n])


def build_mosaic(rows: int, columns: int) -> Array:
    """(48 rows, 48 columns) uint8, a wall of faces."""
    faces = read_faces()[0][: rows * columns]
    return faces.reshape(rows, columns, 48, 48).transpose(0, 2, 1, 3).reshape(rows * 48, -1)


def build_wall(rows: int) -> Array:
    """A picture with `rows` rows of overlapping windows."""
    high, wide = 48 + (rows - 1) * 24, 48 + (WINDOWS - 1) * 24
    return build_mosaic(-(-high // 48), -(-wide // 48))[:high, :wide]


def build_frame(size: int) -> Any:
    """A 16:9 frame of `size` times 640 x 360 pixels."""
    import cv2

    from classpulse.core.records import Frame

    high = round(360 * size**0.5)
    grey = cv2.resize(build_mosaic(5, 9), (high * 16 // 9, high))
    return Frame(np.repeat(grey[:, :, None], 3, axis=2), 0.0, 0, "mosaic")


def build_maps(rows: int, channels: int = CHANNELS) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, channels, rows, ACROSS)).astype(np.float32)
    return x, rng.normal(size=(channels, channels, KERNEL, KERNEL)).astype(np.float32)


@lru_cache(maxsize=2)
def build_rows(n: int, components: int = COMPONENTS) -> tuple[Array, Array, Array]:
    """HOG features of n faces after PCA, their labels, and features of `HELD` others."""
    from sklearn.decomposition import PCA

    from classpulse.lab.classic.features import hog

    images, labels = read_faces()
    features = hog(images[: n + HELD]).astype(np.float64)
    most = min(components, n, features.shape[1])
    pca = PCA(most, random_state=0).fit(features[:n])
    return pca.transform(features[:n]), np.array(labels[:n]), pca.transform(features[n:])


# --- the parts -----------------------------------------------------------------------------------


def features_serial(name: str, pictures: Array) -> Array:
    from classpulse.lab.classic.features import FEATURES

    return FEATURES[name](pictures)


def features_parallel(name: str, pictures: Array, pool: Workers) -> Outcome:
    from classpulse.lab.parallel.features import extract_batch

    return Outcome(*extract_batch(pictures, name, pool=pool))


def gabor_torch(threads: int, pictures: Array) -> Array:
    """The magnitudes of the bank's answers, without their means over a grid."""
    import torch
    from skimage.filters import gabor_kernel

    torch.set_num_threads(threads)
    bank = [gabor_kernel(1 / w, theta=np.pi * turn / 6) for w in (4, 6, 9) for turn in range(6)]
    high, wide = (max(kernel.shape[axis] for kernel in bank) for axis in (0, 1))
    weight = np.zeros((2, len(bank), 1, high, wide), dtype=np.float32)
    for i, kernel in enumerate(bank):  # all are of odd sides
        top, left = (high - kernel.shape[0]) // 2, (wide - kernel.shape[1]) // 2
        place = np.s_[i, 0, top : top + kernel.shape[0], left : left + kernel.shape[1]]
        weight[0][place], weight[1][place] = kernel.real, kernel.imag
    with torch.inference_mode():
        x = torch.from_numpy(pictures.astype(np.float32))[:, None]
        both = torch.from_numpy(weight.reshape(-1, 1, high, wide))
        answers = torch.nn.functional.conv2d(x, both, padding=(high // 2, wide // 2))
        return torch.hypot(*answers.chunk(2, dim=1)).numpy()


def hog_opencv(pictures: Array) -> Array:
    import cv2

    cv2.setNumThreads(1)
    find = cv2.HOGDescriptor((48, 48), (16, 16), (8, 8), (8, 8), 9)
    return np.stack([find.compute(picture) for picture in pictures])


def windows_serial(picture: Array) -> Array:
    from classpulse.lab.parallel.features import extract_windows

    return extract_windows(picture, "lbp")[0]


def windows_parallel(picture: Array, pool: Workers) -> Outcome:
    from classpulse.lab.parallel.features import extract_windows

    return Outcome(*extract_windows(picture, "lbp", pool=pool))


def faces_serial(frame: Any) -> Array:
    from classpulse.vision.detect import Haar

    return Haar()(frame).box


def faces_opencv(threads: int, frame: Any) -> Array:
    import cv2

    cv2.setNumThreads(threads)
    return faces_serial(frame)


def faces_parallel(frame: Any, pool: Workers) -> Outcome:
    from classpulse.lab.parallel.detection import detect_tiles

    return Outcome(*detect_tiles(frame, pool=pool))


def maps_serial(data: tuple[Array, Array]) -> Array:
    from classpulse.lab.parallel.convolution import conv2d

    return conv2d(*data, padding=KERNEL // 2)[0]


def maps_torch(threads: int, data: tuple[Array, Array]) -> Array:
    import torch

    torch.set_num_threads(threads)
    with torch.inference_mode():
        x, weight = map(torch.from_numpy, data)
        return torch.nn.functional.conv2d(x, weight, padding=KERNEL // 2).numpy()


def maps_parallel(data: tuple[Array, Array], pool: Workers) -> Outcome:
    from classpulse.lab.parallel.convolution import conv2d

    result, split = conv2d(*data, padding=KERNEL // 2, pool=pool)
    cut = {"tile": list(split.tile), "tiles": split.tiles, "halo": split.halo}
    return Outcome(result, split.load, split=cut)


def svc_serial(data: tuple[Array, Array, Array]) -> Any:
    from sklearn.svm import SVC

    return SVC().fit(data[0], data[1])


def rest_serial(data: tuple[Array, Array, Array]) -> Any:
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import SVC

    return OneVsRestClassifier(SVC()).fit(data[0], data[1])


def svc_parallel(scheme: str, data: tuple[Array, Array, Array], pool: Workers) -> Outcome:
    from classpulse.lab.parallel.svm import ParallelSVC

    machine = ParallelSVC(scheme=scheme).fit_with(data[0], data[1], pool)
    return Outcome(machine, machine.load_)


def cascade_parallel(rounds: int, data: tuple[Array, Array, Array], pool: Workers) -> Outcome:
    from classpulse.lab.parallel.cascade import CascadeSVC

    machine = CascadeSVC(rounds=rounds).fit_with(data[0], data[1], pool)
    used = tuple(seconds for load in machine.loads_ for seconds in load.processor)
    return Outcome(machine, replace(machine.loads_[0], processor=used))


def descend(
    network: str, scheme: str | None, pictures: int, pool: Workers | None = None
) -> Outcome:
    """A median epoch of a network of `parallel_descent.NETWORKS`, its loss as the result."""
    from parallel_descent import NETWORKS, build_recipe, first_pictures, settled, train_epochs

    from classpulse.lab.train.parallel.settings import Parallel

    recipe = build_recipe(NETWORKS[network], side=32, batch=BATCH, epochs=EPOCHS)
    how = Parallel(scheme, pool.count) if scheme and pool else None
    found = settled(train_epochs(how, recipe, first_pictures(recipe, pictures)))
    steps, workers = found["steps"], pool.count if pool else 1
    # "ddp" gives every worker a part of each step, the others give whole steps to some of them
    each = found["compute_seconds"] * steps / (1 if scheme == "ddp" else workers)
    idle = each + found["update_seconds"] * steps
    return Outcome(found["loss"], Load(), found["step_seconds"] * steps, idle)


# --- what is the same ----------------------------------------------------------------------------


def same_bits(data: Any, serial: Array, parallel: Array) -> dict[str, Any]:
    return {"identical": bool(np.array_equal(serial, parallel))}


def near_torch(data: Any, serial: Array, parallel: Array) -> dict[str, Any]:
    off = np.abs(maps_torch(1, data) - parallel) / max(float(np.abs(serial).max()), 1e-9)
    return same_bits(data, serial, parallel) | {"off_torch": float(off.max())}


def same_machine(data: tuple[Array, Array, Array], serial: Any, parallel: Any) -> dict[str, Any]:
    """Predictions on held-out pictures and support vectors, beside the serial machine's."""
    machines = getattr(serial, "estimators_", [serial])  # one for each class, or one for all
    return {
        "as_serial": float(np.mean(serial.predict(data[2]) == parallel.predict(data[2]))),
        "support_vectors": len(parallel.support_),
        "support_vectors_serial": len(
            np.unique(np.concatenate([one.support_ for one in machines]))
        ),
    }


def near_loss(data: Any, serial: Outcome, parallel: float) -> dict[str, Any]:
    return {"loss": parallel, "loss_alone": serial.result}


def _features(
    name: str, title: str, base: int = 500, beside: dict[str, Callable[[Any], Any]] | None = None
) -> Case:
    return Case(
        f"{title}, batches of pictures",
        "pictures of 48 x 48",
        base,
        build_pictures,
        partial(features_serial, name),
        partial(features_parallel, name),
        same_bits,
        beside or {},
    )


def _by_torch(work: Callable[[int, Any], Any]) -> dict[str, Callable[[Any], Any]]:
    """The same work by torch with one thread, and with one for each core."""
    return {f"torch, {n} threads": partial(work, n) for n in dict.fromkeys((1, CORES))}


def _convolution(kind: str, channels: int = CHANNELS) -> Case:
    return Case(
        f"Tiled convolution by {kind}, {channels} to {channels} channels, {KERNEL} x {KERNEL}",
        f"rows of {ACROSS} pixels",
        256 * CHANNELS // channels,
        partial(build_maps, channels=channels),
        maps_serial,
        maps_parallel,
        near_torch,
        _by_torch(maps_torch),
        kind,
        runs=5,
    )


def _machines(title: str, serial: Callable[..., Any], parallel: Callable[..., Outcome]) -> Case:
    return Case(title, "training pictures", 1000, build_rows, serial, parallel, same_machine)


def _training(scheme: str, title: str, network: str = "small") -> Case:
    return Case(
        f"{title}, {network} network, batches of {BATCH}",
        "pictures in an epoch",
        512,
        int,
        partial(descend, network, None),
        partial(descend, network, scheme),
        near_loss,
        kind="threads",
        warm=False,
    )


CASES: dict[str, Case] = {
    "lbp": _features("lbp", "Local binary patterns"),
    "hog": _features(
        "hog", "Histograms of oriented gradients", beside={"OpenCV, 1 thread": hog_opencv}
    ),
    "gabor": _features("gabor", "Gabor filters", beside=_by_torch(gabor_torch)),
    "haar": _features("haar", "Haar-like features on integral images", 3000),
    "blocks": Case(
        "Local binary patterns, blocks of one large picture",
        f"rows of {WINDOWS} windows",
        8,
        build_wall,
        windows_serial,
        windows_parallel,
        same_bits,
    ),
    "viola-jones": Case(
        "Viola-Jones detection, tiles of the pyramid's levels",
        "times 640 x 360 pixels",
        1,
        build_frame,
        faces_serial,
        faces_parallel,
        same_bits,
        {"OpenCV, all threads": partial(faces_opencv, CORES)},
    ),
    "convolution": _convolution("threads"),
    "convolution-narrow": _convolution("threads", FEW),
    "convolution-processes": _convolution("processes"),
    "svm-one-vs-one": _machines(
        "SVM, one against one", svc_serial, partial(svc_parallel, "one-vs-one")
    ),
    "svm-one-vs-rest": _machines(
        "SVM, one against rest", rest_serial, partial(svc_parallel, "one-vs-rest")
    ),
    "svm-cascade": _machines(
        "SVM, cascade of four parts, one round", svc_serial, partial(cascade_parallel, 1)
    ),
    "ddp": _training("ddp", "Training, gradients averaged at every step", "large"),
    "ddp-small": _training("ddp", "Training, gradients averaged at every step"),
    "async": _training("async", "Training, gradients applied when they come"),
    "hogwild": _training("hogwild", "Training, weights in shared memory"),
}
