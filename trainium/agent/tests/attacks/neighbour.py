"""Runs beside every program of the table and ends, with what is wrong, as soon as anything of its own is not as it was."""
libc.prctl(15, b"neighbour", 0, 0, 0)
import threading

BLOCK = os.urandom(MIB)
HELD = bytearray(BLOCK * 32)
FILES = [os.path.join(folder, "neighbour-file") for folder in (os.getcwd(), os.environ["TMPDIR"], "/dev/shm")]
for path in FILES:
    with open(path, "wb") as file:
        file.write(BLOCK)
SEEN = {folder: sorted(os.listdir(folder)) for folder in {os.path.dirname(path) for path in FILES}}
LIMITS = open("/proc/self/limits").read()


def look(count):
    at = count % 32 * MIB
    assert HELD[at : at + MIB] == BLOCK, "its memory changed"
    with open(FILES[count % len(FILES)], "r+b") as file:
        assert file.read() == BLOCK, "its file changed"
        file.seek(0)
        file.write(BLOCK)
    for folder, names in SEEN.items():
        assert sorted(os.listdir(folder)) == names, f"{folder} has {os.listdir(folder)}"
    assert open("/proc/self/limits").read() == LIMITS, "its limits changed"
    assert os.getpriority(os.PRIO_PROCESS, 0) == 0, "it runs after others"


def work():
    """15 ms of a processor."""
    end = time.process_time() + 0.015
    while time.process_time() < end:
        pass


count = 0
while True:
    look(count)
    work()
    if count % 5 == 0:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert os.waitpid(child(lambda: None), 0)[1] == 0, "its child failed"
        os.close(os.memfd_create("neighbour"))
    count += 1
    time.sleep(0.03)
