//! Two byte streams tied together, as after an upgrade: what comes from one goes to the other. It refuses to know what
//! the bytes mean and which streams these are.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Bytes taken at once, and so the most that are held for a side that does not read.
const PIECE: usize = 16 << 10;
/// Pieces carried in one direction before other tasks come to their turn.
const ROUNDS: usize = 16;

/// Bytes that a tunnel has carried so far.
#[derive(Debug, Default)]
pub struct Carried {
    /// From the first stream to the second.
    pub there: Cell<u64>,
    /// From the second stream to the first.
    pub back: Cell<u64>,
}

/// How a tunnel ended.
#[derive(Debug)]
pub enum TunnelEnd {
    /// Each side has ended its own direction.
    Closed,
    /// Nothing was carried for too long.
    Idle,
    /// The first stream broke.
    First(io::Error),
    /// The second stream broke.
    Second(io::Error),
}

/// Carries bytes both ways until both sides have ended their direction, one of them breaks, or nothing was carried for
/// `patience`. `early` was read from `first` before. A side that ends its direction has the other's ended, too, and can
/// still read. A side that does not read is not read from for the other: nothing but one piece is held in each
/// direction, and nothing at all while both are silent.
pub async fn tie<A, B>(
    mut first: A,
    mut second: B,
    early: Bytes,
    patience: Duration,
    carried: &Carried,
) -> TunnelEnd
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let mut there = Way::new(early);
    let mut back = Way::new(Bytes::new());
    let mut silence = Silence::new(patience);
    poll_fn(move |cx| {
        let up = there.poll(&mut first, &mut second, &carried.there, cx);
        let down = back.poll(&mut second, &mut first, &carried.back, cx);
        match (up, down) {
            (Poll::Ready(Err(Broken::From(e))), _) | (_, Poll::Ready(Err(Broken::To(e)))) => {
                Poll::Ready(TunnelEnd::First(e))
            }
            (Poll::Ready(Err(Broken::To(e))), _) | (_, Poll::Ready(Err(Broken::From(e)))) => {
                Poll::Ready(TunnelEnd::Second(e))
            }
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(TunnelEnd::Closed),
            _ => {
                if there.moved.take() | back.moved.take() {
                    silence.since = Instant::now();
                }
                silence.poll_over(cx).map(|()| TunnelEnd::Idle)
            }
        }
    })
    .await
}

/// One direction.
#[derive(Debug)]
struct Way {
    /// Was read and is not written yet.
    held: Bytes,
    state: State,
    /// There is something to flush.
    unflushed: bool,
    moved: Cell<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The sender has ended; the receiver is not told yet.
    Ending,
    Ended,
}

/// Which side broke.
enum Broken {
    From(io::Error),
    To(io::Error),
}

impl Way {
    fn new(held: Bytes) -> Self {
        Self {
            held,
            state: State::Open,
            unflushed: false,
            moved: Cell::new(false),
        }
    }

    fn poll<F, T>(
        &mut self,
        from: &mut F,
        to: &mut T,
        carried: &Cell<u64>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        for _ in 0..ROUNDS {
            while !self.held.is_empty() {
                let count = ready!(Pin::new(&mut *to).poll_write(cx, &self.held)).map_err(Broken::To)?;
                self.wrote(count, carried)?;
                self.held.advance(count);
            }
            match self.state {
                State::Open => {}
                State::Ending => {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(Broken::To)?;
                    self.state = State::Ended;
                    return Poll::Ready(Ok(()));
                }
                State::Ended => return Poll::Ready(Ok(())),
            }
            if self.poll_piece(from, to, carried, cx)?.is_pending() {
                if self.unflushed {
                    ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(Broken::To)?;
                    self.unflushed = false;
                }
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Reads one piece and writes what the receiver takes of it at once. Pending: there is nothing to read.
    fn poll_piece<F, T>(
        &mut self,
        from: &mut F,
        to: &mut T,
        carried: &Cell<u64>,
        cx: &mut Context<'_>,
    ) -> Result<Poll<()>, Broken>
    where
        F: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        let mut space = [MaybeUninit::uninit(); PIECE];
        let mut piece = ReadBuf::uninit(&mut space);
        match Pin::new(from).poll_read(cx, &mut piece) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(read) => read.map_err(Broken::From)?,
        }
        let piece = piece.filled();
        if piece.is_empty() {
            self.moved.set(true);
            self.state = State::Ending;
            return Ok(Poll::Ready(()));
        }
        let taken = match Pin::new(to).poll_write(cx, piece) {
            Poll::Pending => 0,
            Poll::Ready(count) => {
                let count = count.map_err(Broken::To)?;
                self.wrote(count, carried)?;
                count
            }
        };
        self.held = Bytes::copy_from_slice(piece.get(taken..).unwrap_or_default());
        Ok(Poll::Ready(()))
    }

    fn wrote(&mut self, count: usize, carried: &Cell<u64>) -> Result<(), Broken> {
        if count == 0 {
            return Err(Broken::To(io::ErrorKind::WriteZero.into()));
        }
        carried.set(carried.get() + count as u64);
        self.unflushed = true;
        self.moved.set(true);
        Ok(())
    }
}

/// A timer that is set anew only when it goes off.
struct Silence {
    patience: Duration,
    since: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl Silence {
    fn new(patience: Duration) -> Self {
        Self {
            patience,
            since: Instant::now(),
            alarm: Box::pin(tokio::time::sleep(patience)),
        }
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            let due = self.since + self.patience;
            if due <= Instant::now() {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(due);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// The far ends of a tunnel's two streams, and how it ends.
    fn tied(
        early: &'static [u8],
    ) -> (
        DuplexStream,
        DuplexStream,
        impl Future<Output = (TunnelEnd, Carried)>,
    ) {
        let (first, near) = duplex(1024);
        let (second, far) = duplex(1024);
        let end = async move {
            let carried = Carried::default();
            let end = tie(near, far, Bytes::from_static(early), PATIENCE, &carried).await;
            (end, carried)
        };
        (first, second, end)
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_early_ones_first() {
        let (mut first, mut second, end) = tied(b"early ");
        let talk = async move {
            first.write_all(b"hello").await.unwrap();
            let mut got = [0; 11];
            second.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"early hello");
            second.write_all(b"hi").await.unwrap();
            let mut got = [0; 2];
            first.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"hi");
        };
        let ((end, carried), ()) = tokio::join!(end, talk);
        assert!(matches!(end, TunnelEnd::Closed), "{end:?}");
        assert_eq!((carried.there.get(), carried.back.get()), (11, 2));
    }

    #[tokio::test]
    async fn the_end_of_one_direction_leaves_the_other_open() {
        let (mut first, mut second, end) = tied(b"");
        let talk = async move {
            first.write_all(b"last").await.unwrap();
            first.shutdown().await.unwrap();
            let mut got = Vec::new();
            second.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, b"last");
            second.write_all(&[7; 2000]).await.unwrap();
            drop(second);
            got.clear();
            first.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, [7; 2000]);
        };
        let ((end, _), ()) = tokio::join!(end, talk);
        assert!(matches!(end, TunnelEnd::Closed), "{end:?}");
    }

    #[tokio::test]
    async fn a_side_that_does_not_read_holds_the_other_back() {
        let (mut first, second, end) = tied(b"");
        let mut end = Box::pin(end);
        let mut written = 0;
        // The tunnel gets its turn often enough to take all that it will take.
        for _ in 0..1000 {
            tokio::select! {
                biased;
                end = &mut end => panic!("{:?}", end.0),
                count = first.write(&[0; 1000]) => written += count.unwrap(),
                () = tokio::task::yield_now() => {}
            }
        }
        assert!((1024..=3 * 1024 + PIECE).contains(&written), "{written}");
        drop(second);
        assert!(matches!(end.await.0, TunnelEnd::Second(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it_and_a_byte_in_either_direction_is_none() {
        let (mut first, mut second, end) = tied(b"");
        let start = Instant::now();
        let talk = async {
            for _ in 0..3 {
                tokio::time::sleep(PATIENCE / 2).await;
                first.write_all(b"x").await.unwrap();
                second.read_u8().await.unwrap();
                tokio::time::sleep(PATIENCE / 2).await;
                second.write_all(b"y").await.unwrap();
                first.read_u8().await.unwrap();
            }
        };
        let ((end, _), ()) = tokio::join!(end, talk);
        assert!(matches!(end, TunnelEnd::Idle), "{end:?}");
        assert_eq!(start.elapsed(), 4 * PATIENCE);
    }
}
