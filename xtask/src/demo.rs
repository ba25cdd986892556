//! `cargo xtask demo`: the demo page, served from `www/` with the npm package of this tree beside it.

use crate::package;
use anyhow::{Context, Result};
use axum::Router;
use axum::http::{HeaderValue, header::CACHE_CONTROL};
use std::net::Ipv4Addr;
use tokio::net::TcpListener;
use tower_http::services::ServeDir;
use tower_http::set_header::SetResponseHeaderLayer;
use xshell::Shell;

/// Builds the package and serves the page until it is interrupted.
pub fn run(sh: &Shell, port: u16) -> Result<()> {
    package::run(sh)?;
    let root = sh.current_dir();
    // The page's own service worker keeps what it needs; a browser's cache would only hide a change.
    let fresh = SetResponseHeaderLayer::overriding(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let app = Router::new()
        .nest_service("/pkg", ServeDir::new(root.join("pkg")))
        .fallback_service(ServeDir::new(root.join("www")))
        .layer(fresh);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| {
            format!("cannot listen on port {port}; choose another one with `cargo xtask demo --port 0`")
        })?;
        println!(
            "\nThe demo page is at http://localhost:{}/ (Ctrl-C ends it)",
            listener.local_addr()?.port()
        );
        axum::serve(listener, app).await.context("the server stopped")
    })
}
