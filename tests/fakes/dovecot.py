"""A real Dovecot for tests: unprivileged, its own configuration, ephemeral loopback ports, maildirs in a temp folder.

Any user name may log in with `PASSWORD`, so that every test takes a mailbox of its own from one server.
"""

from __future__ import annotations

import grp
import imaplib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from tests.fakes.certificates import Certificates
from tests.fixtures.requirements import require

PASSWORD = "horse-relay"
_PROGRAM = "/usr/sbin/dovecot"
_START_SECONDS = 20

_CONFIG = """
base_dir = {base}/run
state_dir = {base}/state
log_path = {base}/dovecot.log
default_login_user = {user}
default_internal_user = {user}
default_internal_group = {group}
first_valid_uid = 1
protocols = imap
listen = 127.0.0.1
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
mail_location = maildir:~/Maildir
mailbox_list_index = no
mail_max_userip_connections = 100
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{key}
ssl_client_ca_file =
ssl_dh =
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={base}/home/%u
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
  }}
}}
service stats {{
  chroot =
}}
"""


class Mailbox:
    """One user's mail on the server, changed from outside our own code: files dropped into the maildir, and imaplib."""

    _number = itertools.count(1)

    def __init__(self, server: Dovecot, user: str) -> None:
        self.server = server
        self.user = user
        self.home = server.base / "home" / user / "Maildir"

    def deliver(self, message: bytes, folder: str = "INBOX") -> None:
        """Drop a mail as a delivery agent does: written to tmp, renamed into new."""
        maildir = self.home if folder == "INBOX" else self.home / f".{folder}"
        for part in ("cur", "new", "tmp"):
            self.server.make_folder(maildir / part)
        name = f"{time.time():.6f}.{next(self._number)}.test"
        (maildir / "tmp" / name).write_bytes(message)
        shutil.chown(maildir / "tmp" / name, self.server.account.pw_uid, self.server.account.pw_gid)
        (maildir / "tmp" / name).rename(maildir / "new" / name)

    def open(self) -> imaplib.IMAP4:
        """Another client's session; the caller logs out."""
        client = imaplib.IMAP4("127.0.0.1", self.server.port, timeout=10)
        client.login(self.user, PASSWORD)
        return client

    def create(self, folder: str) -> None:
        """Make a folder (name in modified UTF-7)."""
        with self.open() as client:
            assert client.create(f'"{folder}"')[0] == "OK"

    def delete(self, folder: str) -> None:
        """Remove a folder with its mail."""
        with self.open() as client:
            assert client.delete(f'"{folder}"')[0] == "OK"

    def expunge(self, uids: str, folder: str = "INBOX") -> None:
        """Delete mails for good by UID set."""
        with self.open() as client:
            client.select(folder)
            assert client.uid("STORE", uids, "+FLAGS.SILENT", r"(\Deleted)")[0] == "OK"
            assert client.expunge()[0] == "OK"

    def flag(self, uids: str, flags: str, folder: str = "INBOX") -> None:
        """Set flags as a person's mail client would."""
        with self.open() as client:
            client.select(folder)
            assert client.uid("STORE", uids, "+FLAGS.SILENT", f"({flags})")[0] == "OK"

    def flags(self, folder: str = "INBOX") -> list[str]:
        """The flags of every mail, in order, without changing them."""
        with self.open() as client:
            client.select(folder, readonly=True)
            data = client.fetch("1:*", "(FLAGS)")[1]
            return [line.decode() for line in data if isinstance(line, bytes)]


class Dovecot:
    """The server; a context manager. `stop()` and `start()` again keep mail and ports."""

    def __init__(self, certificates: Certificates) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="dovecot-"))
        # Dovecot refuses to serve mail as root, so root's tests run it as nobody; others as themselves.
        self.account = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
        self.port, self.tls_port = _free_port(), _free_port()
        self.certificates = certificates
        self._process: subprocess.Popen[bytes] | None = None
        self._mailboxes = itertools.count(1)
        self._configure()

    def mailbox(self) -> Mailbox:
        """A fresh user with an empty INBOX."""
        return Mailbox(self, f"user{next(self._mailboxes)}@example.mn")

    def make_folder(self, path: Path) -> None:
        """Make a folder that the server's account owns, with its parents."""
        for folder in [*reversed(path.parents), path]:
            if self.base in folder.parents and not folder.exists():
                folder.mkdir(mode=0o700)
                shutil.chown(folder, self.account.pw_uid, self.account.pw_gid)

    def start(self) -> None:
        """Start and wait until it takes connections."""
        as_nobody = {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}
        with (self.base / "dovecot.err").open("ab") as errors:
            self._process = subprocess.Popen(
                [_PROGRAM, "-F", "-c", str(self.base / "dovecot.conf")],
                stderr=errors,
                cwd=self.base,
                start_new_session=True,
                **(as_nobody if os.getuid() == 0 else {}),  # type: ignore[call-overload]  # keywords of mixed types
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    raise RuntimeError(f"dovecot did not start:\n{self.log()}") from None
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop and wait."""
        if self._process is None:
            return
        # The whole group, so that sessions die at once as they do when a machine goes away.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=10)
        self._process = None

    def log(self) -> str:
        """What the server said, for a failing test."""
        paths = (self.base / "dovecot.err", self.base / "dovecot.log")
        return "".join(path.read_text() for path in paths if path.exists())

    def __enter__(self) -> Dovecot:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()
        shutil.rmtree(self.base)

    def _configure(self) -> None:
        certificate, key = self.base / "cert.pem", self.base / "key.pem"
        certificate.write_bytes(self.certificates.certificate)
        key.write_bytes(self.certificates.key)
        config = self.base / "dovecot.conf"
        config.write_text(
            _CONFIG.format(
                base=self.base,
                user=self.account.pw_name,
                group=_group_name(self.account.pw_gid),
                certificate=certificate,
                key=key,
                password=PASSWORD,
                port=self.port,
                tls_port=self.tls_port,
            )
        )
        for path in (self.base, certificate, key, config):
            shutil.chown(path, self.account.pw_uid, self.account.pw_gid)
        self.make_folder(self.base / "home")


def require_dovecot() -> None:
    """The end of this test where Dovecot is not installed: a skip, a failure under CI."""
    require("Dovecot (Debian: dovecot-imapd)", Path(_PROGRAM).exists() or None)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _group_name(gid: int) -> str:
    return grp.getgrgid(gid).gr_name
