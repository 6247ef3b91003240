# expect: memory_limit
# tries: to have the kernel choose somebody else when memory runs out
for value in "-1000", "-1":
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(value)
        escaped(f"oom_score_adj {value}")
    except OSError:
        pass
held = [b"x" * MIB for _ in range(1024)]
escaped("1,024 MiB")
