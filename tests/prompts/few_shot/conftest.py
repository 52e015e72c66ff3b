"""Index files of the tests' own."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _index_files_of_the_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Configs here leave `retrieval.cache` as it is, which is a folder in the user's home."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        yield
