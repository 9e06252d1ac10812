"""Great Expectations over a table of statistics; the one home of great_expectations, which is slow to import."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from components.errors import ContractError

_alone = threading.Lock()
"""Great Expectations keeps its present context in a global."""


@dataclass(frozen=True)
class Result:
    """What became of one expectation."""

    key: str
    warning: bool
    """Its failure is worth a word, but does not stop a flow."""
    passed: bool
    observed: float
    minimum: float | None
    maximum: float | None


def validate(
    name: str, expectations: Sequence[Mapping[str, Any]], statistics: Mapping[str, float], numbers: Mapping[str, float]
) -> tuple[list[Result], Any]:
    """Validate a one-row table of statistics, in a context that lives in memory only.

    Args:
        name: of the suite.
        expectations: as in the suite's file.
        statistics: value by column.
        numbers: parameters of the expectations.

    Returns:
        The results in the order of the expectations, and what `sections` renders.

    Raises:
        ContractError: Great Expectations left an expectation out or cannot evaluate it.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    import pandas as pd

    with _alone:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas(name).add_dataframe_asset("statistics")
        frame = pd.DataFrame([dict(statistics)], dtype=object)
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": frame})
        numbered = [{**one, "meta": {"nth": nth}} for nth, one in enumerate(expectations)]
        suite = gx.ExpectationSuite(name=name, expectations=numbered)
        found = batch.validate(suite, expectation_parameters=dict(numbers))
        found.results.sort(key=lambda one: int(one.expectation_config.meta["nth"]))
        results = [_result(one, statistics) for one in found.results]
        if len(results) != len(expectations):
            raise ContractError(f"Great Expectations took {len(results)} of the {len(expectations)} expectations of '{name}'.")
        return results, found


def sections(found: Any) -> list[str]:
    """Render what Data Docs shows of a validation as HTML, without the frame of its page, which loads files from other hosts."""
    from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaSectionView

    document = ValidationResultsPageRenderer(run_info_at_end=True).render(found).to_json_dict()
    view = DefaultJinjaSectionView()
    return [view.render({"section": one, "section_loop": {"index": nth}}) for nth, one in enumerate(document["sections"], 1)]


def _result(one: Any, statistics: Mapping[str, float]) -> Result:
    config = one.expectation_config
    if one.exception_info.get("exception_message"):
        raise ContractError(f"Great Expectations cannot evaluate {config.kwargs}: {one.exception_info['exception_message']}")
    return Result(
        key=config.kwargs["column"],
        warning=str(config.severity.value) == "warning",
        passed=bool(one.success),
        observed=statistics[config.kwargs["column"]],
        minimum=config.kwargs.get("min_value"),
        maximum=config.kwargs.get("max_value"),
    )
