"""S3 by boto3: the only place that knows it."""
