"""Inboxes: configured addresses and accounts, their secrets and their health."""
