"""Print how many accepted light curves per CPU second each simulated survey makes on one core.

    OMP_NUM_THREADS=1 python benchmarks/simulator.py [--full]

`--full` also simulates the complete ZTF-like set and prints its CPU time and peak memory.
"""

from __future__ import annotations

import resource
import sys
import time

from tlclass.simulate import load_simulation
from tlclass.simulator import Observatory

SURVEYS = ("ztf_simulated", "lsst_simulated", "bts_simulated")
CHUNKS = 3


def rate(name: str) -> tuple[float, float, float]:
    """Start-up time in CPU seconds, light curves per CPU second, accepted fraction; all classes mixed."""
    start = time.process_time()
    observatory = Observatory(load_simulation(name))
    classes = tuple(observatory.simulation.mix)
    for transient in classes:
        observatory.volume(transient)
    ready = time.process_time()
    batches = [observatory.observe(transient, chunk) for transient in classes for chunk in range(CHUNKS)]
    accepted = sum(batch.counts.size for batch in batches)
    return ready - start, accepted / (time.process_time() - ready), accepted / (1024 * len(batches))


def main() -> None:
    """Print one line per survey."""
    print(f"{'survey':16s} {'start-up':>9s} {'curves/CPU s':>13s} {'accepted':>9s}")
    for name in SURVEYS:
        startup, speed, accepted = rate(name)
        print(f"{name:16s} {startup:7.1f} s {speed:13.0f} {accepted:9.2f}")
    if "--full" in sys.argv:
        start = time.process_time()
        count = len(load_simulation("ztf_simulated").read())
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{count} ZTF-like light curves: {time.process_time() - start:.1f} s CPU, peak memory {memory:.2f} GiB")


if __name__ == "__main__":
    main()
