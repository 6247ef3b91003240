"""Kills S3 before each of its calls of the disk, and prints what is found after each.

Arguments: an empty folder, the scripts of the emulator, which are one program. For a new object and for one that
is replaced: a list of [bytes, metadata, length] as found after a kill before the first call, the second, and so
on; the last is found after none. A file that is renamed before it was synced ends the program.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path

folder, *scripts = sys.argv[1:]
objects = os.path.join(folder, "s3")
os.environ.update(S3_PERSIST="1", S3_DATA_DIR=objects, PERSIST_STATE="0")

from ministack import app
from ministack.services import s3

app.main = lambda: None
sys.argv = ["emulate", os.path.join(folder, "saves")]
emulate = {}
for script in scripts:
    exec(compile(Path(script).read_text(), script, "exec"), emulate)


def put(text):
    s3._persist_object("bucket", "k", {
        "body": text.encode(), "size": len(text), "etag": '"tag"', "metadata": {"is": text},
    })


def found():
    """What an emulator finds that starts now."""
    s3._buckets._data.clear()
    emulate["settle"]()
    s3._load_persisted_data()
    for bucket in s3._buckets._data.values():
        record = bucket["objects"].get("k")
        if record:
            return [s3._read_body("bucket", "k", record).decode(), record["metadata"].get("is"), record["size"]]
    return None


def is_killed_before(n, text):
    """Whether a child that puts `text` was killed before its call `n` of the disk; false when it has fewer."""
    child = os.fork()
    if child == 0:
        calls, synced, fsync, replace = iter(range(n)), set(), os.fsync, os.replace

        def counted():
            if next(calls, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)

        def counted_fsync(file):
            counted()
            fsync(file)
            synced.add(os.fstat(file).st_ino)

        def counted_replace(source, target):
            counted()
            if os.stat(source).st_ino not in synced:
                os._exit(1)
            replace(source, target)

        os.fsync, os.replace = counted_fsync, counted_replace
        put(text)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0, "a file is renamed that is not synced"
    return os.WIFSIGNALED(status)


def kills(before):
    results = []
    while True:
        shutil.rmtree(objects, ignore_errors=True)
        if before:
            put(before)
        killed = is_killed_before(len(results), "newer")
        results.append(found())
        leftovers = [str(path) for path in Path(objects).rglob("*.tmp")]
        assert not leftovers, leftovers
        if not killed:
            return results


print(json.dumps([kills(None), kills("old")]))
