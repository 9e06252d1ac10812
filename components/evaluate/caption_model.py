"""A language model as the judge of captions, behind an OpenAI-compatible address."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any

from components.errors import SettingsError, SourceError
from components.evaluate.captions import LEXICON, Answer, Caption, Terms, terms_of

KEY = "LUCIDFLUX_LLM_KEY"
"""Environment variable of the key that the address asks for, where it asks for one."""
TASK = (
    "You examine image captions for statements about the technical quality of the image itself, not of what it shows. "
    "List the words of the caption that name or imply blur or missing focus, noise or grain or artefacts, low resolution or "
    "compression, wrong exposure or colour, or damage of the medium such as scratches, stains or ageing. "
    f"Put them under the categories {', '.join(LEXICON)}; leave a category empty where the caption says nothing of the kind. "
    "degradation_score is 0 for none, below 0.3 minor, to 0.6 moderate, above severe; severity_level is None, Minor, Moderate "
    "or Severe. Answer with the JSON object alone."
)
SECONDS = 120.0
TRIES = 3


@dataclass(frozen=True)
class ModelJudge:
    """Asks a model about one caption at a time."""

    address: str
    """Of the API, up to and with `/v1`."""
    model: str

    def __post_init__(self) -> None:
        if not self.address.startswith(("http://", "https://")):
            raise SettingsError(f"Expected an address such as http://host:8000/v1, got '{self.address}'.")

    @property
    def name(self) -> str:
        """For the table."""
        return f"{self.model} at {self.address}"

    def __call__(self, caption: Caption) -> Terms:
        """Judge a caption; an answer of another form is asked for again.

        Raises:
            SourceError: the address does not answer, or never in the asked form.
        """
        said = ""
        for _ in range(TRIES):
            try:
                return terms_of(self._answer(caption.text))
            except SourceError as error:
                said = str(error)
        raise SourceError(f"{self.name} gave no usable answer about the caption of {caption.image}: {said}")

    def _answer(self, text: str) -> str:
        form = {"type": "json_schema", "json_schema": {"name": "degradation", "schema": Answer.model_json_schema()}}
        messages = [{"role": "system", "content": TASK}, {"role": "user", "content": text}]
        body = {"model": self.model, "messages": messages, "temperature": 0, "response_format": form}
        headers = {"Content-Type": "application/json"}
        address = f"{self.address.rstrip('/')}/chat/completions"
        request = urllib.request.Request(address, json.dumps(body).encode(), headers)  # noqa: S310 (http, see above)
        if key := os.environ.get(KEY):
            # an answer that points elsewhere does not take the key along
            request.add_unredirected_header("Authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
                read: Any = json.loads(answer.read())
            return str(read["choices"][0]["message"]["content"])
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            reason = error.reason if isinstance(error, urllib.error.URLError) else error
            raise SourceError(f"{address} did not answer as an OpenAI-compatible API does: {reason}.") from error
