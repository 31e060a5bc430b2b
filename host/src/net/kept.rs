//! A request body that is kept while it is sent, up to a bound, so that it can be sent again or to somebody else. It
//! refuses to know who wants it.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};

use super::{ClientBodyError, RequestBody};

/// Pieces below this many bytes are put together.
const SMALL: usize = 2 << 10;
/// Bytes that are put together.
const TAIL: usize = 16 << 10;

/// One reading of a body; all readings share what came so far. Nothing more is kept than another reading may want.
#[derive(Debug)]
pub struct Kept {
    shared: Rc<Shared>,
    /// Pieces that this reading has had.
    at: usize,
    /// Bytes of the tail that it has had.
    tail_at: usize,
    trailers: Progress,
}

#[derive(Debug)]
struct Shared {
    rest: RefCell<Option<Box<RequestBody>>>,
    pieces: RefCell<Vec<Bytes>>,
    /// What came last, where it came in small pieces: they are put together, for each costs more than its bytes.
    tail: RefCell<BytesMut>,
    trailers: RefCell<Option<HeaderMap>>,
    /// Bytes that may still be kept.
    room: Cell<u64>,
    state: Cell<State>,
    whole: SizeHint,
    /// Who waits for the end.
    waiting: RefCell<Option<Waker>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// All that came was kept.
    Coming,
    /// Something that came was not kept.
    Lost,
    /// All of it came and was kept.
    Ended,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Owed,
    Given,
}

impl Kept {
    /// Keeps at most `max` bytes of `body`. With 0 it can be sent again as long as nothing was read.
    #[must_use]
    pub fn new(body: RequestBody, max: u64) -> Self {
        let shared = Shared {
            whole: body.size_hint(),
            rest: RefCell::new(Some(Box::new(body))),
            pieces: RefCell::default(),
            tail: RefCell::default(),
            trailers: RefCell::default(),
            room: Cell::new(max),
            state: Cell::new(State::Coming),
            waiting: RefCell::default(),
        };
        Self::of(Rc::new(shared))
    }

    fn of(shared: Rc<Shared>) -> Self {
        Self {
            shared,
            at: 0,
            tail_at: 0,
            trailers: Progress::Owed,
        }
    }

    /// Another reading, from the begin; none when too much came.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        (self.shared.state.get() != State::Lost).then(|| Self::of(Rc::clone(&self.shared)))
    }

    /// Waits until the other readings have come to the end, and gives the whole body; none when it was too long or is
    /// not read to its end.
    pub async fn whole(self) -> Option<RequestBody> {
        poll_fn(|cx| match self.shared.state.get() {
            State::Coming if Rc::strong_count(&self.shared) > 1 => {
                *self.shared.waiting.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(()),
        })
        .await;
        (self.shared.state.get() == State::Ended).then(|| RequestBody::Kept(self))
    }

    /// Takes what came from the client.
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let shared = &self.shared;
        if let Some(trailers) = frame.trailers_ref() {
            self.trailers = Progress::Given;
            *shared.trailers.borrow_mut() = Some(trailers.clone());
            // Nothing comes after them, and not everyone asks.
            if shared.state.get() == State::Coming {
                self.end(State::Ended);
            }
        }
        let Some(data) = frame.data_ref() else { return };
        if shared.state.get() == State::Lost {
            return;
        }
        let room = shared.room.get().checked_sub(data.len() as u64);
        match room.filter(|_| Rc::strong_count(shared) > 1) {
            Some(room) => {
                shared.room.set(room);
                (self.at, self.tail_at) = shared.push(data);
            }
            None => self.end(State::Lost),
        }
    }

    fn end(&self, state: State) {
        let shared = &self.shared;
        shared.state.set(state);
        if state == State::Lost {
            shared.pieces.take();
            shared.tail.take();
        }
        shared.wake();
    }
}

impl Shared {
    fn wake(&self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    /// Keeps a piece, and gives the place behind it.
    fn push(&self, data: &Bytes) -> (usize, usize) {
        let (mut pieces, mut tail) = (self.pieces.borrow_mut(), self.tail.borrow_mut());
        let is_small = data.len() < SMALL;
        if !tail.is_empty() && (!is_small || tail.len() + data.len() > TAIL) {
            pieces.push(tail.split().freeze());
        }
        if is_small {
            tail.extend_from_slice(data);
        } else {
            pieces.push(data.clone());
        }
        (pieces.len(), tail.len())
    }

    /// What was kept behind a place: a whole piece, or the tail.
    fn kept_at(&self, at: usize, tail_at: usize) -> Option<Bytes> {
        let piece = self.pieces.borrow().get(at).cloned();
        let tail = self.tail.borrow();
        let rest = || tail.get(tail_at..).filter(|rest| !rest.is_empty());
        piece.or_else(|| rest().map(Bytes::copy_from_slice))
    }

    /// Bytes that were kept behind a place.
    fn kept_from(&self, at: usize, tail_at: usize) -> u64 {
        let pieces = self.pieces.borrow();
        let tail = self.tail.borrow().len().saturating_sub(tail_at) as u64;
        let pieces = pieces.iter().skip(at).map(|piece| piece.len() as u64);
        pieces.sum::<u64>() + tail
    }
}

/// Who waits for the end learns that nobody reads on.
impl Drop for Kept {
    fn drop(&mut self) {
        self.shared.wake();
    }
}

impl Body for Kept {
    type Data = Bytes;
    type Error = ClientBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        let this = &mut *self;
        if let Some(piece) = this.shared.kept_at(this.at, this.tail_at) {
            if this.at < this.shared.pieces.borrow().len() {
                this.at += 1;
            } else {
                this.tail_at += piece.len();
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let polled = match &mut *this.shared.rest.borrow_mut() {
            Some(rest) => Pin::new(&mut **rest).poll_frame(cx),
            None => Poll::Ready(None),
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.keep(frame);
                // Nobody asks again where the last frame says that it is the last.
                let ended = this
                    .shared
                    .rest
                    .borrow()
                    .as_ref()
                    .is_some_and(|rest| rest.is_end_stream());
                if ended && this.shared.state.get() == State::Coming {
                    this.end(State::Ended);
                }
            }
            Poll::Ready(Some(Err(_))) => this.end(State::Lost),
            Poll::Ready(None) => {
                this.shared.rest.take();
                if this.shared.state.get() == State::Coming {
                    this.end(State::Ended);
                }
                if this.trailers == Progress::Owed {
                    this.trailers = Progress::Given;
                    let trailers = this.shared.trailers.borrow().clone();
                    return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
                }
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        let shared = &self.shared;
        let owes = self.trailers == Progress::Owed && shared.trailers.borrow().is_some();
        let rest = shared.rest.borrow();
        shared.kept_from(self.at, self.tail_at) == 0
            && !owes
            && rest.as_ref().is_none_or(|rest| rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let shared = &self.shared;
        if (self.at, self.tail_at) == (0, 0) && shared.state.get() != State::Lost {
            return shared.whole;
        }
        let rest = shared.rest.borrow();
        let rest = rest
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), |rest| rest.size_hint());
        match rest.exact() {
            Some(rest) => SizeHint::with_exact(rest + shared.kept_from(self.at, self.tail_at)),
            None => SizeHint::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    /// A body of two pieces: `Chained` would need a client.
    fn body(first: &'static str, trailers: Option<HeaderMap>) -> RequestBody {
        RequestBody::full(Bytes::from_static(first.as_bytes()), trailers)
    }

    async fn read(
        body: &mut (impl Body<Data = Bytes, Error = ClientBodyError> + Unpin),
    ) -> (String, Option<HeaderMap>) {
        let (mut text, mut trailers) = (String::new(), None);
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await {
            match frame.unwrap().into_data() {
                Ok(data) => text.push_str(std::str::from_utf8(&data).unwrap()),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        (text, trailers)
    }

    fn fields() -> HeaderMap {
        HeaderMap::from_iter([(http::header::ETAG, HeaderValue::from_static("x"))])
    }

    #[tokio::test]
    async fn every_reading_is_the_same() {
        let original = Kept::new(body("hello", Some(fields())), 5);
        for _ in 0..3 {
            let mut reading = original.again().unwrap();
            assert!(!reading.is_end_stream());
            assert_eq!(read(&mut reading).await, ("hello".to_owned(), Some(fields())));
            assert!(reading.is_end_stream());
        }
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_are_read_again_as_they_came(sizes in prop::collection::vec(1_usize..5_000, 0..40)) {
            let kept = Kept::new(RequestBody::Empty, u64::MAX);
            let (mut whole, mut place) = (Vec::new(), (0, 0));
            for (index, size) in sizes.iter().enumerate() {
                let piece = vec![u8::try_from(index).unwrap(); *size];
                place = kept.shared.push(&Bytes::from(piece.clone()));
                whole.extend(piece);
                // Who has just read it is at the end.
                prop_assert_eq!(kept.shared.kept_at(place.0, place.1), None);
            }
            prop_assert_eq!(kept.shared.kept_from(place.0, place.1), 0);
            prop_assert_eq!(kept.shared.kept_from(0, 0), whole.len() as u64);
            let (mut read, mut again) = (Vec::new(), kept.again().unwrap());
            while let Poll::Ready(Some(frame)) =
                Pin::new(&mut again).poll_frame(&mut Context::from_waker(Waker::noop()))
            {
                read.extend(frame.unwrap().into_data().unwrap());
            }
            prop_assert_eq!(read, whole);
            prop_assert!(again.is_end_stream());
            let pieces = kept.shared.pieces.borrow().len();
            let large = sizes.iter().filter(|size| **size >= SMALL).count();
            let small: usize = sizes.iter().filter(|size| **size < SMALL).sum();
            prop_assert!(pieces <= 2 * large + small / (TAIL - SMALL) + 1);
        }
    }

    #[tokio::test]
    async fn a_body_has_ended_with_its_trailers() {
        let original = Kept::new(body("hello", Some(fields())), 5);
        let mut reading = original.again().unwrap();
        for _ in 0..2 {
            assert!(
                poll_fn(|cx| Pin::new(&mut reading).poll_frame(cx))
                    .await
                    .is_some()
            );
        }
        drop(reading);
        let mut copy = original.whole().await.unwrap();
        assert_eq!(read(&mut copy).await, ("hello".to_owned(), Some(fields())));
    }

    #[tokio::test]
    async fn a_reading_that_broke_off_is_followed_by_a_whole_one() {
        let original = Kept::new(body("hello", Some(fields())), 5);
        let mut first = original.again().unwrap();
        assert!(poll_fn(|cx| Pin::new(&mut first).poll_frame(cx)).await.is_some());
        drop(first);
        let mut second = original.again().unwrap();
        assert_eq!(read(&mut second).await, ("hello".to_owned(), Some(fields())));
    }

    #[tokio::test]
    async fn the_length_of_the_whole_is_known_to_every_reading() {
        let original = Kept::new(body("hello", None), 5);
        for _ in 0..2 {
            let mut reading = original.again().unwrap();
            assert_eq!(reading.size_hint().exact(), Some(5));
            read(&mut reading).await;
            assert_eq!(reading.size_hint().exact(), Some(0));
        }
    }

    #[tokio::test]
    async fn a_body_that_is_too_long_can_be_sent_again_only_until_it_is_read() {
        let original = Kept::new(body("hello", None), 4);
        let mut first = original.again().unwrap();
        assert!(original.again().is_some());
        assert_eq!(read(&mut first).await.0, "hello");
        assert!(original.again().is_none());
        assert_eq!(original.whole().await.map(|_| ()), None);
    }

    #[tokio::test]
    async fn what_nobody_else_can_want_is_not_kept() {
        let original = Kept::new(body("hello", None), 5);
        let mut only = original.again().unwrap();
        drop(original);
        assert_eq!(read(&mut only).await.0, "hello");
        assert_eq!(only.shared.kept_from(0, 0), 0);
    }

    fn is_waiting(copy: &mut Pin<Box<impl Future>>) -> bool {
        copy.as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    }

    #[tokio::test]
    async fn a_copy_waits_for_the_end_and_gives_up_when_nobody_reads_on() {
        let original = Kept::new(body("hello", None), 5);
        let mut copy = Box::pin(original.again().unwrap().whole());
        assert!(is_waiting(&mut copy));
        let mut reading = original;
        read(&mut reading).await;
        assert_eq!(read(&mut copy.await.unwrap()).await.0, "hello");

        let original = Kept::new(body("hello", None), 5);
        let mut copy = Box::pin(original.again().unwrap().whole());
        assert!(is_waiting(&mut copy));
        drop(original);
        assert!(copy.await.is_none());
    }
}
