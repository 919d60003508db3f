"""What layers have learned without labels, as pictures: kernels of the lowest layer; noisy, mended and clean side by side."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from sightline.learn.layerwise import dbn
from sightline.learn.layerwise.autoencoder import Autoencoder, noisy
from sightline.learn.network import Classifier
from sightline.learn.reproduce import generator

Pixels = NDArray[np.uint8]
SIDE = 320  # pixels a side of a drawing
SHOWN = 64  # kernels at most
PAIRS = 32  # patches of a comparison
ROWS = 3  # pictures of a comparison


def kernels(weight: Tensor) -> Pixels:
    """Kernels (n, 3, k, k) on a grid (SIDE, SIDE, 3), each with its contrast stretched around grey; the strongest first."""
    strongest = torch.argsort(-weight.flatten(1).norm(dim=1), stable=True)[:SHOWN]
    chosen = weight[strongest].detach()
    scale = chosen.abs().amax((1, 2, 3), keepdim=True).clamp_min(1e-9)
    pixels = (127.5 + 127.5 * chosen / scale).permute(0, 2, 3, 1).round().to(torch.uint8).numpy()
    return _grid(list(pixels), round(len(pixels) ** 0.5 + 0.49))


def mended(network: Autoencoder, images: Pixels, seed: int) -> Pixels:
    """A row for each of some pictures (n, s, s, 3): noisy, denoised, clean."""
    clean = torch.from_numpy(np.array(images[:ROWS])).permute(0, 3, 1, 2).float() / 255
    given = noisy(clean, generator(seed, "shown", 0))
    with torch.inference_mode():
        after = network.eval()(given).clamp(0, 1)
    columns = [(one * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy() for one in (given, after, clean)]
    return _grid([columns[column][row] for row in range(len(clean)) for column in range(3)], 3)


def believed(machine: dbn.Machine, network: Classifier, images: Pixels, seed: int) -> Pixels:
    """Pairs of patches: as they are in pictures (n, s, s, 3), and as the lowest machine makes them again."""
    maps = network.normalise(torch.from_numpy(np.array(images[:PAIRS])))
    rows = dbn.patches(maps, machine.weight.shape[-1], PAIRS, generator(seed, "shown", 0))
    white = (rows - machine.mean) @ machine.move
    again = machine.rbm.down(machine.rbm.up(white)) @ torch.linalg.inv(machine.move) + machine.mean
    tiles: list[Pixels] = []
    for one in zip(rows, again, strict=True):
        for patch in one:
            pixels = patch.view(3, *machine.weight.shape[-2:]) * network.std[0] + network.mean[0]
            tiles.append((pixels.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())
    return _grid(tiles, 8)


def _grid(tiles: list[Pixels], columns: int) -> Pixels:
    cell = SIDE // columns
    sheet = Image.new("RGB", (SIDE, SIDE), (32, 32, 32))
    for place, tile in enumerate(tiles):
        scaled = Image.fromarray(tile).resize((cell - 2, cell - 2), Image.Resampling.NEAREST)
        sheet.paste(scaled, ((place % columns) * cell + 1, (place // columns) * cell + 1))
    return np.asarray(sheet)
