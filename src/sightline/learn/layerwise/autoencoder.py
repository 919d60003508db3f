"""A convolutional denoising autoencoder: learns without labels to take noise away; its encoder becomes a classifier's backbone,
all of it a denoiser. Knows no labels and no ONNX.

Vincent et al. 2010, "Stacked denoising autoencoders". Trained as one network on random parts of pictures; what is predicted is
the noise (Zhang et al. 2017, DnCNN), and fine detail takes short cuts past the narrow middle (Ronneberger et al. 2015).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn
from torch.nn import functional

from sightline.learn.layerwise import unlabelled
from sightline.learn.network import Classifier
from sightline.learn.reproduce import generator, seed_of
from sightline.types import Size

NOISE = 0.2  # largest sigma of the Gaussian noise, as a share of full white
SPECKS = 0.05  # largest share of pixels that become black or white
PART = 32  # pixels a side of the parts it learns from
STEPS, BATCH, RATE = 800, 32, 2e-3
WIDTHS: dict[Size, tuple[int, int, int, int]] = {
    "tiny": (16, 32, 64, 128),
    "small": (24, 48, 96, 160),
    "medium": (32, 64, 128, 192),
    "large": (48, 96, 192, 320),
}


def _block(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True))


class Encoder(nn.Module):
    """(n, 3, h, w) to (n, width): four blocks, sides halved between them, the strongest answer of each kind."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        widths = WIDTHS[size]
        self.width = widths[-1]
        self.blocks = nn.ModuleList(_block(before, after) for before, after in zip((3, *widths), widths, strict=False))

    def maps(self, x: Tensor) -> list[Tensor]:
        """What each block says, finest first."""
        found = [self.blocks[0](x)]
        for block in list(self.blocks)[1:]:
            found.append(block(functional.max_pool2d(found[-1], 2)))
        return found

    def forward(self, x: Tensor) -> Tensor:
        return self.maps(x)[-1].amax((2, 3))


class Autoencoder(nn.Module):
    """(n, 3, h, w) in 0..1, noisy, to the same without noise; h and w are multiples of HALVED."""

    def __init__(self, size: Size, encoder: Encoder, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())
        widths = WIDTHS[size]
        self.decoder = nn.ModuleList(_block(widths[place + 1], widths[place]) for place in (2, 1, 0))
        self.last = nn.Conv2d(widths[0], 3, 3, padding=1)
        nn.init.zeros_(self.last.weight)  # begins as the identity: it can only become better than doing nothing
        nn.init.zeros_(cast(Tensor, self.last.bias))

    def forward(self, x: Tensor) -> Tensor:
        *finer, below = self.encoder.maps((x - cast(Tensor, self.mean)) / cast(Tensor, self.std))
        for block, beside in zip(self.decoder, reversed(finer), strict=True):
            below = functional.interpolate(block(below), scale_factor=2.0, mode="nearest") + beside
        return x - cast(Tensor, self.last(below))


def noisy(x: Tensor, draws: Generator) -> Tensor:
    """Pictures (n, 3, h, w) in 0..1 with noise of random strength each: Gaussian, and specks of black and white."""
    sigma = torch.rand(len(x), 1, 1, 1, generator=draws) * NOISE
    changed = x + torch.randn(x.shape, generator=draws) * sigma
    share = torch.rand(len(x), 1, 1, 1, generator=draws) * SPECKS
    spot = torch.rand((len(x), 1, *x.shape[2:]), generator=draws) < share
    colour = (torch.rand((len(x), 1, *x.shape[2:]), generator=draws) < 0.5).float()
    return torch.where(spot, colour, changed).clamp(0, 1)


class _Stage:
    """The autoencoder under way, as `unlabelled.learn` wants it."""

    name = "Learning to take noise away"

    def __init__(self, network: Autoencoder, images: NDArray[np.uint8], steps: int) -> None:
        self.network, self.images, self.rows = network, images, len(images)
        self.batch = min(BATCH, len(images))
        each = max(1, self.rows // self.batch)
        self.epochs = max(1, round(steps / each))
        self.steps = self.epochs * each
        self.first = {name: torch.zeros_like(parameter) for name, parameter in network.named_parameters()}  # Adam's two moments
        self.second = {name: torch.zeros_like(parameter) for name, parameter in network.named_parameters()}

    def tensors(self) -> dict[str, Tensor]:
        moments = {**{f"first.{n}": t for n, t in self.first.items()}, **{f"second.{n}": t for n, t in self.second.items()}}
        return {**{f"model.{name}": tensor for name, tensor in self.network.state_dict().items()}, **moments}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, tensor in self.tensors().items():
                tensor.copy_(tensors[name])

    def step(self, rows: Tensor, number: int, draws: Generator) -> float:
        clean = part(torch.from_numpy(self.images[rows.numpy()]), draws)
        self.network.train()
        loss = functional.mse_loss(self.network(noisy(clean, draws)), clean)
        self.network.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._move(number)
        return float(loss.detach())

    @torch.no_grad()
    def _move(self, number: int) -> None:
        """Adam (Kingma and Ba 2015) with a rate that falls as half a cosine; written out so that its state is plain tensors."""
        rate = RATE * 0.5 * (1 + float(np.cos(np.pi * number / self.steps)))
        for name, parameter in self.network.named_parameters():
            slope = cast(Tensor, parameter.grad)
            first, second = self.first[name].lerp_(slope, 0.1), self.second[name].lerp_(slope * slope, 0.01)
            even = rate / (1 - 0.9 ** (number + 1))
            parameter.addcdiv_(first, (second / (1 - 0.99 ** (number + 1))).sqrt_().add_(1e-8), value=-even)


def part(images: Tensor, draws: Generator) -> Tensor:
    """The same random square of all pictures uint8 (n, h, w, 3), at most PART a side: float (n, 3, p, p) in 0..1."""
    side = min(PART, images.shape[1])
    top, left = (int(torch.randint(images.shape[1] - side + 1, (1,), generator=draws)) for _ in "yx")
    return images[:, top : top + side, left : left + side].permute(0, 3, 1, 2).float() / 255


def whole(network: Classifier, size: Size, seed: int) -> Autoencoder:
    """An autoencoder around the encoder of a classifier: what it learns, the classifier has learned."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, "decoder", 0))
        return Autoencoder(size, cast(Encoder, network.backbone), network.mean, network.std)


def pretrain(
    network: Autoencoder, images: NDArray[np.uint8], run: Path, seed: int, steps: int | None = None
) -> tuple[float, ...]:
    """Teach the autoencoder, its encoder with it, from prepared pictures (n, s, s, 3); mean square error of every epoch.
    Goes on in `run` where it was stopped. Raises DataError when it diverges.
    """
    errors = unlabelled.learn(_Stage(network, images, steps or STEPS), run, seed)
    network.eval()
    return errors


def psnr(network: Autoencoder, images: NDArray[np.uint8], seed: int) -> tuple[float, float]:
    """Peak signal-to-noise ratio in dB of noisy pictures (n, s, s, 3), before and after the denoiser."""
    clean = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).float() / 255
    given = noisy(clean, generator(seed, "psnr", 0))
    with torch.inference_mode():
        mended = torch.cat([network.eval()(some) for some in torch.split(given, 32)]).clamp(0, 1)
    before, after = (-10 * torch.log10(((one - clean) ** 2).mean((1, 2, 3)) + 1e-10).mean() for one in (given, mended))
    return float(before), float(after)
