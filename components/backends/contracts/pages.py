"""Data Docs as one file that opens anywhere: Great Expectations' sections in a page of our own.

Great Expectations' own page loads styles, fonts and scripts from other hosts and shows nothing readable without them, so
only its sections are taken; the few icons and boxes that they need are drawn by the style below.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import jinja2

from components.records import Expectations

_LINK = re.compile(r'<a href="\.\./[^"]*"[^>]*>(.*?)</a>', re.DOTALL)
"""Great Expectations' links to the other pages of a site that is not there."""


def page(checked: Expectations, sections: Sequence[str], numbers: Mapping[str, float]) -> str:
    """Give a whole HTML page.

    Args:
        checked: the outcome, told in front.
        sections: HTML from `validation.validate`.
        numbers: parameters that the rules were held to.
    """
    lists = {
        "Broken": checked.failed,
        "Broken, and let pass": checked.overridden,
        "Warnings": checked.warned,
        "Not evaluated": checked.skipped,
    }
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_TEMPLATE).render(
        checked=checked,
        outcome="passed" if checked.passed else "failed",
        lists=lists,
        numbers=", ".join(f"{name} {plain(value)}" for name, value in numbers.items()),
        style=_STYLE,
        sections=[_LINK.sub(r"\1", section) for section in sections],
    )


def plain(value: float) -> str:
    """Write a count in full and any other number with four digits."""
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.4g}"


_STYLE = """
:root { color-scheme: light dark; --line: #8885; --soft: #8881; --good: #1f7a4d; --bad: #b5471b; }
@media (prefers-color-scheme: dark) { :root { --good: #58c48c; --bad: #f0915a; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 0 auto; padding: 1rem; }
main { display: flex; flex-direction: column; }
h1 { font-size: 1.6rem; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 1.5rem 0 .3rem; }
h5, h6 { font: inherit; font-weight: 600; margin: 0; overflow-wrap: anywhere; }
li { overflow-wrap: anywhere; } .note { opacity: .8; font-size: .9rem; }
.passed, .text-success { color: var(--good); } .failed, .text-danger { color: var(--bad); }
.fa-check-circle, .fa-times, .fa-exclamation-triangle { font-style: normal; font-weight: 700; }
.fa-check-circle::before { content: "\\2713"; } .fa-times::before { content: "\\2717"; }
.fa-exclamation-triangle::before { content: "!"; }
.ge-section { order: 2; border-top: 1px solid var(--line); padding: .35rem 0; }
.ge-section:has(.text-danger) { order: 1; background: var(--soft); }
#section-1 { order: 0; background: none; } .ge-section:last-child { order: 3; }
.ge-section > .row { display: grid; grid-template-columns: minmax(0, 15rem) minmax(0, 1fr); gap: 0 1rem; }
.ge-section .table > thead { display: none; } .ge-section table { border-collapse: collapse; }
.table { width: 100%; } td, th { text-align: left; vertical-align: top; padding: .1rem .6rem; }
.ge-section .table td:first-child { width: 2rem; } .ge-section .table td:last-child { width: 9rem; text-align: right; }
.ge-section .table-sm td { width: auto !important; text-align: left !important; }
@media (max-width: 640px) { .ge-section > .row { grid-template-columns: minmax(0, 1fr); } }
"""
_TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ checked.suite }}: {{ outcome }}</title>
<style>{{ style | safe }}</style>
</head>
<body>
<h1>{{ checked.suite }}: <span class="{{ outcome }}">{{ outcome }}</span></h1>
<p>{{ checked.evaluated }} expectations over the statistics of all rows.</p>
{% for title, sentences in lists.items() if sentences %}
<h2>{{ title }}</h2>
<ul>
{% for sentence in sentences %}
<li>{{ sentence }}</li>
{% endfor %}
</ul>
{% endfor %}
<h2>Held to</h2>
<p class="note">{{ numbers }}</p>
<h2>Data Docs</h2>
<p class="note">As Great Expectations renders its validation: a tick or a cross, the rule, and the statistic that was found.
Counts are rows that break the rule, and 0 where it holds.</p>
<main>
{% for section in sections %}
{{ section | safe }}
{% endfor %}
</main>
</body>
</html>
"""
