# expect: memory_limit
# tries: to use too much in a child, and to end well itself when that one is killed
def eat():
    held = [b"x" * MIB for _ in range(1024)]
    escaped(f"{len(held)} MiB in a child")


os.waitpid(child(eat), 0)
time.sleep(1)
sys.exit(0)
