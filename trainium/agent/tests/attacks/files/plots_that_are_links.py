# expect: success
# tries: to have files of the machine published as its plots
# plots: real.png
import socket
open("real.png", "wb").write(b"\x89PNG real")
os.symlink("/etc/shadow", "shadow.png")
os.symlink("/etc/passwd", "passwd.svg")
os.symlink("/etc", "etc")
os.symlink(HOST["secret"], "secret.png")
os.symlink("real.png", "again.png")
os.symlink("/proc/self/environ", "environ.pdf")
os.mkdir("folder.png")
os.mkfifo("pipe.png")
socket.socket(socket.AF_UNIX).bind("socket.png")
attempt("a second name of the machine's file", os.link, "/etc/ld.so.cache", "cache.png")
