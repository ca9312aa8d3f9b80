"""JupyterLab and Notebook in a real Chromium, offline and apart from the user's own set-up.

`NotebookServer` starts one of the two on a loopback port, with a token and with its own home,
configuration and runtime directories. `Browser` drives Debian's Chromium through playwright;
every request is written down, and one that leaves the machine is an error. `OpenNotebook` is one
notebook in one page, with its kernel at hand from Python (`evaluate`), so that a test can look at
both ends. Used by the browser tests, by the screenshots and by the benchmark of the table.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=Translate,OptimizationHints,MediaRouter",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE *.localhost",
    "--force-color-profile=srgb",
]
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def find_chromium() -> str | None:
    """Return the path of Chromium, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    return None


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_url(url: str, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    """Wait until `url` answers; it is an error if `process` ends before."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"{url} does not answer (exit code {process.poll()})")


def notebook(*cells: str, path: Path | None = None) -> Any:
    """Make a notebook of code cells, and write it to `path` where given."""
    import nbformat

    nb = nbformat.v4.new_notebook()
    nb.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nb.metadata["kernelspec"] = {
        "name": "python3",
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
    }
    if path is not None:
        nbformat.write(nb, path)
    return nb


class NotebookServer:
    """JupyterLab (``lab``) or Notebook 7 (``notebook``) on a loopback port.

    Parameters
    ----------
    app : str
        ``lab`` or ``notebook``.
    home : Path
        An empty directory: home, configuration and the notebooks (``home/work``) live there.
    env : dict, optional
        More environment for server and kernels.
    """

    def __init__(self, app: str, home: Path, env: dict[str, str] | None = None) -> None:
        self.app = app
        self.home = home
        self.work = home / "work"
        self.runtime = home / "runtime"
        self.token = secrets.token_hex(16)
        self._env = env or {}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> NotebookServer:
        for name in ("work", "runtime", "config", "data", "ipython", "settings", "cache"):
            (self.home / name).mkdir(parents=True, exist_ok=True)
        plugin = self.home / "settings" / "@jupyterlab" / "apputils-extension"
        plugin.mkdir(parents=True, exist_ok=True)
        quiet = {"fetchNews": "false", "checkForUpdates": False}
        (plugin / "notification.jupyterlab-settings").write_text(json.dumps(quiet))
        self.port = free_port()
        kept = ("PATH", "LANG", "LC_ALL", "VASTNB_RECORDED", "PYTHONPATH", "VIRTUAL_ENV")
        env = {name: os.environ[name] for name in kept if name in os.environ}
        env |= {
            "HOME": str(self.home),
            "JUPYTER_CONFIG_DIR": str(self.home / "config"),
            "JUPYTER_DATA_DIR": str(self.home / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.runtime),
            "JUPYTERLAB_SETTINGS_DIR": str(self.home / "settings"),
            "JUPYTER_PLATFORM_DIRS": "1",
            "IPYTHONDIR": str(self.home / "ipython"),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "VASTNB_CACHE_DIR": str(self.home / "cache" / "vastnb"),
            **self._env,
        }
        command = [sys.executable, "-m", "jupyter", self.app, "--no-browser", "--allow-root"]
        command += [f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0"]
        command += [f"--IdentityProvider.token={self.token}", "--ServerApp.ip=127.0.0.1"]
        command += [f"--ServerApp.root_dir={self.work}", "--expose-app-in-browser"]
        log = (self.home / "server.log").open("wb")
        self._process = subprocess.Popen(
            command, env=env, cwd=self.work, stdout=log, stderr=log, start_new_session=True
        )
        log.close()
        self._wait()
        return self

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                self.get("/api/status")
            except OSError:
                time.sleep(0.1)
            else:
                return
        self.__exit__()
        raise RuntimeError(f"jupyter {self.app} did not start:\n{self.log()[-3000:]}")

    def log(self) -> str:
        """Return what the server has written so far."""
        return (self.home / "server.log").read_text(errors="replace")

    def get(self, path: str) -> Any:
        """Return the JSON at `path` of the server's own API."""
        url = f"http://127.0.0.1:{self.port}{path}"
        asked = urllib.request.Request(url, headers={"Authorization": f"token {self.token}"})
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return json.load(answer)

    def url(self, name: str) -> str:
        """Return the address at which the notebook `name` opens."""
        where = "/lab/tree/" if self.app == "lab" else "/notebooks/"
        return f"http://127.0.0.1:{self.port}{where}{name}?token={self.token}&reset"

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(5)


class Browser:
    """Chromium, and a log of every request that any of its pages made."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.console: list[str] = []

    def __enter__(self) -> Browser:
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        self._chromium = self._playwright.chromium.launch(
            executable_path=find_chromium(), headless=True, args=CHROMIUM_FLAGS
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._chromium.close()
        self._playwright.stop()

    @contextmanager
    def page(self, *, width: int = 1400, height: int = 900, scale: float = 1) -> Iterator[Any]:
        """Open a page of that size; close it at the end."""
        context = self._chromium.new_context(
            viewport={"width": width, "height": height},
            device_scale_factor=scale,
            permissions=["clipboard-read", "clipboard-write"],
        )
        try:
            page = context.new_page()
            page.on("request", lambda request: self.requests.append(request.url))
            page.on("console", lambda message: self.console.append(message.text))
            page.on("pageerror", lambda error: self.console.append(f"pageerror: {error}"))
            yield page
        finally:
            context.close()

    def left_the_machine(self) -> list[str]:
        """Return the requests that went anywhere but to this machine."""
        away = []
        for url in self.requests:
            parts = urllib.parse.urlsplit(url)
            if parts.scheme in {"http", "https", "ws", "wss"} and not _is_here(parts.hostname):
                away.append(url)
        return away


def _is_here(host: str | None) -> bool:
    return host in _LOOPBACK or (host or "").endswith(".localhost")


class OpenNotebook:
    """A notebook that is open in a page, and its kernel."""

    def __init__(self, server: NotebookServer, page: Any, name: str) -> None:
        self.server = server
        self.page = page
        self.name = name
        self._client: Any = None

    def open(self, *, run: bool = True, kernel: bool = True) -> OpenNotebook:
        """Load the notebook; run all of it unless told otherwise."""
        self.page.goto(self.server.url(self.name))
        self.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        if kernel:
            self.page.wait_for_function(
                """() => { const w = window.jupyterapp?.shell?.currentWidget;
                    return w?.sessionContext?.session?.kernel?.status === 'idle'; }""",
                timeout=60_000,
            )
        if run:
            self.run_all()
        return self

    def command(self, name: str, args: dict[str, Any] | None = None) -> None:
        """Run one of the application's own commands."""
        self.page.evaluate(
            "([name, args]) => { window.jupyterapp.commands.execute(name, args); }",
            [name, args or {}],
        )

    def run_all(self, timeout: float = 60) -> None:
        """Run every cell, and wait until the last one has its number."""
        self.command("notebook:run-all-cells")
        self.page.wait_for_function(
            """() => { const panel = window.jupyterapp.shell.currentWidget;
                const cells = panel.content.widgets
                    .filter(c => c.model.type === 'code' && c.model.sharedModel.getSource());
                return (cells.every(c => c.model.executionCount) || panel.content.widgets.some(
                    c => c.model.outputs?.toJSON().some(o => o.output_type === 'error'))) &&
                  panel.sessionContext.session.kernel.status === 'idle'; }""",
            timeout=timeout * 1000,
        )
        failed = self.page.evaluate(
            """() => window.jupyterapp.shell.currentWidget.content.widgets.flatMap(
                c => c.model.outputs?.toJSON() ?? []).filter(o => o.output_type === 'error')
                .map(o => o.traceback.join('\\n'))"""
        )
        if failed:
            raise RuntimeError("\n".join(failed))

    def theme(self, name: str) -> None:
        """Change the theme, for example to ``JupyterLab Dark``."""
        self.command("apputils:change-theme", {"theme": name})
        dark = "false" if "Dark" in name else "true"
        self.page.wait_for_selector(f"body[data-jp-theme-light={dark}]", state="attached")
        self.page.wait_for_timeout(800)

    def kernel(self) -> Any:
        """Return a client of this notebook's kernel."""
        if self._client is None:
            from jupyter_client import BlockingKernelClient

            sessions = self.server.get("/api/sessions")
            kernel_id = next(s["kernel"]["id"] for s in sessions if s["path"] == self.name)
            file = self.server.runtime / f"kernel-{kernel_id}.json"
            self._client = BlockingKernelClient(connection_file=str(file))
            self._client.load_connection_file()
            self._client.start_channels()
            self._client.wait_for_ready(timeout=30)
        return self._client

    def evaluate(self, expression: str, *, code: str = "", timeout: float = 30) -> Any:
        """Run `code` in the kernel and return the JSON of `expression` there."""
        wrapped = f"__import__('json').dumps({expression}, default=str)"
        answer = self.kernel().execute(
            code, user_expressions={"it": wrapped}, reply=True, timeout=timeout, silent=False
        )
        content = answer["content"]
        if content["status"] != "ok":
            raise RuntimeError("\n".join(content["traceback"]))
        result = content["user_expressions"]["it"]
        if result["status"] != "ok":
            raise RuntimeError("\n".join(result["traceback"]))
        text = result["data"]["text/plain"]
        import ast

        return json.loads(ast.literal_eval(text))

    def save(self) -> dict[str, Any]:
        """Save the notebook and return what is in the file then."""
        path = self.server.work / self.name
        before = path.stat().st_mtime_ns
        self.command("docmanager:save")
        deadline = time.monotonic() + 15
        while path.stat().st_mtime_ns == before and time.monotonic() < deadline:
            self.page.wait_for_timeout(100)
        while not path.read_text() and time.monotonic() < deadline:
            self.page.wait_for_timeout(100)  # emptied, and not written yet
        return json.loads(path.read_text())

    def close(self) -> None:
        """Let go of the kernel's channels and end the kernel."""
        if self._client is not None:
            self._client.stop_channels()
            self._client = None
        for session in self.server.get("/api/sessions"):
            if session["path"] == self.name:
                url = f"http://127.0.0.1:{self.server.port}/api/sessions/{session['id']}"
                asked = urllib.request.Request(
                    url, method="DELETE", headers={"Authorization": f"token {self.server.token}"}
                )
                urllib.request.urlopen(asked, timeout=20).close()
