"""Dashboard, alerts and scraping: every name is one that the code exports, and every alarm is explained."""

import json
import re
from pathlib import Path

import pytest
import yaml

from components.backends.figures import OUTCOMES, BatchFigures, TrainingFigures, exported_names

ROOT = Path(__file__).resolve().parents[2]
OBSERVABILITY = ROOT / "infra" / "observability"
DASHBOARD = json.loads((OBSERVABILITY / "grafana/dashboards/lucidflux.json").read_text())
ALERTS = [rule for group in yaml.safe_load((OBSERVABILITY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
EXPRESSIONS = [target["expr"] for panel in PANELS for target in panel["targets"]] + [rule["expr"] for rule in ALERTS]


def test_every_name_of_dashboard_and_alerts_is_exported():
    used = {name for expression in EXPRESSIONS for name in re.findall(r"\blucidflux_\w+", expression)}
    assert used <= exported_names()


def test_every_exported_figure_is_shown():
    shown = {name for panel in PANELS for target in panel["targets"] for name in re.findall(r"\blucidflux_\w+", target["expr"])}
    assert exported_names() - shown == {"lucidflux_restore_failed"}, "an alert has it"


def test_labels_in_expressions_are_exported():
    known = {"instance", "job", "le"}
    for figures in (TrainingFigures(steps=1), BatchFigures()):
        known |= {label for metric in figures.registry._names_to_collectors.values() for label in metric._labelnames}
    for expression in EXPRESSIONS:
        inside = [name for matchers in re.findall(r"\{([^}]*)\}", expression) for name in re.findall(r"(\w+)\s*=", matchers)]
        grouped = [name.strip() for names in re.findall(r"\bby \(([^)]*)\)", expression) for name in names.split(",")]
        assert {*inside, *grouped} <= known, expression
        assert set(re.findall(r'outcome="(\w+)"', expression)) <= set(OUTCOMES)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_brackets_of_an_expression_close(expression):
    plain = re.sub(r'"[^"]*"', "", expression)
    for opening, closing in ("()", "[]", "{}"):
        assert plain.count(opening) == plain.count(closing)


def test_panels_do_not_lie_on_one_another():
    taken = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells


def test_panels_ask_the_source_that_is_provisioned():
    (source,) = yaml.safe_load((OBSERVABILITY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert {target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]} == {source["uid"]}
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_alarm_says_how_bad_it_is_and_is_explained():
    explained = (ROOT / "docs" / "deployment.md").read_text()
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["annotations"]["summary"].endswith((".", "?"))
        assert f"`{rule['alert']}`" in explained


def test_prometheus_keeps_the_labels_of_a_push_and_reads_the_alerts():
    told = yaml.safe_load((OBSERVABILITY / "prometheus.yml").read_text())
    assert [(OBSERVABILITY / name).is_file() for name in told["rule_files"]] == [True]
    (pushed,) = told["scrape_configs"]
    assert pushed["honor_labels"] is True
    stack = yaml.safe_load((ROOT / "infra/compose/compose.yaml").read_text())["services"]
    assert pushed["static_configs"] == [{"targets": ["pushgateway:9091"]}]
    assert "pushgateway" in stack
