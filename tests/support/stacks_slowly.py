"""A process that is in the middle of an update until somebody ends it: ``stacks_slowly.py NAMESPACE FOLDER``.

It declares a claim of a class that nobody serves and, other than the product, waits for it to be bound.
"""

import sys
from dataclasses import replace
from pathlib import Path

import pulumi

from support.stacks_lab import SLOW, Lab
from weighbridge.domain.stacks import StackSpec
from weighbridge.steps.storage.stack import STORAGE
from weighbridge_stacks import declaring

SLOWLY = replace(STORAGE, declare="support.stacks_slowly:declare")


def declare(spec: StackSpec) -> None:
    provider = declaring.kubernetes(spec.cluster)
    for claim in spec.manifests:
        options = pulumi.ResourceOptions(provider=provider)
        pulumi.CustomResource("kubernetes:core/v1:PersistentVolumeClaim", "slow", dict(claim), options)


if __name__ == "__main__":
    lab = Lab(sys.argv[1], Path(sys.argv[2]))
    try:
        lab.stacks().up(lab.of(SLOWLY, lab.claim(SLOW, storage_class="sandbox-pending")), print)
    except KeyboardInterrupt:
        sys.exit(130)
