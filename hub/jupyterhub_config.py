"""JupyterHub for a class on one server: `make hub` starts it, `make hub-test` tests it.

Started as root, it is for a class: students log in with the names and passwords of their system accounts, and
their servers and kernels run under those accounts. Accounts outside the group SEBLOCK_GROUP stay out.

Started as anybody else, it is for trying out, and isolates nobody: one password, SEBLOCK_PASSWORD, lets in
any name, and all names share the account that started the hub, with all of its files.

Set in the environment, and in no other place: those two, SEBLOCK_HUB (the hub's own folder),
SEBLOCK_NOTEBOOKS (what is handed out, else this project's notebooks) and the limits at the top of student.py.
Everything else: https://jupyterhub.readthedocs.io.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HUB = Path(os.environ.get("SEBLOCK_HUB", HERE.parent / ".hub")).resolve()
HANDED_OUT = str(Path(given).resolve()) if (given := os.environ.get("SEBLOCK_NOTEBOOKS")) else None
LIMITS = ("SEBLOCK_MEMORY_MB", "SEBLOCK_CPU_SECONDS", "SEBLOCK_PROCESSES")
PROXY = HERE.parent / ".venv-hub" / "proxy" / "node_modules" / ".bin" / "configurable-http-proxy"
HOUR = 3600

c = get_config()  # noqa: F821

# Database, cookie secret and process id land in the working folder; nobody else may read them.
os.umask(0o077)
HUB.mkdir(parents=True, exist_ok=True)
if os.geteuid() == 0 and (owned := [str(folder) for folder in (HUB, HERE) if folder.stat().st_uid]):
    sys.exit(f"Not root's: {', '.join(owned)}. Its owner could become root through it: clone anew, as root.")
HUB.chmod(0o700)
os.chdir(HUB)

# This machine alone. For others put a web server with HTTPS before it, as JupyterHub's pages describe.
c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.ConfigurableHTTPProxy.command = [str(PROXY)]
c.Authenticator.username_pattern = r"[a-z0-9_][a-z0-9_.-]{0,31}$"

c.Spawner.cmd = [sys.executable, str(HERE / "student.py")]
c.Spawner.notebook_dir = "~/squeeze-and-excitation"  # student.py makes it
c.Spawner.default_url = "/lab/tree/00_start_here.ipynb"
c.Spawner.disable_user_config = True  # a student's own settings could open their server to others
# Sockets are files, which others cannot open. On a TCP port every account of the machine can listen to what a
# kernel prints; and of many kernels that start at once, two were seen to want the same port.
c.Spawner.args = [
    "--KernelManager.transport=ipc",
    "--LabApp.news_url=None",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    f"--MappingKernelManager.cull_idle_timeout={HOUR}",  # with its page closed
    f"--TerminalManager.cull_inactive_timeout={HOUR}",
    f"--ServerApp.shutdown_no_activity_timeout={2 * HOUR}",  # of a server without kernels
]
c.Spawner.environment = {name: os.environ[name] for name in LIMITS if name in os.environ}
if HANDED_OUT:
    c.Spawner.environment["SEBLOCK_NOTEBOOKS"] = HANDED_OUT
# A whole class that starts at once on two cores waits longer than the defaults.
c.Spawner.start_timeout = c.Spawner.http_timeout = 300

if os.geteuid() == 0:
    c.JupyterHub.authenticator_class = "pam"
    c.PAMAuthenticator.allowed_groups = {os.environ.get("SEBLOCK_GROUP", "students")}
    c.JupyterHub.spawner_class = "localprocess"
else:
    if len(os.environ.get("SEBLOCK_PASSWORD", "")) < 8:
        sys.exit(
            "Not started as root, the hub wants a password of 8 or more in SEBLOCK_PASSWORD, for everyone."
        )
    c.JupyterHub.authenticator_class = "shared-password"
    c.SharedPasswordAuthenticator.user_password = os.environ["SEBLOCK_PASSWORD"]
    c.SharedPasswordAuthenticator.allow_all = True
    c.JupyterHub.spawner_class = "simple"
    c.SimpleLocalProcessSpawner.home_dir_template = str(HUB / "homes" / "{username}")
    c.Spawner.environment["SEBLOCK_PROCESSES"] = ""  # they are counted by account, and here all share one
