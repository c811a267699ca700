"""Stack ``registration``: its manifests are our entries of one ``Watsonxaiifm`` resource.

Its settings: ``custom_resource``, the resource's name, and ``adopt``, the ``model_id``s whose entries may be taken over
from whoever wrote them.
"""

from typing import Final

from weighbridge.domain.stacks import Stack

REGISTRATION: Final = Stack(
    name="registration",
    plugin="weighbridge",
    declare="weighbridge_stacks.registration:declare",
    verify_cluster=False,  # our provider compares the identities itself, whatever engine drives it
    protect=False,  # entries go with a plain destroy: they can be written again, other than weights
)
