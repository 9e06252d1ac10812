"""The audit says what it did and did not do; the bill of materials has every package."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
ADVISORY = {
    "vulns": [
        {"id": "OSV-1", "summary": "bad", "affected": [{"package": {"name": "six", "ecosystem": "PyPI"}, "ranges": []}]},
    ]
}


@pytest.fixture
def lock(tmp_path):
    lock = tmp_path / "some.lock"
    lock.write_text(f"six==1.16.0 --hash=sha256:{'8abb2f1d86890a2dfb989f9a77cfcfd3e47c2a354b01111771326f8aa26e0254'}\n")
    return lock


def audit(lock, address):
    program = [ROOT / "infra/audit.sh", BIN / "pip-audit", lock, "--osv-url", address, "--cache-dir", lock.parent / "cache"]
    return subprocess.run(program, capture_output=True, text=True, check=False)


def answering(answer):
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Service(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return HTTPServer(("127.0.0.1", 0), Service)


@pytest.mark.parametrize(("answer", "code", "said"), [({}, 0, "No known vulnerability"), (ADVISORY, 1, "OSV-1")])
def test_the_audit_ends_as_the_advisories_say(lock, answer, code, said):
    from threading import Thread

    with answering(answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        done = audit(lock, f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
    assert done.returncode == code, done.stderr
    assert said in done.stdout


def test_an_audit_that_cannot_ask_does_not_pass(lock):
    done = audit(lock, "http://127.0.0.1:1/")
    assert done.returncode == 2
    assert "NOTHING WAS AUDITED" in done.stderr


def test_a_check_needs_no_network():
    check = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)
    assert check is not None
    assert "audit" not in check[0]


@pytest.mark.e2e
def test_the_bill_of_materials_has_the_locked_packages(tmp_path):
    out = tmp_path / "sbom.json"
    program = [BIN / "cyclonedx-py", "environment", "--pyproject", ROOT / "pyproject.toml", "--output-reproducible", "-o", out]
    subprocess.run([*program, sys.executable], check=True, capture_output=True)
    made = json.loads(out.read_text())
    assert made["metadata"]["component"]["name"] == "lucidflux"
    there = {(one["name"].lower().replace("_", "-").replace(".", "-"), one["version"]) for one in made["components"]}
    locked = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.M)
    wanted = {(name.lower().replace("_", "-").replace(".", "-"), version) for name, version in locked}
    assert not wanted - there
