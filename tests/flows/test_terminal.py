import json
import subprocess
import sys

from flows.terminal import Terminal, _Lines


def test_a_log_gets_a_line_at_the_end_of_a_phase_with_its_rate(capsys):
    report = _Lines(Terminal(json=False))
    for done in range(4):
        report("train", done, 3)
    text = capsys.readouterr().err
    assert text.startswith("train: 3 of 3 (")
    assert text.count("\n") == 1


def test_a_single_unit_has_no_rate(capsys):
    _Lines(Terminal(json=False))("ingest", 1, 1)
    assert capsys.readouterr().err == "ingest: 1 of 1\n"


def test_with_json_the_record_stands_alone_on_stdout():
    program = (
        "import os\nfrom flows.terminal import Terminal\nterminal = Terminal(json=True)\n"
        "with terminal.showing():\n    print('a library prints', flush=True)\n    os.write(1, b'and writes')\n"
        "terminal.result('{\"a\": 1}')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == {"a": 1}
    assert "a library prints" in done.stderr
