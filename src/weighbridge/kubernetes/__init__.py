"""The cluster: its client, the Lease, what is read of Jobs and pods."""
