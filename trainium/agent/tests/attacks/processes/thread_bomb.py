# expect: success
# tries: to have so many threads that nobody else can start one
# time: 15
import threading
number = 0
try:
    for number in range(20_000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
    escaped(f"{number} threads")
except RuntimeError:
    pass
print(number, flush=True)
time.sleep(1)
os._exit(0)
