"""Runs a program on a terminal and presses keys once it shows a question.

Arguments: the question, the keys, the program with its own. Prints what the program wrote; ends as it did.
"""

import os
import pty
import sys

question, keys, *program = sys.argv[1:]
child, terminal = pty.fork()
if child == 0:
    os.execvp(program[0], program)
shown = b""
pressed = False
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    shown += part
    if not pressed and question.encode() in shown:
        os.write(terminal, keys.encode().decode("unicode_escape").encode())
        pressed = True
_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(shown)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(status) if pressed else 99)
