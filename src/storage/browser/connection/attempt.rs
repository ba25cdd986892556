//! One request to open a place in `IndexedDB`. It cannot be taken back, so one that is given up closes what it still opens.

use super::{Asked, META, OWNER, STORES, transaction};
use crate::error::{Error, ErrorKind, Result};
use crate::storage::browser::failure::{failure, name};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{IdbDatabase, IdbFactory, IdbOpenDbRequest, IdbTransaction, IdbVersionChangeEvent};

/// What the place is opened for.
#[derive(Clone)]
pub(super) enum Aim {
    /// To have it, under that token; it is made if it is missing.
    Own(String),
    /// To have it again. It must be there.
    Again,
    /// To see whether it is there.
    Look,
}

impl Aim {
    /// In the midst of the only transaction that may change which stores there are. False: this is not to be.
    fn raise(&self, request: &IdbOpenDbRequest, was: f64) -> Asked<bool> {
        let token = match self {
            Self::Own(token) => Some(token),
            Self::Again if was != 0.0 => None,
            Self::Again | Self::Look => return Ok(false),
        };
        let database: IdbDatabase = request.result()?.unchecked_into();
        let there = database.object_store_names();
        for store in STORES {
            if !there.contains(store) {
                database.create_object_store(store)?;
            }
        }
        if let (Some(token), Some(transaction)) = (token, request.transaction()) {
            transaction.object_store(META)?.put_with_key(&token.into(), &OWNER.into())?;
        }
        Ok(true)
    }
}

pub(super) struct Attempt {
    request: IdbOpenDbRequest,
    state: Rc<State>,
    ended: bool,
}

#[derive(Default)]
struct State {
    /// Whether the version was raised, so that nobody else has the place.
    raised: Cell<bool>,
    /// In which it was raised.
    upgrade: RefCell<Option<IdbTransaction>>,
    given_up: Cell<bool>,
}

impl Attempt {
    /// Asks for the place, with `version`, or the one that it has.
    pub(super) fn begin(factory: &IdbFactory, place: &str, version: Option<f64>, aim: Aim) -> Result<Self> {
        let request = match version {
            None => factory.open(place),
            Some(version) => factory.open_with_f64(place, version),
        };
        let request = request.map_err(|exception| failure("open IndexedDB", &exception))?;
        let state = Rc::new(State::default());
        let (asked, told) = (request.clone(), Rc::clone(&state));
        let upgrade = Closure::<dyn Fn(IdbVersionChangeEvent)>::new(move |event: IdbVersionChangeEvent| {
            let goes_on = !told.given_up.get() && aim.raise(&asked, event.old_version()).unwrap_or(false);
            told.raised.set(goes_on);
            if goes_on {
                told.upgrade.replace(asked.transaction());
            } else if let Some(transaction) = asked.transaction() {
                // Then nothing has changed, and a place that was missing still is.
                let _ = transaction.abort();
            }
        });
        request.set_onupgradeneeded(Some(upgrade.into_js_value().unchecked_ref()));
        Ok(Self { request, state, ended: false })
    }

    /// The open place, and whether this is the only connection. `None` when its version is higher by now.
    ///
    /// # Errors
    /// [`NotFound`](ErrorKind::NotFound) when the place is missing and was not to be made.
    pub(super) async fn end(mut self) -> Result<Option<(IdbDatabase, bool)>> {
        let settled = transaction::settled(|resolve, reject| {
            self.request.set_onsuccess(Some(resolve));
            self.request.set_onerror(Some(reject));
        })
        .await;
        self.ended = true;
        if settled.is_ok()
            && let Ok(database) = self.request.result()
        {
            return Ok(Some((database.unchecked_into(), self.state.raised.get())));
        }
        let exception = self.request.error().ok().flatten().map(JsValue::from).unwrap_or_default();
        match name(&exception).as_str() {
            "VersionError" => Ok(None),
            "AbortError" if !self.state.raised.get() => {
                Err(Error::new(ErrorKind::NotFound, "the browser has no such database any more"))
            }
            // The request itself does not tell why, such as that there is no room.
            "AbortError" => {
                let cause = self.state.upgrade.take().and_then(|transaction| transaction.error());
                Err(failure("open IndexedDB", &cause.map_or(exception, JsValue::from)))
            }
            _ => Err(failure("open IndexedDB", &exception)),
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.state.given_up.set(true);
        let request = self.request.clone();
        let close = move || {
            if let Ok(database) = request.result() {
                database.unchecked_into::<IdbDatabase>().close();
            }
        };
        // It may be open already, and nobody has looked yet.
        close();
        self.request.set_onsuccess(Some(Closure::<dyn Fn()>::new(close).into_js_value().unchecked_ref()));
        self.request.set_onerror(None);
    }
}
