"""Runs a program on a terminal and presses keys whenever it shows a question.

Arguments: the question, the keys, the program with its own. Keys for the second time that the question is shown are
behind a `|`. Prints what the program wrote; ends as it did, or with 99 where not every key was pressed.
"""

import os
import pty
import sys

question, keys, *program = sys.argv[1:]
keys = keys.split("|")
child, terminal = pty.fork()
if child == 0:
    os.execvp(program[0], program)
shown = b""
pressed = 0
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:
        break
    if not part:
        break
    shown += part
    if pressed < min(len(keys), shown.count(question.encode())):
        os.write(terminal, keys[pressed].encode().decode("unicode_escape").encode())
        pressed += 1
_, status = os.waitpid(child, 0)
sys.stdout.buffer.write(shown)
sys.stdout.flush()
sys.exit(os.waitstatus_to_exitcode(status) if pressed == len(keys) else 99)
