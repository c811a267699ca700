"""Processes of this machine: told apart, guarded, ended with us."""
