import subprocess
import sys
import time

import pytest
import typer
from typer.testing import CliRunner

from flows.__main__ import app

SURFACE = {
    "": ["--profile", "--set", "--home", "--json"],
    "quickstart": ["photos"],
    "ingest": ["source"],
    "curate": ["manifest"],
    "synthesize": ["manifest"],
    "train": ["manifest"],
    "evaluate": ["model", "--benchmark", "--outputs", "--label", "--steps", "--against"],
    "register": ["run"],
    "promote": ["version", "--override", "--resume"],
    "lineage": ["model", "--images"],
    "ledger show": [],
    "ledger verify": [],
    "rollback": ["--reason"],
    "retrain": ["source", "--only-new-data"],
    "restore-batch": ["input_uri", "output_uri", "--model", "--job", "--deployed"],
    "restore": ["inputs", "--out", "--model", "--force"],
    "convert": ["sources", "--out", "--to", "--config", "--force"],
    "why": ["image"],
    "pair": ["show", "--out", "--epoch"],
    "audit-captions": ["captions", "--endpoint", "--model", "--out"],
    "ablate": ["manifest", "--seeds", "--arm"],
    "pretrain": ["photos", "--out", "--exclude", "--start", "--stage", "--steps"],
    "dataset list": [],
    "dataset show": ["version"],
    "dataset diff": ["old", "new", "--examples"],
    "dataset pull": ["version", "--out"],
    "benchmark add": ["name", "source", "--replace"],
    "benchmark build": ["name", "source", "--out", "--count", "--seed"],
    "benchmark list": [],
    "weights list": [],
    "weights fetch": ["names", "--mirror"],
    "weights verify": ["names"],
    "weights import": ["name", "path"],
    "weights encode-prompt": ["--out", "--prompt"],
    "doctor": [],
    "up": ["--watch"],
    "down": [],
    "status": [],
    "logs": ["service", "-f", "--lines"],
    "backup": ["file"],
    "restore-state": ["file", "--force"],
}


def surface():
    group = typer.main.get_command(app)
    commands = {"": group}
    for name, command in group.commands.items():
        inner = getattr(command, "commands", None)
        commands |= {name: command} if inner is None else {f"{name} {verb}": within for verb, within in inner.items()}
    return {
        name: [parameter.opts[-1] for parameter in command.params if parameter.name != "help"]
        for name, command in commands.items()
    }


def test_the_surface_is_frozen():
    assert surface() == SURFACE


def test_help_answers_within_a_second():
    seconds = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run([sys.executable, "-m", "flows", "--help"], check=True, capture_output=True)
        seconds.append(time.monotonic() - started)
    assert min(seconds) < 1.0


def test_help_imports_nothing_heavy():
    program = "import sys, flows.__main__; print([m for m in ('torch', 'prefect', 'mlflow', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("arguments", [["--set", "train.stepz=1", "doctor"], ["--profile", "tinny", "doctor"]])
def test_a_wrong_setting_is_a_sentence_with_a_suggestion(arguments, tmp_path):
    result = CliRunner().invoke(app, ["--home", str(tmp_path), *arguments])
    assert result.exit_code == 2
    assert "Did you mean" in result.stderr
    assert "Traceback" not in result.output


def test_a_home_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    result = CliRunner().invoke(app, ["--home", str(tmp_path / "file" / "home"), "doctor"])
    assert result.exit_code == 1
    assert "--home" in result.stderr
