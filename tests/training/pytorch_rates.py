"""Learning rates of PyTorch's schedulers, and the same scheduler here.

``python tests/training/pytorch_rates.py`` writes the file of expected rates anew, where PyTorch is
installed.
"""

import json
import warnings
from pathlib import Path

EXPECTED = Path(__file__).parent / "pytorch_rates.json"
RATE = 0.3
# By name: schedule of ours, number of steps, minibatches of an epoch, decay, epochs to a decay.
CASES = {
    "cosine": ("cosine", 60, 6, 0.1, 10),
    "cosine, one step": ("cosine", 1, 1, 0.1, 10),
    "one_cycle": ("one_cycle", 60, 6, 0.1, 10),
    "one_cycle, few steps": ("one_cycle", 3, 3, 0.1, 10),
    "one_cycle, a step": ("one_cycle", 1, 1, 0.1, 10),
    "exponential": ("exponential", 60, 6, 0.1, 5),
    "step": ("step", 60, 6, 0.3, 2),
}


def rates_of_pytorch(name):
    """Rates of all steps of a case, by PyTorch itself."""
    import torch
    from torch.optim import lr_scheduler

    kind, steps, epoch, decay, epochs = CASES[name]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
    scheduler = {
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps),
        "one_cycle": lambda: lr_scheduler.OneCycleLR(
            optimizer, max_lr=RATE, total_steps=steps, cycle_momentum=False
        ),
        "exponential": lambda: lr_scheduler.ExponentialLR(optimizer, decay ** (1 / epochs / epoch)),
        "step": lambda: lr_scheduler.StepLR(optimizer, epochs * epoch, decay),
    }[kind]()
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in range(steps):
            rates.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            if step + 1 < steps:
                scheduler.step()
    return rates


if __name__ == "__main__":
    found = {name: rates_of_pytorch(name) for name in CASES}
    EXPECTED.write_text(json.dumps(found, indent=0) + "\n", encoding="utf-8")
