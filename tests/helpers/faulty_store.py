"""A store that speaks S3 on loopback, and fails on request.

A program and its client: moto's application, in memory, in a process of its own, so that worker processes reach it by
its endpoint alone. In front of it stands a layer that can answer with an error, cut a connection in the middle of a
body, delay, or lose the answer to a request that was carried out; which requests, the client says.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

CONTROL = "/-control/"
ERRORS = {"500": "InternalError", "503": "ServiceUnavailable", "403": "AccessDenied"}
KINDS = (*ERRORS, "cut answer", "cut request", "lost answer", "delay")


class FaultyApplication:
    """A WSGI application that hands requests on to another one, or does not."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._rule: dict[str, Any] | None = None
        self._log: list[dict[str, Any]] = []
        self._guard = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"] + ("?" + environ["QUERY_STRING"] if environ.get("QUERY_STRING") else "")
        if path.startswith(CONTROL):
            return self._control(path, environ, start_response)
        kind, delay_s = self._choose(environ["REQUEST_METHOD"], path)
        if kind in ERRORS:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            body = f"<Error><Code>{ERRORS[kind]}</Code><Message>on purpose</Message></Error>".encode()
            answer = [("Content-Type", "text/xml"), ("Content-Length", str(len(body)))]
            start_response(f"{kind} {ERRORS[kind]}", answer)
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
        if kind == "cut request":
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0) // 2)
            return _hang_up(environ)
        if kind == "lost answer":
            b"".join(self._application(environ, lambda *_: lambda _: None))
            return _hang_up(environ)
        if kind == "cut answer":
            return self._half(environ, start_response)
        if kind == "delay":
            time.sleep(delay_s)
        return self._application(environ, start_response)

    def _half(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        body = b"".join(self._application(environ, start_response))
        yield body[: len(body) // 2]
        _hang_up(environ)

    def _choose(self, method: str, path: str) -> tuple[str | None, float]:
        with self._guard:
            rule, kind = self._rule, None
            if rule and method in rule["methods"] and re.search(rule["path"], path):
                rule["seen"] += 1
                if rule["first"] <= rule["seen"] < rule["first"] + rule["times"]:
                    kind = rule["kind"]
            self._log.append({"method": method, "path": path, "fault": kind})
            return kind, rule["delay_s"] if rule else 0.0

    def _control(self, path: str, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        content = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        answer: Any = None
        with self._guard:
            if path == CONTROL + "rule":
                rule = json.loads(content)
                self._rule = rule and {**rule, "seen": 0}
            else:
                answer, self._log = self._log, []
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer).encode()]


def _hang_up(environ: dict[str, Any]) -> list[bytes]:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return []


class FaultyStore:
    """The client: starts the program, says which requests fail, and gives it back.

    Attributes:
        endpoint: Its URL.
        environment: By which every process, this one included, comes to use it and no other store.
    """

    def __init__(self, output: Path) -> None:
        self._output = output.open("w")
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__))], stdout=subprocess.PIPE, stderr=self._output, text=True
        )
        assert self._process.stdout is not None
        port = int(self._process.stdout.readline())
        self.endpoint = f"http://127.0.0.1:{port}"
        self.environment = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_MAX_ATTEMPTS": "2",  # faults that stay are told in a second
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def fail(
        self,
        kind: str,
        path: str,
        *,
        methods: str = "GET PUT",
        first: int = 1,
        times: int = 10**9,
        delay_s: float = 0.05,  # a listing alone is asked for dozens of times in a build
    ) -> None:
        """Let requests whose path fits fail: the first of them and so many after it."""
        assert kind in KINDS
        rule = {"kind": kind, "path": path, "methods": methods.split(), "first": first, "times": times}
        self._ask("rule", {**rule, "delay_s": delay_s})

    def heal(self) -> None:
        """Let no request fail any more."""
        self._ask("rule", None)

    def requests(self) -> list[dict[str, Any]]:
        """Return method, path and fault of each request since the last call."""
        log: list[dict[str, Any]] = self._ask("log", None)
        return log

    def faults(self) -> list[str]:
        """Return the faults that were injected since the last call."""
        return [request["fault"] for request in self.requests() if request["fault"]]

    def _ask(self, what: str, content: Any) -> Any:
        request = urllib.request.Request(self.endpoint + CONTROL + what, json.dumps(content).encode(), method="POST")
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())

    def close(self) -> None:
        """End the program."""
        self._process.kill()
        self._process.communicate()
        self._output.close()


def main() -> None:
    """Serve until killed."""
    from moto.moto_server.werkzeug_app import create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    # Moto's own application finds out with each request which service it is for, and takes four times as long.
    application = FaultyApplication(create_backend_app("s3"))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=WSGIRequestHandler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
