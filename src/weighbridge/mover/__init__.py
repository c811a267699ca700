"""The mover: brings a weight set onto a volume, proves it, publishes it, and attests it with a receipt.

It runs inside a pod as a zipapp, on any Python ≥ 3.9 and on the standard library alone, and imports nothing of the
rest of Weighbridge. Other parts may import its pure modules: ``weightset``, ``safetensors_header``, ``paths``.

What proves what:

- **Network to volume**: the CRC-32 of every range is taken as the bytes arrive. When a file is complete it is read
  back from the volume once; its SHA-256 is computed from those bytes and each range's CRC-32 is compared. So the SHA-256
  of the receipt describes what is stored, and what is stored is what arrived.
- **Source to network**: the ETag and size that the plan saw are demanded of every answer, and every checksum that the
  source offers and the standard library can compute is compared (``checksums.py`` says which). Over plain HTTP without
  any of these, nothing but TCP guards the wire, so multipart ETags are then checked too.
- **At rest, later**: ``verify`` reads every byte again and compares SHA-256 with the receipt.
"""
