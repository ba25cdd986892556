//! Guards against an example that does not do what it says: `examples/server.rs`, over real connections.
#![cfg(feature = "tokio")]

#[allow(dead_code)] // Its `main`.
#[path = "../examples/server.rs"]
mod server;

use pumice::Db;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// The example's server on a thread and a port of its own.
struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Server {
    fn start(dir: &Path) -> Self {
        let dir = dir.to_owned();
        let (stop, stopped) = oneshot::channel();
        let (started, address) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let db = Db::open(&dir).await.unwrap();
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                started.send(listener.local_addr().unwrap()).unwrap();
                server::serve(db, listener, async { drop(stopped.await) }).await.unwrap();
            });
        });
        Self { address: address.recv().unwrap(), stop, thread }
    }

    fn stop(self) {
        self.stop.send(()).unwrap();
        self.thread.join().unwrap();
    }

    fn connect(&self, head: &str, body: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let length = body.len();
        write!(stream, "{head} HTTP/1.0\r\nhost: test\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
        BufReader::new(stream)
    }

    /// The status and the body of the answer. HTTP/1.0 has no chunks, so the body ends with the connection.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut answer = String::new();
        self.connect(&format!("{method} {path}"), body).read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, "")
    }
}

fn ok(body: &str) -> (u16, String) {
    (200, body.to_owned())
}

#[test]
fn documents_come_back_as_they_were_put() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    assert_eq!(server.get("/users/ada").0, 404);
    assert_eq!(server.ask("PUT", "/users/ada", r#"{"name": "Ada", "n": 1.50}"#), ok(r#"{"sequence":1}"#));
    assert_eq!(server.get("/users/ada"), ok(r#"{"name":"Ada","n":1.50}"#));
    assert_eq!(server.ask("PUT", "/users/a%2Fb%20c", "null"), ok(r#"{"sequence":2}"#));
    assert_eq!(server.get("/users/a%2Fb%20c"), ok("null"));
    assert_eq!(server.ask("DELETE", "/users/ada", ""), ok(r#"{"deleted":true}"#));
    assert_eq!(server.ask("DELETE", "/users/ada", "").0, 404);
    server.stop();
    let server = Server::start(dir.path());
    assert_eq!(server.get("/users"), ok("{\"key\":\"a/b c\",\"value\":null}\n"));
    server.stop();
}

#[test]
fn scans_select_and_order() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let keys = ["a1", "a2", "b1", "b2", "c1"];
    let puts = keys.map(|key| format!(r#"{{"op":"put","collection":"c","key":"{key}","value":"{key}"}}"#));
    assert_eq!(server.ask("POST", "/batch", &format!("[{}]", puts.join(","))), ok(r#"{"sequence":7}"#));
    let lines = |keys: &[&str]| {
        let lines = keys.iter().map(|key| format!("{{\"key\":\"{key}\",\"value\":\"{key}\"}}\n"));
        ok(&lines.collect::<String>())
    };
    assert_eq!(server.get("/c"), lines(&keys));
    assert_eq!(server.get("/c?prefix=b&reverse=true"), lines(&["b2", "b1"]));
    assert_eq!(server.get("/c?from=a2&to=b2"), lines(&["a2", "b1"]));
    assert_eq!(server.get("/c?limit=1"), lines(&["a1"]));
    assert_eq!(server.get("/nothing"), ok(""));
    let (status, counts) = server.get("/stats");
    assert!(status == 200 && counts.contains(r#""documents":5,"#), "{counts}");
    server.stop();
}

#[test]
fn a_long_scan_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let value = "x".repeat(1000);
    let puts: Vec<String> = (0..1000)
        .map(|n| format!(r#"{{"op":"put","collection":"c","key":"{n:04}","value":"{value}"}}"#))
        .collect();
    assert_eq!(server.ask("POST", "/batch", &format!("[{}]", puts.join(","))).0, 200);
    let (status, lines) = server.get("/c");
    assert_eq!((status, lines.lines().count()), (200, 1000));
    assert!(lines.ends_with("\"}\n"));
    server.stop();
}

#[test]
fn what_cannot_be_done_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    let error = |answer: (u16, String), status: u16, kind: &str| {
        assert_eq!(answer.0, status, "{}", answer.1);
        assert!(answer.1.contains(&format!(r#""error":"{kind}""#)), "{}", answer.1);
    };
    error(server.ask("PUT", "/c/k", "{"), 400, "invalid-argument");
    error(server.ask("PUT", &format!("/c/{}", "k".repeat(1025)), "1"), 413, "too-large");
    error(server.ask("PUT", "/c/k", &format!("\"{}\"", "x".repeat(16 << 20))), 413, "too-large");
    let half =
        r#"[{"op":"put","collection":"c","key":"k","value":1},{"op":"put","collection":"c","key":""}]"#;
    error(server.ask("POST", "/batch", half), 400, "invalid-argument");
    error(server.get("/c/k"), 404, "not-found");
    error(server.get("/changes?after=7"), 400, "invalid-argument");
    assert_eq!(server.get("/c?limit=many").0, 400);
    assert_eq!(server.get("/"), (404, String::new()));
    assert!(server.get("/stats").1.contains(r#""sequence":0,"#));
    server.stop();
}

/// The next event of a feed: its id and its data.
fn event(feed: &mut BufReader<TcpStream>) -> (u64, String) {
    let (mut id, mut data) = (None, None);
    loop {
        let mut line = String::new();
        assert_ne!(feed.read_line(&mut line).unwrap(), 0, "the feed ended");
        if let Some(text) = line.strip_prefix("id: ") {
            id = text.trim().parse().ok();
        } else if let Some(text) = line.strip_prefix("data: ") {
            data = Some(text.trim().to_owned());
        }
        if line == "\n"
            && let (Some(id), Some(data)) = (id, data.take())
        {
            return (id, data);
        }
    }
}

#[test]
fn feeds_are_live_and_go_on_where_they_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path());
    server.ask("PUT", "/c/a", "1.0");
    let mut feed = server.connect("GET /changes?after=0", "");
    assert_eq!(event(&mut feed), (1, r#"{"op":"put","collection":"c","key":"a","value":1.0}"#.into()));
    server.ask("DELETE", "/c/a", "");
    assert_eq!(event(&mut feed), (2, r#"{"op":"delete","collection":"c","key":"a","value":null}"#.into()));
    server.ask("POST", "/batch", r#"[{"op":"drop","collection":"c"}]"#);
    assert_eq!(event(&mut feed), (3, r#"{"op":"drop","collection":"c","key":null,"value":null}"#.into()));
    let mut again = server.connect("GET /changes HTTP/1.0\r\nlast-event-id: 2\r\nx-rest:", "");
    assert_eq!(event(&mut again).0, 3);

    // Both feeds are open; the server ends them.
    server.stop();
    let mut rest = String::new();
    feed.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
}
