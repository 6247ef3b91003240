# expect: program_error
# tries: to pass its own failure off as a limit
# result: return_code=1
# each: MemoryError OSError(28,'No_space_left_on_device') TimeoutError PermissionError(13)
raise eval(EACH)
