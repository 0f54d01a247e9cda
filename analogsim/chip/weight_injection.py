"""Weight injection: passes whose weights are perturbed, one after the other.

A pass with weights of its own cannot share a batched product with another, and where the devices are written for it,
nothing else may happen meanwhile. So the order is: sample by sample; of each sample first the passes that leave the
weights alone, all at once, then the others, one by one in the order of the plan. For each of these the weights are
perturbed, read, and put back. An order by samples makes results independent of how samples are split into calls.

Where that takes writes, a pass is of the whole batch, whatever the chip's order of passes: the next pass of a batch
element comes a batch later, and noise between them is as old.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from analogsim.chip.crossbar import Crossbar
from analogsim.chip.injection import perturbs_weights, weight_perturbations
from analogsim.chip.trace import Trace
from analogsim.port import Pass
from analogsim.randomness import Streams


def run_with_perturbed_weights(
    at_once: Callable[[Sequence[Pass], bool], Trace],
    layers: Sequence[Crossbar],
    streams: Streams,
    passes: Sequence[Pass],
    samples: int,
    now: float,
) -> Trace:
    """Run passes of which some perturb weights.

    What is reported as injected is what was asked for; what devices, range and granularity made of it nobody reads.

    Args:
        at_once: runs one sample of passes; told whether weights are perturbed meanwhile.
        layers: the crossbars.
        streams: random numbers.
        passes, samples: P and S.
        now: seconds.
    """
    alone = [index for index, each in enumerate(passes) if perturbs_weights(each)]
    together = [index for index in range(len(passes)) if index not in alone]
    traces = []
    for _ in range(samples):
        targets = [layer.array.target for layer in layers]
        eps = [
            weight_perturbations(streams, index, passes, (w.shape[1], w.shape[2]), w.dtype)
            for index, w in enumerate(targets)
        ]
        parts = [(together, at_once([passes[index] for index in together], False))] if together else []
        for index in alone:
            with ExitStack() as stack:
                for number, (layer, change) in enumerate(zip(layers, eps, strict=True)):
                    if change is not None and perturbs_weights(passes[index], number):
                        stack.enter_context(layer.perturbed(change[:, index], now))
                parts.append(([index], at_once([replace(passes[index], inject=None)], True)))
        traces.append(Trace.of_passes(parts, eps))
    return Trace.of_samples(traces)
