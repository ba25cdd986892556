//! One transaction on `IndexedDB`.

use crate::storage::browser::failure::name;
use js_sys::{Array, Function, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{IdbDatabase, IdbKeyRange, IdbRequest, IdbTransaction};

/// Why a transaction changed nothing.
pub(super) enum Trouble {
    /// The browser has closed the connection.
    Lost(JsValue),
    Failed(JsValue),
}

/// What the browser answers to a call.
pub(crate) type Asked<T> = Result<T, JsValue>;

/// Asks for something in a transaction, which may be done twice.
pub(super) type Ask<'a> = dyn Fn(&IdbTransaction) -> Asked<Vec<IdbRequest>> + 'a;

/// A change to a store. Keys are strings.
pub(crate) enum Change<'a> {
    /// Sets the value of that key to these bytes.
    Bytes(&'a str, String, &'a [u8]),
    /// Sets it to this value.
    Value(&'a str, &'a str, JsValue),
    /// Removes what is at or above the first key and below the second.
    Remove(&'a str, String, String),
}

/// The keys at or above `from` and below `to`; `None` when that is none.
pub(crate) fn range(from: &str, to: &str) -> Option<IdbKeyRange> {
    IdbKeyRange::bound_with_lower_open_and_upper_open(&from.into(), &to.into(), false, true).ok()
}

impl Change<'_> {
    pub(super) fn store(&self) -> &str {
        match self {
            Self::Bytes(store, ..) | Self::Value(store, ..) | Self::Remove(store, ..) => store,
        }
    }

    pub(super) fn make(&self, transaction: &IdbTransaction) -> Asked<()> {
        let store = transaction.object_store(self.store())?;
        match self {
            // A copy, for a view would show what the memory becomes.
            Self::Bytes(_, key, bytes) => store.put_with_key(&Uint8Array::from(*bytes), &key.into())?,
            Self::Value(_, key, value) => store.put_with_key(value, &(*key).into())?,
            Self::Remove(_, from, to) => match range(from, to) {
                Some(range) => store.delete(&range)?,
                None => return Ok(()),
            },
        };
        Ok(())
    }
}

/// Waits until the browser calls one of the two functions.
pub(super) async fn settled(mut listen: impl FnMut(&Function, &Function)) -> Asked<JsValue> {
    JsFuture::from(Promise::new(&mut |resolve, reject| listen(&resolve, &reject))).await
}

/// Does what `ask` asks for, in one transaction; a writing one survives a power cut when this returns.
pub(super) async fn run(
    database: &IdbDatabase,
    stores: &[&str],
    write: bool,
    ask: &Ask<'_>,
) -> Result<Vec<IdbRequest>, Trouble> {
    let transaction = begin(database, stores, write).map_err(|exception| {
        if is_lost(&exception) { Trouble::Lost(exception) } else { Trouble::Failed(exception) }
    })?;
    let asked = ask(&transaction).map_err(|exception| {
        let _ = transaction.abort();
        Trouble::Failed(exception)
    })?;
    if write {
        // Begins at once, not when the results have come. A browser that lacks it does so by itself.
        #[allow(deprecated)] // The method is not.
        let _ = transaction.commit();
    }
    let complete = settled(|resolve, reject| {
        transaction.set_oncomplete(Some(resolve));
        transaction.set_onabort(Some(reject));
    });
    if complete.await.is_ok() {
        return Ok(asked);
    }
    let exception = transaction.error().map(JsValue::from).unwrap_or_default();
    // A connection that was lost takes its transactions with it, and refuses new ones.
    match begin(database, stores, false) {
        Err(refused) if is_lost(&refused) => Err(Trouble::Lost(exception)),
        _ => Err(Trouble::Failed(exception)),
    }
}

fn is_lost(exception: &JsValue) -> bool {
    name(exception) == "InvalidStateError"
}

/// By hand, because web-sys has durability among what may still change.
fn begin(database: &IdbDatabase, stores: &[&str], write: bool) -> Asked<IdbTransaction> {
    let stores: Array = stores.iter().map(|store| JsValue::from(*store)).collect();
    let mode = if write { "readwrite" } else { "readonly" };
    let options = Object::new();
    Reflect::set(&options, &"durability".into(), &"strict".into())?;
    let function: Function = Reflect::get(database, &"transaction".into())?.dyn_into()?;
    Ok(function.call3(database, &stores, &mode.into(), &options)?.unchecked_into())
}
