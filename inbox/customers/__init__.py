"""Customers and the identities they are known by."""
