//! A gate that a test opens: whatever waits at it goes on when, and as often as, the test says.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Shared by the test and what waits.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Semaphore>);

impl Gate {
    /// Lets nothing pass.
    #[must_use]
    pub fn closed() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    /// Lets `count` pass, now or later.
    pub fn open(&self, count: usize) {
        self.0.add_permits(count);
    }

    /// Lets everything pass from now on.
    pub fn open_for_good(&self) {
        self.0.close();
    }

    /// Returns once it is let pass.
    pub async fn pass(&self) {
        // An error means that it was opened for good.
        if let Ok(permit) = self.0.acquire().await {
            permit.forget();
        }
    }
}
