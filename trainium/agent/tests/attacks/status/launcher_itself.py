# expect: program_error
# tries: to start the agent's own binary, which it can see, as the launcher of something else
import glob
import subprocess
for path in glob.glob("/run/annapurna/*"):
    if os.path.isfile(path) and os.access(path, os.X_OK):
        words = [path, "launch", "supervise", "--", "id"]
        said = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=10)
        if b"uid=0(" in said.stdout:
            escaped(f"{path} gives root: {said.stdout!r}")
        os.execv(path, [path, "launch", "confine", "--", "true"])
sys.exit(1)
