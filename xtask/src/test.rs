//! `cargo xtask test`: everything that must hold, two steps at a time.
//!
//! Some steps wait for a browser, a killed process or a disk most of the time, others compute. So each is a process of its
//! own, and what it says goes to a file of its own, which is shown when it has ended.

pub mod browser;
mod platform_table;
mod processes;
mod steps;
mod watchdog;

use crate::setup;
use anyhow::{Context, Result};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};
use steps::{STEPS, Step};
pub use steps::{interleavings, wasm_in_a_browser};
use watchdog::Watchdog;
use xshell::Shell;

const AT_A_TIME: usize = 2;

/// The names that `--leave-out` knows.
pub fn optional_steps() -> Vec<&'static str> {
    let mut names: Vec<_> = STEPS.iter().filter_map(|step| step.optional).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The names that `--only` knows.
pub fn step_names() -> Vec<&'static str> {
    STEPS.iter().map(|step| step.name).collect()
}

/// Runs one step, here and at once.
///
/// # Errors
/// What fails in it.
pub fn run_one(sh: &Shell, name: &str) -> Result<()> {
    let step = STEPS.iter().find(|step| step.name == name).context("there is no such step")?;
    let _figures = sh.push_env("PUMICE_FIGURES", setup::target_dir(sh)?.join("figures"));
    let _watchdog = Watchdog::over(step.name);
    (step.run)(sh)
}

/// A step that has begun.
struct Running {
    step: &'static Step,
    number: usize,
    begun: Instant,
    said: PathBuf,
    process: Child,
}

impl Running {
    fn begin(step: &'static Step, number: usize, program: &Path, folder: &Path) -> Result<Self> {
        let said = folder.join(format!("{number:02}.txt"));
        let output = File::create(&said)?;
        let mut command = Command::new(if step.is_patient { Path::new("nice") } else { program });
        if step.is_patient {
            command.args(["-n", "10"]).arg(program);
        }
        command.args(["test", "--only", step.name]).stdout(output.try_clone()?).stderr(output);
        let process = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { step, number, begun: Instant::now(), said, process })
    }

    fn seconds(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }
}

/// Runs the steps, up to the first that fails, without those that the user leaves out.
///
/// # Errors
/// When a step cannot be started. One that fails is told in the answer.
pub fn run(sh: &Shell, leave_out: &[String]) -> Result<ExitCode> {
    let start = Instant::now();
    let is_left_out =
        |step: &Step| step.optional.is_some_and(|short| leave_out.iter().any(|name| name == short));
    let (left_out, mut waiting): (Vec<_>, Vec<_>) = STEPS.iter().partition(|step| is_left_out(step));
    for step in &left_out {
        println!("{}: left out, as asked", step.name);
    }
    let folder = setup::target_dir(sh)?.join("xtask-test");
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    // The tests compile this program as well, and put that in the place of the one that runs.
    let program = folder.join("xtask");
    fs::copy(env::current_exe()?, &program)?;
    println!("What each step says goes to {} first\n", folder.display());

    let total = waiting.len();
    let mut running: Vec<Running> = Vec::new();
    let mut passed = Vec::new();
    let mut failed = false;
    while !failed && passed.len() < total {
        let is_under_way =
            |name| waiting.iter().any(|s| s.name == name) || running.iter().any(|r| r.step.name == name);
        let next = waiting.iter().position(|step| step.after.is_none_or(|name| !is_under_way(name)));
        if let Some(next) = next.filter(|_| running.len() < AT_A_TIME) {
            let number = total - waiting.len() + 1;
            let step = waiting.remove(next);
            println!("[{number}/{total}] {}: begun", step.name);
            running.push(Running::begin(step, number, &program, &folder)?);
            continue;
        }
        thread::sleep(Duration::from_millis(50));
        let mut at = 0;
        while let Some(one) = running.get_mut(at) {
            let Some(status) = one.process.try_wait()? else {
                at += 1;
                continue;
            };
            let one = running.swap_remove(at);
            let (number, name, seconds) = (one.number, one.step.name, one.seconds());
            println!(
                "\n[{number}/{total}] {name}:\n{}",
                String::from_utf8_lossy(&fs::read(&one.said)?).trim_end()
            );
            if status.success() {
                println!("[{number}/{total}] {name}: passed in {seconds:.1} s\n");
                passed.push((seconds, name));
            } else {
                println!("[{number}/{total}] {name}: FAILED after {seconds:.1} s\n");
                failed = true;
            }
        }
    }
    for one in &mut running {
        println!("{}: stopped", one.step.name);
        processes::end_with_descendants(one.process.id());
        one.process.wait()?;
    }
    for (seconds, name) in &passed {
        println!("{seconds:8.1} s  {name}");
    }
    println!("\nall of it took {:.1} s", start.elapsed().as_secs_f64());
    let skipped = if left_out.is_empty() { String::new() } else { format!(", {} skipped", left_out.len()) };
    println!("{} passed, {} failed{skipped}", passed.len(), u8::from(failed));
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
