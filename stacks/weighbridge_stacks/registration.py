"""Stack ``registration``: our entries of one ``Watsonxaiifm`` resource, as one resource of our own provider.

One resource and not one an entry: the operator works serially, and the list is atomic, so all of them are one patch.
"""

import pulumi

from weighbridge.domain.stacks import RegistrationInputs, StackSpec
from weighbridge_stacks import cluster

TYPE = "weighbridge:index:Registrations"


def declare(spec: StackSpec) -> None:
    """Declare the entries of ``spec``. The context is not among the inputs: it reaches the plugin by environment, so that
    the same cluster may go by another name on another machine; ``clusterUid`` says which one is meant.
    """
    if not isinstance(spec.inputs, RegistrationInputs):
        raise TypeError(f"stack {spec.name} is not the registration stack")
    pulumi.CustomResource(
        TYPE,
        spec.inputs.custom_resource,
        {
            "namespace": spec.cluster.namespace,
            "customResource": spec.inputs.custom_resource,
            "environment": spec.environment,
            "clusterUid": spec.cluster.uid,
            "entries": [dict(entry) for entry in spec.inputs.entries],
            "adopt": list(spec.inputs.adopt),
        },
    )
    cluster.sign(spec.cluster)
