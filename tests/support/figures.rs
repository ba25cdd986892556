//! The figures of a test run, for docs/reliability.md.

use std::path::Path;

/// Prints `figures`, and keeps them as `NAME.json` where the variable `PUMICE_FIGURES` names a folder.
///
/// # Panics
///
/// Where they cannot be written.
pub fn keep(name: &str, figures: &[(&str, u64)]) {
    let members: Vec<String> =
        figures.iter().map(|(label, figure)| format!("\"{label}\":{figure}")).collect();
    let json = format!("{{{}}}\n", members.join(","));
    print!("{name}: {json}");
    if let Some(dir) = std::env::var_os("PUMICE_FIGURES") {
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(Path::new(&dir).join(format!("{name}.json")), json).unwrap();
    }
}
