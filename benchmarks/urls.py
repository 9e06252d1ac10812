"""Ingestion from a list of addresses, some of them bad, beside ingestion of the same pictures from a folder.

    python -m benchmarks.urls --photos FOLDER [--pictures 5000] [--workers 2]

JPEGs cut out of real photos are served by a local server in a process of its own; one address in twenty is bad: 404, an
answer that stops coming, a content that is cut, a page instead of a picture, a redirect to a private address. The program
ends with 1 unless every row has the verdict that its address deserves and every picture the bytes of its file.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import hashlib
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from components.backends import manifest
from components.backends.storage import LocalStorage
from components.imaging import codec
from components.ingest.run import ingest
from components.ingest.settings import IngestSettings, UrlSettings

FAULTS = {0: "http_404", 20: "timed_out", 40: "cut", 60: "wrong_type", 80: "private_address"}
"""Rows whose number ends in these two digits are bad, and the reason that they deserve."""
STALL_SECONDS = 30
READ_SECONDS = 2.0
SIDE_PX = 512
TURNS = 2
"""The two ways take turns and the best of each counts, so that what else the machine does hits both."""


def cut_photos(photos: Path, folder: Path, count: int) -> None:
    """Write JPEG crops of real photos, no two alike."""
    generator = np.random.default_rng(0)
    sources = [codec.decode(path.read_bytes()).image_u8 for path in sorted(photos.iterdir())]
    sources = [source for source in sources if min(source.shape[:2]) > SIDE_PX]
    folder.mkdir(parents=True)
    for number in range(count):
        source = sources[number % len(sources)]
        top, left = (int(generator.integers(0, side - SIDE_PX)) for side in source.shape[:2])
        crop = source[top : top + SIDE_PX, left : left + SIDE_PX].copy()
        crop[:8, :8] = generator.integers(0, 256, (8, 8, 3))
        (folder / f"{number:06d}.jpg").write_bytes(codec.encode_jpeg(crop, 90))


def reason(number: int) -> str:
    """The reason that a row deserves; empty for a good one."""
    return FAULTS.get(number % 100, "")


async def answer(request: web.Request) -> web.StreamResponse:
    """Send a picture, or fail as its number says."""
    path = request.app["folder"] / request.match_info["name"]
    match reason(int(path.stem)):
        case "http_404":
            return web.Response(status=404, text="gone")
        case "wrong_type":
            return web.Response(body=b"<html>please log in</html>", content_type="image/jpeg")
        case "private_address":
            return web.Response(status=302, headers={"Location": "http://169.254.169.254/latest/meta-data/"})
        case "cut" | "timed_out" as fault:
            return await half(request, path.read_bytes(), STALL_SECONDS if fault == "timed_out" else 0)
    return web.FileResponse(path)


async def half(request: web.Request, data: bytes, stall_seconds: float) -> web.StreamResponse:
    """Send half of what was announced, wait, and hang up."""
    response = web.StreamResponse(headers={"Content-Length": str(len(data))})
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    await asyncio.sleep(stall_seconds)
    if request.transport is not None:
        request.transport.close()
    return response


def serve(folder: Path, ready: Connection) -> None:
    """Run the server until the process is ended."""

    async def start() -> None:
        app = web.Application()
        app["folder"] = folder
        app.router.add_get("/{name}", answer)
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        ready.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(start())


def timed(address: str, settings: IngestSettings, home: Path, workers: int) -> tuple[float, list[dict[str, Any]]]:
    """Seconds and rows of one ingestion into a fresh store."""
    store = LocalStorage(home)
    started = time.perf_counter()
    handle = ingest([address], settings, objects=store.root, workers=workers)
    return time.perf_counter() - started, manifest.rows(store, handle)


def require_every_row(rows: list[dict[str, Any]], files: list[Path]) -> None:
    """Compare each row with what its address deserves."""
    if len(rows) != len(files):
        sys.exit(f"{len(rows)} rows for {len(files)} addresses")
    for row, file in zip(rows, files, strict=True):
        deserved = reason(int(file.stem))
        right = hashlib.sha256(file.read_bytes()).hexdigest() == row["id"] if not deserved else row["verdict"] == "failed"
        if row["reason"] != deserved or not right:
            sys.exit(f"{row['origin']} ({row['url']}) is {row['verdict']} '{row['reason']}', deserved '{deserved}'")


def run(photos: Path, pictures: int, workers: int, home: Path) -> None:
    """Serve, ingest both ways, compare."""
    cut_photos(photos, home / "photos", pictures)
    files = sorted((home / "photos").iterdir())
    receive, send = multiprocessing.Pipe(duplex=False)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(home / "photos", send), daemon=True)
    server.start()
    port = receive.recv()
    with (home / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["url"], *([f"http://127.0.0.1:{port}/{path.name}"] for path in files)])
    web_settings = UrlSettings(allow_hosts=(f"127.0.0.1:{port}",), host_concurrency=64, read_seconds=READ_SECONDS, attempts=2)
    settings = IngestSettings(shard_pictures=max(1, pictures // workers), urls=web_settings)
    folder_seconds, web_seconds = [], []
    for turn in range(TURNS):
        seconds, _ = timed(str(home / "photos"), settings, home / f"folder-{turn}", workers)
        folder_seconds.append(seconds)
        seconds, rows = timed(f"urls:{home / 'list.csv'}", settings, home / f"urls-{turn}", workers)
        web_seconds.append(seconds)
        require_every_row(rows, files)
    server.terminate()
    kept = sum(row["verdict"] == "kept" for row in rows)
    bare, speed = len(files) / min(folder_seconds), kept / min(web_seconds)
    print(f"verdicts of {len(rows)} rows: {dict(Counter(row['reason'] or row['verdict'] for row in rows))}")
    print(f"folder: {bare:.0f} pictures/s (turns: {', '.join(f'{seconds:.1f} s' for seconds in folder_seconds)})")
    print(f"addresses: {speed:.0f} pictures/s (turns: {', '.join(f'{seconds:.1f} s' for seconds in web_seconds)})")
    print(f"pictures/s of the addresses over those of the folder: {speed / bare:.2f}")


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder with real photos")
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(given.photos, given.pictures, given.workers, Path(folder))


if __name__ == "__main__":
    main()
