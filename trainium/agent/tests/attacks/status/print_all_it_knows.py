# expect: program_error
# tries: to find the words by which the launcher reports, and to say them itself
# result: return_code=3
import glob
for path in glob.glob("/proc/*/cmdline") + glob.glob("/proc/*/environ") + glob.glob("/proc/*/comm"):
    try:
        with open(path, "rb") as file:
            seen = file.read()
    except OSError:
        continue
    if b"AWS_" in seen or HOST["state"].encode() in seen:
        escaped(f"{path} tells of the agent")
    for word in seen.replace(b"\0", b"\n").replace(b'"', b"\n").split(b"\n"):
        for stream in 1, 2:
            os.write(stream, word + b"\n")
            os.write(stream, word + b"\n")
sys.exit(3)
