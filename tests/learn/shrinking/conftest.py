"""One thread for torch: on a machine with other work its threads wait for each other, busily."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sightline.settings import settings


@pytest.fixture(autouse=True)
def _one_thread(_isolated: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("SIGHTLINE_THREADS", "1")
    settings.cache_clear()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
