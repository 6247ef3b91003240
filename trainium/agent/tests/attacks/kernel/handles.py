# expect: success
# tries: to open files by their numbers in the file system, past every folder
libc.open_by_handle_at.restype = ctypes.c_int
for top in b"/usr", b".", b"/":
    handle = ctypes.create_string_buffer((128).to_bytes(4, "little") + b"\0" * 140)
    mount = ctypes.c_int()
    try:
        c("name_to_handle_at", -100, top, handle, ctypes.byref(mount), 0)
        folder = os.open(top, os.O_RDONLY)
    except OSError:
        continue
    attempt(f"the handle of {top}", c, "open_by_handle_at", folder, handle, os.O_RDONLY)
