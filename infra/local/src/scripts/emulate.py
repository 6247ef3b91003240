"""Runs ministack, and saves its state while it runs.

Arguments: the folder of the saves. ministack itself saves when it is asked to end, and only then: a kill or a
power cut would undo everything since its start. Here a save follows each change within a second or two. Objects
are written at once, and each is the old one or the new one whole, with what S3 says of it.

A save is one file: the SHA-256 of what follows, a line end, and the state of every service as JSON. It is
written beside its place, synced and renamed, and the one before it stays: of a save that is torn or damaged
nothing is read, and the one before is taken. It is made by a forked child, which sees the state of one moment
however long it takes to write it down; the emulator itself stands still only for the fork. While CloudFormation
changes a stack nothing is saved: a state in the middle of that could not be gone on from, the one before can.
"""

import asyncio
import contextlib
import ctypes
import hashlib
import json
import logging
import os
import re
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path

# Tells this emulator from another one that was faster to take its port: the folder is nobody else's.
MARK = hashlib.sha256(os.fsencode(sys.argv[1])).hexdigest().encode()
SAVES = Path(sys.argv.pop(1))
OBJECTS = Path(os.environ["S3_DATA_DIR"]).resolve()
# Seconds that changes are gathered before they are saved, and between two saves without a known change.
GATHER = 0.5
IDLE = 5.0
# A save may use so much of the time; a large state is saved less often instead of slowing the emulator.
SHARE = 0.2
# Seconds after which a save that does not end is given up.
SAVE_LIMIT = 60.0

log = logging.getLogger("emulate")


# --- Files


def write_synced(path, data):
    """Writes a file whose content is on the disk when this returns."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_whole(path, data):
    """Writes a file so that a kill or a power cut leaves the old one or the new one, never a part of one."""
    write_synced(path + ".tmp", data)
    os.replace(path + ".tmp", path)


# --- Objects: a file with the bytes, and one beside it with what S3 says of them

BESIDE = ".meta.json"
# What the file beside an object calls the SHA-256 of the bytes that were written with it.
DIGEST = "annapurna_sha256"
# The SHA-256 of bytes that wait in their partial file, by the path they are for.
waiting = {}


def write_object_file(path, data, *, text=False):
    """Writes a file as S3 asks for it: an object's bytes, then the text beside them.

    The bytes wait in their partial file until both are on the disk. The object changes in the moment in which
    the text is renamed, for the text names the bytes that belong to it: a kill before that leaves the old
    object, and after a later one `settle` puts the bytes in their place.
    """
    if text:
        write_beside(path, json.loads(data))
    elif OBJECTS / ".versions" in Path(path).parents:
        # What an earlier version said is kept beside the newest one.
        write_whole(path, data)
    else:
        waiting.pop(path, None)
        write_synced(path + ".tmp", data)
        waiting[path] = hashlib.sha256(data).hexdigest()


def write_beside(path, said):
    target = path.removesuffix(BESIDE)
    digest = waiting.pop(target, None)
    if digest is None:
        write_whole(path, json.dumps(said).encode())
        return
    write_whole(path, json.dumps({**said, DIGEST: digest}).encode())
    os.replace(target + ".tmp", target)


def belongs(partial, target):
    """Whether the file beside an object names the bytes in this partial file."""
    try:
        with open(target + BESIDE) as beside:
            digest = json.load(beside).get(DIGEST)
    except FileNotFoundError:
        return False
    return hashlib.sha256(Path(partial).read_bytes()).hexdigest() == digest


def settle():
    """Puts bytes in place that a kill left waiting, and removes what belongs to no object."""
    for folder, _, names in os.walk(OBJECTS):
        for name in names:
            partial = os.path.join(folder, name)
            target = partial.removesuffix(".tmp")
            if target == partial:
                continue
            if belongs(partial, target):
                os.replace(partial, target)
            else:
                os.unlink(partial)


settle()
# Not before: S3 reads its objects when it is imported.
from ministack import app as ministack
from ministack.core import persistence
from ministack.services import lambda_svc, s3

s3._atomic_write = write_object_file


# --- Saves


def saves():
    """The saves that are there, newest first."""
    return sorted(SAVES.glob("*.save"), reverse=True)


def write(services):
    """Saves the state that the functions in `services` give, unless the newest save says the same."""
    state = {}
    for name, get_state in services.items():
        value = get_state()
        if value is not None:
            state[name] = value
    body = json.dumps(state, default=persistence._json_default).encode()
    digest = hashlib.sha256(body).hexdigest().encode()
    known = saves()
    if known:
        with open(known[0], "rb") as newest:
            if newest.readline().strip() == digest:
                return
    number = int(known[0].stem) + 1 if known else 1
    write_whole(str(SAVES / f"{number:012}.save"), digest + b"\n" + body)
    folder = os.open(SAVES, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)
    for old in known[1:]:
        old.unlink()


def read():
    """The newest save that is whole, by service; empty when there is none."""
    for path in saves():
        digest, _, body = path.read_bytes().partition(b"\n")
        if hashlib.sha256(body).hexdigest().encode() == digest:
            return json.loads(body, object_hook=persistence._json_object_hook)
        log.error("%s is damaged; the save before it counts", path)
        path.unlink()
    return {}


def release(queues):
    """Lets messages that were in somebody's hands be received again: who had them is gone."""
    now = time.time()
    for queue in queues._data.values():
        for message in queue["messages"]:
            if message["receive_count"] and message["visible_at"] > now:
                message["visible_at"] = now


def restore():
    """Hands each service its part of the save."""
    state = read()
    if "sqs" in state:
        release(state["sqs"]["queues"])
    ministack.load_state = state.get
    ministack._load_persisted_state = original_load
    original_load()
    forget_code()


original_load = ministack._load_persisted_state
ministack._load_persisted_state = restore


# --- The code of functions, which is kept beside the saves: each archive is written and hashed once

code_names = {}


def named_code(archive):
    """The name under which an archive is kept; the archive is held, so that its identity stays its own."""
    if id(archive) not in code_names:
        name = hashlib.sha256(archive).hexdigest()
        path = Path(lambda_svc.CODE_BLOB_DIR, f"{name}.zip")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_whole(str(path), archive)
        code_names[id(archive)] = (name, archive)
    return code_names[id(archive)][0]


lambda_svc._write_code_blob = named_code
# A save that is written later than its archives are removed would name what is gone.
lambda_svc._prune_orphan_code_blobs = lambda referenced: None


def keep_code():
    """Writes and hashes archives that are new, and forgets those that no function has any more."""
    live = set()
    for function in list(lambda_svc._functions._data.values()):
        for version in [function, *function.get("versions", {}).values()]:
            if isinstance(version.get("code_zip"), bytes):
                named_code(version["code_zip"])
                live.add(id(version["code_zip"]))
    for unused in set(code_names) - live:
        del code_names[unused]


def forget_code():
    """Removes archives that no save names."""
    named = set()
    for path in saves():
        named.update(re.findall(rb'"code_blob_ref": "([0-9a-f]{64})"', path.read_bytes()))
    for archive in Path(lambda_svc.CODE_BLOB_DIR).glob("*.zip"):
        if archive.stem.encode() not in named:
            archive.unlink()


# --- When to save


def changes_a_stack():
    cloudformation = sys.modules.get("ministack.services.cloudformation")
    stacks = cloudformation._stacks._data.values() if cloudformation else []
    statuses = [stack.get("StackStatus", "") for stack in stacks]
    return any(it.endswith("_IN_PROGRESS") and it != "REVIEW_IN_PROGRESS" for it in statuses)


# The child that saves now, if any.
children = []
# Linux's `PR_SET_PDEATHSIG`: the signal that a process gets when its parent ends.
PARENT_DEATH_SIGNAL = 1


def end_with_parent(parent):
    """Ends this child when its parent does: it must not write among the saves of the next emulator."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def save_in_child():
    """Forks a child that saves; returns its process id."""
    parent = os.getpid()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        end_with_parent(parent)
        # Connections and the port are the parent's, and must not outlive it here.
        for file in os.listdir("/dev/fd"):
            if int(file) > 2:
                with contextlib.suppress(OSError):
                    os.close(int(file))
        logging.disable(logging.CRITICAL)
        write(ministack._build_persistence_save_dict())
        code = 0
    except BaseException:
        # On a full disk the log takes nothing either.
        with contextlib.suppress(OSError):
            os.write(2, b"emulate: not saved: " + traceback.format_exc().encode())
    finally:
        # Whatever happens, a child never goes on as a second emulator.
        os._exit(code)


async def saved():
    """Saves in a child and waits for it; one that does not end in time is killed. False when it failed."""
    begin = time.monotonic()
    children.append(save_in_child())
    while True:
        child, status = os.waitpid(children[0], os.WNOHANG)
        if child:
            children.clear()
            return status == 0
        if time.monotonic() - begin > SAVE_LIMIT:
            os.kill(children[0], signal.SIGKILL)
        await asyncio.sleep(0.01)


async def save_again_and_again(changed):
    """Saves after each change, and now and then for what changes without a request."""
    while True:
        try:
            await asyncio.wait_for(changed.wait(), IDLE)
        except asyncio.TimeoutError:
            pass
        await asyncio.sleep(GATHER)
        try:
            await save_unless_a_stack_changes(changed)
        except Exception:
            # No process, no thread, no room: what cannot be had now is tried again, or all later changes would
            # be lost without a word.
            log.exception("not saved")
            changed.set()
            await asyncio.sleep(IDLE)


async def save_unless_a_stack_changes(changed):
    """Saves once, and then rests so long that saving keeps to its share of the time."""
    if changes_a_stack():
        return
    changed.clear()
    await asyncio.to_thread(keep_code)
    if changes_a_stack():
        changed.set()
        return
    begin = time.monotonic()
    is_saved = await saved()
    took = time.monotonic() - begin
    await asyncio.sleep(took / SHARE - took)
    if not is_saved:
        changed.set()
        await asyncio.sleep(IDLE)


def save_at_the_end(services):
    """Saves when ministack ends; a child that is still at it would save an older state."""
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not changes_a_stack():
        write(services)


ministack.save_all = save_at_the_end


# --- The server


class Application:
    """ministack's application, which notices requests that may change something."""

    def __init__(self, inner):
        self.inner = inner
        self.changed = asyncio.Event()
        self.saver = None

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            await self.inner(scope, receive, self.beginning(send))
            return
        if scope.get("path") == "/_annapurna/emulator":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": MARK})
            return
        await self.inner(scope, receive, send)
        if scope.get("method") not in ("GET", "HEAD"):
            self.changed.set()

    def beginning(self, send):
        """Passes on what is sent at start and end; saves from the start to the end."""

        async def passed(message):
            if message["type"] == "lifespan.startup.complete":
                self.saver = asyncio.create_task(save_again_and_again(self.changed))
            await send(message)

        return passed


SAVES.mkdir(parents=True, exist_ok=True)
complete()
# The child of a fork does nothing but save; what the warning is about, locks of other threads, it never takes.
warnings.filterwarnings("ignore", ".*fork.*", DeprecationWarning)
ministack.app = Application(ministack.app)
ministack.main()
