"""Well-known projects whose published archives carry their tests: which, and with what pipeline they are run.

Each archive is pinned by version and SHA-256. The pipeline is all that is added to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# What the linters find is told; it does not keep the tests of other people's code from being run.
_LINT_AND_TEST = """\
pipeline:
  stages:
    - {name: lint, agent: lint, allow_failure: true}
    - test
"""
_TEST = """\
pipeline:
  stages:
    - test
"""


@dataclass(frozen=True, slots=True)
class Published:
    """``archive``: the file that the registry's own client fetches. ``note``: what is special, for the table."""

    name: str
    version: str
    registry: Literal["pypi", "npm"]
    archive: str
    sha256: str
    pipeline: str = _LINT_AND_TEST
    note: str = ""


PROJECTS = (
    Published(
        "itsdangerous", "2.2.0", "pypi", "itsdangerous-2.2.0.tar.gz",
        "e0050c0b7da1eea53ffaf149c0cfbb5c6e2e2b69c4bef22c81fa6eb73e5f6173",
    ),
    Published(
        "pluggy", "1.7.0", "pypi", "pluggy-1.7.0.tar.gz",
        "d1eaa46ebb595891b860ab086b4d09c8588af65ebd4361b8e8f4bb8920b90ba8",
        note="pytest itself is built on it: the tests see the checkout, not the release that pytest brings",
    ),
    Published(
        "iniconfig", "2.3.1", "pypi", "iniconfig-2.3.1.tar.gz",
        "67f4b9c50da0dedf52af349e7749a80a9057a5031199791b906c3bb3ae878960",
    ),
    Published(
        "markupsafe", "3.0.4", "pypi", "markupsafe-3.0.4.tar.gz",
        "2e9ad7dd851bf45fab9f75cbff4cb493fee9979e8d8c7c9c3ee119022518edd6",
        note="has a C extension, which is built in the checkout",
    ),
    Published(
        "attrs", "26.1.0", "pypi", "attrs-26.1.0.tar.gz",
        "d03ceb89cb322a8fd706d4fb91940737b6642aa36998fe130a9bc96c985eff32",
        note="the case that fails on some Python 3.11 fails in a plain virtual environment of the same Python, too",
    ),
    Published(
        "click", "8.5.1", "pypi", "click-8.5.1.tar.gz",
        "9bbfada76703fd1d784b83eea012e3e8c6a001a876543ef104fa56aaaeb072b4",
    ),
    Published(
        "more-itertools", "11.2.1", "pypi", "more_itertools-11.2.1.tar.gz",
        "cbf08fd0af284dc69718b9b76a8e6203df624d70209ea511e4219d350c856f63",
    ),
    Published(
        "json-schema-traverse", "1.0.0", "npm", "json-schema-traverse-1.0.0.tgz",
        "023222622df29fc274bde5d3590e47aa1d4a8e3c1d6e2aba029948ed79799b21",
        note="its test script is `npm run eslint && nyc npm run test-spec`",
    ),
    Published(
        "gensync", "1.0.0-beta.2", "npm", "gensync-1.0.0-beta.2.tgz",
        "df9f92ef26a35d4f92cb8a73415dfea8dadaf294a03e60e4d176df82f38d17c9",
        pipeline="pipeline:\n  stages:\n    - {name: test, agent: test, with: {args: [--env=node]}}\n",
        note="Jest 22, of 2018: the browser that it imitates by default needs an address that nobody gave it",
    ),
    Published(
        "object-path", "0.11.8", "npm", "object-path-0.11.8.tgz",
        "5818c97461a154c7aa717b4b38687f58d4a1e7636a4753269ae79e416c2b7593",
        pipeline=_TEST,
    ),
    Published(
        "md5", "2.3.0", "npm", "md5-2.3.0.tgz",
        "dcf1c987696c36f3a52bb2c0933b1156b779b406bebb2bf5b4096e7f2cf4f32a",
        pipeline=_TEST,
        note="Mocha 2, of 2015",
    ),
    Published(
        "flat", "5.0.2", "npm", "flat-5.0.2.tgz",
        "d772de42fa0c5e2b3d940c351873743d9149e5d343f11523dcfb6619f8feed42",
        pipeline=_TEST,
    ),
    Published(
        "node-cron", "3.0.3", "npm", "node-cron-3.0.3.tgz",
        "eacae1b8e837a047b603e311a6da175a93ffb56d2bd2ac1e8ec1cf02cea8a914",
        pipeline=_TEST,
    ),
)  # fmt: skip
