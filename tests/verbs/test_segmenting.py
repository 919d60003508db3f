"""train --way segment, predict and evaluate on pictures with outlines, from drawings to a report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from sightline.errors import DatasetError, UsageError
from sightline.runtime.bundle import read_bundle
from sightline.runtime.model import load
from sightline.verbs.evaluate import evaluate
from sightline.verbs.train import train

pytestmark = pytest.mark.deep


def coco(folder: Path, count: int = 16, *, outlines: bool = True) -> Path:
    """Triangles and squares on noise, in COCO's format."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(3)
    pictures, objects = [], []
    for number in range(1, count + 1):
        width, height = (96, 72) if number % 2 else (72, 90)
        noise = rng.integers(90, 150, (height, width, 3)).astype(np.uint8)
        picture = Image.fromarray(noise)
        pen = ImageDraw.Draw(picture)
        for kind in (1, 2):
            side = int(rng.integers(24, 34))
            x, y = int(rng.integers(0, width // 2)) // 2 + (kind - 1) * width // 2, int(rng.integers(0, height - side))
            x = min(x, width - side)
            triangle, square = [(x, y + side), (x + side // 2, y), (x + side, y + side)], [(x, y), (x + side, y + side)]
            if kind == 1:
                pen.polygon(triangle, fill=(220, 20, 20))
                ring = triangle
            else:
                pen.rectangle((*square[0], square[1][0] - 1, square[1][1] - 1), fill=(20, 20, 220))
                ring = [(x, y), (x + side, y), (x + side, y + side), (x, y + side)]
            shape = {"segmentation": [[value for point in ring for value in point]]} if outlines else {}
            one = {"id": len(objects) + 1, "image_id": number, "category_id": kind, "bbox": [x, y, side, side], "iscrowd": 0}
            objects.append(one | {"area": side * side} | shape)
        picture.save(folder / "images" / f"{number:02}.png")
        pictures.append({"id": number, "file_name": f"{number:02}.png", "width": width, "height": height})
    named = [{"id": 1, "name": "triangle"}, {"id": 2, "name": "square"}]
    (folder / "annotations.json").write_text(json.dumps({"images": pictures, "annotations": objects, "categories": named}))
    return folder


def test_from_outlines_to_a_painted_picture(tmp_path):
    data, out = coco(tmp_path / "shapes", 10), tmp_path / "model"
    wish = {"backbone": "lraspp:mobilenetv3_small_050", "input_size": 64, "plan": "epochs=1,batch=4,lr=0.003"}
    result = train(data, out=out, **wish)
    assert (result.task, result.way) == ("segmentation", "segment")
    assert set(result.scores) == {"miou", "pixels"}
    card = read_bundle(out).card
    assert card.task == "segmentation"
    assert card.parity is not None
    assert card.parity.agreement >= 0.99
    page = (out / "report.html").read_text()
    assert "Segmentation report" in page
    assert "triangle" in page
    answer = load(out).predict(data / "images" / "01.png")
    assert all(label.mask is not None and label.mask.size == (72, 96) for label in answer.labels)
    scored = evaluate(data, model=str(out))
    assert set(scored.classes) == {"triangle", "square", "background"}
    assert 0 <= scored.scores["miou"].value <= 1
    with pytest.raises(UsageError, match="precision"):
        evaluate(data, model=str(out), precision=0.9)


def test_boxes_alone_teach_no_pixels(tmp_path):
    data = coco(tmp_path / "boxes", outlines=False)
    with pytest.raises(DatasetError, match="outlines"):
        train(data, way="segment", out=tmp_path / "model")


def test_what_does_not_go_together(tmp_path):
    data = coco(tmp_path / "shapes", 4)
    with pytest.raises(UsageError, match="gives boxes"):
        train(data, way="segment", backbone="ssdlite", out=tmp_path / "model")
    with pytest.raises(UsageError, match="names pixels"):
        train(data, compare="lraspp,deeplabv3", out=tmp_path / "model")
