"""A real Orthanc server on loopback, for as long as a test needs it."""

import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

PROGRAM = "Orthanc"
USER, PASSWORD = "reader", "only for tests"
SECONDS_TO_START = 60


def has_orthanc() -> bool:
    return shutil.which(PROGRAM) is not None


class Server:
    """What a test does to a server: give it films, take studies away."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False  # the caller's certificates and netrc are not the test's
        self._session.auth = (USER, PASSWORD)

    def store(self, path: Path) -> str:
        """Store a DICOM file; the id of its study."""
        answer = self._session.post(f"{self.url}/instances", data=path.read_bytes())
        answer.raise_for_status()
        return answer.json()["ParentStudy"]

    def remove_study(self, study: str) -> None:
        self._session.delete(f"{self.url}/studies/{study}").raise_for_status()

    def films(self) -> int:
        return self._session.get(f"{self.url}/statistics").json()["CountInstances"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running_orthanc(folder: Path) -> Iterator[Server]:
    """Start an empty server that has one user."""
    folder.mkdir(parents=True)
    port = free_port()
    settings = {
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [],
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "SyncStorageArea": False,
        "HttpThreadsCount": 4,
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("w") as log:
        process = subprocess.Popen(
            [PROGRAM, folder / "orthanc.json"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _wait_for(port, process, folder / "orthanc.log")
        yield Server(f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def tls_before(server: Server, certificate: Path, key: Path) -> Iterator[str]:
    """Offer a server by TLS, as the web server before it does in a hospital; yields its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with _relay(server, lambda plain: context.wrap_socket(plain, server_side=True)) as port:
        yield f"https://localhost:{port}"


@contextmanager
def failing_before(server: Server, refusals: int) -> Iterator[str]:
    """Offer a server that is busy for the first connections; yields its address."""
    left = iter(range(refusals))

    def accept(plain: socket.socket) -> socket.socket:
        if next(left, None) is None:
            return plain
        plain.recv(65536)
        plain.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
        plain.close()
        raise OSError("refused")

    with _relay(server, accept) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _relay(server: Server, accept: Callable[[socket.socket], socket.socket]) -> Iterator[int]:
    """Pass on what connections say that `accept` lets through; yields the port that listens."""
    inner_port = int(server.url.rsplit(":", 1)[1])

    def pass_on(source: socket.socket, destination: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                destination.sendall(data)
            destination.shutdown(socket.SHUT_WR)

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:  # closed: the end
                return
            with suppress(OSError):  # one of the two refuses
                outer = accept(plain)
                inner = socket.create_connection(("127.0.0.1", inner_port))
                for ends in ((outer, inner), (inner, outer)):
                    threading.Thread(target=pass_on, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def _wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"{PROGRAM} did not start:\n{log.read_text()}")
