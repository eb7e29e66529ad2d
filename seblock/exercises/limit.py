"""A time limit for a learner's function that holds on every system, in every notebook and in every loop.

The function runs in a thread of its own while the caller waits. So the caller goes on when time is up, even
if the function sleeps or sits in one long call; signals cannot do that on Windows or outside the main thread.
"""

import ctypes
import sys
import threading
from collections.abc import Callable
from typing import Any

import torch

SECONDS = 10.0
"""How long one call of a learner's function may take."""

PROBING = 5.0
"""How long a check may go on asking a function that is wrong, to find out what is wrong with it."""


class OutOfTime(Exception):
    """The function had not ended when its time was up. `alive`: it could not be stopped either."""

    def __init__(self, alive: bool = False) -> None:
        self.alive = alive


class _Stop(BaseException):
    """Raised inside the function to end it. `except Exception` does not catch it."""


class _Call(threading.Thread):
    """One call of a function, with what it returned or raised."""

    def __init__(self, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        super().__init__(daemon=True)
        self.function, self.arguments = function, arguments
        self.result: Any = None
        self.error: BaseException | None = None
        self.ended, self.lock = threading.Event(), threading.Lock()
        self.grad = torch.is_grad_enabled()  # PyTorch keeps this for each thread

    def run(self) -> None:
        try:
            try:
                with torch.set_grad_enabled(self.grad):
                    self.result = self.function(*self.arguments)
            except BaseException as error:
                self.error = error
            with self.lock:  # from here on nobody stops this thread
                self.ended.set()
            for _ in range(2):  # a stop that was sent just before arrives here, and harms nobody
                pass
        except _Stop:
            self.ended.set()

    def stop(self) -> None:
        """End the function, again and again, since a bare `except:` may catch what ends it."""
        pause = 0.001
        while self.is_alive():
            with self.lock:
                if self.ended.is_set():
                    return
                if not self._imports():  # half a module would break all that imports it later
                    thread, stop = ctypes.c_ulong(self.ident or 0), ctypes.py_object(_Stop)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, stop)
            self.join(pause)
            pause = min(2 * pause, 0.5)

    def _imports(self) -> bool:
        """Whether the function is in the middle of an import."""
        frame = sys._current_frames().get(self.ident or 0)
        while frame is not None:
            if "importlib._bootstrap" in frame.f_code.co_filename:
                return True
            frame = frame.f_back
        return False


def limited(seconds: float, function: Callable[..., Any], *arguments: Any) -> Any:
    """What function(*arguments) returns, or raises. Raises OutOfTime if it has not ended after `seconds`.

    Under a debugger there is no limit: a reader may look at a line for as long as they like.
    """
    if _debugged():
        return function(*arguments)
    call = _Call(function, arguments)
    call.start()
    try:
        ended = _wait(call.ended, seconds)
    except BaseException:  # the reader pressed "interrupt"
        threading.Thread(target=call.stop, daemon=True).start()
        raise
    if not ended:
        threading.Thread(target=call.stop, daemon=True).start()
        call.join(0.5)  # most functions end at once; one that sleeps is left behind
        raise OutOfTime(call.is_alive())
    if call.error is not None:
        raise call.error
    return call.result


def _wait(ended: threading.Event, seconds: float) -> bool:
    """Wait in short pieces: on Windows a long one cannot be interrupted."""
    while seconds > 0 and not ended.wait(min(seconds, 0.1)):
        seconds -= 0.1
    return ended.is_set()


def _debugged() -> bool:
    """Whether somebody steps through this program."""
    monitoring = getattr(sys, "monitoring", None)  # since Python 3.12
    return sys.gettrace() is not None or bool(monitoring and monitoring.get_tool(monitoring.DEBUGGER_ID))
