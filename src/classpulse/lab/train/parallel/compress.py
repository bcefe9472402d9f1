"""What the workers of "ddp" send each other instead of whole gradients, and how many bytes.

torch's DistributedDataParallel collects gradients in buckets and asks a hook for the mean of each
bucket over the workers. fp16, bf16 and PowerSGD (Vogels et al. 2019) are torch's; top-k with error
feedback (Stich et al. 2018, algorithm 1) is ours.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, distributed
from torch.distributed import GradBucket  # type: ignore[attr-defined]
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks, powerSGD_hook
from torch.futures import Future

from classpulse.core.registry import Registry

WHOLE_STEPS = 2  # torch rebuilds its buckets after the first step, so memories begin after it
RANK = 2  # of the matrices that stand for a gradient
KEPT = 0.01  # share of the entries that top-k sends


class Exchange(ABC):
    """The mean of a bucket over all workers.

    Args:
        parameters: of the network, in its order, whose gradients are exchanged.

    Attributes:
        sent: bytes that this worker handed to the process group so far. A ring all-reduce moves
            2 (n - 1) / n times as many over each of n links, an all-gather n - 1 times.
        silent: nothing is exchanged or kept: every worker stays with its own gradients.
        plain_layout: weights have to lie row by row, not with channels last.
        one_bucket: all gradients have to be in it.
    """

    plain_layout = False
    one_bucket = False

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.parameters = tuple(parameters)
        self.sent = 0
        self.silent = False

    @abstractmethod
    def start(self, bucket: GradBucket) -> Future[Tensor]:
        """Begin to exchange a bucket; the future has its mean."""


class Keeping(Exchange):
    """An exchange that keeps something from step to step, which no other worker has."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What is kept, as tensors and plain values; asked for after one step or more."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with what another run kept, whose buckets have the same gradients in each."""


def _group() -> distributed.ProcessGroup:
    group = distributed.group.WORLD
    assert group is not None
    return group


def run_hook(exchange: Exchange, bucket: GradBucket) -> Future[Tensor]:
    """What `DistributedDataParallel.register_comm_hook` wants."""
    if exchange.silent:
        own: Future[Tensor] = Future()
        own.set_result(bucket.buffer())
        return own
    return exchange.start(bucket)


COMPRESSIONS: Registry[type[Exchange]] = Registry("compression")


@COMPRESSIONS.register("none")
class Whole(Exchange):
    """float32, as they are."""

    def start(self, bucket: GradBucket) -> Future[Tensor]:
        self.sent += bucket.buffer().nbytes
        return default_hooks.allreduce_hook(_group(), bucket)


class Half(Exchange):
    """In 16 bits."""

    dtype: torch.dtype

    def start(self, bucket: GradBucket) -> Future[Tensor]:
        self.sent += bucket.buffer().numel() * self.dtype.itemsize
        hook = default_hooks.fp16_compress_hook
        if self.dtype == torch.bfloat16:  # torch refuses it by name without NCCL; gloo adds it well
            hook = default_hooks.bf16_compress_hook
        return hook(_group(), bucket)


@COMPRESSIONS.register("fp16")
class Float16(Half):
    """11 bits of precision from 6e-8 to 65504: small gradients become 0."""

    dtype = torch.float16


@COMPRESSIONS.register("bf16")
class Bfloat16(Half):
    """8 bits of precision in the range of float32."""

    dtype = torch.bfloat16


@COMPRESSIONS.register("powersgd")
class LowRank(Keeping):
    """PowerSGD: kernels and matrices as a product of two of rank 2, with error feedback."""

    plain_layout = True  # torch flattens every gradient to a matrix by `view`
    one_bucket = True  # torch asks for the later sums in whatever order the earlier ones come

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        super().__init__(parameters)
        self._state = powerSGD_hook.PowerSGDState(
            _group(),
            matrix_approximation_rank=RANK,
            start_powerSGD_iter=WHOLE_STEPS,
            orthogonalization_epsilon=1e-8,  # a layer may have no gradient at all
        )

    def start(self, bucket: GradBucket) -> Future[Tensor]:
        state, buffer = self._state, bucket.buffer()
        if state.iter < state.start_powerSGD_iter:
            self.sent += buffer.nbytes
            return powerSGD_hook.powerSGD_hook(state, bucket)
        before = state.total_numel_after_compression
        future = powerSGD_hook.powerSGD_hook(state, bucket)
        self.sent += (state.total_numel_after_compression - before) * buffer.itemsize
        return future

    def state_dict(self) -> dict[str, Any]:
        """Steps so far, and by bucket: the errors, and both matrices of every product."""
        state = self._state
        tables = (state.error_dict, state.p_memory_dict, state.q_memory_dict)
        return {"steps": state.iter, "tables": [dict(table) for table in tables]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        own = self._state
        own.iter = state["steps"]
        own.error_dict, own.p_memory_dict, own.q_memory_dict = map(dict, state["tables"])


@COMPRESSIONS.register("topk")
class TopK(Keeping):
    """The largest hundredth of the entries; the rest is added to the next gradient."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        super().__init__(parameters)
        self._left: dict[Tensor, Tensor] = {}

    def start(self, bucket: GradBucket) -> Future[Tensor]:
        buffer, parameters, gradients = bucket.buffer(), bucket.parameters(), bucket.gradients()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if parameter in self._left:
                gradient.add_(self._left[parameter])
        values, places = take_largest(buffer, KEPT)  # and leaves the rest in the buffer
        for parameter, gradient in zip(parameters, gradients, strict=True):
            self._left[parameter] = gradient.clone()
        packed = torch.cat([values, places.view(values.dtype)])
        self.sent += packed.nbytes
        answers = [torch.empty_like(packed) for _ in range(_group().size())]
        work = distributed.all_gather(answers, packed, async_op=True)

        def finish(exchanged: Future[Any]) -> Tensor:
            exchanged.value()  # raises if a worker is lost: then the answers are no answers
            return mean_of_sparse(answers, len(buffer))

        return work.get_future().then(finish)

    def state_dict(self) -> dict[str, Any]:
        """The rest of every gradient."""
        return {"left": [self._left[parameter] for parameter in self.parameters]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._left = dict(zip(self.parameters, state["left"], strict=True))


def take_largest(flat: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """Take the entries of largest magnitude out of a vector (n,) float32, leaving zeros.

    Returns:
        Their values (k,) and places (k,) int32, k = share * n rounded, 1 or more.
    """
    k = max(round(share * len(flat)), 1)
    places = flat.abs().topk(k, sorted=False).indices
    values = flat[places]
    flat[places] = 0
    return values, places.int()


def mean_of_sparse(packed: list[Tensor], n: int) -> Tensor:
    """(n,) mean of vectors given as values and places, (2k,) each, the places as bits of floats."""
    mean = torch.zeros(n)
    for one in packed:
        values, places = one.chunk(2)
        mean.index_add_(0, places.view(torch.int32), values)
    return mean.div_(len(packed))
