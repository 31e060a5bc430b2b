//! Waiting for something to become true: bounded, by looking again and again. Never waits for a time that is to be long enough.

use std::time::Duration;

use tokio::time::{self, Instant};

/// How long anything in a test may take before the test fails. Long, for machines that are busy; a passing test
/// never waits for it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);
/// Between two looks at what is to stand still.
const REST: Duration = Duration::from_millis(100);

/// Looks until `look` gives something.
///
/// # Panics
/// After [`PATIENCE`], with `what` was waited for.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            Instant::now() < end,
            "waited {} s for: {what}",
            PATIENCE.as_secs()
        );
        time::sleep(LOOK).await;
    }
}

/// Looks until the number that `look` gives is above zero and the same twice, a rest apart; gives it.
///
/// # Panics
/// As [`eventually`].
pub async fn at_rest<N: Copy + Default + PartialEq>(what: &str, mut look: impl FnMut() -> N) -> N {
    let mut before = N::default();
    eventually(what, async || {
        time::sleep(REST).await;
        let now = look();
        let rests = now != N::default() && now == before;
        before = now;
        rests.then_some(now)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_looks_until_there_is_something() {
        let mut looks = 0;
        let found = eventually("a third look", async || {
            looks += 1;
            (looks == 3).then_some("there")
        })
        .await;
        assert_eq!(found, "there");
    }

    #[tokio::test(start_paused = true)]
    async fn it_gives_up_and_says_on_what() {
        let waiting = tokio::spawn(eventually("the impossible", async || None::<()>));
        let panic = waiting.await.unwrap_err().into_panic();
        assert_eq!(
            panic.downcast_ref::<String>().unwrap(),
            "waited 20 s for: the impossible"
        );
    }
}
