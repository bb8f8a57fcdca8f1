"""Repositories with something in them to be found. The secrets are put together here, so that no scanner of this
repository takes them for real ones."""

from __future__ import annotations

import json

AWS_KEY = "AKIA" + "QYLPMN5HFIQR7XYA"

PYTHON = {"requirements.txt": "urllib3==1.26.4\n"}
DOCKERFILE = {"Dockerfile": "FROM python:3.11\nUSER root\nRUN echo built\n"}
SECRET = {"settings.py": f'KEY = "{AWS_KEY}"\n'}
JAVASCRIPT = {
    "package.json": json.dumps({"name": "web", "version": "1.0.0", "dependencies": {"lodash": "4.17.20"}}),
    "package-lock.json": json.dumps({
        "name": "web",
        "version": "1.0.0",
        "lockfileVersion": 3,
        "packages": {
            "": {"name": "web", "version": "1.0.0", "dependencies": {"lodash": "4.17.20"}},
            "node_modules/lodash": {"version": "4.17.20"},
        },
    }),
}  # fmt: skip
EVERYTHING = PYTHON | DOCKERFILE | SECRET | JAVASCRIPT
