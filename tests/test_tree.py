"""The rules of the house that go by a file's kind, read off the source. The arrows between packages are import-linter's
(pyproject.toml); ARCHITECTURE.md says why they are so."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, get_args

from channels import base

ROOT = Path(__file__).parent.parent
OURS = ("channels", "config", "inbox", "workers")
ROOMS = (
    "accounts",
    "inboxes",
    "customers",
    "conversations",
    "tasks",
    "mailer",
    "campaigns",
    "sales",
    "automation",
    "reports",
)
DRIVER = {"bson", "gridfs", "motor", "pymongo"}
DRIVER_IN_CORE = {
    "inbox.core.mongo",
    "inbox.core.files",
    "inbox.core.store",
    "inbox.core.embedded",  # mongod has to be made a replica set before anything else can connect to it
}
KINDS = ("model", "store", "service", "web")
"""In a room each kind may import those before it. A file without a kind in its name (`ingest.py`) is a service."""

MODULE_LINES = 450
WORKER_LINES = 80
PLACES = {"inbox", "channels", "templates", "workers", "tests", "config", ".ci", "bench", "docs"}
REGISTRY_HOSTS = re.compile(r"registry\.(npmjs|yarnpkg)\.|pypi\.org/simple|files\.pythonhosted\.")


class Module(NamedTuple):
    name: str
    path: Path

    @property
    def room(self) -> str:
        parts = self.name.split(".")
        return parts[1] if parts[0] == "inbox" and len(parts) > 2 and parts[1] in ROOMS else ""

    @property
    def kind(self) -> str:
        last = self.name.split(".")[2]
        return next((kind for kind in KINDS if last == kind or last.startswith(f"{kind}_")), "service")


def tracked() -> list[Path]:
    """Files that git knows or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    return sorted(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def modules() -> list[Module]:
    found = []
    for folder in OURS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append(Module(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return found


MODULES = modules()


def syntax(module: Module) -> ast.Module:
    return ast.parse(module.path.read_text(encoding="utf-8"))


def imports(module: Module) -> Iterator[str]:
    """Dotted names a module imports, `from a import b` as `a.b`."""
    for node in ast.walk(syntax(module)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def lines(module: Module) -> int:
    return len(module.path.read_text(encoding="utf-8").splitlines())


def imported_modules(module: Module) -> Iterator[Module]:
    """Modules of ours that a module imports."""
    for name in imports(module):
        yield from (other for other in MODULES if name == other.name or name.rpartition(".")[0] == other.name)


def test_modules_stay_readable_in_one_sitting() -> None:
    assert [f"{module.name}: {lines(module)}" for module in MODULES if lines(module) > MODULE_LINES] == []


def test_workers_stay_thin() -> None:
    workers = [module for module in MODULES if module.name.startswith("workers.")]
    assert [f"{module.name}: {lines(module)}" for module in workers if lines(module) > WORKER_LINES] == []


def test_packages_hold_a_docstring_and_nothing_else() -> None:
    def is_right(body: ast.Module) -> bool:
        return len(body.body) == 1 and ast.get_docstring(body) is not None

    packages = [module for module in MODULES if module.path.name == "__init__.py"]
    assert [module.name for module in packages if not is_right(syntax(module))] == []


def test_imports_stand_at_the_top_of_a_file() -> None:
    inside = []
    for module in MODULES:
        for function in ast.walk(syntax(module)):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                inside += [
                    f"{module.name}.{function.name}"
                    for node in ast.walk(function)
                    if isinstance(node, ast.Import | ast.ImportFrom)
                ]
    assert inside == []


def test_only_stores_and_the_core_touch_the_database_driver() -> None:
    def may(module: Module) -> bool:
        return module.name in DRIVER_IN_CORE or (bool(module.room) and module.kind == "store")

    assert [
        f"{module.name} imports {name}"
        for module in MODULES
        for name in imports(module)
        if name.split(".")[0] in DRIVER and not may(module)
    ] == []


def test_only_pages_see_the_web_server() -> None:
    def may(module: Module) -> bool:
        # serve.py opens the port the application is served on.
        if module.name in {"inbox.app", "inbox.serve"} or module.name.split(".")[:2] == ["inbox", "web"]:
            return True
        return bool(module.room) and module.kind == "web"

    def is_server(name: str) -> bool:
        return name.startswith(("aiohttp.web", "aiohttp_jinja2", "aiohttp_session", "aiohttp_remotes", "inbox.web"))

    assert [
        f"{module.name} imports {name}"
        for module in MODULES
        for name in imports(module)
        if is_server(name) and not may(module)
    ] == []


def test_inside_a_room_pages_ask_services_services_ask_stores() -> None:
    order = {kind: place for place, kind in enumerate(KINDS)}
    assert [
        f"{module.name} imports {other.name}"
        for module in MODULES
        if module.room and len(module.name.split(".")) > 2
        for other in imported_modules(module)
        if other.room == module.room and order[other.kind] > order[module.kind]
    ] == []


def test_between_rooms_only_services_and_models_are_seen() -> None:
    def sees_rooms(module: Module) -> bool:
        return bool(module.room) or module.name.split(".")[:2] == ["inbox", "web"]

    assert [
        f"{module.name} imports {other.name}"
        for module in MODULES
        if sees_rooms(module)
        for other in imported_modules(module)
        if other.room and other.room != module.room and other.kind in {"store", "web"}
    ] == []


def test_no_channel_is_tested_by_name_outside_the_channels() -> None:
    kinds = set(get_args(base.AddressKind))
    names = {path.parent.name for path in (ROOT / "channels").glob("*/__init__.py")} | kinds | {"sms", "voice"}

    def offends(tested: ast.AST, name: object) -> bool:
        # "email" is also the kind of an address, which may be asked for; a channel may not.
        return name in names and (name not in kinds or "channel" in ast.unparse(tested))

    found = []
    for module in MODULES:
        if module.name.split(".")[0] not in {"inbox", "workers"}:
            continue
        tests: list[tuple[ast.AST, ast.AST]] = []  # what is tested, and where the names it is tested against are
        for node in ast.walk(syntax(module)):
            if isinstance(node, ast.Compare):
                tests.append((node, node))
            elif isinstance(node, ast.Match):
                tests += [(node.subject, case.pattern) for case in node.cases]
        found += [
            f"{module.path.relative_to(ROOT)}:{constant.lineno} tests {constant.value!r}"
            for tested, against in tests
            for constant in ast.walk(against)
            if isinstance(constant, ast.Constant) and offends(tested, constant.value)
        ]
    assert found == []


def test_core_does_not_import_a_channel() -> None:
    """What a channel is like is asked of its capabilities; only the registry knows which there are."""
    allowed = {"channels.base", "channels.signing_in", "channels.registry"}
    assert [
        f"{module.name} imports {other.name}"
        for module in MODULES
        if module.name.split(".")[0] in {"inbox", "workers"} and module.name != "inbox.cli"
        for other in imported_modules(module)
        if other.name.split(".")[0] == "channels" and other.name not in allowed | {"channels"}
    ] == []


def test_top_level_folders_are_those_of_the_design() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked() if path.parent != ROOT} <= PLACES


def test_lock_files_carry_hashes_and_no_registry_address() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text()
        assert "://" not in text
        requirements = re.split(r"\n(?=\w)", text)[1:]
        assert requirements
        assert [each.split()[0] for each in requirements if "--hash=sha256:" not in each] == []
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()


def test_no_file_names_a_registry() -> None:
    assert [
        str(path.relative_to(ROOT))
        for path in tracked()
        if path != Path(__file__) and REGISTRY_HOSTS.search(path.read_text(encoding="utf-8", errors="replace"))
    ] == []


def test_every_dependency_has_its_reason_and_every_reason_its_dependency() -> None:
    reasons = re.findall(r"^\| `([^`]+)` \|", (ROOT / "docs" / "DEPENDENCIES.md").read_text(), re.MULTILINE)
    direct = re.findall(r'^  "([A-Za-z0-9_.-]+)[><=]', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    direct += re.findall(r'^    "([^"]+)": "\^', (ROOT / "package.json").read_text(), re.MULTILINE)
    assert sorted(reasons) == sorted(direct)


def test_every_dependency_is_locked() -> None:
    direct = re.findall(r'^  "([A-Za-z0-9_.-]+)[><=]', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    locked = re.findall(r"^([a-z0-9-]+)==", (ROOT / "requirements-dev.lock").read_text(), re.MULTILINE)
    assert {re.sub(r"[._]", "-", name.lower()) for name in direct} <= set(locked)
