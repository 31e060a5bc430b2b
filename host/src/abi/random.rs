//! Interface `random`: fresh from the host at every call, whatever a guest's own generator repeats.

use super::imports::random::Host;
use super::{HostState, Trap};

/// Bytes that one call may ask for.
const MAX: u32 = 64 << 10;

impl Host for HostState {
    fn bytes(&mut self, len: u32) -> Trap<Vec<u8>> {
        if len > MAX {
            wasmtime::bail!("random.bytes gives at most {MAX} bytes a call, not {len}");
        }
        let mut bytes = vec![0; usize::try_from(len)?];
        fill(&mut bytes)?;
        Ok(bytes)
    }

    fn unsigned(&mut self) -> Trap<u64> {
        let mut bytes = [0; 8];
        fill(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}

/// The kernel's generator (getrandom(2)); it does not block once the system is up.
fn fill(bytes: &mut [u8]) -> Trap<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let n = rustix::rand::getrandom(&mut *rest, rustix::rand::GetRandomFlags::empty())?;
        rest = rest.get_mut(n..).unwrap_or_default();
    }
    Ok(())
}
