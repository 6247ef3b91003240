# expect: success
# tries: to get root by programs that have it: existing ones, and one that it makes
import glob
import shutil
import subprocess
for path in ["/bin/su", "/bin/mount", "/usr/bin/passwd", "/usr/bin/sudo", "/usr/bin/newuidmap", "/usr/bin/pkexec"]:
    if os.path.exists(path) and os.stat(path).st_mode & 0o4000:
        started = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            owners = open(f"/proc/{started.pid}/status").read().split("Uid:\t")[1].split("\n")[0].split("\t")
            if "0" in owners:
                escaped(f"{path} runs as {owners}")
        except OSError:
            pass
        started.kill()
        started.wait()
shutil.copy("/usr/bin/id", "mine")
try:
    os.chmod("mine", 0o6755)
    said = subprocess.run(["./mine", "-u"], capture_output=True, text=True).stdout.strip()
    if said == "0":
        escaped("a program of its own runs as root")
except OSError:
    pass
