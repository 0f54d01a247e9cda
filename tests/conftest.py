"""Before torch is loaded: idle threads must not spin, or small steps beside other load take many times longer, and
parallel workers share the cores.

And the command line as a function, and a server of this machine, for tests of downloads.
"""

import contextlib
import os
import re
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    share = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, share)))


class Server:
    """A server that gives files, cuts the line, and goes on from the middle if it may.

    Attributes:
        files: contents by name.
        cut: bytes of a body after which the line is cut, though more would follow; None: never.
        announces: whether it tells the length of a body beforehand.
        ranges: whether it goes on from the middle.
        asked: name and Range header of every request so far.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cut: int | None = None
        self.announces = True
        self.ranges = True
        self.asked: list[tuple[str, str | None]] = []
        held = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                held.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        name, wanted = request.path[1:], request.headers.get("Range")
        self.asked.append((name, wanted))
        body = self.files.get(name)
        if body is None:
            request.send_error(404)
            return
        start = int(re.findall(r"bytes=(\d+)-", wanted)[0]) if wanted and self.ranges else 0
        if start >= len(body) and start:
            request.send_response(416)
            request.send_header("Content-Range", f"bytes */{len(body)}")
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        request.send_response(206 if wanted and self.ranges else 200)
        if wanted and self.ranges:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if self.announces:
            request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        with contextlib.suppress(ConnectionError):  # whoever asked need not read to the end
            request.wfile.write(body[start:][: self.cut])

    def close(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """One thread for torch: among small tensors, threads would only wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def command() -> Callable[..., int]:
    """`analogsim` with these arguments, in this process: its exit code."""

    def call(*arguments: str) -> int:
        from analogsim.cli.main import main

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["analogsim", *arguments])
            with pytest.raises(SystemExit) as caught:
                main()
        return int(caught.value.code or 0)

    return call


@pytest.fixture
def refused(command: Callable[..., int], capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """That `analogsim` with these arguments ends with exit code 2 and one message that has these words; the message."""

    def call(words: str, *arguments: str) -> str:
        assert command(*arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("error: ")
        assert words in err
        assert "Traceback" not in err
        return err

    return call
