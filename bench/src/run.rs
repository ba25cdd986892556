//! Runs the cases: each in a process of its own, the engines by turns, round after round.

use crate::engine::Kind;
use crate::machine::Machine;
use crate::plan::{Case, OnDatabase, Plan};
use crate::results::{Outcome, Record, Setting};
use crate::slow_flush::SlowFlush;
use crate::workload::Measures;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use wait_timeout::ChildExt;

/// An engine that takes longer than this for one case has failed in it.
const LIMIT: Duration = Duration::from_secs(300);

pub struct Run {
    pub plan: Plan,
    pub engines: Vec<Kind>,
    pub rounds: u32,
    pub is_quick: bool,
    /// A directory of its own, for the databases; it is emptied.
    pub dir: PathBuf,
}

impl Run {
    /// Leaves everything that was measured in the file `results`.
    ///
    /// # Errors
    /// When the machine lacks something. What an engine fails in is a result.
    pub fn run(&self, results: &Path) -> Result<()> {
        let databases = self.dir.join("databases");
        empty(&databases)?;
        let slow_flush = SlowFlush::compile(&self.dir)?;
        let machine = Machine::this(&self.dir)?;
        if machine.load > 1.0 {
            eprintln!(
                "warning: the machine's load is {}: what else runs there is in the figures",
                machine.load
            );
        }
        let setting = Setting {
            is_quick: self.is_quick,
            rounds: self.rounds,
            documents: self.plan.documents,
            tail: self.plan.tail,
            engines: self.engines.clone(),
            machine,
        };
        let mut runner = Runner { databases, slow_flush, results: File::create(results)?, round: 0 };
        runner.write(&setting)?;
        for round in 1..=self.rounds {
            runner.round = round;
            for case in &self.plan.alone {
                println!("round {round} of {}: {}", self.rounds, case.name);
                for kind in self.in_turn(round) {
                    runner.alone(kind, case)?;
                }
            }
            for group in &self.plan.on_databases {
                println!("round {round} of {}: {} documents", self.rounds, group.documents);
                for kind in self.in_turn(round) {
                    runner.on_database(kind, group)?;
                }
            }
        }
        Ok(fs::remove_dir_all(&runner.databases)?)
    }

    /// Another engine comes first in each round, so that none always runs behind the same one.
    fn in_turn(&self, round: u32) -> impl Iterator<Item = Kind> {
        let first = (round - 1) as usize % self.engines.len();
        let (before, from) = self.engines.split_at(first);
        from.iter().chain(before).copied()
    }
}

struct Runner {
    databases: PathBuf,
    slow_flush: SlowFlush,
    results: File,
    round: u32,
}

impl Runner {
    fn alone(&mut self, kind: Kind, case: &Case) -> Result<()> {
        if case.work.lacks(kind).is_none() {
            empty(&self.databases)?;
            self.case(kind, case)?;
        }
        Ok(())
    }

    fn on_database(&mut self, kind: Kind, group: &OnDatabase) -> Result<()> {
        empty(&self.databases)?;
        for case in group.cases.iter().filter(|case| case.work.lacks(kind).is_none()) {
            // Nothing is to be had from a database that was not loaded, or from one after another failure.
            if !self.case(kind, case)? {
                break;
            }
        }
        Ok(())
    }

    /// Whether it went well.
    fn case(&mut self, kind: Kind, case: &Case) -> Result<bool> {
        let outcome = match self.process(kind, case) {
            Ok(measures) => Outcome::Measured(measures),
            Err(error) => {
                eprintln!("{}, {}: {error:#}", kind.title(), case.name);
                Outcome::Failed(format!("{error:#}"))
            }
        };
        let is_well = matches!(outcome, Outcome::Measured(_));
        self.write(&Record { case: case.name.clone(), engine: kind, round: self.round, outcome })?;
        Ok(is_well)
    }

    fn process(&self, kind: Kind, case: &Case) -> Result<Measures> {
        let mut command = Command::new(std::env::current_exe()?);
        let engine = serde_json::to_string(&kind)?;
        command.args([
            "one",
            "--engine",
            engine.trim_matches('"'),
            "--work",
            &serde_json::to_string(&case.work)?,
        ]);
        command.arg("--dir").arg(&self.databases).stdout(Stdio::piped()).stderr(Stdio::piped());
        if case.slow_flush {
            self.slow_flush.preload(&mut command);
        }
        let mut child = command.spawn()?;
        let Some(status) = child.wait_timeout(LIMIT)? else {
            child.kill()?;
            child.wait()?;
            bail!("it took longer than {} s", LIMIT.as_secs());
        };
        let (mut answer, mut said) = (String::new(), String::new());
        child.stdout.take().context("no stdout")?.read_to_string(&mut answer)?;
        child.stderr.take().context("no stderr")?.read_to_string(&mut said)?;
        if case.work.dies() && status.code().is_none() {
            return Ok(Measures::new());
        }
        if !status.success() || case.work.dies() {
            bail!("{status}: {}", said.trim());
        }
        let mut measures: Measures = serde_json::from_str(&answer).context("no figures")?;
        if case.slow_flush {
            let puts = measures.get("all_puts").copied().context("no number of puts")?;
            measures.insert("syncs_per_put".to_owned(), self.slow_flush.take_count()? / puts);
        }
        Ok(measures)
    }

    fn write(&mut self, line: &impl serde::Serialize) -> Result<()> {
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        Ok(self.results.write_all(text.as_bytes())?)
    }
}

fn empty(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    Ok(fs::create_dir_all(dir)?)
}
