"""The textbook bench: what counts as a claim that holds, runs that are kept, 8-bit weights, charts, and the page."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from pictures import class_folders

pytestmark = pytest.mark.deep
torch = pytest.importorskip("torch")
pytest.importorskip("timm")


@pytest.fixture(autouse=True, scope="module")
def bench() -> Iterator[None]:
    """bench/ is no package: its scripts find each other because they lie beside each other."""
    folder = str(Path(__file__).parents[2] / "bench")
    sys.path.insert(0, folder)
    yield
    sys.path.remove(folder)


def results(**accuracies: float):
    from claims.book import Result

    made = Result("", 1_000_000, 10_000_000, 0.8, 0.0, 0.8, (0.2,), (0.2,), 1.0, 1, 4_000_000, 1_000_000, 0.0)
    named = {name.replace("__", ":").replace("_5", ".5"): value for name, value in accuracies.items()}
    return {name: replace(made, name=name, accuracy=value, train_accuracy=value) for name, value in named.items()}


def stacks(plain: list[float], residual: list[float]):
    from claims.book import DEPTHS

    both = {"plain": plain, "resnet": residual}
    return results(**{f"{kind}{n}": x for kind, row in both.items() for n, x in zip(DEPTHS, row, strict=True)})


@pytest.mark.parametrize(
    ("plain", "residual", "expected"),
    [
        ([0.80, 0.84, 0.85, 0.82, 0.75], [0.80, 0.84, 0.86, 0.87, 0.88], "holds"),
        ([0.80, 0.84, 0.85, 0.86, 0.87], [0.80, 0.84, 0.86, 0.87, 0.88], "holds in part"),
        ([0.80, 0.81, 0.82, 0.83, 0.84], [0.80, 0.84, 0.80, 0.80, 0.70], "does not hold"),
        ([0.30, 0.31, 0.32, 0.20, 0.10], [0.30, 0.31, 0.32, 0.33, 0.49], "too short to tell"),
    ],
)
def test_depth(plain: list[float], residual: list[float], expected: str):
    from claims.book import CLAIMS, judged

    said, why = judged(CLAIMS[0], stacks(plain, residual))
    assert said == expected
    assert why.endswith(".")


def test_a_missing_network_is_named_and_nothing_said():
    from claims.book import CLAIMS, judged

    found = stacks([0.8] * 5, [0.8] * 5)
    del found["plain32"]
    assert judged(CLAIMS[0], found) == ("too short to tell", "Not trained: plain32.")


def test_small_networks_must_be_small_and_good():
    from claims.book import inception, squeeze

    found = results(vgg16_bn=0.80, googlenet__0_5=0.795)
    small = found["googlenet:0.5"]
    assert inception(found)[0] == "holds in part"  # as many parameters
    assert inception({**found, "googlenet:0.5": replace(small, parameters=100_000)})[0] == "holds"
    found = results(alexnet=0.80, squeezenet1_0=0.60)
    assert squeeze(found)[0] == "does not hold"
    tiny = replace(found["squeezenet1_0"], parameters=20_000, accuracy=0.78)
    assert squeeze({**found, "squeezenet1_0": tiny})[0] == "holds"


def test_a_wider_mobilenet_must_not_be_worse():
    from claims.book import MOBILES, width

    def rows(*values: float):
        made = results(**{f"w{place}": value for place, value in enumerate(values)})
        return dict(zip(MOBILES, made.values(), strict=True))

    assert width(rows(0.70, 0.72, 0.75, 0.76, 0.78))[0] == "holds"
    assert width(rows(0.70, 0.76, 0.72, 0.76, 0.78))[0] == "holds in part"


def test_eight_bits_are_near_and_a_quarter_of_the_size():
    from claims.runs import eight_bits, restored

    tensors = {"a.weight": torch.randn(32, 16, 3, 3) * torch.logspace(-3, 1, 32).view(-1, 1, 1, 1), "a.bias": torch.randn(32)}
    small = eight_bits(tensors)
    assert small["a.weight"].dtype == torch.int8
    back = restored(small)
    assert back.keys() == tensors.keys()
    assert torch.equal(back["a.bias"], tensors["a.bias"])
    steps = tensors["a.weight"].flatten(1).abs().amax(1) / 127
    assert ((back["a.weight"] - tensors["a.weight"]).abs().flatten(1) <= steps[:, None] * 0.501).all()


def test_pictures_are_as_many_of_each_class(tmp_path: Path):
    from claims.runs import pictures

    for part, count in (("train", 6), ("test", 4)):
        class_folders(tmp_path / part, count, ("blue", "red"))
    data = pictures(tmp_path, 6, 4)
    assert data.images.shape == (6, 32, 32, 3)
    assert np.bincount(data.targets).tolist() == [3, 3]
    assert np.bincount(data.val_targets).tolist() == [2, 2]


@pytest.fixture
def claim(monkeypatch: pytest.MonkeyPatch):
    """The first claim with two small networks and a quick plan."""
    from claims import book, page

    quick = replace(book.NORMED, batch=4, threads=1, precision="float32")
    small = replace(book.CLAIMS[0], networks=("plain8", "resnet8"), plan=quick, judge=lambda found: ("holds", "Seen."))
    monkeypatch.setattr(page, "CLAIMS", (small, *book.CLAIMS[1:]))
    return small


def test_runs_are_kept_and_told(claim, tmp_path: Path):
    from claims import page
    from claims.runs import Book, Budget, key, pictures, train

    for part in ("train", "test"):
        class_folders(tmp_path / part, 6, ("blue", "red"))
    data, budget = pictures(tmp_path, 8, 8), Budget(2, 8, 8, 1)
    book = Book(tmp_path / "book.json")
    book.budgets["residual"] = {"wish": {}, "budget": {"epochs": 2, "pictures": 8, "val": 8, "seeds": 1}}
    for name in claim.networks:
        run = key(name, 0, claim.plan, budget)
        book.runs[run] = train(name, 0, replace(claim.plan, epochs=2), data, tmp_path / run, "a machine")
    book.keep()
    again = Book(book.path)
    assert again.runs == book.runs
    run = next(iter(again.runs.values()))
    assert len(run.train_error) == len(run.val_error) == 2
    assert run.bytes > 3 * run.bytes8 > 0
    page.write(tmp_path / "out" / "textbook.md", again)
    said = (tmp_path / "out" / "textbook.md").read_text()
    assert "| `resnet8` | 0.07 M | 12 M |" in said
    assert "a machine" in said
    assert said.count("not run yet") >= 4
    assert "(pictures/textbook-residual.svg)" in said
    drawing = ElementTree.parse(tmp_path / "out" / "pictures" / "textbook-residual.svg")
    assert len(drawing.findall(".//{http://www.w3.org/2000/svg}polyline")) == 4


def test_another_recipe_is_another_run(claim):
    from claims.runs import Budget, key

    budget = Budget(2, 8, 8, 1)
    keys = {key("plain8", 0, claim.plan, budget), key("plain8", 1, claim.plan, budget)}
    keys |= {key("plain8", 0, replace(claim.plan, lr=0.2), budget), key("plain8", 0, claim.plan, replace(budget, epochs=3))}
    assert len(keys) == 4


def test_points_lie_on_a_logarithmic_axis():
    from claims import charts

    drawn = ElementTree.fromstring(charts.points("cost", [charts.Dot(f"n{n}", 10.0**n, n / 10) for n in (6, 7, 8)], "x", "y"))
    across = [float(one.get("cx", 0)) for one in drawn.findall("{http://www.w3.org/2000/svg}circle")]
    assert across[1] - across[0] == pytest.approx(across[2] - across[1], abs=0.2)
