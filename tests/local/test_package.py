"""The functions' packages: what is in them, that they are the same each time, and that they are enough."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from local.package.budgets import BUDGETS, Budget
from local.package.build import ALL, ROOT, Package, Packages, main, read_projects
from local.package.closure import Code, closure
from local.package.distributions import needed, owner, owners, read_lock
from local.package.imports import Import, imports
from tests.local.first_requests import ANSWERS, SETTINGS
from turnout import wiring
from turnout.adapters.settings import read_settings
from turnout.core.errors import PermanentError

SERVE = Path(__file__).with_name("packaged.py")


# --- how imports are found ---------------------------------------------------------------------------


def test_imports_are_found_wherever_they_stand_but_not_those_for_the_type_checker() -> None:
    found = imports(
        ast.parse(
            "import a.b\n"
            "if TYPE_CHECKING:\n    import never\nelse:\n    import otherwise\n"
            "def f():\n    from c import d, e\n    importlib.import_module('g.h')\n"
        )
    )
    assert {*found} == {Import("a.b"), Import("otherwise"), Import("c", ("d", "e")), Import("g.h")}


TREE = {
    "functions/__init__.py": "",
    "functions/hook/__init__.py": "",
    "functions/hook/main.py": "from turnout.wiring import wiring\ndef hook(r): return wiring().webhook\n",
    "functions/door/__init__.py": "",
    "functions/door/lock.py": "",
    "functions/door/main.py": "from functions.door.lock import x\nfrom turnout.wiring import wiring\n"
    "wiring().launcher\n",
    "turnout/__init__.py": "",
    "turnout/cheap.py": "import psycopg",
    "turnout/dear/__init__.py": "import alembic",
    "turnout/dear/page.html": "<html>",
    "turnout/dear/shown/style.css": "a {}",
    "turnout/py.typed": "",
    "turnout/adapters/store/migrations/env.py": "",
    "turnout/wiring/__init__.py": "from turnout.wiring.base import Base\n"
    "class Wiring(Base):\n"
    "    @property\n    def webhook(self):\n        return self.store.of(self.settings.launcher)\n"
    "    @property\n    def launcher(self):\n        from turnout.dear import x\n",
    "turnout/wiring/base.py": "class Base:\n    @property\n    def store(self):\n        import turnout.cheap\n",
    "pyproject.toml": "[project]\nname = 'turnout'\nversion = '0.7'\n",
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small project, as git knows it; and a file that git does not know."""
    root = tmp_path / "root"
    for path, text in {**TREE, "requirements.txt": LOCK}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    subprocess.run(["git", "init", "--quiet", root], check=True)
    subprocess.run(["git", "-C", root, "add", "."], check=True)
    (root / "turnout/dear/secret.html").write_text("not of the project")
    return root


def test_of_the_wiring_only_what_is_named_counts(tree: Path) -> None:
    code = Code(tree, frozenset(TREE))
    found = closure(code, "functions.hook.main")
    turnout = {each for each in found.modules if each.startswith("turnout")}
    assert turnout == {"turnout", "turnout.cheap", "turnout.wiring", "turnout.wiring.base"}
    assert found.others == {Import("psycopg")}
    assert found.parts == {"webhook", "store"}
    dear = closure(code, "functions.door.main").modules
    assert {"turnout.dear", "turnout.adapters.store.migrations.env"} <= dear, "alembic runs the migrations"


LOCK = """# made by a program
flask==3.1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via
    #   -r requirements.in
    #   functions-framework
functions-framework==3.10.0 \\
    --hash=sha256:cc
    # via -r requirements.in
psycopg[binary]==3.2.1 \\
    --hash=sha256:dd
    # via -r requirements.in
psycopg-binary==3.2.1 ; implementation_name != 'pypy' \\
    --hash=sha256:ee
    # via psycopg
"""


def test_what_an_import_needs_comes_with_all_that_it_requires_as_it_is_locked() -> None:
    lock = read_lock(LOCK)
    known = {"psycopg": "psycopg", "flask": "flask"}
    assert needed([Import("os.path"), Import("psycopg.rows")], lock, known) == [
        "flask",
        "functions-framework",
        "psycopg",
        "psycopg-binary",
    ]
    assert lock["flask"].text == "flask==3.1.0 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n"
    assert lock["psycopg-binary"].text.startswith("psycopg-binary==3.2.1 ; implementation_name")
    with pytest.raises(PermanentError, match=r"rust\.lib is of no distribution"):
        needed([Import("rust.lib")], lock, known)


def test_modules_of_a_shared_namespace_belong_to_the_distribution_that_holds_them() -> None:
    known = owners(["google-cloud-run", "google-auth", "pyyaml"])
    assert owner("google.cloud.run_v2.types", known) == "google-cloud-run"
    assert owner("google.auth.transport", known) == "google-auth"
    assert owner("google.cloud", known) == ""
    assert owner("yaml", known) == "pyyaml"


# --- the packages ------------------------------------------------------------------------------------


def test_a_package_has_its_entry_at_its_root_what_that_imports_and_nothing_else(tree: Path) -> None:
    made = Packages(tree, {"shop.yml": b"repository: acme/shop"}).of("hook")
    assert {*made.files} == {
        "main.py",
        "requirements.txt",
        "projects/shop.yml",
        "turnout-0.7.dist-info/METADATA",
        "turnout/__init__.py",
        "turnout/cheap.py",
        "turnout/wiring/__init__.py",
        "turnout/wiring/base.py",
    }
    assert made.files["main.py"].decode() == TREE["functions/hook/main.py"]
    assert made.distributions == ("flask", "functions-framework", "psycopg", "psycopg-binary")
    pinned = made.files["requirements.txt"].decode()
    assert [each for each in pinned.splitlines() if "==" in each][1:3] == [
        "functions-framework==3.10.0 \\",
        "psycopg[binary]==3.2.1 \\",
    ]
    assert "via" not in pinned


def test_a_package_has_the_files_that_lie_beside_its_modules_and_its_own_other_modules(tree: Path) -> None:
    (tree / "requirements.txt").write_text(
        LOCK + "alembic==1 \\\n    --hash=sha256:ff\n    # via -r requirements.in\n"
    )
    files = Packages(tree).of("door").files
    assert {"functions/__init__.py", "functions/door/__init__.py", "functions/door/lock.py"} <= {*files}
    assert {"turnout/dear/page.html", "turnout/dear/shown/style.css"} <= {*files}
    assert {"functions/door/main.py", "turnout/py.typed", "turnout/dear/secret.html"} & {*files} == set()


def test_the_same_files_make_the_same_bytes(tree: Path) -> None:
    made = Packages(tree).of("hook")
    for each in tree.rglob("*"):
        os.utime(each, (1, 1))
    assert Packages(tree).of("hook").digest == made.digest
    with zipfile.ZipFile(BytesIO(made.zipped)) as archive:
        entries = archive.infolist()
    assert [each.filename for each in entries] == sorted(made.files)
    assert {each.date_time for each in entries} == {(1980, 1, 1, 0, 0, 0)}
    (tree / "turnout/cheap.py").write_text("import psycopg  # changed")
    assert Packages(tree).of("hook").digest != made.digest


def test_what_is_asked_wrongly_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--projects", str(tmp_path)]) == 1
    assert "there is no project file" in capsys.readouterr().err
    assert main(["--only", "cook"]) == 1
    assert "no function cook" in capsys.readouterr().err
    (tmp_path / "shop.yml").write_text("repository: acme/shop\n")
    assert read_projects(str(tmp_path)) == {"shop.yml": b"repository: acme/shop\n"}


@pytest.mark.parametrize("function", ALL)
def test_the_entry_point_that_terraform_names_is_what_main_defines(function: str) -> None:
    body = ast.parse((ROOT / f"functions/{function}/main.py").read_text()).body
    assert function in {
        each.name for each in body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    terraform = (ROOT / "infra/terraform/modules/function/main.tf").read_text()
    assert re.search(r"entry_point\s+= var\.function\n", terraform)
    assert "GOOGLE_FUNCTION_SOURCE" not in terraform, "main.py is where it is looked for"
    assert re.search(r'SOURCE_DATE_EPOCH = "\d+"', terraform), (
        "else each cold start compiles all that is ours"
    )


def test_every_function_has_a_budget() -> None:
    assert {*BUDGETS} == {*ALL} == {*ANSWERS}


# --- that they are enough ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def packages() -> Packages:
    return Packages()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    wiring.prepare(read_settings({"TURNOUT_HOME": str(home)}))
    return home


@pytest.mark.real
@pytest.mark.parametrize("function", ALL)
def test_a_package_alone_serves_its_function_within_its_budget(
    function: str, packages: Packages, prepared: Path, tmp_path: Path
) -> None:
    made = packages.of(function)
    with zipfile.ZipFile(BytesIO(made.zipped)) as archive:
        archive.extractall(tmp_path)
    method, path, headers, body, status, said = ANSWERS[function]
    request = {"method": method, "path": path, "headers": headers, "body": body}
    found = serve(tmp_path, prepared, made, request, packages)
    assert (found["status"], said in found["body"]) == (status, True), found["body"][:500]
    assert found["outside"] == [], "only the package's own files"
    budget = BUDGETS[function]
    cost = Budget(found["loaded"], len(made.zipped), len(made.distributions), 0)
    over = [
        each for each in ("loaded", "size", "distributions") if getattr(cost, each) > getattr(budget, each)
    ]
    assert over == [], f"{function} costs {cost}, and may cost {budget}"


@pytest.mark.real
def test_a_function_carries_nothing_of_what_others_do(packages: Packages) -> None:
    made = packages.of("reporter")
    assert "turnout/reporting/slack_channel.py" in made.files
    strangers = ("functions/", "agents/", "turnout/console/", "turnout/cli/", "turnout/stack/", "tests/")
    assert [each for each in made.files if each.startswith(strangers)] == []
    assert {"docker", "kubernetes", "fastapi", "typer"} & {*made.distributions} == set()
    assert {"slack-sdk", "psycopg-binary"} <= {*made.distributions}


def serve(
    folder: Path, home: Path, made: Package, request: dict[str, Any], packages: Packages
) -> dict[str, Any]:
    asked = {
        "function": made.function,
        "request": request,
        "owners": owners(packages.lock),
        "parts": sorted(made.closure.parts),
    }
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    ended = subprocess.run(
        [sys.executable, "-S", "-P", SERVE, sysconfig.get_path("purelib")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=folder,
        env=kept | SETTINGS | {"TURNOUT_HOME": str(home), "HOME": str(home)},
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-3000:]
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found
