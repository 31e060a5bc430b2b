//! Copies of bodies that stages want to look at when the exchange is over: who asked for which, and what came of
//! it. It refuses to know how a copy is made.

use bytes::Bytes;

use super::journal::Edit;
use super::{Exchange, Phase};

/// Which body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// As the upstream gets it.
    Request,
    /// As the client gets it.
    Response,
}

/// What happens to a copy when the client leaves early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenClientLeaves {
    /// It is lost.
    Stop,
    /// The rest of the body is read for it.
    Finish,
}

/// A copy that somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaptureOrder {
    /// The longest body that is wanted, bytes.
    pub max: u64,
    /// What happens when the client leaves.
    pub when_client_leaves: WhenClientLeaves,
}

/// Which stage wants which copy.
pub(super) type Orders = Vec<(usize, Side, CaptureOrder)>;

/// What the stages of an exchange asked for, and the copies.
#[derive(Debug, Default)]
pub(super) struct Captures {
    pub(super) orders: Orders,
    request: Option<Bytes>,
    response: Option<Bytes>,
}

impl Exchange {
    /// Notes that a stage wants a copy of a body; it replaces what the stage asked before. In `on-finish` it is
    /// too late and changes nothing.
    pub fn capture_body(&mut self, phase: Phase, stage: usize, side: Side, order: CaptureOrder) {
        if matches!(phase, Phase::Balance | Phase::Finish) {
            return;
        }
        let captures = self.captures.get_or_insert_default();
        self.journal.push(Edit::Captures(captures.orders.clone()));
        captures
            .orders
            .retain(|(owner, of, _)| (*owner, *of) != (stage, side));
        captures.orders.push((stage, side, order));
    }

    /// The copy of a body that serves everybody who asked for one.
    #[must_use]
    pub fn capture_order(&self, side: Side) -> Option<CaptureOrder> {
        let orders = self.captures.as_ref()?.orders.iter();
        orders
            .filter(|(_, of, _)| *of == side)
            .map(|(_, _, order)| *order)
            .reduce(|a, b| CaptureOrder {
                max: a.max.max(b.max),
                when_client_leaves: if a.when_client_leaves == WhenClientLeaves::Finish {
                    a.when_client_leaves
                } else {
                    b.when_client_leaves
                },
            })
    }

    /// Keeps a copy that is complete.
    pub fn set_captured(&mut self, side: Side, bytes: Bytes) {
        if let Some(captures) = &mut self.captures {
            match side {
                Side::Request => captures.request = Some(bytes),
                Side::Response => captures.response = Some(bytes),
            }
        }
    }

    /// The copy that a stage asked for; none before `on-finish`, and when the body was longer than it wanted.
    #[must_use]
    pub fn captured(&self, phase: Phase, stage: usize, side: Side) -> Option<Bytes> {
        if phase != Phase::Finish {
            return None;
        }
        let captures = self.captures.as_ref()?;
        let bytes = match side {
            Side::Request => captures.request.as_ref()?,
            Side::Response => captures.response.as_ref()?,
        };
        let asked = captures.orders.iter();
        asked
            .filter(|(owner, of, _)| (*owner, *of) == (stage, side))
            .any(|(_, _, order)| bytes.len() as u64 <= order.max)
            .then(|| bytes.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::exchange;
    use super::*;

    fn order(max: u64, when_client_leaves: WhenClientLeaves) -> CaptureOrder {
        CaptureOrder {
            max,
            when_client_leaves,
        }
    }

    #[test]
    fn one_copy_serves_all_and_each_stage_gets_what_it_asked_for() {
        let mut x = exchange();
        for (stage, side, max) in [
            (0, Side::Response, 99),
            (0, Side::Response, 3),
            (1, Side::Response, 5),
            (2, Side::Request, 50),
        ] {
            x.capture_body(Phase::Request, stage, side, order(max, WhenClientLeaves::Stop));
        }
        assert_eq!(
            x.capture_order(Side::Response),
            Some(order(5, WhenClientLeaves::Stop))
        );
        x.set_captured(Side::Response, Bytes::from_static(b"1234"));
        let seen = |stage, side| x.captured(Phase::Finish, stage, side).map(|bytes| bytes.len());
        assert_eq!(
            [
                seen(0, Side::Response),
                seen(1, Side::Response),
                seen(2, Side::Response),
                seen(2, Side::Request)
            ],
            [None, Some(4), None, None]
        );
        assert_eq!(x.captured(Phase::Response, 1, Side::Response), None);
    }

    #[test]
    fn a_hook_that_failed_asked_for_nothing() {
        let mut x = exchange();
        let stop = WhenClientLeaves::Stop;
        x.capture_body(Phase::Request, 0, Side::Response, order(1, stop));
        x.commit();
        x.capture_body(Phase::Request, 0, Side::Response, order(9, stop));
        x.capture_body(Phase::Request, 1, Side::Request, order(9, stop));
        x.undo();
        assert_eq!(x.capture_order(Side::Response), Some(order(1, stop)));
        assert_eq!(x.capture_order(Side::Request), None);
    }

    #[test]
    fn one_that_wants_the_rest_is_enough_to_read_it() {
        let mut x = exchange();
        x.capture_body(
            Phase::Request,
            0,
            Side::Response,
            order(1, WhenClientLeaves::Finish),
        );
        x.capture_body(
            Phase::Response,
            1,
            Side::Response,
            order(9, WhenClientLeaves::Stop),
        );
        x.capture_body(
            Phase::Finish,
            2,
            Side::Response,
            order(99, WhenClientLeaves::Stop),
        );
        assert_eq!(
            x.capture_order(Side::Response),
            Some(order(9, WhenClientLeaves::Finish))
        );
        assert_eq!(x.capture_order(Side::Request), None);
    }
}
