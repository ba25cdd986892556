//! A snapshot file in place: opening it, and finding single entries.
//!
//! Opening reads the header, the footer, the root of the index and the drops, whatever the number of documents. A
//! point read looks up blocks in the cache and reads exactly the value. Every block and value is checked against its
//! checksum when it is read; damage is an error that names file and offset.

use super::BlockCache;
use crate::error::{Error, ErrorKind, Result};
use crate::format::snapshot::{
    Block, CHECKSUM_LEN, Child, CollectionCount, Drops, FOOTER_LEN, Footer, HEADER_LEN, KIND_INDEX,
    KIND_LEAF, LeafEntry, SnapshotHeader, Span, Symbols, Unreadable, ValueAt, decode_counts, decode_drops,
    floor, value_checksum,
};
use crate::sorted_map::SortedMap;
use crate::storage::Storage;
use crate::sync::{Mutex, MutexGuard, PoisonError};
use bytes::Bytes;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// What a file that should be a snapshot turned out to be.
pub(crate) enum OpenOutcome<S> {
    /// A snapshot whose writing was finished.
    Table(Box<Table<S>>),
    /// The file does not end in a valid footer: what a write leaves that was cut short. The error says so.
    NoFooter(Error),
}

/// An entry as a point read finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) sequence: u64,
    /// `None` for a tombstone.
    pub(crate) value: Option<Bytes>,
}

/// An open snapshot file.
pub(crate) struct Table<S> {
    storage: Arc<S>,
    cache: Arc<BlockCache>,
    file: u64,
    name: String,
    pub(super) footer: Footer,
    pub(super) root: Block,
    drops: Drops,
    /// Those that were read first, with their offset: where documents look alike there are no others, and readers find them without
    /// waiting for each other.
    first_symbols: OnceLock<(u64, Arc<Symbols>)>,
    /// By their offset, those that were read last.
    other_symbols: Mutex<SortedMap<u64, Arc<Symbols>>>,
}

/// How many of the others a file keeps in memory, of 2.3 KB each.
const MAX_OTHER_SYMBOLS: usize = 64;

/// Symbols of a [`Table`].
pub(super) enum SymbolsOf<'t> {
    First(&'t Arc<Symbols>),
    Other(Arc<Symbols>),
}

impl Deref for SymbolsOf<'_> {
    type Target = Arc<Symbols>;

    fn deref(&self) -> &Arc<Symbols> {
        match self {
            Self::First(symbols) => symbols,
            Self::Other(symbols) => symbols,
        }
    }
}

/// Where an entry was found: the start of its page's values, their length, its leaf and its index there.
struct Location {
    child: Child,
    leaf: Block,
    index: usize,
}

impl<S: Storage> Table<S> {
    /// Opens the file `name`.
    ///
    /// # Errors
    /// [`Corrupt`](ErrorKind::Corrupt) when the footer is sound and something else is not,
    /// [`Version`](ErrorKind::Version) when a newer version wrote the file, and failures of the storage.
    pub(crate) async fn open(storage: Arc<S>, name: &str, cache: Arc<BlockCache>) -> Result<OpenOutcome<S>> {
        let file_len = storage.len(name).await?;
        let header = SnapshotHeader::decode(&storage.read_at(name, 0, HEADER_LEN).await?);
        // Before the footer, which a newer version may have made longer.
        if let Err(Unreadable::Newer(version)) = header {
            return Err(newer(name, version));
        }
        let footer_offset = file_len.saturating_sub(FOOTER_LEN as u64);
        let footer = storage.read_at(name, footer_offset, FOOTER_LEN).await?;
        let footer = match Footer::decode(&footer, file_len) {
            Ok(footer) => footer,
            Err(Unreadable::Newer(version)) => return Err(newer(name, version)),
            Err(Unreadable::Damaged) => {
                return Ok(OpenOutcome::NoFooter(Error::corrupt(
                    name,
                    footer_offset,
                    "the snapshot does not end in a valid footer: its writing was not finished",
                )));
            }
        };
        if header != Ok(footer.header) {
            return Err(Error::corrupt(
                name,
                0,
                "the snapshot's header is damaged; restore it from a backup",
            ));
        }
        // The drops follow the root: one read for both. The footer's spans lie inside the file.
        let span = Span { offset: footer.root.offset, len: footer.drops.end() - footer.root.offset };
        let mut bytes = Bytes::from(read_span(&*storage, name, span).await?);
        let section =
            bytes.split_off(usize::try_from(footer.root.len).unwrap_or(usize::MAX).min(bytes.len()));
        let root = Block::open(&bytes, KIND_INDEX).and_then(Block::with_heads);
        let root = root.ok_or_else(|| damaged(name, footer.root.offset))?;
        let drops = decode_drops(&section).ok_or_else(|| damaged(name, footer.drops.offset))?;
        let file = cache.new_file();
        let name = name.to_owned();
        Ok(OpenOutcome::Table(Box::new(Self {
            storage,
            cache,
            file,
            name,
            footer,
            root,
            drops,
            first_symbols: OnceLock::new(),
            other_symbols: Mutex::default(),
        })))
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn store_id(&self) -> [u8; 16] {
        self.footer.header.store_id
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.footer.header.epoch
    }

    pub(crate) fn base(&self) -> u64 {
        self.footer.header.base
    }

    pub(crate) fn sequence(&self) -> u64 {
        self.footer.header.sequence
    }

    /// Documents and tombstones.
    pub(crate) fn entries(&self) -> u64 {
        self.footer.entries
    }

    /// Live documents.
    pub(crate) fn documents(&self) -> u64 {
        self.footer.documents
    }

    pub(crate) fn file_len(&self) -> u64 {
        self.footer.file_len
    }

    /// Collections dropped after the base, in order of names, with the sequence number of the drop.
    pub(crate) fn drops(&self) -> &[(String, u64)] {
        &self.drops
    }

    /// When `collection` was dropped after the base: hides what older files hold of it.
    pub(crate) fn drop_of(&self, collection: &[u8]) -> Option<u64> {
        let index = self.drops.binary_search_by(|(name, _)| name.as_bytes().cmp(collection)).ok()?;
        self.drops.get(index).map(|(_, sequence)| *sequence)
    }

    /// The entry of `key`, with its value.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Found>> {
        let Some(Location { child, leaf, index }) = self.locate(key).await? else { return Ok(None) };
        let entry = self.leaf_entry(&leaf, child, index)?;
        let sequence = self.sequence_of(&entry);
        let Some(at) = entry.value else { return Ok(Some(Found { sequence, value: None })) };
        let place = child.offset + at.offset as u64;
        let mut value = self.storage.read_at(&self.name, place, at.len).await?;
        let mut is_sound = value.len() == at.len;
        if let Some(len) = at.unpacked {
            let symbols = self.symbols(&leaf, child).await?;
            let packed = std::mem::take(&mut value);
            is_sound &= symbols.is_some_and(|symbols| symbols.unpack(&packed, len, &mut value).is_some());
        }
        if !is_sound || value_checksum(&value) != at.checksum {
            return Err(self.damaged_value(place));
        }
        Ok(Some(Found { sequence, value: Some(value.into()) }))
    }

    /// What the packed values of a child's leaf are unpacked with; `None` for a leaf that is not packed.
    pub(super) async fn symbols(&self, leaf: &Block, child: Child) -> Result<Option<SymbolsOf<'_>>> {
        let Some(span) = leaf.symbols() else { return Ok(None) };
        if let Some(kept) = self.kept_symbols(span.offset) {
            return Ok(Some(kept));
        }
        let symbols = Arc::new(self.read_symbols(span, child).await?);
        if self.first_symbols.set((span.offset, Arc::clone(&symbols))).is_err() {
            let mut others = self.other_symbols();
            if others.len() >= MAX_OTHER_SYMBOLS {
                *others = SortedMap::default();
            }
            others.insert(span.offset, Arc::clone(&symbols));
        }
        Ok(Some(SymbolsOf::Other(symbols)))
    }

    fn kept_symbols(&self, offset: u64) -> Option<SymbolsOf<'_>> {
        match self.first_symbols.get() {
            Some((first, symbols)) if *first == offset => Some(SymbolsOf::First(symbols)),
            _ => self.other_symbols().get(&offset).cloned().map(SymbolsOf::Other),
        }
    }

    fn other_symbols(&self) -> MutexGuard<'_, SortedMap<u64, Arc<Symbols>>> {
        self.other_symbols.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Symbols from the file, which lie before the child that uses them.
    pub(super) async fn read_symbols(&self, span: Span, child: Child) -> Result<Symbols> {
        let is_before = span
            .offset
            .checked_add(span.len)
            .is_some_and(|end| span.offset >= HEADER_LEN as u64 && end <= child.offset);
        if !is_before {
            return Err(self.damaged(block_offset(child)));
        }
        Symbols::decode(&self.read(span).await?).ok_or_else(|| self.damaged(span.offset))
    }

    /// The sequence number of `key`'s entry and whether it has a value, without reading the value.
    pub(crate) async fn find(&self, key: &[u8]) -> Result<Option<(u64, bool)>> {
        let Some(Location { child, leaf, index }) = self.locate(key).await? else { return Ok(None) };
        let entry = self.leaf_entry(&leaf, child, index)?;
        Ok(Some((self.sequence_of(&entry), entry.value.is_some())))
    }

    /// Every collection's live documents and tombstones in this file, in order of names.
    pub(crate) async fn counts(&self) -> Result<Vec<CollectionCount>> {
        let bytes = read_span(&*self.storage, &self.name, self.footer.counts).await?;
        decode_counts(&bytes).ok_or_else(|| self.damaged(self.footer.counts.offset))
    }

    async fn locate(&self, key: &[u8]) -> Result<Option<Location>> {
        let mut held;
        let mut block = &self.root;
        let mut offset = self.footer.root.offset;
        let mut level = self.footer.root_level;
        loop {
            let found = block.search(key).ok_or_else(|| self.damaged(offset))?;
            let Some(index) = floor(found) else { return Ok(None) };
            let child = self.child(block, offset, index)?;
            level -= 1;
            if level == 0 {
                let leaf = self.block(child, KIND_LEAF).await?;
                let found = leaf.search(key).ok_or_else(|| self.damaged(block_offset(child)))?;
                return Ok(found.ok().map(|index| Location { child, leaf, index }));
            }
            held = self.block(child, KIND_INDEX).await?;
            offset = block_offset(child);
            block = &held;
        }
    }

    /// The child at `index` of the index block at `offset`. It lies before that block, so no path is endless.
    pub(super) fn child(&self, block: &Block, offset: u64, index: usize) -> Result<Child> {
        let child = block.child(index).ok_or_else(|| self.damaged(offset))?;
        let end = child.offset.checked_add(child.values_len).and_then(|end| end.checked_add(child.block_len));
        let sound = child.offset >= HEADER_LEN as u64
            && child.block_len > CHECKSUM_LEN as u64
            && end.is_some_and(|end| end <= offset);
        if sound { Ok(child) } else { Err(self.damaged(offset)) }
    }

    /// An entry of a child's leaf, its numbers checked against the page and the file.
    #[inline]
    pub(super) fn leaf_entry<'a>(
        &self,
        leaf: &'a Block,
        child: Child,
        index: usize,
    ) -> Result<LeafEntry<'a>> {
        let header = &self.footer.header;
        let inside =
            |at: ValueAt| at.offset.checked_add(at.len).is_some_and(|end| end as u64 <= child.values_len);
        match leaf.leaf_entry(index) {
            Some(entry)
                if entry.value.is_none_or(inside)
                    && entry.sequence_above_base > 0
                    && entry.sequence_above_base <= header.sequence - header.base =>
            {
                Ok(entry)
            }
            _ => Err(self.damaged(block_offset(child))),
        }
    }

    #[inline]
    pub(super) fn sequence_of(&self, entry: &LeafEntry<'_>) -> u64 {
        self.footer.header.base + entry.sequence_above_base
    }

    /// A block, from the cache where it is there.
    pub(super) async fn block(&self, child: Child, kind: u8) -> Result<Block> {
        let offset = block_offset(child);
        if let Some(block) = self.cached(child) {
            return Ok(block);
        }
        let block = self.read_block(child, kind).await?.with_heads().ok_or_else(|| self.damaged(offset))?;
        self.cache.insert(self.file, offset, block.clone());
        Ok(block)
    }

    pub(super) fn cached(&self, child: Child) -> Option<Block> {
        self.cache.get(self.file, block_offset(child))
    }

    /// A block from the file, past the cache.
    pub(super) async fn read_block(&self, child: Child, kind: u8) -> Result<Block> {
        let span = Span { offset: block_offset(child), len: child.block_len };
        let bytes = self.read(span).await?;
        Block::open(&bytes, kind).ok_or_else(|| self.damaged(span.offset))
    }

    /// The bytes of a span inside the file, all of them.
    pub(super) async fn read(&self, span: Span) -> Result<Bytes> {
        read_span(&*self.storage, &self.name, span).await.map(Bytes::from)
    }

    /// The same, in place of what `buffer` holds.
    pub(super) async fn read_into(&self, span: Span, buffer: &mut Vec<u8>) -> Result<()> {
        read_span_into(&*self.storage, &self.name, span, buffer).await
    }

    pub(super) fn damaged(&self, offset: u64) -> Error {
        damaged(&self.name, offset)
    }

    pub(super) fn damaged_value(&self, offset: u64) -> Error {
        Error::corrupt(
            &*self.name,
            offset,
            "a document of the snapshot does not match its checksum; restore from a backup, or salvage the rest",
        )
    }
}

/// Where the block of a child begins, behind its values. The child was checked to lie inside the file.
#[inline]
pub(super) fn block_offset(child: Child) -> u64 {
    child.offset + child.values_len
}

fn damaged(name: &str, offset: u64) -> Error {
    Error::corrupt(
        name,
        offset,
        "a block of the snapshot does not match its checksum; restore from a backup, or salvage the rest",
    )
}

fn newer(name: &str, version: u32) -> Error {
    Error::new(
        ErrorKind::Version,
        format!("{name} is a snapshot of format version {version}; open it with a newer version of Pumice"),
    )
}

/// `span` lies inside the file's length, so what is allocated is bounded by what the file has.
async fn read_span<S: Storage>(storage: &S, name: &str, span: Span) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    read_span_into(storage, name, span, &mut bytes).await?;
    Ok(bytes)
}

async fn read_span_into<S: Storage>(storage: &S, name: &str, span: Span, bytes: &mut Vec<u8>) -> Result<()> {
    let len = usize::try_from(span.len).map_err(|_| damaged(name, span.offset))?;
    storage.read_into(name, span.offset, len, bytes).await?;
    if bytes.len() == len {
        Ok(())
    } else {
        Err(Error::corrupt(name, span.offset, "the snapshot ends too early"))
    }
}
