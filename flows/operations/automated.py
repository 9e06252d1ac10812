"""`python -m flows.operations.automated`: put the automations onto the server of PREFECT_API_URL, after its deployments.

`lucidflux up` does this for one machine; containers and clusters, whose servers somebody else starts, call this. Run again, it
changes what has changed.
"""

from __future__ import annotations

import sys

from prefect.client.orchestration import get_client

from components.errors import LucidfluxError, SettingsError
from flows.operations import automations
from flows.operations.deployments import read


def main() -> int:
    """Apply, and say what is there now."""
    try:
        for name in put():
            print(f"automation '{name}'")  # noqa: T201 (a program for scripts)
    except LucidfluxError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def put() -> list[str]:
    """Make the server's automations those of this program, and give their names.

    Raises:
        SettingsError: a deployment of prefect.yaml is not on the server.
    """
    wanted = [deployment["name"] for deployment in read()["deployments"]]
    with get_client(sync_client=True) as client:
        there = {deployment.name: deployment.id for deployment in client.read_deployments()}
        if lacking := [name for name in wanted if name not in there]:
            raise SettingsError(
                f"Expected the deployments of prefect.yaml on {client.api_url}, {', '.join(lacking)} is missing. "
                "Apply them first: prefect --no-prompt deploy --all"
            )
        return list(automations.apply(client, there))


if __name__ == "__main__":
    sys.exit(main())
