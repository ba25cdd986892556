//! Guards against pages that show what the command line does not do.
#![cfg(all(feature = "cli", unix))]

use std::path::Path;
use std::process::Command;

/// The digits of times and checksums, which differ each time, as zeros.
fn masked(output: &str) -> String {
    let mut text = output.to_owned();
    for (label, end) in [("\"_t\":", ','), ("\"_p\":\"", '"'), ("\"_x\":\"", '"')] {
        let mut parts = text.split(label);
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.find(end).map_or("", |at| &part[at..]);
            out = out + label + "0" + rest;
        }
        text = out;
    }
    // Times and watermarks are not always equally long, so nor are the files that they stand in.
    let words = text.split_inclusive(|c: char| c.is_whitespace());
    words
        .clone()
        .zip(words.skip(1).chain([""]))
        .map(|(word, next)| if next.starts_with("bytes") { "0 " } else { word })
        .collect()
}

#[test]
fn the_commands_print_what_the_page_says() {
    for page in ["README.md", "docs/operating.md"] {
        run_page(page);
    }
}

fn run_page(page: &str) {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(page)).unwrap();
    let session: String = page.split("```").filter_map(|block| block.strip_prefix("console\n")).collect();
    let dir = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_pumice"));
    let path = format!("{}:{}", binary.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let steps: Vec<(&str, &str)> =
        session.split("$ ").skip(1).filter_map(|step| step.split_once('\n')).collect();
    assert!(steps.len() > 5, "{session}");
    for (command, expected) in steps {
        run(command, expected, dir.path(), &path);
    }
}

fn run(command: &str, expected: &str, dir: &Path, path: &str) {
    let output =
        Command::new("sh").args(["-c", command]).current_dir(dir).env("PATH", path).output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(masked(&stdout), masked(expected), "{command}\n{}", String::from_utf8_lossy(&output.stderr));
}
