# expect: success
# tries: to have a plot stored under a key that is not its paper's
for name in "..\n.png", "a%2f..%2f.png", "..\\..\\x.png", "?versionId=1.png", "#.png", "\u202e.png", "con.png", ".png":
    open(name, "wb").write(b"x")
os.makedirs("a/b/c/d/e/f")
open("a/b/c/d/e/f/deep.png", "wb").write(b"x")
