"""Stack ``registration``: its manifests are our entries of one ``Watsonxaiifm`` resource.

Its settings: ``custom_resource``, the resource's name, and ``adopt``, the ``model_id``s whose entries weighbridge may
take over from another author.
"""

from typing import Final

from weighbridge.domain.stacks import Stack

REGISTRATION: Final = Stack(
    name="registration",
    plugin="weighbridge",
    declare="weighbridge_stacks.registration:declare",
    verify_cluster=False,  # our own provider compares the identities, for every engine
    protect=False,  # a plain destroy removes entries: unlike weights, they can be written again
)
