"""A process that is in the middle of an update until somebody ends it: ``stacks_slowly.py NAMESPACE FOLDER``.

It declares a claim of a class that nobody serves and, other than the product, waits for it to be bound.
"""

import sys
from pathlib import Path

import pulumi

from support.stacks_lab import SLOW, Lab
from weighbridge.domain.stacks import StackSpec, StorageInputs
from weighbridge_stacks import cluster


def _slowly(spec: StackSpec) -> None:
    assert isinstance(spec.inputs, StorageInputs)
    provider = cluster.provider(spec.cluster)
    for claim in spec.inputs.claims:
        pulumi.CustomResource(
            "kubernetes:core/v1:PersistentVolumeClaim",
            "slow",
            dict(claim),
            pulumi.ResourceOptions(provider=provider),
        )
    cluster.sign(spec.cluster)


if __name__ == "__main__":
    lab = Lab(sys.argv[1], Path(sys.argv[2]))
    try:
        lab.stacks(program=_slowly).up(lab.storage(lab.claim(SLOW, storage_class="sandbox-pending")), print)
    except KeyboardInterrupt:
        sys.exit(130)
