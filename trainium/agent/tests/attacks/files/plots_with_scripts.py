# expect: success
# tries: to have a script run in the browser of whoever looks at its plots
# plots: active.svg page.pdf
open("active.svg", "w").write('<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>')
open("page.pdf", "w").write("<html><script>alert(1)</script></html>")
open("page.html", "w").write("<script>alert(1)</script>")
