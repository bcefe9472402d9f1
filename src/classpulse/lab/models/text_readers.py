"""Readers: from the vectors of a text's tokens to one vector of the text.

Padding never counts: it is zero before every layer and left out of every pooling. The thesis fed
300 positions of unmasked padding (seed-thesis D.6), which a text of other batches must not depend
on.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from classpulse.core.errors import InputError
from classpulse.lab.models.base import check_rates, check_sizes
from classpulse.lab.models.text_base import TextReader

FLOOR = -1.0  # no lower than any output of an LSTM or a ReLU: what is masked is not the maximum
DUO_REACH = 6  # positions that convolutions of 3 and 5 without padding take away


@dataclass(frozen=True, slots=True)
class MeanSettings:
    """Mean of the token vectors (Reimers and Gurevych 2019), then dropout."""

    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_rates(dropout=self.dropout)


class MeanReader(TextReader):
    """(b, t, d) -> (b, d), the mean over the text's own tokens."""

    def __init__(self, settings: MeanSettings, width: int) -> None:
        super().__init__()
        self.width = width
        self.dropout = nn.Dropout(settings.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        counts = mask.sum(dim=1, keepdim=True).clamp(min=1)
        return self.dropout(_blank(x, mask).sum(dim=1) / counts)


@dataclass(frozen=True, slots=True)
class NgramSettings:
    """The thesis' n-gram CNN (seed-thesis D.6), after Kim 2014.

    Args:
        filters: of each convolution.
        kernels: tokens that a convolution sees, one branch each.
        hidden: width of the dense layer.
        branch_dropout: after the pooling of each branch.
        concat_dropout: on the branches together.
        dropout: after the dense layer.
    """

    filters: int = 128
    kernels: tuple[int, ...] = (2, 3, 4)
    hidden: int = 512
    branch_dropout: float = 0.0
    concat_dropout: float = 0.5
    dropout: float = 0.5

    def __post_init__(self) -> None:
        if not self.kernels:
            raise InputError("kernels = []: needs one width or more, for example [2, 3, 4]")
        check_sizes(filters=self.filters, hidden=self.hidden, kernels=min(self.kernels))
        check_rates(
            branch_dropout=self.branch_dropout,
            concat_dropout=self.concat_dropout,
            dropout=self.dropout,
        )


class NgramReader(TextReader):
    """(b, t, d) -> (b, hidden): convolutions side by side, the maximum over the tokens, dense."""

    def __init__(self, settings: NgramSettings, width: int) -> None:
        super().__init__()
        self.width = settings.hidden
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.ConstantPad1d(((kernel - 1) // 2, kernel // 2), 0.0),  # Keras' "same"
                nn.Conv1d(width, settings.filters, kernel),
            )
            for kernel in settings.kernels
        )
        self.branch_dropout = nn.Dropout(settings.branch_dropout)
        self.rest = nn.Sequential(
            nn.Dropout(settings.concat_dropout),
            nn.Linear(settings.filters * len(settings.kernels), settings.hidden),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = _blank(x, mask).transpose(1, 2)  # (b, d, t)
        found = [_peak(functional.relu(branch(x)), mask) for branch in self.branches]
        return self.rest(torch.cat([self.branch_dropout(one) for one in found], dim=1))


@dataclass(frozen=True, slots=True)
class DuoSettings:
    """The thesis' BiLSTM-CNN duo (seed-thesis D.6): a BiLSTM read by two pairs of convolutions.

    Args:
        lstm: width of each direction.
        filters: of each convolution.
        hidden: width of the dense layer.
        dropout: after each branch and after the pooling; the dense layer has `hidden_dropout`.
    """

    lstm: int = 32
    filters: int = 32
    hidden: int = 256
    dropout: float = 0.5
    hidden_dropout: float = 0.0

    def __post_init__(self) -> None:
        check_sizes(lstm=self.lstm, filters=self.filters, hidden=self.hidden)
        check_rates(dropout=self.dropout, hidden_dropout=self.hidden_dropout)


class DuoReader(TextReader):
    """(b, t, d) -> (b, hidden)."""

    def __init__(self, settings: DuoSettings, width: int) -> None:
        super().__init__()
        self.width = settings.hidden
        self.lstm = BiLstm(width, settings.lstm)
        both = 2 * settings.lstm
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(both, settings.filters, first),
                nn.ReLU(),
                nn.Conv1d(settings.filters, settings.filters, second),
                nn.ReLU(),
                nn.Dropout(settings.dropout),
            )
            for first, second in ((3, 5), (5, 3))
        )
        self.rest = nn.Sequential(
            nn.Dropout(settings.dropout),
            nn.Linear(2 * settings.filters, settings.hidden),
            nn.ReLU(),
            nn.Dropout(settings.hidden_dropout),
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = self.lstm(x, mask).transpose(1, 2)  # (b, 2 lstm, t)
        x = functional.pad(x, (0, DUO_REACH))  # a text of one token still gives one position
        found = torch.cat([branch(x) for branch in self.branches], dim=1)  # (b, 2 filters, t)
        place = torch.arange(mask.shape[1], device=mask.device).unsqueeze(0)  # (1, t)
        windows = (mask.sum(dim=1, keepdim=True) - DUO_REACH).clamp(min=1)  # whole ones, or one
        return self.rest(_peak(found, (place < windows).to(mask.dtype)))


@dataclass(frozen=True, slots=True)
class LstmSettings:
    """The thesis' GloVe network (seed-thesis D.7): BiLSTM, maximum over the tokens, dense."""

    lstm: int = 64
    hidden: int = 64
    dropout: float = 0.5

    def __post_init__(self) -> None:
        check_sizes(lstm=self.lstm, hidden=self.hidden)
        check_rates(dropout=self.dropout)


class LstmReader(TextReader):
    """(b, t, d) -> (b, hidden)."""

    def __init__(self, settings: LstmSettings, width: int) -> None:
        super().__init__()
        self.width = settings.hidden
        self.lstm = BiLstm(width, settings.lstm)
        self.rest = nn.Sequential(
            nn.Linear(2 * settings.lstm, settings.hidden),
            nn.ReLU(),
            nn.Dropout(settings.dropout),
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.rest(_peak(self.lstm(x, mask).transpose(1, 2), mask))


class BiLstm(nn.Module):
    """(b, t, d) and mask -> (b, t, 2 width): an LSTM forwards and one from the text's end back.

    Two LSTMs instead of torch's bidirectional one: that would begin in the padding.
    """

    def __init__(self, d: int, width: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(d, width, batch_first=True)
        self.backwards = nn.LSTM(d, width, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = _blank(x, mask)
        there, _ = self.forwards(x)
        back, _ = self.backwards(_turn(x, mask))
        return _blank(torch.cat([there, _turn(back, mask)], dim=2), mask)


def _turn(x: Tensor, mask: Tensor) -> Tensor:
    """(b, t, d) with the tokens of every text in reverse order, padding left where it is."""
    place = torch.arange(x.shape[1], device=x.device).unsqueeze(0)  # (1, t)
    length = mask.sum(dim=1, keepdim=True)  # (b, 1)
    turned = torch.where(place < length, length - 1 - place, place)
    return x.gather(1, turned.unsqueeze(2).expand_as(x))


def _blank(x: Tensor, mask: Tensor) -> Tensor:
    """(b, t, d) with zeros where there is no token."""
    return x * mask.unsqueeze(2).to(x.dtype)


def _peak(x: Tensor, mask: Tensor) -> Tensor:
    """(b, f, t) -> (b, f), the maximum over the tokens."""
    return x.masked_fill(mask.unsqueeze(1) == 0, FLOOR).amax(dim=2)
