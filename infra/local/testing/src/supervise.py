"""Runs a command for as long as somebody holds a lock.

Arguments: the lock, the gate, how many seconds the lock may be free, the user and group id to run the
command as (`-` for the caller's own), the command. Whoever needs the
command holds the lock (shared) while it lives; the system releases it even when that process is killed.
Before the command is ended the gate is held (exclusively), so that nobody who holds the gate while
looking whether the command runs can see it end afterwards.
"""

import fcntl
import signal
import subprocess
import sys
import time


def is_free(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return True


def end(child):
    child.terminate()
    try:
        child.wait(30)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def main():
    lock_path, gate_path, patience, identity, *command = sys.argv[1:]
    user = {}
    if identity != "-":
        uid, gid = map(int, identity.split(":"))
        user = {"user": uid, "group": gid, "extra_groups": []}
    child = subprocess.Popen(command, **user)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    with open(lock_path) as lock, open(gate_path) as gate:
        last_held = time.monotonic()
        while child.poll() is None:
            time.sleep(0.25)
            if not is_free(lock):
                last_held = time.monotonic()
            elif time.monotonic() - last_held > float(patience):
                try:
                    fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    continue
                if is_free(lock):
                    end(child)
                fcntl.flock(gate, fcntl.LOCK_UN)
    sys.exit(child.returncode if child.returncode >= 0 else 0)


main()
