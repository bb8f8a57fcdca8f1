"""Ends with 0 when the gateway answers, and what has to be closed is; says what is wrong."""

import os
import socket
import sys
import urllib.error
import urllib.request

wrong = []
try:
    status = urllib.request.urlopen(os.environ["GATEWAY"], timeout=10).status  # noqa: S310
except urllib.error.HTTPError as refused:  # it looks at the pass, and we have none
    status = refused.code
except OSError as error:
    status = 0
    wrong.append(f"the gateway at {os.environ['GATEWAY']} is not reached: {error} (jobs.network.gateway)")
if status >= 500:
    wrong.append(f"the gateway answers {status}")
host, _, port = os.environ["CLOSED"].rpartition(":")
try:
    socket.create_connection((host, int(port)), timeout=5).close()
    wrong.append(f"{host} is reached: is there a network plugin that enforces policies?")
except OSError:
    pass
for each in wrong:
    print(each, file=sys.stderr)
sys.exit(1 if wrong else 0)
