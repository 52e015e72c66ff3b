"""A folder at a URL, as fsspec sees it: whole objects are listed, read, written and deleted by name, nothing more."""

from pathlib import Path, PurePosixPath
from typing import Any

from harness.errors import ConfigError, MissingExtra

EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs"}
STAMPS = ("size", "ETag", "etag", "mtime", "LastModified", "last_modified", "created")  # where there are such
BUCKETS = {*EXTRAS, "abfs", "abfss", "az", "oci", "ossfs", "oss"}


class RemoteFolder:
    """Names are relative to `url`. Methods raise whatever the file system raises."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError, MissingExtra."""
        self.url = url.rstrip("/")
        self.fs, self.root = _connect(url)
        self._made: set[str] = set()  # folders

    def files(self) -> list[PurePosixPath]:
        """All files in and below the folder. Raises ConfigError where the URL is a file."""
        return list(self.stamps())

    def stamps(self) -> dict[PurePosixPath, str]:
        """The same, each with what changes when it is replaced."""
        self.fs.invalidate_cache()
        if self.fs.isfile(self.root):
            raise ConfigError(f"{self.url} is a file; a run needs a folder")
        found = self.fs.find(self.root, detail=True) if self.fs.exists(self.root) else {}
        return {
            PurePosixPath(path[len(self.root) :].lstrip("/")): str([about.get(name) for name in STAMPS])
            for path, about in found.items()
        }

    def read(self, name: str) -> bytes:
        return bytes(self.fs.cat_file(self._path(name)))

    def write(self, name: str, blob: bytes) -> None:
        self._make_parent(name)
        self.fs.pipe_file(self._path(name), blob)

    def download(self, name: str, path: Path) -> None:
        self.fs.get_file(self._path(name), str(path))

    def upload(self, path: Path, name: str) -> None:
        self._make_parent(name)
        self.fs.put_file(str(path), self._path(name))

    def delete(self, name: str) -> None:
        self.fs.rm_file(self._path(name))

    def delete_folder(self, name: str) -> None:
        self.fs.rm(self._path(name), recursive=True)
        self._made.discard(self._path(name))

    def _path(self, name: str) -> str:
        return f"{self.root}/{name}" if name else self.root

    def _make_parent(self, name: str) -> None:
        """A bucket has no folders, and a client that is asked for one would make a bucket. Others need theirs made."""
        if _protocol(self.url) in BUCKETS:
            return
        if (parent := self._path(name).rpartition("/")[0]) not in self._made:
            self.fs.makedirs(parent, exist_ok=True)
            self._made.add(parent)


def first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__


def _protocol(url: str) -> str:
    return url.partition("://")[0].rpartition("::")[2]


def _connect(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    protocol = _protocol(url)
    try:
        fs, root = url_to_fs(url)
    except ImportError as error:
        extra = (
            f"pip install 'codelm-harness[{EXTRAS[protocol]}]'" if protocol in EXTRAS else first_line(error)
        )
        raise MissingExtra(f"{url}: {protocol}:// needs another package: {extra}") from None
    except ValueError as error:
        raise ConfigError(f"{url}: {first_line(error)}") from None
    return fs, root.rstrip("/")
