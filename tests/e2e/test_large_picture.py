"""Memory of a large picture: proportional to the picture with a small factor, whatever the network would need for it at once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BYTES_PER_PX = 70
"""Float pictures of 12 bytes per px: LQ, padded LQ, LRP, result, and what blending and rounding need for a moment."""
FIXED_BYTES = 250 * 2**20
"""Network and codec at one tile."""
# the peak is VmHWM: ru_maxrss of a child begins with the size of the process that started it
RETURNED = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
"""Lets glibc give freed memory back at once: what it would keep instead varies by hundreds of MiB from run to run."""
PROGRAM = """
import json, sys
import numpy as np, psutil
from pathlib import Path
from skimage import data
from components.imaging.restorer import Restorer, SamplerSettings

width, height, steps = (int(word) for word in sys.argv[1:])
sampler = SamplerSettings(steps=steps, start=0.4, shift="none", tile_px=256, overlap_px=64, fidelity=0.5)
restorer = Restorer(Path("models/tiny"), None, sampler)
photo = np.tile(data.astronaut(), (-(-height // 512), -(-width // 512), 1))[:height, :width]
restorer.restore([photo[:64, :64]])
before = psutil.Process().memory_info().rss
result = restorer.restore([photo])[0].restored_u8
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) << 10
print(json.dumps([peak - before, result.shape, float(np.abs(result.astype(float) - photo).mean())]))
"""


@pytest.mark.parametrize(
    ("width", "height", "steps"),
    [
        pytest.param(2048, 1536, 1, marks=pytest.mark.e2e),
        pytest.param(4096, 3072, 4, marks=[pytest.mark.campaign, pytest.mark.timeout(1800)]),
    ],
)
def test_a_large_picture_is_restored_in_bounded_memory(width, height, steps):
    """At most 1.07 GiB over the loaded network for 4096x3072 px."""
    words = [sys.executable, "-c", PROGRAM, str(width), str(height), str(steps)]
    done = subprocess.run(words, cwd=ROOT, env=os.environ | RETURNED, capture_output=True, text=True, check=True)
    extra_bytes, shape, change = json.loads(done.stdout.splitlines()[-1])
    assert extra_bytes < FIXED_BYTES + BYTES_PER_PX * width * height
    assert shape == [height, width, 3]
    assert change < 12
