"""Run by the project's own Python, in the sandbox: asks the project's build backend for an editable install.

Only the standard library, and old enough for Python 3.8. Three uses:
    requires  prints, as JSON, what the backend wants besides ``build-system.requires``
    metadata  prints, as JSON, the project's name and what it requires
    install   builds the editable wheel and unpacks it into the given site-packages, with its commands
Source: PEP 517, PEP 660; the entry points specification of the packaging user guide.
"""

import configparser
import email
import importlib
import json
import os
import sys
import tempfile
import zipfile

MARK = "turnout-answer:"

COMMAND = """#!{python}
import sys
from {module} import {attribute}
sys.exit({call}())
"""


def main() -> None:
    what, settings = sys.argv[1], json.loads(sys.argv[2])
    backend = load(settings["backend"], settings["path"])
    if what == "requires":
        hook = getattr(backend, "get_requires_for_build_editable", None)
        print(MARK + json.dumps(list(hook()) if hook else []))
        return
    if what == "metadata":
        print(MARK + json.dumps(metadata(backend)))
        return
    with tempfile.TemporaryDirectory() as folder:
        build = getattr(backend, "build_editable", None) or backend.build_wheel  # type: ignore[attr-defined]
        wheel = os.path.join(folder, build(folder))
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(settings["site"])
            commands(archive, settings["bin"])


def load(name: str, path: "list[str]") -> object:
    sys.path[:0] = [os.path.join(os.getcwd(), part) for part in path]
    module, _, attribute = name.partition(":")
    backend: object = importlib.import_module(module)
    for part in filter(None, attribute.split(".")):
        backend = getattr(backend, part)
    return backend


def metadata(backend: object) -> "dict[str, object]":
    with tempfile.TemporaryDirectory() as folder:
        for name in ("prepare_metadata_for_build_editable", "prepare_metadata_for_build_wheel"):
            hook = getattr(backend, name, None)
            if hook is not None:
                with open(os.path.join(folder, hook(folder), "METADATA"), encoding="utf-8") as file:
                    text = file.read()
                break
        else:
            build = getattr(backend, "build_editable", None) or backend.build_wheel  # type: ignore[attr-defined]
            with zipfile.ZipFile(os.path.join(folder, build(folder))) as archive:
                place = next(each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
                text = archive.read(place).decode("utf-8")
    message = email.message_from_string(text)
    return {"name": message["Name"], "requires": message.get_all("Requires-Dist") or []}


def commands(archive: zipfile.ZipFile, folder: str) -> None:
    for member in archive.namelist():
        if not member.endswith(".dist-info/entry_points.txt"):
            continue
        parser = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        parser.read_string(archive.read(member).decode("utf-8"))
        for section in ("console_scripts", "gui_scripts"):
            for name, target in parser.items(section) if parser.has_section(section) else ():
                module, _, call = target.split("[")[0].strip().partition(":")
                path = os.path.join(folder, os.path.basename(name))
                with open(path, "w", encoding="utf-8") as script:
                    attribute = call.split(".")[0]
                    script.write(
                        COMMAND.format(python=sys.executable, module=module, attribute=attribute, call=call)
                    )
                os.chmod(path, 0o755)  # noqa: S103 (a command is to be run)


if __name__ == "__main__":
    main()
