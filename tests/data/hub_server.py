"""A stand-in for the hub on 127.0.0.1: the paths of its API that we need, and nothing else.

``GET /api/{kind}/{repository}[/revision/{revision}]``        which commit a revision is; kind: datasets or models
``GET /api/{kind}/{repository}/tree/{revision}``              the files of a commit, in pages
``HEAD, GET /[datasets/]{repository}/resolve/{revision}/{file}``  their bytes, with ETag and X-Repo-Commit; or a
                                                              redirect to another path, as large files have

and to publish a model:

``POST /api/repos/create``                                    a new repository; 409 where there is one
``POST /api/models/{repository}/branch/{branch}``             a new branch
``POST /api/validate-yaml``, ``…/preupload/{revision}``       whether a card is well formed; how each file is to be sent
``POST /{repository}.git/info/lfs/objects/batch``, ``PUT``    where large files are put
``POST /api/models/{repository}/commit/{revision}``           a commit of files sent along and of large ones
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 5  # entries in a page of a listing: small, so that there are several


@dataclass
class Repository:
    """Commits by hash (files by path), and which hash each branch or tag is. token: who may read, "" for everybody."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    token: str = ""
    gated: bool = False
    private: bool = False

    def commit(self, files: Mapping[str, bytes], branch: str = "main") -> str:
        """Put `files` (and nothing else) on a branch; the hash."""
        digest = hashlib.sha1(repr((branch, sorted(files.items()))).encode()).hexdigest()
        self.commits[digest] = dict(files)
        self.refs[branch] = digest
        return digest


@dataclass
class Hub:
    """What the server answers from, and what it was asked. Of data sets and models, by their names.

    writers: tokens that may write, into repositories of the owner that each is the key of.   objects: large files that
    were sent, by hash.   messages: of commits.
    tokens: (host, token) that were sent.   fail, fail_files: answer everything, or questions for
    files, with this status; 0 for not.
    """

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[tuple[str, str]] = field(default_factory=set)
    fail: int = 0
    fail_files: int = 0
    large: int = 1 << 20  # bytes from which a file lies elsewhere, behind a redirect
    writers: dict[str, str] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def add(self, name: str, files: Mapping[str, bytes], branch: str = "main") -> str:
        """A commit of a repository, made if need be; the hash."""
        return self.repositories.setdefault(name, Repository()).commit(files, branch)

    def fetched(self) -> list[str]:
        """The files whose bytes were sent."""
        return [path.split("/resolve/")[1].split("/", 1)[1] for verb, path in self.asked
                if verb == "GET" and "/resolve/" in path]  # fmt: skip


class _Refused(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            return None

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_POST(self) -> None:
            self.do_GET()

        def do_PUT(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            hub.asked.append((self.command, unquote(url.path)))
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if token := self.headers.get("Authorization", "").removeprefix("Bearer "):
                hub.tokens.add((self.headers["Host"].partition(":")[0], token))
            try:
                if hub.fail:
                    raise _Refused(hub.fail)
                self._answer(url.path.strip("/").split("/"), parse_qs(url.query))
            except _Refused as refused:
                headers = {"X-Error-Code": refused.code, "X-Error-Message": refused.message}
                self._send(refused.status, b"{}", {key: value for key, value in headers.items() if value})

        def _answer(self, parts: list[str], query: dict[str, list[str]]) -> None:
            match [self.command.replace("HEAD", "GET"), *[unquote(part) for part in parts]]:
                case ["POST" | "PUT", *path]:
                    self._write(path)
                case ["GET", "api", "datasets" | "models", owner, name]:
                    self._info(f"{owner}/{name}", "main")
                case ["GET", "api", "datasets" | "models", owner, name, "revision", revision]:
                    self._info(f"{owner}/{name}", revision)
                case ["GET", "api", "datasets" | "models" as kind, owner, name, "tree", revision]:
                    self._tree(kind, f"{owner}/{name}", revision, int(query.get("cursor", ["0"])[0]))
                case ["GET", "datasets", owner, name, "resolve", revision, *path]:
                    self._file(f"{owner}/{name}", revision, "/".join(path))
                case ["GET", owner, name, "resolve", revision, *path]:
                    self._file(f"{owner}/{name}", revision, "/".join(path))
                case ["GET", "elsewhere", owner, name, commit, *path]:
                    self._send(200, hub.repositories[f"{owner}/{name}"].commits[commit]["/".join(path)], {})
                case _:
                    raise _Refused(404)

        def _find(self, name: str, revision: str) -> tuple[str, dict[str, bytes]]:
            found = hub.repositories.get(name)
            allowed = found and (not found.token or self.headers.get("Authorization") == f"Bearer {found.token}")
            if found and found.gated and not allowed:
                raise _Refused(403, "GatedRepo", "Access to this data set is restricted.")
            if not found or not allowed:
                raise _Refused(401, "RepoNotFound", "Repository not found")
            commit = found.refs.get(revision, revision)
            if commit not in found.commits:
                raise _Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return commit, found.commits[commit]

        def _info(self, name: str, revision: str) -> None:
            commit, files = self._find(name, revision)
            siblings = [{"rfilename": path} for path in sorted(files)]
            private = hub.repositories[name].private
            self._json({"id": name, "sha": commit, "private": private, "gated": False, "siblings": siblings})

        def _tree(self, kind: str, name: str, revision: str, start: int) -> None:
            _, files = self._find(name, revision)
            folders = {path[:k] for path in files for k in range(len(path)) if path[k] == "/"}
            entries: list[dict[str, Any]] = [
                {"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in sorted(folders)
            ]
            entries += [{"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                        for path, data in sorted(files.items())]  # fmt: skip
            more = start + PAGE < len(entries)
            link = f'<{hub.url}/api/{kind}/{name}/tree/{revision}?recursive=True&cursor={start + PAGE}>; rel="next"'
            self._json(entries[start : start + PAGE], {"Link": link} if more else {})

        def _file(self, name: str, revision: str, path: str) -> None:
            commit, files = self._find(name, revision)
            if hub.fail_files:
                raise _Refused(hub.fail_files)
            if path not in files:
                raise _Refused(404, "EntryNotFound", "Entry not found")
            data = files[path]
            headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": commit}
            if len(data) >= hub.large:
                headers |= {"X-Linked-ETag": headers["ETag"], "X-Linked-Size": str(len(data))}
                other = hub.url.replace("127.0.0.1", "localhost")  # for the client another host
                self._send(302, b"", {**headers, "Location": f"{other}/elsewhere/{name}/{commit}/{path}"})
            else:
                self._send(200, data, headers)

        # what is sent

        def _write(self, parts: list[str]) -> None:
            match parts:
                case ["api", "validate-yaml"]:
                    said = json.loads(self.body)["content"].startswith("---\n")
                    problems = [] if said else [{"message": "no metadata"}]
                    self._json({"errors": problems, "warnings": []})
                case ["api", "repos", "create"]:
                    asked = json.loads(self.body)
                    self._create(f"{asked['organization']}/{asked['name']}", asked.get("visibility") == "private")
                case ["api", "models", owner, name, "branch", branch]:
                    found = self._own(f"{owner}/{name}")
                    if branch in found.refs:
                        raise _Refused(409)
                    found.refs[branch] = found.refs["main"]
                    self._json({})
                case ["api", "models", owner, name, "preupload", _]:
                    self._own(f"{owner}/{name}")
                    files = [{"path": file["path"], "shouldIgnore": False, "oid": None,
                              "uploadMode": "lfs" if file["path"].endswith((".safetensors", ".onnx")) else "regular"}
                             for file in json.loads(self.body)["files"]]  # fmt: skip
                    self._json({"files": files})
                case [owner, git, "info", "lfs", "objects", "batch"]:
                    self._own(f"{owner}/{git.removesuffix('.git')}")
                    objects = [{**one, "actions": {"upload": {"href": f"{hub.url}/put/{one['oid']}"}}}
                               for one in json.loads(self.body)["objects"]]  # fmt: skip
                    self._json({"transfer": "basic", "objects": objects})
                case ["put", oid]:
                    assert hashlib.sha256(self.body).hexdigest() == oid
                    hub.objects[oid] = self.body
                    self._json({})
                case ["api", "models", owner, name, "commit", branch]:
                    self._commit(f"{owner}/{name}", branch)
                case _:
                    raise _Refused(404)

        def _may_write(self, name: str) -> bool:
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            return bool(token) and hub.writers.get(name.partition("/")[0]) == token

        def _own(self, name: str) -> Repository:
            if not self._may_write(name):
                raise _Refused(403 if self.headers.get("Authorization") else 401)
            return hub.repositories[name]

        def _create(self, name: str, private: bool) -> None:
            if not self._may_write(name):
                raise _Refused(403 if self.headers.get("Authorization") else 401)
            if name in hub.repositories:
                self._send(409, json.dumps({"url": f"{hub.url}/{name}"}).encode(), {})
                return
            made = hub.repositories[name] = Repository(private=private, token=hub.writers[name.split("/")[0]] * private)
            made.commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
            self._json({"url": f"{hub.url}/{name}"})

        def _commit(self, name: str, branch: str) -> None:
            found, files = self._own(name), {}
            for line in self.body.splitlines():
                entry = json.loads(line)
                value = entry["value"]
                match entry["key"]:
                    case "header":
                        hub.messages.append(value["summary"])
                    case "file":
                        files[value["path"]] = base64.b64decode(value["content"])
                    case "lfsFile":
                        files[value["path"]] = hub.objects[value["oid"]]
            digest = found.commit({**found.commits[found.refs[branch]], **files}, branch)
            self._json({"commitUrl": f"{hub.url}/{name}/commit/{digest}", "commitOid": digest})

        def _json(self, answer: Any, headers: Mapping[str, str] = {}) -> None:
            self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json", **headers})

        def _send(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler


@contextmanager
def serving() -> Iterator[Hub]:
    """A hub that answers while the block runs."""
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
