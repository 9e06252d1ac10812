"""When a task is tried again, and when its result is found: the rules that all tasks share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from prefect import Task
from prefect.context import TaskRunContext
from prefect.logging import get_run_logger

from components.errors import LucidfluxError
from components.records import content_hash
from flows.progress import reused
from flows.workspace import Workspace

Key = Callable[[TaskRunContext, dict[str, Any]], str]
R = TypeVar("R")


def key(stage: str, *parts: Callable[[dict[str, Any]], object]) -> Key:
    """Cache key from the stage, the object store and the named parts of the parameters."""

    def make(_: TaskRunContext, parameters: dict[str, Any]) -> str:
        objects = parameters["workspace"].objects
        return f"{stage}-{content_hash(stage, objects, *(part(parameters) for part in parts))}"

    return make


def run(stage: Task[..., R], workspace: Workspace, *inputs: object, **options: object) -> R:
    """Run a task; say when its result was found, and make it again when the objects behind it are gone."""
    state: Any = stage(workspace, *inputs, **options, return_state=True)
    result: R = state.result()
    if state.name == "Cached":
        if not _intact(workspace, result):
            get_run_logger().warning("%s: the objects of the earlier result are gone; running again", stage.name)
            again: R = stage.with_options(refresh_cache=True)(workspace, *inputs, **options)
            return again
        if (names := reused.get()) is not None:
            names.append(stage.name)
    return result


def _intact(workspace: Workspace, result: object) -> bool:
    keys = [getattr(result, name) for name in ("uri", "checkpoint", "html", "sheet", "picture") if getattr(result, name, "")]
    keys += [inner.uri for inner in (getattr(result, "manifest", None), getattr(result, "scores", None)) if inner is not None]
    store = workspace.store
    return all(store.exists(one) for one in keys)


def _transient(_: object, __: object, state: Any) -> bool:
    """Retry what may pass by itself; what a person has to mend is not tried twice."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, LucidfluxError)


RETRY: dict[str, Any] = {"retries": 2, "retry_delay_seconds": [5, 30], "retry_condition_fn": _transient}
KEEP: dict[str, Any] = {"persist_result": True, "result_serializer": "json"}
