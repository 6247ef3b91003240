# expect: program_error
# tries: to write on the operator's terminal by what its failure is told with
raise ValueError("\x1b]0;owned\x07\x1b[2J\u202e\u2028\0\x9b31m")
