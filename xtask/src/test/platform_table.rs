//! The check that only one file of the library asks which target it is compiled for.

use anyhow::{Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// The table itself.
const TABLE: &str = "storage.rs";
/// May tell one native system from another, and nothing else.
const DISK: &str = "storage/disk_sync.rs";
const DISK_PARTS: &str = "storage/disk_sync/";

/// # Errors
/// Names every place under `src` that asks for the target and may not.
pub fn check(src: &Path) -> Result<()> {
    let mut misplaced = Vec::new();
    for path in rust_files(src)? {
        let name = path.strip_prefix(src)?.to_string_lossy().replace('\\', "/");
        for (line, predicate) in predicates(&fs::read_to_string(&path)?) {
            if !allowed(&name, &predicate) {
                misplaced.push(format!("src/{name}:{line}: {predicate}"));
            }
        }
    }
    ensure!(
        misplaced.is_empty(),
        "only the table in src/{TABLE} may ask for the target; move the choice there:\n{}",
        misplaced.join("\n")
    );
    Ok(())
}

fn allowed(file: &str, predicate: &str) -> bool {
    let mut words = predicate.split(|c: char| !c.is_alphanumeric() && c != '_');
    match file {
        TABLE => true,
        _ if file == DISK || file.starts_with(DISK_PARTS) => !words.any(|word| word.starts_with("target")),
        _ => !words.any(|word| word.starts_with("target") || matches!(word, "unix" | "windows")),
    }
}

/// Every `cfg(...)`, `cfg!(...)` and `cfg_attr(...)` outside comments, over lines too, with its line number.
fn predicates(text: &str) -> Vec<(usize, String)> {
    let code: String = text
        .lines()
        .map(|line| if line.trim_start().starts_with("//") { "\n".into() } else { format!("{line}\n") })
        .collect();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("cfg") {
        let rest = &code[at..];
        if !["cfg(", "cfg!(", "cfg_attr("].iter().any(|start| rest.starts_with(start)) {
            continue;
        }
        let mut depth = 0;
        let end = rest.find(|c| {
            depth += i32::from(c == '(') - i32::from(c == ')');
            c == ')' && depth == 0
        });
        let predicate =
            rest[..end.map_or(rest.len(), |end| end + 1)].split_whitespace().collect::<Vec<_>>().join(" ");
        found.push((code[..at].matches('\n').count() + 1, predicate));
    }
    found
}

fn rust_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::{allowed, predicates};

    #[test]
    fn finds_predicates_over_lines_and_not_in_comments() {
        let text = "// cfg(unix)\n#[cfg(all(\n    not(target_family = \"wasm\"),\n    test\n))]\nif cfg!(windows) {}\n";
        let expected = [
            (2, "cfg(all( not(target_family = \"wasm\"), test ))".to_owned()),
            (6, "cfg!(windows)".to_owned()),
        ];
        assert_eq!(predicates(text), expected);
    }

    #[test]
    fn only_the_table_asks_for_the_target() {
        assert!(allowed("storage.rs", "cfg(target_family = \"wasm\")"));
        assert!(!allowed("db.rs", "cfg(target_family = \"wasm\")"));
        assert!(!allowed("storage/disk_sync.rs", "cfg(target_os = \"linux\")"));
        assert!(allowed("storage/disk_sync.rs", "cfg(unix)"));
        assert!(!allowed("log/writer.rs", "cfg!(windows)"));
        assert!(allowed("log/writer.rs", "cfg(all(test, feature = \"tokio\"))"));
    }
}
