#!/usr/bin/python3
"""Of Mailpit: SMTP at 1025, and at 8025 /readyz, /api/v1/messages and /api/v1/message/ID.

Source: https://mailpit.axllent.org/docs/api-v1/
"""

import json
import sys
import threading
import urllib.request
from email import message_from_bytes
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller

MAILS: list[dict[str, Any]] = []


class Box:
    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        mail = message_from_bytes(envelope.content, policy=default)
        body = mail.get_body(("plain",))
        MAILS.insert(
            0,
            {
                "ID": str(len(MAILS) + 1),
                "From": {"Name": "", "Address": envelope.mail_from},
                "To": [{"Name": "", "Address": each} for each in envelope.rcpt_tos],
                "Subject": str(mail["subject"]),
                "Text": body.get_content() if body else "",
            },
        )
        return "250 OK"


class Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        found = [each for each in MAILS if path == f"/api/v1/message/{each['ID']}"]
        if path == "/readyz":
            self._say(200, {})
        elif path == "/api/v1/messages":
            self._say(200, {"total": len(MAILS), "messages": MAILS})
        else:
            self._say(200 if found else 404, found[0] if found else {"Error": "message not found"})

    def _say(self, status: int, said: Any) -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


if sys.argv[1:] == ["readyz"]:
    with urllib.request.urlopen("http://127.0.0.1:8025/readyz", timeout=4):
        sys.exit(0)
if sys.argv[1:]:
    sys.exit(f"mailpit: {' '.join(sys.argv[1:])} is not known here")
Controller(Box(), hostname="0.0.0.0", port=1025, ready_timeout=10).start()
threading.Thread(target=ThreadingHTTPServer(("", 8025), Api).serve_forever).start()
