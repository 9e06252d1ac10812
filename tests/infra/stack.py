"""compose.yaml as text, and filled in with secrets as a person would make them."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "infra" / "compose" / "compose.yaml"
TEXT = FILE.read_text()


def made_by_secrets_sh():
    """New secrets by their names."""
    made = subprocess.run(["sh", ROOT / "infra/compose/secrets.sh"], capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in made.stdout.splitlines())


def filled(text, environment):
    """Put variables in as compose does: ${NAME:?message} and ${NAME:-default}."""

    def value(found):
        name, kind, otherwise = found.groups()
        given = environment.get(name, "")
        if not given and kind == ":?":
            raise KeyError(otherwise)
        return given or (otherwise if kind == ":-" else "")

    return re.sub(r"\$\{(\w+)(:[-?])([^}]*)\}", value, text)
