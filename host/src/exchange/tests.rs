//! What hooks may edit, and that undo leaves no trace.

use std::net::Ipv4Addr;

use bytes::Bytes;
use http::Method;
use http::header::HeaderValue;
use proptest::prelude::*;

use super::*;

pub(super) fn exchange() -> Exchange {
    let mut headers = HeaderMap::new();
    headers.insert("x-one", HeaderValue::from_static("1"));
    headers.append("x-two", HeaderValue::from_static("a"));
    headers.append("x-two", HeaderValue::from_static("b"));
    let request = RequestHead {
        method: Method::GET,
        authority: HeaderValue::from_static("example.com"),
        target: PathAndQuery::from_static("/v1/orders?x=1"),
        headers,
        version: Version::HTTP_11,
    };
    let names = Arc::new(Names {
        upstreams: vec!["orders".into(), "canary".into()],
    });
    let mut exchange = Exchange::new(7, Instant::now(), Ipv4Addr::LOCALHOST.into(), request, names);
    exchange.set_stages(2);
    exchange
}

fn aim(phase: Phase, section: Section) -> Aim {
    Aim {
        phase,
        stage: 0,
        section,
    }
}

fn respond(exchange: &mut Exchange) {
    exchange.response = Some(ResponseHead {
        status: http::StatusCode::OK,
        headers: HeaderMap::new(),
    });
}

#[test]
fn request_edits_belong_to_the_request_hooks() {
    let mut x = exchange();
    respond(&mut x);
    for phase in [Phase::Route, Phase::Error, Phase::Finish, Phase::Respond] {
        let ahead = x.set_header(
            aim(phase, Section::Response),
            &mut FieldNames::default(),
            "a",
            "b",
        );
        assert_eq!(ahead, Err(EditError::WrongPhase));
    }
    for phase in [
        Phase::Response,
        Phase::ResponseBody,
        Phase::Error,
        Phase::Finish,
        Phase::Respond,
    ] {
        assert_eq!(x.set_method(phase, "POST"), Err(EditError::WrongPhase));
        assert_eq!(x.set_target(phase, "/"), Err(EditError::WrongPhase));
        assert_eq!(x.set_authority(phase, "a"), Err(EditError::WrongPhase));
        assert_eq!(x.set_upstream(phase, "orders"), Err(EditError::WrongPhase));
        assert_eq!(
            x.set_header(aim(phase, Section::Request), &mut FieldNames::default(), "a", "b"),
            Err(EditError::WrongPhase)
        );
        assert_eq!(
            x.remove_header(aim(phase, Section::Request), &mut FieldNames::default(), "x-one"),
            Err(EditError::WrongPhase)
        );
    }
    for phase in [Phase::Request, Phase::RequestBody] {
        assert_eq!(
            x.set_header(aim(phase, Section::Request), &mut FieldNames::default(), "a", "b"),
            Ok(())
        );
        assert_eq!(
            x.set_header(
                aim(phase, Section::Response),
                &mut FieldNames::default(),
                "a",
                "b"
            ),
            Ok(())
        );
        assert!(
            x.fields(Section::Response).unwrap().is_empty(),
            "it is for when the response passes"
        );
        assert_eq!(x.set_status(phase, 204), Err(EditError::WrongPhase));
    }
    assert_eq!(x.set_status(Phase::Response, 204), Ok(()));
    assert!(x.set_status(Phase::Response, 101).is_err());
    assert!(x.set_status(Phase::Response, 600).is_err());
    let trailers = x.set_header(
        aim(Phase::ResponseBody, Section::ResponseTrailers),
        &mut FieldNames::default(),
        "a",
        "b",
    );
    assert_eq!(trailers, Err(EditError::WrongPhase));
}

#[test]
fn what_could_split_a_message_is_no_field() {
    let mut x = exchange();
    for (name, value) in [
        ("bad name", "v"),
        ("a", "x\r\ny: z"),
        ("a", "nul\0"),
        ("a\r\nb", "v"),
        ("", "v"),
        ("a", "€"),
    ] {
        let answer = x.set_header(
            aim(Phase::Request, Section::Request),
            &mut FieldNames::default(),
            name,
            value,
        );
        assert!(
            matches!(answer, Err(EditError::Invalid(_))),
            "{name:?}: {value:?}"
        );
    }
    assert!(x.set_target(Phase::Request, "/a b").is_err());
    assert!(x.set_target(Phase::Request, "http://x/").is_err());
    assert!(x.set_target(Phase::Request, "/a#b").is_err());
    assert!(x.set_authority(Phase::Request, "u@h").is_err());
    assert!(x.set_method(Phase::Request, "GE T").is_err());
    assert!(x.set_method(Phase::Request, "CONNECT").is_err());
    assert_eq!(x.set_target(Phase::Request, "/a/../b/./c?q=/../"), Ok(()));
    assert_eq!(x.request.target.as_str(), "/b/c?q=/../");
}

#[test]
fn a_block_of_fields_is_edited_whole_or_not_at_all() {
    let mut x = exchange();
    let request = aim(Phase::Request, Section::Request);
    let before = x.request.headers.clone();
    let bad = x.edit_headers(
        request,
        &mut FieldNames::default(),
        &"x-one: 2\r\n".into(),
        &"x-new: 1\r\nx: \0\r\n".into(),
    );
    assert!(matches!(bad, Err(EditError::Invalid(_))));
    assert_eq!(x.request.headers, before);
    for name in ["", "a b", "content-length", "connection"] {
        let line = Bytes::from(format!("{name}: 1\r\n"));
        let bad = x.edit_headers(request, &mut FieldNames::default(), &Bytes::new(), &line);
        assert!(matches!(bad, Err(EditError::Invalid(_))), "{name}");
    }
    let good = x.edit_headers(
        request,
        &mut FieldNames::default(),
        &"x-one: 2\r\nx-two: c\r\n".into(),
        &"x-one: 3\r\n".into(),
    );
    assert_eq!(good, Ok(()));
    let values = |name| x.request.headers.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(values("x-one"), ["2", "3"]);
    assert_eq!(values("x-two"), ["c"]);
}

#[test]
fn what_is_asked_of_a_response_to_come_is_done_when_it_passes_the_stage() {
    let mut x = exchange();
    let of = |stage| Aim {
        phase: Phase::Request,
        stage,
        section: Section::Response,
    };
    assert!(!x.has_ahead());
    x.set_header(of(0), &mut FieldNames::default(), "x-who", "first")
        .unwrap();
    x.append_header(of(1), &mut FieldNames::default(), "x-who", "second")
        .unwrap();
    x.remove_header(of(1), &mut FieldNames::default(), "x-gone")
        .unwrap();
    x.commit();
    x.set_header(of(1), &mut FieldNames::default(), "x-undone", "1")
        .unwrap();
    x.undo();
    for _ in 0..2 {
        // An error that becomes the response in place of another one gets them, too.
        respond(&mut x);
        let head = x.response.as_mut().unwrap();
        head.headers.insert("x-gone", HeaderValue::from_static("1"));
        head.headers.insert("x-who", HeaderValue::from_static("upstream"));
        x.make_ahead(1);
        let headers = &x.response.as_ref().unwrap().headers;
        let who: Vec<_> = headers.get_all("x-who").iter().collect();
        assert_eq!(who, ["upstream", "second"]);
        assert_eq!(headers.len(), 2);
        x.make_ahead(0);
        assert_eq!(x.response.as_ref().unwrap().headers["x-who"], "first");
    }
    // The last response takes what the stages asked for that are not left out.
    respond(&mut x);
    x.make_all_ahead(2, |stage| stage != 0);
    let headers = &x.response.as_ref().unwrap().headers;
    assert_eq!(headers.get_all("x-who").iter().collect::<Vec<_>>(), ["second"]);
    assert!(!x.has_ahead());
    for n in 0..600 {
        let bounded = x.set_header(of(0), &mut FieldNames::default(), "x", &n.to_string());
        assert_eq!(bounded.is_err(), n >= 512, "{n}");
    }
}

#[test]
fn unknown_upstreams_are_refused_and_known_ones_chosen() {
    let mut x = exchange();
    assert!(matches!(
        x.set_upstream(Phase::Request, "nope"),
        Err(EditError::Invalid(_))
    ));
    assert_eq!(x.set_upstream(Phase::Request, "canary"), Ok(()));
    assert_eq!(x.upstream, Some(1));
}

#[test]
fn what_is_held_is_given_back_at_the_end() {
    #[derive(Debug)]
    struct Place(Arc<std::sync::atomic::AtomicU32>);
    impl Release for Place {
        fn release(&mut self) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
    let count = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let mut x = exchange();
    x.held.push(Held {
        stage: 0,
        key: None,
        release: Box::new(Place(Arc::clone(&count))),
    });
    drop(x);
    assert_eq!(count.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[derive(Debug, Clone)]
enum Step {
    Set(usize, String),
    Append(usize, String),
    Block(usize, String),
    Ahead(usize, String),
    Remove(usize),
    Method(bool),
    Target(u8),
    Attribute(usize, Option<String>),
    State(Option<Vec<u8>>),
    Upstream(bool),
}

const NAMES: [&str; 4] = ["x-one", "x-two", "x-three", "host"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..4_usize, "[a-z]{0,5}").prop_map(|(n, v)| Step::Set(n, v)),
        (0..4_usize, "[a-z]{0,5}").prop_map(|(n, v)| Step::Append(n, v)),
        (0..4_usize, "[a-z]{0,5}").prop_map(|(n, v)| Step::Block(n, v)),
        (0..4_usize, "[a-z]{0,5}").prop_map(|(n, v)| Step::Ahead(n, v)),
        (0..4_usize).prop_map(Step::Remove),
        any::<bool>().prop_map(Step::Method),
        any::<u8>().prop_map(Step::Target),
        (0..4_usize, proptest::option::of("[a-z]{0,5}")).prop_map(|(k, v)| Step::Attribute(k, v)),
        proptest::option::of(proptest::collection::vec(any::<u8>(), 0..4)).prop_map(Step::State),
        any::<bool>().prop_map(Step::Upstream),
    ]
}

/// Everything a hook can see, in a form that can be compared. The order of different names is free.
fn view(x: &Exchange) -> String {
    let mut fields: Vec<_> = x
        .request
        .headers
        .keys()
        .map(|name| {
            let values: Vec<_> = x
                .request
                .headers
                .get_all(name)
                .iter()
                .map(|v| to_text(v.as_bytes()))
                .collect();
            format!("{name}={values:?}")
        })
        .collect();
    fields.sort();
    let mut attributes: Vec<_> = x.attributes.iter().collect();
    attributes.sort_unstable();
    format!(
        "{} {} {fields:?} {attributes:?} {:?} {:?} {:?}",
        x.request.method,
        x.request.target,
        x.state(0),
        x.upstream,
        x.ahead
    )
}

fn apply(x: &mut Exchange, step: &Step) {
    let done = match step {
        Step::Set(n, v) => x.set_header(
            aim(Phase::Request, Section::Request),
            &mut FieldNames::default(),
            NAMES[*n],
            v,
        ),
        Step::Append(n, v) => x.append_header(
            aim(Phase::Request, Section::Request),
            &mut FieldNames::default(),
            NAMES[*n],
            v,
        ),
        Step::Block(n, v) => {
            let line = |name: &str| Bytes::from(format!("{name}: {v}\r\n"));
            let (set, append) = (line(NAMES[*n]), line(NAMES[0]));
            x.edit_headers(
                aim(Phase::Request, Section::Request),
                &mut FieldNames::default(),
                &set,
                &append,
            )
        }
        Step::Ahead(n, v) => x.set_header(
            aim(Phase::Request, Section::Response),
            &mut FieldNames::default(),
            NAMES[*n],
            v,
        ),
        Step::Remove(n) => x.remove_header(
            aim(Phase::Request, Section::Request),
            &mut FieldNames::default(),
            NAMES[*n],
        ),
        Step::Method(post) => x.set_method(Phase::Request, if *post { "POST" } else { "PUT" }),
        Step::Target(n) => x.set_target(Phase::Request, &format!("/p/{n}")),
        Step::Attribute(k, v) => x.set_attribute(Phase::Request, &[], NAMES[*k], v.clone()),
        Step::State(bytes) => x.set_state(Phase::Request, 0, bytes.clone()),
        Step::Upstream(b) => x.set_upstream(Phase::Request, if *b { "orders" } else { "canary" }),
    };
    assert_eq!(done, Ok(()));
}

proptest! {
    #[test]
    fn undo_takes_back_exactly_the_edits_since_the_last_commit(
        kept in proptest::collection::vec(step(), 0..8),
        undone in proptest::collection::vec(step(), 0..12),
    ) {
        let mut x = exchange();
        kept.iter().for_each(|s| apply(&mut x, s));
        x.commit();
        let before = view(&x);
        undone.iter().for_each(|s| apply(&mut x, s));
        x.undo();
        prop_assert_eq!(view(&x), before);
    }
}

#[test]
fn trailers_are_edited_at_the_end_of_their_body_and_taken_back() {
    let mut x = exchange();
    let mut names = FieldNames::default();
    let ends = [
        (Phase::RequestEnd, Section::RequestTrailers),
        (Phase::ResponseEnd, Section::ResponseTrailers),
    ];
    for (phase, section) in ends {
        let early = x.set_header(aim(phase, section), &mut names, "a", "b");
        assert_eq!(early, Err(EditError::WrongPhase), "before there are any");
    }
    x.request_trailers = Some(HeaderMap::new());
    x.response_trailers = Some(HeaderMap::new());
    for (phase, section) in ends {
        assert_eq!(x.set_header(aim(phase, section), &mut names, "a", "b"), Ok(()));
        assert_eq!(x.fields(section).map(HeaderMap::len), Some(1));
        x.undo();
        assert_eq!(x.fields(section).map(HeaderMap::len), Some(0));
        let other = [
            Phase::Piece,
            Phase::RequestBody,
            Phase::ResponseBody,
            Phase::Finish,
        ];
        for phase in other {
            let wrong = x.set_header(aim(phase, section), &mut names, "a", "b");
            assert_eq!(wrong, Err(EditError::WrongPhase), "{phase:?}");
        }
    }
    let crossed = x.set_header(
        aim(Phase::ResponseEnd, Section::RequestTrailers),
        &mut names,
        "a",
        "b",
    );
    assert_eq!(crossed, Err(EditError::WrongPhase));
}
