# expect: memory_limit
# tries: to use a gigabyte in forty processes, of which none is large
def eat():
    held = [b"x" * MIB for _ in range(25)]
    time.sleep(20)


children = [child(eat) for _ in range(40)]
for pid in children:
    os.waitpid(pid, 0)
escaped("40 times 25 MiB")
