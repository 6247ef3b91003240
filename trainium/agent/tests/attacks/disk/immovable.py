# expect: success
# tries: to replace the folder that it was given, so that the agent looks into another
folder = os.getcwd()
attempt("moving its folder", os.rename, folder, folder + "2")
attempt("removing its folder", os.rmdir, folder)
attempt("a link beside its folder", os.symlink, "/etc", os.path.join(os.path.dirname(folder), "annapurna-attack"))
