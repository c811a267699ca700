"""Stack ``storage``: its manifests are our claims."""

from typing import Final

from weighbridge.domain.stacks import Stack

STORAGE: Final = Stack(
    name="storage",
    plugin="kubernetes",
    declare="weighbridge_stacks.storage:declare",
    retained=frozenset({"kubernetes:core/v1:PersistentVolumeClaim"}),
)
