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
- **Against other writers to the volume**: nothing that lies there proves itself. What lay there before is compared with what
  cannot be forged (``checksums.py``, ``proof``) or with the cluster's record, or fetched again; of a file that nothing
  attests each range is hashed with SHA-256 on arrival and again when it is read back (``fetch.py``). Of an earlier run's
  journal, receipt and receipt-to-be only what is vouched for elsewhere counts (``receipts.vouched_for``).
- **At rest, later**: ``verify`` reads every byte again and compares SHA-256 with the receipt, whose digest is the order's.
"""
