"""The mover: brings a weight set onto a volume, verifies it, publishes it, and attests it with a receipt.

It runs inside a pod as a zipapp, on any Python ≥ 3.9 and only with the standard library, and imports nothing from the
rest of weighbridge. Other parts may import its pure modules: ``weightset``, ``safetensors_header``, ``paths``.

What proves what:

- **Source to volume**: every answer must have the ETag and size that the plan saw. A complete file is read back from the
  volume once, and its SHA-256 is computed from those bytes. If the source offers a checksum that the standard library can
  compute, it is compared with those bytes (``checksums.py`` says which); this proves network and volume at once.
- **Network to volume**: the CRC-32 of every range is computed as its bytes arrive. If the source offers no such checksum,
  the bytes read back are compared with these CRCs. If it does and the checksum differs, the CRCs tell whether the network or
  the volume was wrong. Over plain HTTP without any checksum, only TCP would guard the bytes in transit, so multipart ETags
  are then checked too.
- **Against other writers to the volume**: nothing on the volume proves itself. Bytes from before this run are compared with
  what cannot be forged (``checksums.py``, ``proof``) or with the cluster's record, or are fetched again. If nothing attests
  a file, each range is hashed with SHA-256 on arrival and again when it is read back (``fetch.py``). An earlier run's
  journal, receipt and pending receipt count only as far as another source vouches for them (``receipts.vouched_for``).
- **At rest, later**: ``verify`` reads every byte again and compares SHA-256 with the receipt, whose digest is the order's.
"""
