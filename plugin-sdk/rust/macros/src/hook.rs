//! The table of hooks: method, trait, parameters, export. One row per hook; a new hook is a new row here, a trait in
//! the SDK's `hooks` and an adapter in its `export`.

/// What the macro knows of one hook.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hook {
    /// Name of the method, of the SDK's binding module and of the export macro's ending.
    pub(crate) method: &'static str,
    /// Name of the trait in `portcullis::hooks`.
    pub(crate) of_trait: &'static str,
    /// Name of the binding module in `portcullis::export`.
    pub(crate) module: &'static str,
    /// Parameters after `self`, for messages.
    pub(crate) parameters: &'static [&'static str],
    /// Whether a last parameter `state: Option<State>` may follow.
    pub(crate) keeps: bool,
}

/// All hooks, in the order in which an exchange meets them.
pub(crate) const HOOKS: &[Hook] = &[
    hook("route", "Route", "router", &["&Request"], false),
    hook("on_request", "OnRequest", "on_request", &["&mut Request"], false),
    hook(
        "on_request_body",
        "OnRequestBody",
        "on_request_body",
        &["&mut Request", "Blob"],
        true,
    ),
    hook(
        "on_response",
        "OnResponse",
        "on_response",
        &["&mut Response"],
        true,
    ),
    hook(
        "on_response_body",
        "OnResponseBody",
        "on_response_body",
        &["&mut Response", "Blob"],
        true,
    ),
    hook("on_error", "OnError", "on_error", &["&GatewayError"], true),
    hook("on_finish", "OnFinish", "on_finish", &["&Finished"], true),
    hook("pick", "Pick", "balancer", &["&Request", "&Candidates"], false),
    hook("respond", "Respond", "responder", &["&Request", "Blob"], false),
    hook("on_tick", "OnTick", "on_tick", &[], false),
];

/// Methods of `Plugin` itself.
pub(crate) const OWN: &[&str] = &["new", "schema", "openapi"];

const fn hook(
    method: &'static str,
    of_trait: &'static str,
    module: &'static str,
    parameters: &'static [&'static str],
    keeps: bool,
) -> Hook {
    Hook {
        method,
        of_trait,
        module,
        parameters,
        keeps,
    }
}
