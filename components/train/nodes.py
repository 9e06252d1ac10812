"""Several machines as one run: which one this is, and how its launcher finds the others.

torchrun's `c10d` rendezvous gives ranks by host name and process id, not by our number; so nothing relies on machine 0
holding the first process: every machine writes the result, and a resumed run looks on every machine's disk.
"""

from __future__ import annotations

import os
import re

from components.errors import SettingsError
from components.train.settings import TrainSettings

NODE_RANK = ("LUCIDFLUX_NODE_RANK", "PET_NODE_RANK", "SLURM_NODEID")
"""Variables that may hold this machine's number, the first one that is set counts: ours, torchrun's own, Slurm's."""
RUN_ID = "lucidflux"
"""The same for every run: machines with different jobs must meet to be told so."""


def require_consistent(settings: TrainSettings) -> None:
    """Refuse settings of processes and machines that contradict each other.

    Raises:
        SettingsError: they do.
    """
    if settings.engine == "plain" and settings.processes != 1:
        raise SettingsError(
            f"The plain engine is one process, train.processes is {settings.processes}. Set it to 1 or engine to zero2."
        )
    if settings.processes % settings.nodes:
        raise SettingsError(
            f"Expected the same number of processes on each machine, train.processes is {settings.processes} and train.nodes "
            f"{settings.nodes}. Set processes, which counts those of all machines, to a multiple of nodes."
        )
    if settings.nodes > 1 and not re.fullmatch(r"\S+:\d+", settings.rendezvous):
        raise SettingsError(
            f"Expected host:port of machine 0 as train.rendezvous, where {settings.nodes} machines meet, "
            f"got '{settings.rendezvous}'."
        )


def node_rank(settings: TrainSettings) -> int:
    """Number of this machine, from 0.

    Raises:
        SettingsError: several machines are asked for, and the environment does not say which one this is.
    """
    if settings.nodes == 1:
        return 0
    said = next((os.environ[name] for name in NODE_RANK if os.environ.get(name)), "")
    if not said.isdigit() or int(said) >= settings.nodes:
        raise SettingsError(
            f"Expected this machine's number, 0 to {settings.nodes - 1}, in {NODE_RANK[0]} (or {', '.join(NODE_RANK[1:])}), "
            f"got '{said}'. Start the same command on each machine with a number of its own."
        )
    return int(said)


def torchrun_arguments(settings: TrainSettings) -> list[str]:
    """How many processes torchrun starts here, and where it meets its like."""
    own = ["--nproc_per_node", str(settings.processes // settings.nodes)]
    if settings.nodes == 1:
        return ["--standalone", *own]
    host = f"is_host={int(node_rank(settings) == 0)}"
    meeting = ["--rdzv_backend=c10d", f"--rdzv_endpoint={settings.rendezvous}", f"--rdzv_id={RUN_ID}", f"--rdzv_conf={host}"]
    return ["--nnodes", str(settings.nodes), *own, *meeting]
