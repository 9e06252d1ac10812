"""Time per part, FLOPs, share of the roofline, and the ratio plain / exact / fast of one restoration, from one run.

`python -m benchmarks.restore [--section cpu|gpu] [--threads N] [--steps N] [--repeats N]`

`plain` is the yardstick: the unmodified diffusers blocks called step by step with everything computed again in every
step, hint convolutions, embeddings and rotary table included. The modes take turns, so that what else the machine does
hits all of them. `exact` must agree with `plain` within 1e-5 per velocity and 1e-4 in the final latent where the numbers
are float32; otherwise the program ends with 1. Networks are in restore.toml; it takes the section for the device it finds.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from models import bundle
from models.attention import using
from models.bundle import FrozenParts
from models.colour import align
from models.config import NetworkConfig
from models.exact import Exact
from models.field import FIELDS, Field, build_field
from models.lucidflux import Adapter, Condition, velocity
from models.sampling import schedule

VELOCITY_TOLERANCE, LATENT_TOLERANCE = 1e-5, 1e-4
MATMUL = {"cpu": 2048, "cuda": 8192}
"""Side of the square product that stands for the roofline."""


@dataclass(frozen=True)
class Bench:
    """One network with one picture on one device."""

    frozen: FrozenParts
    adapter: Adapter
    device: torch.device
    dtype: torch.dtype
    image_px: int
    times: list[float]
    guidance: float
    lq_01: Tensor

    def again(self, cond: Condition, x_BTD: Tensor, step: int) -> Tensor:
        """One velocity with everything computed again."""
        t_B = torch.full((len(x_BTD),), self.times[step], device=self.device)
        return velocity(self.adapter, self.frozen, x_BTD, t_B, cond, self.guidance)

    def now(self) -> float:
        """Seconds, after all work that was asked for."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def open_bench(section: dict[str, Any], device: torch.device, steps: int) -> Bench:
    """Build the section's network with random weights, part by part on the device."""
    config = NetworkConfig.model_validate(section["network"])
    dtype = getattr(torch, section["dtype"])
    torch.manual_seed(0)
    with torch.device("meta"):
        frozen, adapter = bundle.build(config), Adapter(config)
    for name, module in frozen.modules().items():
        fill(module, device, torch.float32 if name in {"prior", "autoencoder"} else dtype)
    fill(adapter, device, dtype)
    size = section["image_px"]
    times = schedule(steps, "tokens", height_px=size, width_px=size)
    lq_01 = torch.rand(1, 3, size, size, device=device)
    return Bench(frozen, adapter, device, dtype, size, times, section["guidance"], lq_01)


def fill(module: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Give a module without numbers random ones, at a scale that keeps the streams finite."""
    if any(tensor.is_meta for tensor in module.parameters()):
        module.to_empty(device=device)
        for name, parameter in module.named_parameters():
            is_norm = parameter.ndim == 1 and name.endswith("weight")
            scale = 1 / math.sqrt(parameter[0].numel()) if parameter.ndim > 1 else 0.02
            nn.init.normal_(parameter, mean=float(is_norm), std=scale)
    module.to(device, dtype).eval().requires_grad_(requires_grad=False)


def roofline(bench: Bench) -> float:
    """FLOP/s of a large square product in the network's element type."""
    side = MATMUL[bench.device.type]
    a, b = (torch.randn(side, side, device=bench.device, dtype=bench.dtype) for _ in range(2))
    seconds = []
    for _ in range(5):
        started = bench.now()
        torch.mm(a, b)
        seconds.append(bench.now() - started)
    return 2 * side**3 / min(seconds)


def flops(call: Callable[[], Any]) -> int:
    """FLOPs of a call; attention as its two products, which every kernel's are."""
    with FlopCounterMode(display=False) as counter, using("math"):
        call()
    return int(counter.get_total_flops())


def parts(bench: Bench) -> Condition:
    """Print what runs once per picture, and return what the steps need."""
    frozen, size, made = bench.frozen, bench.image_px, {}
    calls: dict[str, Callable[[], Any]] = {
        "light restorer": lambda: frozen.lrp(bench.lq_01),
        "image features": lambda: frozen.features(made["light restorer"]),
        "encode": lambda: frozen.encode(made["light restorer"] * 2 - 1),
        "decode": lambda: frozen.decode(made["encode"], size, size),
        "colour": lambda: align(made["decode"], made["light restorer"]),
    }
    peak = roofline(bench)
    for name, call in calls.items():
        made[name] = call()
        seconds = []
        for _ in range(2):
            started = bench.now()
            call()
            seconds.append(bench.now() - started)
        counted = flops(call)
        print(
            f"{name:16s} {min(seconds):9.4f} s  {counted / 1e9:12.1f} GFLOP  {counted / min(seconds) / peak:5.1%} of the roofline"
        )
    lrp_pm1 = made["light restorer"] * 2 - 1
    return Condition(bench.lq_01 * 2 - 1, lrp_pm1, made["image features"], size, size)


def inside(bench: Bench, cond: Condition, noise: Tensor) -> None:
    """Print what of mode `exact` runs once per schedule, once per picture and once per step."""
    started = bench.now()
    field = Exact(bench.adapter, bench.frozen, bench.times, bench.guidance)
    tabled = bench.now()
    prepared = field.prepare(cond)
    rows = {"tables": tabled - started, "prepare": bench.now() - tabled}
    for name, call in (("branches, a step", field.control), ("a step", field.velocity)):
        seconds = []
        for _ in range(3):
            started = bench.now()
            call(noise, 0, prepared)
            seconds.append(bench.now() - started)
        rows[name] = min(seconds)
    rows["backbone, a step"] = rows.pop("a step") - rows["branches, a step"]
    for name, taken in rows.items():
        print(f"{name:16s} {taken:9.4f} s")


def sample(bench: Bench, mode: str, cond: Condition, noise: Tensor) -> tuple[Tensor, float]:
    """All steps of one mode, tables and preparation included: final latent and seconds."""
    started = bench.now()
    x_BTD = noise
    field: Field | None = None
    if mode != "plain":
        field = build_field(mode, bench.adapter, bench.frozen, bench.times, bench.guidance)  # type: ignore[arg-type]
        prepared = field.prepare(cond)
    for step, (t, t_next) in enumerate(itertools.pairwise(bench.times)):
        v_BTD = bench.again(cond, x_BTD, step) if field is None else field.velocity(x_BTD, step, prepared)
        x_BTD = x_BTD + (t_next - t) * v_BTD
    return x_BTD, bench.now() - started


def per_velocity(bench: Bench, cond: Condition, noise: Tensor) -> float:
    """Largest difference of one velocity between plain and exact, along the plain path."""
    field, x_BTD, largest = build_field("exact", bench.adapter, bench.frozen, bench.times, bench.guidance), noise, 0.0
    prepared = field.prepare(cond)
    for step, (t, t_next) in enumerate(itertools.pairwise(bench.times)):
        v_BTD = bench.again(cond, x_BTD, step)
        largest = max(largest, float((v_BTD - field.velocity(x_BTD, step, prepared)).abs().max()))
        x_BTD = x_BTD + (t_next - t) * v_BTD
    return largest


@torch.no_grad()
def main() -> int:
    """Print the table; 1 when exact is not exact."""
    parser = argparse.ArgumentParser()
    found = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--section", default="gpu" if found == "cuda" else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int)
    parser.add_argument("--repeats", type=int)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    section = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())[chosen.section]
    bench = open_bench(section, torch.device(found), chosen.steps or section["steps"])
    kind = torch.cuda.get_device_name() if found == "cuda" else f"{chosen.threads} threads, torch {torch.__version__}"
    print(f"{chosen.section}: {bench.image_px} px, {len(bench.times) - 1} steps, {section['dtype']}, {kind}")
    cond = parts(bench)
    tokens = (bench.image_px // bench.frozen.config.latent.token_px) ** 2
    noise = torch.randn(1, tokens, bench.frozen.config.latent.token_values, device=bench.device)
    inside(bench, cond, noise)
    seconds: dict[str, list[float]] = {mode: [] for mode in FIELDS}
    finals = {mode: sample(bench, mode, cond, noise)[0] for mode in FIELDS}  # also warms up
    for _ in range(chosen.repeats or section["repeats"]):
        for mode, measured in seconds.items():
            measured.append(sample(bench, mode, cond, noise)[1])
    field = build_field("exact", bench.adapter, bench.frozen, bench.times, bench.guidance)
    prepared, peak, steps = field.prepare(cond), roofline(bench), len(bench.times) - 1
    counted = {"plain": flops(lambda: bench.again(cond, noise, 0)), "exact": flops(lambda: field.velocity(noise, 0, prepared))}
    for mode, measured in seconds.items():
        typical, work = statistics.median(measured), steps * counted.get(mode, 0)
        ratio = statistics.median(seconds["plain"]) / typical
        off = float((finals[mode] - finals["exact"]).abs().max())
        share = f"{work / 1e9:12.1f} GFLOP  {work / typical / peak:5.1%} of the roofline" if work else " " * 44
        print(f"{mode:16s} {typical:9.4f} s  {share}  {ratio:5.2f} x plain  final latent {off:.1e} from exact")
    largest, latent = per_velocity(bench, cond, noise), float((finals["plain"] - finals["exact"]).abs().max())
    print(f"exact against plain: {largest:.1e} per velocity, {latent:.1e} in the final latent")
    return int(bench.dtype == torch.float32 and (largest > VELOCITY_TOLERANCE or latent > LATENT_TOLERANCE))


if __name__ == "__main__":
    sys.exit(main())
