"""Agents, teams, roles and sessions."""
