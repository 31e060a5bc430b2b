//! Interface `types`: bytes that the host keeps.

use bytes::Bytes;
use wasmtime::component::Resource;

use super::imports::types::{Host, HostBlob, Problem};
use super::{HostState, Trap};
use crate::exchange::EditError;

/// Bytes behind a handle. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Blob(pub Bytes);

impl Host for HostState {}

impl HostBlob for HostState {
    fn from_bytes(&mut self, bytes: Vec<u8>) -> Trap<Resource<Blob>> {
        self.keep(bytes)
    }

    fn len(&mut self, blob: Resource<Blob>) -> Trap<u64> {
        Ok(self.table.get(&blob)?.0.len() as u64)
    }

    fn read(&mut self, blob: Resource<Blob>, offset: u64, max: u32) -> Trap<Vec<u8>> {
        let bytes = &self.table.get(&blob)?.0;
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|o| bytes.get(o..))
            .unwrap_or_default();
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        Ok(rest.get(..max).unwrap_or(rest).to_vec())
    }

    fn find(&mut self, blob: Resource<Blob>, needle: Vec<u8>, start: u64) -> Trap<Option<u64>> {
        let bytes = &self.table.get(&blob)?.0;
        let rest = usize::try_from(start).ok().and_then(|s| bytes.get(s..));
        Ok(rest
            .and_then(|rest| memchr::memmem::find(rest, &needle))
            .map(|at| at as u64 + start))
    }

    fn share(&mut self, blob: Resource<Blob>) -> Trap<Resource<Blob>> {
        let bytes = self.table.get(&blob)?.0.clone();
        self.lend(bytes)
    }

    fn drop(&mut self, blob: Resource<Blob>) -> Trap<()> {
        self.take(blob).map(drop)
    }
}

impl From<EditError> for Problem {
    fn from(error: EditError) -> Self {
        match error {
            EditError::Invalid(text) => Self::Invalid(text),
            EditError::WrongPhase => Self::WrongPhase,
            EditError::Limit(text) => Self::Limit(text.to_owned()),
            EditError::Denied(text) => Self::Denied(text),
        }
    }
}
