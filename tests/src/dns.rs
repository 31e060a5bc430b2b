//! A name server on a port of its own, over UDP, that answers what a test says (RFC 1035, RFC 2782). It knows A, AAAA and SRV
//! records, and nothing of gateways.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdSocket};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;

/// What a name has.
#[derive(Debug, Clone, Default)]
pub struct Records {
    /// Seconds that they count.
    pub ttl: u32,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Priority, weight, port and target of services.
    pub services: Vec<(u16, u16, u16, String)>,
}

/// How questions are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// By the records.
    Answer,
    /// SERVFAIL.
    Fail,
}

/// A server in the test's own runtime; it ends when it is dropped.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct Zone {
    names: BTreeMap<String, Records>,
    mood: Mood,
    asked: BTreeMap<String, usize>,
}

impl NameServer {
    /// One without names: every question is answered NXDOMAIN.
    ///
    /// # Panics
    /// Without a free port, or outside of a runtime.
    #[must_use]
    pub fn start() -> Self {
        let socket = StdSocket::bind("127.0.0.1:0").expect("a free port");
        socket
            .set_nonblocking(true)
            .expect("a socket that does not block");
        let address = socket.local_addr().expect("a bound socket has an address");
        let socket = UdpSocket::from_std(socket).expect("a runtime around the server");
        let zone = Arc::new(Mutex::new(Zone {
            names: BTreeMap::new(),
            mood: Mood::Answer,
            asked: BTreeMap::new(),
        }));
        let task = tokio::spawn(serve(socket, Arc::clone(&zone)));
        Self { address, zone, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the name (lower case, without a dot at its end) has these records.
    pub fn set(&self, name: &str, records: Records) {
        self.zone().names.insert(name.to_owned(), records);
    }

    /// The name has these addresses, for so many seconds.
    pub fn set_addresses(&self, name: &str, ttl: u32, addresses: &[IpAddr]) {
        self.set(
            name,
            Records {
                ttl,
                addresses: addresses.to_vec(),
                services: Vec::new(),
            },
        );
    }

    /// From now on it answers so.
    pub fn mood(&self, mood: Mood) {
        self.zone().mood = mood;
    }

    /// How many questions there were for a name.
    #[must_use]
    pub fn asked(&self, name: &str) -> usize {
        self.zone().asked.get(name).copied().unwrap_or(0)
    }

    fn zone(&self) -> std::sync::MutexGuard<'_, Zone> {
        self.zone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(socket: UdpSocket, zone: Arc<Mutex<Zone>>) {
    let mut buffer = [0; 1500];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let answer = zone
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .answer(&buffer[..length]);
        if let Some(answer) = answer {
            // Whoever asked may be gone.
            socket.send_to(&answer, peer).await.ok();
        }
    }
}

impl Zone {
    /// None for what is no question.
    fn answer(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = name(query)?;
        let kind = u16::from_be_bytes([*query.get(end)?, *query.get(end + 1)?]);
        *self.asked.entry(name.clone()).or_default() += 1;
        let known = self.names.get(&name);
        let code = match (self.mood, known) {
            (Mood::Fail, _) => 2,
            (Mood::Answer, None) => 3,
            (Mood::Answer, Some(_)) => 0,
        };
        let mut records = Vec::new();
        if let (0, Some(known)) = (code, known) {
            for address in &known.addresses {
                match address {
                    IpAddr::V4(address) if kind == A => records.push(address.octets().to_vec()),
                    IpAddr::V6(address) if kind == AAAA => records.push(address.octets().to_vec()),
                    _ => {}
                }
            }
            for (priority, weight, port, target) in &known.services {
                if kind == SRV {
                    let mut data: Vec<u8> = [priority, weight, port]
                        .iter()
                        .flat_map(|number| number.to_be_bytes())
                        .collect();
                    data.extend(labels(target));
                    records.push(data);
                }
            }
        }
        let ttl = known.map_or(0, |known| known.ttl);
        let mut answer = query[..2].to_vec();
        answer.extend([0x85, 0x80 | code, 0, 1]);
        answer.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
        answer.extend([0; 4]);
        answer.extend(&query[12..end + 4]);
        for data in records {
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1]);
            answer.extend(ttl.to_be_bytes());
            answer.extend(u16::try_from(data.len()).ok()?.to_be_bytes());
            answer.extend(data);
        }
        Some(answer)
    }
}

/// The name of the first question, and where it ends.
fn name(query: &[u8]) -> Option<(String, usize)> {
    let (mut at, mut labels) = (12, Vec::new());
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join(".").to_ascii_lowercase(), at));
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).into_owned());
        at += length;
    }
}

fn labels(name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in name.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).expect("a label of at most 63 bytes"));
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes
}
