"""Conversations: threads, messages, how they come in and how they go out."""
