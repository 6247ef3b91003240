# expect: success
# tries: to have an io_uring, by which system calls are made that no filter sees
buffer = ctypes.create_string_buffer(120)
attempt("io_uring", syscall, "io_uring_setup", 4, buffer)
