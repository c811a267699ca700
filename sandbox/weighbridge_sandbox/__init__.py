"""A real Kubernetes, a real S3 server and the stand-ins for what only IBM ships, on one Linux machine."""
