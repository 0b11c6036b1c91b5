"""Headless Chromium, told what to do over a pipe in its DevTools protocol; nothing besides the browser is needed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

from deploy.waiting import wait_for

EVERY = 0.1


class Browser:
    """One page. For use in a `with` block; `folder` is for the profile, and for pictures of what went wrong."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._number = 0
        self._rest = b""
        self._session = ""

    @staticmethod
    def program() -> str | None:
        """The browser's path, or None where there is none."""
        return shutil.which("chromium") or shutil.which("google-chrome")

    def __enter__(self) -> Browser:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        # It reads from descriptor 3 and writes to 4.
        redirect = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        command = [self.program() or "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
        command += ["--disable-dev-shm-usage", f"--user-data-dir={self.folder / 'profile'}", "--window-size=1400,1000"]
        with (self.folder / "browser.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", redirect, "bash", *command, "--remote-debugging-pipe", "about:blank"],
                pass_fds=(theirs_in, theirs_out),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        os.close(theirs_in)
        os.close(theirs_out)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            with suppress(Exception):
                self.picture("failed.png")
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(20)
        os.close(self._in)
        os.close(self._out)

    def call(self, method: str, **params: Any) -> Any:
        """One command of the protocol, and its result."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._out, json.dumps(command).encode() + b"\0")
        while (answer := self._next()).get("id") != self._number:
            pass
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def open(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def click(self, element: str) -> None:
        """Clicks, as a mouse does, on the element that a JavaScript expression gives, once it is there and holds still.

        It must be the topmost where it lies.
        """
        look = f"""(() => {{ const e = {element}; if (!e) return null; e.scrollIntoView({{block: 'center'}});
            const b = e.getBoundingClientRect(); const x = b.x + b.width / 2, y = b.y + b.height / 2;
            const top = document.elementFromPoint(x, y);
            return b.width && top && (e.contains(top) || top.contains(e)) ? [x, y] : null; }})()"""
        place: list[float] | None = None

        def holds_still() -> bool:
            nonlocal place
            before, place = place, self.ask(look)
            return place is not None and place == before

        wait_for(holds_still, f"something to click on: {element}", every=EVERY)
        assert place is not None
        x, y = place
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        """Text into what has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                code=key,
                windowsVirtualKeyCode=code,
                text="\r" if key == "Enter" and kind == "keyDown" else "",
            )

    def picture(self, name: str) -> Path:
        """A screenshot, in the folder."""
        import base64

        path = self.folder / name
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))
        return path

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            block = os.read(self._in, 1 << 16)
            assert block, f"the browser has ended, see {self.folder / 'browser.log'}"
            self._rest += block
        message, _, self._rest = self._rest.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found
