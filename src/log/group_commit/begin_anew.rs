//! The end of an import: the log goes on elsewhere, and other contents show, in one step.

use super::{GroupCommit, Lead, read_only};
use crate::error::Result;
use crate::format::segment::Chain;
use crate::log::queue::Want;
use crate::log::writer::Segment;
use crate::snapshot::Table;
use crate::storage::Storage;
use std::sync::Arc;

impl<S: Storage> GroupCommit<S> {
    /// Begins the log anew at `chain` and shows `table` and nothing else. Nothing may be on its way: writes are held back.
    /// Returns the segments and tables that were replaced.
    pub(crate) async fn begin_anew(
        &self,
        epoch: u64,
        chain: Chain,
        table: Arc<Table<S>>,
    ) -> Result<(Vec<Segment>, Vec<Arc<Table<S>>>)> {
        self.wait(Want::Turn, true).await?;
        let mut lead = Lead { commit: self, done: false };
        let clients = self.queue().clients_now();
        let Some(mut writer) = self.writer().take() else {
            return lead.end(Err(read_only())).map(|()| Default::default());
        };
        if let Err(error) = writer.begin_anew(epoch, chain, clients).await {
            return lead.end(Err(error)).map(|()| Default::default());
        }
        let active = writer.active().clone();
        *self.writer() = Some(writer);
        let mut queue = self.queue();
        let segments = queue.begin_anew(chain, active);
        let tables = self.state.replace(table, chain.last());
        lead.done = true;
        self.pass_on(queue);
        Ok((segments, tables))
    }
}
