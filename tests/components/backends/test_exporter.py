"""Figures as Prometheus gets them: over HTTP from here, and at a real server that takes pushes."""

import logging
import socket
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from components.backends.exporter import exported
from components.backends.figures import OUTCOMES, BatchFigures, TrainingFigures, exported_names
from components.errors import SettingsError

STEP = {"event": "step", "step": 3, "loss": 0.5, "seconds": 2.0, "learning_rate": 1e-4, "data_share": 0.1, "gpu_memory_gib": 2.0}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def samples(text):
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@pytest.fixture
def gateway():
    """What a Pushgateway does with a push, as far as a client can tell: it takes a body below /metrics/job/."""
    taken, arrived = {}, threading.Event()

    class Taking(BaseHTTPRequestHandler):
        def do_PUT(self):
            taken[self.path] = samples(self.rfile.read(int(self.headers["Content-Length"])).decode())
            arrived.set()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Taking)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", taken, arrived
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_training_is_served_on_an_address_while_it_runs():
    figures, port = TrainingFigures(steps=10), free_port()
    with figures.told(f"127.0.0.1:{port}"):
        figures(STEP)
        figures({"event": "validation", "scores": {"psnr": {"mean": 21.5}}})
        seen = samples(urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode())
    assert seen["lucidflux_training_step",] == 3
    assert seen["lucidflux_training_steps",] == 10
    assert seen["lucidflux_training_memory_bytes",] == 2 * 2**30
    assert seen["lucidflux_training_validation_score", "psnr"] == 21.5
    assert seen["lucidflux_training_running",] == 1
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics")


def test_a_pushgateway_keeps_how_a_batch_ended(gateway, monkeypatch):
    monkeypatch.setenv("LUCIDFLUX_INSTANCE", "node-a")
    address, taken, _ = gateway
    with BatchFigures().told(address) as figures:
        figures.picture("restored", 1.5)
        figures.picture("failed")
        figures.phase("decode", 0.25)
    (path, seen) = taken.popitem()
    assert path == "/metrics/job/lucidflux-restore/instance/node-a"
    assert not taken
    assert seen["lucidflux_restore_pictures_total", "restored"] == seen["lucidflux_restore_pictures_total", "failed"] == 1
    assert seen["lucidflux_restore_picture_seconds_sum",] == 1.5
    assert seen["lucidflux_restore_phase_seconds_total", "decode"] == 0.25
    assert seen["lucidflux_restore_running",] == seen["lucidflux_restore_failed",] == 0


def test_a_batch_is_told_by_its_progress_and_its_counts():
    figures, passed = BatchFigures(), []
    progress = figures.watching(lambda *told: passed.append(told))
    progress("list", 1, 0)
    progress("restore", 2, 5)
    figures.ended({"restored": 4, "failed": 1, "review": 2, "pages": 7})
    value = figures.registry.get_sample_value
    assert passed == [("list", 1, 0), ("restore", 2, 5)]
    assert (value("lucidflux_restore_done"), value("lucidflux_restore_planned")) == (2, 5)
    counts = [value("lucidflux_restore_pictures_total", {"outcome": outcome}) for outcome in OUTCOMES]
    assert dict(zip(OUTCOMES, counts, strict=True)) == {"restored": 4, "reused": 0, "failed": 1}
    assert value("lucidflux_restore_review_total") == 2


def test_figures_are_pushed_on_the_way_too(gateway):
    address, taken, arrived = gateway
    figures = BatchFigures()
    with exported(address, figures.registry, job="restore", every_s=0.01):
        assert arrived.wait(10)
        assert taken


def test_an_error_passes_through_and_is_counted(gateway):
    address, taken, _ = gateway
    with pytest.raises(RuntimeError, match="out of memory"), TrainingFigures(steps=1).told(address):
        raise RuntimeError("out of memory")
    (seen,) = taken.values()
    assert (seen["lucidflux_training_failed",], seen["lucidflux_training_running",]) == (1, 0)


def test_a_gateway_that_is_away_is_said_once_and_costs_no_run(caplog):
    caplog.set_level(logging.WARNING, "lucidflux.metrics")
    address, figures = f"http://127.0.0.1:{free_port()}", BatchFigures()
    with figures.told(address):
        figures.picture("restored", 1.0)
    assert [record.getMessage().startswith("no figures reach") for record in caplog.records] == [True]


def test_a_taken_port_is_said_and_costs_no_run(caplog):
    caplog.set_level(logging.WARNING, "lucidflux.metrics")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with BatchFigures().told(f"127.0.0.1:{taken.getsockname()[1]}") as figures:
            figures.picture("restored", 1.0)
    assert "no figures are served" in caplog.text


def test_nothing_listens_where_nothing_is_set():
    before = threading.active_count()
    with BatchFigures().told(""):
        assert threading.active_count() == before


def test_an_address_of_another_form_is_refused():
    with pytest.raises(SettingsError, match="9464"), BatchFigures().told("somewhere"):
        pass


def test_an_unknown_event_is_a_sign_of_life():
    figures = TrainingFigures(steps=1)
    figures({"event": "news"})
    assert figures.registry.get_sample_value("lucidflux_training_event_timestamp_seconds") > 0


def test_the_names_are_those_of_the_text_that_prometheus_reads():
    assert {
        "lucidflux_restore_pictures_total",
        "lucidflux_restore_picture_seconds_bucket",
        "lucidflux_training_loss",
    } <= exported_names()
