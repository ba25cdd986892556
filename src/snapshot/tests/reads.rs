//! Guards against reading more than is needed: bytes twice, pages one by one, blocks that the cache has.

use super::*;
use crate::format::snapshot::BlockWriter;
use std::sync::Mutex;

/// Keeps where and how much was read.
#[derive(Clone)]
struct Counted {
    inner: MemoryStorage,
    reads: Arc<Mutex<Vec<(u64, usize)>>>,
}

impl Counted {
    fn take(&self) -> Vec<(u64, usize)> {
        std::mem::take(&mut self.reads.lock().unwrap())
    }
}

impl Storage for Counted {
    async fn list(&self) -> Result<Vec<String>> {
        self.inner.list().await
    }
    async fn create(&self, name: &str) -> Result<()> {
        self.inner.create(name).await
    }
    async fn len(&self, name: &str) -> Result<u64> {
        self.inner.len(name).await
    }
    async fn read_at(&self, name: &str, offset: u64, len: usize) -> Result<Vec<u8>> {
        self.reads.lock().unwrap().push((offset, len));
        self.inner.read_at(name, offset, len).await
    }
    async fn append(&self, name: &str, bytes: &[u8]) -> Result<()> {
        self.inner.append(name, bytes).await
    }
    async fn sync(&self, name: &str) -> Result<()> {
        self.inner.sync(name).await
    }
    async fn truncate(&self, name: &str, len: u64) -> Result<()> {
        self.inner.truncate(name, len).await
    }
    async fn remove(&self, name: &str) -> Result<()> {
        self.inner.remove(name).await
    }
}

fn opened(bytes: &[u8], cache: &Arc<BlockCache>) -> (Counted, Arc<Table<Counted>>) {
    let storage = Counted { inner: MemoryStorage::clone(&stored(bytes)), reads: Arc::default() };
    let opened = block_on(Table::open(Arc::new(storage.clone()), NAME, Arc::clone(cache))).unwrap();
    let OpenOutcome::Table(table) = opened else { panic!("an unfinished file") };
    storage.take();
    (storage, Arc::from(table))
}

#[test]
fn a_scan_reads_each_byte_once_and_many_pages_at_a_time() {
    let large = |n: u64| (key("c", format!("{n:05}")), 101 + n, Some(vec![b'x'; 3000]));
    let large: Vec<Entry> = (0..500).map(large).collect();
    for (layout, entries, most) in [(Layout::new(false), large, 12), (SMALL, documents(700), 130)] {
        let (storage, table) = opened(&build(HEADER, layout, &entries, &[]), &Arc::new(BlockCache::new(0)));
        for direction in [Direction::Forward, Direction::Reverse] {
            assert_eq!(scan(&table, ALL, direction, false).unwrap().len(), entries.len());
            let mut reads = storage.take();
            assert!(reads.len() <= most, "{} reads", reads.len());
            // One page may be larger than what is read at once.
            assert!(reads.iter().all(|(_, len)| *len <= 256 << 10));
            reads.sort_unstable();
            let mut end = 64;
            for (offset, len) in reads {
                assert_eq!(offset, end, "{direction:?}");
                end += len as u64;
            }
            assert_eq!(end, table.footer.root.offset);
        }
    }
}

#[test]
fn a_second_read_of_a_document_reads_its_value_alone() {
    let entries = documents(700);
    let cache = Arc::new(BlockCache::new(1 << 20));
    let (storage, table) = opened(&build(HEADER, SMALL, &entries, &[]), &cache);
    let (key, _, value) = &entries[77];
    let len = value.as_ref().unwrap().len();
    block_on(table.get(key)).unwrap();
    assert!(storage.take().len() > 2, "index blocks, a leaf and the value");
    block_on(table.get(key)).unwrap();
    assert_eq!(storage.take().iter().map(|(_, len)| *len).collect::<Vec<_>>(), [len]);
    block_on(table.find(key)).unwrap();
    assert_eq!(storage.take(), []);
}

#[test]
fn the_cache_is_bounded_in_bytes_and_tells_files_apart() {
    let cache = Arc::new(BlockCache::new(64 << 10));
    let one = documents(4000);
    let two: Vec<Entry> = one.iter().map(|(key, sequence, _)| (key.clone(), sequence + 1, None)).collect();
    let tables = [&one, &two].map(|entries| opened(&build(HEADER, SMALL, entries, &[]), &cache).1);
    for (table, entries) in tables.iter().zip([&one, &two]) {
        for (key, sequence, value) in entries {
            assert_eq!(block_on(table.find(key)).unwrap(), Some((*sequence, value.is_some())));
        }
        assert!((32 << 10..=64 << 10).contains(&cache.weight()), "{}", cache.weight());
    }
}

#[test]
fn pages_and_index_blocks_are_closed_where_the_layout_says() {
    let rows = |count: usize, len: usize| -> Vec<Entry> {
        (0..count).map(|n| (key("c", format!("{n:03}")), 101, Some(vec![b'x'; len]))).collect()
    };
    let pages = |layout: Layout, entries: &[Entry]| open(&build(HEADER, layout, entries, &[])).root.count();
    let wide = Layout { leaf: 32 << 10, values: 1 << 20, index: 32 << 10, ..SMALL };
    // By the bytes of their values: closed once they have reached so many.
    assert_eq!(pages(Layout { values: 100, ..wide }, &rows(12, 50)), 6);
    assert_eq!(pages(Layout { values: 101, ..wide }, &rows(12, 50)), 4);
    assert_eq!(pages(wide, &rows(12, 50)), 1);
    // By the bytes of the leaf, which may be so long and no longer.
    let mut three = BlockWriter::default();
    let tail = [0; 8];
    let rows_of_three = rows(9, 50);
    for (key, ..) in &rows_of_three[..2] {
        three.push(key, &tail);
    }
    let exact = three.len_with(&rows_of_three[2].0, tail.len());
    assert_eq!(pages(Layout { leaf: exact, ..wide }, &rows_of_three), 3);
    assert_eq!(pages(Layout { leaf: exact - 1, ..wide }, &rows_of_three), 5);
    // More children than an index block may have make another level.
    let level = |index| {
        open(&build(HEADER, Layout { values: 0, index, ..wide }, &rows(40, 50), &[])).footer.root_level
    };
    assert_eq!((level(32 << 10), level(200)), (1, 2));
    assert!(level(0) > 4);
}
