# expect: success
# tries: to find the agent's credentials in its environment or that of others
import glob
seen = str(os.environ)
for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/task/*/environ"):
    try:
        with open(path, errors="replace") as file:
            seen += file.read()
    except OSError:
        pass
for word in "AWS_", "AKIA", "_BUCKET", "QUEUE_URL", HOST["state"]:
    if word in seen:
        escaped(f"{word} in an environment")
