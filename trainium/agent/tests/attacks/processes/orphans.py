# expect: success
# tries: to have its first process drown in 3,000 orphans that nobody waits for
for _ in range(3000):
    pid = os.fork()
    if pid == 0:
        try:
            os.fork()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
time.sleep(0.2)
assert os.waitpid(child(lambda: None), 0)[1] == 0
