"""Channels: pure adapters between a provider and the normal form. They know no database, no web, no customers."""
