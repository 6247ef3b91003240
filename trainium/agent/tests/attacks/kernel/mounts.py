# expect: success
# tries: to change what is mounted, by the old calls and the new
MS_BIND, MS_REMOUNT, MNT_DETACH = 4096, 32, 2
os.mkdir("there")
here = os.path.abspath("there").encode()
attempt("tmpfs", c, "mount", b"none", here, b"tmpfs", 0, None)
attempt("bind", c, "mount", b"/usr", here, None, MS_BIND, None)
attempt("proc", c, "mount", b"proc", here, b"proc", 0, None)
attempt("remount", c, "mount", b"none", b"/", None, MS_REMOUNT | MS_BIND, None)
for path in b"/", b"/proc", b"/tmp", b"/usr", b"/dev", os.environ["DATASETS_DIR"].encode():
    attempt(f"unmount {path}", c, "umount2", path, MNT_DETACH)
attempt("pivot_root", c, "pivot_root", b".", b"there")
attempt("chroot", os.chroot, ".")
attempt("fsopen", syscall, "fsopen", ctypes.c_char_p(b"tmpfs"), 0)
attempt("open_tree", syscall, "open_tree", -100, ctypes.c_char_p(b"/"), 1)
attempt("mount_setattr", syscall, "mount_setattr", -100, ctypes.c_char_p(b"/"), 0, ctypes.c_char_p(b"\0" * 32), 32)
