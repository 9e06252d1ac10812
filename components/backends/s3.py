"""Objects in an S3 bucket, whatever the network does; the one home of boto3.

One loop tries again what may pass: answers of an overloaded service, lost connections, bodies that break off, which
boto3 itself does not try again. What is asked twice does the same as once, so a lost answer does no harm.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlparse

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, FlexibleChecksumError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NotConnected
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from components.backends.storage import Listed, LocalStorage, checked_key, missing, whole
from components.errors import StorageError

T = TypeVar("T")

TRIES = 8
BACK_OFF_S = 0.1
"""Pause after the first try that failed; it doubles with each."""
LONGEST_S = 5.0
"""Longest pause."""
CONNECT_S, READ_S = 10, 60
"""How long a service may take to answer, and between two pieces of a body."""
PIECE_BYTES = 16 << 20
"""Most that one request carries of a file; S3 takes 5 MiB to 5 GiB, and 10,000 pieces of one upload."""

FAULTS = (ClientError, BotoCoreError, ResponseParserError, HTTPError)
"""Everything that a call raises when it fails; the last one comes through boto3 when TLS breaks off."""
_PASSING = (NotConnected, HTTPClientError, IncompleteReadError, FlexibleChecksumError, ResponseParserError, HTTPError)
_PASSING_CODES = {"RequestTimeout", "SlowDown", "TooManyRequests", "BadDigest", "IncompleteBody"}
_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
"""Something is there already; the numbers come from answers whose body broke off."""
_ABSENT = {"404", "NoSuchKey", "NotFound"}


class S3Storage:
    """Objects below a prefix of one bucket; credentials and region come from the environment."""

    def __init__(self, root: str, *, cache: Path | None = None) -> None:
        """Make a client; `AWS_ENDPOINT_URL` overrides the endpoint."""
        parts = urlparse(root)
        self.root = root.rstrip("/")
        self.bucket = parts.netloc
        self.prefix = parts.path.strip("/")
        self.cache = cache
        once: Any = {"mode": "standard", "total_max_attempts": 1}
        config = Config(retries=once, connect_timeout=CONNECT_S, read_timeout=READ_S)
        self.client: Any = boto3.client("s3", config=config)

    def read(self, key: str) -> bytes:
        """See Storage.read."""
        place = self._place(key)
        return self._reading(key, lambda: bytes(self.client.get_object(**place)["Body"].read()))

    def read_range(self, key: str, offset: int, length: int) -> bytes:
        """See Storage.read_range."""
        if length == 0:
            return b""
        place = self._place(key) | {"Range": f"bytes={offset}-{offset + length - 1}"}
        data = self._reading(key, lambda: bytes(self.client.get_object(**place)["Body"].read()))
        return whole(data, key, offset, length)

    def size(self, key: str) -> int:
        """See Storage.size."""
        place = self._place(key)
        return self._reading(key, lambda: int(self.client.head_object(**place)["ContentLength"]))

    def put(self, key: str, data: bytes) -> str:
        """See Storage.put; S3 shows an object only when it is complete."""
        self._writing(key, partial(self.client.put_object, **self._place(key), Body=data))
        return key

    def put_new(self, key: str, data: bytes) -> bool:
        """See Storage.put_new; a service that does not know the condition writes whatever is there."""
        send = partial(self.client.put_object, **self._place(key), Body=data, IfNoneMatch="*")
        try:
            tried(send)
        except FAULTS as error:
            if _code(error) not in _TAKEN:
                self._writing(key, partial(_raise, error))
            return self.read(key) == data  # the answer to an earlier try may have got lost
        return True

    def put_file(self, key: str, path: Path) -> str:
        """See Storage.put_file; a large file goes in pieces, of which one is in memory."""
        try:
            size = path.stat().st_size
            if size <= PIECE_BYTES:
                return self.put(key, path.read_bytes())
            with path.open("rb") as file:
                self._put_pieces(key, file, size)
        except OSError as error:
            raise StorageError(f"Cannot read {path} to write {self.root}/{key}: {error.strerror}.") from error
        return key

    def _put_pieces(self, key: str, file: BinaryIO, size: int) -> None:
        """Upload a file piece by piece; when that fails the bucket keeps none of them."""
        place = self._place(key)
        place["UploadId"] = self._writing(key, partial(self.client.create_multipart_upload, **place))["UploadId"]
        pieces = []
        try:
            for number, data in enumerate(iter(partial(file.read, PIECE_BYTES), b""), start=1):
                sent = self._writing(key, partial(self.client.upload_part, **place, PartNumber=number, Body=data))
                pieces.append({"ETag": sent["ETag"], "PartNumber": number})
            self._writing(key, partial(self._complete, key, place, pieces, size))
        except BaseException:
            with suppress(*FAULTS):
                self.client.abort_multipart_upload(**place)
            raise

    def _complete(self, key: str, place: Mapping[str, str], pieces: list[dict[str, Any]], size: int) -> None:
        try:
            self.client.complete_multipart_upload(**place, MultipartUpload={"Parts": pieces})
        except ClientError as error:
            # the answer to the try before this one may have got lost
            if _code(error) != "NoSuchUpload" or self.size(key) != size:
                raise

    def delete(self, key: str) -> None:
        """See Storage.delete; S3 itself is content when nothing is there."""
        self._writing(key, partial(self.client.delete_object, **self._place(key)))

    def exists(self, key: str) -> bool:
        """See Storage.exists."""
        try:
            tried(partial(self.client.head_object, **self._place(key)))
        except FAULTS as error:
            if _code(error) in _ABSENT:
                return False
            raise self._unread(key, error) from error
        return True

    def list(self, prefix: str = "") -> Iterator[str]:
        """See Storage.list."""
        return (listed.key for listed in self.listing(prefix))

    def listing(self, prefix: str = "") -> Iterator[Listed]:
        """See Storage.listing; a page that fails is asked for again, not those before it."""
        query: dict[str, Any] = {"Bucket": self.bucket, "Prefix": f"{self.prefix}/{prefix}" if self.prefix else prefix}
        cut = len(self.prefix) + 1 if self.prefix else 0
        more = True
        while more:
            page = self._reading(prefix, partial(self.client.list_objects_v2, **query))
            for item in page.get("Contents", ()):
                yield Listed(item["Key"][cut:], int(item["Size"]), item["ETag"].strip('"'))
            more = page["IsTruncated"]
            query["ContinuationToken"] = page.get("NextContinuationToken")

    def fetch(self, key: str) -> Path:
        """See Storage.fetch."""
        if self.cache is None:  # copies then go when this object goes
            self.cache = Path(tempfile.mkdtemp(prefix="lucidflux-s3-"))
            weakref.finalize(self, shutil.rmtree, self.cache, ignore_errors=True)
        name = hashlib.sha256(f"{self.root}/{key}".encode()).hexdigest()[:16]
        copy = LocalStorage(self.cache)
        local = f"{name}/{PurePosixPath(key).name}"
        if not copy.exists(local):
            with copy.replacing(local) as path, path.open("wb") as file:
                for data in self._pieces(key):
                    file.write(data)
        return copy.fetch(local)

    def _pieces(self, key: str) -> Iterator[bytes]:
        """Give an object in pieces, all of the same version."""
        query: dict[str, str] = self._place(key)
        offset, total = 0, 1
        while offset < total:
            query["Range"] = f"bytes={offset}-{offset + PIECE_BYTES - 1}"
            data, total, query["IfMatch"] = self._reading(key, partial(self._piece, dict(query)))
            yield data
            offset += len(data)

    def _piece(self, query: Mapping[str, str]) -> tuple[bytes, int, str]:
        """Give bytes, the length of the whole object, and its version."""
        try:
            answer = self.client.get_object(**query)
        except ClientError as error:
            if _code(error) == "InvalidRange":  # an empty object has no first byte
                return b"", 0, ""
            raise
        data = bytes(answer["Body"].read())
        return data, int(answer.get("ContentRange", f"/{len(data)}").rpartition("/")[2]), answer["ETag"]

    def _place(self, key: str) -> dict[str, str]:
        key = checked_key(key)
        return {"Bucket": self.bucket, "Key": f"{self.prefix}/{key}" if self.prefix else key}

    def _reading(self, key: str, action: Callable[[], T]) -> T:
        try:
            return tried(action)
        except FAULTS as error:
            raise self._unread(key, error) from error

    def _unread(self, key: str, error: Exception) -> StorageError:
        return self._away("read", key, error) if passing(error) else missing(self.root, key, error)

    def _writing(self, key: str, action: Callable[[], T]) -> T:
        try:
            return tried(action)
        except FAULTS as error:
            if passing(error):
                raise self._away("write", key, error) from error
            raise StorageError(f"Cannot write {self.root}/{key}: {error}. Check bucket, endpoint and credentials.") from error

    def _away(self, verb: str, key: str, error: Exception) -> StorageError:
        return StorageError(
            f"Cannot {verb} '{key}' below {self.root}: {TRIES} tries failed, the last with: {error}. "
            "Are endpoint and network up? Run the same command again: it goes on from here."
        )


def tried(action: Callable[[], T]) -> T:
    """Do something, again after a growing pause when it fails with what may pass; raises what the last try raised."""
    for attempt in range(TRIES - 1):
        try:
            return action()
        except FAULTS as error:
            if not passing(error):
                raise
        # workers that failed together come back apart
        time.sleep(random.uniform(0.5, 1.0) * min(LONGEST_S, BACK_OFF_S * 2**attempt))  # noqa: S311
    return action()


def passing(error: Exception) -> bool:
    """Say whether another try may succeed."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= 500 or _code(error) in _PASSING_CODES
    return isinstance(error, _PASSING)


def _raise(error: Exception) -> None:
    raise error


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""
