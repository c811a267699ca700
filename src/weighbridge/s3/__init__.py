"""S3 by botocore: the only place that knows it."""
