"""The mover: brings a weight set onto a volume, proves it, publishes it, and attests it with a receipt.

It runs inside a pod as a zipapp, on any Python ≥ 3.9 and on the standard library alone, and imports nothing of the
rest of Weighbridge. Other parts may import its pure modules: ``weightset``, ``safetensors_header``, ``paths``.

What proves what:

- **Source to volume**: the ETag and size that the plan saw are demanded of every answer. A complete file is read back from
  the volume once; its SHA-256 is computed from those bytes, and a checksum that the source offers and the standard library
  can compute is compared with them (``checksums.py`` says which), which proves network and volume at once.
- **Network to volume**: the CRC-32 of every range is taken as its bytes arrive. Where the source offers no such checksum,
  the bytes that are read back are compared with these; where it does and they differ, these tell whether the network or
  the volume was wrong. Over plain HTTP without any checksum nothing but TCP would guard the wire, so multipart ETags are
  then checked too.
- **At rest, later**: ``verify`` reads every byte again and compares SHA-256 with the receipt.
"""
