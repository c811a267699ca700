"""The cluster: its client, the Lease, and readers of Jobs and pods."""
