//! What the attribute expands to, and what it refuses.

use super::*;

fn expanded(arguments: TokenStream, item: TokenStream) -> Result<String> {
    expand(arguments, item).map(|tokens| tokens.to_string())
}

fn error(arguments: TokenStream, item: TokenStream) -> String {
    expand(arguments, item)
        .expect_err("the block is refused")
        .to_string()
}

fn block(method: &TokenStream) -> TokenStream {
    quote!(impl Plugin for P { fn new(_: NoConfig) -> Result<Self, String> { Ok(Self) } #method })
}

#[test]
fn only_the_hooks_of_the_block_are_exported() {
    let text = expanded(
        quote!(),
        block(&quote!(
            fn on_finish(&mut self, finished: &Finished) {}
        )),
    )
    .unwrap();
    assert!(
        text.contains("__export_on_finish") && text.contains("hooks :: OnFinish"),
        "{text}"
    );
    assert!(text.contains("__export_plugin"), "{text}");
    assert!(!text.contains("on_request"), "{text}");
}

#[test]
fn the_responder_is_written_as_respond() {
    let respond = quote!(
        fn respond(&mut self, request: &Request, body: Blob) -> Reply {
            todo()
        }
    );
    let text = expanded(quote!(), block(&respond)).unwrap();
    assert!(text.contains("__export_responder"), "{text}");
}

#[test]
fn the_router_is_written_as_route() {
    let route = quote!(
        fn route(&mut self, request: &Request) -> Option<String> {
            None
        }
    );
    let text = expanded(quote!(), block(&route)).unwrap();
    assert!(
        text.contains("__export_router") && text.contains("hooks :: Route"),
        "{text}"
    );
    let stateful = quote!(
        fn route(&mut self, request: &Request, state: Option<S>) -> Option<String> {
            None
        }
    );
    assert_eq!(
        error(quote!(), block(&stateful)),
        "route takes (&mut self, &Request)"
    );
}

#[test]
fn a_state_parameter_is_fetched_and_nothing_is_fetched_without_one() {
    let with = quote!(
        fn on_response(&mut self, response: &mut Response, state: Option<S>) {}
    );
    assert!(
        expanded(quote!(), block(&with))
            .unwrap()
            .contains("__kept . get ()")
    );
    let without = quote!(
        fn on_response(&mut self, response: &mut Response) {}
    );
    assert!(!expanded(quote!(), block(&without)).unwrap().contains("get ()"));
}

#[test]
fn an_unknown_method_lists_the_hooks() {
    let text = error(
        quote!(),
        block(&quote!(
            fn on_reqest(&mut self, request: &mut Request) {}
        )),
    );
    assert!(
        text.contains("`on_reqest`") && text.contains("on_request, on_request_body"),
        "{text}"
    );
}

#[test]
fn wrong_parameters_are_told_the_right_ones() {
    let text = error(
        quote!(),
        block(&quote!(
            fn on_request_body(&mut self, body: Blob) {}
        )),
    );
    assert_eq!(
        text,
        "on_request_body takes (&mut self, &mut Request, Blob), and a state: Option<State> after them if wanted"
    );
    let text = error(
        quote!(),
        block(&quote!(
            fn on_request(request: &mut Request) {}
        )),
    );
    assert_eq!(text, "on_request takes (&mut self, &mut Request)");
}

#[test]
fn arguments_become_the_description() {
    let arguments = quote!(
        name = "n",
        label(security, kind = "auth"),
        state_version = 2,
        tick_ms = 5
    );
    let text = expanded(arguments, block(&quote!())).unwrap();
    for part in [
        "name : \"n\"",
        "(\"security\" , \"true\")",
        "(\"kind\" , \"auth\")",
        "(\"state-version\" , \"2\")",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(error(quote!(colour = 1), block(&quote!())).starts_with("expected name"));
}

#[test]
fn other_blocks_are_refused() {
    assert!(error(quote!(), quote!(impl P {})).contains("impl Plugin for"));
    assert!(
        error(
            quote!(),
            quote!(
                impl<T> Plugin for P<T> {}
            )
        )
        .contains("generic")
    );
}

#[test]
fn a_schema_is_given_once() {
    let schema = block(&quote!(
        fn schema() -> String {
            text()
        }
    ));
    assert!(error(quote!(schema = "schema.json"), schema).contains("twice"));
}
