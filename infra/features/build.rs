//! Without a build script cargo would leave the build dependencies out.
fn main() {}
