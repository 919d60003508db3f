"""The health check finds what is planted, names it, and is silent about a clean dataset."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from pictures import class_folders, drawn, encoded
from sightline.data.health import KINDS, check
from sightline.data.manifest import without
from sightline.data.readers import read
from sightline.data.survey import survey
from sightline.types import Finding


def of_kind(findings: list[Finding], kind: str) -> list[Finding]:
    return [finding for finding in findings if finding.kind == kind]


def recompressed(path: Path, out: Path) -> None:
    picture = Image.open(io.BytesIO(path.read_bytes()))
    out.write_bytes(encoded(picture.resize((picture.width // 2, picture.height // 2)), quality=60))


def test_a_clean_dataset_has_no_findings(tmp_path: Path) -> None:
    assert check(read(class_folders(tmp_path, 8))) == []


def test_planted_faults(tmp_path: Path) -> None:
    for number, part in enumerate(("train", "val")):
        class_folders(tmp_path / part, 8, seed=100 * number)
    train, val = tmp_path / "train", tmp_path / "val"
    (train / "red" / "cut.jpg").write_bytes((train / "red" / "red-0.jpg").read_bytes()[:400])
    (train / "red" / "empty.jpg").write_bytes(b"")
    (train / "blue" / "twin.jpg").write_bytes((train / "blue" / "blue-1.jpg").read_bytes())
    (train / "green" / "wrong.jpg").write_bytes((train / "blue" / "blue-2.jpg").read_bytes())
    (val / "blue" / "leaked.jpg").write_bytes((train / "blue" / "blue-3.jpg").read_bytes())
    big = drawn(77, (400, 300))
    (train / "green" / "big.jpg").write_bytes(encoded(big))
    recompressed(train / "green" / "big.jpg", val / "green" / "small.jpg")
    dataset = read(tmp_path)
    findings = check(dataset, survey(dataset))
    assert {f.items for f in of_kind(findings, "unreadable")} == {("train/red/cut.jpg",), ("train/red/empty.jpg",)}
    assert {f.items for f in of_kind(findings, "exact_duplicate")} == {
        ("train/blue/blue-1.jpg", "train/blue/twin.jpg"),
        ("train/blue/blue-2.jpg", "train/green/wrong.jpg"),
        ("train/blue/blue-3.jpg", "val/blue/leaked.jpg"),
    }
    assert {f.items for f in of_kind(findings, "near_duplicate")} == {("train/green/big.jpg", "val/green/small.jpg")}
    assert {f.items for f in of_kind(findings, "label_conflict")} == {("train/blue/blue-2.jpg", "train/green/wrong.jpg")}
    leaks = {f.items: f.score for f in of_kind(findings, "leak")}
    assert leaks == {
        ("train/blue/blue-3.jpg", "val/blue/leaked.jpg"): 1.0,
        ("train/green/big.jpg", "val/green/small.jpg"): 0.8,
    }
    assert not of_kind(findings, "class_too_small")
    assert all(finding.kind in KINDS and finding.message and finding.fix for finding in findings)
    clean = without(dataset, {name for f in of_kind(findings, "unreadable") for name in f.items})
    assert not of_kind(check(clean, survey(dataset)), "unreadable")


def test_small_classes_and_imbalance(tmp_path: Path) -> None:
    class_folders(tmp_path, 45, ("red",))
    class_folders(tmp_path, 3, ("green",), seed=500)
    class_folders(tmp_path, 1, ("blue",), seed=900)
    findings = check(read(tmp_path))
    small = {f.message: f.severity for f in of_kind(findings, "class_too_small")}
    assert small == {"the class 'blue' has 1 picture": "error", "the class 'green' has 3 pictures": "warning"}
    assert "45" in of_kind(findings, "imbalance")[0].message
    assert findings[0].severity == "error"  # worst first


def test_a_class_without_training_pictures(tmp_path: Path) -> None:
    class_folders(tmp_path / "train", 6)
    class_folders(tmp_path / "val", 6, ("red", "green", "yellow"), seed=200)
    found = of_kind(check(read(tmp_path)), "class_too_small")
    assert [(f.severity, "'yellow'" in f.message, "none to train on" in f.message) for f in found] == [("error", True, True)]


def test_groups_over_splits_and_missing_labels(tmp_path: Path) -> None:
    for n in range(12):
        (tmp_path / f"p{n}.jpg").write_bytes(encoded(drawn(n)))
    lines = [
        f"p{n}.jpg,{'ab'[n % 2] if n else ''},{'train' if n < 8 else 'val'},{'g' if n in (2, 9) else ''}" for n in range(12)
    ]
    (tmp_path / "x.csv").write_text("file,label,split,group\n" + "\n".join(lines))
    findings = check(read(tmp_path))
    assert [f.items for f in of_kind(findings, "leak")] == [("p2.jpg", "p9.jpg")]
    assert [f.items for f in of_kind(findings, "missing_label")] == [("p0.jpg",)]


def test_quick_check_reads_no_file(tmp_path: Path) -> None:
    root = class_folders(tmp_path, 6)
    (root / "red" / "twin.jpg").write_bytes((root / "red" / "red-1.jpg").read_bytes())
    dataset = read(root)
    for item in dataset.items:
        Path(item.uri).unlink()
    assert [f.kind for f in check(dataset, thorough=False)] == ["exact_duplicate"]
