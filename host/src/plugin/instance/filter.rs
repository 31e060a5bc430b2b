//! The calls of `body-filter`: an instance holds one filter, for one side of one exchange. It refuses to know the body.

use wasmtime::Store;
use wasmtime::component::{Func as AnyFunc, Instance as Component, ResourceAny};

use super::{At, Called, Func, Instance, begin, not_exported};
use crate::abi::{Accept, Filtered, HostState, exports, imports};
use crate::exchange::{Exchange, Phase, Side};
use crate::plugin::hook::{Fault, Hook};
use crate::plugin::unit::FilterExports;

type Output = exports::body_filter::Output;

/// The functions of the interface.
pub(super) struct Functions {
    open: Func<(imports::types::Side,), Option<ResourceAny>>,
    /// Typed at each call: a piece is lent to it, and the type has the lifetime.
    push: AnyFunc,
    finish: Func<(ResourceAny,), Output>,
}

/// Finds them in an instance.
pub(super) fn functions(
    store: &mut Store<HostState>,
    instance: &Component,
    exports: &FilterExports,
) -> wasmtime::Result<Functions> {
    let missing = || wasmtime::format_err!("`[method]filter.push` is no function");
    let push = instance.get_func(&mut *store, exports.push).ok_or_else(missing)?;
    push.typed::<(ResourceAny, &[u8]), (Output,)>(&*store)?;
    Ok(Functions {
        open: Some(instance.get_typed_func(&mut *store, exports.open)?),
        push,
        finish: Some(instance.get_typed_func(&mut *store, exports.finish)?),
    })
}

impl Instance {
    /// Calls `open`: whether the plugin filters the body.
    pub async fn open_filter(&mut self, x: Box<Exchange>, at: At, side: Side) -> Called<bool> {
        let open = self.functions.filter.as_ref().and_then(|filter| filter.open);
        let Some(open) = open else {
            return (x, Err(not_exported(Hook::BodyFilter)));
        };
        // The head of this side has not been sent.
        let phase = match side {
            Side::Request => Phase::RequestBody,
            Side::Response => Phase::ResponseBody,
        };
        self.enter(x, &at, phase);
        let result = self.run(open, &at, (side.into(),)).await;
        let result = result.map(|(filter,)| {
            self.filter = filter;
            self.filter.is_some()
        });
        self.leave(Hook::BodyFilter, result)
    }

    /// Calls `push` of the open filter.
    pub async fn push(&mut self, x: Box<Exchange>, at: At, piece: &[u8]) -> Called<Filtered> {
        let push = self.functions.filter.as_ref().map(|filter| filter.push);
        let (Some(push), Some(filter)) = (push, self.filter) else {
            return (x, Err(not_exported(Hook::BodyFilter)));
        };
        self.enter(x, &at, Phase::Piece);
        let result = match push.typed::<(ResourceAny, &[u8]), (Output,)>(&self.store) {
            Ok(push) => self.run(push, &at, (filter, piece)).await,
            Err(error) => Err(error),
        };
        let result = result.and_then(|(output,)| Ok(output.accept(self.store.data_mut())?));
        self.leave(Hook::BodyFilter, result)
    }

    /// Calls `finish` of the open filter, and drops it.
    pub async fn finish_filter(&mut self, x: Box<Exchange>, at: At, side: Side) -> Called<Filtered> {
        let finish = self.functions.filter.as_ref().and_then(|filter| filter.finish);
        let (Some(finish), Some(filter)) = (finish, self.filter.take()) else {
            return (x, Err(not_exported(Hook::BodyFilter)));
        };
        let phase = match side {
            Side::Request => Phase::RequestEnd,
            Side::Response => Phase::ResponseEnd,
        };
        self.enter(x, &at, phase);
        let result = match (self.run(finish, &at, (filter,)).await, &at.fiber) {
            (Ok(output), Some(_)) => {
                let dropped = filter.resource_drop_async(&mut self.store).await;
                dropped.map(|()| output)
            }
            (Ok(output), None) => filter.resource_drop(&mut self.store).map(|()| output),
            (Err(error), _) => Err(error),
        };
        let result = result.and_then(|(output,)| Ok(output.accept(self.store.data_mut())?));
        self.leave(Hook::BodyFilter, result)
    }

    /// Drops a filter that has not come to its end, outside its exchange. An instance whose calls run on fibers dies instead:
    /// nobody waits for it any more.
    ///
    /// # Errors
    /// When the filter's destructor fails; the instance is dead then.
    pub fn drop_filter(&mut self, at: &At) -> Result<(), Fault> {
        let Some(filter) = self.filter.take() else {
            return Ok(());
        };
        if self.dead || at.fiber.is_some() {
            self.dead = true;
            return Ok(());
        }
        self.store.data_mut().yields = false;
        begin(&mut self.store);
        let result = filter.resource_drop(&mut self.store);
        self.store.data_mut().end_hook();
        result.map_err(|error| self.fault(Hook::BodyFilter, &error))
    }
}
