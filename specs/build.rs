//! Builds the crate anew when a scope file is added or removed: they are embedded by directory.

fn main() {
    println!("cargo:rerun-if-changed=scopes");
}
