"""A PostgreSQL server of its own for a test: in a temporary folder, on a Unix socket, never as root."""
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time


def program(name):
    """The newest installed one; Debian keeps it outside PATH. None: not installed."""
    found = sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda path: int(path.split("/")[4]))
    return found[-1] if found else shutil.which(name)


def is_there():
    return all(program(name) for name in ("initdb", "postgres", "psql"))


class Server:
    """Started by with; killed and removed at its end. What it acknowledged is on its disk: fsync is as usual."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="stemma-pg-")
        self.data = os.path.join(self.folder, "data")
        self.process = None
        self.as_user = []
        if os.getuid() == 0:
            for name in ("postgres", "nobody"):
                try:
                    user = pwd.getpwnam(name)
                except KeyError:
                    continue
                os.chown(self.folder, user.pw_uid, user.pw_gid)
                self.as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
                break

    def __enter__(self):
        subprocess.run([*self.as_user, program("initdb"), "-D", self.data, "-U", "stemma", "-A", "trust", "-E", "UTF8",
                        "--locale=C"], check=True, capture_output=True, cwd=self.folder)
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, *settings):
        # After a kill the last of the old processes may keep the shared memory for a moment.
        for _ in range(40):
            with open(os.path.join(self.folder, "log"), "ab") as log:
                self.process = subprocess.Popen(
                    [*self.as_user, program("postgres"), "-D", self.data, "-k", self.folder, "-c", "listen_addresses=",
                     *(word for setting in settings for word in ("-c", setting))],
                    stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder)
            while self.process.poll() is None:
                if self.sql("SELECT 1", database="postgres", check=False).returncode == 0:
                    return
                time.sleep(0.1)
            time.sleep(0.25)
        with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as text:
            raise RuntimeError("the server did not start: " + text.read()[-2000:])

    def kill(self):
        """All of it at once, as power does."""
        if self.process is None or self.process.poll() is not None:
            return
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=False)
        for pid in [self.process.pid, *map(int, children.stdout.split())]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        lock = os.path.join(self.data, "postmaster.pid")
        if os.path.exists(lock):
            os.unlink(lock)

    def sql(self, text, database="team", check=True):
        done = subprocess.run([program("psql"), "-h", self.folder, "-U", "stemma", "-d", database, "-qAtX",
                               "-v", "ON_ERROR_STOP=1", "-c", text], capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"{text}: {done.stderr}")
        return done

    def sql_file(self, name, database):
        """For statements that are longer than a command line may be."""
        subprocess.run([program("psql"), "-h", self.folder, "-U", "stemma", "-d", database, "-qAtX", "-v", "ON_ERROR_STOP=1",
                        "-f", name], capture_output=True, check=True)

    def make(self, database):
        self.sql(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)", database="postgres")
        self.sql(f"CREATE DATABASE {database}", database="postgres")
        return self.url(database)

    def url(self, database, more=""):
        return f"postgresql://stemma:geheim@/{database}?host={self.folder}{more}"
