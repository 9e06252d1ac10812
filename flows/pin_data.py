"""Maintainers only: write data.dvc from a fresh ingest of the default input (`make pin-data`)."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Ingest the packaged photos into an empty home and pin what came out."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        from flows import environment

        environment.prepare(home)
        from components.backends.versioning import write_pin
        from flows.ingest import ingest
        from flows.settings import REPOSITORY

        version = ingest(["packaged:"], home=str(home))
        write_pin(REPOSITORY / "data.dvc", version)
    sys.stdout.write(f"data.dvc pins {version.dvc_md5}: {version.files} files, {version.bytes} bytes\n")


if __name__ == "__main__":
    main()
