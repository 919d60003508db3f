"""What words mean to train, evaluate and predict: paths, names of the workspace, and what is left there."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from bundles import tiny_bundle
from pictures import class_folders
from sightline.data.readers import read
from sightline.errors import ConflictError, MissingExtraError, ModelNotFoundError, NotFoundError, UsageError
from sightline.runtime.bundle import read_bundle
from sightline.settings import settings
from sightline.store import datasets, names
from sightline.store.database import database
from sightline.store.models import add, list_models
from sightline.types import Made
from sightline.verbs import resolve
from sightline.verbs.evaluate import evaluate
from sightline.verbs.models import models, show
from sightline.verbs.predict import predict


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "photos", per_class=4)


def kept(folder: Path, name: str) -> str:
    named = datasets.add(database(), read(folder), Made(verb="test"))
    names.point(database(), "dataset", name, named, "test")
    return named


def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolve, "find_spec", lambda name: None)


def test_a_path_goes_first(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = class_folders(photos.parent / "other", per_class=2)
    named = kept(other, "photos")
    assert resolve.dataset("photos").hash == named
    monkeypatch.chdir(photos.parent)
    assert resolve.dataset("photos").hash == read(photos).hash
    assert resolve.dataset(Path(named[:8])).hash == named


def test_what_is_neither_is_said(photos: Path) -> None:
    with pytest.raises(NotFoundError, match="no such folder or file: nothing"):
        resolve.dataset("nothing")
    kept(photos, "signs")
    with pytest.raises(NotFoundError, match="no such folder or file, and no dataset of that name: sings") as caught:
        resolve.dataset("sings")
    assert caught.value.hint == "did you mean signs?"
    with pytest.raises(NotFoundError, match="no such folder or file: no/such/place"):
        resolve.dataset("no/such/place")


def test_without_the_extra(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_the_extra(monkeypatch)
    assert resolve.dataset(photos).hash == read(photos).hash
    with pytest.raises(NotFoundError) as caught:
        resolve.dataset("signs")
    assert "sightline[store]" in caught.value.hint
    with pytest.raises(MissingExtraError, match="listing"):
        resolve.workspace("listing datasets")
    bundle = tiny_bundle(settings().home / "models" / "tiny")
    resolve.remember(read(photos), bundle, {}, ())
    assert resolve.model("tiny") == bundle
    assert [line.id for line in models().models] == [read_bundle(bundle).card.id]
    assert models("show", "tiny").path == str(bundle)
    assert not (settings().home / "sightline.db").exists()


def test_a_model_and_a_dataset_by_name(photos: Path, tmp_path: Path) -> None:
    named = kept(photos, "signs")
    bundle = tiny_bundle(tmp_path / "model")
    card = read_bundle(bundle).card
    add(database(), card, bundle)
    assert models("name", "best", card.id[:8]).names == ("best",)
    result = evaluate(Path("signs"), model="best")
    assert (result.pictures, Path(result.model)) == (12, bundle)
    assert named[:8] in result.report
    assert len(predict([photos / "red"], model="best").results) == 4
    with pytest.raises(ModelNotFoundError) as caught:
        evaluate(Path("signs"), model="bset")
    assert caught.value.hint == "did you mean best?"
    shutil.rmtree(bundle)
    with pytest.raises(ModelNotFoundError, match="any more"):
        resolve.model("best")
    assert [line.there for line in models().models] == [False]


def test_names_of_models_go_back(tmp_path: Path) -> None:
    first, second = tiny_bundle(tmp_path / "first"), tiny_bundle(tmp_path / "second", task="multilabel")
    ids = [read_bundle(one).card.id for one in (first, second)]
    for one in (first, second):
        shown = models("name", "champion", str(one))
        assert shown.path == str(one)
    assert resolve.model("champion") == second
    back = models("undo", "champion")
    assert (back.card.id, back.names) == (ids[0], ("champion",))
    assert resolve.model("champion") == first
    assert [(line.id, line.names) for line in models().models if line.names] == [(ids[0], ("champion",))]
    assert {line.id for line in models("list").models} == set(ids)
    kept_here = tiny_bundle(settings().home / "models" / "taken", task="multilabel")
    with pytest.raises(ConflictError, match="another model"):
        models("name", "taken", ids[0])
    assert models("name", "taken", ids[1]).path in (str(second), str(kept_here))
    shutil.rmtree(first)
    tiny_bundle(first, task="multilabel")
    with pytest.raises(ModelNotFoundError, match="holds"):
        resolve.model("champion")
    for result in (back, models()):
        console = Console(file=io.StringIO(), width=160)
        console.print(show(result))
        assert "champion" in console.file.getvalue()
    with pytest.raises(UsageError, match="takes 2 names"):
        models("name", "x")
    with pytest.raises(ModelNotFoundError):
        models("show", "nothing")


@pytest.mark.deep
def test_a_training_leaves_what_it_was_made_from(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timm, torch = pytest.importorskip("timm"), pytest.importorskip("torch")
    from safetensors.torch import save_file

    from sightline.verbs.train import train

    weights = tmp_path / "weights"
    weights.mkdir()
    torch.manual_seed(0)
    save_file(timm.create_model("test_resnet").state_dict(), weights / "test_resnet.safetensors")
    monkeypatch.setenv("SIGHTLINE_WEIGHTS", str(weights))
    settings.cache_clear()
    class_folders(photos, per_class=12)
    source = kept(photos, "signs")
    result = train(Path("signs"), out=tmp_path / "recogniser", way="probe", seed=5)
    version = datasets.summary(database(), result.dataset)
    assert (version.parents, version.name, version.pictures) == ((source,), "signs", 36)
    assert set(version.sizes) == {"train", "val"}
    assert version.made is not None
    assert (version.made.verb, version.made.arguments["seed"], version.made.arguments["data"]) == ("train", 5, "signs")
    (model,) = list_models(database())
    assert (model.path, model.dataset, model.names) == (result.model, version.hash, ("recogniser",))
    assert read_bundle(result.model).card.dataset["hash"] == version.hash
    assert resolve.model("recogniser") == Path(result.model)
    tested = evaluate(Path(result.dataset), model="recogniser")
    assert tested.pictures == version.sizes["val"], "measured on the very pictures it was validated on"
    assert names.target(database(), "dataset", "signs") == source, "training moves no dataset's name"

    plain = train(photos, out=tmp_path / "plain", way="probe", seed=5)
    assert plain.dataset == result.dataset, "the same pictures from the folder are the same version"
