"""Stack ``registration``: our entries of one ``Watsonxaiifm`` resource, as one resource of our own provider.

One resource and not one an entry: the operator works serially, and the list is atomic, so all of them are one patch.
"""

from weighbridge.domain.stacks import StackSpec
from weighbridge_stacks import declaring

TYPE = "weighbridge:index:Registrations"


def declare(spec: StackSpec) -> None:
    """Declare the entries of ``spec``. The context is not among the inputs: it reaches the plugin by environment, so that
    the same cluster may go by another name on another machine; ``clusterUid`` says which one is meant.
    """
    custom_resource = str(spec.settings["custom_resource"])
    declaring.resource(
        spec,
        TYPE,
        custom_resource,
        {
            "namespace": spec.cluster.namespace,
            "customResource": custom_resource,
            "environment": spec.environment,
            "clusterUid": spec.cluster.uid,
            "entries": [dict(entry) for entry in spec.manifests],
            "adopt": spec.settings.get("adopt", []),
        },
    )
