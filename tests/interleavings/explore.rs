//! Which orders of events a scenario goes through.

use crate::effort::is_soak;
use crate::figures;
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Schedule, Scheduler, Task, TaskId};
use shuttle::{Config, Runner};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Whether the waits of the engine that have a deadline may end by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadlines {
    /// At any moment.
    Come,
    /// Never: what waits for a wake-up that was lost is not helped by the clock.
    NeverCome,
}

thread_local! {
    static EXPLORING: Cell<bool> = const { Cell::new(false) };
}

/// Only what happens while this is on takes part in `every_order`: opening and closing alone have one order.
pub fn exploring(on: bool) {
    EXPLORING.set(on);
}

/// Runs `scenario` in every order of its threads' steps that interrupts one that could go on at most `preemptions`
/// times. That a thread has to wait, or yields, does not count as an interruption.
pub fn every_order(name: &str, preemptions: usize, deadlines: Deadlines, scenario: fn()) {
    if replayed(deadlines, scenario) {
        return;
    }
    let preemptions = preemptions + usize::from(is_soak());
    let complete = Arc::new(AtomicBool::new(false));
    let scheduler = Bounded::new(preemptions, Arc::clone(&complete));
    let (orders, seconds) = run(scheduler, deadlines, scenario);
    assert!(complete.load(Ordering::SeqCst), "only a part of the orders was tried");
    keep(name, orders, preemptions, seconds);
}

/// Runs `scenario` in `orders` orders by chance: one half of them with few interruptions at the worst places, the
/// other half with many.
pub fn many_orders(name: &str, orders: usize, deadlines: Deadlines, scenario: fn()) {
    if replayed(deadlines, scenario) {
        return;
    }
    let half = if is_soak() { orders * 50 } else { orders / 2 };
    // The same orders at every run, and others in a soak.
    let seed = if is_soak() { std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 } else { 42 };
    println!("{name}: seed {seed}");
    let (few, one) = run(Woken(PctScheduler::new_from_seed(seed, 4, half)), deadlines, scenario);
    let (many, two) = run(RandomScheduler::new_from_seed(seed, half), deadlines, scenario);
    keep(name, few + many, 0, one + two);
}

fn keep(name: &str, orders: usize, preemptions: usize, time: Duration) {
    let figures = [
        ("orders", orders as u64),
        ("preemptions", preemptions as u64),
        ("milliseconds", time.as_millis() as u64),
    ];
    figures::keep(&format!("interleavings-{name}"), &figures);
}

/// Runs only the schedule that the variable names, if it does.
fn replayed(deadlines: Deadlines, scenario: fn()) -> bool {
    let Ok(schedule) = std::env::var("PUMICE_SCHEDULE") else { return false };
    run(ReplayScheduler::new_from_encoded(schedule.trim()), deadlines, scenario);
    println!("the schedule ran to its end");
    true
}

fn run(scheduler: impl Scheduler + 'static, deadlines: Deadlines, scenario: fn()) -> (usize, Duration) {
    pumice::set_deadlines(deadlines == Deadlines::Come);
    let mut config = Config::new();
    config.stack_size = 256 << 10;
    config.silence_warnings = true;
    config.max_steps = shuttle::MaxSteps::FailAfter(20_000);
    let start = Instant::now();
    let orders = Runner::new(scheduler, config).run(move || {
        exploring(false);
        scenario();
    });
    (orders, start.elapsed())
}

/// Those that have something to go on for. Shuttle also lets a parked thread wake up for no reason, which would help
/// one whose wake-up was lost.
fn woken<'a>(runnable: &[&'a Task]) -> Vec<&'a Task> {
    runnable.iter().copied().filter(|task| !task.can_spuriously_wakeup()).collect()
}

/// `S`, with no thread waking up for no reason.
struct Woken<S>(S);

impl<S: Scheduler> Scheduler for Woken<S> {
    fn new_execution(&mut self) -> Option<Schedule> {
        self.0.new_execution()
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, yielding: bool) -> Option<TaskId> {
        self.0.next_task(&woken(runnable), current, yielding)
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }
}

/// Goes through all orders with a bounded number of preemptions, depth first.
struct Bounded {
    preemptions: usize,
    /// The choices on the way to the order that is being tried.
    path: Vec<Choice>,
    step: usize,
    preempted: usize,
    begun: bool,
    complete: Arc<AtomicBool>,
}

struct Choice {
    options: Vec<TaskId>,
    taken: usize,
}

impl Bounded {
    fn new(preemptions: usize, complete: Arc<AtomicBool>) -> Self {
        Self { preemptions, path: Vec::new(), step: 0, preempted: 0, begun: false, complete }
    }

    /// Whoever may go on now, the one that comes first if nothing is to be tried first.
    fn options(&self, runnable: &[&Task], current: Option<TaskId>, yielding: bool) -> Vec<TaskId> {
        let tasks = runnable.iter().map(|task| task.id());
        let current = current.filter(|current| tasks.clone().any(|task| task == *current));
        let others = tasks.filter(|task| Some(*task) != current);
        match current {
            Some(current) if yielding => others.chain([current]).collect(),
            Some(current) if self.preempted < self.preemptions => {
                [current].into_iter().chain(others).collect()
            }
            Some(current) => vec![current],
            None => others.collect(),
        }
    }
}

impl Scheduler for Bounded {
    fn new_execution(&mut self) -> Option<Schedule> {
        if self.begun {
            while self.path.last().is_some_and(|choice| choice.taken + 1 == choice.options.len()) {
                self.path.pop();
            }
            let Some(last) = self.path.last_mut() else {
                self.complete.store(true, Ordering::SeqCst);
                return None;
            };
            last.taken += 1;
        }
        self.begun = true;
        (self.step, self.preempted) = (0, 0);
        Some(Schedule::new(0))
    }

    fn next_task(&mut self, runnable: &[&Task], current: Option<TaskId>, yielding: bool) -> Option<TaskId> {
        let runnable = woken(runnable);
        let options = self.options(&runnable, current, yielding);
        if options.len() == 1 || !EXPLORING.get() {
            return options.first().copied();
        }
        if self.step == self.path.len() {
            self.path.push(Choice { options, taken: 0 });
        }
        let choice = &self.path[self.step];
        let next = choice.options[choice.taken];
        self.step += 1;
        let goes_on = runnable.iter().any(|task| Some(task.id()) == current);
        if goes_on && !yielding && Some(next) != current {
            self.preempted += 1;
        }
        Some(next)
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("a scenario takes its chances from the order of events alone")
    }
}
