//! A connection to `IndexedDB` that nobody else has at the same time.
//!
//! Every database has a place in `IndexedDB`, `pumice:<name>`, also the one whose files are in OPFS: its journal is there.
//! A connection is exclusive because it raises the version of that place, which a browser does only once all other
//! connections are closed, those of dead workers included. Connections of ours never give way to that by themselves. So what
//! a former owner began is finished, or never happens, before the next one reads anything.
//!
//! Writing is strict: a transaction is done when it survives a power cut. A browser may drop a connection; then it is
//! made again, once, if the place is still there and nobody else has had it.

#![allow(clippy::cast_sign_loss, clippy::cast_precision_loss)] // Lengths in JavaScript are numbers.

mod attempt;
mod transaction;

use transaction::Ask;
pub(crate) use transaction::{Asked, Change, range};

use super::failure::{failure, lacks};
use super::patience::Patience;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::pool::Turn;
use attempt::{Aim, Attempt};
use js_sys::{Array, Function, Promise, Reflect};
use std::cell::{Cell, RefCell};
use std::time::Duration;
use transaction::Trouble;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{IdbDatabase, IdbFactory, IdbRequest, IdbTransaction};

/// Single values: what is kept here, and who has it.
pub(crate) const META: &str = "meta";
/// The journal of a pool of slots.
pub(crate) const JOURNAL: &str = "journal";
/// The files of a database without OPFS, with their lengths.
pub(crate) const FILES: &str = "files";
/// The bytes of those files, in pieces.
pub(crate) const PIECES: &str = "pieces";

const STORES: [&str; 4] = [META, JOURNAL, FILES, PIECES];
const PREFIX: &str = "pumice:";
const OWNER: &str = "owner";
/// How long a dropped connection may take to come back, and a deletion to be done.
const MOMENT: Duration = Duration::from_secs(5);

pub(crate) struct Connection {
    factory: IdbFactory,
    /// The database's name, without the prefix.
    name: String,
    /// Stands in the place since this connection was made first: nobody else has had it as long as it does.
    token: String,
    database: RefCell<IdbDatabase>,
    /// How often the connection was made again.
    generation: Cell<u32>,
    closed: Cell<bool>,
    /// Held by whoever makes it again.
    turn: Turn,
}

pub(super) fn factory() -> Result<IdbFactory> {
    // Asking for it throws where it is forbidden.
    let factory = Reflect::get(&js_sys::global(), &"indexedDB".into());
    factory.ok().and_then(|factory| factory.dyn_into().ok()).ok_or_else(|| lacks("IndexedDB"))
}

/// The names of the databases that have a place in `IndexedDB`; none where a browser cannot tell.
pub(crate) async fn list() -> Result<Vec<String>> {
    let factory = factory()?;
    let ask = Reflect::get(&factory, &"databases".into()).and_then(JsCast::dyn_into::<Function>);
    let Ok(ask) = ask else { return Ok(Vec::new()) };
    let what = |exception: JsValue| failure("list the databases", &exception);
    let asked = ask.call0(&factory).and_then(JsCast::dyn_into::<Promise>).map_err(what)?;
    let found: Array = JsFuture::from(asked).await.map_err(what)?.unchecked_into();
    let names = found.iter().filter_map(|info| Reflect::get(&info, &"name".into()).ok()?.as_string());
    Ok(names.filter_map(|name| name.strip_prefix(PREFIX).map(str::to_owned)).collect())
}

/// Whether the database has a place in `IndexedDB`.
pub(crate) async fn exists(name: &str, patience: &Patience) -> Result<bool> {
    match reach(&factory()?, name, Aim::Look, patience).await {
        Ok(database) => {
            database.close();
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens the place, alone unless it is only looked for.
async fn reach(factory: &IdbFactory, name: &str, aim: Aim, patience: &Patience) -> Result<IdbDatabase> {
    let place = format!("{PREFIX}{name}");
    let only_look = matches!(aim, Aim::Look);
    let mut version = None;
    loop {
        let attempt = Attempt::begin(factory, &place, version, aim.clone())?;
        let Some((database, raised)) =
            patience.limit(attempt.end(), &format!("the database {name}")).await??
        else {
            // Somebody else has raised it meanwhile.
            version = None;
            continue;
        };
        if raised || only_look {
            return Ok(database);
        }
        version = Some(database.version() + 1.0);
        database.close();
    }
}

impl Connection {
    /// Opens the place of the database `name`, or makes it.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) when somebody else still has it once `patience` is over.
    pub(crate) async fn open(name: &str, patience: &Patience) -> Result<Self> {
        Self::open_in(factory()?, name, patience).await
    }

    /// The same in another `IndexedDB` than the origin's own.
    pub(crate) async fn open_in(factory: IdbFactory, name: &str, patience: &Patience) -> Result<Self> {
        let random = getrandom::u64().and_then(|high| Ok((high, getrandom::u64()?)));
        let (high, low) = random.map_err(|_| lacks("random numbers"))?;
        let token = format!("{high:016x}{low:016x}");
        let database = reach(&factory, name, Aim::Own(token.clone()), patience).await?;
        Ok(Self {
            factory,
            name: name.to_owned(),
            token,
            database: RefCell::new(database),
            generation: Cell::new(0),
            closed: Cell::new(false),
            turn: Turn::default(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    fn database(&self) -> IdbDatabase {
        self.database.borrow().clone()
    }

    /// The results of the requests that `ask` makes on one store, as they are at one moment.
    pub(crate) async fn read<const N: usize>(
        &self,
        stores: &[&str],
        ask: impl Fn(&IdbTransaction) -> Asked<[IdbRequest; N]>,
    ) -> Result<[JsValue; N]> {
        let requests = self.run(stores, false, &|transaction| ask(transaction).map(Vec::from)).await?;
        let mut results = requests.into_iter().map(|request| request.result().unwrap_or_default());
        Ok(std::array::from_fn(|_| results.next().unwrap_or_default()))
    }

    /// Makes all of the changes, or none of them, durably.
    ///
    /// # Errors
    /// When none of them was made, or nobody can tell. [`Full`](ErrorKind::Full) means that none was.
    pub(crate) async fn write(&self, changes: &[Change<'_>]) -> Result<()> {
        let mut stores: Vec<&str> = Vec::new();
        for store in changes.iter().map(Change::store) {
            if !stores.contains(&store) {
                stores.push(store);
            }
        }
        if stores.is_empty() {
            return Ok(());
        }
        let make = |transaction: &IdbTransaction| {
            changes.iter().try_for_each(|change| change.make(transaction)).map(|()| Vec::new())
        };
        self.run(&stores, true, &make).await.map(drop)
    }

    /// Of one type, so that it is compiled once.
    async fn run(&self, stores: &[&str], write: bool, ask: &Ask<'_>) -> Result<Vec<IdbRequest>> {
        let generation = self.generation.get();
        let outcome = transaction::run(&self.database(), stores, write, ask).await;
        let outcome = match outcome {
            Err(Trouble::Lost(exception)) if !self.closed.get() => {
                tracing::warn!(exception = ?exception, "the connection to IndexedDB was lost and is made again");
                self.again(generation).await?;
                transaction::run(&self.database(), stores, write, ask).await
            }
            outcome => outcome,
        };
        outcome.map_err(|trouble| match trouble {
            Trouble::Lost(_) if self.closed.get() => Error::new(ErrorKind::Closed, "the storage was closed"),
            Trouble::Lost(exception) | Trouble::Failed(exception) => {
                let action = if write { "write to" } else { "read from" };
                failure(&format!("{action} IndexedDB"), &exception)
            }
        })
    }

    /// Makes the connection again that was lost in `generation`.
    async fn again(&self, generation: u32) -> Result<()> {
        let _turn = self.turn.take().await;
        if self.generation.get() != generation {
            return Ok(());
        }
        let database = reach(&self.factory, &self.name, Aim::Again, &Patience::new(MOMENT)).await?;
        let ask =
            |transaction: &IdbTransaction| Ok(vec![transaction.object_store(META)?.get(&OWNER.into())?]);
        let owner = transaction::run(&database, &[META], false, &ask)
            .await
            .ok()
            .and_then(|asked| asked.first()?.result().ok());
        if owner.and_then(|owner| owner.as_string()).as_deref() != Some(&self.token) {
            database.close();
            let message =
                format!("another tab or worker has taken over the database {}; open it again", self.name);
            return Err(Error::new(ErrorKind::Busy, message));
        }
        if self.closed.get() {
            database.close();
        }
        self.database.replace(database);
        self.generation.set(generation + 1);
        Ok(())
    }

    /// The single values of those names, as they are at one moment.
    pub(crate) async fn meta<const N: usize>(&self, keys: [&str; N]) -> Result<[Option<String>; N]> {
        let ask = |transaction: &IdbTransaction| -> Asked<[IdbRequest; N]> {
            let store = transaction.object_store(META)?;
            let asked: Asked<Vec<_>> = keys.iter().map(|key| store.get(&(*key).into())).collect();
            // There are as many as keys.
            asked?.try_into().map_err(|_| JsValue::UNDEFINED)
        };
        Ok(self.read(&[META], ask).await?.map(|value| value.as_string()))
    }

    /// Lets the place go. Transactions that were begun are finished.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.database.borrow().close();
    }

    /// Deletes the place, with all that is in it.
    ///
    /// # Errors
    /// [`Busy`](ErrorKind::Busy) when somebody else looks at it and does not stop doing so.
    pub(crate) async fn delete(self) -> Result<()> {
        let request = self.factory.delete_database(&format!("{PREFIX}{}", self.name));
        let request = request.map_err(|exception| failure("delete the database", &exception))?;
        self.close();
        let done = transaction::settled(|resolve, reject| {
            request.set_onsuccess(Some(resolve));
            request.set_onerror(Some(reject));
        });
        let done = Patience::new(MOMENT).limit(done, &format!("the database {}", self.name)).await?;
        done.map(drop)
            .map_err(|_| Error::new(ErrorKind::Io, format!("IndexedDB cannot delete {}", self.name)))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.close();
    }
}
