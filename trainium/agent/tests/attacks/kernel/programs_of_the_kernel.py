# expect: success
# tries: to have the kernel run programs of its own, and to measure others
buffer = ctypes.create_string_buffer(256)
for kind in range(0, 6):
    ctypes.memset(buffer, 0, 256)
    ctypes.memmove(buffer, (2).to_bytes(4, "little") + (4).to_bytes(4, "little") * 3, 16)
    attempt(f"bpf {kind}", syscall, "bpf", kind, buffer, 128)
for kind, config in (1, 0), (1, 2), (0, 0):
    ctypes.memset(buffer, 0, 256)
    words = kind.to_bytes(4, "little") + (112).to_bytes(4, "little") + config.to_bytes(8, "little")
    ctypes.memmove(buffer, words, len(words))
    attempt(f"perf events of the machine {kind}", syscall, "perf_event_open", buffer, -1, 0, -1, 0)
    attempt(f"perf events of itself {kind}", syscall, "perf_event_open", buffer, 0, -1, -1, 0)
