"""Real servers for the channels' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.fakes.certificates import Certificates
from tests.fakes.dovecot import Dovecot, Mailbox, require_dovecot

# How long an example takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    """A certificate for 127.0.0.1, with the contexts of both ends."""
    return Certificates()


@pytest.fixture(scope="session")
def dovecot(certificates: Certificates) -> Iterator[Dovecot]:
    """One Dovecot for all tests of this worker; each takes a mailbox of its own."""
    require_dovecot()
    with Dovecot(certificates) as server:
        yield server


@pytest.fixture
def mailbox(dovecot: Dovecot) -> Mailbox:
    """An empty mailbox."""
    return dovecot.mailbox()
