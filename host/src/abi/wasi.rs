//! WASI 0.2 for guests, as far as standard libraries need it and never waiting: clocks and random are
//! real; arguments, environment and files are empty; sockets are refused; stdout and stderr become log
//! lines; sleeping or blocking ends the guest with a clear text. wasmtime-wasi's own synchronous shims
//! would block a worker, its asynchronous ones would force every guest onto a fiber, so the interfaces
//! that could wait are implemented here over `poll_noop`.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use wasmtime::component::{HasData, HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream, WasiCli, WasiCliView};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::filesystem::{WasiFilesystem, WasiFilesystemView};
use wasmtime_wasi::p2::bindings::{cli, clocks, filesystem, random, sockets, sync};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, DynPollable, OutputStream, Pollable, StreamError, StreamResult,
    UdpSocket, subscribe,
};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView};
use wasmtime_wasi::runtime::poll_noop;
use wasmtime_wasi::sockets::{WasiSockets, WasiSocketsView};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, async_trait};
use wasmtime_wasi_io::bindings::wasi::io::{error as io_error, poll as io_poll, streams as io_streams};

use super::{HostState, log};

/// Version of WASI that wasmtime 48 offers.
const UDP_CREATE: &str = "wasi:sockets/udp-create-socket@0.2.12";
/// What a guest that tries to wait is told.
const WAITS: &str = "a plugin may not wait in WASI (sleep, poll, or a blocking stream)";
/// Bytes of one line on stdout or stderr.
const MAX_LINE: usize = 8 << 10;

/// Everything closed but clocks, random and the output.
pub(super) fn context(output: &Output) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder
        .stdout(Lines {
            output: output.clone(),
            level: tracing::Level::INFO,
        })
        .stderr(Lines {
            output: output.clone(),
            level: tracing::Level::WARN,
        })
        .max_random_size(64 << 10)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    builder.build()
}

/// Adds the interfaces one by one.
pub(super) fn link(l: &mut Linker<HostState>) -> wasmtime::Result<()> {
    type S = HostState;
    clocks::wall_clock::add_to_linker::<S, WasiClocks>(l, S::clocks)?;
    clocks::monotonic_clock::add_to_linker::<S, HasNoWait>(l, |s| NoWait(&mut s.table))?;
    random::random::add_to_linker::<S, WasiRandom>(l, S::random)?;
    random::insecure::add_to_linker::<S, WasiRandom>(l, S::random)?;
    random::insecure_seed::add_to_linker::<S, WasiRandom>(l, S::random)?;
    cli::exit::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::environment::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::stdin::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::stdout::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::stderr::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::terminal_input::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::terminal_output::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::terminal_stdin::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::terminal_stdout::add_to_linker::<S, WasiCli>(l, S::cli)?;
    cli::terminal_stderr::add_to_linker::<S, WasiCli>(l, S::cli)?;
    filesystem::preopens::add_to_linker::<S, WasiFilesystem>(l, S::filesystem)?;
    sync::filesystem::types::add_to_linker::<S, WasiFilesystem>(l, S::filesystem)?;
    io_error::add_to_linker::<S, HasSelf<ResourceTable>>(l, |s| &mut s.table)?;
    sync::io::poll::add_to_linker::<S, HasNoWait>(l, |s| NoWait(&mut s.table))?;
    sync::io::streams::add_to_linker::<S, HasNoWait>(l, |s| NoWait(&mut s.table))?;
    sockets::instance_network::add_to_linker::<S, WasiSockets>(l, S::sockets)?;
    let options = sockets::network::LinkOptions::default();
    sockets::network::add_to_linker::<S, WasiSockets>(l, &options, S::sockets)?;
    sockets::ip_name_lookup::add_to_linker::<S, WasiSockets>(l, S::sockets)?;
    sockets::tcp_create_socket::add_to_linker::<S, WasiSockets>(l, S::sockets)?;
    sync::sockets::tcp::add_to_linker::<S, WasiSockets>(l, S::sockets)?;
    sync::sockets::udp::add_to_linker::<S, WasiSockets>(l, S::sockets)?;
    // The stock one calls `block_on`.
    use sockets::network::{ErrorCode, IpAddressFamily};
    l.instance(UDP_CREATE)?.func_wrap(
        "create-udp-socket",
        |_: wasmtime::StoreContextMut<'_, S>, (_,): (IpAddressFamily,)| {
            Ok((Err::<Resource<UdpSocket>, ErrorCode>(ErrorCode::AccessDenied),))
        },
    )
}

fn now_or_trap<T>(future: impl Future<Output = T>) -> wasmtime::Result<T> {
    poll_noop(pin!(future)).ok_or_else(|| wasmtime::format_err!("{WAITS}"))
}

fn stream_now_or_trap<T>(future: impl Future<Output = StreamResult<T>>) -> StreamResult<T> {
    poll_noop(pin!(future)).unwrap_or_else(|| Err(StreamError::trap(WAITS)))
}

/// The guest's resources, served without waiting.
struct NoWait<'a>(&'a mut ResourceTable);

struct HasNoWait;

impl HasData for HasNoWait {
    type Data<'a> = NoWait<'a>;
}

struct Deadline(Instant);

#[async_trait]
impl Pollable for Deadline {
    async fn ready(&mut self) {
        if Instant::now() < self.0 {
            std::future::pending::<()>().await;
        }
    }
}

impl NoWait<'_> {
    fn deadline(&mut self, wait: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let wait = Duration::from_nanos(wait.min(1 << 60));
        let deadline = self.0.push(Deadline(Instant::now() + wait))?;
        subscribe(self.0, deadline)
    }
}

impl clocks::monotonic_clock::Host for NoWait<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(crate::clock::monotonic_ns())
    }
    fn resolution(&mut self) -> wasmtime::Result<u64> {
        Ok(1)
    }
    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.deadline(when.saturating_sub(crate::clock::monotonic_ns()))
    }
    fn subscribe_duration(&mut self, wait: u64) -> wasmtime::Result<Resource<DynPollable>> {
        self.deadline(wait)
    }
}

impl sync::io::poll::Host for NoWait<'_> {
    fn poll(&mut self, list: Vec<Resource<DynPollable>>) -> wasmtime::Result<Vec<u32>> {
        now_or_trap(io_poll::Host::poll(self.0, list))?
    }
}

impl sync::io::poll::HostPollable for NoWait<'_> {
    fn ready(&mut self, p: Resource<DynPollable>) -> wasmtime::Result<bool> {
        now_or_trap(io_poll::HostPollable::ready(self.0, p))?
    }
    fn block(&mut self, p: Resource<DynPollable>) -> wasmtime::Result<()> {
        now_or_trap(io_poll::HostPollable::block(self.0, p))?
    }
    fn drop(&mut self, p: Resource<DynPollable>) -> wasmtime::Result<()> {
        io_poll::HostPollable::drop(self.0, p)
    }
}

impl sync::io::streams::Host for NoWait<'_> {
    fn convert_stream_error(&mut self, e: StreamError) -> wasmtime::Result<sync::io::streams::StreamError> {
        Ok(io_streams::Host::convert_stream_error(self.0, e)?.into())
    }
}

type Out = Resource<DynOutputStream>;
type In = Resource<DynInputStream>;

impl sync::io::streams::HostOutputStream for NoWait<'_> {
    fn drop(&mut self, s: Out) -> wasmtime::Result<()> {
        self.0.delete(s)?;
        Ok(())
    }
    fn check_write(&mut self, s: Out) -> StreamResult<u64> {
        io_streams::HostOutputStream::check_write(self.0, s)
    }
    fn write(&mut self, s: Out, bytes: Vec<u8>) -> StreamResult<()> {
        io_streams::HostOutputStream::write(self.0, s, bytes)
    }
    fn blocking_write_and_flush(&mut self, s: Out, bytes: Vec<u8>) -> StreamResult<()> {
        stream_now_or_trap(io_streams::HostOutputStream::blocking_write_and_flush(
            self.0, s, bytes,
        ))
    }
    fn blocking_write_zeroes_and_flush(&mut self, s: Out, n: u64) -> StreamResult<()> {
        stream_now_or_trap(io_streams::HostOutputStream::blocking_write_zeroes_and_flush(
            self.0, s, n,
        ))
    }
    fn subscribe(&mut self, s: Out) -> wasmtime::Result<Resource<DynPollable>> {
        io_streams::HostOutputStream::subscribe(self.0, s)
    }
    fn write_zeroes(&mut self, s: Out, n: u64) -> StreamResult<()> {
        io_streams::HostOutputStream::write_zeroes(self.0, s, n)
    }
    fn flush(&mut self, s: Out) -> StreamResult<()> {
        io_streams::HostOutputStream::flush(self.0, s)
    }
    fn blocking_flush(&mut self, s: Out) -> StreamResult<()> {
        stream_now_or_trap(io_streams::HostOutputStream::blocking_flush(self.0, s))
    }
    fn splice(&mut self, to: Out, from: In, n: u64) -> StreamResult<u64> {
        io_streams::HostOutputStream::splice(self.0, to, from, n)
    }
    fn blocking_splice(&mut self, to: Out, from: In, n: u64) -> StreamResult<u64> {
        stream_now_or_trap(io_streams::HostOutputStream::blocking_splice(self.0, to, from, n))
    }
}

impl sync::io::streams::HostInputStream for NoWait<'_> {
    fn drop(&mut self, s: In) -> wasmtime::Result<()> {
        self.0.delete(s)?;
        Ok(())
    }
    fn read(&mut self, s: In, n: u64) -> StreamResult<Vec<u8>> {
        io_streams::HostInputStream::read(self.0, s, n)
    }
    fn blocking_read(&mut self, s: In, n: u64) -> StreamResult<Vec<u8>> {
        stream_now_or_trap(io_streams::HostInputStream::blocking_read(self.0, s, n))
    }
    fn skip(&mut self, s: In, n: u64) -> StreamResult<u64> {
        io_streams::HostInputStream::skip(self.0, s, n)
    }
    fn blocking_skip(&mut self, s: In, n: u64) -> StreamResult<u64> {
        stream_now_or_trap(io_streams::HostInputStream::blocking_skip(self.0, s, n))
    }
    fn subscribe(&mut self, s: In) -> wasmtime::Result<Resource<DynPollable>> {
        io_streams::HostInputStream::subscribe(self.0, s)
    }
}

/// Where a guest's stdout and stderr go: the log, under the name of its entry.
#[derive(Debug, Clone)]
pub(super) struct Output {
    plugin: Arc<str>,
    last: Arc<Mutex<Option<String>>>,
}

impl Output {
    pub(super) fn new(plugin: &Arc<str>) -> Self {
        Self {
            plugin: Arc::clone(plugin),
            last: Arc::default(),
        }
    }

    /// The last line on stderr.
    pub(super) fn last_words(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug, Clone)]
struct Lines {
    output: Output,
    level: tracing::Level,
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // Asked for by WASI 0.3 only, which is not linked.
        Box::new(tokio::io::sink())
    }
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(LineStream {
            lines: self.clone(),
            rest: Vec::new(),
        })
    }
}

struct LineStream {
    lines: Lines,
    rest: Vec<u8>,
}

impl LineStream {
    fn emit(&self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        log::line(&self.lines.output.plugin, self.lines.level, None, text, &[]);
        if self.lines.level == tracing::Level::WARN {
            let mut last = self
                .lines
                .output
                .last
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            // A panic's message is followed by a hint about backtraces.
            if !text.starts_with("note: ") {
                *last = Some(text.to_owned());
            }
        }
    }
}

#[async_trait]
impl Pollable for LineStream {
    async fn ready(&mut self) {}
}

impl OutputStream for LineStream {
    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
    fn write(&mut self, bytes: bytes::Bytes) -> StreamResult<()> {
        self.rest.extend_from_slice(&bytes);
        while let Some(end) = memchr::memchr(b'\n', &self.rest) {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.emit(&line);
        }
        if self.rest.len() > MAX_LINE {
            let line = std::mem::take(&mut self.rest);
            self.emit(&line);
        }
        Ok(())
    }
    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
}
