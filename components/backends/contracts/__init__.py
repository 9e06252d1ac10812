"""What the rows at each border must satisfy, at any number of rows.

DuckDB counts the rows that break each rule (`rules`, `counting`, `drift`), Great Expectations validates the one-row table of
those statistics with suites that are files (`suites`, `validation`), and a second query names some of the rows. Checking never
raises for a broken rule: the outcome is a record, and `require` turns it into an error where a flow has to stop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from components.backends.contracts import validation
from components.backends.contracts.counting import ROWS_NAMED, Counted, Counter
from components.backends.contracts.overrides import checked_overrides, how
from components.backends.contracts.pages import page, plain
from components.backends.contracts.rules import Rows, Sets
from components.backends.contracts.suites import SUITES, Suite, load
from components.backends.contracts.validation import Result
from components.backends.manifest import SCHEMAS
from components.backends.storage import Storage
from components.backends.tables import Tables
from components.errors import ContractError
from components.records import Expectations, content_hash

__all__ = ["ROWS_NAMED", "SUITES", "check", "load", "require"]


def check(
    suite: str,
    tables: Tables,
    relation: str,
    *,
    parameters: Mapping[str, float],
    reference: str | None = None,
    overrides: Mapping[str, str] | None = None,
    docs: Path | None = None,
) -> Expectations:
    """Hold the rows of a relation against a suite; a broken rule is an outcome, not an error.

    Args:
        suite: name in SUITES.
        tables: session with the relations; `curate_after` also reads `leaks`, where there is one.
        relation: the rows, with all columns of the suite's kind.
        parameters: numbers that the suite asks for; those in its file may be left out.
        reference: relation with the version before, for drift; without one drift is not evaluated.
        overrides: key of a rule -> "NAME: reason"; broken, it is recorded and does not fail.
        docs: local folder for the page about the outcome, `<suite>.html`; it also goes into the session's store, under a
            key that depends on the outcome alone.

    Returns:
        The outcome, with one sentence for each broken rule.

    Raises:
        UnknownName: there is no such suite.
        SettingsError: a parameter is missing or unknown, or an override is of no rule or has no name or reason.
    """
    loaded = load(suite)
    allowed = checked_overrides(loaded, overrides or {})
    counter = Counter(tables, relation, loaded.numbers(parameters), reference)
    if missing := [name for name in SCHEMAS[loaded.kind].names if name not in counter.columns()]:
        sentence = f"columns: every column is there: missing are {', '.join(missing)}"
        return Expectations(suite=suite, passed=False, evaluated=1, failed=(sentence,))
    counted = counter.count(loaded.statistics)
    asked = [one for one in loaded.expectations if one["kwargs"]["column"] in counted.values]
    results, found = validation.validate(suite, asked, counted.values, counter.numbers)
    checked = _outcome(loaded, counter, counted, results, allowed)
    if docs is None:
        return checked
    checked = checked.model_copy(update={"docs": f"docs/{suite}-{content_hash(checked, counter.numbers)[:16]}.html"})
    _write(page(checked, validation.sections(found), counter.numbers), checked.docs, docs / f"{suite}.html", tables.store)
    return checked


def require(checked: Expectations) -> Expectations:
    """Give a passed outcome back.

    Raises:
        ContractError: it did not pass; lists every broken rule.
    """
    if checked.passed:
        return checked
    suite = load(checked.suite)
    keys = [sentence.partition(":")[0] for sentence in checked.failed]
    ways = [f"--set {how(suite, key)}" for key in keys if suite.setting and key in suite.says]
    override = f", or let pass in your name what you know to be right: {' '.join(ways)}" if ways else ""
    where = f" Page: {checked.docs} in the object store." if checked.docs else ""
    raise ContractError(
        f"{len(checked.failed)} of {checked.evaluated} expectations of '{checked.suite}' failed: "
        f"{'; '.join(checked.failed)}. Mend these rows at their source and run again{override}.{where}"
    )


def _outcome(
    suite: Suite, counter: Counter, counted: Counted, results: Sequence[Result], allowed: Mapping[str, str]
) -> Expectations:
    """Sort broken rules into what fails, what a person lets pass, and what is worth a word."""
    broken = {one.key: one for one in results if not one.passed and not one.warning}
    warned = [one for one in results if not one.passed and one.warning and one.key not in broken]
    said = {one.key: _sentence(suite, counter, counted, one) for one in (*broken.values(), *warned)}
    unused = [key for key in allowed if key in suite.says and key not in broken]
    return Expectations(
        suite=suite.name,
        passed=not set(broken) - set(allowed),
        evaluated=len(results),
        failed=tuple(said[key] for key in broken if key not in allowed),
        warned=(*(said[one.key] for one in warned), *(f"{key}: the override was not needed ({allowed[key]})" for key in unused)),
        overridden=tuple(f"{said[key]} (let pass by {allowed[key]})" for key in broken if key in allowed),
        skipped=tuple(f"{key}: {suite.says[key]}: {why}" for key, why in counted.skipped.items()),
        statistics=counted.values,
    )


def _sentence(suite: Suite, counter: Counter, counted: Counted, result: Result) -> str:
    """Say what was broken, by how much and by which rows."""
    statistic, start = suite.statistics[result.key], f"{result.key}: {suite.says[result.key]}"
    named = counter.named(statistic)
    among = f", among them {', '.join(named)}" if named else ""
    if isinstance(statistic, Rows | Sets):
        return f"{start}: not so in {plain(result.observed)} of {counted.rows} rows{among}"
    return f"{start}: expected {_asked(result)}, found {plain(result.observed)}{among}"


def _asked(result: Result) -> str:
    low, high = (None if bound is None else plain(bound) for bound in (result.minimum, result.maximum))
    if low is None or high is None:
        return f"at most {high}" if low is None else f"at least {low}"
    return low if low == high else f"{low} to {high}"


def _write(text: str, key: str, path: Path, store: Storage) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    store.put(key, text.encode())
