//! The active segment: where records are appended, and how the log moves on to a next segment.
//!
//! One writer at a time owns this. It neither retries nor hides a failure; what is lost with a failed call is for the
//! caller to poison.

use crate::error::Result;
use crate::format::clients::Clients;
use crate::format::line::{self, Header, Seal};
use crate::format::segment::{self, Chain};
use crate::storage::Storage;
use std::sync::Arc;

/// A segment file of this database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) name: String,
    pub(crate) first: u64,
    /// The last record's sequence number; `first - 1` while there is none.
    pub(crate) last: u64,
    pub(crate) bytes: u64,
}

/// A place in a segment, and what stands before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The segment's name.
    pub(crate) name: String,
    pub(crate) offset: u64,
    pub(crate) chain: Chain,
}

pub(crate) struct LogWriter<S> {
    storage: Arc<S>,
    store: [u8; 16],
    epoch: u64,
    active: Segment,
    /// The last record in the file.
    chain: Chain,
    unsynced: bool,
    /// The seal that opening found at the end, until it is written anew.
    found_seal: Option<Vec<u8>>,
}

impl<S: Storage> LogWriter<S> {
    /// Goes on in `active`, an existing segment that ends soundly in `chain` and with the line `seal`. What was read
    /// from it may not be durable yet: a process can be killed between writing a seal and syncing it.
    pub(crate) fn resume(
        storage: Arc<S>,
        store: [u8; 16],
        epoch: u64,
        active: Segment,
        chain: Chain,
        seal: Vec<u8>,
    ) -> Self {
        Self { storage, store, epoch, active, chain, unsynced: true, found_seal: Some(seal) }
    }

    /// Writes the seal that opening found anew, before anything comes behind it. Where its sync failed, the page cache
    /// may have it and the medium never get it, and what stands behind such a hole would be lost with it.
    async fn renew_seal(&mut self) -> Result<()> {
        if let Some(seal) = self.found_seal.take() {
            self.unsynced = true;
            let start = self.active.bytes.saturating_sub(seal.len() as u64);
            self.storage.truncate(&self.active.name, start).await?;
            self.storage.append(&self.active.name, &seal).await?;
        }
        Ok(())
    }

    /// Makes a segment that begins after `chain`, durably, with `carried` lines copied from the segment before.
    pub(crate) async fn create(
        storage: Arc<S>,
        header: &Header,
        generation: u32,
        carried: &[u8],
        chain: Chain,
    ) -> Result<Self> {
        let name = segment::file_name(header.first, generation);
        let mut bytes = Vec::with_capacity(256 + carried.len());
        line::encode_header(&mut bytes, header);
        bytes.extend_from_slice(carried);
        storage.create(&name).await?;
        let durable = match storage.append(&name, &bytes).await {
            Ok(()) => storage.sync(&name).await,
            failed => failed,
        };
        if let Err(error) = durable {
            // Nothing was cut or removed for its sake yet, and every further try would leave another one.
            let _ = storage.remove(&name).await;
            return Err(error);
        }
        let active = Segment { name, first: header.first, last: chain.last(), bytes: bytes.len() as u64 };
        let (store, epoch) = (header.store, header.epoch);
        Ok(Self { storage, store, epoch, active, chain, unsynced: false, found_seal: None })
    }

    pub(crate) fn active(&self) -> &Segment {
        &self.active
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Appends lines that lead to `chain`.
    pub(crate) async fn append(&mut self, lines: &[u8], chain: Chain) -> Result<()> {
        self.renew_seal().await?;
        self.unsynced = true;
        self.storage.append(&self.active.name, lines).await?;
        self.active.bytes += lines.len() as u64;
        self.active.last = chain.last();
        self.chain = chain;
        Ok(())
    }

    /// Makes everything appended durable.
    pub(crate) async fn sync(&mut self) -> Result<()> {
        if self.unsynced {
            self.storage.sync(&self.active.name).await?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Writes, durably, that everything so far is durable.
    pub(crate) async fn seal(&mut self, time: u64) -> Result<()> {
        self.sync().await?;
        let mut bytes = Vec::with_capacity(128);
        let seal = Seal { previous: self.chain.previous, watermark: self.chain.last(), time };
        line::encode_seal(&mut bytes, &seal);
        self.append(&bytes, self.chain).await?;
        self.sync().await
    }

    /// Begins the log anew at `chain`, behind a snapshot, in a new epoch. Returns the segment that was active.
    pub(crate) async fn begin_anew(&mut self, epoch: u64, chain: Chain, clients: Clients) -> Result<Segment> {
        let header = Header {
            store: self.store,
            epoch,
            first: chain.next,
            previous: chain.previous,
            previous_len: 0,
            carried: 0,
            clients,
        };
        let next = Self::create(Arc::clone(&self.storage), &header, 0, &[], chain).await?;
        Ok(std::mem::replace(self, next).active)
    }

    /// Moves on to a new segment, whose header keeps `clients`: what they were answered with up to here. Returns the one
    /// that is complete now, all of it durable.
    pub(crate) async fn rotate(&mut self, clients: Clients) -> Result<Segment> {
        self.renew_seal().await?;
        self.sync().await?;
        let header = Header {
            store: self.store,
            epoch: self.epoch,
            first: self.chain.next,
            previous: self.chain.previous,
            previous_len: self.active.bytes,
            carried: 0,
            clients,
        };
        let next = Self::create(Arc::clone(&self.storage), &header, 0, &[], self.chain).await?;
        // Its end is known from the new header; zeros that the storage may have left there go.
        self.storage.truncate(&self.active.name, self.active.bytes).await?;
        Ok(std::mem::replace(self, next).active)
    }
}
