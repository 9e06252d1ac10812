"""One picture's row in sentences: origin, measures, verdict, group, split, uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from components.backends.history import SHORT
from components.backends.provenance import Place, Uses
from components.curate.select import MINIMUM_SIDE_PX
from components.imaging import codec
from components.records import Record
from flows.layout import size

_WHY = {
    "duplicate_bytes": "it has the same bytes as {related}, which comes first",
    "near_duplicate": "it shares content with {related}, which stays",
    "leak": "it shares content with {benchmark_picture}",
    "no_quality": "the metric gives no score for it",
}
"""Reason -> what it means, for rules without a number."""


class Account(Record):
    """What is known of one row."""

    row: dict[str, Any]
    """The columns of an image manifest."""
    decided: bool
    """Whether curation gave the verdict; else it is ingest's."""
    settings: dict[str, Any]
    """Of the curation; empty when they were not kept."""
    higher_is_better: bool
    place: Place | None
    others: int
    """Pictures that share content with it."""
    some_others: tuple[str, ...]
    uses: Uses
    benchmark_picture: str = ""
    """For a leak: the benchmark and the picture that it shares content with."""

    def sentences(self) -> Iterator[str]:
        """Tell it, a line for each chapter."""
        yield f"{self.row['origin']}: {self._verdict()}"
        yield f"  From    {self._from()}"
        if self.row["url"]:
            yield f"          {self.row['url']}"
        if measured := "; ".join(self._measured()):
            yield f"  Scores  {measured}."
        if place := self.place:
            cut = "" if place.cut is None else f"; the last of them has {place.cut:.6g}"
            yield f"  Rank    {place.place} of {place.ranked} by quality, the best {place.kept} are kept{cut}."
        elif self.row["trusted"] and self.decided:
            yield "  Rank    none: its source is trusted, and trusted pictures are not ranked."
        if group := self._group():
            yield f"  Group   {group}"
        if self.row["split"]:
            yield f"  Split   Scene '{self.row['scene']}' is on the {self.row['split']} side."
        if made := used(self.uses):
            yield f"  Used    {made[0].upper()}{made[1:]}."

    def _verdict(self) -> str:
        verdict, reason = self.row["verdict"], self.row["reason"]
        if verdict == "failed":
            meaning = f" ({codec.REASONS[reason]})" if reason in codec.REASONS else ""
            return f"out. It could not be read or decoded: {reason}{meaning}."
        if verdict == "rejected":
            return f"out. It was rejected as {reason}: {self._reason()}."
        if not self.decided:
            return "in so far. It decodes and no earlier picture has its bytes; curation has not judged it."
        return "in. It passed every rule."

    def _reason(self) -> str:
        row, reason = self.row, self.row["reason"]
        if reason in _WHY:
            return _WHY[reason].format(related=row["related"] or "another picture", benchmark_picture=self.benchmark_picture)
        if reason == "too_small":
            side_px = min(row["width_px"], row["height_px"])
            return f"its shorter side of {side_px} px is below the {MINIMUM_SIDE_PX} px of one patch"
        if reason in ("blurred", "noisy"):
            side, name = ("below", "blur_minimum") if reason == "blurred" else ("above", "blur_maximum")
            return f"its blur {row['blur']:.6g} is {side} {self._limit(name)}"
        if reason == "flat":
            return f"its flat share {row['flat_share']:.3g} is above {self._limit('flat_share_maximum')}"
        if reason == "quality_rank" and self.place:
            return f"by quality it is number {self.place.place} of {self.place.ranked}, and the best {self.place.kept} are kept"
        return "its rule has no words here"

    def _limit(self, name: str) -> str:
        return f"{self.settings[name]:g}" if name in self.settings else f"the limit ({name} was not kept)"

    def _from(self) -> str:
        row = self.row
        trust = "trusted" if row["trusted"] else "not trusted"
        said = f"source {row['source']} (licence {row['licence'] or 'unknown'}, {trust})"
        if row["width_px"]:
            frames = f", first of {row['frames']} frames" if (row["frames"] or 1) > 1 else ""
            said += f", {row['width_px']}x{row['height_px']} px {row['format']}{frames}, {size(row['bytes'] or 0)}"
        if row["shard"]:
            said += f", in {row['shard'][: len('shards/') + SHORT]}….tar at byte {row['offset']}"
        return f"{said}, id {row['id'][:SHORT]}." if row["id"] else f"{said}."

    def _measured(self) -> Iterator[str]:
        row, known = self.row, self.settings
        if row["blur"] is not None:
            limits = f" ({known['blur_minimum']:g} to {known['blur_maximum']:g} passes)" if "blur_minimum" in known else ""
            yield f"blur {row['blur']:.6g}{limits}"
        if row["flat_share"] is not None:
            limits = f" (up to {known['flat_share_maximum']:g} passes)" if "flat_share_maximum" in known else ""
            yield f"flat share {row['flat_share']:.3g}{limits}"
        if row["quality"] is not None:
            metric = f" by {known['quality_metric']}" if "quality_metric" in known else ""
            better = "higher" if self.higher_is_better else "lower"
            yield f"quality {row['quality']:.6g}{metric} ({better} is better)"

    def _group(self) -> str:
        if not self.others:
            return ""
        named = ", ".join(self.some_others) + (", …" if self.others > len(self.some_others) else "")
        stands = "It is the one that stays." if self.row["verdict"] == "kept" else ""
        shared = "1 other shares" if self.others == 1 else f"{self.others} others share"
        return f"{shared} its content: {named}. {stands}".rstrip()


def used(uses: Uses) -> str:
    """Say what was made from a picture; empty for nothing."""
    said = []
    if uses.pairs:
        trained = f"run {', '.join(uses.runs)} was trained on them" if uses.runs else "no run was trained on them yet"
        models = f" and is {', '.join(uses.models)}" if uses.models else ""
        said.append(f"{uses.pairs} pairs were made from it, {trained}{models}")
    if uses.evaluations:
        judged = ", ".join(checkpoint[:SHORT] for checkpoint in uses.evaluations)
        said.append(f"checkpoint {judged} was judged on it")
    return "; ".join(said)
