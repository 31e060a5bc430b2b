//! What any gateway under test can be asked from outside, wherever it runs: requests, the admin listener, and
//! changes of its folder.

use std::net::SocketAddr;
use std::ops::Deref;

use serde_json::Value;

use crate::client::{self, Answer, Connection};
use crate::gateway::folder::Folder;
use crate::patience::eventually;
use crate::request::Request;
use crate::wire::Fault;

/// A gateway's folder and addresses. Changes of the folder are [`Folder`]'s.
#[derive(Debug)]
pub struct Site {
    folder: Folder,
    public: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Site {
    pub(crate) fn new(folder: Folder, public: SocketAddr, admin: Option<SocketAddr>) -> Self {
        Self {
            folder,
            public,
            admin,
        }
    }

    /// Where the listener `public` listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.public
    }

    /// Where the admin listener listens.
    ///
    /// # Panics
    /// When the test turned it off.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin.expect("an admin listener")
    }

    /// GET on a connection of its own.
    ///
    /// # Panics
    /// Without a proper answer.
    pub async fn get(&self, target: &str) -> Answer {
        self.send(&Request::get(target)).await
    }

    /// A request on a connection of its own.
    ///
    /// # Panics
    /// Without a proper answer.
    pub async fn send(&self, request: &Request) -> Answer {
        match self.try_send(request).await {
            Ok(answer) => answer,
            Err(fault) => panic!("{request:?}: {fault:?}"),
        }
    }

    /// A request on a connection of its own, answered properly or not.
    ///
    /// # Errors
    /// Without a proper answer.
    pub async fn try_send(&self, request: &Request) -> Result<Answer, Fault> {
        client::send(self.public, request).await
    }

    /// A connection for several requests, or for bytes as they are.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn connect(&self) -> Connection {
        Connection::open(self.public)
            .await
            .expect("a listener that accepts")
    }

    /// `/status` of the admin listener.
    ///
    /// # Panics
    /// Without a 200.
    pub async fn status(&self) -> Value {
        self.ask("/status").await.json()
    }

    /// `/metrics` of the admin listener.
    ///
    /// # Panics
    /// Without a 200.
    pub async fn metrics(&self) -> String {
        self.ask("/metrics").await.text().to_owned()
    }

    /// The value of one series in [`Site::metrics`], `name{label="value"}` as it is written there; none if it is not.
    ///
    /// # Panics
    /// As [`Site::metrics`].
    pub async fn metric(&self, series: &str) -> Option<f64> {
        value_of(&self.metrics().await, series)
    }

    /// Waits until the status is as `condition` says, and gives it.
    ///
    /// # Panics
    /// When it does not become so.
    pub async fn wait_for(&self, condition: impl Fn(&Value) -> bool) -> Value {
        eventually("a status", async || Some(self.status().await).filter(&condition)).await
    }

    /// Waits until the answer to `GET target` is as `condition` says, and gives it.
    ///
    /// # Panics
    /// When it does not become so.
    pub async fn wait_for_answer(&self, target: &str, condition: impl Fn(&Answer) -> bool) -> Answer {
        eventually(&format!("an answer to GET {target}"), async || {
            Some(self.get(target).await).filter(&condition)
        })
        .await
    }

    async fn ask(&self, target: &str) -> Answer {
        let answer = client::send(self.admin(), &Request::get(target))
            .await
            .expect("an admin listener that answers");
        assert_eq!(answer.status, 200, "{target}: {answer:?}");
        answer
    }
}

impl Deref for Site {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

fn value_of(metrics: &str, series: &str) -> Option<f64> {
    metrics
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_by_its_whole_name() {
        let text = "# HELP a b\na_total{r=\"x\"} 3\na_total{r=\"xy\"} 4\nb 1.5\n";
        assert_eq!(value_of(text, "a_total{r=\"x\"}"), Some(3.0));
        assert_eq!(value_of(text, "b"), Some(1.5));
        assert_eq!(value_of(text, "a_total"), None);
    }
}
