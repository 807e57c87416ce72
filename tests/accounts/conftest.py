"""The site these tests visit."""

from tests.fixtures.web import site

__all__ = ["site"]
