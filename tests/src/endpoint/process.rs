//! An [`Endpoint`](super::Endpoint) in a process of its own, to be killed as the system kills one. It knows nothing of
//! gateways.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use super::HEALTH;
use crate::patience::eventually;
use crate::request::Request;
use crate::{artifact, client, port};

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Process {
    address: SocketAddr,
    child: Child,
}

impl Process {
    /// Starts one, and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start() -> Self {
        let address = port::later();
        let process = Self {
            address,
            child: spawn(address),
        };
        process.answers().await;
        process
    }

    /// Where it listens, or did.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills it (SIGKILL), and waits for that.
    ///
    /// # Panics
    /// When the system does not let it.
    pub fn kill(&mut self) {
        self.child.kill().expect("a child to kill");
        self.child.wait().expect("a child that ends");
    }

    /// Starts it again on the same port, after [`Self::kill`], and waits until it answers.
    ///
    /// # Panics
    /// When it does not.
    pub async fn restart(&mut self) {
        self.child = spawn(self.address);
        self.answers().await;
    }

    async fn answers(&self) {
        eventually("a server that answers", async || {
            let answer = client::send(self.address, &Request::get(HEALTH)).await;
            answer.ok().filter(|answer| answer.status == 200)
        })
        .await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn spawn(address: SocketAddr) -> Child {
    // It ends when its input does: not even a test that is killed leaves one behind.
    Command::new(artifact::endpoint())
        .arg(address.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("a binary that starts")
}
