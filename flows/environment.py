"""What has to stand in the environment before Prefect, MLflow and the others are imported."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

from flows.operations import record

HEARTBEAT_SECONDS = "30"
"""Between signs of life of a flow run; Prefect accepts no less. With its own 180 the platform would take a run for dead."""

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "DVC_NO_ANALYTICS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PREFECT_CLI_COLORS": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    # the run's log is in Prefect; the terminal shows progress and sentences
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    # spinning threads make everything several times slower on a busy machine
    "OMP_WAIT_POLICY": "PASSIVE",
    # pyiqa and torch warn about things that a user of the command line cannot change
    "PYTHONWARNINGS": "ignore",
}


def prepare(home: Path) -> None:
    """Keep Prefect's state inside the home and every library silent; what the user set stays.

    Args:
        home: state folder. With PREFECT_API_URL set, or with servers that `lucidflux up` started for this home, runs are
            recorded there instead.
    """
    os.environ["LUCIDFLUX_HOME"] = str(home)
    if running := record.address(home, "prefect"):
        os.environ.setdefault("PREFECT_API_URL", running)
    inside = {
        "PREFECT_HOME": str(home / "prefect"),
        "PREFECT_LOCAL_STORAGE_PATH": str(home / "prefect" / "results"),
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": HEARTBEAT_SECONDS,
        "MPLCONFIGDIR": str(home / "cache" / "matplotlib"),
    }
    for name, value in (QUIET | inside).items():
        os.environ.setdefault(name, value)
    # it asks for a package that nothing here uses
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "120")
    with contextlib.suppress(OSError):  # opening the workspace says it better
        (home / "prefect").mkdir(parents=True, exist_ok=True)
