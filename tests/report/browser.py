"""A page in a headless Chromium, driven over the pipe of its DevTools protocol; needs no package."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

EXECUTABLE = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
PATIENCE = 60.0  # seconds for an answer


class Page:
    """One tab. ``events`` are all that the browser told of so far: (method, params)."""

    def __init__(self, profile: Path, width: int = 1280, height: int = 900) -> None:
        answers, orders = os.pipe(), os.pipe()
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
        options += ["--remote-debugging-pipe", f"--user-data-dir={profile}", f"--window-size={width},{height}"]

        def pipes() -> None:  # the browser reads its file 3 and writes its file 4
            spare = os.dup(orders[0]), os.dup(answers[1])
            os.dup2(spare[0], 3)
            os.dup2(spare[1], 4)

        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([EXECUTABLE, *options], preexec_fn=pipes, close_fds=False, **quiet)
        os.close(orders[0])
        os.close(answers[1])
        self.answers, self.orders = open(answers[0], "rb"), orders[1]  # noqa: SIM115
        self.number, self.session = 0, None
        self.events: list[tuple[str, dict[str, Any]]] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The answer to an order; raises RuntimeError where the browser refuses it."""
        self.number += 1
        order = {"id": self.number, "method": method, "params": params}
        if self.session:
            order["sessionId"] = self.session
        os.write(self.orders, json.dumps(order).encode() + b"\0")
        while True:
            message = bytearray()
            while (letter := self.answers.read(1)) != b"\0":
                if not letter:
                    raise RuntimeError("the browser ended")
                message += letter
            answer = json.loads(message)
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]
            if "method" in answer:
                self.events.append((answer["method"], answer["params"]))

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        answer = self.send("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of an expression as soon as it is true; raises TimeoutError."""
        end = time.monotonic() + PATIENCE
        while not (value := self.run(script)):
            if time.monotonic() > end:
                raise TimeoutError(script)
            time.sleep(0.05)
        return value

    def open(self, path: Path) -> None:
        self.send("Page.navigate", url=path.resolve().as_uri())

    def mouse(self, kind: str, x: float, y: float) -> None:
        button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.answers.close()
        os.close(self.orders)
