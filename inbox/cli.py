"""The command `ortoo`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console

from channels.email.report import report_line
from config import logging, settings
from config.settings import Settings
from inbox.accounts.model import Actor
from inbox.core.errors import DomainError, NotFound
from inbox.demo import is_loopback, prepare
from inbox.serve import ROLES, run
from inbox.wiring import open_house

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
say = Console(stderr=True, highlight=False, soft_wrap=True)

Before = Callable[[Settings, Callable[[str], None]], Awaitable[None]]
"""What is done before a process begins its work."""
Config = Annotated[Path | None, typer.Option(help="TOML file with settings; else ORTOO_CONFIG, else ortoo.toml.")]
Data = Annotated[Path | None, typer.Option(help="Folder of the database and the secret key.")]
Host = Annotated[str | None, typer.Option(help="Address the page listens on.")]
Port = Annotated[int | None, typer.Option(help="Port the page listens on; 0 takes a free one.")]
DoorPort = Annotated[int | None, typer.Option(help="Port the mail door listens on; 0 takes a free one.")]


@app.command()
def serve(
    config: Config = None, data: Data = None, host: Host = None, port: Port = None, door_port: DoorPort = None
) -> None:
    """Run everything in one process: the page, the mail door and all workers."""
    _run(_settings(config, data=data, host=host, port=port, door_port=door_port), web=True, roles=ROLES)


@app.command()
def demo(
    config: Config = None, data: Data = None, host: Host = None, port: Port = None, door_port: DoorPort = None
) -> None:
    """Run everything with a workspace of invented customers, in a data folder of its own (./demo-data)."""
    folder = data or Path(os.environ.get("ORTOO_DATA") or "demo-data")
    chosen = _settings(config, data=folder, host=host, port=port, door_port=door_port)
    if host is None and not (is_loopback(chosen.host) and is_loopback(chosen.door_host)):
        _fail(
            "The demo's passwords are known to everybody, so it listens on this machine only. "
            "If you want it otherwise, say so with --host."
        )
    _run(chosen, web=True, roles=ROLES, before=prepare)


@app.command()
def web(config: Config = None, data: Data = None, host: Host = None, port: Port = None) -> None:
    """Run the page alone, on a shared MongoDB."""
    _run(_settings(config, data=data, host=host, port=port), web=True, roles=())


@app.command()
def worker(
    roles: Annotated[list[str], typer.Argument(help=f"One or more of: {', '.join(ROLES)}.")],
    config: Config = None,
    data: Data = None,
    door_port: DoorPort = None,
) -> None:
    """Run background roles alone, on a shared MongoDB."""
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        _fail(f"There is no role {', '.join(unknown)}. The roles are {', '.join(ROLES)}.")
    _run(_settings(config, data=data, door_port=door_port), web=False, roles=tuple(roles))


@app.command()
def password_link(
    email: Annotated[str, typer.Argument(help="The e-mail address of somebody who works here.")],
    config: Config = None,
    data: Data = None,
) -> None:
    """Print a link to choose a new password, for an administrator nobody else can help. Stop the server first."""
    chosen = _settings(config, data=data)

    async def make() -> None:
        async with open_house(chosen) as house:
            found = [agent for agent in await house.accounts.agents() if agent.email == email.strip().lower()]
            if not found:
                raise NotFound("Nobody with this address works here.")
            _, path = await house.administration.password_link(Actor.system("command"), found[0].id)
            print(f"{chosen.base_url}{path}")

    _until_done(chosen, make)


@app.command()
def parse(files: Annotated[list[str], typer.Argument(help="Raw mails; - is standard input.")]) -> None:
    """Print the normal form of raw mails, one JSON object a line. Reads no configuration and no database."""
    failed = False
    for name in files:
        try:
            data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        except OSError as error:
            say.print(f"{name}: {error.strerror}", style="red", markup=False)
            failed = True
            continue
        sys.stdout.buffer.write(report_line(name, data) + b"\n")
    sys.stdout.buffer.flush()
    if failed:
        raise typer.Exit(1)


def main() -> None:
    """Entry point of the `ortoo` command."""
    app()


def _settings(config: Path | None, **flags: Any) -> Settings:
    try:
        return settings.load(config, **flags)
    except ValidationError as error:
        mistakes = [f"{'.'.join(map(str, item['loc'])) or 'settings'}: {item['msg']}" for item in error.errors()]
        _fail("The settings cannot be used:\n  " + "\n  ".join(mistakes))
    except (FileNotFoundError, ValueError) as error:
        _fail(f"The settings cannot be read: {error}")


def _run(chosen: Settings, *, web: bool, roles: tuple[str, ...], before: Before | None = None) -> None:
    async def all_of_it() -> None:
        if before is not None:
            await before(chosen, say.print)
        await run(chosen, with_page=web, roles=roles, say=say.print)

    _until_done(chosen, all_of_it)


def _until_done(chosen: Settings, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    logging.configure(chosen.log_level, as_json=chosen.log_json)
    try:
        uvloop.run(work())
    except DomainError as error:
        _fail(str(error))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(130) from None


def _fail(words: str) -> NoReturn:
    say.print(words, style="red", markup=False)
    raise typer.Exit(1)
