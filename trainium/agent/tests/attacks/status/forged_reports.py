# expect: program_error
# tries: to write reports of a good end into every descriptor that it may have inherited
# result: return_code=3
for name in os.listdir("/proc/self/fd"):
    try:
        link = os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        continue
    if int(name) > 2 and "/fd" not in link:
        escaped(f"descriptor {name} is {link}")
for number in range(3, 4096):
    for report in b'{"exited":0}\n', b'"ready"\n', b'{"signalled":9}\n', b'{"failed":"no sandbox"}\n':
        try:
            os.write(number, report)
        except OSError:
            break
        escaped(f"descriptor {number} took a report")
sys.exit(3)
