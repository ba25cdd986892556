//! The key file of a database: finding the one that counts, making the first, replacing it.

use super::key::{self, DataKey, Key};
use crate::error::{Error, ErrorKind, Result};
use crate::format::sealed::{key_file_name as file_name, parse_key_file_name};
use crate::options::Environment;
use crate::storage::Storage;

/// The database's own key, or a new one, and its key file.
pub(super) async fn open_key<S: Storage>(
    inner: &S,
    key: &Key,
    random: &dyn Environment,
) -> Result<(DataKey, Vec<u8>)> {
    let names = inner.list().await?;
    let generations = key::generations(inner).await?;
    let mut torn = Vec::new();
    for (at, generation) in generations.iter().enumerate() {
        let name = file_name(*generation);
        let content = key::read(inner, &name).await?;
        if !key::is_whole(&content) {
            torn.push(name);
            continue;
        }
        let data = key::unwrap(&content, &name, key)?;
        let others = torn.into_iter().chain(generations.iter().skip(at + 1).map(|old| file_name(*old)));
        settle(inner, &name, others).await?;
        return Ok((data, content));
    }
    if names.iter().any(|name| parse_key_file_name(name).is_none()) {
        return Err(match torn.into_iter().next() {
            Some(name) => Error::corrupt(
                name,
                0,
                "the key file is damaged; put a copy of it back, for without it nothing opens",
            ),
            None => {
                Error::new(ErrorKind::InvalidArgument, "the database is not encrypted; open it without a key")
            }
        });
    }
    let data = DataKey::new(random)?;
    let name = file_name(generations.first().copied().unwrap_or(0).saturating_add(1));
    let content = key::wrap(&data, key, random)?;
    key::write(inner, &name, &content).await.map_err(|error| match error.kind() {
        ErrorKind::ReadOnly => {
            Error::new(ErrorKind::NotFound, "there is no database to read; open it for writing to make one")
        }
        _ => error,
    })?;
    settle(inner, &name, torn.into_iter()).await?;
    Ok((data, content))
}

/// Makes the key file that counts durable, for a process may have been killed before its sync, and then removes what an
/// interrupted change of the key has left beside it. A handle that only reads leaves both to others.
async fn settle<S: Storage>(inner: &S, counts: &str, others: impl Iterator<Item = String>) -> Result<()> {
    let settled = async {
        inner.sync(counts).await?;
        for name in others {
            inner.remove(&name).await?;
        }
        Result::Ok(())
    };
    match settled.await {
        Err(error) if error.kind() == ErrorKind::ReadOnly => Ok(()),
        settled => settled,
    }
}

/// Makes `content` the key file that counts.
pub(super) async fn put_key<S: Storage>(inner: &S, content: &[u8]) -> Result<()> {
    let there = key::generations(inner).await?;
    if let Some(newest) = there.first()
        && key::read(inner, &file_name(*newest)).await? == content
    {
        return Ok(());
    }
    let name = file_name(there.first().copied().unwrap_or(0).saturating_add(1));
    let written = key::write(inner, &name, content).await;
    if written.is_err() {
        // A whole one would count.
        inner.remove(&name).await?;
    }
    written?;
    for old in there {
        inner.remove(&file_name(old)).await?;
    }
    Ok(())
}
