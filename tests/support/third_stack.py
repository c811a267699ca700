"""A stack that Weighbridge knows nothing of: ConfigMaps by the Kubernetes plugin, with the defaults of ``Stack``."""

from weighbridge.domain.stacks import Stack, StackSpec
from weighbridge_stacks import declaring

THIRD = Stack(name="third", plugin="kubernetes", declare="support.third_stack:declare")


def declare(spec: StackSpec) -> None:
    provider = declaring.kubernetes(spec.cluster)
    for manifest in spec.manifests:
        declaring.kubernetes_object(spec, manifest, provider)
