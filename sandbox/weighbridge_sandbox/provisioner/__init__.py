"""Dynamic volumes of a real size for the sandbox: one ext4 image file each, mounted through a loop device."""
