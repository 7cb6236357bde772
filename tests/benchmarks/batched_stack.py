"""Three-layer stacks per second and core, many at once and one by one; not a test.

    OMP_NUM_THREADS=1 python tests/benchmarks/batched_stack.py [--stacks 10000] [--repeat 3]

Every layer of every stack has its own gauge field, moments, Hall angles and drive, 0.1 to 30 nm
thick; the last rows scan one thickness and leave the rest alone.  Compiling is not counted.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from femspin.fields.hall import response
from femspin.fields.kondo import relaxation_tensor
from femspin.fields.region import RegionFields
from femspin.transport.layers.batched import StackBatch, layer_batch, solve_stacks, stack_batch
from femspin.transport.layers.stack import SpinPotential, StackCase, StackLayer, solve_stack
from femspin.units import ENERGY


def layer(rng: np.random.Generator) -> StackLayer:
    """Return a layer with everything on."""
    m = rng.normal(size=3)
    fields = RegionFields(
        name="layer",
        dos=10 ** rng.uniform(46, 47.5),
        diffusion=10 ** rng.uniform(-4.3, -2.7),
        gauge=rng.normal(size=(3, 3)) * 10 ** rng.uniform(7, 9),
        omega=rng.normal(size=3) * 10 ** rng.uniform(11, 14.5),
        relaxation=relaxation_tensor(*10 ** rng.uniform(12, 14.5, 2), m / np.linalg.norm(m)),
        theta=response(0.3 * rng.normal(size=3), 0.3 * rng.normal(size=3), 0.2 * rng.normal(size=(3, 3))),
    ).with_drift(1e5 * rng.normal(size=3), rng.uniform(-0.5, 0.5, 3))
    return StackLayer(fields, 10 ** rng.uniform(-10, -7.5))


def median(repeat: int, run: Callable[[], Any]) -> float:
    """Return the median of the processor time [s], which other programs do not lengthen much."""
    seconds = []
    for _ in range(repeat):
        began = time.process_time()
        run()
        seconds.append(time.process_time() - began)
    return statistics.median(seconds)


def report(name: str, count: int, seconds: float, single: float) -> None:
    """Print one row."""
    rate = count / seconds
    print(f"{name:34s}{1e6 * seconds / count:10.1f}{rate:12.0f}{rate * single:10.1f}")


def main() -> None:
    """Print stacks per second of every way to solve them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stacks", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    rng = np.random.default_rng(1)
    cases = [
        StackCase([layer(rng) for _ in range(3)], top=SpinPotential(ENERGY * rng.normal(size=3)))
        for _ in range(options.stacks)
    ]
    few = cases[: max(1, options.stacks // 20)]
    single = median(options.repeat, lambda: [solve_stack(case) for case in few]) / len(few)
    backends: list[Any] = ["numpy", *(["numba"] if find_spec("numba") else [])]
    every = stack_batch(cases)
    one = [layer_batch([x]) for x in cases[0].layers]
    swept = layer_batch(
        [StackLayer(cases[0].layers[2].fields, x) for x in np.geomspace(1e-10, 3e-8, options.stacks)]
    )
    scan = StackBatch([*one[:2], swept], top=cases[0].top)
    print(
        f"{options.stacks} stacks of 3 layers, median of {options.repeat}, OMP_NUM_THREADS ="
        f" {os.environ['OMP_NUM_THREADS']}"
    )
    print(f"{'':34s}{'us/stack':>10s}{'stacks/s':>12s}{'speed-up':>10s}")
    report("one by one", 1, single, single)
    for label, batch in (("all layers differ", every), ("one thickness differs", scan)):
        for backend in backends:
            solve_stacks(batch.part(slice(0, 8)), backend)  # compiles
            seconds = median(options.repeat, lambda b=batch, k=backend: solve_stacks(b, k))
            report(f"{label}, {backend}", options.stacks, seconds, single)
    seconds = median(options.repeat, lambda: stack_batch(cases))
    report("arrays from StackCase objects", options.stacks, seconds, single)
    worst = 0.0
    for backend in backends:
        found = solve_stacks(every, backend)
        for k, case in enumerate(few):
            exact = solve_stack(case)
            for name in ("lower", "upper", "integral"):
                for columns in (slice(0, 4), slice(4, 8)):
                    a, b = getattr(found, name)[k, :, columns], getattr(exact, name)[:, columns]
                    worst = max(worst, np.abs(a - b).max() / np.abs(b).max())
    print(f"largest difference from one by one: {worst:.1e} of the largest entry")


if __name__ == "__main__":
    main()
