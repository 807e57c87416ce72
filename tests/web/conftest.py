"""The site these tests visit."""

from tests.fixtures.web import pytest_configure, site

__all__ = ["pytest_configure", "site"]
