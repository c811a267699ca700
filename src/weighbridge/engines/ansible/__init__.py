"""Ansible as an engine: it knows no playbook by name."""
