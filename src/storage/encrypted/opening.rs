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
    for generation in &generations {
        let name = file_name(*generation);
        let content = key::read(inner, &name).await?;
        if !key::is_whole(&content) {
            torn.push(name);
            continue;
        }
        let data = key::unwrap(&content, &name, key)?;
        settle(inner, &content, &generations, has_files(&names)).await?;
        return Ok((data, content));
    }
    if has_files(&names) {
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
    let content = key::wrap(&data, key, random)?;
    write_next(inner, &content, &generations).await.map_err(|error| match error.kind() {
        ErrorKind::ReadOnly => {
            Error::new(ErrorKind::NotFound, "there is no database to read; open it for writing to make one")
        }
        _ => error,
    })?;
    remove_all(inner, &generations).await?;
    Ok((data, content))
}

fn has_files(names: &[String]) -> bool {
    names.iter().any(|name| parse_key_file_name(name).is_none())
}

/// Has the key file that counts, whose content this is, on the medium, and removes what an interrupted change of the
/// key has left beside it. A handle that only reads leaves both to others.
async fn settle<S: Storage>(inner: &S, content: &[u8], generations: &[u32], in_use: bool) -> Result<()> {
    let settled = match generations {
        // Nothing else is written, and no other one removed, before it is on the medium.
        [only] if in_use => inner.sync(&file_name(*only)).await,
        // Where its sync has failed it may be in the system's cache only: it reads as it should, and another sync
        // does nothing.
        _ => match write_next(inner, content, generations).await {
            Ok(()) => remove_all(inner, generations).await,
            failed => failed,
        },
    };
    match settled {
        Err(error) if error.kind() == ErrorKind::ReadOnly => Ok(()),
        settled => settled,
    }
}

/// Makes `content` the key file that counts, beside those of `generations`, which are all there are.
pub(super) async fn write_next<S: Storage>(inner: &S, content: &[u8], generations: &[u32]) -> Result<()> {
    let Some(next) = generations.first().copied().unwrap_or(0).checked_add(1) else {
        let message = "the key file has the last number there is; rename it to `encryption.1.key`";
        return Err(Error::new(ErrorKind::Unsupported, message));
    };
    let name = file_name(next);
    let Err(error) = key::write(inner, &name, content).await else { return Ok(()) };
    // A whole one would count.
    match inner.remove(&name).await {
        Ok(()) => Err(error),
        Err(kept) if matches!(kept.kind(), ErrorKind::NotFound | ErrorKind::ReadOnly) => Err(error),
        Err(_) => {
            let message = format!(
                "{error}; nor could what was written of the key file be removed, so either key may open the database: \
                 keep both"
            );
            Err(Error::new(error.kind(), message))
        }
    }
}

/// Removes the key files of `generations`, behind which there is another one that counts.
pub(super) async fn remove_all<S: Storage>(inner: &S, generations: &[u32]) -> Result<()> {
    for generation in generations {
        match inner.remove(&file_name(*generation)).await {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
