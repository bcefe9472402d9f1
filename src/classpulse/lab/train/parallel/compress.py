"""What the workers of "ddp" send each other instead of whole gradients, and how many bytes.

torch's DistributedDataParallel collects gradients in buckets and asks a hook for the mean of each
bucket over the workers. fp16, bf16 and PowerSGD (Vogels et al. 2019) are torch's; top-k with error
feedback (Stich et al. 2018, algorithm 1) is ours.
"""

from abc import ABC, abstractmethod

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

    Attributes:
        sent: bytes that this worker handed to the process group so far. A ring all-reduce moves
            2 (n - 1) / n times as many over each of n links, an all-gather n - 1 times.
        plain_layout: weights have to lie row by row, not with channels last.
    """

    plain_layout = False

    def __init__(self) -> None:
        self.sent = 0

    @abstractmethod
    def start(self, bucket: GradBucket) -> Future[Tensor]:
        """Begin to exchange a bucket; the future has its mean."""


def _group() -> distributed.ProcessGroup:
    group = distributed.group.WORLD
    assert group is not None
    return group


def run_hook(exchange: Exchange, bucket: GradBucket) -> Future[Tensor]:
    """What `DistributedDataParallel.register_comm_hook` wants."""
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
class LowRank(Exchange):
    """PowerSGD: kernels and matrices as a product of two of rank 2, with error feedback."""

    plain_layout = True  # torch flattens every gradient to a matrix by `view`

    def __init__(self) -> None:
        super().__init__()
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


@COMPRESSIONS.register("topk")
class TopK(Exchange):
    """The largest hundredth of the entries; the rest is added to the next gradient."""

    def __init__(self) -> None:
        super().__init__()
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
        return work.get_future().then(lambda _: mean_of_sparse(answers, len(buffer)))


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
