"""A Hub of datasets on loopback, of which it knows the routes that downloads use; faults can be switched on."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "robots/pushes"
PRIVATE = "robots/secret"
TOKEN = "hf_test"


class FakeHub:
    """Two repositories, one of them private, with the files of a folder."""

    def __init__(self, folder: Path) -> None:
        self.files = {
            path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
        }
        self.files["README.md"] = b"# Pushes"
        self.requests: list[tuple[str, str, str | None]] = []
        self.cut_off: set[str] = set()
        """Files of which half is sent once."""
        self.changed: set[str] = set()
        """Files whose content differs from what is described."""
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = unquote(urlsplit(handler.path).path).strip("/")
        self.requests.append((handler.command, path, handler.headers.get("Range")))
        for repository in (REPOSITORY, PRIVATE):
            allowed = repository != PRIVATE or handler.headers.get("Authorization") == f"Bearer {TOKEN}"
            if path.startswith(f"api/datasets/{repository}/") and allowed:
                return self._api(handler, path.removeprefix(f"api/datasets/{repository}/"), repository)
            if path.startswith(f"datasets/{repository}/resolve/") and allowed:
                return self._file(handler, path.removeprefix(f"datasets/{repository}/resolve/").split("/", 1)[1])
        return self._send(handler, 404, b"{}", {"X-Error-Code": "RepoNotFound"})

    def _api(self, handler: BaseHTTPRequestHandler, what: str, repository: str) -> None:
        if what.startswith("tree/"):
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": blob(data)}
                for name, data in self.files.items()
            ]
            return self._send(handler, 200, json.dumps(tree).encode())
        if what in ("revision/main", f"revision/{COMMIT}"):
            siblings = [{"rfilename": name} for name in self.files]
            described = {"id": repository, "sha": COMMIT, "siblings": siblings, "private": False}
            return self._send(handler, 200, json.dumps(described).encode())
        return self._send(handler, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})

    def _file(self, handler: BaseHTTPRequestHandler, name: str) -> None:
        data = self.files[name]
        headers = {"ETag": f'"{blob(data)}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if name in self.changed:
            data = bytes(len(data))
        if (wanted := handler.headers.get("Range")) and handler.command == "GET":
            first = int(wanted.removeprefix("bytes=").split("-")[0])
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
            return self._send(handler, 206, data[first:], headers)
        half = name in self.cut_off and handler.command == "GET"
        self.cut_off.discard(name) if half else None
        return self._send(handler, 200, data, headers, sent=len(data) // 2 if half else None)

    def _send(
        self, handler: Any, code: int, data: bytes, headers: dict[str, str] | None = None, sent: int | None = None
    ) -> None:
        handler.send_response(code)
        for name, value in {
            "Content-Length": str(len(data)),
            "Content-Type": "application/json",
            **(headers or {}),
        }.items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(data[:sent])
        if sent is not None:
            handler.close_connection = True
            handler.wfile.flush()


def blob(data: bytes) -> str:
    """Return the SHA-1 of a blob of git."""
    return hashlib.sha1(f"blob {len(data)}\0".encode() + data).hexdigest()


@contextmanager
def serving(folder: Path) -> Iterator[FakeHub]:
    """Serve a folder as the content of the repositories."""
    hub = FakeHub(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            hub.answer(self)

        def do_HEAD(self) -> None:
            hub.answer(self)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
