"""The page as a whole: gathers its sections over one session and writes it."""

from __future__ import annotations

import hashlib

from components.backends.pages.style import STYLE
from components.backends.report import fill
from components.backends.storage import Storage
from components.backends.tables import Tables
from components.curate.picture import comparison, cutoffs, duplicates, embedding, facts, funnel, telling
from components.curate.picture.sheets import Reader, contact_sheets
from components.curate.picture.subject import Subject
from components.curate.picture.template import TEMPLATE
from components.curate.picture.wording import REASONS
from components.records import Progress, quiet

SECTIONS = (
    ("funnel", "Funnel"),
    ("scores", "Scores"),
    ("resolution", "Resolution"),
    ("sheets", "Contact sheets"),
    ("duplicates", "Found twice"),
    ("comparison", "Comparison"),
    ("map", "Map"),
    ("cuts", "Other cuts"),
)


def make_picture(subject: Subject, *, store: Storage, progress: Progress = quiet) -> str:
    """Write the page of a curated dataset and give its key, `pictures/<sha256>.html`.

    Counting is done by SQL in bounded memory, and a few hundred pictures are read whatever the number of rows. The same
    manifests, settings and encoder give the same bytes.

    Args:
        subject: what the page is about.
        store: holds manifests and shards, and receives the page.
        progress: called after each picture.

    Raises:
        ManifestError: a manifest is missing or was changed.
        StorageError: a shard is missing or cut.
    """
    with Tables(store) as tables:
        html = _html(tables, subject, Reader(store, subject.metric.name, progress), progress).encode()
    return store.put(f"pictures/{hashlib.sha256(html).hexdigest()}.html", html)


def _html(tables: Tables, subject: Subject, reader: Reader, progress: Progress) -> str:
    compared = facts.open_views(tables, subject)
    counted = funnel.funnel(tables, subject)
    metric = subject.metric.name
    rejected = {reason: n for stage in counted.stages[1:] for reason, n in stage.removed.items()}
    in_order = {reason: rejected[reason] for reason in (*REASONS, *sorted(rejected)) if reason in rejected}
    drawn = embedding.draw_map(tables, reader, compared[1:], subject.encoder, progress)
    return fill(
        TEMPLATE,
        subject=subject,
        window=f"{subject.title}: the picture of a dataset",
        title=subject.title,
        label=subject.metric.label,
        links=subject.links,
        style=STYLE,
        sections=SECTIONS,
        lead=funnel.lead(counted, subject),
        figures=funnel.figures(counted),
        facts=telling.versions(subject),
        funnel=funnel.steps(counted, subject.paper),
        paper_note=funnel.paper_note(subject.paper),
        failures=funnel.failures(tables, counted.listed),
        histograms=telling.histograms(tables, subject, rejected),
        resolution=telling.resolution(tables),
        sheets=[telling.sheet(one) for one in contact_sheets(tables, reader, in_order, counted.kept)],
        twice=telling.twice(duplicates.duplicates(tables, reader), rejected),
        comparison=comparison.compare(tables, compared, metric),
        map=telling.mapped(drawn) if drawn else None,
        cuts=telling.cuts(cutoffs.cutoffs(tables, reader, subject, counted.trusted), counted, subject),
    )
