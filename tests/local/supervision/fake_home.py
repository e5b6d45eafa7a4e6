"""A supervisor of small services, for tests: ``python fake_home.py CASE`` in the home that the environment names.

A server starts a descendant in a session of its own and notes in the file ``ends`` when it is ended in good order, and
when it is told to replay the catalog.
"""

from __future__ import annotations

import sys
import textwrap
import time
import urllib.request

from local.deployment import Deployment
from local.engines import files
from local.settings import HOST, Settings
from local.supervision.service import Service
from local.supervision.supervisor import supervise

SERVER = """
    import http.server, os, pathlib, signal, subprocess, sys
    home, name, port = pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    def note(text):
        with (home / "ends").open("a") as file:
            file.write(f"{text}\\n")
    def end(*_):
        note(name)
        os._exit(0)
    signal.signal(signal.SIGTERM, end)
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200); self.end_headers()
        def do_POST(self):
            note(self.path); self.do_GET()
        def log_message(self, *_): pass
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def main() -> int:
    """Supervise the services of one case."""
    settings, case = Settings.from_environment(), sys.argv[1]

    def server(name: str, port: int, *after: str) -> Service:
        command = [sys.executable, "-c", textwrap.dedent(SERVER), str(settings.home), name, str(port)]

        def ready(_: object) -> bool:
            with urllib.request.urlopen(f"http://{HOST}:{port}/", timeout=2) as reply:
                return bool(reply.status == 200)

        return Service(name, lambda: command, after=after, port=port, ready=ready, seconds=20)

    def script(name: str, text: str, *after: str) -> Service:
        return Service(name, lambda: ["sh", "-c", text], after=after, once=True, seconds=20)

    cases = {
        "pair": (server("first", settings.port), server("second", settings.port + 1, "first")),
        "broken": (
            Service("first", lambda: ["sh", "-c", "echo the disk is full; exit 3"], port=settings.port),
            server("second", settings.port + 1, "first"),
        ),
        "deployed": (
            server("emulator", settings.port),
            script("deploy", f"echo deployed >> {settings.home}/ends", "emulator"),
        ),
        "lingering": (script("first", "true"),),
        "silent": (script("first", "echo; exit 3"),),
        "endless": (script("first", "sleep 1000"),),
        "repairable": (script("first", f"echo not yet; test -e {settings.home}/repaired"),),
    }
    files.write_atomically(settings.home_token, "token")
    code = supervise(settings, cases[case], Deployment(settings))
    if case == "lingering":
        time.sleep(1)  # what an interpreter on a busy machine may need to end
    return code


if __name__ == "__main__":
    sys.exit(main())
