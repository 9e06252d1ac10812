"""The SQL behind every statistic of a suite: what a rule counts or measures, by the key of the rule.

A count is 0 where the rule holds. An empty text counts as missing, and so does a score that is null, NaN or infinite;
what is missing breaks only the rule that asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from components.backends.manifest import SCHEMAS


@dataclass(frozen=True)
class Rows:
    """Counts the rows that break a rule."""

    broken: str
    """Predicate on a row; `$name` is a parameter of the suite."""
    needs: str = ""
    """Another relation of the session that the predicate reads; the rule is not evaluated where there is none."""


@dataclass(frozen=True)
class Sets:
    """Counts the rows of every set of rows that must not be together."""

    by: str
    """Columns that the rows of a set have in common."""
    among: str
    """Predicate on a row: which rows form sets."""
    value: str = "null"
    """Column that must be the same in a set; null where no two rows may be together at all."""

    def clash(self, value: str) -> str:
        """Predicate on a set that it is a wrong one; `value` stands for its column."""
        return "count(*) > 1" if self.value == "null" else f"min({value}) <> max({value})"


@dataclass(frozen=True)
class Measure:
    """One number of all rows."""

    value: str
    """Aggregate."""


@dataclass(frozen=True)
class Share:
    """How large a part of some rows has a property; says nothing of fewer rows than `share_rows_minimum`."""

    of: str
    among: str


@dataclass(frozen=True)
class Drift:
    """Population stability index of a score against the version before; see `drift`."""

    score: str


Statistic = Rows | Sets | Measure | Share | Drift

_KEPT = "verdict = 'kept'"
_RANKED = f"{_KEPT} and not trusted"
_SCORED_SIDE_PX = 240
"""Side of one flatness patch; a picture with a smaller side has no flat_share."""


def _missing(kind: str, columns: Iterable[str], among: str = "true") -> dict[str, Statistic]:
    types = {field.name: str(field.type) for field in SCHEMAS[kind]}
    absent = {"string": "coalesce({0}, '') = ''", "double": "({0} is null or not isfinite({0}))"}
    return {
        f"{name}_missing": Rows(f"{among} and " + absent.get(types[name], "{0} is null").format(f'"{name}"')) for name in columns
    }


def _below(minimum: int, word: str, columns: Iterable[str], among: str = "true") -> dict[str, Statistic]:
    return {f"{name}_{word}": Rows(f'{among} and "{name}" < {minimum}') for name in columns}


_EVERY_IMAGE: Mapping[str, Statistic] = {
    "rows": Measure("count(*)"),
    **_missing("images", ("origin", "verdict", "source", "licence", "trusted")),
    "origin_repeated": Sets("origin", "origin <> ''"),
    "verdict_unknown": Rows("verdict not in ('', 'kept', 'rejected', 'failed')"),
    "reason_missing": Rows("verdict in ('rejected', 'failed') and coalesce(reason, '') = ''"),
    "reason_of_kept": Rows(f"{_KEPT} and reason <> ''"),
    "related_missing": Rows("reason in ('duplicate_bytes', 'near_duplicate', 'leak') and coalesce(related, '') = ''"),
    "id_malformed": Rows("id <> '' and not regexp_full_match(id, '[0-9a-f]{64}')"),
    **_missing("images", ("id", "shard", "offset", "length", "width_px", "height_px", "format", "scene"), _KEPT),
    "id_repeated": Sets("id", f"{_KEPT} and id <> ''"),
    **_below(0, "negative", ("offset",), _KEPT),
    **_below(1, "not_positive", ("length", "width_px", "height_px"), _KEPT),
    "length_differs": Rows(f"{_KEPT} and length <> bytes"),
    "share_of_failed": Share("verdict = 'failed'", "true"),
}
_SCORES: Mapping[str, Statistic] = {
    **_missing("images", ("blur",), _KEPT),
    **_missing("images", ("flat_share",), f"{_KEPT} and least(width_px, height_px) >= {_SCORED_SIDE_PX}"),
    "blur_negative": Rows("blur < 0"),
    "flat_share_outside": Rows("isfinite(flat_share) and flat_share not between 0 and 1"),
    "quality_not_finite": Rows("not isfinite(quality)"),
}
_SELECTED: Mapping[str, Statistic] = {
    "kept_ranked": Measure(f"count(*) filter ({_RANKED})"),
    "kept_too_small": Rows(f"{_KEPT} and least(width_px, height_px) < {_SCORED_SIDE_PX}"),
    **_missing("images", ("split",), _KEPT),
    **_missing("images", ("quality",), _RANKED),
    "blur_outside": Rows(f"{_KEPT} and isfinite(blur) and blur not between $blur_minimum and $blur_maximum"),
    "flat_share_above": Rows(f"{_KEPT} and isfinite(flat_share) and flat_share > $flat_share_maximum"),
    "split_unknown": Rows(f"{_KEPT} and split not in ('', 'train', 'test')"),
    "scene_on_both_sides": Sets("scene", f"{_KEPT} and scene <> '' and split <> ''", value="split"),
    "group_kept_twice": Sets('"group"', f"{_KEPT} and \"group\" <> ''"),
    "leak_kept": Rows(f"{_KEPT} and id in (select id from leaks)", needs="leaks"),
    **{
        f"share_of_{reason}": Share(f"reason = '{reason}'", "verdict <> 'failed'")
        for reason in ("too_small", "blurred", "noisy", "flat", "duplicate_bytes", "near_duplicate", "leak", "no_quality")
    },
    **{f"{score}_drift": Drift(score) for score in ("blur", "flat_share", "quality")},
}
_PAIRS: Mapping[str, Statistic] = {
    "pairs": Measure("count(*)"),
    **_missing("pairs", ("id", "hq_id", "epoch", "seed", "split", "recipe", "shard", "offset", "length")),
    **_below(0, "negative", ("offset", "epoch")),
    **_below(1, "not_positive", ("length",)),
    "id_repeated": Sets("id", "id <> ''"),
    "hq_id_epoch_repeated": Sets("hq_id, epoch", "hq_id <> '' and epoch is not null"),
    "split_not_train": Rows("split not in ('', 'train')"),
    "hq_id_not_allowed": Rows("hq_id not in (select id from allowed)", needs="allowed"),
    "hq_id_in_benchmark": Rows("hq_id in (select id from guarded)", needs="guarded"),
    "pixels_incomplete": Rows(
        "(coalesce(pixels, '') <> '') <> ($pixels > 0) or (pixels <> '' and not coalesce("
        "least(hq_offset, lq_offset) > 0 and least(hq_length, lq_length) > 0 and hq_offset <> lq_offset, false))"
    ),
}
_PARAMETERS: Mapping[str, Statistic] = {
    "parameters": Measure("count(*)"),
    "value_outside": Rows("outside > 0"),
    "share_unlikely": Rows("abs(sigmas) > $sigmas_maximum"),
}
_LOOKS: Mapping[str, Statistic] = {
    "looks": Measure("count(*)"),
    **_missing("looks", ("psnr", "ssim")),
    "psnr_too_low": Rows("psnr < $psnr_minimum"),
    "psnr_median": Measure("median(psnr)"),
}
STATISTICS: Mapping[str, Mapping[str, Statistic]] = {
    "images": {**_EVERY_IMAGE, **_SCORES, **_SELECTED},
    "pairs": _PAIRS,
    "parameters": _PARAMETERS,
    "looks": _LOOKS,
}
"""What every rule looks at, by kind of rows and key of the rule."""
