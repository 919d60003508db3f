"""Local descriptors (SIFT, SURF) of prepared pictures: the one part of a recogniser that no ONNX graph can compute.

Needs the extra `features`, asked for only when a model wants keypoints. OpenCV and mahotas see decoded pixels, never a file.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BundleError, missing_extra

LIBRARIES = {"sift": "cv2", "surf": "mahotas"}
WIDTHS = {"sift": 128, "surf": 64}  # numbers in a descriptor
METADATA = "sightline.keypoints"  # in the graph's metadata: which kind it wants
FOUND = 160  # keypoints that are searched for, the strongest first
WIDE = (
    16,
    28,
    44,
)  # pixels described around each place of the regular grids, whether something is found or not
STEP = 6  # pixels between the places of a grid, of the wider ones a quarter of their width
RIM = 64  # pixels added around a picture for SURF
LARGER = 2  # SURF sees the picture this many times as large: its smallest filters are 9 pixels wide
FAINT = 0.02  # contrast from which SIFT finds a keypoint: half of Lowe's, for dark pictures

Feed = Callable[[NDArray[np.uint8]], dict[str, NDArray[Any]]]
Floats = NDArray[np.float32]


def feed(session: Any) -> Feed:
    """What the session is given for prepared pictures: the pixels themselves, or the keypoints that are found on them.

    Raises MissingExtraError when a library is not installed, BundleError for a kind of keypoints nobody knows.
    """
    wanted = session.get_inputs()[0].name
    if wanted != "keypoints":
        return lambda images: {wanted: images}  # image, or clip
    kind = session.get_modelmeta().custom_metadata_map.get(METADATA, "")
    check(kind)
    return lambda images: {"keypoints": describe(kind, images)}


def check(kind: str) -> None:
    """Raises MissingExtraError when what `kind` needs is not installed."""
    if kind not in LIBRARIES:
        raise BundleError(f"model.onnx wants keypoints of an unknown kind: {kind!r}", hint="it was made by a newer sightline")
    if importlib.util.find_spec(LIBRARIES[kind]) is None:
        raise missing_extra("features", f"a model on {kind.upper()} keypoints")


def describe(kind: str, images: NDArray[np.uint8]) -> Floats:
    """Keypoints of prepared pictures uint8 (n, size, size, 3): float32 (n, m, 3 + d), padded with zeros to the longest list.

    Columns: 1 for a keypoint and 0 for padding, x and y in 0..1, the descriptor (d = 128 for SIFT, 64 for SURF).
    """
    found = [_KINDS[kind](image)[0] for image in images]
    most = max((len(one) for one in found), default=0) or 1
    padded = np.zeros((len(images), most, 3 + WIDTHS[kind]), np.float32)
    for place, one in enumerate(found):
        padded[place, : len(one)] = one
    return padded


def shapes(kind: str, image: NDArray[np.uint8]) -> Floats:
    """Radius (a share of the picture's side), angle (radians) and 1 for found, 0 for on a grid: float32 (m, 3), a row for each
    that `describe` gives for the picture (size, size, 3).
    """
    return _KINDS[kind](image)[1]


def _grey(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luminance with a square root, so that what is in shade counts as much as what is in the light."""
    light = image @ np.array([0.299, 0.587, 0.114], np.float32)
    return np.asarray(np.rint(np.sqrt(np.maximum(light, 0) * 255)), np.uint8)


def places(side: int) -> list[tuple[float, float, float]]:
    """x, y and the width described at each point of the regular grids."""
    found: list[tuple[float, float, float]] = []
    for width in WIDE:
        step = max(STEP, width // 4)
        centres = np.arange(step / 2, side, step)
        found += [(float(x), float(y), float(width)) for y in centres for x in centres]
    return found


def _sift(image: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """SIFT (Lowe 2004, doi:10.1023/B:VISI.0000029664.99615.94) at found keypoints and on a grid, upright there; rows are the
    square roots of L1-normalised descriptors (Arandjelovic and Zisserman 2012, doi:10.1109/CVPR.2012.6248018).
    """
    cv2: Any = importlib.import_module("cv2")  # its stubs do not know all of it
    cv2.setNumThreads(1)  # the pictures themselves go over all cores
    grey = _grey(image)
    sift = cv2.SIFT_create(nfeatures=FOUND, contrastThreshold=FAINT)
    grid = [cv2.KeyPoint(x, y, width / 6, 0.0) for x, y, width in places(len(grey))]  # described: 6 diameters
    points, rows = sift.compute(grey, (*sift.detect(grey, None), *grid))
    described = np.asarray(rows, np.float32)
    described = np.sqrt(described / np.maximum(described.sum(axis=1, keepdims=True), 1e-6))
    angles = np.radians([max(point.angle, 0.0) for point in points])
    shape = np.stack([np.array([point.size for point in points]) / 2 / len(grey), angles, np.ones(len(points))], axis=1)
    shape[len(points) - len(grid) :, 2] = 0
    return _rows(np.array([point.pt for point in points], np.float32), described, len(grey)), shape.astype(np.float32)


def _surf(image: NDArray[np.uint8]) -> tuple[Floats, Floats]:
    """SURF (Bay et al. 2008, doi:10.1016/j.cviu.2007.09.014) at found keypoints and on a grid. The picture's rim is continued
    outwards: mahotas leaves out points whose surroundings are not inside.
    """
    from mahotas.features import surf
    from PIL import Image

    side = len(image) * LARGER
    grey = np.pad(np.asarray(Image.fromarray(_grey(image)).resize((side, side), Image.Resampling.BICUBIC)), RIM, mode="edge")
    found = np.asarray(surf.surf(grey, nr_octaves=3, max_points=FOUND), np.float32).reshape(-1, 70)
    grid = np.array(  # described: 20 scales
        [(RIM + LARGER * y, RIM + LARGER * x, LARGER * width / 20, 0.0, 1.0) for x, y, width in places(len(image))]
    )
    regular = np.asarray(surf.descriptors(grey, grid), np.float32).reshape(-1, 70)
    every = np.concatenate([found, regular])
    where = np.clip((every[:, [1, 0]] - RIM) / LARGER, 0, len(image)).astype(np.float32)
    shape = np.stack([every[:, 2] * 2 / side, every[:, 5], np.ones(len(every), np.float32)], axis=1)  # a blob is 2 scales wide
    shape[len(found) :, 2] = 0
    return _rows(where, np.nan_to_num(every[:, 6:]), len(image)), shape


def _rows(where: Floats, described: Floats, side: int) -> Floats:
    return np.concatenate([np.ones((len(where), 1), np.float32), where / side, described], axis=1).astype(np.float32)


_KINDS: dict[str, Callable[[NDArray[np.uint8]], tuple[Floats, Floats]]] = {"sift": _sift, "surf": _surf}
