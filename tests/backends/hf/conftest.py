"""What the tests of models on this machine share: one thread, and a tiny base of each architecture."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.support.tiny_models import ARCHITECTURES, build


@pytest.fixture(scope="package", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    return {name: build(name, root / name) for name in ARCHITECTURES}
