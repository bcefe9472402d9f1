"""The arithmetic of a training: bfloat16 where the processor computes in it, else float32."""

import os

import torch

ENVIRONMENT = "CLASSPULSE_PRECISION"
WHOLE = "float32"


def half_precision() -> torch.autocast:
    """bfloat16 autocast where the processor computes in it, else float32.

    bf16 doubles the speed on a processor with AVX-512 BF16 or AMX; where it is emulated it runs
    at 0.37 of float32 (LOG 2026-11-22), so the processor decides, not the recipe. With
    ``CLASSPULSE_PRECISION=float32`` it is float32 everywhere: numbers are found again on another
    machine, and those of several workers are those of one to the last digits.
    """
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    enabled = native and os.environ.get(ENVIRONMENT) != WHOLE
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled)
