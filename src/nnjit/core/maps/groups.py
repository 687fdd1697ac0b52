"""Several softmaxes side by side: the end of a network for each group of logits in turn.

A group is a job of its own as far as its end goes: a record like the whole job's, but that its last
step's values and deltas are those of the group's logits, and labels and loss are the group's. So
the units for one softmax do for many, and the loss of a row is the sum over the groups.
"""

from nnjit.core.compiler.units import Unit, call, call_for_real
from nnjit.core.jobs.job import Job, job_of

__all__ = ["GROUP_LOSSES", "GROUP_OUTPUTS"]

_BYTES = Job.dtype.itemsize


def group_losses(job_at, block_at):
    """Output activation, delta of the logits and loss of each group; the sum of the losses."""
    job = job_of(job_at)
    total = 0.0
    for number in range(job.n_groups):
        at = job.groups_at + number * _BYTES
        total += call_for_real(job_of(at).loss_at, (at, block_at))
    return total


def group_outputs(job_at, block_at):
    """Output activation of each group."""
    job = job_of(job_at)
    for number in range(job.n_groups):
        at = job.groups_at + number * _BYTES
        call(job_of(at).output_at, (at, block_at))


GROUP_LOSSES = Unit(group_losses, real=True)
GROUP_OUTPUTS = Unit(group_outputs)
