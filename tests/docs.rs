//! Guards against documentation that names files and tests that are not there: `docs/architecture.md`.

#![cfg(not(target_family = "wasm"))]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rust_text(dir: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &rust_text(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}

/// The words in back ticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// Whether `name` is a file or folder in `dir`, or the name of something in `code`.
fn exists(dir: &Path, name: &str, code: &str) -> bool {
    if name.contains(['/', '.']) {
        return dir.join(name).exists();
    }
    let named = |kind: &str| code.contains(&format!("{kind} {name}"));
    named("fn") || named("struct")
}

#[test]
fn every_invariant_names_what_keeps_and_what_guards_it() {
    let page = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let code = rust_text(&root().join("src"));
    let tests = code.clone() + &rust_text(&root().join("tests"));
    let mut rows = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit()) {
        let cells: Vec<&str> = row.split(" | ").collect();
        let [_, _, keeps, guards] = cells.as_slice() else { continue };
        rows += 1;
        for name in quoted(keeps) {
            assert!(exists(&root().join("src"), name, &code), "{name} is not there: {row}");
        }
        for name in quoted(guards) {
            assert!(exists(&root(), name, &tests), "{name} is not there: {row}");
        }
        assert!(guards.contains('`') || guards.contains("no test yet"), "{row}");
    }
    assert!(rows > 10, "the table has {rows} rows");
}
