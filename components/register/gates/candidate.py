"""What gates look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components.records import EvalReport, Paired, TrainRun
from components.register.settings import PromoteSettings, RegisterSettings


@dataclass(frozen=True)
class Candidate:
    """Everything that a gate may look at."""

    run: TrainRun
    report: EvalReport
    champion: EvalReport | None
    """Report of the present champion of the same kind; None when there is none."""
    paired: tuple[Paired, ...]
    """The report against the champion's, picture by picture; empty without a champion or a shared picture."""
    trained_on: int
    """Evaluation pictures that the model was trained on."""
    register: RegisterSettings
    promote: PromoteSettings

    def of(self, benchmark: str, metric: str) -> Paired | None:
        """Look one comparison up."""
        return next((one for one in self.paired if (one.benchmark, one.metric) == (benchmark, metric)), None)

    def margins(self) -> Mapping[str, float]:
        """How far each metric may fall, for the kind of champion that is asked for."""
        return self.promote.margins if self.promote.kind == "faithful" else self.promote.perceptual_margins

    def primary(self) -> tuple[str, str]:
        """Benchmark and metric that must get better."""
        metric = self.promote.primary_metric or ("psnr" if self.promote.kind == "faithful" else "piqe")
        return self.promote.primary_benchmark, metric
