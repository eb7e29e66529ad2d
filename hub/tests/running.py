"""A JupyterHub for the tests, accounts for its students, and kernels spoken to from their pages."""

import grp
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from playwright.sync_api import Page, TimeoutError

from benchmarks.notebooks import memory
from integration.browser.lab import SECOND, free_port

ROOT = Path(__file__).parents[2]
OURS = "seblock-test-"
"""How the names of the accounts start that are made here and removed again, and of nobody else's."""

LIMITS = {"SEBLOCK_MEMORY_MB": "1500", "SEBLOCK_CPU_SECONDS": "45", "SEBLOCK_PROCESSES": "200"}
"""Small ones, that a lesson fits in all the same."""

START = """async () => {
    window.base = location.pathname.match(/^\\/user\\/[^/]+\\//)[0];
    const token = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/)[1];
    const options = {method: 'POST', headers: {'X-XSRFToken': token}};
    return (await (await fetch(`${base}api/kernels`, options)).json()).id;
}"""
ASK = """([kernel, code]) => {
    const session = crypto.randomUUID();
    const socket = new WebSocket(`ws://${location.host}${base}api/kernels/${kernel}/channels`);
    const send = (msg_type, content) => socket.send(JSON.stringify({
        header: {msg_id: session + msg_type, msg_type, session, username: '', version: '5.3'},
        parent_header: {}, metadata: {}, content, buffers: [], channel: 'shell',
    }));
    const greet = () => send('kernel_info_request', {});
    let greeting;
    window.said = '';
    window.ended = '';
    socket.onopen = () => { greet(); greeting = setInterval(greet, 1000); };
    socket.onmessage = event => {
        const {msg_type, content, parent_header} = JSON.parse(event.data);
        const state = msg_type === 'status' ? content.execution_state : '';
        if (state === 'restarting') window.ended = 'died';
        if (greeting && msg_type === 'kernel_info_reply') {
            clearInterval(greeting);
            greeting = 0;
            send('execute_request', {code, silent: false, user_expressions: {}, allow_stdin: false});
        }
        if (parent_header.msg_id === session + 'execute_request') {
            if (msg_type === 'stream') window.said += content.text;
            if (msg_type === 'error') window.said += `${content.ename}: ${content.evalue}`;
            if (state === 'idle') window.ended = 'done';
        }
        if (window.ended) socket.close();
    };
}"""
"""Like JupyterLab it greets first, until there is an answer: a kernel that starts may miss a request."""


def run(*command: str, **options: object) -> None:
    """A command for the system, which tells why it failed."""
    done = subprocess.run(command, text=True, capture_output=True, **options)  # type: ignore[call-overload]
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr}")


def remove_accounts() -> None:
    """Every account of a test, its processes and files: of this run, or of one that was interrupted."""
    for account in pwd.getpwall():
        if account.pw_name.startswith(OURS):
            theirs = [p for p in psutil.process_iter() if account.pw_uid in p.uids()]
            for process in theirs:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(theirs, 10)
            run("userdel", "--remove", account.pw_name)
    temporary = Path("/tmp")
    for left in [*temporary.glob(f"{OURS}*"), *temporary.glob(f"seblock-{OURS}*")]:
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    for group in grp.getgrall():
        if group.gr_name.startswith(OURS):
            run("groupdel", group.gr_name)


@contextmanager
def accounts(names: list[str], group: str) -> Iterator[dict[str, str]]:
    """System accounts with homes that everybody may enter, as many systems make them; their passwords."""
    remove_accounts()
    try:
        run("groupadd", group)
        passwords = {name: secrets.token_hex() for name in names}
        for name, password in passwords.items():
            run("useradd", "--create-home", "--gid", group, "--key", "HOME_MODE=0755", name)
            run("chpasswd", input=f"{name}:{password}\n")
        yield passwords
    finally:
        remove_accounts()


@dataclass
class Hub:
    """A running hub: where it listens, its own folder, its process, its students and their passwords."""

    home: str
    folder: Path
    process: psutil.Process
    passwords: dict[str, str]
    apart: bool
    """Whether each student has an account."""
    pages: dict[str, Page] = field(default_factory=dict)
    kernels: dict[str, str] = field(default_factory=dict)
    measured: dict[str, object] = field(default_factory=dict)

    def log_in(self, name: str, page: Page, notebook: str) -> None:
        """What a student does at the login page, after a link to the notebook."""
        page.goto(f"http://{self.home}/hub/user-redirect/lab/tree/{notebook}")
        page.locator("#username_input").fill(name)
        page.locator("#password_input").fill(self.passwords[name])
        page.locator("#login_submit").click(no_wait_after=True)
        self.pages[name] = page

    def start(self, name: str) -> None:
        """A kernel for this student, besides the open notebook's."""
        self.kernels[name] = self.pages[name].evaluate(START)

    def tell(self, name: str, code: str) -> None:
        """Have that kernel run code, and do not wait."""
        self.pages[name].evaluate(ASK, [self.kernels[name], code])

    def answer(self, name: str, seconds: float) -> tuple[str, str]:
        """How it ended, "done" or "died", and what was printed."""
        page = self.pages[name]
        page.wait_for_function("() => window.ended", timeout=seconds * SECOND)
        ended, said = page.evaluate("() => [window.ended, window.said]")
        return ended, said

    def ask(self, name: str, code: str, seconds: float = 30) -> str:
        """What the code prints in that student's kernel; asked again if one that starts anew has lost it."""
        self.tell(name, code)
        try:
            ended, said = self.answer(name, seconds)
        except TimeoutError:
            self.tell(name, code)
            ended, said = self.answer(name, seconds)
        assert ended == "done", f"{name}'s kernel {ended}: {code}"
        return str(said)

    def processes(self, name: str = "") -> list[psutil.Process]:
        """The student's server and kernels; without a name the hub's own, the proxy among them."""
        found = []
        for process in [self.process, *self.process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                if process.environ().get("JUPYTERHUB_USER", "") == name:
                    found.append(process)
        return found

    def megabytes(self, name: str = "") -> float:
        """Their share of memory."""
        return sum(memory(process.pid)[1] for process in self.processes(name)) / 1e6

    def cpu_seconds(self, name: str) -> float:
        """What the student's server and kernels have computed."""
        return sum(sum(process.cpu_times()[:2]) for process in self.processes(name))


@contextmanager
def running(
    folder: Path, passwords: dict[str, str], settings: dict[str, str], owner: str | None = None
) -> Iterator[Hub]:
    """The hub as `make hub` starts it, on ports of its own; `owner`: as that account, not this one."""
    port, api, proxy = (free_port() for _ in range(3))
    environment = os.environ | settings | LIMITS | {"SEBLOCK_HUB": str(folder)}
    account: dict[str, object] = {}
    if owner:
        entry = pwd.getpwnam(owner)
        environment |= {"HOME": entry.pw_dir, "USER": owner}
        account = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    command = [sys.executable, "-m", "jupyterhub", "-f", str(ROOT / "hub" / "jupyterhub_config.py")]
    command += [
        f"--JupyterHub.bind_url=http://127.0.0.1:{port}",
        f"--JupyterHub.hub_bind_url=http://127.0.0.1:{api}",
        f"--ConfigurableHTTPProxy.api_url=http://127.0.0.1:{proxy}",
    ]
    log = ROOT / "build" / "hub" / ("accounts.log" if "SEBLOCK_GROUP" in settings else "shared.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as written:
        process = subprocess.Popen(  # type: ignore[call-overload]
            command, cwd="/", env=environment, stdout=written, stderr=written, **account
        )
    try:
        for _ in range(600):
            if process.poll() is not None or "JupyterHub is now running" in log.read_text():
                break
            time.sleep(0.1)
        else:
            process.terminate()
            process.wait(60)
        if process.poll() is not None:
            raise RuntimeError(f"the hub did not start: {log.read_text()}")
        apart = "SEBLOCK_GROUP" in settings
        yield Hub(f"127.0.0.1:{port}", folder, psutil.Process(process.pid), passwords, apart)
    finally:
        process.terminate()
        process.wait(60)
