"""What the rows at each border must satisfy; the one home of great_expectations.

A suite is a table of rules, so that it can be read. Checking never raises for a broken rule: the outcome is
a record that names some of its rows, and `require` turns it into an error where a flow has to stop.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations import expectations as gxe
from great_expectations.expectations.row_conditions import Column

from components.errors import ContractError, SettingsError, lookup
from components.records import Expectations

ROWS_NAMED = 5
KEPT = Column("verdict") == "kept"
_NOT_KEPT = Column("verdict") != "kept"
_PATCHED = KEPT & (Column("width_px") >= 240) & (Column("height_px") >= 240)
"""Pictures that hold at least one of the 240 px patches that flatness is measured on."""
_ROW = "row"
"""Added column: what a person calls the row."""
_SIDES = "sides_of_scene"
"""Added column: on how many sides of the split the row's scene has kept pictures."""
_alone = threading.Lock()
"""Great Expectations keeps its present context in a global."""


@dataclass(frozen=True)
class Parameter:
    """Stands for a number that the caller of `check` gives."""

    name: str
    times: str = ""
    """Name of a second number to multiply with."""


@dataclass(frozen=True)
class Rule:
    """One expectation and the sentence that it proves."""

    says: str
    expect: Any
    """Class of great_expectations.expectations."""
    about: Mapping[str, Any] = field(default_factory=dict)
    where: Any = None
    """Condition on the rows; None means every row. Null values fail only `ExpectColumnValuesToNotBeNull`."""


def _filled(columns: Iterable[str], where: Any = None, of: str = "every row") -> list[Rule]:
    return [Rule(f"{of} has {name}", gxe.ExpectColumnValuesToNotBeNull, {"column": name}, where) for name in columns]


def _at_least(columns: Iterable[str], minimum: int, where: Any = None, of: str = "every row") -> list[Rule]:
    between = gxe.ExpectColumnValuesToBeBetween
    return [
        Rule(f"{of} has {name} of {minimum} or more", between, {"column": name, "min_value": minimum}, where) for name in columns
    ]


_EVERY_IMAGE = (
    Rule("as many rows come out as went in", gxe.ExpectTableRowCountToEqual, {"value": Parameter("rows")}),
    *_filled(["origin", "verdict"]),
    Rule("every origin is there once", gxe.ExpectColumnValuesToBeUnique, {"column": "origin"}),
    Rule(
        "every verdict is kept, rejected or failed",
        gxe.ExpectColumnValuesToBeInSet,
        {"column": "verdict", "value_set": ["kept", "rejected", "failed"]},
    ),
    *_filled(["reason"], _NOT_KEPT, "every row that is not kept"),
    Rule("no kept row has a reason", gxe.ExpectColumnValuesToBeNull, {"column": "reason"}, KEPT),
    *_filled(["id", "shard", "offset", "scene", "format", "licence"], KEPT, "every kept row"),
    *_filled(["length", "width_px", "height_px"], KEPT, "every kept row"),
    *_at_least(["offset"], 0, KEPT, "every kept row"),
    *_at_least(["length", "width_px", "height_px"], 1, KEPT, "every kept row"),
    Rule("every kept id is there once", gxe.ExpectColumnValuesToBeUnique, {"column": "id"}, KEPT),
    Rule("every kept id is a sha256", gxe.ExpectColumnValuesToMatchRegex, {"column": "id", "regex": "^[0-9a-f]{64}$"}, KEPT),
)
_SCORED = (
    *_filled(["blur"], KEPT, "every decodable row"),
    *_filled(["flat_share"], _PATCHED, "every decodable row of 240 px or more"),
    *_at_least(["blur", "flat_share"], 0, KEPT, "every decodable row"),
    Rule(
        "every flat_share is at most 1",
        gxe.ExpectColumnValuesToBeBetween,
        {"column": "flat_share", "max_value": 1},
        KEPT,
    ),
)
_SELECTED = (
    *_filled(["blur", "flat_share", "quality", "split"], KEPT, "every kept row"),
    Rule(
        "every kept row is as sharp as asked",
        gxe.ExpectColumnValuesToBeBetween,
        {"column": "blur", "min_value": Parameter("blur_minimum"), "max_value": Parameter("blur_maximum")},
        KEPT,
    ),
    Rule(
        "every kept row is textured as asked",
        gxe.ExpectColumnValuesToBeBetween,
        {"column": "flat_share", "max_value": Parameter("flat_share_maximum")},
        KEPT,
    ),
    Rule("the asked share of the ranked rows is kept", gxe.ExpectTableRowCountToEqual, {"value": Parameter("kept")}, KEPT),
    Rule(
        "every kept row is on the train or the test side",
        gxe.ExpectColumnValuesToBeInSet,
        {"column": "split", "value_set": ["train", "test"]},
        KEPT,
    ),
    Rule("no scene is on both sides", gxe.ExpectColumnValuesToBeInSet, {"column": _SIDES, "value_set": [1]}, KEPT),
)
_PAIRS = (
    Rule("every picture has one pair per epoch", gxe.ExpectTableRowCountToEqual, {"value": Parameter("images", "epochs")}),
    *_filled(["id", "hq_id", "epoch", "seed", "split", "recipe", "shard", "offset", "length"]),
    *_at_least(["offset", "epoch"], 0),
    *_at_least(["length"], 1),
    Rule("every pair is there once", gxe.ExpectColumnValuesToBeUnique, {"column": "id"}),
    Rule(
        "every picture and epoch is there once",
        gxe.ExpectCompoundColumnsToBeUnique,
        {"column_list": ["hq_id", "epoch"]},
    ),
    Rule("every pair is on the train side", gxe.ExpectColumnValuesToBeInSet, {"column": "split", "value_set": ["train"]}),
)
SUITES: Mapping[str, Sequence[Rule]] = {
    "ingest": _EVERY_IMAGE,
    "curate_before": (*_EVERY_IMAGE, *_SCORED),
    "curate_after": (*_EVERY_IMAGE, *_SELECTED),
    "pairs": _PAIRS,
}


def check(suite: str, rows: Any, *, parameters: Mapping[str, float]) -> Expectations:
    """Hold rows against a suite; a broken rule is an outcome, not an error.

    Args:
        suite: name in SUITES.
        rows: list of mappings, or a pyarrow table.
        parameters: numbers that the suite's `Parameter`s stand for; others are ignored.

    Returns:
        The outcome, with one sentence for each broken rule.

    Raises:
        UnknownName: there is no such suite.
        SettingsError: a parameter of the suite is missing.
    """
    rules = lookup(SUITES, suite, kind="suite")
    frame = rows.to_pandas() if hasattr(rows, "to_pandas") else pd.DataFrame(rows)
    columns = _columns(rules)
    there = Rule("every column is there", gxe.ExpectTableColumnsToMatchSet, {"column_set": columns, "exact_match": False})
    missing = [name for name in columns if name not in frame.columns]
    expected = [_expectation(number, rule, parameters) for number, rule in enumerate(rules)]
    if missing:
        rules, expected = [there], [_expectation(0, there, parameters)]
    else:
        frame = _prepared(frame)
    results = _run(suite, frame, expected)
    broken = [_sentence(rule, result, frame) for rule, result in zip(rules, results, strict=True) if not result.success]
    if missing:
        broken = [f"{there.says}: missing are {', '.join(missing)}"]
    return Expectations(suite=suite, passed=not broken, evaluated=len(results), failed=tuple(broken))


def require(checked: Expectations) -> Expectations:
    """Give a passed outcome back.

    Raises:
        ContractError: it did not pass; lists every broken rule.
    """
    if not checked.passed:
        raise ContractError(
            f"{len(checked.failed)} of {checked.evaluated} expectations of '{checked.suite}' failed: "
            f"{'; '.join(checked.failed)}. Mend these rows at their source and run again."
        )
    return checked


def _columns(rules: Iterable[Rule]) -> list[str]:
    """Every column that the rules speak of."""
    named = [name for rule in rules for name in (rule.about.get("column"), *rule.about.get("column_list", ()))]
    return list(dict.fromkeys(name for name in named if name and name != _SIDES))


def _prepared(frame: pd.DataFrame) -> pd.DataFrame:
    """Make empty text null, and add what rules and sentences need."""
    frame = frame.mask(frame == "")
    ids = frame["id"].fillna("no id").astype(str).str[:12]
    frame[_ROW] = ids + " (" + frame["origin"].astype(str) + ")" if "origin" in frame else ids
    if {"scene", "split", "verdict"} <= set(frame.columns):
        kept = frame[frame["verdict"] == "kept"]
        frame[_SIDES] = kept.groupby("scene")["split"].transform("nunique").reindex(frame.index)
    return frame.reset_index(drop=True)


def _expectation(number: int, rule: Rule, parameters: Mapping[str, float]) -> Any:
    about = {name: _value(value, parameters) for name, value in rule.about.items()}
    if rule.where is not None:
        about["row_condition"] = rule.where
    return rule.expect(**about, meta={"rule": number})


def _value(value: Any, parameters: Mapping[str, float]) -> Any:
    if not isinstance(value, Parameter):
        return value
    names = [name for name in (value.name, value.times) if name]
    if missing := [name for name in names if name not in parameters]:
        raise SettingsError(f"Expected the parameters {', '.join(names)} for this suite, missing: {', '.join(missing)}.")
    factors = [parameters[name] for name in names]
    return factors[0] if len(factors) == 1 else factors[0] * factors[1]


def _run(name: str, frame: pd.DataFrame, expected: list[Any]) -> list[Any]:
    """Validate in a context that lives in memory only."""
    with _alone:
        context = gx.get_context(mode="ephemeral")
        context.variables.progress_bars = {"globally": False}
        asset = context.data_sources.add_pandas("rows").add_dataframe_asset(name)
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch(batch_parameters={"dataframe": frame})
        named = {"unexpected_index_column_names": [_ROW]} if _ROW in frame else {}
        suite = gx.ExpectationSuite(name=name, expectations=expected)
        results = batch.validate(suite, result_format={"result_format": "SUMMARY", **named}).results
        return sorted(results, key=lambda result: int(result.expectation_config.meta["rule"]))


def _sentence(rule: Rule, result: Any, frame: pd.DataFrame) -> str:
    """Say what was broken, by how many rows and by which."""
    facts = result.result
    if "unexpected_count" in facts:
        rows = [entry[_ROW] for entry in facts.get("partial_unexpected_index_list") or ()]
        named = ", ".join(list(dict.fromkeys(rows))[:ROWS_NAMED])
        return f"{rule.says}: not so in {facts['unexpected_count']} of {len(frame)} rows, among them {named}"
    if "observed_value" in facts:
        return f"{rule.says}: expected {result.expectation_config.kwargs.get('value')}, found {facts['observed_value']}"
    return f"{rule.says}: could not be evaluated ({result.exception_info})"
