//! A gateway with one guest in every place that the cases need: in front of an upstream that tells what it got, of one
//! with a fixed answer, of one that is down, in place of one, and picking the endpoints of one.

use portcullis_tests::patience::eventually;
use portcullis_tests::upstream::Received;
use portcullis_tests::{Gateway, Request, Upstream};

use super::case::{Case, Step};
use super::{Guest, check};

/// Everything that the cases talk to.
pub(super) struct Stand {
    gateway: Gateway,
    main: Upstream,
    spare: Upstream,
    /// Kept so that it goes on answering.
    _fixed: Upstream,
}

impl Stand {
    /// Starts it with this guest as the entry `probe`.
    pub(super) async fn start(guest: &Guest) -> Self {
        let (main, spare) = (Upstream::echo(), Upstream::echo());
        let fields = [("content-type", "text/plain"), ("x-drop", "1"), ("x-keep", "1")];
        let fixed = Upstream::fixed(200, &fields, "fixed");
        let gateway = Gateway::new()
            .guest(guest.name)
            .upstream("main", &main)
            .upstream("spare", &spare)
            .upstream("fixed", &fixed)
            .upstream_with("down", &[Upstream::nowhere()], "")
            .toml(&toml(guest))
            .toml(&picked(&main, &spare))
            .start()
            .await;
        Self {
            gateway,
            main,
            spare,
            _fixed: fixed,
        }
    }

    /// Runs one case to its end, or to the first step that goes wrong.
    pub(super) async fn run(&self, case: &Case) -> Result<(), String> {
        for (number, step) in case.step.iter().enumerate() {
            let done = if step.eventually {
                let what = format!("{} as it should be", case.title());
                eventually(&what, async || self.step(case, step).await.ok()).await;
                Ok(())
            } else {
                self.step(case, step).await
            };
            done.map_err(|what| format!("step {}: {what}", number + 1))?;
        }
        Ok(())
    }

    pub(super) async fn shutdown(self) {
        self.gateway.shutdown().await;
    }

    async fn step(&self, case: &Case, step: &Step) -> Result<(), String> {
        let (main, spare) = (self.main.requests().len(), self.spare.requests().len());
        let logged = self.gateway.logs().len();
        let answer = self
            .gateway
            .try_send(&request(case, step))
            .await
            .map_err(|fault| format!("no proper answer: {fault}"))?;
        check::answer(&step.answer, &answer)?;
        if let Some(expected) = &step.upstream {
            let new = |upstream: &Upstream, seen: usize| upstream.requests().split_off(seen);
            let got: Vec<(&str, Received)> = new(&self.main, main)
                .into_iter()
                .map(|request| ("main", request))
                .chain(
                    new(&self.spare, spare)
                        .into_iter()
                        .map(|request| ("spare", request)),
                )
                .collect();
            match (expected.name.as_str(), got.as_slice()) {
                ("none", []) => {}
                (name, [(at, request)]) if name == *at => check::request(expected, request)?,
                (name, got) => return Err(format!("{name} should have got the request: {got:?}")),
            }
        }
        if let Some(expected) = &step.log {
            let lines = self.gateway.logs().split_off(logged);
            let found = lines.iter().any(|line| {
                line.level.as_str() == expected.level
                    && line.message == expected.message
                    && line.field("plugin") == Some("probe")
                    && line.field("fields") == Some(&expected.fields)
            });
            if !found {
                return Err(format!("no line {expected:?} in {lines:?}"));
            }
        }
        for (series, value) in &step.metrics {
            let found = self.gateway.metric(series).await;
            if found != Some(*value) {
                return Err(format!("{series} is {found:?}, not {value}"));
            }
        }
        Ok(())
    }
}

fn request(case: &Case, step: &Step) -> Request {
    let mut request = Request::new(&step.method, &step.target);
    match step.case.as_deref().unwrap_or(&case.name) {
        "" => {}
        name => request = request.header("x-case", name),
    }
    if let Some(argument) = &step.arg {
        request = request.header("x-arg", argument);
    }
    for (name, values) in &step.headers {
        for value in values.list() {
            request = request.header(name, value);
        }
    }
    match &step.body {
        Some(body) => request.body(body.as_str()),
        None => request,
    }
}

/// A route to an upstream whose endpoints the guest picks.
fn picked(main: &Upstream, spare: &Upstream) -> String {
    format!(
        "[upstreams.picked]\nbalance = {{ plugin = \"probe\" }}\nendpoints = [\n\
         {{ address = \"{}\", labels = {{ name = \"main\" }} }},\n\
         {{ address = \"{}\", labels = {{ name = \"spare\" }} }} ]\n\
         [[routes]]\nname = \"picked\"\nmatch = {{ prefix = \"/picked\" }}\nupstream = \"picked\"\n",
        main.address(),
        spare.address()
    )
}

fn toml(guest: &Guest) -> String {
    let Guest { name, keys } = guest;
    let mut toml = format!("[plugins.probe]\nwasm = \"{name}\"\n{keys}\n");
    for upstream in ["main", "fixed", "down"] {
        toml.push_str(&format!(
            "[[routes]]\nname = \"{upstream}\"\nmatch = {{ prefix = \"/{upstream}\" }}\npipeline = [\"probe\"]\n\
             upstream = \"{upstream}\"\n"
        ));
    }
    toml + "[[routes]]\nname = \"responder\"\nmatch = { prefix = \"/responder\" }\nupstream = { plugin = \"probe\" }\n"
}
