//! Documents over HTTP: `cargo run --features tokio --example server [DIRECTORY] [ADDRESS]`.
//!
//! | request | answer |
//! |---|---|
//! | `PUT /{collection}/{key}`, the document as body | `{"sequence":N}` once it is durable |
//! | `GET /{collection}/{key}` | the document as it was stored, or 404 |
//! | `DELETE /{collection}/{key}` | `{"deleted":true}`, or 404 |
//! | `GET /{collection}?prefix=&from=&to=&limit=&reverse=` | JSON lines `{"key":...,"value":...}` in order of keys |
//! | `POST /batch` with `[{"op":"put","collection":...,"key":...,"value":...},...]` | `{"sequence":N}`, all or nothing |
//! | `GET /stats` | counts and sizes |
//! | `GET /changes?after=N` | every change since, then live, as server-sent events whose ids go on where one stopped |
//!
//! An error is `{"error":KIND,"message":...}`. There is no authentication: keep it behind something that has.

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::stream;
use pumice::{AsyncDiskStorage, Change, ChangeKind, Changes, Error, ErrorKind, Keys};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::fmt::Write;
use std::future::Future;
use std::ops::Bound;
use tokio::net::TcpListener;
use tokio::sync::watch;

type Db = pumice::Db<AsyncDiskStorage>;

/// The largest request: a document of 16 MiB with some white space.
const MAX_BODY: usize = 20 << 20;
/// How much of a scan goes out in one piece.
const CHUNK: usize = 16 << 10;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| "data".into());
    let address = args.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let db = Db::open(&dir).await?;
    let listener = TcpListener::bind(address).await?;
    println!("{dir} is at http://{}", listener.local_addr()?);
    serve(db, listener, stopped()).await
}

/// Ctrl-C, or what a service manager sends.
async fn stopped() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    if let Ok(mut ended) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
        tokio::select! {
            _ = interrupted => {}
            _ = ended.recv() => {}
        }
        return;
    }
    let _ = interrupted.await;
}

/// Serves until `stop` is ready, lets the requests that run come to their end, and closes the database.
///
/// # Errors
/// When the network fails, or what was accepted could not be made durable.
pub async fn serve(
    db: Db,
    listener: TcpListener,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Box<dyn std::error::Error>> {
    let (end, ending) = watch::channel(());
    let stop = async move {
        stop.await;
        // Feeds never come to an end by themselves.
        drop(end);
    };
    axum::serve(listener, router(db.clone(), ending)).with_graceful_shutdown(stop).await?;
    db.close().await?;
    Ok(())
}

#[derive(Clone)]
struct App {
    db: Db,
    /// Closed when the server stops.
    ending: watch::Receiver<()>,
}

fn router(db: Db, ending: watch::Receiver<()>) -> Router {
    Router::new()
        .route("/batch", post(batch))
        .route("/stats", get(stats))
        .route("/changes", get(changes))
        .route("/{collection}", get(scan))
        .route("/{collection}/{key}", get(read).put(write).delete(remove))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(App { db, ending })
}

/// A failure as an answer.
struct Failure(Error);

type Answer<T> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.0.kind() {
            ErrorKind::InvalidArgument => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Busy | ErrorKind::ReadOnly => StatusCode::CONFLICT,
            ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::Closed | ErrorKind::Poisoned | ErrorKind::Full | ErrorKind::Timeout => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        // Without the file, which is nobody's business out there.
        let body = json!({"error": self.0.kind().as_str(), "message": self.0.message()});
        (status, Json(body)).into_response()
    }
}

fn invalid(message: impl Into<String>) -> Failure {
    Failure(Error::new(ErrorKind::InvalidArgument, message))
}

fn missing() -> Failure {
    Failure(Error::new(ErrorKind::NotFound, "there is no such document"))
}

async fn write(
    State(app): State<App>,
    Path((collection, key)): Path<(String, String)>,
    body: Bytes,
) -> Answer<Json<Value>> {
    let text = std::str::from_utf8(&body).map_err(|_| invalid("the document is not UTF-8"))?;
    let sequence = app.db.collection(&collection).put_raw(&key, text).await?;
    Ok(Json(json!({"sequence": sequence})))
}

async fn read(
    State(app): State<App>,
    Path((collection, key)): Path<(String, String)>,
) -> Answer<impl IntoResponse> {
    let text = app.db.collection(&collection).get_raw(&key).await?.ok_or_else(missing)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text.to_string()))
}

async fn remove(
    State(app): State<App>,
    Path((collection, key)): Path<(String, String)>,
) -> Answer<Json<Value>> {
    let there = app.db.collection(&collection).delete(&key).await?;
    if there { Ok(Json(json!({"deleted": true}))) } else { Err(missing()) }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selection {
    #[serde(default)]
    prefix: String,
    from: Option<String>,
    to: Option<String>,
    limit: Option<u64>,
    #[serde(default)]
    reverse: bool,
}

impl Selection {
    fn keys(&self) -> Keys {
        let from = self.from.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let to = self.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let keys = Keys::between(from, to).with_prefix(&self.prefix);
        let keys = if self.reverse { keys.reverse() } else { keys };
        match self.limit {
            Some(limit) => keys.limit(limit),
            None => keys,
        }
    }
}

async fn scan(
    State(app): State<App>,
    Path(collection): Path<String>,
    Query(selection): Query<Selection>,
) -> Answer<impl IntoResponse> {
    let documents = app.db.collection(&collection).scan::<Value>(selection.keys())?;
    let lines = stream::try_unfold(documents, |mut documents| async move {
        let mut chunk = String::new();
        while chunk.len() < CHUNK
            && let Some(entry) = documents.next_raw().await?
        {
            let (key, value) = (Value::from(entry.key), entry.document);
            let _ = writeln!(chunk, r#"{{"key":{key},"value":{value}}}"#);
        }
        Ok::<_, Error>((!chunk.is_empty()).then_some((chunk, documents)))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)))
}

/// One operation of a batch. The document is kept as text, digit for digit.
#[derive(Deserialize)]
struct Operation {
    op: String,
    collection: String,
    key: Option<String>,
    value: Option<Box<RawValue>>,
}

async fn batch(State(app): State<App>, body: Bytes) -> Answer<Json<Value>> {
    let operations: Vec<Operation> =
        serde_json::from_slice(&body).map_err(|e| invalid(format!("the batch cannot be read: {e}")))?;
    let sequence = app.db.batch(|batch| {
        for Operation { op, collection, key, value } in &operations {
            match (op.as_str(), key, value) {
                ("put", Some(key), Some(value)) => batch.put_raw(collection, key, value.get())?,
                ("delete", Some(key), None) => batch.delete(collection, key)?,
                ("drop", None, None) => batch.drop_collection(collection)?,
                _ => {
                    let message = "an operation is a put with key and value, a delete with a key, or a drop";
                    return Err(Error::new(ErrorKind::InvalidArgument, message));
                }
            };
        }
        Ok(())
    });
    Ok(Json(json!({"sequence": sequence.await?})))
}

async fn stats(State(app): State<App>) -> Answer<Json<Value>> {
    let stats = app.db.stats().await?;
    Ok(Json(json!(stats)))
}

#[derive(Deserialize)]
struct After {
    after: Option<u64>,
}

/// A browser that lost the connection says by itself where to go on.
fn last_event(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

async fn changes(
    State(app): State<App>,
    Query(query): Query<After>,
    headers: HeaderMap,
) -> Answer<impl IntoResponse> {
    let after = last_event(&headers).or(query.after).unwrap_or_else(|| app.db.sequence());
    let feed = app.db.changes(after)?;
    let events = stream::unfold((feed, app.ending), |(mut feed, mut ending)| async move {
        let event = next_event(&mut feed, &mut ending).await?;
        Some((Ok::<_, Infallible>(event), (feed, ending)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}

/// Nothing at the end of the server, or of what the log can tell.
async fn next_event(feed: &mut Changes<AsyncDiskStorage>, ending: &mut watch::Receiver<()>) -> Option<Event> {
    let change = tokio::select! {
        change = feed.next() => change.ok().flatten()?,
        _ = ending.changed() => return None,
    };
    let Change { sequence, collection, key, kind, document } = change;
    let kind = match kind {
        ChangeKind::Put => "put",
        ChangeKind::Delete => "delete",
        ChangeKind::Drop => "drop",
    };
    let (collection, key) = (Value::from(collection), Value::from(key));
    let document = document.as_ref().map_or("null", |text| text.as_str());
    let data = format!(r#"{{"op":"{kind}","collection":{collection},"key":{key},"value":{document}}}"#);
    Some(Event::default().id(sequence.to_string()).data(data))
}
