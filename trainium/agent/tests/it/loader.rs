//! The Python side, where an interpreter has torch.

use std::process::Command;

use crate::support::{interpreter, needs_torch, python_path};

#[test]
fn the_python_side_passes_its_own_tests() {
    let interpreter = interpreter();
    if needs_torch(interpreter).is_none() {
        return;
    }
    let output = Command::new(&interpreter.executable)
        .args(["-B", "-m", "unittest", "discover"])
        .current_dir(python_path())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
